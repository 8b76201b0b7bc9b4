"""Sees from outside when a gateway has committed its last receipt: by reading its database, not by asking it.

A reader costs a WAL database nothing but a look at the shared memory, so watching does not slow what is watched, and
needs nothing in the gateway that a bench could flatter.
"""

import sqlite3
import time
from pathlib import Path
from typing import Self

from tests.bench.processes import now_ns

LOOK_S = 0.0002
"""Adds at most so much to an instant."""
_WAITING, _RECEIVED = 1, 2
"""States of a row of the outbox (gateway.store.tables)."""


class OutboxWatch:
    """A read-only connection to a gateway's store."""

    def __init__(self, home: Path) -> None:
        database = next(home.rglob("store.db"))
        self._connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def waiting(self) -> bool:
        """Tell whether any row waits for a receipt."""
        found = self._connection.execute(f"select 1 from outbox where state = {_WAITING} limit 1").fetchone()
        return found is not None

    def received(self, after_id: int) -> int:
        """Return how many rows after an id have their receipt."""
        statement = f"select count(*) from outbox where id > ? and state = {_RECEIVED}"
        return int(self._connection.execute(statement, (after_id,)).fetchone()[0])

    def last_id(self) -> int:
        """Return the highest id of a row so far; 0 when there is none."""
        return int(self._connection.execute("select coalesce(max(id), 0) from outbox").fetchone()[0])

    def each_received(self, after_id: int, count: int, timeout_s: float) -> list[int]:
        """Return the instants at which the first, second, ... of so many rows after an id got their receipt.

        Raises:
            TimeoutError: Fewer did in that time.
        """
        instants: list[int] = []
        version = -1
        end_ns = now_ns() + int(timeout_s * 1e9)
        while len(instants) < count:
            if now_ns() > end_ns:
                raise TimeoutError(f"{len(instants)} of {count} messages were received in {timeout_s} s")
            now_version = self._connection.execute("pragma data_version").fetchone()[0]
            if now_version != version:
                version = now_version
                instants += [now_ns()] * (self.received(after_id) - len(instants))
            time.sleep(LOOK_S)
        return instants

    def wait_empty(self, timeout_s: float) -> int:
        """Return the instant at which nothing waits any more.

        Raises:
            TimeoutError: Something still waits after that time.
        """
        end_ns = now_ns() + int(timeout_s * 1e9)
        while self.waiting():
            if now_ns() > end_ns:
                raise TimeoutError(f"something still waits after {timeout_s} s")
            time.sleep(0.001)
        return now_ns()
