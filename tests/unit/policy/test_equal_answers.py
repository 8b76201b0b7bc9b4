"""'Protected' and 'no record' are one answer."""

from dataclasses import astuple, fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MessageTooLarge
from gateway.ids import ThreadId
from gateway.model.header import Kind, Urgency
from gateway.policy.equal_answers import ANSWER_BYTES, AnswerPlan, check_fits, plan_answer
from gateway.policy.pacts import DEFAULT_CLOCKS

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
HOUR_MS = 3_600_000
ANSWERED = st.sampled_from([Kind.REFERRAL, Kind.REQUEST])
THREADS = st.binary(min_size=16, max_size=16).map(ThreadId)


def plan(truth="no_record", **changes) -> AnswerPlan:
    values = {
        "key": KEY,
        "thread": ThreadId(bytes(16)),
        "kind": Kind.REFERRAL,
        "clock": DEFAULT_CLOCKS[Urgency.U1],
        "receive_ms": 1_000_000,
        "ready_ms": 1_000_000,
    }
    return plan_answer(truth, **values | changes)


@settings(max_examples=300, deadline=None)
@given(
    key=st.binary(min_size=32, max_size=32),
    thread=THREADS,
    kind=ANSWERED,
    urgency=st.sampled_from(Urgency),
    receive_ms=st.integers(0, 2**42),
    work_ms=st.integers(0, 40 * 24 * HOUR_MS),
)
def test_nothing_that_can_be_observed_differs(key, thread, kind, urgency, receive_ms, work_ms):
    clock = DEFAULT_CLOCKS[urgency]
    given_values = {
        "key": key, "thread": thread, "kind": kind, "clock": clock, "receive_ms": receive_ms,
        "ready_ms": receive_ms + work_ms,
    }  # fmt: skip
    protected, no_record = plan("protected", **given_values), plan("no_record", **given_values)
    for field in fields(AnswerPlan):
        assert getattr(protected, field.name) == getattr(no_record, field.name)
    assert repr(protected) == repr(no_record)
    assert "protected" not in repr(astuple(protected))
    # It is ready when it leaves, the states come in their order, and it leaves within two rounds.
    instants = [state.at_ms for state in protected.states]
    assert instants == sorted(instants)
    assert receive_ms < instants[0]
    assert instants[-1] == protected.send_ms >= receive_ms + work_ms
    assert protected.send_ms < receive_ms + work_ms + 2 * clock.decide_ms


def test_work_of_any_length_within_the_first_half_leaves_at_one_instant():
    half = DEFAULT_CLOCKS[Urgency.U1].decide_ms // 2
    for kind in (Kind.REFERRAL, Kind.REQUEST):
        plans = {plan(truth, kind=kind, ready_ms=1_000_000 + done)
                 for truth in ("protected", "no_record") for done in range(0, half, 60_000)}  # fmt: skip
        assert len(plans) == 1


def test_the_first_answer_is_within_its_target_and_the_acknowledgement_too():
    for urgency, clock in DEFAULT_CLOCKS.items():
        for number in range(50):
            made = plan(clock=clock, thread=ThreadId(number.to_bytes(16, "big")))
            assert made.send_ms < 1_000_000 + clock.decide_ms, urgency
            assert made.states[0].at_ms < 1_000_000 + clock.acknowledge_ms, urgency


def test_instants_are_drawn_for_every_thread_and_key():
    threads = {plan(thread=ThreadId(number.to_bytes(16, "big"))).send_ms for number in range(200)}
    assert len(threads) > 195
    spread = max(threads) - min(threads)
    assert spread > DEFAULT_CLOCKS[Urgency.U1].decide_ms // 4
    # Without the key nobody works out whether an answer waited for its hour.
    assert plan(key=OTHER).send_ms != plan().send_ms
    late = [plan(ready_ms=1_000_000 + number * 8 * HOUR_MS).send_ms - number * 8 * HOUR_MS for number in range(5)]
    assert len(set(late)) == 5


def test_an_answer_that_is_ready_late_leaves_in_a_later_round():
    first = plan()
    later = plan(ready_ms=first.send_ms + 1)
    assert later.send_ms > first.send_ms
    assert plan(ready_ms=first.send_ms).send_ms == first.send_ms
    assert replace(later, states=(), send_ms=0) == replace(first, states=(), send_ms=0)


def test_bodies_are_of_one_size():
    check_fits(bytes(ANSWER_BYTES))
    with pytest.raises(MessageTooLarge):
        check_fits(bytes(ANSWER_BYTES + 1))
    assert plan().body_bytes == plan("protected", kind=Kind.REQUEST).body_bytes == ANSWER_BYTES


@pytest.mark.parametrize(
    "changes", [{"key": b""}, {"key": KEY[:31]}, {"kind": Kind.ALERT}, {"kind": Kind.PING}, {"truth": "found"}]
)
def test_what_cannot_be_planned_is_not_answered(changes):
    with pytest.raises(ValueError, match="no equal answer"):
        plan(**changes)
