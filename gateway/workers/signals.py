"""Wake-ups: an asyncio event that the store sets after commits."""

import asyncio
import contextlib
from collections.abc import Callable

from gateway.ports import Store


class StoreSignal:
    """Set by commits that touch a topic; see Store.subscribe."""

    def __init__(self, store: Store, topic: str) -> None:
        self._event = asyncio.Event()
        self._unsubscribe = store.subscribe(topic, self._event.set)

    def wake(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when woken since the last call, or after the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        self._event.clear()

    def close(self) -> None:
        """Hear no more."""
        self._unsubscribe()


def event_signals(store: Store) -> Callable[[], StoreSignal]:
    """Return a maker of signals for new events."""
    return lambda: StoreSignal(store, "events")
