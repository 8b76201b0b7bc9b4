"""A log that is not the one signed before: its gateway signs no more, says so, and goes on with people's messages."""

import asyncio
import contextlib
import shutil
import sqlite3
import uuid
from pathlib import Path

import pytest
from concord.v1 import audit_service_pb2 as audit_pb

from gateway.cli.admin import AdminClient
from gateway.cli.failure import Failure
from gateway.cli.log_files import check_directory
from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import settled
from tests.fixtures.load import System, query, requests
from tests.fixtures.quick_gateways import QuickGateway, quick_gateways

pytestmark = pytest.mark.timeout(180)

SOON = {
    "gateway.workers.log:INTEGRATE_S": 0.05,
    "gateway.workers.log:CHECKPOINT_S": 0.1,
    "gateway.workers.open_link:CHECKPOINTS_MS": 100,
    "gateway.workers.open_link:RENEW_S": 0.1,
    # Partners are asked first however long they are away.
    "gateway.exchange.keep_log:ASK_FIRST_MS": 3_600_000,
}
ANSWERED = 2


def head_of(gateway: QuickGateway) -> audit_pb.GetHeadResponse:
    with AdminClient(gateway.home) as admin:
        return admin.log_head()


def signed_sizes(gateway: QuickGateway) -> list[int]:
    return [row[0] for row in query(gateway, "select size from log_checkpoint order by size")]


async def hand_in(sender: QuickGateway, first: int) -> list[bytes]:
    async with System(sender) as system:
        wanted = requests(ANSWERED, "th" if sender.code == "cn" else "cn", first=first)
        await system.submit_all(wanted)
        await settled(system)
        return [system.answers[request.request_id].message_id for request in wanted]


async def seen_by(other: QuickGateway, gateway: QuickGateway, beyond: int = 0) -> int:
    """Wait until a partner holds a checkpoint of more entries than that; return of how many."""

    def size() -> int:
        return max((item.size for item in head_of(other).seen if item.partner == gateway.code), default=0)

    await eventually(lambda: size() > beyond, 30)
    return size()


def copied(gateway: QuickGateway, to: Path) -> None:
    """Copy the home of a gateway that does not run."""
    shutil.copytree(gateway.home, to, ignore=shutil.ignore_patterns("*.sock", "*.lock"))


async def refuses(gateway: QuickGateway, expected: str) -> None:
    """Check that it says what is wrong and signs nothing."""
    await eventually(lambda: bool(head_of(gateway).problem), 30)
    head = head_of(gateway)
    assert expected in head.problem
    before = signed_sizes(gateway)
    told = await asyncio.to_thread(gateway.ask, "status", expect=4)
    assert told["log_problem"] == head.problem
    shown = await asyncio.to_thread(gateway.run, "status", expect=4)
    assert "exchange log: " in shown.stdout
    assert "all well" not in shown.stdout
    assert "PROBLEM" in (await asyncio.to_thread(gateway.run, "log", "head")).stdout
    with AdminClient(gateway.home) as admin:
        # An entry of its own, which no checkpoint covers.
        admin.log_search(audit_pb.SearchEntriesRequest())
        latest = admin.log_head()
        with pytest.raises(Failure) as refused:
            admin.log_prove(audit_pb.ProveEntryRequest(index=latest.size + latest.waiting - 1))
    assert refused.value.reason == "LOG_ROLLED_BACK"
    assert signed_sizes(gateway) == before


