"""What operations and queries work on: statements in, rows out, on whatever engine.

A handler takes all operations of its kind that share a commit, in order, and returns one result each. It refuses an
operation by returning LeaseLost in its place, before it has written anything for it; an error raised rolls back the
whole group, which is then tried again one by one (`alone`).
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gateway.errors import LeaseLost
from gateway.ports import Operation, Query
from gateway.store.statement import Engine, Insert, Lookup, Statement

Row = Any
"""A tuple from the driver."""
LogColumns = tuple[bytes, int, int, str, str, bytes, bytes, bytes, str, str, str, bytes]
"""leaf, type, time_ms, actor, partner, subject, thread, digest, outcome, reason, detail, salts"""


class Cursor(Protocol):
    """The part of a DB-API cursor that is used."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, parameters: Any = ..., /) -> object: ...
    def fetchall(self) -> list[Any]: ...


class Session:
    """A snapshot to read from."""

    def __init__(self, cursor: Cursor, engine: Engine) -> None:
        self._cursor = cursor
        self._engine = engine

    def rows(self, statement: Statement, **values: object) -> list[Row]:
        """Return the rows of a query."""
        self._cursor.execute(*statement.bind(self._engine, values))
        return self._cursor.fetchall()

    def row(self, statement: Statement, **values: object) -> Row | None:
        """Return the first row, or None."""
        found = self.rows(statement, **values)
        return found[0] if found else None

    def look_up(self, lookup: Lookup, keys: Sequence[Any], **values: object) -> list[Row]:
        """Return the rows for any of the keys; none for no keys."""
        found: list[Row] = []
        for sql, parameters in lookup.bind(self._engine, keys, values):
            self._cursor.execute(sql, parameters)
            found += self._cursor.fetchall()
        return found


class Transaction(Session):
    """A transaction that writes."""

    def __init__(self, cursor: Cursor, engine: Engine, *, alone: bool) -> None:
        super().__init__(cursor, engine)
        self.alone = alone
        """The group has failed together and is tried one by one: trust nothing that can be looked up."""
        self.topics: set[str] = set()

    def run(self, statement: Statement, **values: object) -> int:
        """Execute and return how many rows it touched."""
        self._cursor.execute(*statement.bind(self._engine, values))
        return self._cursor.rowcount

    def run_for(self, lookup: Lookup, keys: Sequence[Any], **values: object) -> None:
        """Execute for all rows that have one of the keys."""
        for sql, parameters in lookup.bind(self._engine, keys, values):
            self._cursor.execute(sql, parameters)

    def insert(self, insert: Insert, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""
        for sql, parameters in insert.bind(self._engine, rows):
            self._cursor.execute(sql, parameters)

    def touch(self, topic: str) -> None:
        """Wake the topic's subscribers once this is committed."""
        self.topics.add(topic)

    def touch_outbox(self, partner: str) -> None:
        """Wake whoever sends to the partner."""
        self.topics.add(f"outbox/{partner}")

    @abstractmethod
    def take(self, counter: str, count: int) -> Sequence[int]:
        """Return fresh numbers of a counter of tables.COUNTERS, rising."""

    @abstractmethod
    def add_events(self, rows: Sequence[tuple[int, int, str, bytes, str, str]]) -> None:
        """Add events: type, time_ms, sender, message_id, partner, reason."""

    @abstractmethod
    def add_log(self, rows: Sequence[LogColumns]) -> None:
        """Enqueue entries of the exchange log."""

    @abstractmethod
    def lock_chains(self, partners: Sequence[str]) -> None:
        """Let nobody else place alerts of these partners until this is committed."""

    @abstractmethod
    def skip_log(self, position: int) -> None:
        """Give the next entry of the exchange log a position beyond this one."""

    @abstractmethod
    def mark_log(self, size: int, root: bytes) -> None:
        """Mark in the key store what was signed of the exchange log, not later than this commit."""

    @abstractmethod
    def put_keys(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep wrapped message keys: key_id, key."""

    @abstractmethod
    def erase_key(self, key_id: bytes) -> None:
        """Destroy a message key."""


Handler = Callable[[Transaction, Sequence[Any]], list[Any]]
"""Takes operations of one kind, returns a result or a LeaseLost for each."""


def one_by_one(apply: Callable[[Transaction, Any], object]) -> Handler:
    """Return a handler of an operation that is rare enough to need no batching."""

    def handler(tx: Transaction, operations: Sequence[Operation[Any]]) -> list[Any]:
        results: list[Any] = []
        for operation in operations:
            try:
                results.append(apply(tx, operation))
            except LeaseLost as error:
                results.append(error)
        return results

    return handler


Answer = Callable[[Session, Any], object]
"""Answers queries of one kind."""

Operations = dict[type[Operation[Any]], Handler]
Queries = dict[type[Query[Any]], Answer]
