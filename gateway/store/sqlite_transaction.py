"""Transactions of the embedded engine: numbers from memory, keys to their own file."""

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, update

from gateway.store.events import ADD_EVENTS, EventColumns
from gateway.store.log import ADD_DISCLOSURES, ADD_ENTRIES, LOG_BATCH, PUT_MARK
from gateway.store.log_tables import log_entry
from gateway.store.statement import Insert, Statement
from gateway.store.tables import COUNTERS, KEY_SCHEMA, WAITING, event, message_key, outbox, sequencer
from gateway.store.transaction import LogColumns, Transaction

KeyRow = tuple[bytes, bytes]
"""key_id, wrapped key"""


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
    counters["log_position"] = _highest(connection, log_entry.name, log_entry.c.position.name)
    return counters


def _highest(connection: sqlite3.Connection, table: str, column: str, where: str = "") -> int:
    # Names of our own tables, not input.
    row = connection.execute(f'SELECT max("{column}") FROM "{table}"{where}').fetchone()  # noqa: S608
    return int(row[0] or 0)


PUT_KEYS: Final = Insert(message_key, skip_known=True)
"""A key that is there already came with a group whose second commit failed: it is the same."""
ERASE_KEY: Final = Statement(
    update(message_key).where(message_key.c.key_id == bindparam("of_key")).values(wrapped=bindparam("no_key"))
)


class KeyStore:
    """The file with the message keys, written by the writer thread alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def write(self, rows: Sequence[KeyRow], erased: Sequence[bytes], mark: tuple[int, bytes] | None) -> None:
        """Put and erase keys and set the mark of the exchange log, durably; raise with nothing written."""
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            if mark is not None:
                for sql, parameters in PUT_MARK.bind("sqlite", [(1, *mark)]):
                    self._cursor.execute(sql, parameters)
            for sql, parameters in PUT_KEYS.bind("sqlite", rows):
                self._cursor.execute(sql, parameters)
            for key_id in erased:
                self._cursor.execute(*ERASE_KEY.bind("sqlite", {"of_key": key_id, "no_key": b""}))
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

    def __init__(self, cursor: sqlite3.Cursor, counters: dict[str, int], *, alone: bool) -> None:
        super().__init__(cursor, "sqlite", alone=alone)
        self._counters = counters
        self.keys: list[KeyRow] = []
        self.erased: list[bytes] = []
        self.mark: tuple[int, bytes] | None = None

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

    def add_log(self, rows: Sequence[LogColumns]) -> None:
        """Enqueue entries with their positions: the order of writing is the order of commit."""
        if not rows:
            return
        first = self._counters["log_position"] + 1
        self._counters["log_position"] += len(rows)
        self.insert(ADD_ENTRIES, [(first + place, row[0]) for place, row in enumerate(rows)])
        self.insert(ADD_DISCLOSURES, [(first + place, *row[1:]) for place, row in enumerate(rows)])
        self.touch("log.new")
        if (first - 1) // LOG_BATCH != self._counters["log_position"] // LOG_BATCH:
            self.touch("log.batch")

    def lock_chains(self, partners: Sequence[str]) -> None:
        """There is one writer."""

    def skip_log(self, position: int) -> None:
        """Go on counting from here."""
        self._counters["log_position"] = max(self._counters["log_position"], position)

    def mark_log(self, size: int, root: bytes) -> None:
        """Mark in the key store, which is committed first: the mark may be ahead of the checkpoint, never behind."""
        self.mark = (size, root)

    def put_keys(self, rows: Sequence[KeyRow]) -> None:
        """Keep keys for the key store, which is committed first."""
        self.keys += rows

    def erase_key(self, key_id: bytes) -> None:
        """Have a key destroyed with this commit."""
        self.erased.append(key_id)
