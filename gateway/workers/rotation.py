"""Replaces encryption keys before they end, so that what is stolen later opens little of what went before."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.crypto.keyring import Keyring
from gateway.errors import Busy

log = structlog.get_logger(__name__)

AHEAD_MS: Final = 3 * 86_400_000
"""A new key is shown this long before the old one ends: partners that are away for a weekend still seal for a live key."""
EVERY_S: Final = 3600.0


class Rotate(Protocol):
    """Makes new keys of a purpose; see Administration.rotate."""

    def __call__(self, purpose: str, *, revoke: bool) -> Awaitable[Any]: ...


def is_due(keyring: Keyring, now_ms: int) -> bool:
    """Say whether the newest encryption key ends soon."""
    return keyring.seal[0].end_ms - now_ms < AHEAD_MS


async def rotate_when_due(keyring: Callable[[], Keyring], rotate: Rotate, clock: Clock) -> None:
    """Look every hour."""
    while True:
        if is_due(keyring(), clock.now_ms()):
            try:
                await rotate("seal", revoke=False)
                log.info("key.rotated", kind="seal")
            except Busy as error:
                log.warning("worker.waiting", worker="rotate", reason=error.reason)
        await asyncio.sleep(EVERY_S)
