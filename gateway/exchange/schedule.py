"""Schedule: when a link is tried, and what it is doing."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final


class LinkState(StrEnum):
    """What a link is doing, in the words of the console."""

    IDLE = "idle"
    CONNECTED = "connected"
    BACKING_OFF = "backing_off"
    FROZEN = "frozen"
    LEASED_ELSEWHERE = "leased_elsewhere"


BACKOFF_MIN_MS: Final = 500
BACKOFF_MAX_MS: Final = 60_000
PAUSE_MS: Final = 250
"""Nothing makes a link be tried sooner after it failed: who calls us and refuses our calls must not drive us."""
PROBE_MS: Final = 1_000
"""DESIGN 3.6: while U0 or U1 waits the link is probed every second."""


class LinkSchedule:
    """When to connect to one partner: exponential back-off with full jitter, cut short by urgency and by signs of life.

    Args:
        random: Returns a number in [0, 1).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.failures = 0
        self.reason = ""
        self.next_ms = 0
        self._failed_ms: int | None = None

    def failed(self, now_ms: int, reason: str, *, urgent: bool) -> None:
        """Note a failed attempt or a broken link."""
        self.failures += 1
        self._failed_ms = now_ms
        self.reason = reason
        ceiling = min(BACKOFF_MAX_MS, BACKOFF_MIN_MS << min(self.failures, 16))
        # Full jitter keeps a hundred gateways from knocking together when a partner comes back; at least half of the
        # ceiling, so that an unlucky draw does not hammer.
        delay = ceiling // 2 + int(self._random() * ceiling / 2)
        self.next_ms = now_ms + (min(delay, PROBE_MS) if urgent else delay)

    def hurry(self, now_ms: int) -> None:
        """Something urgent came to wait."""
        self.next_ms = min(self.next_ms, now_ms + PROBE_MS)

    def heard(self, now_ms: int) -> None:
        """The partner called us or answered: the breaker closes, but for a short pause."""
        self.failures = 0
        self.reason = ""
        earliest_ms = now_ms if self._failed_ms is None else max(now_ms, self._failed_ms + PAUSE_MS)
        self.next_ms = min(self.next_ms, earliest_ms)

    def wait_ms(self, now_ms: int) -> int:
        """Return how long to wait before the next attempt.

        No wait is longer than BACKOFF_MAX_MS: if one seems to be, the clock was set back, and it is over.
        """
        wait_ms = self.next_ms - now_ms
        return wait_ms if 0 < wait_ms <= BACKOFF_MAX_MS else 0
