"""The state tables of an alert: every pair is decided."""

import itertools

import pytest

from gateway.errors import StateConflict
from gateway.workflow.alert import DOUBTFUL, ISSUER, RECEIVER, AlertEvent, AlertState, state_at, step

E, S = AlertEvent, AlertState
LISTED = {
    "issuer": {
        (S.SUBMITTED, E.ISSUE): S.ISSUED,
        (S.SUBMITTED, E.REJECT): S.REJECTED,
        (S.ISSUED, E.SUPERSEDE): S.SUPERSEDED,
        (S.ISSUED, E.CANCEL): S.CANCELLED,
    },
    "receiver": {
        (S.RECEIVED, E.QUARANTINE): S.QUARANTINED,
        (S.RECEIVED, E.VALIDATE): S.VALIDATED,
        (S.QUARANTINED, E.VALIDATE): S.VALIDATED,
        (S.QUARANTINED, E.DECLINE): S.DISMISSED,
        (S.VALIDATED, E.RELAY): S.RELAYED,
        (S.VALIDATED, E.NOTE): S.NOTED,
        (S.VALIDATED, E.DECLINE): S.DECLINED,
        (S.NOTED, E.RELAY): S.RELAYED,
        (S.DECLINED, E.RELAY): S.RELAYED,
        (S.DECLINED, E.NOTE): S.NOTED,
        **{
            (state, event): end
            for state in (S.VALIDATED, S.RELAYED, S.NOTED, S.DECLINED, S.EXPIRED)
            for event, end in ((E.SUPERSEDE, S.SUPERSEDED), (E.CANCEL, S.CANCELLED))
        },
    },
}


@pytest.mark.parametrize("side", ["issuer", "receiver"])
def test_every_pair_leads_somewhere_or_is_refused_with_what_is_possible(side):
    table = {"issuer": ISSUER, "receiver": RECEIVER}[side]
    for state, event in itertools.product(AlertState, AlertEvent):
        expected = LISTED[side].get((state, event))
        if expected is not None:
            assert step(table, state, event) is expected
            continue
        with pytest.raises(StateConflict) as caught:
            step(table, state, event)
        possible = [item.word for (of, item) in LISTED[side] if of is state]
        assert all(word in caught.value.text for word in possible or ["nothing"])


def test_what_is_in_doubt_is_handed_on_or_ends_another_by_no_detour():
    # However often officers note and decline it: only its predecessor's coming makes it count.
    reached, left = set(), {S.QUARANTINED}
    while left:
        state = left.pop()
        reached.add(state)
        left |= {after for event, after in RECEIVER[state].items() if event is not E.VALIDATE} - reached
    assert reached == {S.QUARANTINED, S.DISMISSED} == DOUBTFUL


@pytest.mark.parametrize("state", AlertState)
def test_time_ends_what_nobody_has_ended(state):
    assert state_at(state, 100, 99) is state
    kept = state in {S.REJECTED, S.SUPERSEDED, S.CANCELLED, S.QUARANTINED, S.DISMISSED}
    for now in (100, 101):
        assert state_at(state, 100, now) is (state if kept else S.EXPIRED)
