"""Copies of an embedded store that belong together, made while its gateway runs or not.

Two files are copied one after the other, so the second is younger, and the order is ours to choose. Messages first: a
key without its message is harmless, a message without its key is lost. What the exchange log signed last is marked
beside the keys, though, and a mark that is younger than the log beside it looks like a log that was restored from an
older copy. So the mark is set back in the copy to what the copied log has signed; but only when the running store bears
the mark out. One that it does not bear out is the trace of a real loss, and stays.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete

from gateway.errors import LogInconsistent, StoreUnavailable
from gateway.store.failures import sqlite_failure
from gateway.store.log import LAST_CHECKPOINT, PUT_MARK, StoredTiles
from gateway.store.log_reading import MARK, STATE
from gateway.store.log_tables import log_mark
from gateway.store.sqlite_home import KEYS_FILE, STORE_FILE, attach_keys, connect, lock_home
from gateway.store.statement import Statement
from gateway.store.transaction import Session
from gateway.translog.merkle import MAX_SIZE, tree_root

_COPY: Final = "VACUUM INTO ?"
NO_MARK: Final = Statement(delete(log_mark))


def copy_store(data: Path, messages: Path, keys: Path, copied: Callable[[str], None] = lambda _: None) -> None:
    """Copy the two databases of a store to directories of their own.

    Args:
        data: Where the store is; it is only read.
        messages: An existing directory, for `store.db`.
        keys: An existing directory, for `keys.db`: whoever has both can read messages, with the keyring.
        copied: Called with the name of each file when it is there.

    Raises:
        StoreUnavailable: There is no store, a copy is there already, or the disk does not take it.
        StoreCorrupt: The store is damaged.
    """
    if not (data / STORE_FILE).is_file() or not (data / KEYS_FILE).is_file():
        raise StoreUnavailable(f"there is no store in {data}")
    try:
        with _reading(data) as mode, contextlib.closing(connect(data / STORE_FILE, mode)) as store:
            _copy(store, messages / STORE_FILE)
            copied(STORE_FILE)
            with contextlib.closing(connect(data / KEYS_FILE, mode)) as key_store:
                _copy(key_store, keys / KEYS_FILE)
            _fit_mark(store, messages, keys)
            copied(KEYS_FILE)
    except sqlite3.Error as error:
        raise sqlite_failure(error, "a backup") from None
    except OSError as error:
        raise StoreUnavailable(f"the copy cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _reading(data: Path) -> Iterator[str]:
    """Yield how to open the files: while a gateway writes, only to read, for two writers can damage a WAL.

    Without one, reading needs the files beside the database that only a writer makes; then nobody else may begin.
    """
    try:
        lock = lock_home(data)
    except StoreUnavailable:
        yield "ro"
        return
    try:
        yield "rw"
    finally:
        os.close(lock)


def _copy(source: sqlite3.Connection, target: Path) -> None:
    try:
        # Ours alone from the first byte on; SQLite writes into an empty file.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        raise StoreUnavailable(f"{target} is there already") from None
    source.execute(_COPY, (str(target),))
    _sync(target)


def _fit_mark(store: sqlite3.Connection, messages: Path, keys: Path) -> None:
    with contextlib.closing(connect(None, "rw")) as connection, contextlib.closing(connection.cursor()) as cursor:
        attach_keys(connection, keys, "rw")
        mark = Session(cursor, "sqlite").row(MARK)
        if mark is None:
            return
        with contextlib.closing(connect(messages / STORE_FILE, "rw")) as copy:
            if _bears_out(copy, *mark) or not _bears_out(store, *mark):
                return
            signed = _signed(copy)
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(*NO_MARK.bind("sqlite", {}))
        for sql, parameters in PUT_MARK.bind("sqlite", [] if signed is None else [(1, *signed)]):
            cursor.execute(sql, parameters)
        cursor.execute("COMMIT")
    _sync(keys / KEYS_FILE)


def _session(connection: sqlite3.Connection) -> tuple[Session, Any]:
    session = Session(connection.cursor(), "sqlite")
    return session, session.row(STATE)


def _bears_out(connection: sqlite3.Connection, size: int, root: bytes) -> bool:
    """Return whether the log of a store has had this root at this size."""
    session, state = _session(connection)
    if state is None or state[3] < size:
        return False
    try:
        return tree_root(StoredTiles(session, state[0]), size) == root
    except LogInconsistent:
        return False


def _signed(connection: sqlite3.Connection) -> tuple[int, bytes] | None:
    session, state = _session(connection)
    base = state[2] if state is not None else 0
    last = session.row(LAST_CHECKPOINT, after_size=base, last_size=MAX_SIZE)
    return None if last is None else (last[0] - base, last[2])


def _sync(path: Path) -> None:
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
