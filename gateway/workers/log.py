"""What keeps the exchange log going: entries into the tree, checkpoints over it.

Entries are durable when their step is; these workers only make them provable. If they stop, nothing is lost, and what
waits is in the tree a moment after they go on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from gateway.errors import Busy, LogInconsistent, LogRolledBack
from gateway.exchange.keep_log import LogKeeper
from gateway.ports import IntegrateLog, Store
from gateway.workers.signals import StoreSignal

T = TypeVar("T")
log = structlog.get_logger(__name__)

INTEGRATE_ENTRIES: Final = 1024
"""Hashed in one transaction: some 5 ms of the writer."""
INTEGRATE_S: Final = 1.0
"""The longest that an entry waits for others to fill a batch."""
CHECKPOINT_S: Final = 10.0
PRUNE_S: Final = 3600.0
BUSY_S: Final = 1.0


async def integrate(store: Store, keeper: LogKeeper) -> None:
    """Bring enqueued entries into the tree: a full batch at once, fewer after a second."""
    new, batch = StoreSignal(store, "log.new"), StoreSignal(store, "log.batch")
    told = False
    try:
        while True:
            try:
                count = await _patiently("integrate_log", lambda: store.write(IntegrateLog(INTEGRATE_ENTRIES)))
            except LogInconsistent as error:
                # What is enqueued stays so: nothing is lost, and nothing is hashed into a tree that is not sound.
                keeper.problem = keeper.problem or error
                if not told:
                    log.warning("log.damaged", reason=error.reason)
                told = True
                # Until an operator begins another log.
                await asyncio.sleep(CHECKPOINT_S)
                continue
            told = False
            if count == INTEGRATE_ENTRIES:
                continue
            if not count:
                # On a shared store other replicas write too and a wake-up can be lost, so look now and then.
                await new.wait(CHECKPOINT_S)
            await batch.wait(INTEGRATE_S)
    finally:
        new.close()
        batch.close()


async def sign_checkpoints(keeper: LogKeeper) -> None:
    """Sign the tree every so often, when it has grown. A tree that is not the one signed before is not signed."""
    told = False
    while True:
        try:
            await _patiently("sign_checkpoint", keeper.sign_checkpoint)
            told = False
        except (LogRolledBack, LogInconsistent) as error:
            # The gateway goes on: people wait for its messages. Its log makes no more claims until another is begun.
            if not told:
                log.warning("log.not_signed", reason=error.reason)
            told = True
        await asyncio.sleep(CHECKPOINT_S)


async def prune_checkpoints(keeper: LogKeeper) -> None:
    """Drop old checkpoints that nobody needs, every hour."""
    while True:
        await _patiently("prune_checkpoints", keeper.prune)
        await asyncio.sleep(PRUNE_S)


async def _patiently(name: str, call: Callable[[], Awaitable[T]]) -> T | None:
    """Call; when the store cannot now, say so and go on later."""
    try:
        return await call()
    except Busy as error:
        log.warning("worker.waiting", worker=name, reason=error.reason)
        await asyncio.sleep(BUSY_S)
        return None
