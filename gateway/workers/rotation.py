"""Looks after the keyring: new encryption keys before the old ones end, and the end of those past their grace.

What is stolen later then opens little of what went before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.crypto.keyring import Keyring
from gateway.errors import Busy
from gateway.model.partner import KeyPurpose

log = structlog.get_logger(__name__)

AHEAD_MS: Final = 3 * 86_400_000
"""A new key is shown this long before the old one ends: who is away for a weekend still seals for a live key."""
SIGNING_AHEAD_MS: Final = 40 * 86_400_000
"""Signing keys are replaced before what they sign outlives them: 30 days of a message, and time to fetch a card."""
EVERY_S: Final = 3600.0


def tended(keyring: Keyring, now_ms: int, grace_ms: int) -> Keyring:
    """Return the keyring as it should be now: keys that end soon replaced, old ones destroyed."""
    if keyring.seal[0].end_ms - now_ms < AHEAD_MS:
        keyring = keyring.rotate_seal(now_ms)
    ends = {purpose: held.end_ms for purpose, held in keyring.signing}
    if ends[KeyPurpose.ENVELOPE] - now_ms < SIGNING_AHEAD_MS:
        keyring = keyring.rotate_envelope(now_ms)
    if ends[KeyPurpose.RECEIPT] - now_ms < SIGNING_AHEAD_MS:
        keyring = keyring.rotate_receipt(now_ms)
    return keyring.destroy_past_grace(now_ms, grace_ms)


async def tend_keys(tend: Callable[[], Awaitable[None]]) -> None:
    """Tend the keyring every hour."""
    while True:
        try:
            await tend()
        except Busy as error:
            log.warning("worker.waiting", worker="tend_keys", reason=error.reason)
        await asyncio.sleep(EVERY_S)
