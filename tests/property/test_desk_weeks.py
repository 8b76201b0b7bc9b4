"""Simulated weeks at desks in real zones: whatever the clocks on the wall do, somebody is called in time."""

import itertools
from datetime import UTC, date, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import to_ms
from gateway.errors import NotFound
from gateway.ids import OfficerId
from gateway.model.header import Urgency
from gateway.workflow import clocks, zones
from gateway.workflow.clocks import DAY_MS, DEFAULT, HOUR_MS, Pause, Rung, Running, Standing, Step, Stop
from gateway.workflow.roster import Crew, Gap, Overlap, Roster, Shift, called, check, next_handover, on_duty, watches

LAW = settings(deadline=None, derandomize=True, max_examples=40)
FEW = settings(LAW, max_examples=20)
# Half hours and quarters; summer time north and south, by half an hour, in Ramadan; a country that changed its mind;
# the other side of the date line.
ZONES = (
    "Asia/Yangon", "Asia/Tehran", "Asia/Kathmandu", "Asia/Bangkok", "Asia/Shanghai", "Europe/Berlin",
    "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago", "Asia/Gaza",
    "Pacific/Chatham", "Pacific/Kiritimati", "America/St_Johns", "UTC",
)  # fmt: skip
LEAD = OfficerId("o-lead")
# Weeks in which something changes somewhere, and the turn of the year.
WEEKS = st.sampled_from([(2026, 3, 7), (2026, 3, 27), (2026, 4, 3), (2026, 10, 2), (2026, 10, 23), (2026, 12, 28)])
WALLS = st.lists(st.integers(0, 1439), min_size=2, max_size=5, unique=True).map(sorted)


def people(number):
    return Crew(OfficerId(f"o-{number}"), (OfficerId(f"d-{number}"),))


def round_the_clock(zone, wall):
    """Shifts that meet on the wall, each day anew."""
    return tuple(
        Shift(
            post=zone.lower(),
            zone=zone,
            weekdays=frozenset(range(1, 8)),
            start_minute=start,
            end_minute=end,
            crews=(people(number), people(f"{number}-second")),
            turn_days=3,
            anchor=date(2026, 1, 1),
        )
        for number, (start, end) in enumerate(zip(wall, [*wall[1:], wall[0]], strict=True))
    )


def desk(*shifts):
    return Roster(desk="th/royal-police/desk", leads=(LEAD,), shifts=shifts)


@LAW
@given(zone=st.sampled_from(ZONES), wall=WALLS, week=WEEKS)
def test_shifts_that_meet_on_the_wall_leave_nobody_alone_and_nobody_doubled(zone, wall, week):
    start = to_ms(datetime(*week, tzinfo=UTC))
    of = desk(*round_the_clock(zone, wall))
    assert check(of, start, start + 7 * DAY_MS) == []
    kept = watches(of, start, start + 7 * DAY_MS)
    assert all(one.end_ms == two.start_ms for one, two in itertools.pairwise(kept))
    assert sum(watch.end_ms - watch.start_ms for watch in kept) == kept[-1].end_ms - kept[0].start_ms


@FEW
@given(zone=st.sampled_from(ZONES), wall=WALLS, week=WEEKS)
def test_from_hand_over_to_hand_over_the_desk_is_kept(zone, wall, week):
    now = start = to_ms(datetime(*week, tzinfo=UTC))
    of = desk(*round_the_clock(zone, wall))
    while now < start + 7 * DAY_MS:
        duty = on_duty(of, now)
        assert duty.at_ms <= now < duty.until_ms
        after = next_handover(of, now)
        assert after.outgoing == duty.officer
        assert now < after.at_ms <= now + 2 * DAY_MS
        assert on_duty(of, after.at_ms - 1).officer == duty.officer
        assert on_duty(of, after.at_ms).officer == after.incoming != duty.officer
        now = after.at_ms


WATCHES = st.lists(
    st.builds(
        lambda zone, start, length, days: (zone, start, (start + length) % 1440, days),
        st.sampled_from(ZONES),
        st.integers(0, 1439),
        st.integers(60, 1200),
        st.frozensets(st.integers(1, 7), min_size=1),
    ),
    min_size=1,
    max_size=4,
)


