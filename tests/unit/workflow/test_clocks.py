"""Running clocks, preservation and escalation."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import FieldInvalid, StateConflict
from gateway.model.header import Urgency
from gateway.workflow import clocks, due, elapsed, measure, operation, preservation, referral, request
from gateway.workflow.clocks import (
    DAY_MS,
    DEFAULT,
    ESCALATION,
    HOUR_MS,
    MINUTE_MS,
    STOPPED_BY,
    TARGETS,
    Pause,
    Rung,
    Running,
    Standing,
    Step,
    Stop,
    TimedOut,
    clock,
    targets,
)
from gateway.workflow.measure import OPEN, MeasureEvent, MeasureState
from gateway.workflow.operation import MemberEvent, MemberState
from gateway.workflow.recall import RecallState
from gateway.workflow.referral import ReferralEvent, ReferralState
from gateway.workflow.request import Stage, StageEvent
from gateway.workflow.table import Cause, Side

LAW = settings(deadline=None, derandomize=True, max_examples=100)
INSTANTS = st.integers(0, 400 * DAY_MS)
STOPS = st.lists(
    st.builds(
        lambda pause, start, length: Stop(pause, start, None if length is None else start + length),
        st.sampled_from(Pause),
        INSTANTS,
        st.none() | st.integers(0, 30 * DAY_MS),
    ),
    max_size=6,
)


def test_targets_are_those_of_the_domain_notes():
    assert [DEFAULT.ms(Rung.RECEIPT, urgency) // MINUTE_MS for urgency in Urgency] == [2, 5, 15, 60]
    assert [DEFAULT.ms(Rung.ACKNOWLEDGEMENT, urgency) // MINUTE_MS for urgency in Urgency] == [15, 60, 240, 1440]
    assert [DEFAULT.ms(Rung.DECISION, urgency) // HOUR_MS for urgency in Urgency] == [1, 8, 72, 168]
    assert [DEFAULT.ms(Rung.NEWS, urgency) // HOUR_MS for urgency in Urgency] == [2, 24, 168, 720]
    assert (DEFAULT.ms(Rung.PLAN, Urgency.U3), DEFAULT.ms(Rung.ANSWER, Urgency.U3)) == (10 * DAY_MS, 45 * DAY_MS)
    assert targets({}) == DEFAULT
    assert set(TARGETS) == set(Rung)


def test_an_agreement_sets_its_own_times():
    ours = targets({(Rung.DECISION, Urgency.U1): 4 * HOUR_MS})
    assert ours.ms(Rung.DECISION, Urgency.U1) == 4 * HOUR_MS
    assert ours.ms(Rung.DECISION, Urgency.U2) == DEFAULT.ms(Rung.DECISION, Urgency.U2)


@pytest.mark.parametrize("ms", [0, -1, MINUTE_MS - 1, clocks.MAX_TARGET_MS + 1, 4 * DAY_MS])
def test_no_agreement_turns_the_order_of_urgency_or_sets_what_is_no_time(ms):
    with pytest.raises(FieldInvalid) as caught:
        targets({(Rung.DECISION, Urgency.U1): ms})
    assert caught.value.field == "clocks.decision"


@LAW
@given(
    agreed=st.lists(st.integers(MINUTE_MS, 366 * DAY_MS), min_size=4, max_size=4).map(sorted) | st.none(),
    rung=st.sampled_from(Rung),
    start=INSTANTS,
    stops=STOPS,
)
def test_the_more_urgent_is_due_no_later_whatever_is_agreed_and_awaited(agreed, rung, start, stops):
    of = targets({(rung, urgency): ms for urgency, ms in zip(Urgency, agreed, strict=True)} if agreed else {})
    shown = [clock(of, rung, urgency, start, stops) for urgency in Urgency]
    for more, less in itertools.pairwise(shown):
        match more, less:
            case Running(), Running():
                assert more.due_ms <= less.due_ms
            case Standing(), Standing():
                assert more.left_ms <= less.left_ms
            case Standing(), Running():
                pytest.fail("the more urgent stands still while the less urgent runs")
            case _:
                pass


@LAW
@given(rung=st.sampled_from(Rung), urgency=st.sampled_from(Urgency), start=INSTANTS, stops=STOPS)
def test_a_clock_loses_exactly_the_time_for_which_it_stood(rung, urgency, start, stops):
    shown = clock(DEFAULT, rung, urgency, start, stops)
    counts = [] if urgency is Urgency.U0 else [stop for stop in stops if stop.pause in STOPPED_BY.get(rung, ())]

    def stood(at):
        return any(stop.start_ms <= at and (stop.end_ms is None or at < stop.end_ms) for stop in counts)

    # Walked from one edge to the next, the slow way.
    edges = sorted({start, *(edge for stop in counts for edge in (stop.start_ms, stop.end_ms) if edge is not None)})
    left = DEFAULT.ms(rung, urgency)
    for begin, end in itertools.zip_longest(
        [edge for edge in edges if edge >= start], [edge for edge in edges if edge > start]
    ):
        if stood(begin):
            if end is None:
                assert shown == Standing(left)
                return
            continue
        if end is None or end - begin >= left:
            assert shown == Running(begin + left)
            return
        left -= end - begin
    raise AssertionError("the walk must end")


def test_at_u0_asking_stops_nothing_and_receipt_never_stops():
    asked = [Stop(Pause.QUESTION, 0, None), Stop(Pause.POSTPONED, 0, None)]
    for rung in Rung:
        assert isinstance(clock(DEFAULT, rung, Urgency.U0, 0, asked), Running)
    stopped = {rung for rung in Rung if isinstance(clock(DEFAULT, rung, Urgency.U2, 0, asked), Standing)}
    assert stopped == {Rung.DECISION, Rung.PLAN, Rung.ANSWER}
    with pytest.raises(FieldInvalid):
        Stop(Pause.QUESTION, 5, 4)


def test_time_spent_waiting_after_the_due_instant_saves_nobody():
    first = clock(DEFAULT, Rung.DECISION, Urgency.U1, 0, [Stop(Pause.QUESTION, 8 * HOUR_MS, None)])
    assert first == Running(8 * HOUR_MS)


def test_who_becomes_more_urgent_never_waits_longer_than_before():
    hour = DEFAULT.ms(Rung.DECISION, Urgency.U0)
    assert clocks.hasten(Running(10 * HOUR_MS), hour, Urgency.U0, 2 * HOUR_MS) == Running(3 * HOUR_MS)
    assert clocks.hasten(Running(10 * HOUR_MS), hour, Urgency.U0, 9 * HOUR_MS + 1) == Running(10 * HOUR_MS)
    assert clocks.hasten(Standing(5 * HOUR_MS), hour, Urgency.U0, 7) == Running(7 + HOUR_MS)
    assert clocks.hasten(Standing(5 * HOUR_MS), 8 * HOUR_MS, Urgency.U1, 7) == Standing(5 * HOUR_MS)


def test_only_the_side_that_asked_makes_it_less_urgent():
    for old, new in itertools.product(Urgency, Urgency):
        clocks.check_urgency(old, new, by_sender=True)
        if new <= old:
            clocks.check_urgency(old, new, by_sender=False)
        else:
            with pytest.raises(StateConflict, match="possible is to dispute"):
                clocks.check_urgency(old, new, by_sender=False)


def test_a_missed_time_is_the_same_evidence_whenever_it_is_looked_at():
    def look(met_ms, now_ms, state=None):
        running = Running(100) if state is None else state
        return clocks.timed_out(Rung.DECISION, Urgency.U0, 10, state=running, met_ms=met_ms, now_ms=now_ms)

    missed = TimedOut(rung=Rung.DECISION, urgency=Urgency.U0, start_ms=10, due_ms=100)
    assert look(None, 99) is None
    assert look(None, 100) == look(None, 5000) == look(101, 5000) == missed
    assert look(100, 5000) is None
    assert look(None, 5000, Standing(1)) is None


def test_escalation_goes_up_the_desk_and_never_down():
    target, at = 8 * HOUR_MS, 100 * HOUR_MS
    assert clocks.escalation(target, at, at - 2 * HOUR_MS - 1) == ()
    assert clocks.escalation(target, at, at - 2 * HOUR_MS) == (Step.OFFICER,)
    assert clocks.escalation(target, at, at) == (Step.OFFICER, Step.DEPUTIES)
    assert clocks.escalation(target, at, at + 2 * HOUR_MS) == (Step.OFFICER, Step.DEPUTIES, Step.LEAD)
    assert clocks.escalation(target, at, at + 4 * HOUR_MS) == tuple(Step)
    now, seen = 0, []
    while (now := clocks.next_step_ms(target, at, now)) is not None:
        seen.append(len(clocks.escalation(target, at, now)))
    assert seen == [1, 2, 3, 4]
    assert [step for step, _ in ESCALATION] == list(Step)


def test_the_soonest_due_is_found_among_what_runs():
    assert clocks.soonest([Running(7), Standing(1), Running(5)]) == 5
    assert clocks.soonest([Standing(1)]) is None


@pytest.mark.parametrize(
    ("states", "table"),
    [
        (ReferralState, due.REFERRAL_CLOCKS),
        (Stage, due.STAGE_CLOCKS),
        (MeasureState, due.MEASURE_CLOCKS),
        (RecallState, due.RECALL_CLOCKS),
    ],
)
def test_every_state_says_which_clocks_run_in_it(states, table):
    assert set(table) == set(states)


def test_whatever_waits_for_somebody_abroad_has_a_clock():
    assert all(due.MEASURE_CLOCKS[state] for state in OPEN)
    assert not any(due.MEASURE_CLOCKS[state] for state in set(MeasureState) - OPEN)
    for state, pause in due.MEASURE_PAUSES.items():
        assert any(pause in STOPPED_BY.get(rung, ()) for rung in due.MEASURE_CLOCKS[state])
        assert (Rung.INFORMATION in due.MEASURE_CLOCKS[state]) == (pause is Pause.QUESTION)
    assert due.OWED_BY.keys() == set(Rung)


def owed(history, running, pauses, urgency, word_ms=None):
    found = due.dues(history, running, pauses, DEFAULT, urgency, word_ms=word_ms)
    return [(item.rung, item.start_ms, item.clock) for item in found]


def test_a_decision_is_due_from_the_receipt_however_many_states_it_takes():
    history = [(0, ReferralState.SENT), (10, ReferralState.RECEIVED), (20, ReferralState.ACKNOWLEDGED)]
    found = owed(history, due.REFERRAL_CLOCKS, due.REFERRAL_PAUSES, Urgency.U1)
    assert found == [(Rung.DECISION, 10, Running(10 + 8 * HOUR_MS))]
    at_first = owed(history[:2], due.REFERRAL_CLOCKS, due.REFERRAL_PAUSES, Urgency.U1)
    assert at_first == [(Rung.ACKNOWLEDGEMENT, 10, Running(10 + HOUR_MS)), *found]
    assert owed([], due.REFERRAL_CLOCKS, due.REFERRAL_PAUSES, Urgency.U1) == []
    assert owed([(0, ReferralState.CLOSED)], due.REFERRAL_CLOCKS, due.REFERRAL_PAUSES, Urgency.U1) == []


def test_each_word_starts_the_clock_of_news_anew_and_each_question_that_of_its_answer():
    history = [(0, ReferralState.ACCEPTED), (5, ReferralState.IN_PROGRESS)]
    clocks_of = (due.REFERRAL_CLOCKS, due.REFERRAL_PAUSES, Urgency.U1)
    assert owed(history, *clocks_of) == [(Rung.NEWS, 5, Running(5 + DAY_MS))]
    assert owed(history, *clocks_of, word_ms=3) == [(Rung.NEWS, 5, Running(5 + DAY_MS))]
    assert owed(history, *clocks_of, word_ms=50) == [(Rung.NEWS, 50, Running(50 + DAY_MS))]
    asked = [(0, MeasureState.UNDER_REVIEW), (10, MeasureState.CLARIFICATION_NEEDED), (30, MeasureState.CONSULTATION)]
    assert owed(asked, due.MEASURE_CLOCKS, due.MEASURE_PAUSES, Urgency.U2) == [
        (Rung.INFORMATION, 30, Running(30 + 3 * DAY_MS)),
        (Rung.DECISION, 0, Standing(3 * DAY_MS - 10)),
        (Rung.ANSWER, 0, Standing(45 * DAY_MS - 10)),
    ]
    answered = [*asked, (40, MeasureState.CONSULTED)]
    assert owed(answered, due.MEASURE_CLOCKS, due.MEASURE_PAUSES, Urgency.U2) == [
        (Rung.DECISION, 0, Running(3 * DAY_MS + 30)),
        (Rung.ANSWER, 0, Running(45 * DAY_MS + 30)),
    ]


def test_a_case_that_is_reopened_is_decided_anew():
    history = [(0, ReferralState.RECEIVED), (1, ReferralState.ACCEPTED), (9, ReferralState.REOPENED)]
    found = owed(history, due.REFERRAL_CLOCKS, due.REFERRAL_PAUSES, Urgency.U0)
    assert found == [(Rung.DECISION, 9, Running(9 + HOUR_MS))]


def test_stops_are_read_off_the_history_of_states():
    history = [
        (0, MeasureState.UNDER_REVIEW),
        (10, MeasureState.CLARIFICATION_NEEDED),
        (30, MeasureState.UNDER_REVIEW),
        (50, MeasureState.POSTPONED),
    ]
    assert due.stops(history, due.MEASURE_PAUSES) == (
        Stop(Pause.QUESTION, 10, 30),
        Stop(Pause.POSTPONED, 50, None),
    )
    assert due.stops([], due.MEASURE_PAUSES) == ()


@pytest.mark.parametrize("state", ReferralState)
def test_time_closes_a_resolved_referral_after_fourteen_days_of_silence_and_fails_what_is_not_delivered(state):
    late = {ReferralState.RESOLVED: ReferralEvent.SILENCE, ReferralState.SENT: ReferralEvent.FAIL}.get(state)
    assert elapsed.referral(state, 5, 10, 5 + 14 * DAY_MS) is late
    assert elapsed.referral(state, 5, 14 * DAY_MS + 5, 14 * DAY_MS + 4) is None
    # Who never had the word is not silent.
    if state is ReferralState.RESOLVED:
        assert elapsed.referral(state, None, 10, 10**15) is None


@pytest.mark.parametrize("state", Stage)
def test_time_fails_a_request_that_is_not_delivered(state):
    assert elapsed.stage(state, 10, 9) is None
    assert elapsed.stage(state, 10, 10) is (StageEvent.FAIL if state is Stage.TRANSMITTED else None)


@pytest.mark.parametrize("state", MeasureState)
def test_time_ends_consultations_that_were_heard_postponements_and_what_is_held(state):
    def look(heard_ms, until_ms, now_ms):
        return elapsed.measure(state, DEFAULT, Urgency.U1, heard_ms=heard_ms, until_ms=until_ms, now_ms=now_ms)

    ends = {
        MeasureState.CONSULTATION: MeasureEvent.WAITED,
        MeasureState.POSTPONED: MeasureEvent.RESUME,
        MeasureState.PRESERVED: MeasureEvent.LAPSE,
        MeasureState.EXTENDED: MeasureEvent.LAPSE,
    }
    assert look(0, 8 * HOUR_MS, 8 * HOUR_MS) is ends.get(state)
    assert look(0, 8 * HOUR_MS, 8 * HOUR_MS - 1) is None
    assert look(None, None, 10**15) is None


@pytest.mark.parametrize("state", MemberState)
def test_the_owners_silence_releases_who_leaves(state):
    leaving = MemberEvent.SILENCE if state is MemberState.LEAVING else None
    assert elapsed.member(state, 5, 5 + DAY_MS) is leaving
    assert elapsed.member(state, 5, 4 + DAY_MS) is None
    assert elapsed.member(state, None, 10**15) is None


def test_time_brings_about_what_the_tables_leave_to_the_clock_and_nothing_else():
    preserving = measure.MACHINES[measure.Course.PRESERVE, Side.RECEIVER]
    for machine, events in (
        (referral.RECEIVER, {ReferralEvent.SILENCE}),
        (referral.SENDER, {ReferralEvent.SILENCE, ReferralEvent.FAIL}),
        (request.SENDER, {StageEvent.FAIL}),
        (preserving, {MeasureEvent.WAITED, MeasureEvent.RESUME, MeasureEvent.LAPSE}),
        (operation.MEMBER_AT_OWNER, {MemberEvent.SILENCE}),
        (operation.MEMBER_AT_MEMBER, {MemberEvent.SILENCE}),
    ):
        caused = {event for event, causes in machine.causes.items() if Cause.CLOCK in causes}
        # Withdrawal is the fast lane's, when no second approval comes.
        assert {event for event in caused if event.name != "WITHDRAW"} == events


def test_preservation_runs_for_what_was_agreed_and_is_prolonged_from_its_end():
    end = preservation.until_ms(0, 60)
    assert end == 60 * DAY_MS
    assert preservation.extended_ms(0, end, 30, end - 1) == 90 * DAY_MS
    with pytest.raises(StateConflict, match="possible is a new request"):
        preservation.extended_ms(0, end, 30, end)
    assert not preservation.is_over(end, end - 1)
    assert preservation.is_over(end, end)


@pytest.mark.parametrize("days", [-1, 0, 59, 91, 10_000])
def test_preservation_is_neither_shorter_nor_longer_than_agreed(days):
    with pytest.raises(FieldInvalid):
        preservation.until_ms(0, days)


def test_data_are_not_held_for_ever():
    end = preservation.until_ms(0, 90)
    for days in (0, 91):
        with pytest.raises(FieldInvalid):
            preservation.extended_ms(0, end, days, 0)
    while end + 90 * DAY_MS <= preservation.MAX_TOTAL_DAYS * DAY_MS:
        end = preservation.extended_ms(0, end, 90, end - 1)
    with pytest.raises(FieldInvalid, match="730 days"):
        preservation.extended_ms(0, end, 90, end - 1)
    for low, high in ((0, 5), (6, 5), (1, 367)):
        with pytest.raises(FieldInvalid):
            preservation.Period(low, high)


def test_the_desk_that_asked_is_reminded_in_time():
    end = 60 * DAY_MS
    assert preservation.reminders(end, end - 14 * DAY_MS - 1) == ()
    assert preservation.reminders(end, end - 14 * DAY_MS) == (14,)
    assert preservation.reminders(end, end - DAY_MS) == (14, 3, 1)
    assert preservation.reminders(end, end) == ()
