"""The files of an embedded store: how they are locked, made, upgraded and opened."""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from gateway.errors import StoreCorrupt, StoreUnavailable
from gateway.store.failures import sqlite_failure
from gateway.store.migrate import Room, upgrade
from gateway.store.tables import KEY_SCHEMA

STORE_FILE: Final = "store.db"
KEYS_FILE: Final = "keys.db"
LOCK_FILE: Final = "store.lock"
_STATEMENTS: Final = 512
"""More than there are statements in all their sizes, so that none is prepared twice."""
_CACHE_KIB: Final = 32 * 1024


def connect(path: Path | None, mode: str) -> sqlite3.Connection:
    """Open a database file, mode ro or rw; or, without a path, an empty database that files are attached to."""
    connection = sqlite3.connect(
        ":memory:" if path is None else f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    # Sorting must not leave content in temporary files.
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def tune(connection: sqlite3.Connection, schema: str) -> None:
    """Make the writer's connection durable at every commit."""
    connection.execute(f"PRAGMA {schema}.journal_mode=WAL")
    connection.execute(f"PRAGMA {schema}.synchronous=FULL")
    connection.execute(f"PRAGMA {schema}.cache_size=-{_CACHE_KIB}")


def attach_keys(connection: sqlite3.Connection, home: Path, mode: str) -> None:
    """Let statements name the key store's tables as on the other engine."""
    connection.execute(f"ATTACH ? AS {KEY_SCHEMA}", (f"file:{quote(str(home / KEYS_FILE))}?mode={mode}",))


def lock_home(home: Path) -> int:
    """Make a home where there is none, and return the descriptor of its lock.

    Raises:
        StoreUnavailable: Another process has the home.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreUnavailable(f"another process uses the store in {home}") from None
    return descriptor


def _migrate_file(path: Path, room: Room) -> None:
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


def migrate_files(home: Path) -> None:
    """Bring both files to this code's schema; make them when there are none.

    Raises:
        StoreUnavailable: The disk does not take it.
        StoreCorrupt: The files are damaged or no databases.
        SchemaTooNew: A newer version wrote them.
    """
    try:
        _migrate_file(home / KEYS_FILE, "keys")
        _migrate_file(home / STORE_FILE, "main")
    except DBAPIError as error:
        cause = error.orig if error.orig is not None else error
        raise sqlite_failure(cause, "migration") from None
    except UnicodeDecodeError:
        raise StoreCorrupt("the database is damaged: its schema is no text") from None