@LAW
@given(shifts=WATCHES, week=WEEKS, probes=st.lists(st.integers(0, 7 * DAY_MS - 1), min_size=5, max_size=20))
def test_gaps_and_overlaps_told_are_those_that_are_met(shifts, week, probes):
    start = to_ms(datetime(*week, tzinfo=UTC))
    of = desk(*[
        Shift(
            post=f"post-{number}",
            zone=zone,
            weekdays=days,
            start_minute=begin,
            end_minute=end,
            crews=(Crew(OfficerId(f"o-{number}")),),
            turn_days=1,
            anchor=date(2026, 1, 1),
        )
        for number, (zone, begin, end, days) in enumerate(shifts)
    ])  # fmt: skip
    found = check(of, start, start + 7 * DAY_MS)
    assert found == sorted(found, key=lambda item: (item.start_ms, item.end_ms))
    assert all(start <= item.start_ms < item.end_ms <= start + 7 * DAY_MS for item in found)
    edges = [edge + step - start for item in found for edge in (item.start_ms, item.end_ms) for step in (-1, 0)]
    for now in (start + offset for offset in (*probes, *edges) if 0 <= offset < 7 * DAY_MS):
        told = [item for item in found if item.start_ms <= now < item.end_ms]
        here = {watch.officers[0] for watch in watches(of, now, now + 1)}
        assert any(isinstance(item, Gap) for item in told) == (not here)
        doubled = {officer for item in told if isinstance(item, Overlap) for officer in item.officers}
        assert doubled == (here if len(here) > 1 else set())
        try:
            duty = on_duty(of, now)
        except NotFound:
            assert not here
        else:
            assert duty.officer in here
            assert set(duty.order) == here | {LEAD}


@LAW
@given(
    zone=st.sampled_from(ZONES),
    wall=WALLS,
    week=WEEKS,
    urgency=st.sampled_from(Urgency),
    received=st.integers(0, 7 * DAY_MS),
    act_after=st.none() | st.integers(0, 12 * DAY_MS),
    asked=st.none() | st.tuples(st.integers(0, 3 * DAY_MS), st.none() | st.integers(0, 5 * DAY_MS)),
    tick=st.sampled_from([HOUR_MS, 7 * HOUR_MS]),
)
def test_who_does_nothing_is_called_up_the_desk_and_it_is_told_once(
    zone, wall, week, urgency, received, act_after, asked, tick
):
    of = desk(*round_the_clock(zone, wall))
    start = to_ms(datetime(*week, tzinfo=UTC)) + received
    done = None if act_after is None else start + act_after
    stops = () if asked is None else (
        Stop(Pause.QUESTION, start + asked[0], None if asked[1] is None else start + asked[0] + asked[1]),
    )  # fmt: skip
    target = DEFAULT.ms(Rung.DECISION, urgency)
    evidence, reached, now = set(), 0, start
    while now < start + 30 * DAY_MS and (done is None or now < done):
        # What is known at an instant: nobody knows when a question will be answered.
        known = [
            Stop(item.pause, item.start_ms, item.end_ms if item.end_ms is not None and item.end_ms <= now else None)
            for item in stops
            if item.start_ms <= now
        ]
        state = clocks.clock(DEFAULT, Rung.DECISION, urgency, start, known)
        missed = clocks.timed_out(Rung.DECISION, urgency, start, state=state, met_ms=None, now_ms=now)
        if isinstance(state, Standing):
            assert missed is None
        else:
            steps = clocks.escalation(target, state.due_ms, now)
            callees = called(of, now, steps)
            assert (len(callees) > 0) == (len(steps) > 0)
            assert Step.LEAD not in steps or LEAD in callees
            assert len(steps) >= (2 if missed else 0)
            if missed:
                # Once missed it stays missed, and escalation only goes up.
                assert len(steps) >= reached
                reached = len(steps)
                evidence.add(missed)
        now += tick
    final = clocks.clock(DEFAULT, Rung.DECISION, urgency, start, stops)
    told = clocks.timed_out(Rung.DECISION, urgency, start, state=final, met_ms=done, now_ms=now)
    assert evidence <= {told}
    if isinstance(final, Running):
        assert (told is not None) == ((now >= final.due_ms) if done is None else (done > final.due_ms))


@LAW
@given(zone=st.sampled_from(ZONES), other=st.sampled_from(ZONES), week=WEEKS, minutes=st.integers(0, 7 * 1440))
def test_every_instant_is_on_every_wall(zone, other, week, minutes):
    instant = to_ms(datetime(*week, tzinfo=UTC)) + minutes * 60_000
    here, there = zones.parse_zone(zone), zones.parse_zone(other)
    shown = zones.show(instant, here, there)
    for part, of in zip(shown.split(", "), (here, there), strict=False):
        wall = datetime.strptime(part[:16], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        back = zones.instant_ms(wall.date(), wall.hour * 60 + wall.minute, of)
        # An hour that comes twice is read as its first.
        assert instant - back in {0, HOUR_MS // 2, HOUR_MS}
    assert shown.endswith("Z")
