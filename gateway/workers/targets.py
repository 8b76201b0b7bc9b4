"""Counts messages that nobody has acknowledged when the time for it is over: each once, at that moment.

A message passes its target at an instant that is known beforehand, so those that have just passed it are found by when
they were made, and neither timers nor an index of what is unacknowledged is needed.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.errors import Busy, StoreCorrupt
from gateway.ids import PartnerId
from gateway.model.header import Urgency
from gateway.ports import CountUnacknowledged, Store
from gateway.telemetry import catalogue
from gateway.telemetry.meters import Meters

log = structlog.get_logger(__name__)

EVERY_S: Final = 15.0
PATIENCE_S: Final = 5.0
MAX_SPAN_MS: Final = 3_600_000
"""Looked through at a time: a store that was away for long is not asked for all of it at once."""


class TargetWatch:
    """Looks every few seconds at what has passed its target since the last look."""

    def __init__(self, *, meters: Meters, store: Store, clock: Clock) -> None:
        self._meters = meters
        self._store = store
        self._clock = clock
        self._seen_ms = clock.now_ms()

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Count what has passed its target since the last look. What cannot be read now is counted next time."""
        # A clock that was set back counts nothing twice.
        until_ms = min(self._clock.now_ms(), self._seen_ms + MAX_SPAN_MS)
        if until_ms <= self._seen_ms:
            return
        found: list[tuple[Urgency, str, Mapping[PartnerId, int]]] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                for urgency in Urgency:
                    target_ms = catalogue.ACKNOWLEDGE_TARGET_S[urgency] * 1000
                    late = await self._store.read(
                        CountUnacknowledged(
                            urgency=urgency, after_ms=self._seen_ms - target_ms, until_ms=until_ms - target_ms
                        )
                    )
                    found += [(urgency, "sent", late.sent), (urgency, "received", late.received)]
        except (Busy, StoreCorrupt, TimeoutError) as error:
            log.warning("worker.waiting", worker="targets", reason=getattr(error, "reason", "TIMEOUT"))
            return
        self._seen_ms = until_ms
        for urgency, direction, counts in found:
            for partner, count in counts.items():
                self._meters.add(catalogue.UNACKNOWLEDGED, count, partner.code, urgency.name, direction)
