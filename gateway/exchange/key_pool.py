"""Message keys that are in the key store before there is a message for them.

A key must be durable before the message that it opens, and keys lie in a store of their own, so a message would wait
for the disk twice. A few keys stored ahead take the first wait off the way of every message: its commit only names
its key. When the pool is empty the key travels with its message, and is committed first, as slow and as safe as ever.
A key for which no message ever comes, because the process ended, opens nothing and harms nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.crypto.at_rest import new_message_key, unwrap_message_key, wrap_message_key
from gateway.crypto.keys import KeyEncryptionKey, MessageKey
from gateway.exchange.own_keys import KeyHolder
from gateway.ids import uuid7
from gateway.ports import Store, StoreKeys

LEAST: Final = 64
"""Keys made at a start: enough for an idle desk, and little is lost when they are never used."""
MOST: Final = 2048
"""Keys made ahead under load: most of a second's messages, some 200 kB a commit."""

PAUSE_EVERY: Final = 64


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A key for one message."""

    key: MessageKey
    key_id: bytes
    wrapped: bytes | None
    """For the key store, with the message; None when it is there already."""


def unwrap(key_encryption: KeyEncryptionKey, wrapped: bytes, key_id: bytes) -> MessageKey:
    """Return a message key as the key store keeps it: bound to its id, so that rows there cannot be swapped.

    Raises:
        StoreCorrupt: Damaged, another id's, or wrapped by another key.
    """
    return unwrap_message_key(key_encryption, wrapped, key_id)


class KeyPool:
    """Gives keys for new messages.

    Args:
        low: Called when keys run low, so that `refill` is called soon.
    """

    def __init__(self, store: Store, keys: KeyHolder, now_ms: Callable[[], int], low: Callable[[], None]) -> None:
        self._store = store
        self._keys = keys
        self._now_ms = now_ms
        self._low = low
        self._stored: deque[FreshKey] = deque()
        self._used = 0
        self._target = LEAST

    def take(self) -> FreshKey:
        """Return a key that no other message has."""
        self._used += 1
        if len(self._stored) <= self._target // 2:
            self._low()
        return self._stored.popleft() if self._stored else self._make()

    def _make(self) -> FreshKey:
        key, key_id = new_message_key(), uuid7(self._now_ms())
        return FreshKey(key, key_id, wrap_message_key(self._keys.current.key_encryption, key, key_id))

    async def refill(self) -> None:
        """Store as many keys as were used since the last time, doubled, within bounds.

        Raises:
            StoreUnavailable: None were stored; messages bring their own keys meanwhile.
        """
        self._target = min(max(LEAST, 2 * self._used), MOST)
        self._used = 0
        missing = self._target - len(self._stored)
        if missing <= 0:
            return
        made: list[FreshKey] = []
        for _ in range(missing):
            made.append(self._make())
            if len(made) % PAUSE_EVERY == 0:
                # Two thousand keys take 80 ms, and most are made when there is most to do.
                await asyncio.sleep(0)
        await self._store.write(StoreKeys(tuple((item.key_id, item.wrapped) for item in made if item.wrapped)))
        self._stored.extend(FreshKey(item.key, item.key_id, None) for item in made)
