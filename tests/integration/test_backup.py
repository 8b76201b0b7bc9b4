"""Copies of a gateway that runs: they open together, and only a real loss looks like one."""

import asyncio
import contextlib
import shutil
import sqlite3
import stat

import pytest

from gateway.cli.application import run as concord
from gateway.errors import StoreCorrupt, StoreUnavailable
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.steps import step
from gateway.ids import PartnerId
from gateway.ports import AppendLog, IntegrateLog, ReadLogHead
from gateway.store.backup import copy_store
from gateway.store.sqlite import open_sqlite
from gateway.translog.entry import EventType
from tests.sim.nations import Nation, Network, Secrets


async def grow(nation: Nation, count: int) -> int:
    now_ms = nation.clock.now_ms()
    entries = tuple(step(EventType.ADMINISTRATION_ACT, now_ms, actor="operator") for _ in range(count))
    await nation.store.write(AppendLog(entries))
    while await nation.store.write(IntegrateLog(1000)):
        pass
    checkpoint = await nation.log.sign_checkpoint()
    assert checkpoint is not None
    return checkpoint.size


@pytest.fixture
async def cn(tmp_path):
    nation = await Nation.start("cn", tmp_path, Network())
    yield nation
    await nation.stop()


@pytest.fixture
def places(tmp_path):
    made = [tmp_path / name for name in ("messages", "keys")]
    for place in made:
        place.mkdir(mode=0o700)
    return made


async def restored(cn: Nation, places, tmp_path) -> LogKeeper:
    home = tmp_path / "restored"
    home.mkdir()
    for place, name in zip(places, ("store.db", "keys.db"), strict=True):
        shutil.copy2(place / name, home)
    store = await open_sqlite(home)
    return LogKeeper(directory=cn.directory, store=store, clock=cn.clock, keys=cn.keys)


async def signing(keeper: LogKeeper) -> str:
    """Say how the restored log does."""
    store = keeper._store
    try:
        await store.write(AppendLog((step(EventType.ADMINISTRATION_ACT, 1, actor="operator"),)))
        await store.write(IntegrateLog(1000))
        with contextlib.suppress(Exception):
            await keeper.sign_checkpoint()
        head = await store.read(ReadLogHead())
        return "signs" if head.checkpoint is not None and head.checkpoint.size == head.size else str(keeper.problem)
    finally:
        await store.close()


async def test_what_is_signed_between_the_two_copies_does_not_look_like_a_loss(cn, places, tmp_path):
    size = await grow(cn, 300)
    loop = asyncio.get_running_loop()

    def between(name: str) -> None:
        if name == "store.db":
            # While the first copy is there and the second is not: the gateway goes on.
            asyncio.run_coroutine_threadsafe(grow(cn, 20), loop).result(30)

    await asyncio.to_thread(copy_store, cn.home, *places, between)
    for place, name in zip(places, ("store.db", "keys.db"), strict=True):
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(places[1] / "keys.db")) as keys:
        assert keys.execute("SELECT size FROM log_mark").fetchall() == [(size,)]
    assert await signing(await restored(cn, places, tmp_path)) == "signs"
    # The original is as it was.
    assert (await cn.store.read(ReadLogHead())).mark[0] > size


async def test_a_first_checkpoint_between_the_two_copies_leaves_no_mark(cn, places, tmp_path):
    loop = asyncio.get_running_loop()

    def between(name: str) -> None:
        if name == "store.db":
            asyncio.run_coroutine_threadsafe(grow(cn, 20), loop).result(30)

    await asyncio.to_thread(copy_store, cn.home, *places, between)
    assert await signing(await restored(cn, places, tmp_path)) == "signs"


async def test_a_backup_of_a_log_that_lost_entries_does_not_hide_it(tmp_path, places):
    network, secrets = Network(), Secrets.generate(PartnerId("cn"), 1_795_651_200_000)
    cn = await Nation.start("cn", tmp_path, network, secrets)
    await grow(cn, 10)
    await cn.stop()
    shutil.copy2(cn.home / "store.db", tmp_path / "older.db")
    cn = await Nation.start("cn", tmp_path, network, secrets)
    await grow(cn, 10)
    await cn.stop()
    for path in cn.home.glob("store.db*"):
        path.unlink()
    shutil.copy2(tmp_path / "older.db", cn.home / "store.db")
    # Nobody runs it, and nobody has said yet what is wrong with it.
    await asyncio.to_thread(copy_store, cn.home, *places)
    cn = await Nation.start("cn", tmp_path, network, secrets)
    try:
        assert "were signed before, and only" in await signing(await restored(cn, places, tmp_path))
    finally:
        await cn.stop()


async def test_what_cannot_be_copied_is_refused_and_nothing_is_written_over(cn, places, tmp_path):
    with pytest.raises(StoreUnavailable):
        copy_store(tmp_path / "nowhere", *places)
    with pytest.raises(StoreUnavailable):
        copy_store(cn.home, tmp_path / "nowhere", places[1])
    (places[0] / "store.db").write_bytes(b"mine")
    with pytest.raises(StoreUnavailable):
        copy_store(cn.home, *places)
    assert (places[0] / "store.db").read_bytes() == b"mine"
    (places[0] / "store.db").unlink()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("store.db", "keys.db"):
        (damaged / name).write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorrupt):
        copy_store(damaged, *places)


def test_the_command_refuses_what_would_be_no_backup(tmp_path, capsys, monkeypatch):
    home = tmp_path / "home"
    words = ["init", "cn", "--generate-passphrase-file", str(tmp_path / "passphrase"), "--home", str(home)]
    assert concord(words) == 0
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    for place in (full, full / "mine", home / "backup"):
        assert concord(["backup", str(place), "--home", str(home)]) != 0
    assert [path.name for path in full.iterdir()] == ["mine"]
    assert not (home / "backup").exists()
    assert concord(["backup", str(tmp_path / "early"), "--home", str(home)]) != 0, "the gateway has never run"
    monkeypatch.setenv("CONCORD_STORE", "postgresql://gateway@localhost/gateway")
    capsys.readouterr()
    assert concord(["backup", str(tmp_path / "other"), "--home", str(home), "--json"]) != 0
    assert "STORE_ELSEWHERE" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
