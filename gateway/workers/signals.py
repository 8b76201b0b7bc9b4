"""Wake-ups: an asyncio event that the store sets after commits."""

import asyncio
import contextlib
from collections.abc import Callable

from gateway.ports import Store


class Signal:
    """Woken by anybody in the event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True when woken since the last call, False after the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        woken = self._event.is_set()
        self._event.clear()
        return woken


class StoreSignal(Signal):
    """Woken by commits that touch a topic; see Store.subscribe."""

    def __init__(self, store: Store, topic: str) -> None:
        super().__init__()
        self._unsubscribe = store.subscribe(topic, self.wake)

    def close(self) -> None:
        """Hear no more."""
        self._unsubscribe()


def event_signals(store: Store) -> Callable[[], StoreSignal]:
    """Return a maker of signals for new events."""
    return lambda: StoreSignal(store, "events")
