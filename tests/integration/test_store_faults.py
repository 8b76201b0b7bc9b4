"""What the store withstands: dying at every commit point, full disks, damaged pages, two processes on one home."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from gateway.errors import StoreCorrupt, StoreUnavailable
from gateway.ids import MessageId
from gateway.model.header import Urgency
from gateway.ports import (
    CountMessages,
    EraseMessage,
    EventRange,
    FindMessage,
    SubmissionStatus,
    WaitingEnvelopes,
)
from gateway.store import migrate, open_sqlite, open_store
from tests.contract.samples import CN, TH, Maker, log_entry, receive, submit
from tests.fixtures.postgres import Server, initdb, postgres_server, prepare, require_wheel, running

__all__ = ["postgres_server"]

ROOT = Path(__file__).parents[2]
QUEUE = WaitingEnvelopes(partner=TH, urgency=Urgency.U2, after_sequence=0, max_rows=1000, max_bytes=10**9)


def child(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tests.integration.store_child", *map(str, arguments)]


async def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, child(*arguments), capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )


def promises(output: str) -> dict[str, list[list[str]]]:
    said: dict[str, list[list[str]]] = {}
    for line in output.splitlines():
        word, *rest = line.split()
        said.setdefault(word, []).append(rest)
    return said


async def find(store, sender, raw: str):
    return await store.read(FindMessage(sender=sender, message_id=MessageId(bytes.fromhex(raw)), held=True))


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("point", ["keys-before", "keys-after", "main-before", "main-after"])
async def test_killed_at_a_commit_point_it_keeps_every_promise(tmp_path, point, count):
    home = tmp_path / "home"
    result = await run("kill", home, point, count)
    assert result.returncode == -signal.SIGKILL, result.stderr
    said = promises(result.stdout)
    store = await open_sqlite(home)
    try:
        for (raw,) in said.get("sent", []):
            found = await find(store, CN, raw)
            assert found is not None
            assert found.wrapped_message_key is not None
        erased = {raw for (raw,) in said.get("erased", [])} | {raw for (raw,) in said.get("erasing", [])}
        for (raw,) in said.get("received", []):
            found = await find(store, TH, raw)
            assert found is not None
            assert raw in erased or found.wrapped_message_key is not None
        for (raw,) in said.get("erased", []):
            assert (await find(store, TH, raw)).wrapped_message_key is None
        for (raw,) in said.get("receipted", []):
            assert [delivery.state for delivery in (await find(store, CN, raw)).deliveries] == ["received"]
        # Nothing that can be read is without its key, and whoever was not answered asks again.
        await store.read(QUEUE)
        request_id, request_digest, raw = said["trying"][-1]
        again = Maker().sealed(TH, request_id=bytes.fromhex(request_id), request_digest=bytes.fromhex(request_digest))
        (answer,) = await store.write(submit(again))
        promised = [raw] in said.get("sent", [])
        if answer.status is SubmissionStatus.REPEATED:
            assert answer.message_id.raw.hex() == raw
        else:
            assert answer.status is SubmissionStatus.NEW
            assert not promised
        if point == "main-after" and count == 1:
            assert answer.status is SubmissionStatus.REPEATED
        if point != "main-after" and count == 1:
            assert answer.status is SubmissionStatus.NEW
        first, last = await store.read(EventRange())
        assert first == 1
        counts = await store.read(CountMessages())
        assert last >= len(said.get("received", []))
        assert counts.sent >= len(said.get("sent", []))
    finally:
        await store.close()
    check_files(home)


def check_files(home: Path) -> None:
    for name in ("store.db", "keys.db"):
        connection = sqlite3.connect(home / name)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    # Every message has its key; keys without a message may be left over.
    connection = sqlite3.connect(home / "store.db")
    connection.execute("ATTACH ? AS k", (str(home / "keys.db"),))
    for table in ("sent", "received"):
        lost = connection.execute(
            f"SELECT count(*) FROM {table} m LEFT JOIN k.message_key USING (key_id) WHERE wrapped IS NULL"
        ).fetchone()
        assert lost == (0,)
    connection.close()


async def test_full_disk_refuses_and_recovers_and_loses_nothing(tmp_path):
    home = tmp_path / "home"
    result = await run("full", home)
    assert result.returncode == 0, result.stderr
    said = promises(result.stdout)
    assert len(said["unavailable"]) == 5
    assert said["unavailable"][0] == ["STORE_UNAVAILABLE"]
    assert {kind for (kind,) in said["group"]} <= {"StoreUnavailable", "tuple"}
    assert ["StoreUnavailable"] in said["group"]
    # What was refused is new the second time: nothing of it had been written.
    assert [status for (status,) in said["again"]][:5] == ["NEW"] * 5
    store = await open_sqlite(home)
    for (raw,) in said["sent"]:
        assert (await find(store, CN, raw)).wrapped_message_key is not None
    assert (await store.read(CountMessages())).sent == len({raw for (raw,) in said["sent"]})
    await store.close()
    check_files(home)


async def test_second_process_on_a_home_is_refused(tmp_path):
    home = tmp_path / "home"
    with subprocess.Popen(child("hold", home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreUnavailable):
            await open_sqlite(home)
        with pytest.raises(StoreUnavailable):
            await migrate(f"sqlite://{home}")
        holder.kill()
        holder.wait()
    await (await open_sqlite(home)).close()


async def filled(home: Path, count: int = 300) -> list[MessageId]:
    """Make a store with messages, closed and checkpointed."""
    store = await open_sqlite(home)
    make = Maker()
    messages = [make.sealed(TH) for _ in range(count)]
    await store.write(submit(*messages))
    await store.write(receive(*(make.received(TH) for _ in range(count))))
    await store.close()
    return [message.message_id for message in messages]


def pages(path: Path, table: str) -> list[int]:
    """Return offsets of a table's leaf pages."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT pgoffset FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)).fetchall()
    connection.close()
    return sorted(offset for (offset,) in rows)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize(
    "damage", [bytes(4096), b"\xff" * 4096, b"\x0d" + os.urandom(4095)], ids=["zero", "ones", "junk"]
)
@pytest.mark.parametrize(("name", "table"), [("store.db", "sent"), ("store.db", "outbox"), ("keys.db", "message_key")])
async def test_damaged_page_is_a_clear_error_and_ends_writing(tmp_path, damage, name, table):
    home = tmp_path / "home"
    await filled(home)
    offsets = pages(home / name, table)
    overwrite(home / name, offsets[len(offsets) // 2], damage)
    store = await open_sqlite(home)
    with pytest.raises(StoreCorrupt):
        await store.read(QUEUE)
    with pytest.raises(StoreCorrupt):
        await store.write(submit(Maker().sealed(TH)))
    await store.close()


@pytest.mark.parametrize("column", ["header", "content_sealed", "signature", "batch_path", "digest"])
async def test_one_flipped_bit_in_a_message_is_found(tmp_path, column):
    home = tmp_path / "home"
    messages = await filled(home, 3)
    connection = sqlite3.connect(home / "store.db")
    (blob,) = connection.execute(f"SELECT {column} FROM sent WHERE id = 2").fetchone()
    connection.execute(f"UPDATE sent SET {column} = ? WHERE id = 2", (bytes([blob[0] ^ 1]) + blob[1:],))
    connection.commit()
    connection.close()
    store = await open_sqlite(home)
    assert await store.read(FindMessage(sender=CN, message_id=messages[0])) is not None
    with pytest.raises(StoreCorrupt):
        await store.read(FindMessage(sender=CN, message_id=messages[1]))
    await store.close()


async def test_flipped_bit_in_a_waiting_record_is_found(tmp_path):
    home = tmp_path / "home"
    await filled(home, 3)
    connection = sqlite3.connect(home / "store.db")
    connection.execute("UPDATE outbox SET record_sealed = zeroblob(240) WHERE sequence = 2")
    connection.commit()
    connection.close()
    store = await open_sqlite(home)
    with pytest.raises(StoreCorrupt):
        await store.read(QUEUE)
    await store.close()


async def test_key_store_of_another_time_is_a_clear_error(tmp_path):
    home = tmp_path / "home"
    await filled(home, 3)
    shutil.copy(home / "keys.db", tmp_path / "old.db")
    store = await open_sqlite(home)
    await store.write(submit(Maker().sealed(TH)))
    await store.close()
    shutil.copy(tmp_path / "old.db", home / "keys.db")
    store = await open_sqlite(home)
    with pytest.raises(StoreCorrupt):
        await store.read(QUEUE)
    await store.close()


@pytest.mark.parametrize("name", ["store.db", "keys.db"])
async def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path, name):
    home = tmp_path / "home"
    await filled(home, 3)
    junk = b"this is not a database " * 1000
    (home / name).write_bytes(junk)
    with pytest.raises(StoreCorrupt):
        await open_sqlite(home)
    assert (home / name).read_bytes() == junk


async def test_erased_key_is_in_no_file_any_more(tmp_path):
    home = tmp_path / "home"
    store = await open_sqlite(home)
    make = Maker()
    messages = [make.sealed(TH) for _ in range(50)]
    for message in messages:
        await store.write(submit(message))
    gone, kept = messages[20], messages[21]
    await store.write(EraseMessage(sender=CN, message_id=gone.message_id, log=log_entry()))
    files = {path.name: path.read_bytes() for path in home.iterdir()}
    assert any(kept.wrapped_message_key in content for content in files.values())
    assert not [name for name, content in files.items() if gone.wrapped_message_key in content]
    assert not [name for name in files if name.startswith("store") and kept.wrapped_message_key in files[name]]
    await store.close()


async def test_files_are_for_their_owner_only(tmp_path):
    home = tmp_path / "home"
    store = await open_sqlite(home)
    await store.write(submit(Maker().sealed(TH)))
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in home.iterdir()} == {
        path.name: "0o0" for path in home.iterdir()
    }
    await store.close()


