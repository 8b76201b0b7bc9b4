"""A bounded memory of what was computed before, for several threads."""

import threading
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remembers the last entries put in, and forgets the oldest first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[K, V] = {}
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value, or None when it was never there or is forgotten."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember a value."""
        with self._lock:
            if len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = value
