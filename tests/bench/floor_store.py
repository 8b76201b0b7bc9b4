"""The floor's store: raw sqlite3, one writer thread, many rows per durable commit."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAX_ROWS = 1024
"""Rows in one commit."""
BUSY_ROWS = 2
"""A commit of this many rows means load, and the next one lingers: a message alone never does."""
LINGER_S = 0.0025
"""How long a commit waits for company under load: DESIGN 13, 2 to 3 ms."""

CHUNKS = (64, 16, 4, 1)
"""Rows inserted by one statement, the most first; few sizes, so that statements are compiled once."""

_Write = tuple[str, Sequence[tuple[Any, ...]], asyncio.Future[None]]


class GroupWriter:
    """Writes rows durably; everything that waits shares one commit."""

    def __init__(self, path: Path, schema: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(path, schema), name="floor-writer")
        self._thread.start()

    def insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> asyncio.Future[None]:
        """Queue rows for a table; the future is done once they are on disk."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((table, rows, done))
        return done

    def close(self) -> None:
        """Write what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self, path: Path, schema: str) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma journal_mode=WAL")
        connection.execute("pragma synchronous=FULL")
        connection.executescript(schema)
        rows_before = 0
        while (first := self._queue.get()) is not None:
            if rows_before >= BUSY_ROWS:
                time.sleep(LINGER_S)
            group, ended = self._gather(first)
            connection.execute("begin immediate")
            for table, rows in _by_table(group).items():
                _insert(connection, table, rows)
            connection.execute("commit")
            rows_before = sum(len(rows) for _, rows, _ in group)
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_finish, [done for _, _, done in group])
            if ended:
                break
        connection.close()

    def _gather(self, first: _Write) -> tuple[list[_Write], bool]:
        group, count = [first], len(first[1])
        while count < MAX_ROWS:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return group, True
            group.append(more)
            count += len(more[1])
        return group, False


def _by_table(group: list[_Write]) -> dict[str, list[tuple[Any, ...]]]:
    tables: dict[str, list[tuple[Any, ...]]] = {}
    for table, rows, _ in group:
        tables.setdefault(table, []).extend(rows)
    return tables


def _insert(connection: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    # Each execution lets go of the interpreter and must win it back from a busy event loop: the fewer the better.
    start = 0
    for size in CHUNKS:
        marks = ", ".join(["(" + ", ".join("?" * len(rows[0])) + ")"] * size)
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            connection.execute(f"insert into {table} values {marks}", [value for row in chunk for value in row])
            start += size


def _finish(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
