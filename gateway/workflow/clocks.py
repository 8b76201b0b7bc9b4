"""Running clocks: by when what is due, which clocks stand still, and what follows when nothing happens.

Clocks run in UTC and know no office hours. Overdue and escalated are read off them and never stored; that a time was
missed is evidence, told to the other side. Three clocks stand still, while the side that asked owes an answer
(information, clarification, a reply to a consultation, accepted conditions): decision, plan and answer; the answer's
also while a measure is postponed. Never at U0, where life is at risk and asking stops nothing. Receipt,
acknowledgement, news, the answer to a question, and preservation run on whatever happens.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from gateway.errors import FieldInvalid, StateConflict
from gateway.model.header import Urgency

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
MAX_TARGET_MS: Final = 366 * DAY_MS

SILENCE_MS: Final = 14 * DAY_MS
"""A resolved referral whose sender says nothing is closed after this long (domain notes 1.4)."""


class Rung(StrEnum):
    """What a clock runs for."""

    RECEIPT = "receipt"
    """The partner's gateway has it."""
    ACKNOWLEDGEMENT = "acknowledgement"
    """An officer of the partner has seen it."""
    DECISION = "decision"
    """Decision or first action."""
    NEWS = "news"
    """The next word on how it stands; starts again with each."""
    INFORMATION = "information"
    """The side that asked for help answers a question."""
    PLAN = "plan"
    """Of a request: how and when it will be carried out."""
    ANSWER = "answer"
    """Of a request: the answer, or why there is none."""
    CONFIRMATION = "confirmation"
    """Of a recall: the receiver's word."""


TARGETS: Final[Mapping[Rung, tuple[int, int, int, int]]] = {
    # U0 to U3. Domain notes 1.6; anchors: EU Directive 2023/977 (8 h, 3 days, 7 days), EU Regulation 2023/1543 (8 h,
    # 10 days), Second Protocol to the Budapest Convention, Article 8 (45 days).
    Rung.RECEIPT: (2 * MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS),
    Rung.ACKNOWLEDGEMENT: (15 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS, DAY_MS),
    Rung.DECISION: (HOUR_MS, 8 * HOUR_MS, 3 * DAY_MS, 7 * DAY_MS),
    Rung.NEWS: (2 * HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS),
    # Who asks may expect of the other what the other may expect of it.
    Rung.INFORMATION: (HOUR_MS, 8 * HOUR_MS, 3 * DAY_MS, 7 * DAY_MS),
    Rung.PLAN: (8 * HOUR_MS, DAY_MS, 10 * DAY_MS, 10 * DAY_MS),
    Rung.ANSWER: (DAY_MS, 10 * DAY_MS, 45 * DAY_MS, 45 * DAY_MS),
    # Data that should not be there are never routine for long.
    Rung.CONFIRMATION: (DAY_MS, 3 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS),
}


class Pause(StrEnum):
    """Why a clock may stand still."""

    QUESTION = "question"
    """The side that asked owes an answer."""
    POSTPONED = "postponed"


STOPPED_BY: Final[Mapping[Rung, frozenset[Pause]]] = {
    Rung.DECISION: frozenset({Pause.QUESTION}),
    Rung.PLAN: frozenset({Pause.QUESTION}),
    Rung.ANSWER: frozenset({Pause.QUESTION, Pause.POSTPONED}),
}
"""What each clock stands still for; what is not listed never does."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A time during which something was awaited."""

    pause: Pause
    start_ms: int
    end_ms: int | None
    """None: it goes on."""

    def __post_init__(self) -> None:
        if self.end_ms is not None and self.end_ms < self.start_ms:
            raise FieldInvalid("stop.end_ms", "must not be before its start")


