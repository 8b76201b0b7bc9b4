"""Drivers' errors in our words. No driver exception leaves the store, and none of their texts: they can hold values."""

import sqlite3
from typing import Final

from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import GatewayError, StoreCorrupt, StoreUnavailable

_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_UNAVAILABLE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk gives errors",
    sqlite3.SQLITE_BUSY: "another program has locked the database",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_READONLY: "the database is not writable",
    sqlite3.SQLITE_PERM: "the database may not be accessed",
    sqlite3.SQLITE_INTERRUPT: "the database was interrupted",
    sqlite3.SQLITE_PROTOCOL: "the database's lock protocol failed",
}


def sqlite_failure(error: BaseException, doing: str) -> BaseException:
    """Return what an exception of a statement means to the caller; a programmer's mistake stays one."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if isinstance(code, int) else None
        if code is None and isinstance(error, sqlite3.OperationalError):
            # Python's own and the only one of its kind: a stored text is no UTF-8. Its words would show that text.
            return StoreCorrupt("the database is damaged: a stored text is none")
        if primary in _CORRUPT:
            return StoreCorrupt(f"the database is damaged (SQLite {error.sqlite_errorname})")
        if primary in _UNAVAILABLE:
            return StoreUnavailable(f"{_UNAVAILABLE[primary]} (SQLite {error.sqlite_errorname})")
        return RuntimeError(f"{doing} failed: {type(error).__name__}")
    if isinstance(error, MemoryError):
        return StoreUnavailable("there is no memory left")
    return RuntimeError(f"{doing} failed: {type(error).__name__}")


_POSTGRES_CORRUPT: Final = {"XX001", "XX002"}
_POSTGRES_UNAVAILABLE: Final = {
    "08": "the connection to the database is lost",
    "53": "the database has run out of disk, memory or connections",
    "57": "the database is going down or coming up",
    "58": "the database's disk gives errors",
    "25": "the database is not writable",
    "55": "the database is locked",
    "28": "the database refuses us",
    "3D": "there is no such database",
}


def postgres_state(error: BaseException) -> str | None:
    """Return the SQLSTATE of a driver's error; None when it has none."""
    seen: BaseException | None = error
    while seen is not None:
        state = getattr(seen, "sqlstate", None)
        if isinstance(state, str):
            return state
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


def postgres_failure(error: BaseException, doing: str) -> BaseException:
    """Return what an exception of a statement means to the caller; a programmer's mistake stays one."""
    if isinstance(error, GatewayError):
        return error
    state = postgres_state(error)
    if state in _POSTGRES_CORRUPT:
        return StoreCorrupt(f"the database is damaged (SQLSTATE {state})")
    if state is not None and state[:2] in _POSTGRES_UNAVAILABLE:
        return StoreUnavailable(f"{_POSTGRES_UNAVAILABLE[state[:2]]} (SQLSTATE {state})")
    if state is None and _lost(error):
        return StoreUnavailable("the database does not answer")
    return RuntimeError(f"{doing} failed: {type(error).__name__}, SQLSTATE {state}")


def _lost(error: BaseException) -> bool:
    """Tell whether an error without a state is about the connection."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None:
        chain.append(seen)
        seen = getattr(seen, "orig", None) or seen.__cause__
    names = {type(item).__name__ for item in chain}
    if "DataError" in names:
        return False  # a value that does not fit its type, which the driver counts among its interface errors
    # The last three are the driver's own words for a connection that is closed under it.
    return any(isinstance(item, OSError | TimeoutError | PoolTimeout) for item in chain) or not names.isdisjoint(
        {"InterfaceError", "ConnectionDoesNotExistError", "InternalClientError"}
    )
