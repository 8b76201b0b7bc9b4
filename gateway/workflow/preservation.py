"""How long data are preserved, by when that has to be prolonged, and when it is over.

The instant at which a preservation ends is part of what the holder promises; nothing stops it. Periods are 60 to 90
days unless an agreement says otherwise: not less than 60 (Budapest Convention, Article 29(7)), up to 90 at a time
(Article 16(2)).
"""

from dataclasses import dataclass
from typing import Final

from gateway.errors import FieldInvalid, StateConflict
from gateway.workflow.clocks import DAY_MS

DEFAULT_DAYS: Final = 90
EXTENSION_DAYS: Final = 30
"""EU Regulation 2023/1543, Article 11: 60 days and 30 more."""
MAX_TOTAL_DAYS: Final = 730
"""Data held for two years without a request for them are held for nothing."""
REMINDERS_DAYS: Final = (14, 3, 1)
"""Days before the end at which the desk that asked is reminded."""


@dataclass(frozen=True, slots=True)
class Period:
    """What an agreement says about the length of a preservation and of each extension, in days."""

    min_days: int = 60
    max_days: int = 90

    def __post_init__(self) -> None:
        if not 1 <= self.min_days <= self.max_days <= 366:
            raise FieldInvalid("preservation", "must be 1 to 366 days, the shortest not above the longest")


ORDINARY: Final = Period()


def until_ms(start_ms: int, days: int, period: Period = ORDINARY) -> int:
    """Return when a preservation ends.

    Raises:
        FieldInvalid: Shorter or longer than the agreement has it.
    """
    if not period.min_days <= days <= period.max_days:
        raise FieldInvalid("preservation.days", f"must be {period.min_days} to {period.max_days}")
    return start_ms + days * DAY_MS


def extended_ms(start_ms: int, end_ms: int, days: int, now_ms: int, period: Period = ORDINARY) -> int:
    """Return when a preservation ends after it is prolonged, counted from its end so that no day is lost.

    Raises:
        StateConflict: It is over.
        FieldInvalid: Longer than the agreement has it, or than anything is held.
    """
    if now_ms >= end_ms:
        raise StateConflict("cannot extend a preservation that is over: possible is a new request")
    if not 1 <= days <= period.max_days:
        raise FieldInvalid("preservation.days", f"must be 1 to {period.max_days}")
    after_ms = end_ms + days * DAY_MS
    if after_ms - start_ms > MAX_TOTAL_DAYS * DAY_MS:
        raise FieldInvalid("preservation.days", f"must end at most {MAX_TOTAL_DAYS} days after it began")
    return after_ms


def is_over(end_ms: int, now_ms: int) -> bool:
    """Return whether a preservation has lapsed."""
    return now_ms >= end_ms


def reminders(end_ms: int, now_ms: int) -> tuple[int, ...]:
    """Return the reminders, in days before the end, that have fallen due; empty once it is over."""
    if is_over(end_ms, now_ms):
        return ()
    return tuple(days for days in REMINDERS_DAYS if now_ms >= end_ms - days * DAY_MS)
