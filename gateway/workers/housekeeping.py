"""What must happen by itself: numbering events, burying what expired, showing what was held, lapsing, new cards."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from gateway.errors import Busy, GatewayError
from gateway.exchange.case_clock import CaseClock
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.expire import EXPIRE_ROWS, FREE_ROWS, ExpiryService
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.take_back import LAPSE_ROWS, TakeBackService
from gateway.ports import AssignPositions, Store
from gateway.workers.signals import Signal, StoreSignal

T = TypeVar("T")
log = structlog.get_logger(__name__)

NUMBER_ROWS: Final = 2048
NUMBER_POLL_S: Final = 1.0
EXPIRE_EVERY_S: Final = 1.0
LAPSE_EVERY_S: Final = 5.0
CARDS_POLL_S: Final = 5.0
CASES_POLL_S: Final = 20.0
"""The shortest time agreed on is a minute."""
KEYS_POLL_S: Final = 60.0


async def number_events(store: Store) -> None:
    """Give events their positions as soon as they are committed."""
    signal = StoreSignal(store, "events.new")
    try:
        while True:
            count = await _patiently("number_events", lambda: store.write(AssignPositions(max_rows=NUMBER_ROWS)))
            if not count:
                await signal.wait(NUMBER_POLL_S)
    finally:
        signal.close()


async def expire(service: ExpiryService) -> None:
    """Bury what expired and show what was held too long."""
    while True:
        buried = await _patiently("bury_expired", service.bury_expired)
        freed = await _patiently("free_held", service.free_held)
        if (buried or 0) < EXPIRE_ROWS and (freed or 0) < FREE_ROWS:
            await asyncio.sleep(EXPIRE_EVERY_S)


async def lapse(service: TakeBackService) -> None:
    """Let lapse what officers have not decided on in time."""
    while True:
        due = await _patiently("lapse", service.lapse_due)
        if (due or 0) < LAPSE_ROWS:
            await asyncio.sleep(LAPSE_EVERY_S)


async def pass_case_time(cases: CaseClock) -> None:
    """Record what time brings about in cases."""
    while True:
        await _patiently("pass_case_time", cases.tick)
        await asyncio.sleep(CASES_POLL_S)


async def keep_keys(pool: KeyPool, low: Signal) -> None:
    """Keep message keys in store ahead of the messages that will need them."""
    while True:
        await _patiently("keep_keys", pool.refill)
        await low.wait(KEYS_POLL_S)


async def refresh_cards(store: Store, directory: PartnerDirectory) -> None:
    """Follow cards that another replica changed."""
    signal = StoreSignal(store, "cards")
    try:
        while True:
            await signal.wait(CARDS_POLL_S)
            await _patiently("refresh_cards", directory.load)
    finally:
        signal.close()


async def _patiently(name: str, call: Callable[[], Awaitable[T]]) -> T | None:
    """Call; when the store cannot now, say so and go on later.

    Anything else ends the gateway: it is a bug or damage.
    """
    try:
        return await call()
    except Busy as error:
        log.warning("worker.waiting", worker=name, reason=error.reason)
        await asyncio.sleep(1.0)
        return None
    except GatewayError:
        log.exception("worker.stopped", worker=name)
        raise
