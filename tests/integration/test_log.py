"""The exchange log of real gateways: searched, proved, exported and checked, by us and by other people's verifiers."""

import asyncio
import base64
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from concord.v1 import audit_service_pb2 as audit_pb
from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import federation_service_pb2 as federation_pb
from concord.v1.audit_service_pb2_grpc import AuditServiceStub
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey, VkeySet

from gateway.cli.admin import AdminClient
from gateway.cli.inbox import find, received
from gateway.cli.log_files import check_directory, verify_proof_file
from gateway.errors import Rejected
from gateway.exchange.log_keys import log_keys, open_with
from gateway.model.envelope import Outcome
from gateway.model.header import Mode
from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.partner import signed_card_from_proto
from gateway.translog.checkpoint import sign_checkpoint
from gateway.translog.disclosure import parse_json, verify_disclosure
from gateway.translog.merkle import consistency_proof, leaf_hash, verify_consistency
from gateway.translog.note import parse_note
from gateway.translog.note_keys import NoteSigner, SignatureKind
from gateway.translog.proof import parse_proof, verify_proof
from gateway.translog.tree_head import TreeHead, parse_tree_head
from tests.fixtures.gateways import eventually
from tests.fixtures.hostile import HostilePartner, Target
from tests.fixtures.ledger import settled
from tests.fixtures.load import System, requests
from tests.fixtures.quick_gateways import QuickGateway, quick_gateways
from tests.integration.test_registration import reason, secure
from tests.unit.translog.logs import MemoryLog

pytestmark = pytest.mark.timeout(240)

CODEC = WireCodec()
SYSTEM = "system/national"
COUNT = 6
SOON = {
    "gateway.workers.log:INTEGRATE_S": 0.05,
    "gateway.workers.log:CHECKPOINT_S": 0.2,
    "gateway.workers.open_link:CHECKPOINTS_MS": 200,
    "gateway.workers.open_link:RENEW_S": 0.2,
}


@dataclass
class World:
    """Two gateways that have exchanged alerts, and a third whose keys we hold."""

    cn: QuickGateway
    th: QuickGateway
    la: HostilePartner
    ids: list[str] = field(default_factory=list)
    """Of messages from cn to th, oldest first; th's system has been shown all and has acknowledged the first."""
    refused: federation_pb.LinkResponse | None = None
    refused_id: bytes = b""
    target: Target | None = None


async def exchange(world: World) -> None:
    async with System(world.cn) as sender, System(world.th) as receiver, sender.following() as feed:
        wanted = requests(COUNT, "th")
        for request in wanted:
            await sender.submit(request)
        await settled(sender)
        ids = [sender.answers[request.request_id].message_id for request in wanted]
        world.ids = [str(uuid.UUID(bytes=item)) for item in ids]
        assert len((await receiver.replay()).of("message.received")) == COUNT
        await receiver.stub.ListMessages(pb.ListMessagesRequest(), timeout=20)
        for _ in range(2):
            await receiver.acknowledge("cn", ids[0])
        await eventually(lambda: feed.ids("delivery.acknowledged") == [ids[0]])
    world.target = target = world.la.join(world.th)
    item = world.la.item(target, mode=Mode.ACTUAL)
    world.refused_id = item.message_id.raw
    world.refused = await world.la.deliver(target, *world.la.seal(target, [item]))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with quick_gateways(tmp_path_factory.mktemp("log"), "cn", "th", constants=SOON) as (cn, th):
        made = World(cn, th, HostilePartner("la"))
        asyncio.run(exchange(made))
        yield made


def searched(gateway: QuickGateway, **wanted) -> audit_pb.SearchEntriesResponse:
    with AdminClient(gateway.home) as admin:
        return admin.log_search(audit_pb.SearchEntriesRequest(page_size=1000, **wanted))


def types_of(answer) -> set[str]:
    return {entry.step.type for entry in answer.entries}


async def in_tree(gateway: QuickGateway) -> audit_pb.GetHeadResponse:
    """Wait until everything that is recorded is under a checkpoint."""
    head = audit_pb.GetHeadResponse()

    def signed() -> bool:
        with AdminClient(gateway.home) as admin:
            head.CopyFrom(admin.log_head())
        return head.waiting == 0 and head.checkpoint_size == head.size > 0

    await eventually(signed, 30)
    return head


