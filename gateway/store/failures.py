"""Drivers' errors in our words. No driver exception leaves the store, and none of their texts, which may hold values."""

import sqlite3
from typing import Final

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
        if primary in _CORRUPT:
            return StoreCorrupt(f"the database is damaged (SQLite {error.sqlite_errorname})")
        if primary in _UNAVAILABLE:
            return StoreUnavailable(f"{_UNAVAILABLE[primary]} (SQLite {error.sqlite_errorname})")
        return RuntimeError(f"{doing} failed: {type(error).__name__}")
    if isinstance(error, MemoryError):
        return StoreUnavailable("there is no memory left")
    return RuntimeError(f"{doing} failed: {type(error).__name__}")
