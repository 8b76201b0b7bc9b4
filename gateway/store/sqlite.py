"""The embedded engine: one writer thread, many operations to a commit, read-only readers.

Rules:
- One process has one home, by a lock on a file. One connection writes and checkpoints: SQLite before 3.51.3 can
  corrupt a WAL when two do.
- Nothing is committed on the event loop. Results are handed back only after COMMIT, one call into the loop a group.
- A group that fails is tried again operation by operation, so one bad operation harms no other.
- Message keys are in a file of their own, committed before the store: a key without a message is harmless, a
  message without its key is not. Erased keys are overwritten, in the file and in its WAL.
- A damaged page, row or blob ends writing for good; what can be read without meeting the damage still is.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.errors import StoreCorrupt, StoreUnavailable
from gateway.ports import Operation, Query
from gateway.store.failures import sqlite_failure
from gateway.store.handlers import ANSWERS, HANDLERS
from gateway.store.sqlite_home import STORE_FILE, attach_keys, connect, lock_home, migrate_files
from gateway.store.sqlite_writer import CommitPoint, Done, Waiting, Writer
from gateway.store.transaction import Session
from gateway.store.wakes import Wakes

T = TypeVar("T")

_READERS: Final = 3
_CACHE_KIB: Final = 4 * 1024


class SqliteStore:
    """A store in one directory. Made by open_sqlite."""

    def __init__(self, home: Path, lock: int, at_commit_point: CommitPoint | None) -> None:
        self._home = home
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._wakes = Wakes()
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._corrupt: StoreCorrupt | None = None
        self._closed = False
        self._readers: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._writer = Writer(home, self._queue, self._finish, at_commit_point)
        self._thread = threading.Thread(target=self._writer.run, name="store-write", daemon=True)

    def start(self) -> None:
        """Begin to take operations."""
        self._thread.start()

    @property
    def shared(self) -> bool:
        """No: a home has one process."""
        return False

    async def write(self, operation: Operation[T]) -> T:
        """Apply an operation; see Store.write."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._corrupt is not None:
            raise StoreCorrupt(self._corrupt.text)
        if type(operation) not in HANDLERS:
            raise RuntimeError(f"the store has no handler for {type(operation).__name__}")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((operation, future))
        return await future

    async def read(self, query: Query[T]) -> T:
        """Answer a query; see Store.read."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        answer = ANSWERS.get(type(query))
        if answer is None:
            raise RuntimeError(f"the store has no answer for {type(query).__name__}")
        try:
            result: T = await self._loop.run_in_executor(self._pool, self._answer, answer, query)
        except StoreCorrupt as error:
            self._corrupt = error
            raise
        return result

    def subscribe(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call wake after a commit that touched the topic; see Store.subscribe."""
        return self._wakes.subscribe(topic, wake)

    def on_commit(self, tell: Callable[[int, float], None]) -> None:
        """Call tell after each commit, in the writer's thread; see Store.on_commit."""
        self._writer.tell = tell

    async def close(self) -> None:
        """Finish what is queued and close."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        await self._loop.run_in_executor(None, self._pool.shutdown)
        for connection in self._readers:
            connection.close()
        os.close(self._lock)

    def _reader(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._home / STORE_FILE, "ro")
            self._readers.append(connection)
            attach_keys(connection, self._home, "ro")
            connection.execute("PRAGMA query_only=ON")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            self._local.connection = connection
        return connection

    def _answer(self, answer: Callable[[Session, Any], Any], query: Query[Any]) -> Any:
        try:
            with contextlib.closing(self._reader().cursor()) as cursor:
                # One snapshot for all statements of an answer. The store's is taken before the keys', which are
                # committed first, so that no message is seen without its key.
                cursor.execute("BEGIN")
                try:
                    return answer(Session(cursor, "sqlite"), query)
                finally:
                    cursor.execute("ROLLBACK")
        except ValueError:
            # Queries hold values of our own making; what does not fit is what was read.
            raise StoreCorrupt("the database is damaged: a stored value was never written") from None
        except Exception as error:  # noqa: BLE001 - no driver error leaves the store
            raise sqlite_failure(error, type(query).__name__) from None

    def _finish(self, done: Done, topics: Iterable[str]) -> None:
        """Hand results back: called in the writer thread, once a group."""
        with contextlib.suppress(RuntimeError):  # the loop is closed; what is committed stays committed
            self._loop.call_soon_threadsafe(self._deliver, done, topics)

    def _deliver(self, done: Done, topics: Iterable[str]) -> None:
        for future, result in done:
            if isinstance(result, StoreCorrupt):
                self._corrupt = result
            if future.done():  # cancelled
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._wakes.wake(topics)


def migrate_sqlite(home: Path) -> None:
    """Bring a home that nobody uses to this code's schema; make it when there is none.

    Raises:
        StoreUnavailable: Another process has the home, or the disk does not take it.
        StoreCorrupt: The files are damaged or no databases.
        SchemaTooNew: A newer version wrote it.
    """
    lock = lock_home(home)
    try:
        migrate_files(home)
    finally:
        os.close(lock)


async def open_sqlite(home: Path, *, at_commit_point: CommitPoint | None = None) -> SqliteStore:
    """Open the store of a home, making or upgrading it.

    Raises:
        StoreUnavailable: Another process has the home, or the disk does not take it.
        StoreCorrupt: The files are damaged or no databases.
        SchemaTooNew: A newer version wrote it.
    """
    lock = await asyncio.to_thread(lock_home, home)
    try:
        await asyncio.to_thread(migrate_files, home)
        try:
            store = SqliteStore(home, lock, at_commit_point)
        except sqlite3.Error as error:
            raise sqlite_failure(error, "opening the store") from None
    except BaseException:
        os.close(lock)
        raise
    store.start()
    return store