async def test_steps_of_a_message_are_entries_on_both_sides_with_who_did_them(world):
    await in_tree(world.cn)
    await in_tree(world.th)
    acknowledged = uuid.UUID(world.ids[0]).bytes
    ours = searched(world.cn, message_id=acknowledged)
    by_type = {entry.step.type: entry.step for entry in ours.entries}
    assert by_type["message-released"].actor == SYSTEM
    assert by_type["receipt-stored"].actor == "partner/th"
    assert {entry.step.outcome for entry in ours.entries if entry.step.type == "receipt-stored"} == {
        "RECEIVED", "ACKNOWLEDGED_BY_SYSTEM",
    }  # fmt: skip
    theirs = searched(world.th, message_id=acknowledged)
    times = [entry.step.type for entry in theirs.entries]
    # Newest first. It was shown twice, by a stream and in a list, and acknowledged once however often that was said.
    assert times[-1] == "message-received"
    assert times.count("message-acknowledged") == 1
    assert {entry.step.actor for entry in theirs.entries if entry.step.type != "message-received"} == {SYSTEM}
    for entry in (*ours.entries, *theirs.entries):
        verify_disclosure(entry.leaf, parse_json(entry.disclosure.encode()))
        assert entry.step.message_id == acknowledged


async def test_start_and_stop_are_entries_and_a_kill_leaves_none(tmp_path):
    with quick_gateways(tmp_path, "cn", constants=SOON) as (cn,):
        await asyncio.to_thread(cn.stop)
        await asyncio.to_thread(cn.start)
        await asyncio.to_thread(cn.kill)
        await asyncio.to_thread(cn.start)
        await in_tree(cn)
        found = searched(cn, types=["gateway-started", "gateway-stopped"])
        steps = [entry.step for entry in reversed(found.entries)]
        assert [step.type for step in steps] == [
            "gateway-started", "gateway-stopped", "gateway-started", "gateway-started",
        ]  # fmt: skip
        assert {step.actor for step in steps} == {"gateway"}
        assert all(step.detail.startswith("version ") and step.detail.endswith("mode exercise") for step in steps)


async def test_a_message_is_recorded_before_its_content_is_shown(world):
    await in_tree(world.th)
    message = uuid.UUID(world.ids[1]).bytes

    def shown() -> int:
        return searched(world.th, types=["message-shown"], message_id=message).total

    before = shown()
    async with System(world.th) as receiver:
        await receiver.get(message, "cn")
    # Durable when the answer is here: it waits for the tree only.
    with AdminClient(world.th.home) as admin:
        admin.log_prove(audit_pb.ProveEntryRequest(message_id=message))
    assert shown() == before + 1


async def test_a_list_is_recorded_as_one_list_and_only_what_is_shown_as_shown(world):
    await in_tree(world.th)

    def recorded() -> dict[str, list]:
        entries = searched(world.th, types=["message-shown", "list-shown"], actor="operator").entries
        return {kind: [e.step for e in entries if e.step.type == kind] for kind in ("message-shown", "list-shown")}

    before = recorded()
    with AdminClient(world.th.home) as admin:
        listed = list(received(admin, 100_000))
        shown = find(admin, world.ids[2], include_sent=True)
    assert len(listed) == COUNT
    assert all(view.body.alert.infos[0].headline for view in listed)
    assert not any(view.body.alert.identifier or view.body.alert.infos[0].description for view in listed)
    assert shown.body.alert.identifier == "bench-00000002"
    await in_tree(world.th)
    after = recorded()
    (now_listed,) = after["list-shown"][: len(after["list-shown"]) - len(before["list-shown"])]
    assert now_listed.detail == f"{COUNT} messages"
    (now_shown,) = after["message-shown"][: len(after["message-shown"]) - len(before["message-shown"])]
    assert str(uuid.UUID(bytes=now_shown.message_id)) == world.ids[2]


