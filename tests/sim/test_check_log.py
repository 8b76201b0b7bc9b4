"""A log checked page by page: everything is looked at, little is held, and the event loop does none of the hashing."""

import asyncio
import contextlib
import shutil
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.exchange import check_log as checking
from gateway.exchange.check_log import CHECK_ROWS, check_log
from gateway.ports import Checkpoints, ReadLog
from tests.sim.nations import Nation, Network, Secrets
from tests.sim.test_partner_logs import grow

SIZES = (1, 1, 2, 252, 1, 3, 700, 256, 31, 1)
"""Checkpoints beside one another, on the edge of a tile and on both sides of it, and pages without one."""


@dataclass(frozen=True)
class Made:
    """A home with a log, and the sizes that were signed."""

    home: Path
    secrets: Secrets
    signed: list[int]


async def make(home: Path) -> Made:
    nation = await Nation.start("cn", home, Network())
    signed = [await grow(nation, count) for count in SIZES]
    await nation.stop()
    return Made(home, nation.secrets, signed)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return asyncio.run(make(tmp_path_factory.mktemp("checked")))


async def opened(made: Made, at: Path, change: str = "") -> Nation:
    """Start a nation on a copy, changed as told."""
    (at / "cn").mkdir()
    for path in (made.home / "cn").glob("*.db*"):
        shutil.copy2(path, at / "cn")
    if change:
        with contextlib.closing(sqlite3.connect(at / "cn" / "store.db")) as store:
            assert store.execute(change).rowcount == 1
            store.commit()
    return await Nation.start("cn", at, Network(), made.secrets)


async def checked(nation: Nation, store=None) -> checking.CheckProgress:
    head = await nation.log.head()
    last = None
    async for last in check_log(store or nation.store, head, nation.log.own_keys(head.origin)):
        assert last.checked <= head.size
    assert last is not None
    assert last.done
    return last


class Watched:
    """A store that notes how much is asked of it at once."""

    def __init__(self, store) -> None:
        self._store = store
        self.largest = 0

    async def read(self, query):
        if isinstance(query, ReadLog | Checkpoints):
            assert query.max_rows <= CHECK_ROWS
        answer = await self._store.read(query)
        if isinstance(answer, tuple):
            self.largest = max(self.largest, len(answer))
        return answer


async def test_every_entry_tile_and_checkpoint_is_checked_in_small_pages_away_from_the_loop(
    made, tmp_path, monkeypatch
):
    nation = await opened(made, tmp_path)
    threads = set()
    hashed, signed = checking.leaf_hash, checking.open_with

    def leaf_hash(data):
        threads.add(threading.get_ident())
        return hashed(data)

    def open_with(*given):
        threads.add(threading.get_ident())
        return signed(*given)

    try:
        size = made.signed[-1]
        monkeypatch.setattr(checking, "leaf_hash", leaf_hash)
        monkeypatch.setattr(checking, "open_with", open_with)
        store = Watched(nation.store)
        found = await checked(nation, store)
        assert (found.problems, found.checked, found.disclosed, found.erased) == ([], size, size, 0)
        assert found.checkpoints == len(SIZES)
        assert store.largest == CHECK_ROWS
        assert threading.get_ident() not in threads
    finally:
        await nation.stop()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "update log_checkpoint set note = (select note from log_checkpoint where size={s[1]}) where size={s[2]}",
            "the checkpoint of {s[2]} entries states another tree than the entries make",
        ),
        (
            "update log_checkpoint set note = cast('no note' as blob) where size = {s[3]}",
            "the checkpoint of {s[3]} entries: ",
        ),
        ("update log_checkpoint set size = 5000 where size = {s[4]}", "a checkpoint of 5000 entries is signed"),
        ("delete from log_entry where position = 700", "entries from 512 on are missing"),
        ("update log_disclosure set detail = 'x' where position = 9", "entry 8: "),
        ("update log_tile set hashes = zeroblob(8192) where id = 2", "tile 0/2 is not the one that the entries make"),
        ("update log_state set root = zeroblob(32)", "the root of the entries is not the root that is stored"),
    ],
)
async def test_what_is_wrong_is_named_wherever_it_is(made, tmp_path, change, problem):
    nation = await opened(made, tmp_path, change.format(s=made.signed))
    try:
        (found,) = (await checked(nation)).problems
        assert found.startswith(problem.format(s=made.signed))
    finally:
        await nation.stop()
