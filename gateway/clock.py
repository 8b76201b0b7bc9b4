"""The only place that reads the time.

Everything else is handed an instant, so that tests and simulations decide what time it is. Instants inside
the gateway are integers: milliseconds since 1970-01-01T00:00:00Z (`..._ms`). They cost nothing to compare and store.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Says what time it is."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970, UTC."""
        ...


class SystemClock:
    """The machine's clock, shifted by a fixed offset that tests use to set processes apart."""

    def __init__(self, offset_ms: int = 0, read: Callable[[], float] = time.time) -> None:
        self._offset_ms = offset_ms
        self._read = read

    def now_ms(self) -> int:
        """Return milliseconds since 1970, UTC."""
        return int(self._read() * 1000) + self._offset_ms


def to_datetime(instant_ms: int) -> datetime:
    """Return the instant as a datetime in UTC, exact to the millisecond."""
    return EPOCH + timedelta(milliseconds=instant_ms)


def to_ms(instant: datetime) -> int:
    """Return milliseconds since 1970 of an aware datetime.

    Raises:
        ValueError: The datetime is naive.
    """
    if instant.tzinfo is None:
        raise ValueError("a naive datetime names no instant")
    delta = instant - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def format_utc(instant_ms: int) -> str:
    """Return the instant as people read it: 2026-11-23 10:02:07Z."""
    return to_datetime(instant_ms).strftime("%Y-%m-%d %H:%M:%SZ")
