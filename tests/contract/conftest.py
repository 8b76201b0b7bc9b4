"""Both engines, each with a fresh store per test; the same tests run over either."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url

from gateway.ports import Store
from gateway.store import migrate, open_store
from gateway.store.tables import key_metadata, metadata
from gateway.translog.merkle import EMPTY_ROOT
from tests.contract.samples import Maker
from tests.fixtures.postgres import Server, postgres_server

__all__ = ["postgres_server"]


@dataclass
class Engine:
    """Where stores of one test live."""

    name: str
    url: str
    server: Server | None
    open: Callable[[], Awaitable[Store]]


@pytest.fixture(scope="session")
def migrated_home(tmp_path_factory) -> Path:
    """An empty SQLite home, to be copied."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    home = tmp_path_factory.mktemp("migrated") / "home"
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, migrate(f"sqlite://{home}")).result()
    return home


@pytest.fixture(scope="session")
def contract_database(postgres_server) -> str:
    """One PostgreSQL database for all tests: making one for each writes 8 MB and 300 files a time."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    url = postgres_server.create_database()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, migrate(url)).result()
    return url


def empty(server: Server, url: str) -> None:
    """Delete all rows, and start positions anew."""
    names = [*metadata.tables, *key_metadata.tables]
    deletes = "".join(f"DELETE FROM {name};" for name in names if name not in {"sequencer", "log_state"})
    root = EMPTY_ROOT.hex()
    resets = (
        "UPDATE sequencer SET position = 0;"
        f"UPDATE log_state SET origin = '', number = 1, base = 0, size = 0, root = '\\x{root}';"
    )
    server.sql(f"DO $$ BEGIN {deletes} {resets} END $$", make_url(url).database)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def engine(request, tmp_path, migrated_home) -> AsyncIterator[Engine]:
    """An empty database of one engine; every store opened from it is closed at the end."""
    opened: list[Store] = []
    server = None
    if request.param == "sqlite":
        home = tmp_path / "home"
        shutil.copytree(migrated_home, home)
        url = f"sqlite://{home}"
    else:
        server = request.getfixturevalue("postgres_server")
        url = request.getfixturevalue("contract_database")
        empty(server, url)

    async def open_one() -> Store:
        store = await open_store(url)
        opened.append(store)
        return store

    yield Engine(request.param, url, server, open_one)
    for store in opened:
        await store.close()


@pytest.fixture
async def store(engine) -> Store:
    """An open, empty store."""
    return await engine.open()


@pytest.fixture
def make() -> Maker:
    """Makes messages."""
    return Maker()
