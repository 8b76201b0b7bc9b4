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
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool

from gateway.errors import StoreCorrupt, StoreUnavailable
from gateway.ports import Operation, Query
from gateway.store.failures import sqlite_failure
from gateway.store.handlers import ANSWERS, HANDLERS, apply_all
from gateway.store.migrate import upgrade
from gateway.store.sqlite_transaction import KeyStore, SqliteTransaction, load_counters
from gateway.store.tables import KEY_SCHEMA
from gateway.store.transaction import Session
from gateway.store.wakes import Wakes

T = TypeVar("T")

_GROUP_OPERATIONS: Final = 256
_LINGER_S: Final = 0.001
_BUSY_GROUP: Final = 8
"""A group this large says that more is on its way: waiting a little longer saves a commit."""
_CHECKPOINT_PAGES: Final = 4000
"""16 MB of WAL: a checkpoint of so much takes some 30 ms here, and comes once in some thousand messages."""
_IDLE_CHECKPOINT_S: Final = 0.25
_READERS: Final = 3
_WRITER_CACHE_KIB: Final = 32 * 1024
_READER_CACHE_KIB: Final = 4 * 1024

_Waiting = tuple[Operation[Any], "asyncio.Future[Any]"]
CommitPoint = Callable[[str], None]
"""Called with keys-before, keys-after, main-before, main-after around the two commits of a group."""


