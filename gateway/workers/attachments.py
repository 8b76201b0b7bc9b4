"""Fetches files of received messages beside the links, a few at a time, and tidies up behind them."""

import asyncio
from typing import Final

import structlog

from gateway.errors import Busy, GatewayError
from gateway.exchange.fetch_attachment import FetchService
from gateway.ids import PartnerId
from gateway.model.header import Urgency
from gateway.ports import Store, WaitingEnvelopes
from gateway.workers.signals import Signal, StoreSignal

log = structlog.get_logger(__name__)

FETCHERS: Final = 4
"""Files fetched at a time, each of another partner: each holds a chunk of at most 4 MiB in memory."""
POLL_S: Final = 1.0
TIDY_S: Final = 60.0
BUSY_S: Final = 1.0
URGENT_POLL_S: Final = 0.1
URGENT_LONGEST_S: Final = 10.0
"""So long files wait at a time for U0 and U1. Behind a partner that takes no messages at all, its fetches creep on."""
URGENT_LOOK_S: Final = 0.2
"""How old a look at the queue may be: longer than a piece takes on a fast line, shorter than anybody notices."""


class UrgentFirst:
    """Lets files wait while messages of U0 or U1 wait for the same partner."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked_s: dict[PartnerId, float] = {}

    async def wait(self, partner: PartnerId) -> None:
        """Return when nothing urgent waits, or it has been waited for long enough."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if began_s - self._looked_s.get(partner, -URGENT_LOOK_S) < URGENT_LOOK_S:
            return
        signal = Signal()
        while await self._waits(partner) and loop.time() - began_s < URGENT_LONGEST_S:
            await signal.wait(URGENT_POLL_S)
        self._looked_s[partner] = loop.time()

    async def _waits(self, partner: PartnerId) -> bool:
        for urgency in (Urgency.U0, Urgency.U1):
            query = WaitingEnvelopes(partner=partner, urgency=urgency, after_sequence=0, max_rows=1, max_bytes=1)
            if await self._store.read(query):
                return True
        return False


async def fetch_attachments(service: FetchService, store: Store) -> None:
    """Fetch until cancelled.

    Raises:
        GatewayError: The store is damaged: nothing can go on.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(FETCHERS):
                group.create_task(_fetch(service, store))
            group.create_task(_tidy(service))
    except ExceptionGroup as failed:
        # Whoever reads why the gateway ended wants the reason, not the group it came in.
        raise failed.exceptions[0] from None


async def _fetch(service: FetchService, store: Store) -> None:
    signal = StoreSignal(store, "attachments")
    try:
        while True:
            try:
                fetched = await service.fetch_next()
            except Busy as error:
                log.warning("worker.waiting", worker="fetch_attachments", reason=error.reason)
                await asyncio.sleep(BUSY_S)
                continue
            except GatewayError:
                raise
            except Exception:
                # A bug met on one partner's file must not stop the gateway; it is loud, and its claim runs out.
                log.exception("attachment.bug")
                await asyncio.sleep(BUSY_S)
                continue
            if not fetched:
                await signal.wait(POLL_S)
    finally:
        signal.close()


async def _tidy(service: FetchService) -> None:
    while True:
        try:
            await service.tidy()
        except Busy as error:
            log.warning("worker.waiting", worker="tidy_attachments", reason=error.reason)
        await asyncio.sleep(TIDY_S)