async def test_a_log_that_was_restored_is_not_signed_again_and_messages_go_on(tmp_path):
    with quick_gateways(tmp_path, "cn", "th", constants=SOON) as (cn, th):
        await hand_in(cn, 0)
        assert await seen_by(cn, th)
        await asyncio.to_thread(th.stop)
        copied(th, tmp_path / "older")
        signed_then = max(signed_sizes(th))
        ((entries_then,),) = query(th, "select count(*) from log_entry")
        await asyncio.to_thread(th.start)
        await hand_in(cn, 10)
        # A tree that the copy cannot have: entries of the copy that were not signed yet are signed after it.
        await seen_by(cn, th, entries_then)
        await asyncio.to_thread(th.stop)
        copied(th, tmp_path / "newest")

        # Only the store comes from the older copy, and no partner is there: the key store knows better.
        await asyncio.to_thread(cn.stop)
        for path in (th.home / "data").glob("store.db*"):
            path.unlink()
        for path in (tmp_path / "older" / "data").glob("store.db*"):
            shutil.copy2(path, th.home / "data")
        await asyncio.to_thread(th.start)
        await refuses(th, "were signed before, and only")
        await asyncio.to_thread(cn.start)
        await hand_in(cn, 20)
        await refuses(th, "")
        await asyncio.to_thread(th.stop)

        # Everything comes from the older copy: only the partner knows better. It is asked before anything is signed.
        shutil.rmtree(th.home)
        shutil.copytree(tmp_path / "older", th.home)
        for _ in range(2):
            await asyncio.to_thread(th.start)
            await refuses(th, "'cn' holds a checkpoint of ours")
            assert max(signed_sizes(th)) == signed_then
            await hand_in(cn, 30)
            await asyncio.to_thread(th.stop)

        # The newest copy is the log that was signed: nothing is wrong with it, once the partner has been asked.
        await asyncio.to_thread(cn.stop)
        shutil.rmtree(th.home)
        shutil.copytree(tmp_path / "newest", th.home)
        await asyncio.to_thread(th.start)
        newest = max(signed_sizes(th))
        with AdminClient(th.home) as admin, pytest.raises(Failure) as asked_first:
            admin.log_prove(audit_pb.ProveEntryRequest(index=newest))
        assert asked_first.value.reason == "NOT_FOUND"
        await asyncio.to_thread(cn.start)
        await eventually(lambda: head_of(th).checkpoint_size > newest, 30)
        assert head_of(th).problem == ""
        checked = await asyncio.to_thread(th.ask, "log", "check")
        assert checked["sound"], checked["problems"]


