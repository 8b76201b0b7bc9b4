"""A disk that is full stops acceptance, not the gateway; a damaged page is told, never answered as if it were whole."""

import asyncio
import json

import grpc
import pytest

from gateway.cli.failure import ExitCode
from tests.fixtures.damage import OTHER, PAGE, SAME, stopped_receiver
from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import check_exchange, settled
from tests.fixtures.load import System, count_rows, reason_of, requests, waiting
from tests.fixtures.quick_gateways import QuickGateway, quick_gateways


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
            # Content is shown to nobody unrecorded, so reading waits for room as well.
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await sender.get(sender.answers[accepted[0].request_id].message_id)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            # The gateway bears it for as long as it lasts.
            await asyncio.sleep(2)
            assert cn.exit_code() is None
            cn.free_disk()
            await sender.submit_all(late)
            await settled(sender)
            view = await sender.get(sender.answers[accepted[0].request_id].message_id)
            assert view.deliveries[0].state == "received"
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
    with stopped_receiver(tmp_path_factory.mktemp("stopped"), 60) as found:
        yield found


@pytest.mark.parametrize("damage", ["bit", "zeros", "noise"])
async def test_damaged_content_is_told_and_never_shown(stopped, damage):
    spoiled = bytearray(stopped.whole)
    for message_id in list(stopped.views)[1::2]:
        place = stopped.place_of(message_id)
        start = place // PAGE * PAGE
        if damage == "bit":
            # SQLite itself cannot see it.
            spoiled[place + 20] ^= 0x10
        elif damage == "zeros":
            spoiled[start : start + PAGE] = bytes(PAGE)
        else:
            spoiled[start : start + PAGE] = bytes(index * 7 & 0xFF for index in range(PAGE))
    with stopped.damaged(bytes(spoiled)):
        answers = await stopped.answers()
    assert answers[OTHER] == 0
    told = {"STORE_CORRUPT", f"STORE_CORRUPT {int(ExitCode.REFUSED)}"}
    assert told & set(answers)
    assert set(answers) <= {SAME, OTHER, *told}


async def test_a_file_that_is_no_database_any_more_stops_the_start_with_a_clear_error(stopped):
    with stopped.damaged(b"\0" * 100 + stopped.whole[100:]):
        assert dict(await stopped.answers()) == {f"STORE_CORRUPT {int(ExitCode.REFUSED)}": 1}


async def test_the_gateway_of_these_tests_answers_the_same_when_nothing_is_damaged(stopped):
    with stopped.damaged(stopped.whole):
        assert dict(await stopped.answers()) == {SAME: len(stopped.views)}
