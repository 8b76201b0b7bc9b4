"""Duty rosters: who answers at a desk at any instant, who comes next, and whom to call when nobody does.

Shifts are kept as they hang on the wall: weekdays and times in the zone of the post that keeps them. A desk may be
kept by several posts that follow the sun. Nothing here knows office hours: an instant at which nobody is on duty is a
gap, and `check` tells it. Officers are pseudonyms; telephone numbers are kept elsewhere.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gateway.errors import FieldInvalid, NotFound
from gateway.ids import OfficerId
from gateway.workflow.clocks import Step
from gateway.workflow.zones import DAY_MINUTES, EPOCH_DAY, LAST_DAY, instant_ms, local_day, parse_zone, show

MAX_SHIFTS: Final = 64
MAX_CREWS: Final = 64
MAX_DEPUTIES: Final = 8
MAX_SPECIAL_DAYS: Final = 400
MAX_ABSENCES: Final = 1024
MAX_SPAN_MS: Final = 400 * 86_400_000
"""How far one look at a roster may reach: a year and its ends."""
HORIZON_MS: Final = 35 * 86_400_000
"""How far the next hand-over is looked for."""
MAX_HANDOVER_MS: Final = 2 * 3_600_000


@dataclass(frozen=True, slots=True)
class Crew:
    """Who keeps one shift: an officer, and deputies in the order in which they stand in."""

    officer: OfficerId
    deputies: tuple[OfficerId, ...] = ()

    def __post_init__(self) -> None:
        if len(self.deputies) > MAX_DEPUTIES or len({self.officer, *self.deputies}) != 1 + len(self.deputies):
            raise FieldInvalid("crew.deputies", f"must be at most {MAX_DEPUTIES} others, each once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A shift that comes again: weekdays and times on the wall of its post, and the crews that take turns."""

    post: str
    zone: str
    """IANA."""
    weekdays: frozenset[int]
    """ISO: 1 is Monday. On which the shift begins."""
    start_minute: int
    """Since midnight on the wall."""
    end_minute: int
    """Not after start_minute: on the next day. Equal: round the clock."""
    crews: tuple[Crew, ...]
    turn_days: int
    """Days after which the next crew takes its turn."""
    anchor: date
    """The first day of the first crew's first turn. The shift does not exist before."""

    def __post_init__(self) -> None:
        parse_zone(self.zone, "shift.zone")
        if not self.weekdays or not self.weekdays <= frozenset(range(1, 8)):
            raise FieldInvalid("shift.weekdays", "must be of 1 (Monday) to 7")
        if not (0 <= self.start_minute < DAY_MINUTES and 0 <= self.end_minute < DAY_MINUTES):
            raise FieldInvalid("shift.start_minute", f"times must be 0 to {DAY_MINUTES - 1} minutes after midnight")
        if not 1 <= len(self.crews) <= MAX_CREWS:
            raise FieldInvalid("shift.crews", f"must be 1 to {MAX_CREWS}")
        if not 1 <= self.turn_days <= 366:
            raise FieldInvalid("shift.turn_days", "must be 1 to 366")
        _check_day(self.anchor, "shift.anchor")

    def crew_on(self, day: date) -> Crew | None:
        """Return who keeps the shift that begins on a day; None: there is none."""
        days = (day - self.anchor).days
        if days < 0 or day.isoweekday() not in self.weekdays:
            return None
        return self.crews[days // self.turn_days % len(self.crews)]


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day on which a post keeps other shifts than usual: a holiday. They begin on it, whatever their weekdays."""

    post: str
    day: date
    shifts: tuple[Shift, ...]

    def __post_init__(self) -> None:
        _check_day(self.day, "special_day.day")
        if len(self.shifts) > MAX_SHIFTS or any(shift.post != self.post for shift in self.shifts):
            raise FieldInvalid("special_day.shifts", f"must be at most {MAX_SHIFTS}, of the same post")


@dataclass(frozen=True, slots=True)
class Absence:
    """An officer is away from one instant to another: deputies stand in."""

    officer: OfficerId
    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if self.start_ms >= self.end_ms:
            raise FieldInvalid("absence.end_ms", "must be after its start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """How one desk is kept."""

    desk: str
    leads: tuple[OfficerId, ...]
    """Duty leads, called when those on duty do not answer; first to last."""
    shifts: tuple[Shift, ...]
    special_days: tuple[SpecialDay, ...] = ()
    absences: tuple[Absence, ...] = ()
    handover_ms: int = 0
    """For how long two watches may overlap so that one can tell the other."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.leads) <= MAX_DEPUTIES:
            raise FieldInvalid("roster.leads", f"must be 1 to {MAX_DEPUTIES}")
        if not 1 <= len(self.shifts) <= MAX_SHIFTS:
            raise FieldInvalid("roster.shifts", f"must be 1 to {MAX_SHIFTS}")
        if len(self.special_days) > MAX_SPECIAL_DAYS:
            raise FieldInvalid("roster.special_days", f"must be at most {MAX_SPECIAL_DAYS}")
        if len({(item.post, item.day) for item in self.special_days}) != len(self.special_days):
            raise FieldInvalid("roster.special_days", "must be one for a post and day")
        if len(self.absences) > MAX_ABSENCES:
            raise FieldInvalid("roster.absences", f"must be at most {MAX_ABSENCES}")
        if not 0 <= self.handover_ms <= MAX_HANDOVER_MS:
            raise FieldInvalid("roster.handover_ms", "must be at most 2 hours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A stretch of time kept by the same people."""

    post: str
    start_ms: int
    end_ms: int
    officers: tuple[OfficerId, ...]
    """Who is there: the one on duty first, deputies after. Empty: all are absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDuty:
    """Who is on duty at an instant. Without a roster, whoever has the role of duty lead."""

    desk: str
    at_ms: int
    officer: OfficerId
    post: str
    until_ms: int
    """When this watch ends."""
    order: tuple[OfficerId, ...]
    """Whom to call, first to last: the officer, deputies, others on duty, duty leads. Nobody twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One officer hands the desk to another."""

    at_ms: int
    outgoing: OfficerId
    incoming: OfficerId
    post: str
    """Of the one who comes."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Nobody is on duty."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two officers are on duty for longer than a hand-over takes: each may think that the other acts."""

    start_ms: int
    end_ms: int
    officers: tuple[OfficerId, OfficerId]


def watches(roster: Roster, start_ms: int, end_ms: int) -> list[Watch]:
    """Return the watches that lie at least partly in a span of time, in the order in which they begin.

    Raises:
        FieldInvalid: The span is empty, too long or outside of what a roster may cover.
    """
    _check_span(start_ms, end_ms)
    special = {(item.post, item.day): item.shifts for item in roster.special_days}
    found: list[Watch] = []
    for shift in roster.shifts:
        for day in _days(shift, start_ms, end_ms):
            if (shift.post, day) not in special and (crew := shift.crew_on(day)):
                found += _kept(roster, shift, day, crew)
    for item in roster.special_days:
        for shift in item.shifts:
            if item.day in _days(shift, start_ms, end_ms):
                turn = (item.day - shift.anchor).days // shift.turn_days % len(shift.crews)
                found += _kept(roster, shift, item.day, shift.crews[turn])
    inside = [watch for watch in found if watch.start_ms < end_ms and watch.end_ms > start_ms]
    return sorted(inside, key=lambda watch: (watch.start_ms, watch.end_ms, watch.post, watch.officers))


def on_duty(roster: Roster, now_ms: int) -> OnDuty:
    """Return who is on duty.

    During a hand-over it is still the one who goes.

    Raises:
        NotFound: Nobody: the roster has a gap. The text names who leads.
    """
    now = [watch for watch in watches(roster, now_ms, now_ms + 1) if watch.officers]
    if not now:
        raise NotFound(f"nobody is on duty at {roster.desk}; call the duty lead: {roster.leads[0]}")
    watch = now[0]
    everybody = [officer for item in now for officer in item.officers]
    return OnDuty(
        desk=roster.desk,
        at_ms=now_ms,
        officer=watch.officers[0],
        post=watch.post,
        until_ms=watch.end_ms,
        order=tuple(dict.fromkeys([*watch.officers, *everybody, *_present(roster, roster.leads, now_ms)])),
    )


def called(roster: Roster, now_ms: int, steps: Sequence[Step]) -> tuple[OfficerId, ...]:
    """Return whom to call when these steps of escalation are reached, nobody twice.

    Where the roster has a gap the first step already reaches the duty lead: an escalation that calls nobody is none.
    """
    leads = _present(roster, roster.leads, now_ms) or roster.leads
    try:
        order = on_duty(roster, now_ms).order
    except NotFound:
        return leads if steps else ()
    people = {
        Step.OFFICER: order[:1],
        Step.DEPUTIES: tuple(officer for officer in order[1:] if officer not in leads),
        Step.LEAD: leads,
        Step.CALL_CARD: leads,
    }
    return tuple(dict.fromkeys(officer for step in steps for officer in people[step]))


def next_handover(roster: Roster, now_ms: int) -> Handover | None:
    """Return when another officer takes over; None: not within `HORIZON_MS`, or only after a gap."""
    at_ms = now_ms
    officer = on_duty(roster, now_ms).officer
    while at_ms < now_ms + HORIZON_MS:
        at_ms = on_duty(roster, at_ms).until_ms
        try:
            after = on_duty(roster, at_ms)
        except NotFound:
            return None
        if after.officer != officer:
            return Handover(at_ms=at_ms, outgoing=officer, incoming=after.officer, post=after.post)
    return None


def check(roster: Roster, start_ms: int, end_ms: int) -> list[Gap | Overlap]:
    """Return the gaps and overlaps of a roster in a span of time, in the order in which they begin.

    Raises:
        FieldInvalid: The span is empty, too long or outside of what a roster may cover.
    """
    kept = [watch for watch in watches(roster, start_ms, end_ms) if watch.officers]
    found: list[Gap | Overlap] = []
    covered = start_ms
    for watch in kept:
        if watch.start_ms > covered:
            found.append(Gap(covered, watch.start_ms))
        covered = max(covered, watch.end_ms)
    if covered < end_ms:
        found.append(Gap(covered, end_ms))
    running: list[Watch] = []
    for watch in kept:
        running = [item for item in running if item.end_ms > watch.start_ms]
        for item in running:
            start, end = max(watch.start_ms, start_ms), min(item.end_ms, watch.end_ms, end_ms)
            if end - start > roster.handover_ms and item.officers[0] != watch.officers[0]:
                found.append(Overlap(start, end, (item.officers[0], watch.officers[0])))
        running.append(watch)
    return sorted(found, key=lambda item: (item.start_ms, item.end_ms))


def told(found: Gap | Overlap, ours: ZoneInfo, theirs: ZoneInfo) -> str:
    """Return a gap or an overlap as the desk that keeps the roster reads it."""
    start, end = (show(instant, ours, theirs) for instant in (found.start_ms, found.end_ms))
    if isinstance(found, Gap):
        return f"nobody is on duty from {start} to {end}: add a shift or a deputy"
    one, two = found.officers
    return f"{one} and {two} are both on duty from {start} to {end}: shorten one shift, or allow for a hand-over"


def _kept(roster: Roster, shift: Shift, day: date, crew: Crew) -> Iterator[Watch]:
    """Yield one shift as watches, cut where somebody of its crew goes absent or comes back."""
    zone = parse_zone(shift.zone)
    end_minute = shift.end_minute if shift.end_minute > shift.start_minute else shift.end_minute + DAY_MINUTES
    start_ms, end_ms = (instant_ms(day, minute, zone) for minute in (shift.start_minute, end_minute))
    people = (crew.officer, *crew.deputies)
    edges = {
        edge
        for item in roster.absences
        if item.officer in people
        for edge in (item.start_ms, item.end_ms)
        if start_ms < edge < end_ms
    }
    # A shift that a change of the clocks leaves out has no length.
    cuts = [start_ms, *sorted(edges), end_ms] if start_ms < end_ms else []
    for start, end in itertools.pairwise(cuts):
        yield Watch(post=shift.post, start_ms=start, end_ms=end, officers=_present(roster, people, start))


def _present(roster: Roster, people: tuple[OfficerId, ...], at_ms: int) -> tuple[OfficerId, ...]:
    away = {item.officer for item in roster.absences if item.start_ms <= at_ms < item.end_ms}
    return tuple(officer for officer in people if officer not in away)


def _days(shift: Shift, start_ms: int, end_ms: int) -> list[date]:
    """Return the days on which a shift may begin that touches a span of time."""
    zone = parse_zone(shift.zone)
    # A shift lasts at most a day and a change of the clocks.
    first = local_day(start_ms, zone) - timedelta(days=2)
    last = local_day(end_ms, zone)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _check_day(day: date, field: str) -> None:
    if not EPOCH_DAY < day < LAST_DAY:
        raise FieldInvalid(field, f"must be between {EPOCH_DAY} and {LAST_DAY}")


def _check_span(start_ms: int, end_ms: int) -> None:
    last_ms = instant_ms(LAST_DAY, 0, parse_zone("UTC"))
    # Three days on either side leave room for zones and shifts.
    if not 3 * 86_400_000 <= start_ms < end_ms <= last_ms:
        raise FieldInvalid("span", f"must begin before it ends, between {EPOCH_DAY} and {LAST_DAY}")
    if end_ms - start_ms > MAX_SPAN_MS:
        raise FieldInvalid("span", "must be at most 400 days")
