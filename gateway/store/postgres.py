"""The engine for more than one machine: replicas share one PostgreSQL database.

Rules:
- Operations are the same code as on SQLite, run on the driver's cursor inside a greenlet. Those that wait while a
  commit is under way share the next one; a group that fails is tried again one by one.
- What two replicas may do at once is settled by row locks where a head moves and by unique keys elsewhere: whoever
  comes second fails, looks again, and sees what the first has done.
- Numbers are taken before the commit, so places in a queue may become visible out of order. Whoever waits looks
  again from the start now and then (see WaitingEnvelopes), and events get positions from one sequencer at a time.
- When the connection breaks in a COMMIT nobody knows whether it happened. The caller is told that it did not and
  repeats; every operation gives the same answer or changes nothing when it is repeated.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.errors import ConfigInvalid, StoreCorrupt, StoreUnavailable
from gateway.ports import Operation, Query
from gateway.store.failures import postgres_failure, postgres_state
from gateway.store.handlers import ANSWERS, GROUP_BYTES, GROUP_OPERATIONS, HANDLERS, apply_all, weigh
from gateway.store.migrate import upgrade
from gateway.store.postgres_transaction import CHANNEL, PostgresTransaction
from gateway.store.tables import KEY_SCHEMA
from gateway.store.transaction import Answer, Session
from gateway.store.wakes import Wakes

T = TypeVar("T")

_READERS: Final = 6
_TRIES: Final = 8
"""How often an operation looks again after another replica came first, before the caller is told to."""
_CAME_SECOND: Final = {"23505", "40001", "40P01"}
"""unique_violation, serialization_failure, deadlock_detected"""
_RECONNECT_S: Final = 0.5
_CONNECT_S: Final = 5
_MIGRATION_LOCK: Final = 0x636F6E636F7264
"""Key of the advisory lock under which one replica at a time migrates."""

_Waiting = tuple[Operation[Any], "asyncio.Future[Any]"]


class PostgresStore:
    """A store in a database that replicas share. Made by open_postgres."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._wakes = Wakes()
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._corrupt: StoreCorrupt | None = None
        self._closed = False
        self._connection: AsyncConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._tell: Callable[[int, float], None] | None = None

    async def start(self) -> None:
        """Begin to take operations and to listen for other replicas."""
        listening = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._run(), name="store-write"),
            asyncio.create_task(self._listen(listening), name="store-listen"),
        ]
        try:
            await asyncio.wait_for(listening.wait(), 2 * _CONNECT_S)
        except TimeoutError:
            await self.close()
            raise StoreUnavailable("the database does not let us listen") from None

    @property
    def shared(self) -> bool:
        """Yes: other replicas write to the same database."""
        return True

    async def write(self, operation: Operation[T]) -> T:
        """Apply an operation; see Store.write."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._corrupt is not None:
            raise StoreCorrupt(self._corrupt.text)
        if type(operation) not in HANDLERS:
            raise RuntimeError(f"the store has no handler for {type(operation).__name__}")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((operation, future))
        return await future

    async def read(self, query: Query[T]) -> T:
        """Answer a query; see Store.read."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        answer = ANSWERS.get(type(query))
        if answer is None:
            raise RuntimeError(f"the store has no answer for {type(query).__name__}")
        try:
            async with self._snapshots.connect() as connection:
                result: T = await connection.run_sync(_answer, answer, query)
                return result
        except Exception as error:  # noqa: BLE001 - no driver error leaves the store
            failure = postgres_failure(error, type(query).__name__)
            if isinstance(failure, StoreUnavailable):
                # Whatever broke this connection broke those that lie idle, too.
                await self._engine.dispose()
            if isinstance(failure, StoreCorrupt):
                self._corrupt = failure
            raise failure from None

    def subscribe(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call wake after a commit that touched the topic, on whatever replica; see Store.subscribe."""
        return self._wakes.subscribe(topic, wake)

    def on_commit(self, tell: Callable[[int, float], None]) -> None:
        """Call tell after each commit; see Store.on_commit."""
        self._tell = tell

    async def close(self) -> None:
        """Finish what is queued and close."""
        if self._closed:
            return
        self._closed = True
        self._queue.put_nowait(None)
        writer, listener = self._tasks
        await writer
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener
        await self._drop_connection()
        await self._engine.dispose()

    async def _run(self) -> None:
        stopping = False
        while not stopping:
            item = await self._queue.get()
            group = [item]
            size_bytes = 0
            while item is not None and not self._queue.empty():
                size_bytes += weigh(item[0])
                if len(group) >= GROUP_OPERATIONS or size_bytes >= GROUP_BYTES:
                    break
                item = self._queue.get_nowait()
                group.append(item)
            stopping = group[-1] is None
            operations = [item for item in group if item is not None]
            if operations:
                await self._write(operations)

    async def _write(self, group: Sequence[_Waiting]) -> None:
        if self._corrupt is not None:
            self._finish(group, [StoreCorrupt(self._corrupt.text)] * len(group))
            return
        if len(group) > 1:
            try:
                results = await self._commit([operation for operation, _ in group], alone=False)
            except Exception as error:  # noqa: BLE001 - handed to the callers
                failure = postgres_failure(error, "a group of operations")
                if isinstance(failure, StoreUnavailable | StoreCorrupt):
                    self._finish(group, [failure] * len(group))
                    return
            else:
                self._finish(group, results)
                return
        for item in group:
            self._finish([item], [await self._write_alone(item[0])])

    async def _write_alone(self, operation: Operation[Any]) -> Any:
        for _ in range(_TRIES):
            try:
                (result,) = await self._commit([operation], alone=True)
            except Exception as error:  # noqa: BLE001 - handed to the caller
                if postgres_state(error) in _CAME_SECOND:
                    continue
                return postgres_failure(error, type(operation).__name__)
            return result
        return StoreUnavailable("other replicas changed the same rows again and again")

    def _finish(self, group: Sequence[_Waiting], results: Sequence[Any]) -> None:
        for (_, future), result in zip(group, results, strict=True):
            if isinstance(result, StoreCorrupt):
                self._corrupt = result
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _commit(self, operations: Sequence[Operation[Any]], *, alone: bool) -> list[Any]:
        """Apply and commit; raise with nothing written, or with the connection gone in between."""
        try:
            if self._connection is None:
                self._connection = await self._engine.connect()
            began_s = time.perf_counter()
            results, topics = await self._connection.run_sync(_apply, operations, alone)
        except Exception as error:
            if isinstance(postgres_failure(error, ""), StoreUnavailable):
                await self._drop_connection()
            raise
        if self._tell is not None:
            self._tell(len(operations), time.perf_counter() - began_s)
        # Other replicas hear of it by NOTIFY; here there is no need to wait for that.
        self._wakes.wake(topics)
        return results

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.invalidate()
            with contextlib.suppress(Exception):
                await connection.close()

    async def _listen(self, listening: asyncio.Event) -> None:
        """Hear what other replicas have committed, for as long as the store is open."""
        while True:
            try:
                async with self._engine.connect() as connection:
                    raw = await connection.get_raw_connection()
                    driver: Any = raw.driver_connection
                    gone = asyncio.Event()
                    driver.add_termination_listener(lambda *_, gone=gone: gone.set())
                    await driver.add_listener(CHANNEL, self._heard)
                    if listening.is_set():
                        self._wakes.wake_all()  # something may have been missed
                    listening.set()
                    try:
                        await gone.wait()
                    finally:
                        # Not back into the pool with a listener on it.
                        await connection.invalidate()
            except Exception:  # noqa: BLE001, S110 - the database may be away for long; reads and writes say so
                pass
            await asyncio.sleep(_RECONNECT_S)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        with contextlib.suppress(ValueError):
            self._wakes.wake(json.loads(payload))


def _apply(connection: Connection, operations: Sequence[Operation[Any]], alone: bool) -> tuple[list[Any], set[str]]:  # noqa: FBT001 - run_sync passes by position
    raw = connection.connection
    cursor: Any = raw.cursor()
    tx = PostgresTransaction(cursor, alone=alone)
    try:
        results = apply_all(tx, operations)
        tx.notify()
        raw.commit()
    except BaseException:
        with contextlib.suppress(Exception):
            raw.rollback()
        raise
    finally:
        cursor.close()
    return results, tx.topics


def _answer(connection: Connection, answer: Answer, query: Query[T]) -> T:
    raw = connection.connection
    cursor: Any = raw.cursor()
    try:
        result: Any = answer(Session(cursor, "postgresql"), query)
        return result  # type: ignore[no-any-return]
    finally:
        cursor.close()
        with contextlib.suppress(Exception):
            raw.rollback()


def _engine(dsn: str) -> AsyncEngine:
    try:
        url = make_url(dsn)
    # ValueError: a port that is no number.
    except (SQLAlchemyError, ValueError):
        raise ConfigInvalid("store: not a PostgreSQL URL, as in postgresql://user@host/database") from None
    if url.drivername != "postgresql":
        raise ConfigInvalid("store: must begin with postgresql://")
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=_READERS + 2,
        max_overflow=0,
        pool_timeout=_CONNECT_S,
        hide_parameters=True,
        connect_args={"timeout": _CONNECT_S, "server_settings": {"application_name": "concord", "jit": "off"}},
    )


async def migrate_postgres(dsn: str) -> None:
    """Bring a database to this code's schema.

    Raises:
        StoreUnavailable: The database does not answer.
        SchemaTooNew: A newer version wrote it.
        ConfigInvalid: The database does not keep what it says it has committed.
    """
    engine = _engine(dsn)
    try:
        await _migrate(engine)
    finally:
        await engine.dispose()


async def _migrate(engine: AsyncEngine) -> None:
    try:
        async with engine.begin() as connection:
            for setting in ("synchronous_commit", "fsync", "full_page_writes"):
                value = (await connection.execute(text(f"SHOW {setting}"))).scalar_one()
                if value == "off":
                    raise ConfigInvalid(f"store: PostgreSQL runs with {setting} = off, so what is accepted can be lost")
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {KEY_SCHEMA}"))
            await connection.run_sync(upgrade, "keys", KEY_SCHEMA)
            await connection.run_sync(upgrade, "main")
    except Exception as error:  # noqa: BLE001 - no driver error leaves the store
        raise postgres_failure(error, "migration") from None


async def open_postgres(dsn: str) -> PostgresStore:
    """Open the store in a PostgreSQL database, making or upgrading the schema.

    Raises:
        ConfigInvalid: Not a PostgreSQL URL, or the database does not keep what it says it has committed.
        StoreUnavailable: The database does not answer.
        StoreCorrupt: The database is damaged.
        SchemaTooNew: A newer version wrote it.
    """
    engine = _engine(dsn)
    try:
        await _migrate(engine)
    except BaseException:
        await engine.dispose()
        raise
    store = PostgresStore(engine)
    await store.start()
    return store
