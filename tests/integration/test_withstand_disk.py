"""A disk that is full stops acceptance, not the gateway; a damaged page is told, never answered as if it were whole."""

import asyncio
import json
import sqlite3

import grpc
import pytest

from gateway.cli.failure import ExitCode
from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import check_exchange, settled
from tests.fixtures.load import System, count_rows, reason_of, requests, waiting
from tests.fixtures.quick_gateways import NO_LIMITS, QuickGateway, introduce, quick_gateways

PAGE = 4096


def used_bytes(gateway: QuickGateway) -> int:
    """Return the size of the largest file of the store: a limit there stops whatever grows next."""
    return max(path.stat().st_size for path in gateway.store.parent.iterdir())


async def refused_with(system: System, request) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await system.stub.SubmitMessage(request, timeout=10, wait_for_ready=True)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return reason_of(caught.value)


async def test_a_full_disk_of_the_sender_refuses_new_messages_keeps_the_old_and_goes_on_when_there_is_room(tmp_path):
    with quick_gateways(tmp_path, "cn", "th") as (cn, th):
        async with System(cn) as sender, System(th) as receiver:
            accepted = requests(20, "th")
            await sender.submit_all(accepted)
            await settled(sender)
            cn.fill_disk(1)
            late = requests(20, "th", first=20)
            assert {await refused_with(sender, request) for request in late} == {"STORE_UNAVAILABLE"}
            # What needs no disk still works, and says what was accepted.
            view = await sender.get(sender.answers[accepted[0].request_id].message_id)
            assert view.deliveries[0].state == "received"
            # The gateway bears it for as long as it lasts.
            await asyncio.sleep(2)
            assert cn.exit_code() is None
            cn.free_disk()
            await sender.submit_all(late)
            await settled(sender)
            await check_exchange(sender, receiver, accepted + late)


async def test_a_gateway_killed_with_a_full_disk_has_lost_nothing(tmp_path):
    with quick_gateways(tmp_path, "cn", "th") as (cn, th):
        async with System(cn) as sender, System(th) as receiver:
            # The disk fills in the middle of the load: some of it is accepted, the rest put off.
            cn.fill_disk(used_bytes(cn) + 400_000)
            submitted = requests(600, "th")
            loading = asyncio.create_task(sender.submit_all(submitted))
            await eventually(lambda: "STORE_UNAVAILABLE" in sender.busy)
            assert not loading.done()
            await asyncio.to_thread(cn.kill)
            await asyncio.to_thread(cn.start)
            await loading
            await settled(sender)
            await check_exchange(sender, receiver, submitted)
            assert set(sender.busy) == {"STORE_UNAVAILABLE"}


async def test_a_full_disk_of_the_receiver_keeps_messages_waiting_at_the_sender_until_there_is_room(tmp_path):
    with quick_gateways(tmp_path, "cn", "th") as (cn, th):
        async with System(cn) as sender, System(th) as receiver:
            th.fill_disk(1)
            submitted = requests(30, "th")
            await sender.submit_all(submitted)
            await asyncio.sleep(2)
            assert waiting(cn, "th") == 30
            assert th.exit_code() is None
            assert not count_rows(th, "received")
            th.free_disk()
            await settled(sender)
            await check_exchange(sender, receiver, submitted)


def test_a_gateway_with_a_full_disk_says_so_when_it_starts(tmp_path):
    gateway = QuickGateway("cn", tmp_path / "cn", file_bytes=PAGE)
    gateway.init()
    gateway.launch()
    assert gateway.wait_end() == ExitCode.UNREACHABLE
    assert json.loads(gateway.out.read_text())["error"]["reason"] == "STORE_UNAVAILABLE"


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A receiver that has taken in messages and is stopped, its WAL worked off; a sender that is stopped too."""
    folder = tmp_path_factory.mktemp("stopped")
    gateways = [QuickGateway(code, folder / code, environment=dict(NO_LIMITS)) for code in ("cn", "th")]
    try:
        introduce(gateways)
        submitted = requests(60, "th")

        async def fill() -> dict[bytes, bytes]:
            async with System(gateways[0]) as sender:
                await sender.submit_all(submitted)
                await settled(sender)
                return {
                    sender.answers[item.request_id].message_id: item.draft.body.SerializeToString(deterministic=True)
                    for item in submitted
                }

        bodies = asyncio.run(fill())
    finally:
        for gateway in gateways:
            gateway.stop()
    for gateway in gateways:
        with sqlite3.connect(gateway.store) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
    return gateways[1], bodies


def pages_of(store, table: str) -> list[int]:
    """Return the numbers of the pages that hold a table's rows."""
    connection = sqlite3.connect(store)
    try:
        rows = connection.execute("select pageno from dbstat where name = ? and pagetype = 'leaf'", (table,)).fetchall()
        return [row[0] for row in rows]
    finally:
        connection.close()


async def read_all(gateway: QuickGateway, bodies: dict[bytes, bytes]) -> set[str]:
    """Start a damaged gateway; return what it answers for all messages, or the reason it gives when it ends."""
    gateway.launch()
    answers = set()
    async with System(gateway) as system:
        for message_id, body in bodies.items():
            await eventually(lambda: gateway.is_ready() or gateway.exit_code() is not None)
            if gateway.exit_code() is not None:
                break
            try:
                view = await system.get(message_id, "cn")
            except grpc.aio.AioRpcError as error:
                answers.add(reason_of(error) or "gone")
            else:
                assert view.body.SerializeToString(deterministic=True) == body
                answers.add("whole")
    if gateway.exit_code() is not None or "gone" in answers:
        # It may stop by itself, but then it says why.
        assert await asyncio.to_thread(gateway.wait_end) == ExitCode.REFUSED
        answers.discard("gone")
        answers.add(json.loads(gateway.out.read_text().splitlines()[-1])["error"]["reason"])
    return answers


@pytest.mark.parametrize("damage", ["bits", "zeros", "noise"])
async def test_a_damaged_page_of_messages_is_told_and_never_shown_as_content(stopped, damage):
    th, bodies = stopped
    whole = th.store.read_bytes()
    try:
        with th.store.open("r+b") as file:
            for page in pages_of(th.store, "received")[1::2]:
                start = (page - 1) * PAGE
                if damage == "bits":
                    # One byte in the middle of what is kept in the page: SQLite itself cannot see it.
                    spoiled = bytearray(whole[start : start + PAGE])
                    spoiled[PAGE * 3 // 4] ^= 0xFF
                elif damage == "zeros":
                    spoiled = bytearray(PAGE)
                else:
                    spoiled = bytearray(index * 7 & 0xFF for index in range(PAGE))
                file.seek(start)
                file.write(spoiled)
        answers = await read_all(th, bodies)
        assert "STORE_CORRUPT" in answers
        assert answers <= {"whole", "STORE_CORRUPT"}
    finally:
        th.kill()
        for name in ("store.db-wal", "store.db-shm"):
            (th.store.parent / name).unlink(missing_ok=True)
        th.store.write_bytes(whole)


async def test_a_file_that_is_no_database_any_more_stops_the_start_with_a_clear_error(stopped):
    th, _ = stopped
    whole = th.store.read_bytes()
    try:
        th.store.write_bytes(b"\0" * 100 + whole[100:])
        th.launch()
        assert th.wait_end() == ExitCode.REFUSED
        assert json.loads(th.out.read_text())["error"]["reason"] == "STORE_CORRUPT"
    finally:
        th.store.write_bytes(whole)
