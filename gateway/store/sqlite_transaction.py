"""Transactions of the embedded engine: numbers from memory, keys to their own file."""

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, select, update

from gateway.ids import PartnerId
from gateway.store.events import ADD_EVENTS, EventColumns
from gateway.store.statement import Insert, Statement
from gateway.store.tables import COUNTERS, KEY_SCHEMA, WAITING, event, message_key, outbox, sequencer
from gateway.store.transaction import Transaction

KeyRow = tuple[bytes, str, bytes]
"""message_id, sender, wrapped key"""


def load_counters(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the highest number given so far by each counter, and by positions."""
    counters = {}
    for name, column in COUNTERS.items():
        # Places in a queue only mean something among rows that wait, and only those are in an index.
        where = f" WHERE state = {WAITING}" if column is outbox.c.sequence else ""
        counters[name] = _highest(connection, column.table.name, column.name, where)
    counters["position"] = max(
        _highest(connection, event.name, event.c.position.name),
        _highest(connection, sequencer.name, sequencer.c.position.name),
    )
    return counters


def _highest(connection: sqlite3.Connection, table: str, column: str, where: str = "") -> int:
    # Names of our own tables, not input.
    row = connection.execute(f'SELECT max("{column}") FROM "{table}"{where}').fetchone()  # noqa: S608
    return int(row[0] or 0)


PUT_KEYS: Final = Insert(message_key, key=("message_id", "sender"), replace=("wrapped",))
"""A key that is there already belongs to a message whose commit never came: it is replaced."""
FIND_KEY: Final = Statement(
    select(message_key.c.sender).where(
        message_key.c.message_id == bindparam("of_message"), message_key.c.sender == bindparam("of_sender")
    )
)
ERASE_KEY: Final = Statement(
    update(message_key)
    .where(message_key.c.message_id == bindparam("of_message"), message_key.c.sender == bindparam("of_sender"))
    .values(wrapped=bindparam("no_key"))
)


class KeyStore:
    """The file with the message keys, written by the writer thread alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def has(self, message_id: bytes, sender: str) -> bool:
        """Tell whether there is a key, erased or not."""
        self._cursor.execute(*FIND_KEY.bind("sqlite", {"of_message": message_id, "of_sender": sender}))
        return bool(self._cursor.fetchall())

    def write(self, rows: Sequence[KeyRow], erased: Sequence[tuple[bytes, str]]) -> None:
        """Put and erase keys, durably; raise with nothing written."""
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            for sql, parameters in PUT_KEYS.bind("sqlite", rows):
                self._cursor.execute(sql, parameters)
            for message_id, sender in erased:
                values = {"of_message": message_id, "of_sender": sender, "no_key": b""}
                self._cursor.execute(*ERASE_KEY.bind("sqlite", values))
            self._cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            raise
        if erased:
            # Older pages in the WAL still hold the key: have them written over, and the WAL cut off.
            self.checkpoint("TRUNCATE")

    def checkpoint(self, mode: str) -> None:
        """Move the WAL into the database."""
        self._cursor.execute(f"PRAGMA {KEY_SCHEMA}.wal_checkpoint({mode})").fetchall()

    def close(self) -> None:
        """Close."""
        self._cursor.close()
        self._connection.close()


class SqliteTransaction(Transaction):
    """A transaction of the only writer."""

    def __init__(self, cursor: sqlite3.Cursor, counters: dict[str, int], key_store: KeyStore, *, alone: bool) -> None:
        super().__init__(cursor, "sqlite", alone=alone)
        self._counters = counters
        self._key_store = key_store
        self.keys: list[KeyRow] = []
        self.erased: list[tuple[bytes, str]] = []

    def take(self, counter: str, count: int) -> Sequence[int]:
        """Return fresh numbers: nobody else gives any."""
        first = self._counters[counter] + 1
        self._counters[counter] += count
        return range(first, first + count)

    def add_events(self, rows: Sequence[EventColumns]) -> None:
        """Add events with their positions: the order of writing is the order of commit."""
        if rows:
            first = self._counters["position"] + 1
            self._counters["position"] += len(rows)
            self.insert(ADD_EVENTS, [(first + place, *row) for place, row in enumerate(rows)])
            self.touch("events")

    def put_keys(self, rows: Sequence[KeyRow]) -> None:
        """Keep keys for the key store, which is committed first."""
        self.keys += rows

    def erase_key(self, message_id: bytes, sender: PartnerId) -> bool:
        """Have a key destroyed with this commit."""
        known = self._key_store.has(message_id, sender.code)
        if known:
            self.erased.append((message_id, sender.code))
        return known