async def test_a_search_finds_by_every_filter_in_pages_that_miss_nothing(world):
    await in_tree(world.cn)
    released = searched(world.cn, types=["message-released"])
    assert released.total == COUNT == len(released.entries)
    assert [str(uuid.UUID(bytes=entry.step.message_id)) for entry in released.entries] == world.ids[::-1]
    assert released.searched == released.size >= COUNT
    assert searched(world.cn, types=["message-released"], actor=SYSTEM).total == COUNT
    assert searched(world.cn, types=["message-released"], actor="system/nobody").total == 0
    assert searched(world.cn, types=["receipt-stored"], partner="th").total == COUNT + 1
    assert searched(world.cn, types=["receipt-stored"], partner="la").total == 0
    assert searched(world.cn, types=["message-released", "receipt-stored"]).total == 2 * COUNT + 1
    middle = released.entries[2].step.time
    assert searched(world.cn, types=["message-released"], since_time=middle).total >= 3
    early = searched(world.cn, types=["message-released"], until_time=middle)
    assert early.total + searched(world.cn, types=["message-released"], since_time=middle).total == COUNT
    with AdminClient(world.cn.home) as admin:
        request = audit_pb.SearchEntriesRequest(types=["message-released"], page_size=2)
        pages = []
        while not pages or request.page_token:
            page = admin.log_search(request)
            assert page.total == COUNT
            pages.append([entry.index for entry in page.entries])
            request.page_token = page.next_page_token
    # No page after the last one that holds something: whoever turns it would be recorded for nothing.
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [index for page in pages for index in page] == [entry.index for entry in released.entries]