# --- PostgreSQL ----------------------------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may break."""
    with running(require_wheel()) as server:
        yield server


@pytest.mark.postgres
async def test_store_goes_on_after_the_server_crashed_and_came_back(own_server):
    store = await open_store(own_server.create_database())
    make = Maker()
    first = make.sealed(TH)
    await store.write(submit(first))
    assert await store.read(CountMessages())
    own_server.stop(signal.SIGQUIT)
    with pytest.raises(StoreUnavailable):
        await store.read(CountMessages())
    with pytest.raises(StoreUnavailable):
        await store.write(submit(make.sealed(TH)))
    own_server.start()
    (result,) = await store.write(submit(make.sealed(TH)))
    assert result.status is SubmissionStatus.NEW
    assert (await store.read(CountMessages())).sent == 2
    assert (await find(store, CN, first.message_id.raw.hex())).wrapped_message_key == first.wrapped_message_key
    await store.close()


@pytest.mark.postgres
async def test_database_that_does_not_answer_is_unavailable(tmp_path):
    with pytest.raises(StoreUnavailable):
        await open_store(f"postgresql://postgres@/none?host={tmp_path}")


@pytest.mark.postgres
async def test_missing_database_is_unavailable(postgres_server):
    with pytest.raises(StoreUnavailable):
        await open_store(postgres_server.url("nowhere"))


