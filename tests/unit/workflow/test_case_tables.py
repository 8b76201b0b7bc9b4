"""The state tables of cases: every triple of state, event and cause is decided as written down."""

import itertools

import pytest

from gateway.errors import StateConflict
from gateway.workflow import approval, conversion, measure, operation, recall, referral, request
from gateway.workflow.measure import Course, MeasureEvent, MeasureState
from gateway.workflow.table import Cause, Side
from tests.unit.workflow import listed

LETTERS = {"o": Cause.OFFICER, "s": Cause.SYSTEM, "p": Cause.PARTNER, "c": Cause.CLOCK}
ANSWERS, KEEPS = Course.ANSWER, Course.PRESERVE
MACHINES = {
    "referral, sender": (referral.SENDER, listed.REFERRAL_SENDER, listed.REFERRAL_SENDER_CAUSES),
    "referral, receiver": (referral.RECEIVER, listed.REFERRAL_RECEIVER, listed.REFERRAL_RECEIVER_CAUSES),
    "request, sender": (request.SENDER, listed.STAGE_SENDER, listed.STAGE_SENDER_CAUSES),
    "request, receiver": (request.RECEIVER, listed.STAGE_RECEIVER, listed.STAGE_RECEIVER_CAUSES),
    "measure, sender": (
        measure.MACHINES[ANSWERS, Side.SENDER],
        listed.ANSWER_SENDER,
        listed.MEASURE_SENDER_CAUSES,
    ),
    "measure, receiver": (
        measure.MACHINES[ANSWERS, Side.RECEIVER],
        listed.ANSWER_RECEIVER,
        listed.MEASURE_RECEIVER_CAUSES,
    ),
    "preservation, sender": (
        measure.MACHINES[KEEPS, Side.SENDER],
        listed.PRESERVE_SENDER,
        listed.MEASURE_SENDER_CAUSES,
    ),
    "preservation, receiver": (
        measure.MACHINES[KEEPS, Side.RECEIVER],
        listed.PRESERVE_RECEIVER,
        listed.MEASURE_RECEIVER_CAUSES,
    ),
    "operation, owner": (operation.OWNER, listed.OWNER, listed.OWNER_CAUSES),
    "operation, member": (operation.FOLLOWER, listed.FOLLOWER, listed.FOLLOWER_CAUSES),
    "membership, owner": (operation.MEMBER_AT_OWNER, listed.MEMBER_AT_OWNER, listed.MEMBER_AT_OWNER_CAUSES),
    "membership, member": (operation.MEMBER_AT_MEMBER, listed.MEMBER_AT_MEMBER, listed.MEMBER_AT_MEMBER_CAUSES),
    "recall, sender": (recall.SENDER, listed.RECALL, "p: pass_on confirm refuse"),
    "recall, receiver": (recall.RECEIVER, listed.RECALL, "o: pass_on confirm refuse"),
    "conversion": (conversion.MACHINE, listed.CONVERSION, listed.CONVERSION_CAUSES),
    "approval": (approval.MACHINE, listed.APPROVAL, listed.APPROVAL_CAUSES),
}


def read(rows, causes):
    """Return {(state, event): next}, {(state, event)} of late acts, {event: causes}, all in words."""
    leads, late, by = {}, set(), {}
    for line in rows.split("\n"):
        state, _, rest = line.partition(":")
        steps, _, after = rest.partition("~")
        leads |= {(state, step.split(">")[0]): step.split(">")[1] for step in steps.split()}
        late |= {(state, event) for event in after.split()}
    for line in causes.strip().split("\n"):
        letter, _, events = line.partition(":")
        for event in events.split():
            by.setdefault(event, set()).add(LETTERS[letter])
    return leads, late, by


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_event_and_cause_is_decided_as_written_down(name):
    machine, rows, causes = MACHINES[name]
    leads, late, by = read(rows, causes)
    assert set(by) >= {event for _, event in leads}
    of = type(machine.start)
    events = type(next(event for row in machine.rows.values() for event in row))
    refused = 0
    for state, event, cause in itertools.product(of, events, Cause):
        pair = (state.word, event.word)
        if pair in leads and cause in by[event.word]:
            assert machine.step(state, event, cause).word == leads[pair], pair
        elif pair in late and cause is Cause.PARTNER:
            assert machine.step(state, event, cause) is state, pair
        else:
            refused += 1
            with pytest.raises(StateConflict) as caught:
                machine.step(state, event, cause)
            possible = [word.replace("_", " ") for (at, word) in leads if at == state.word]
            assert "possible is" in caught.value.text
            assert all(word in caught.value.text for word in possible or ["nothing"]), pair
            assert all(str(item) in caught.value.text for word in possible for item in by[word.replace(" ", "_")])
    assert refused


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_of_a_table_can_come_about_and_every_way_leads_to_one_of_its_states(name):
    machine, _, _ = MACHINES[name]
    assert machine.reachable() == set(machine.rows)
    assert set(machine.causes) >= {event for row in machine.rows.values() for event in row}
    assert machine.open <= set(machine.rows)
    assert {state for state, row in machine.rows.items() if not row} & machine.open == set()