@dataclass(frozen=True, slots=True)
class Running:
    """A clock that runs towards an instant."""

    due_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A clock that stands still, and how much of its time is left."""

    left_ms: int


@dataclass(frozen=True, slots=True)
class Targets:
    """How long each rung may take, by urgency. Only `targets` makes one from an agreement."""

    by_rung: Mapping[Rung, tuple[int, int, int, int]]

    def ms(self, rung: Rung, urgency: Urgency) -> int:
        """Return how long a rung may take."""
        return self.by_rung[rung][urgency - Urgency.U0]


DEFAULT: Final = Targets(TARGETS)


def targets(overrides: Mapping[tuple[Rung, Urgency], int]) -> Targets:
    """Return the targets of an agreement: the ordinary ones but for what it sets.

    Raises:
        FieldInvalid: A time is not between a minute and a year, or the more urgent would have longer.
    """
    by_rung = {}
    for rung, ordinary in TARGETS.items():
        row = [overrides.get((rung, urgency), ordinary[urgency - Urgency.U0]) for urgency in Urgency]
        if not all(MINUTE_MS <= item <= MAX_TARGET_MS for item in row):
            raise FieldInvalid(f"clocks.{rung}", "must be one minute to 366 days")
        if any(more > less for more, less in pairwise(row)):
            raise FieldInvalid(f"clocks.{rung}", "must not be longer for the more urgent: U0 <= U1 <= U2 <= U3")
        by_rung[rung] = (row[0], row[1], row[2], row[3])
    return Targets(by_rung)


def clock(of: Targets, rung: Rung, urgency: Urgency, start_ms: int, stops: Sequence[Stop] = ()) -> Running | Standing:
    """Return where a clock stands that started at an instant.

    Args:
        of: The agreement's targets.
        rung: What the clock runs for.
        urgency: Of the thread.
        start_ms: When it started: sent for a receipt, received for what officers do, the last word for news.
        stops: When something was awaited; what does not stop this clock is passed over.
    """
    due_ms = start_ms + of.ms(rung, urgency)
    for begin, end in _merged(rung, urgency, start_ms, stops):
        if begin >= due_ms:
            break
        if end is None:
            return Standing(due_ms - begin)
        due_ms += end - begin
    return Running(due_ms)


def hasten(old: Running | Standing, target_ms: int, urgency: Urgency, at_ms: int) -> Running | Standing:
    """Return a clock after its case has become more urgent: the new time from now, and never more than it had.

    One that becomes less urgent has the new time from its start: ask `clock` again.
    """
    if isinstance(old, Running):
        return Running(min(old.due_ms, at_ms + target_ms))
    left_ms = min(old.left_ms, target_ms)
    return Running(at_ms + left_ms) if urgency is Urgency.U0 else Standing(left_ms)


def check_urgency(old: Urgency, new: Urgency, *, by_sender: bool) -> None:
    """Check that a side may change the urgency.

    Raises:
        StateConflict: Only the side that asked makes its case less urgent.
    """
    if new > old and not by_sender:
        raise StateConflict(
            f"the side that was asked cannot lower {old.name} to {new.name}: possible is to dispute it with a reason"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """Evidence that a time was missed. Equal however often it is worked out, so that it is stored and told once."""

    rung: Rung
    urgency: Urgency
    start_ms: int
    due_ms: int


def timed_out(
    rung: Rung, urgency: Urgency, start_ms: int, *, state: Running | Standing, met_ms: int | None, now_ms: int
) -> TimedOut | None:
    """Return the evidence that a time was missed; None: it was not, or not yet.

    What was done late (`met_ms`) was missed as well; what was done at the very instant was not.
    """
    if not isinstance(state, Running):
        return None
    late = now_ms >= state.due_ms if met_ms is None else met_ms > state.due_ms
    return TimedOut(rung=rung, urgency=urgency, start_ms=start_ms, due_ms=state.due_ms) if late else None


class Step(StrEnum):
    """Who is called as time runs out, each in addition to those before."""

    OFFICER = "officer on duty"
    DEPUTIES = "deputies"
    LEAD = "duty lead"
    CALL_CARD = "call card: names and telephone numbers of both desks, to be called by voice"


ESCALATION: Final = ((Step.OFFICER, -4), (Step.DEPUTIES, 0), (Step.LEAD, 4), (Step.CALL_CARD, 2))
"""Steps, and when: a part of the target before (-) or after the due instant. -4: a quarter before; 0: at it."""


def step_ms(target_ms: int, due_ms: int, part: int) -> int:
    """Return the instant of a step of `ESCALATION`."""
    return due_ms if part == 0 else due_ms + target_ms // part


def escalation(target_ms: int, due_ms: int, now_ms: int) -> tuple[Step, ...]:
    """Return the steps that are reached, first to last. Empty: there is time."""
    return tuple(step for step, part in ESCALATION if now_ms >= step_ms(target_ms, due_ms, part))


def next_step_ms(target_ms: int, due_ms: int, now_ms: int) -> int | None:
    """Return when the next step is reached; None: all are."""
    ahead = [step_ms(target_ms, due_ms, part) for _, part in ESCALATION]
    return min((instant for instant in ahead if instant > now_ms), default=None)


def soonest(clocks: Iterable[Running | Standing]) -> int | None:
    """Return the first instant at which something is due; None: nothing runs."""
    return min((item.due_ms for item in clocks if isinstance(item, Running)), default=None)


def silence_due_ms(resolve_ms: int) -> int:
    """Return when a resolved referral is closed if its sender says nothing."""
    return resolve_ms + SILENCE_MS


def _merged(rung: Rung, urgency: Urgency, start_ms: int, stops: Sequence[Stop]) -> list[tuple[int, int | None]]:
    """Return the times during which a clock stood still, apart from one another and in order."""
    if urgency is Urgency.U0:
        return []
    counted = [stop for stop in stops if stop.pause in STOPPED_BY.get(rung, ())]
    merged: list[tuple[int, int | None]] = []
    for stop in sorted(counted, key=lambda item: item.start_ms):
        begin = max(stop.start_ms, start_ms)
        if stop.end_ms is not None and stop.end_ms <= begin:
            continue
        if not merged:
            merged.append((begin, stop.end_ms))
            continue
        last_begin, last_end = merged[-1]
        if last_end is None:
            break
        if begin > last_end:
            merged.append((begin, stop.end_ms))
        else:
            merged[-1] = (last_begin, None if stop.end_ms is None else max(last_end, stop.end_ms))
    return merged