async def test_a_restored_log_ends_and_another_one_begins_that_says_so_to_everybody(tmp_path):
    with quick_gateways(tmp_path, "cn", "th", constants=SOON) as (cn, th):
        kept, *_ = await hand_in(cn, 0)
        assert await seen_by(cn, th)
        assert (
            await asyncio.to_thread(th.run, "log", "begin", "--reason", "no need", "--yes", "th", expect=None)
        ).returncode
        await asyncio.to_thread(th.stop)
        copied(th, tmp_path / "older")
        signed_then = max(signed_sizes(th))
        ((entries_then,),) = query(th, "select count(*) from log_entry")
        await asyncio.to_thread(th.start)
        lost, *_ = await hand_in(cn, 10)
        signed = await seen_by(cn, th, entries_then)
        await asyncio.to_thread(th.stop)
        shutil.rmtree(th.home)
        shutil.copytree(tmp_path / "older", th.home)
        await asyncio.to_thread(th.start)
        await eventually(lambda: bool(head_of(th).problem), 30)
        problem, old = head_of(th).problem, head_of(th).origin

        # It is not forgotten: neither by a restart nor while those who know better are away.
        await asyncio.to_thread(cn.stop)
        await asyncio.to_thread(th.stop)
        await asyncio.to_thread(th.start)
        await eventually(lambda: head_of(th).problem == problem, 30)
        for words in (
            ("--reason", "x" * 101, "--yes", "th"),
            ("--reason", "a\nb", "--yes", "th"),
            ("--reason", "good"),
        ):
            refused = await asyncio.to_thread(th.run, "log", "begin", *words, expect=None)
            assert refused.returncode, words
        assert (head_of(th).origin, head_of(th).number) == (old, 1)
        begun = await asyncio.to_thread(
            th.ask, "log", "begin", "--reason", "the disk died; restored from last night", "--yes", "th"
        )
        assert begun["ended"] == old
        assert begun["origin"].startswith(f"{old}/")
        head = head_of(th)
        assert (head.origin, head.number, head.problem) == (begun["origin"], 2, "")
        await eventually(lambda: head_of(th).checkpoint_size > 0, 30)
        # Its partner is down, and status says so; the log is well again.
        assert (await asyncio.to_thread(th.ask, "status", expect=4))["log_problem"] == ""
        assert (await asyncio.to_thread(th.ask, "log", "check"))["sound"]
        again = await asyncio.to_thread(th.run, "log", "begin", "--reason", "again", "--yes", "th", expect=None)
        assert again.returncode
        first = await asyncio.to_thread(th.ask, "log", "prove", "0")
        assert (first["type"], first["actor"], first["origin"]) == ("log-begun", "operator", begun["origin"])
        assert f"after {old} signed {signed} sure {signed_then} kept " in first["detail"]

        # The old one stays as far as it is here: read, proved and exported under its own keys.
        ended = await asyncio.to_thread(th.ask, "log", "head", "--log", "1")
        assert (ended["origin"], ended["problem"]) == (old, problem)
        export = tmp_path / "export"
        await asyncio.to_thread(th.run, "log", "export", str(export), "--disclose", "--log", "1")
        assert check_directory(export, ended["verifier_keys"])["sound"]
        proved = await asyncio.to_thread(th.ask, "log", "prove", str(uuid.UUID(bytes=kept)))
        assert proved["origin"] == old
        for missing in (("log", "head", "--log", "3"), ("log", "export", str(tmp_path / "no"), "--log", "9")):
            assert (await asyncio.to_thread(th.run, *missing, expect=None)).returncode

        # Partners are shown it with the next checkpoint, in words; what it still has it still proves.
        await asyncio.to_thread(cn.start)
        await eventually(lambda: any("begun a new log" in text for text in head_of(cn).findings), 30)
        (finding,) = (await asyncio.to_thread(cn.ask, "status", expect=4))["log_findings"]
        assert "'th' has begun a new log because the disk died; restored from last night" in finding
        assert f"says that {signed} entries" in finding
        assert (
            f"the first {signed_then} of them are kept; up to {signed - signed_then} that were signed are lost"
            in finding
        )
        assert "NOT TRUE" not in finding
        await hand_in(cn, 20)
        await seen_by(cn, th, 3)
        theirs = await asyncio.to_thread(cn.ask, "log", "prove", str(uuid.UUID(bytes=kept)), "--partner", "th")
        assert theirs["origin"] == old
        gone = await asyncio.to_thread(
            cn.run, "log", "prove", str(uuid.UUID(bytes=lost)), "--partner", "th", expect=None
        )
        assert gone.returncode
        assert head_of(cn).problem == head_of(th).problem == ""

        # The same copy restored once more has never heard of the log that is signed now.
        await asyncio.to_thread(th.stop)
        shutil.rmtree(th.home)
        shutil.copytree(tmp_path / "older", th.home)
        await asyncio.to_thread(th.start)
        await eventually(lambda: bool(head_of(th).problem), 30)
        assert f"a log of ours that is not here: {begun['origin']}" in head_of(th).problem


async def test_a_damaged_log_is_named_and_messages_go_on(tmp_path):
    with quick_gateways(tmp_path, "cn", "th", constants=SOON) as (cn, th):
        await hand_in(cn, 0)
        await seen_by(cn, th)
        await asyncio.to_thread(th.stop)
        with contextlib.closing(sqlite3.connect(th.store)) as store:
            ((hashes,),) = store.execute("select hashes from log_tile where id = 0").fetchall()
            store.execute("update log_tile set hashes = ? where id = 0", (bytes([hashes[0] ^ 1]) + hashes[1:],))
            store.commit()
        await asyncio.to_thread(th.start)
        await eventually(lambda: bool(head_of(th).problem), 30)
        assert (await asyncio.to_thread(th.ask, "status", expect=4))["log_problem"]
        await hand_in(cn, 10)
        assert head_of(th).waiting > 0
        done = await asyncio.to_thread(th.run, "log", "check", expect=None)
        assert done.returncode != 0
        begun = await asyncio.to_thread(th.ask, "log", "begin", "--reason", "the disk is bad", "--yes", "th")
        await eventually(lambda: head_of(th).checkpoint_size > 0 and head_of(th).waiting == 0, 30)
        assert head_of(th).origin == begun["origin"]
        assert (await asyncio.to_thread(th.ask, "log", "check"))["sound"]
        assert "tile 0/0 is not the one that the entries make" in done.stdout
