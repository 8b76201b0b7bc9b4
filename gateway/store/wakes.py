"""Who wants to be woken after a commit."""

from collections.abc import Callable, Iterable


class Wakes:
    """Subscriptions by topic. Used only in the event loop."""

    def __init__(self) -> None:
        self._by_topic: dict[str, list[Callable[[], None]]] = {}

    def subscribe(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Add a subscription; return how to end it."""
        self._by_topic.setdefault(topic, []).append(wake)

        def stop() -> None:
            wakes = self._by_topic.get(topic, [])
            if wake in wakes:
                wakes.remove(wake)
            if not wakes:
                self._by_topic.pop(topic, None)

        return stop

    def wake(self, topics: Iterable[str]) -> None:
        """Wake the subscribers of some topics."""
        for topic in topics:
            for wake in tuple(self._by_topic.get(topic, ())):
                wake()

    def wake_all(self) -> None:
        """Wake everybody: something may have been missed."""
        self.wake(tuple(self._by_topic))