class SqliteStore:
    """A store in one directory. Made by open_sqlite."""

    def __init__(self, home: Path, lock: int, at_commit_point: CommitPoint | None) -> None:
        self._home = home
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._wakes = Wakes()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._corrupt: StoreCorrupt | None = None
        self._closed = False
        self._readers: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read", initializer=self._open_reader)
        self._writer = _Writer(home, self._queue, self._finish, at_commit_point)
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
            return await self._loop.run_in_executor(self._pool, self._answer, answer, query)
        except StoreCorrupt as error:
            self._corrupt = error
            raise

    def subscribe(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call wake after a commit that touched the topic; see Store.subscribe."""
        return self._wakes.subscribe(topic, wake)

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

    def _open_reader(self) -> None:
        try:
            connection = _connect(self._home / "store.db", "ro")
            self._readers.append(connection)
            _attach_keys(connection, self._home, "ro")
            connection.execute("PRAGMA query_only=ON")
            connection.execute(f"PRAGMA cache_size=-{_READER_CACHE_KIB}")
            self._local.connection = connection
        except sqlite3.Error as error:
            self._local.failure = sqlite_failure(error, "opening a reader")

    def _answer(self, answer: Callable[[Session, Any], Any], query: Query[T]) -> T:
        failure = getattr(self._local, "failure", None)
        if failure is not None:
            raise failure
        cursor: sqlite3.Cursor = self._local.connection.cursor()
        try:
            # One snapshot for all statements of an answer. The store's is taken before the keys', which are
            # committed first, so that no message is seen without its key.
            cursor.execute("BEGIN")
            try:
                result: T = answer(Session(cursor, "sqlite"), query)
            finally:
                cursor.execute("ROLLBACK")
            return result
        except Exception as error:
            raise sqlite_failure(error, type(query).__name__) from None
        finally:
            cursor.close()

    def _finish(self, done: Sequence[tuple["asyncio.Future[Any]", Any]], topics: Iterable[str]) -> None:
        """Hand results back: called in the writer thread, once a group."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, done, topics)
        except RuntimeError:
            pass  # the loop is closed; what is committed stays committed

    def _deliver(self, done: Sequence[tuple["asyncio.Future[Any]", Any]], topics: Iterable[str]) -> None:
        for future, result in done:
            if isinstance(result, StoreCorrupt):
                self._corrupt = result
            if future.cancelled():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._wakes.wake(topics)


class _Writer:
    """The thread that writes."""

    def __init__(
        self,
        home: Path,
        waiting: "queue.SimpleQueue[_Waiting | None]",
        finish: Callable[[Sequence[tuple["asyncio.Future[Any]", Any]], Iterable[str]], None],
        at_commit_point: CommitPoint | None,
    ) -> None:
        self._queue = waiting
        self._finish = finish
        self._point = at_commit_point or (lambda _: None)
        self._main = _connect(home / "store.db", "rw")
        _tune(self._main, "main")
        self._main.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        self._cursor = self._main.cursor()
        # Attached, so that statements name the keys as on the other engine; in a connection of its own, because
        # a commit over two files is not atomic and the order of the two must be ours.
        keys = _connect(Path(":memory:"), "rw")
        _attach_keys(keys, home, "rw")
        _tune(keys, KEY_SCHEMA)
        keys.execute(f"PRAGMA {KEY_SCHEMA}.secure_delete=ON")
        keys.execute(f"PRAGMA {KEY_SCHEMA}.wal_autocheckpoint={_CHECKPOINT_PAGES}")
        self._keys = KeyStore(keys)
        self._counters = load_counters(self._main)
        self._corrupt: StoreCorrupt | None = None
        self._unchecked = False

    def run(self) -> None:
        """Write until told to stop."""
        last_size = 0
        stopping = False
        while not stopping:
            group = self._next_group(last_size)
            if group and group[-1] is None:
                stopping = True
            operations = [item for item in group if item is not None]
            last_size = len(operations)
            if operations:
                self._write(operations)
        self._keys.close()
        self._cursor.close()
        self._main.close()

    def _next_group(self, last_size: int) -> list[_Waiting | None]:
        try:
            first = self._queue.get(timeout=_IDLE_CHECKPOINT_S if self._unchecked else None)
        except queue.Empty:
            self._checkpoint()
            return []
        group = [first]
        lingered = last_size < _BUSY_GROUP
        while group[-1] is not None and len(group) < _GROUP_OPERATIONS:
            try:
                group.append(self._queue.get_nowait())
            except queue.Empty:
                if lingered:
                    break
                lingered = True
                time.sleep(_LINGER_S)
        return group

    def _write(self, group: Sequence[_Waiting]) -> None:
        if self._corrupt is not None:
            self._finish([(future, StoreCorrupt(self._corrupt.text)) for _, future in group], ())
            return
        try:
            results, topics = self._commit([operation for operation, _ in group], alone=len(group) == 1)
        except Exception as error:
            failure = sqlite_failure(error, "a group of operations")
            if len(group) == 1 and not isinstance(error, sqlite3.IntegrityError):
                failure = sqlite_failure(error, type(group[0][0]).__name__)
            elif not isinstance(failure, StoreUnavailable | StoreCorrupt):
                self._write_alone(group)
                return
            self._note(failure)
            self._finish([(future, failure) for _, future in group], ())
            return
        self._unchecked = True
        self._finish([(future, result) for (_, future), result in zip(group, results, strict=True)], topics)

    def _write_alone(self, group: Sequence[_Waiting]) -> None:
        for operation, future in group:
            try:
                results, topics = self._commit([operation], alone=True)
            except Exception as error:
                failure = sqlite_failure(error, type(operation).__name__)
                self._note(failure)
                self._finish([(future, failure)], ())
            else:
                self._finish([(future, results[0])], topics)

    def _note(self, failure: BaseException) -> None:
        if isinstance(failure, StoreCorrupt):
            self._corrupt = failure

    def _commit(self, operations: Sequence[Operation[Any]], *, alone: bool) -> tuple[list[Any], set[str]]:
        """Apply and commit; raise with nothing written."""
        counters = dict(self._counters)
        tx = SqliteTransaction(self._cursor, counters, self._keys, alone=alone)
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            results = apply_all(tx, operations)
            if tx.keys or tx.erased:
                self._point("keys-before")
                self._keys.write(tx.keys, tx.erased)
                self._point("keys-after")
            self._point("main-before")
            self._cursor.execute("COMMIT")
            self._point("main-after")
        except BaseException:
            if self._main.in_transaction:
                self._main.rollback()
            raise
        self._counters = counters
        return results, tx.topics

    def _checkpoint(self) -> None:
        """Move the WAL into the database while nobody waits, so that under load it seldom must be."""
        self._unchecked = False
        try:
            self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._keys.checkpoint("PASSIVE")
        except sqlite3.Error as error:
            # Nothing is lost: the WAL stays. Damage is remembered; a full disk shows itself at the next write.
            self._note(sqlite_failure(error, "a checkpoint"))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    memory = str(path) == ":memory:"
    target = ":memory:" if memory else f"file:{quote(str(path))}?mode={mode}"
    connection = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    # Sorting must not leave content in temporary files.
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def _tune(connection: sqlite3.Connection, schema: str) -> None:
    connection.execute(f"PRAGMA {schema}.journal_mode=WAL")
    connection.execute(f"PRAGMA {schema}.synchronous=FULL")
    connection.execute(f"PRAGMA {schema}.cache_size=-{_WRITER_CACHE_KIB}")


def _attach_keys(connection: sqlite3.Connection, home: Path, mode: str) -> None:
    connection.execute(f"ATTACH ? AS {KEY_SCHEMA}", (f"file:{quote(str(home / 'keys.db'))}?mode={mode}",))


def _lock_home(home: Path) -> int:
    """Return the descriptor of the home's lock.

    Raises:
        StoreUnavailable: Another process has the home.
    """
    descriptor = os.open(home / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreUnavailable(f"another process uses the store in {home}") from None
    return descriptor


def _migrate_file(path: Path, room: Any) -> None:
    # Made here so that nobody else can read it from the first byte on.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _own_transactions(connection: Any, _: object) -> None:
        # The driver's own transactions leave DDL outside; ours take it in.
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        upgrade(connection, room)
    engine.dispose()


def migrate_sqlite(home: Path) -> None:
    """Bring a home that nobody uses to this code's schema; make it when there is none.

    Raises:
        StoreUnavailable: Another process has the home, or the disk does not take it.
        StoreCorrupt: The files are damaged or no databases.
        SchemaTooNew: A newer version wrote it.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = _lock_home(home)
    try:
        _migrate_files(home)
    finally:
        os.close(lock)


def _migrate_files(home: Path) -> None:
    from sqlalchemy.exc import DBAPIError

    try:
        _migrate_file(home / "keys.db", "keys")
        _migrate_file(home / "store.db", "main")
    except DBAPIError as error:
        cause = error.orig if error.orig is not None else error
        raise sqlite_failure(cause, "migration") from None


async def open_sqlite(home: Path, *, at_commit_point: CommitPoint | None = None) -> SqliteStore:
    """Open the store of a home, making or upgrading it.

    Raises:
        StoreUnavailable: Another process has the home, or the disk does not take it.
        StoreCorrupt: The files are damaged or no databases.
        SchemaTooNew: A newer version wrote it.
    """

    home.mkdir(parents=True, exist_ok=True)
    lock = _lock_home(home)
    try:
        await asyncio.to_thread(_migrate_files, home)
        try:
            store = SqliteStore(home, lock, at_commit_point)
        except sqlite3.Error as error:
            raise sqlite_failure(error, "opening the store") from error
    except BaseException:
        os.close(lock)
        raise
    store.start()
    return store
