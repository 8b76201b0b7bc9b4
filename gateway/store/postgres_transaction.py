"""Transactions of the shared engine: numbers from SQL sequences, events in waiting, NOTIFY with the commit."""

import json
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Integer, String, bindparam, func, literal_column, select, update

from gateway.store.events import ADD_WAITING_EVENTS, EventColumns
from gateway.store.log import ADD_WAITING, LOG_BATCH, PUT_MARK
from gateway.store.statement import Insert, Statement, constant
from gateway.store.tables import COUNTERS, message_key
from gateway.store.transaction import Cursor, LogColumns, Transaction

CHANNEL: Final = "concord"
_PAYLOAD_TOPICS: Final = 200
"""Topics in one notification: its payload ends at 8,000 bytes."""

TAKE: Final = {
    name: Statement(
        select(func.nextval(literal_column(f"'{name}_number'"))).select_from(
            func.generate_series(1, bindparam("amount", type_=Integer)).alias("place")
        )
    )
    for name in (*COUNTERS, "log")
}
PUT_KEYS: Final = Insert(message_key)
ERASE_KEY: Final = Statement(
    update(message_key).where(message_key.c.key_id == bindparam("of_key")).values(wrapped=bindparam("no_key"))
)
_CHAINS: Final = 0x616C
"""Class of the advisory locks of alerts."""
LOCK_CHAINS: Final = Statement(
    select(func.pg_advisory_xact_lock(constant(_CHAINS), bindparam("number", type_=Integer)))
)
NOTIFY: Final = Statement(select(func.pg_notify(CHANNEL, bindparam("topics", type_=String))))


class PostgresTransaction(Transaction):
    """A transaction among those of other replicas."""

    def __init__(self, cursor: Cursor, *, alone: bool) -> None:
        super().__init__(cursor, "postgresql", alone=alone)

    def take(self, counter: str, count: int) -> Sequence[int]:
        """Return fresh numbers; others may take some in between."""
        return sorted(row[0] for row in self.rows(TAKE[counter], amount=count)) if count else []

    def add_events(self, rows: Sequence[EventColumns]) -> None:
        """Add events that wait for their positions."""
        if rows:
            numbers = self.take("event", len(rows))
            self.insert(ADD_WAITING_EVENTS, [(number, *row) for number, row in zip(numbers, rows, strict=True)])
            self.touch("events")

    def add_log(self, rows: Sequence[LogColumns]) -> None:
        """Enqueue entries that wait for their positions."""
        if rows:
            numbers = self.take("log", len(rows))
            self.insert(ADD_WAITING, [(number, *row) for number, row in zip(numbers, rows, strict=True)])
            self.touch("log.new")
            if len(rows) >= LOG_BATCH:
                self.touch("log.batch")

    def lock_chains(self, partners: Sequence[str]) -> None:
        """Wait for other replicas: an alert and its cancellation, committed at once, would not see each other."""
        for partner in partners:
            self.rows(LOCK_CHAINS, number=int.from_bytes(partner.encode()))

    def skip_log(self, position: int) -> None:
        """Nothing to do: positions are given by whoever integrates, after the size of the tree."""

    def mark_log(self, size: int, root: bytes) -> None:
        """Set the mark with this very commit."""
        self.insert(PUT_MARK, [(1, size, root)])

    def put_keys(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep keys in their schema, with this very commit."""
        self.insert(PUT_KEYS, rows)

    def erase_key(self, key_id: bytes) -> None:
        """Erase a key with this commit."""
        self.run(ERASE_KEY, of_key=key_id, no_key=b"")

    def notify(self) -> None:
        """Tell the other replicas what is touched, once this is committed."""
        topics = sorted(self.topics)
        for start in range(0, len(topics), _PAYLOAD_TOPICS):
            self.rows(NOTIFY, topics=json.dumps(topics[start : start + _PAYLOAD_TOPICS]))