@pytest.mark.parametrize("name", [name for name in MACHINES if name.split(",")[0] in {"referral", "measure"}])
def test_the_side_that_asked_can_withdraw_in_every_open_state_and_in_no_other(name):
    machine, _, _ = MACHINES[name]
    cause = Cause.OFFICER if name.endswith("sender") else Cause.PARTNER
    withdraw = next(event for event in machine.causes if event.name == "WITHDRAW")
    can = {state for state in machine.rows if withdraw in machine.possible(state, cause)}
    # A refusal that crossed a withdrawal is undone at the receiver; nobody sends a withdrawal of what is refused.
    assert can - machine.open == ({MeasureState.REFUSED} if name == "measure, receiver" else set())
    assert machine.open <= can
    assert {machine.step(state, withdraw, cause).word for state in machine.open} == {"withdrawn"}


def test_what_is_preserved_can_be_withdrawn_until_it_is_held_and_released_afterwards():
    machine = measure.MACHINES[KEEPS, Side.SENDER]
    for state in machine.open:
        assert machine.step(state, MeasureEvent.WITHDRAW, Cause.OFFICER) is MeasureState.WITHDRAWN
    for state in measure.HELD:
        assert machine.step(state, MeasureEvent.RELEASE, Cause.OFFICER) is MeasureState.RELEASED
    assert machine.open | measure.HELD == {
        state for state in machine.rows if machine.possible(state, Cause.OFFICER) or state in machine.open
    }


def without(machine, left_out):
    """Return the states to which paths lead that never enter one of some states."""
    found, todo = {machine.start}, [machine.start]
    while todo:
        for after in machine.rows[todo.pop()].values():
            if after not in found | left_out:
                found.add(after)
                todo.append(after)
    return found


@pytest.mark.parametrize("key", measure.MACHINES, ids=str)
def test_no_path_leads_to_a_refusal_without_consultation_or_to_execution_without_approval(key):
    machine = measure.MACHINES[key]
    assert MeasureState.REFUSED not in without(machine, {MeasureState.CONSULTATION})
    assert MeasureState.REFUSED not in without(machine, {MeasureState.CONSULTED})
    approvals = {MeasureState.APPROVED, MeasureState.CONDITIONS_ACCEPTED}
    assert MeasureState.EXECUTING not in without(machine, approvals)
    assert MeasureState.CONDITIONS_ACCEPTED not in without(machine, {MeasureState.APPROVED_WITH_CONDITIONS})
    theirs = Cause.OFFICER if key[1] is Side.RECEIVER else Cause.PARTNER
    for event in (MeasureEvent.APPROVE, MeasureEvent.APPROVE_WITH_CONDITIONS, MeasureEvent.EXECUTE):
        assert machine.causes[event] == {theirs}
    if key[1] is Side.RECEIVER:
        # Nothing is handed over or held unless it was being carried out.
        given = {MeasureState.PARTLY_ANSWERED, MeasureState.ANSWERED, MeasureState.PRESERVED}
        assert not given & without(machine, {MeasureState.EXECUTING})


def test_nothing_is_sent_without_approval():
    for machine, approved, sent in (
        (referral.SENDER, referral.ReferralState.APPROVED, referral.ReferralState.SENT),
        (request.SENDER, request.Stage.SENDER_APPROVED, request.Stage.TRANSMITTED),
    ):
        assert sent not in without(machine, {approved})


@pytest.mark.parametrize("name", MACHINES)
def test_the_diagram_draws_every_row_with_who_may_cause_it(name):
    machine, _, _ = MACHINES[name]
    lines = machine.mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", f"    [*] --> {machine.start.word}"]
    for state, row in machine.rows.items():
        for event, after in row.items():
            who = ", ".join(sorted(machine.causes[event]))
            assert f"    {state.word} --> {after.word}: {event.word} ({who})" in lines
    assert len(lines) == 2 + sum(len(row) or 1 for row in machine.rows.values())