@pytest.mark.postgres
async def test_server_that_forgets_commits_is_refused(postgres_server):
    from gateway.errors import ConfigInvalid

    url = postgres_server.create_database()
    postgres_server.sql(f"ALTER DATABASE {make_url(url).database} SET synchronous_commit = off")
    with pytest.raises(ConfigInvalid):
        await open_store(url)


@pytest.mark.postgres
async def test_damaged_page_in_postgres_is_a_clear_error_and_ends_writing(own_server):
    url = own_server.create_database()
    store = await open_store(url)
    make = Maker()
    await store.write(submit(*(make.sealed(TH) for _ in range(100))))
    await store.close()
    ((path,),) = own_server.sql("SELECT pg_relation_filepath('sent')", make_url(url).database)
    own_server.stop()
    overwrite(own_server.data / path, 3 * 8192 + 4000, os.urandom(2000))
    own_server.start()
    store = await open_store(url)
    with pytest.raises(StoreCorrupt):
        await store.read(QUEUE)
    with pytest.raises(StoreCorrupt):
        await store.write(submit(make.sealed(TH)))
    await store.close()


def small_disk(folder: Path, megabytes: int) -> tuple[str, ...]:
    """Return commands that run a program with a folder on a small disk of its own, as an ordinary user."""
    mount = f'mount -t tmpfs -o size={megabytes}m,mode=700 tmpfs "{folder}"'
    if os.geteuid() == 0:
        drop = "setpriv --reuid=65534 --regid=65534 --clear-groups"
        return ("unshare", "-m", "sh", "-c", f'{mount} && chown 65534:65534 "{folder}" && exec {drop} "$0" "$@"')
    # In a namespace of one's own one may mount, but is root there, which PostgreSQL refuses: a second one undoes that.
    user = f"unshare -U --map-user={os.getuid()} --map-group={os.getgid()}"
    return ("unshare", "-Urm", "sh", "-c", f'{mount} && exec {user} "$0" "$@"')


@pytest.fixture
def server_with_a_small_disk() -> Iterator[Server]:
    """A server whose tablespace `small` is a disk of 32 MB."""
    server = prepare(require_wheel())
    try:
        initdb(server)
        small = server.folder / "small"
        small.mkdir()
        server.prefix = small_disk(small, 32)
        try:
            server.start()
        except RuntimeError:
            if os.environ.get("CI"):
                raise
            pytest.skip("no disk of its own can be mounted here (unshare)")
        server.sql(f"CREATE TABLESPACE small LOCATION '{small}'")
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.mark.postgres
async def test_full_disk_under_postgres_refuses_and_recovers_and_loses_nothing(server_with_a_small_disk):
    server = server_with_a_small_disk
    server.sql("CREATE DATABASE concord TABLESPACE small")
    store = await open_store(server.url("concord"))
    # A file, not a table: on a full disk PostgreSQL may be unable even to drop one.
    ballast = Path(f"/proc/{server.process.pid}/root{server.folder / 'small' / 'ballast'}")
    ballast.write_bytes(b"x" * 6_000_000)
    make = Maker(body_bytes=100_000)
    accepted, refused = [], []
    while not refused and len(accepted) < 1000:
        message = make.sealed(TH)
        try:
            await store.write(submit(message))
            accepted.append(message)
        except StoreUnavailable:
            refused.append(message)
    assert accepted
    assert refused
    group = [make.sealed(TH) for _ in range(10)]
    outcomes = await asyncio.gather(*(store.write(submit(message)) for message in group), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    # What is there is still read, unless the server cannot even open a connection without writing.
    with contextlib.suppress(StoreUnavailable):
        assert (await store.read(CountMessages())).sent == len(accepted)
    ballast.unlink()
    results = await store.write(submit(*refused, *group))
    assert {result.status for result in results} == {SubmissionStatus.NEW}
    for message in (*accepted, *refused, *group):
        found = await find(store, CN, message.message_id.raw.hex())
        assert found.content_sealed == message.content_sealed
    await store.close()
