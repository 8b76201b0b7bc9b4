"""Durable state: one port, two engines. Drivers are imported only here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.errors import ConfigInvalid
from gateway.ports import Store
from gateway.store.sqlite import SqliteStore, migrate_sqlite, open_sqlite
from gateway.store.sqlite_home import lock_home

__all__ = ["SqliteStore", "keep_out", "migrate", "open_sqlite", "open_store"]


def _sqlite_home(url: str) -> Path | None:
    """Return the directory of an sqlite:///... URL; None for a PostgreSQL URL.

    Raises:
        ConfigInvalid: Neither.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigInvalid("store: is not a URL") from None
    if parts.scheme == "sqlite":
        if parts.netloc or not parts.path.startswith("/") or len(parts.path) < 2 or parts.query or parts.fragment:
            raise ConfigInvalid("store: an SQLite store is named by a directory, as in sqlite:///var/lib/concord")
        # With three slashes or, as SQLAlchemy writes absolute paths, four.
        place = "/" + unquote(parts.path).lstrip("/")
        if "\x00" in place:
            raise ConfigInvalid("store: names no directory")
        return Path(place)
    if parts.scheme == "postgresql":
        return None
    raise ConfigInvalid("store: must begin with sqlite:/// or postgresql://")


async def open_store(url: str) -> Store:
    """Open the store a URL names: sqlite:///directory or postgresql://...

    Raises:
        ConfigInvalid: The URL names no engine there is.
        StoreUnavailable: The database does not answer, or another process has the home.
        StoreCorrupt: The database is damaged.
        SchemaTooNew: A newer version wrote it.
    """
    home = _sqlite_home(url)
    if home is not None:
        return await open_sqlite(home)
    from gateway.store.postgres import open_postgres

    return await open_postgres(url)


async def migrate(url: str) -> None:
    """Bring a database to this code's schema. Raises like open_store."""
    home = _sqlite_home(url)
    if home is not None:
        migrate_sqlite(home)
        return
    from gateway.store.postgres import migrate_postgres

    await migrate_postgres(url)


@contextmanager
def keep_out(url: str) -> Iterator[None]:
    """Let no gateway of this machine start on an embedded store meanwhile. Replicas on PostgreSQL are not kept out.

    Raises:
        ConfigInvalid: The URL names no engine there is.
        StoreUnavailable: A gateway runs on it.
    """
    home = _sqlite_home(url)
    if home is None:
        yield
        return
    descriptor = lock_home(home)
    try:
        yield
    finally:
        os.close(descriptor)
