"""Entries for a log of any size, put into a closed store beside the ordinary way; the integrator finds them waiting."""

import os
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import Table, make_url

from gateway.exchange.steps import step
from gateway.ids import uuid7
from gateway.store.log import log_columns
from gateway.store.log_tables import log_disclosure, log_entry, log_waiting
from gateway.store.sqlite_home import STORE_FILE
from gateway.store.transaction import LogColumns
from gateway.translog.entry import EventType

STEP_MS: Final = 500
"""Time between two entries."""
_ROWS: Final = 10_000
"""Loaded in one piece."""


def steps(count: int, until_ms: int) -> Iterator[LogColumns]:
    """Yield steps of messages going out and coming in, in the order of time, under leaves that verify."""
    for number in range(count):
        time_ms = until_ms - (count - number) * STEP_MS
        message, received = uuid7(time_ms), number % 2
        yield log_columns(
            step(
                EventType.MESSAGE_RECEIVED if received else EventType.MESSAGE_RELEASED,
                time_ms,
                actor="partner/th" if received else "system/early-warning",
                partner="th",
                subject=message,
                thread=message,
                digest=message + message,
                detail="alert actual U2",
            )
        )


def _pieces(rows: Iterator[LogColumns], first: int) -> Iterator[list[tuple[int, LogColumns]]]:
    numbered = enumerate(rows, first)
    while piece := list(islice(numbered, _ROWS)):
        yield piece


def load_sqlite(home: Path, rows: Iterator[LogColumns], first: int) -> None:
    """Add entries, the first of which gets this position."""
    connection = sqlite3.connect(home / STORE_FILE, isolation_level=None)
    # Only the load is fast and unsafe; the store opens its files with settings of its own.
    connection.execute("pragma journal_mode=memory")
    connection.execute("pragma synchronous=off")
    connection.execute("pragma cache_size=-300000")
    for piece in _pieces(rows, first):
        connection.execute("begin")
        connection.executemany(_insert(log_entry), [(position, row[0]) for position, row in piece])
        connection.executemany(_insert(log_disclosure), [(position, *row[1:]) for position, row in piece])
        connection.execute("commit")
    connection.execute("pragma journal_mode=wal")
    connection.close()
    # What the system still has to write of the load must not be written while the store is measured.
    os.sync()


def _insert(table: Table) -> str:
    columns = [column.name for column in table.columns]
    # The columns as the gateway's own statements name them, whatever order the file has them in.
    return f"insert into {table.name} ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"


async def load_postgres(url: str, rows: Iterator[LogColumns], first: int) -> None:
    """Add entries that wait for their positions, in this order."""
    import asyncpg

    place = make_url(url)
    connection = await asyncpg.connect(host=str(place.query["host"]), user=place.username, database=place.database)
    try:
        for piece in _pieces(rows, first):
            await connection.copy_records_to_table(
                log_waiting.name,
                records=[(position, *row) for position, row in piece],
                columns=[column.name for column in log_waiting.columns],
            )
    finally:
        await connection.close()