NOBODYS = str(uuid.UUID(int=7))
"""The id of no message."""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("search", "--type", "no-such-type"), "FIELD_INVALID"),
        (("search", "--partner", "China"), "FIELD_INVALID"),
        (("search", "--message", "not-an-id"), "is not a message id"),
        (("prove", "999999999"), "NOT_FOUND"),
        (("prove", NOBODYS), "NOT_FOUND"),
        (("prove", "5", "--partner", "th"), "name the message id"),
        (("prove", NOBODYS, "--partner", "th"), "NOT_FOUND"),
        (("prove", NOBODYS, "--partner", "vn"), "PARTNER_UNKNOWN"),
        (("check", "nowhere"), "--vkey"),
        (("check", "nowhere", "--vkey", "nonsense"), "verifier key"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_asked_is_refused_with_its_reason(world, words, expected):
    done = world.cn.run("log", *words, expect=None)
    assert done.returncode != 0
    assert expected in done.stderr


async def test_the_command_line_searches_and_says_how_much_there_is(world):
    await in_tree(world.cn)
    found = world.cn.ask("log", "search", "--type", "message-released", "--actor", SYSTEM, "--limit", "4")
    assert [item["message_id"] for item in found] == world.ids[:-5:-1]
    assert {(item["type"], item["actor"]) for item in found} == {("message-released", SYSTEM)}
    text = world.cn.run("log", "search", "--message", world.ids[0])
    assert "receipt-stored" in text.stdout
    assert "message-released" in text.stdout
    assert "of 3 that match; searched" in text.stdout + text.stderr
    head = world.cn.run("log", "head").stdout
    assert "cn.concord/exchange-log/" in head
    assert "PROBLEM" not in head
    status = world.cn.ask("status")
    assert status["log_size"] > 0
    assert status["log_checkpoint_time"]
    assert status["log_problem"] == ""
    assert "newest checkpoint" in world.cn.run("status").stdout


def proofbundle(*arguments):
    command = [sys.executable, "-m", "proofbundle.cli", "verify-proof", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


async def test_a_proof_is_files_that_other_verifiers_take_and_that_bear_no_change(world, tmp_path):
    head = await in_tree(world.cn)
    proved = world.cn.ask("log", "prove", world.ids[0], "-o", str(tmp_path / "proofs" / "step"))
    assert proved["type"] == "receipt-stored"
    parts = {Path(name).suffix: Path(name) for name in proved["files"]}
    proof, leaf = parts[".tlog-proof"], parts[".leaf"]
    keys = parts[".vkey"].read_text().split()
    assert sorted(keys) == sorted(head.verifier_keys)
    (ed25519,) = [key for key in keys if base64.b64decode(key.split("+", 2)[2])[0] == 1]
    options = ["--log-vkey", ed25519, "--expected-origin", head.origin]
    good = proofbundle("--payload-file", leaf, *options, proof)
    assert good.returncode == 0, good.stdout + good.stderr
    disclosure = parts[".json"].read_text().strip()
    proven = verify_proof_file(proof.read_bytes(), leaf.read_bytes(), disclosure, keys)
    assert proven.index == proved["index"]

    other = tmp_path / "other"
    other.write_bytes(leaf.read_bytes()[:-1] + bytes([leaf.read_bytes()[-1] ^ 1]))
    assert proofbundle("--payload-file", other, *options, proof).returncode != 0
    with pytest.raises(Rejected):
        verify_proof_file(proof.read_bytes(), other.read_bytes(), "", keys)
    with pytest.raises(Rejected):
        verify_proof_file(proof.read_bytes(), leaf.read_bytes(), disclosure.replace("partner/th", "partner/la"), keys)
    stranger = searched(world.th).entries[0]
    with pytest.raises(Rejected):
        verify_proof_file(proof.read_bytes(), stranger.leaf, "", keys)

    number = world.cn.run("log", "prove", "0").stdout
    assert "entry" in number
    assert "verified here" in number


@pytest.fixture(scope="module")
def exported(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "log"
    asyncio.run(in_tree(world.cn))
    told = world.cn.ask("log", "export", str(folder), "--disclose")
    return folder, told


def test_an_export_is_recomputed_by_another_reader_and_by_us(world, exported):
    folder, told = exported
    reader = TilesReader(LocalBackend(folder))
    checkpoint = reader.get_checkpoint()
    assert (checkpoint.origin, checkpoint.size) == (told["origin"], told["size"])
    assert reader.calculate_root_hash() == checkpoint.root_hash
    keys = VkeySet(*(Vkey.from_string(key) for key in told["verifier_keys"]))
    assert {key.sig_type for key, _ in keys.verify(checkpoint.signatures, checkpoint)} == {1, 6}
    words = [word for key in told["verifier_keys"] for word in ("--vkey", key)]
    checked = world.th.ask("log", "check", str(folder), *words)
    assert checked["sound"]
    assert checked["checked"] == checked["size"] == told["size"] == checked["disclosed"]
    again = world.cn.run("log", "export", str(folder), expect=None)
    assert again.returncode != 0
    assert "not an empty directory" in again.stderr
    live = world.cn.ask("log", "check")
    assert live["sound"], live["problems"]
    assert live["checkpoints"] > 0
    assert live["disclosed"] == live["size"]


def test_one_flipped_byte_anywhere_in_an_export_is_found_and_named(exported):
    folder, told = exported
    keys = told["verifier_keys"]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) >= 4
    for path in files:
        whole = path.read_bytes()
        for at in {0, len(whole) // 3, len(whole) // 2, len(whole) - 2}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            try:
                result = check_directory(folder, keys)
            except Rejected:
                assert path.name == "checkpoint"
            else:
                assert not result["sound"], (path, at)
                assert result["problems"][0]
                assert any(word in result["problems"][0] for word in ("entry", "tile")), (path, at, result)
        path.write_bytes(whole)
    assert check_directory(folder, keys)["sound"]


def test_a_disclosure_that_claims_something_else_or_is_missing_a_file_is_found(exported):
    folder, told = exported
    entries = folder / "entries.jsonl"
    whole = entries.read_text()
    entries.write_text(whole.replace("partner/th", "partner/la", 1))
    result = check_directory(folder, told["verifier_keys"])
    assert not result["sound"]
    assert "facet 'who'" in result["problems"][0]
    entries.write_text(whole)
    (bundle,) = (folder / "tile" / "entries" / "000.p").iterdir()
    kept = bundle.read_bytes()
    bundle.unlink()
    result = check_directory(folder, told["verifier_keys"])
    assert result["problems"] == [f"tile/entries/000.p/{bundle.name}: cannot be read: No such file or directory"]
    bundle.write_bytes(kept)
    for lines in (whole[: len(whole) // 2], whole.replace("\n", "", 1), "[]\n" + whole, whole + whole, "x" * 200_000):
        entries.write_text(lines)
        result = check_directory(folder, told["verifier_keys"])
        assert not result["sound"]
        assert result["problems"][0].startswith("entry ")
    entries.write_text(whole)


async def test_an_auditor_reads_the_log_from_elsewhere_and_a_system_may_not(world, tmp_path):
    await asyncio.to_thread(world.cn.run, "auditor", "add", "court")
    await in_tree(world.cn)
    async with secure(world.cn, "auditor-court") as channel, secure(world.cn, "system-national") as system:
        court = AuditServiceStub(channel)
        for name in ("GetHead", "SearchEntries", "ListEntries", "ProveEntry", "ProveConsistency", "GetTile"):
            request = getattr(audit_pb, f"{name}Request")()
            if name == "ListEntries":
                request.count = 1
            if name == "GetTile":
                request.width = 1
            call = getattr(AuditServiceStub(system), name)(request, timeout=20)
            assert await reason(call) == "METHOD_NOT_ALLOWED", name
        head = await court.GetHead(audit_pb.GetHeadRequest(), timeout=20)
        assert head.origin.startswith("cn.concord/")
        found = await court.SearchEntries(audit_pb.SearchEntriesRequest(types=["message-released"]), timeout=20)
        assert found.total == COUNT
        proved = await court.ProveEntry(audit_pb.ProveEntryRequest(index=found.entries[0].index), timeout=20)
        verify_proof_file(proved.proof, proved.entry.leaf, proved.entry.disclosure, proved.verifier_keys)
        bare = await court.ListEntries(audit_pb.ListEntriesRequest(first=0, count=9), timeout=20)
        assert [(entry.index, entry.disclosure) for entry in bare.entries] == [(place, "") for place in range(9)]
        assert not any(entry.HasField("step") for entry in bare.entries)
        full = await court.ListEntries(audit_pb.ListEntriesRequest(first=3, count=2, disclose=True), timeout=20)
        assert [entry.leaf for entry in full.entries] == [entry.leaf for entry in bare.entries[3:5]]
        tile = await court.GetTile(audit_pb.GetTileRequest(width=9), timeout=20)
        assert tile.hashes == b"".join(leaf_hash(entry.leaf) for entry in bare.entries)
        checked = [item async for item in court.CheckLog(audit_pb.CheckLogRequest())]
        assert checked[-1].done
        assert checked[-1].sound, checked[-1].problems
        for request, expected in (
            (audit_pb.ProveEntryRequest(), "FIELD_INVALID"),
            (audit_pb.ProveEntryRequest(message_id=b"short"), "FIELD_INVALID"),
            (audit_pb.ProveEntryRequest(index=1 << 63), "FIELD_INVALID"),
            (audit_pb.ProveEntryRequest(index=1, partner="th"), "FIELD_INVALID"),
        ):
            assert await reason(court.ProveEntry(request, timeout=20)) == expected
        for token in ("x", "l1", "l1-5", "l1" + "9" * 40, "l1٣"):
            call = court.SearchEntries(audit_pb.SearchEntriesRequest(page_token=token), timeout=20)
            assert await reason(call) == "PAGE_TOKEN_INVALID", token
        call = court.ProveConsistency(audit_pb.ProveConsistencyRequest(old_size=5, new_size=2), timeout=20)
        assert await reason(call) == "NOT_FOUND"
        assert await reason(court.GetTile(audit_pb.GetTileRequest(level=7, width=1), timeout=20)) == "NOT_FOUND"

    # Whoever looked is in the log himself.
    await in_tree(world.cn)
    own = searched(world.cn, actor="auditor/court")
    assert types_of(own) == {"log-searched", "log-proved", "log-exported"}
    assert {entry.step.detail for entry in own.entries if entry.step.type == "log-searched"} == {f"{COUNT} found"}
    assert [entry.step.detail for entry in own.entries if entry.step.type == "log-exported"] == ["3 to 4"]
    await asyncio.to_thread(world.cn.run, "log", "prove", "1")
    await asyncio.to_thread(world.cn.run, "log", "export", str(tmp_path / "exported"))
    await in_tree(world.cn)
    operators = types_of(searched(world.cn, actor="operator"))
    assert {"card-added", "log-searched", "log-exported", "log-proved", "administration-act"} <= operators
    assert searched(world.cn, types=["administration-act"], actor="operator").entries[0].step.detail


async def test_what_an_operator_does_is_in_the_log(world):
    for words in (
        ("partner", "freeze", "la"),
        ("partner", "freeze", "la", "--thaw"),
        ("partner", "rotate", "seal"),
        ("partner", "rotate", "receipt", "--revoke", "--yes"),
        ("system", "add", "flood", "--authority", "th/disaster-prevention"),
        ("system", "renew", "flood"),
        ("system", "remove", "flood", "--yes"),
    ):
        await asyncio.to_thread(world.th.run, *words)
    await in_tree(world.th)
    acts = searched(world.th, actor="operator")
    steps = {(entry.step.type, entry.step.partner) for entry in acts.entries}
    assert {("card-added", "cn"), ("card-added", "la"), ("card-frozen", "la"), ("card-thawed", "la")} <= steps
    assert {("key-rotated", ""), ("key-revoked", "")} <= steps
    details = {entry.step.detail for entry in acts.entries if entry.step.type == "administration-act"}
    assert {f"system {act} flood" for act in ("add", "renew", "remove")} <= details


async def test_receipts_name_their_step_and_the_log_of_their_issuer_proves_it(world):
    await in_tree(world.th)
    with AdminClient(world.cn.home) as admin:
        for number, kind in ((0, "message-acknowledged"), (1, "message-received")):
            message_id = uuid.UUID(world.ids[number]).bytes
            (delivery,) = admin.delivery(message_id).message.deliveries
            receipt = CODEC.decode_receipt(delivery.proof.receipt)
            assert len(receipt.log_leaf) == 32
            assert bool(receipt.log_position) == (kind == "message-acknowledged")
            proved = await asyncio.to_thread(
                admin.log_prove, audit_pb.ProveEntryRequest(message_id=message_id, partner="th")
            )
            assert leaf_hash(proved.entry.leaf) == receipt.log_leaf
            assert proved.entry.step.type == kind
            verify_proof_file(proved.proof, proved.entry.leaf, proved.entry.disclosure, proved.verifier_keys)
            mine = searched(world.th, message_id=message_id, types=["message-received"])
            assert mine.entries[0].index + 1 == receipt.log_position or not receipt.log_position
    told = await asyncio.to_thread(world.cn.ask, "log", "prove", world.ids[2], "--partner", "th")
    assert (told["type"], told["partner"], told["origin"].split(".")[0]) == ("message-received", "cn", "th")
    await in_tree(world.cn)
    asked = searched(world.cn, types=["log-proved"], partner="th", message_id=uuid.UUID(world.ids[2]).bytes)
    assert [(entry.step.actor, entry.step.reason) for entry in asked.entries] == [("operator", "")]


async def test_a_refusal_is_proved_to_whom_it_was_stated_and_nobody_else(world):
    assert world.refused is not None
    (encoded,) = world.refused.receipts.receipts
    receipt = CODEC.decode_receipt(encoded)
    assert receipt.outcome is Outcome.REFUSED
    with AdminClient(world.th.home) as admin:
        card = CODEC.decode_card(signed_card_from_proto(admin.own_card().card).card)
    async with world.la.channel(world.target) as channel:
        stub = world.la.stub(channel)
        request = federation_pb.ProveReceiptRequest(log_leaf=receipt.log_leaf, message_id=world.refused_id)
        shown = await stub.ProveReceipt(request, timeout=20)
        assert leaf_hash(shown.leaf) == receipt.log_leaf
        event = verify_disclosure(shown.leaf, parse_json(shown.disclosure.encode()))
        assert (event.partner, event.subject, event.reason) == ("la", world.refused_id, receipt.reason)
        proof = parse_proof(shown.proof)
        origin = parse_tree_head(parse_note(proof.checkpoint).text).origin
        keys = log_keys(origin, card.keys)
        assert open_with(proof.checkpoint, origin, keys).size > proof.index
        assert verify_proof(proof, shown.leaf, origin=origin, log_keys=keys).index == proof.index
        guess = federation_pb.ProveReceiptRequest(log_leaf=bytes(32), message_id=world.refused_id)
        assert await reason(stub.ProveReceipt(guess, timeout=20)) == "NOT_FOUND"
        other = federation_pb.ProveReceiptRequest(log_leaf=receipt.log_leaf, message_id=uuid.UUID(world.ids[0]).bytes)
        assert await reason(stub.ProveReceipt(other, timeout=20)) == "NOT_FOUND"
        call = AuditServiceStub(channel).GetHead(audit_pb.GetHeadRequest(), timeout=20)
        assert await reason(call) in {"METHOD_NOT_ALLOWED", "CALLER_UNKNOWN", "UNIMPLEMENTED"}


def signed_tree(la: HostilePartner, size: int, root: bytes, *, origin: str = "", pair: bool = True) -> bytes:
    origin = origin or "la.concord/exchange-log/a"
    signers = [NoteSigner(origin, SignatureKind.ED25519, la.keyring.log)]
    if pair:
        signers.append(NoteSigner(origin, SignatureKind.MLDSA44_COSIGNATURE, la.keyring.log_cosign.key))
    return sign_checkpoint(TreeHead(origin, size, root), signers, 1_800_000_000).note


async def test_a_partner_that_signs_trees_that_contradict_is_found_and_all_are_kept(world):
    la, stranger = world.la, HostilePartner("la")
    tree = MemoryLog(7)
    async with la.channel(world.target) as channel:

        async def show(checkpoint: bytes, seen: bytes = b"", **proof) -> federation_pb.ExchangeCheckpointsResponse:
            request = federation_pb.ExchangeCheckpointsRequest(checkpoint=checkpoint, seen=seen, **proof)
            return await la.stub(channel).ExchangeCheckpoints(request, timeout=20)

        first = signed_tree(la, 7, tree.head.root)
        head = await in_tree(world.th)
        assert (await show(first)).seen == first
        for bad in (
            signed_tree(stranger, 9, bytes(32)),
            signed_tree(la, 9, bytes(32), origin="cn.concord/exchange-log/a"),
            signed_tree(la, 9, bytes(32), pair=False),
            first[:-40],
            b"nonsense",
        ):
            assert await reason(show(bad)) in {"PROOF_REJECTED", "MESSAGE_MALFORMED"}
        for proof in ([bytes(32)] * 65, [bytes(31)], [b""]):
            assert await reason(show(first, proven_from=7, consistency=proof)) == "FIELD_INVALID"
        assert await reason(show(b"x" * 16_385)) == "FIELD_INVALID"
        # What it says that we signed proves nothing without our signature, and what we did sign is no surprise.
        other_root = head.checkpoint.replace(base64.b64encode(head.root), base64.b64encode(bytes(32)))
        for own in (first, b"nonsense", other_root):
            answer = await show(b"", own)
            assert (answer.seen, answer.proven_from, list(answer.consistency)) == (first, 0, [])
        answer = await show(b"", head.checkpoint)
        newest = parse_tree_head(parse_note(answer.checkpoint).text)
        assert answer.proven_from == head.checkpoint_size
        verify_consistency(answer.proven_from, newest.size, head.root, newest.root, answer.consistency)
        # A larger tree takes the place of the one before only by its proof.
        tree.grow(50)
        newer = signed_tree(la, 57, tree.head.root)
        assert (await show(signed_tree(la, 5, bytes([2] * 32)))).seen == first
        assert (await show(newer)).seen == first
        assert (await show(newer, proven_from=7, consistency=consistency_proof(tree.tiles, 7, 57))).seen == newer
        forged = signed_tree(la, 70, bytes([3] * 32))
        assert (await show(forged, proven_from=57, consistency=[bytes(32)])).seen == forged
        other = signed_tree(la, 70, bytes([4] * 32))
        for _ in range(2):
            await show(other)
    told = await asyncio.to_thread(world.th.ask, "log", "head")
    assert told["problem"] == ""
    mine = [(item["size"], item["forked"]) for item in told["seen"] if item["partner"] == "la"]
    assert mine == [(57, True), (70, True)]
    assert (await asyncio.to_thread(world.th.run, "log", "head")).stdout.count("CONTRADICTS ANOTHER") == 2
    with AdminClient(world.th.home) as admin:
        kept = {item.checkpoint for item in admin.log_head().seen if item.partner == "la"}
    assert kept == {newer, forged}
    (finding,) = (await asyncio.to_thread(world.th.ask, "status", expect=4))["log_findings"]
    assert "the log of 'la' shows two histories: its signed checkpoints of 57 and 70 entries" in finding
    shown = (await asyncio.to_thread(world.th.run, "status", expect=4)).stdout
    assert "two histories" in shown
    assert "all well" not in shown
    await in_tree(world.th)
    seen = searched(world.th, types=["partner-checkpoint-seen"], actor="partner/la")
    assert [entry.step.reason for entry in seen.entries] == ["LOG_FORKED", ""], "newer ones of a day are one entry"
    # Nobody's messages wait because of it.
    item = la.item(world.target)
    answer = await la.deliver(world.target, *la.seal(world.target, [item]))
    assert CODEC.decode_receipt(answer.receipts.receipts[0]).outcome is Outcome.RECEIVED
