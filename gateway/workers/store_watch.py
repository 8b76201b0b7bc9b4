"""Tries again and again whether the store takes writes, so that what health says is so."""

import asyncio
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.ids import PartnerId
from gateway.ports import NoteSuccess, Store

log = structlog.get_logger(__name__)

EVERY_S: Final = 5.0
WHILE_DOWN_S: Final = 1.0
PATIENCE_S: Final = 10.0
"""A write that takes longer is as good as none: callers' deadlines are over."""


class StoreWatch:
    """Whether the store takes writes."""

    def __init__(self, store: Store, own: PartnerId, clock: Clock) -> None:
        self._store = store
        self._own = own
        self._clock = clock
        self._changed = asyncio.Event()
        self.available = True
        """Opening it was a write that worked."""

    async def changed(self) -> None:
        """Wait until it is not as it was."""
        await self._changed.wait()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S if self.available else WHILE_DOWN_S)
            self._note(await self._write())

    async def _write(self) -> str:
        """Write a row of our own; return why that fails, empty when it does not."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._store.write(NoteSuccess(partner=self._own, now_ms=self._clock.now_ms()))
        except GatewayError as error:
            return error.reason
        except TimeoutError:
            return "TIMEOUT"
        return ""

    def _note(self, reason: str) -> None:
        available = not reason
        if available is self.available:
            return
        self.available = available
        if available:
            log.info("store.available")
        else:
            log.error("store.unavailable", reason=reason)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
