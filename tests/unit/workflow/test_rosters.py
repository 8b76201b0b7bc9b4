"""Duty rosters on the wall clocks of real zones."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from gateway.clock import to_ms
from gateway.errors import FieldInvalid, NotFound
from gateway.ids import OfficerId
from gateway.workflow import zones
from gateway.workflow.clocks import Step
from gateway.workflow.roster import (
    Absence,
    Crew,
    Gap,
    Handover,
    Overlap,
    Roster,
    Shift,
    SpecialDay,
    called,
    check,
    next_handover,
    on_duty,
    told,
    watches,
)

A, B, C, D, E, LEAD = (OfficerId(f"o-{name}") for name in ("a", "b", "c", "d", "e", "lead"))
HOUR = 3_600_000
DAY = 24 * HOUR
EVERY_DAY = frozenset(range(1, 8))


def utc(*parts):
    return to_ms(datetime(*parts, tzinfo=UTC))


def shift(crews, start=0, end=0, zone="Asia/Bangkok", post="home", days=EVERY_DAY, turn=1, anchor=date(2026, 1, 1)):
    return Shift(
        post=post,
        zone=zone,
        weekdays=days,
        start_minute=start * 60,
        end_minute=end * 60,
        crews=tuple(crews),
        turn_days=turn,
        anchor=anchor,
    )


def desk(*shifts, **more):
    return Roster(desk="th/royal-police/desk", leads=(LEAD,), shifts=tuple(shifts), **more)


def by_day_and_night(zone="Asia/Bangkok"):
    return desk(
        shift([Crew(A, (D,))], 6, 14, zone), shift([Crew(B, (E,))], 14, 22, zone), shift([Crew(C)], 22, 6, zone)
    )


def test_who_is_on_duty_is_read_off_the_desks_wall():
    of = by_day_and_night()
    # 05:59 in Bangkok is 22:59 UTC of the day before.
    assert on_duty(of, utc(2026, 3, 1, 22, 59)).officer == C
    duty = on_duty(of, utc(2026, 3, 1, 23, 0))
    assert (duty.officer, duty.order, duty.until_ms) == (A, (A, D, LEAD), utc(2026, 3, 2, 7, 0))
    assert next_handover(of, utc(2026, 3, 2, 0, 0)) == Handover(
        at_ms=utc(2026, 3, 2, 7, 0), outgoing=A, incoming=B, post="home"
    )
    assert check(of, utc(2026, 3, 1), utc(2026, 4, 1)) == []


def test_crews_take_turns_and_a_turn_that_goes_on_is_no_hand_over():
    of = desk(shift([Crew(A), Crew(B)], turn=7))
    assert [on_duty(of, utc(2026, 1, day, 12)).officer for day in (1, 7, 8, 14, 15)] == [A, A, B, B, A]
    found = next_handover(of, utc(2026, 1, 2, 12))
    assert (found.at_ms, found.incoming) == (utc(2026, 1, 7, 17), B)
    assert next_handover(desk(shift([Crew(A)])), utc(2026, 1, 2)) is None


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("Asia/Yangon", 6.5), ("Asia/Tehran", 3.5), ("Asia/Kathmandu", 5.75), ("Asia/Shanghai", 8), ("Asia/Tashkent", 5)],
)
def test_zones_of_halves_and_quarters_are_themselves(zone, offset):
    noon = zones.instant_ms(date(2026, 7, 1), 720, zones.parse_zone(zone))
    assert noon == utc(2026, 7, 1, 12) - int(offset * HOUR)
    of = by_day_and_night(zone)
    assert check(of, utc(2026, 12, 20), utc(2027, 1, 20)) == []
    assert on_duty(of, zones.instant_ms(date(2026, 12, 31), 1439, zones.parse_zone(zone))).officer == C


def test_the_night_is_longer_or_shorter_when_the_clocks_change():
    of = by_day_and_night("Europe/Berlin")
    nights = [item for item in watches(of, utc(2026, 3, 1), utc(2026, 11, 1)) if item.officers[0] == C]
    lengths = [(item.end_ms - item.start_ms) // HOUR for item in nights]
    assert (lengths.count(7), lengths.count(9)) == (1, 1)
    assert set(lengths) == {7, 8, 9}
    assert check(of, utc(2026, 1, 2), utc(2027, 1, 2)) == []


def test_a_time_that_the_change_leaves_out_is_the_instant_of_the_change_and_one_that_comes_twice_its_first():
    berlin = zones.parse_zone("Europe/Berlin")
    change = utc(2026, 3, 29, 1)
    assert [zones.instant_ms(date(2026, 3, 29), minute, berlin) for minute in (120, 150, 179, 180)] == [change] * 4
    assert zones.instant_ms(date(2026, 10, 25), 150, berlin) == utc(2026, 10, 25, 0, 30)
    # Half an hour on Lord Howe; a whole day that Samoa never had.
    howe = zones.parse_zone("Australia/Lord_Howe")
    assert zones.instant_ms(date(2026, 10, 4), 135, howe) == utc(2026, 10, 3, 15, 30)
    apia = zones.parse_zone("Pacific/Apia")
    assert {zones.instant_ms(date(2011, 12, 30), minute, apia) for minute in (0, 720, 1439)} == {utc(2011, 12, 30, 10)}


def test_a_shift_in_the_hour_that_is_left_out_is_not_kept_and_leaves_no_gap():
    zone = "Europe/Berlin"
    of = desk(shift([Crew(A)], 3, 2, zone), shift([Crew(B)], 2, 3, zone))
    assert check(of, utc(2026, 3, 27), utc(2026, 4, 1)) == []
    kept = [item for item in watches(of, utc(2026, 3, 27), utc(2026, 4, 1)) if item.officers[0] == B]
    assert len(kept) == 4


def test_posts_follow_the_sun_and_summer_time_shows_what_winter_hid():
    of = desk(
        shift([Crew(A)], 8, 20, "Asia/Bangkok", "bangkok"),
        shift([Crew(B)], 14, 2, "Europe/Berlin", "berlin"),
    )
    assert check(of, utc(2026, 1, 5), utc(2026, 3, 1)) == []
    duty = on_duty(of, utc(2026, 1, 5, 13))
    assert (duty.officer, duty.post) == (B, "berlin")
    assert next_handover(of, utc(2026, 1, 5, 12)) == Handover(
        at_ms=utc(2026, 1, 5, 13), outgoing=A, incoming=B, post="berlin"
    )
    day = check(of, utc(2026, 6, 1, 1), utc(2026, 6, 2, 1))
    assert day == [
        Overlap(utc(2026, 6, 1, 12), utc(2026, 6, 1, 13), (A, B)),
        Gap(utc(2026, 6, 2, 0), utc(2026, 6, 2, 1)),
    ]
    bangkok, berlin = zones.parse_zone("Asia/Bangkok"), zones.parse_zone("Europe/Berlin")
    assert told(day[0], bangkok, berlin).startswith("o-a and o-b are both on duty from 2026-06-01 19:00 UTC+07:00 here")
    assert told(day[1], bangkok, berlin).startswith(
        "nobody is on duty from 2026-06-02 07:00 UTC+07:00 here, 2026-06-02"
    )
    with pytest.raises(NotFound, match="call the duty lead: o-lead"):
        on_duty(of, utc(2026, 6, 2, 0, 30))
    assert next_handover(of, utc(2026, 6, 1, 20)) is None


def test_a_hand_over_overlaps_for_as_long_as_it_may():
    shifts = (shift([Crew(A)], 6, 19), shift([Crew(B)], 18, 7))
    found = check(desk(*shifts), utc(2026, 5, 1), utc(2026, 5, 2))
    # 06:00 and 18:00 in Bangkok, an hour each.
    assert found == [
        Overlap(utc(2026, 5, 1, 11), utc(2026, 5, 1, 12), (A, B)),
        Overlap(utc(2026, 5, 1, 23), utc(2026, 5, 2), (B, A)),
    ]
    of = desk(*shifts, handover_ms=HOUR)
    assert check(of, utc(2026, 5, 1), utc(2026, 5, 2)) == []
    # 18:30 in Bangkok: whoever goes is still on duty, whoever comes is called next.
    assert on_duty(of, utc(2026, 5, 1, 11, 30)).order == (A, B, LEAD)


def test_a_holiday_is_kept_by_others_and_the_night_before_goes_on():
    of = by_day_and_night()
    day = date(2026, 4, 13)
    of = replace(of, special_days=(SpecialDay("home", day, (shift([Crew(E)], 6, 6),)),))
    zone = zones.parse_zone("Asia/Bangkok")
    seen = [on_duty(of, zones.instant_ms(day, hour * 60, zone)).officer for hour in (5, 6, 14, 23, 29, 30)]
    assert seen == [C, E, E, E, E, A]
    assert check(of, utc(2026, 4, 10), utc(2026, 4, 16)) == []
    closed = replace(of, special_days=(SpecialDay("home", day, ()),))
    assert check(closed, utc(2026, 4, 10), utc(2026, 4, 16)) == [Gap(utc(2026, 4, 12, 23), utc(2026, 4, 13, 23))]


def test_deputies_stand_in_for_who_is_absent_and_a_shift_without_anybody_is_a_gap():
    start, end = utc(2026, 5, 1, 1), utc(2026, 5, 1, 3)
    of = replace(by_day_and_night(), absences=(Absence(A, start, end),))
    assert [on_duty(of, at).officer for at in (start - 1, start, end - 1, end)] == [A, D, D, A]
    assert next_handover(of, start - 1) == Handover(at_ms=start, outgoing=A, incoming=D, post="home")
    nobody = replace(of, absences=(Absence(A, start, end), Absence(D, start + HOUR, end), Absence(LEAD, start, end)))
    assert check(nobody, utc(2026, 5, 1), utc(2026, 5, 2)) == [Gap(start + HOUR, end)]
    # An escalation that calls nobody is none.
    assert called(nobody, start + HOUR, [Step.OFFICER]) == (LEAD,)


def test_escalation_calls_up_the_desk_and_nobody_twice():
    of, now = by_day_and_night(), utc(2026, 3, 1, 23)
    assert called(of, now, []) == ()
    assert called(of, now, [Step.OFFICER]) == (A,)
    assert called(of, now, [Step.OFFICER, Step.DEPUTIES]) == (A, D)
    assert called(of, now, list(Step)) == (A, D, LEAD)
    gap = desk(shift([Crew(A)], 8, 9))
    assert called(gap, now, [Step.OFFICER]) == (LEAD,)
    assert called(gap, now, []) == ()


def test_one_officer_twice_is_no_overlap_and_two_are():
    of = desk(shift([Crew(A)]), shift([Crew(A)], 8, 9), shift([Crew(B)], 10, 11))
    found = check(of, utc(2026, 5, 1, 0), utc(2026, 5, 1, 12))
    assert [item for item in found if isinstance(item, Overlap)] == [
        Overlap(utc(2026, 5, 1, 3), utc(2026, 5, 1, 4), (A, B))
    ]


def test_before_its_first_day_a_roster_keeps_nothing():
    of = by_day_and_night()
    assert check(of, utc(2025, 12, 1), utc(2025, 12, 2)) == [Gap(utc(2025, 12, 1), utc(2025, 12, 2))]


@pytest.mark.parametrize(
    "make",
    [
        lambda: shift([]),
        lambda: shift([Crew(A)] * 65),
        lambda: shift([Crew(A)], zone="Asia/Nowhere"),
        lambda: shift([Crew(A)], zone="../etc/passwd"),
        lambda: shift([Crew(A)], zone="Ａsia/Bangkok"),
        lambda: shift([Crew(A)], zone="x" * 65),
        lambda: shift([Crew(A)], zone=""),
        lambda: shift([Crew(A)], start=24),
        lambda: shift([Crew(A)], end=-1),
        lambda: shift([Crew(A)], days=frozenset()),
        lambda: shift([Crew(A)], days=frozenset({0})),
        lambda: shift([Crew(A)], turn=0),
        lambda: shift([Crew(A)], turn=367),
        lambda: shift([Crew(A)], anchor=date(1, 1, 1)),
        lambda: shift([Crew(A)], anchor=date.max),
        lambda: Crew(A, (A,)),
        lambda: Crew(A, (B, B)),
        lambda: Crew(A, tuple(OfficerId(f"o-{number}") for number in range(9))),
        lambda: Absence(A, 5, 5),
        desk,
        lambda: desk(*[shift([Crew(A)])] * 65),
        lambda: desk(shift([Crew(A)]), handover_ms=-1),
        lambda: desk(shift([Crew(A)]), handover_ms=3 * HOUR),
        lambda: replace(desk(shift([Crew(A)])), leads=()),
        lambda: desk(shift([Crew(A)]), absences=(Absence(A, 1, 2),) * 1025),
        lambda: desk(shift([Crew(A)]), special_days=(SpecialDay("home", date(2026, 1, 1), ()),) * 2),
        lambda: SpecialDay("home", date(2026, 1, 1), (shift([Crew(A)], post="away"),)),
        lambda: SpecialDay("home", date.min, ()),
        lambda: OfficerId.parse("O-1"),
        lambda: OfficerId.parse(""),
        lambda: OfficerId.parse("o-1\n"),
        lambda: OfficerId.parse("o" * 65),
        lambda: OfficerId.parse("สมชาย"),
    ],
)
def test_what_is_no_roster_is_refused_with_the_field_named(make):
    with pytest.raises(FieldInvalid) as caught:
        make()
    assert caught.value.field


@pytest.mark.parametrize(
    "span",
    [(5, 5), (6, 5), (0, 10), (-(10**18), 10**18), (10**17, 10**17 + 1), (utc(2026, 1, 1), utc(2027, 3, 1))],
)
def test_nobody_looks_further_than_a_year_or_out_of_time(span):
    for look in (check, watches):
        with pytest.raises(FieldInvalid):
            look(by_day_and_night(), *span)


def test_an_instant_is_shown_on_both_walls_and_in_utc():
    yangon, berlin = zones.parse_zone("Asia/Yangon"), zones.parse_zone("Europe/Berlin")
    assert zones.show(utc(2026, 12, 31, 20, 5), yangon, berlin) == (
        "2027-01-01 02:35 UTC+06:30 here, 2026-12-31 21:05 UTC+01:00 there, 2026-12-31 20:05Z"
    )
    newfoundland = zones.parse_zone("America/St_Johns")
    assert "UTC-03:30 here" in zones.show(utc(2026, 1, 1), newfoundland, yangon)
