"""Logs that begin anew: what partners are shown of it, what they believe, and what a replica or a restart knows."""

import asyncio

import pytest

from gateway.errors import ConcurrentUpdate, FieldInvalid, LogRolledBack, StateConflict
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.partner_logs import TOLD_MS
from gateway.exchange.steps import new_salts
from gateway.ports import PartnerCheckpoints, PartnerLogsBegun, Seen, ShownProof
from gateway.translog.checkpoint import sign_checkpoint
from gateway.translog.disclosure import disclose, to_json
from gateway.translog.entry import EventType, Facet, LogEvent, leaf
from gateway.translog.merkle import inclusion_proof, leaf_hash
from gateway.translog.note_keys import NoteSigner, SignatureKind
from gateway.translog.proof import write_proof
from gateway.translog.succession import Succession
from gateway.translog.tree_head import TreeHead
from tests.sim.nations import Nation
from tests.sim.test_partner_logs import CN, ORIGIN, TH, Signed, grow, share
from tests.sim.test_partner_logs import world as world  # noqa: PLC0414 - a fixture
from tests.unit.translog.logs import MemoryLog

NEXT = f"{ORIGIN}/20261126T031400Z"


def statement(size=7, root=b"r" * 32, sure=5, kept=6, origin=ORIGIN, reason="a disk died") -> LogEvent:
    said = Succession(
        origin=origin, size=size, root=root, sure_size=sure, kept_size=kept, kept_root=b"k" * 32, reason=reason
    )
    return said.event(1_795_651_200_000, "operator")


def begun(cn: Nation, event: LogEvent, origin: str = NEXT, at: str = NEXT) -> tuple[bytes, ShownProof]:
    """Return the checkpoint of a log that begins with an event, and the proof of it."""
    salts = new_salts()
    log = MemoryLog(3)
    log.leaves = [leaf(event, salts), *log.leaves]
    again = MemoryLog()
    for entry in log.leaves:
        grown = again.frontier.append([leaf_hash(entry)])
        again.tiles.put(grown.tiles)
        again.frontier = grown.frontier

    def note(name: str) -> bytes:
        signers = [
            NoteSigner(name, SignatureKind.ED25519, cn.secrets.log),
            NoteSigner(name, SignatureKind.MLDSA44_COSIGNATURE, cn.secrets.cosign),
        ]
        return sign_checkpoint(TreeHead(name, 4, again.frontier.root), signers, 1_800_000_000).note

    proof = write_proof(0, inclusion_proof(again.tiles, 0, 4), note(origin))
    shown = disclose(event, salts, (Facet.WHAT, Facet.WHEN, Facet.WHICH))
    return note(at), ShownProof(log.leaves[0], proof, to_json(shown))


async def told(th: Nation) -> str:
    (text,) = await th.log.theirs.findings()
    return text


async def test_what_a_new_log_says_of_the_old_one_is_compared_with_what_was_seen(world):
    cn, th = world
    old = Signed(cn, 7)
    await th.log.theirs.hear(CN, old.note)
    note, shown = begun(cn, statement(root=old.log.frontier.root))
    assert await th.log.theirs.hear(CN, note, beginning=shown, asked=old.note) is Seen.NEWER
    text = await told(th)
    assert "'cn' has begun a new log because a disk died. It says that 7 entries of the one before were signed" in text
    assert text.endswith("and that the first 5 of them are kept; up to 2 that were signed are lost")
    (kept,) = await th.store.read(PartnerLogsBegun())
    assert (kept.leaf, kept.proof, kept.disclosure) == (shown.leaf, shown.proof, shown.disclosure)
    assert {item.origin for item in await th.store.read(PartnerCheckpoints(CN))} == {ORIGIN, NEXT}, "both are evidence"
    assert await th.log.theirs.seen_of(CN) == note
    th.clock.ahead_ms = TOLD_MS + 1
    assert await th.log.theirs.findings() == (), "told for a month in the status"


@pytest.mark.parametrize(("size", "root"), [(6, b"r" * 32), (7, b"r" * 32)])
async def test_a_new_log_that_hides_what_was_signed_is_told_to_be_untrue(world, size, root):
    cn, th = world
    await th.log.theirs.hear(CN, Signed(cn, 7).note)
    note, shown = begun(cn, statement(size=size, root=root))
    await th.log.theirs.hear(CN, note, beginning=shown)
    assert "WHAT IT SAYS IS NOT TRUE: here a signed checkpoint of 7 entries was seen" in await told(th)


def _changed(shown: ShownProof, how: str, cn: Nation) -> ShownProof | None:
    match how:
        case "nothing":
            return None
        case "another leaf":
            return ShownProof(shown.leaf[:-1] + b"x", shown.proof, shown.disclosure)
        case "no proof":
            return ShownProof(shown.leaf, b"c2sp.org/tlog-proof@v1\n", shown.disclosure)
        case "other words":
            return ShownProof(shown.leaf, shown.proof, shown.disclosure.replace("disk", "disc"))
        case "no words":
            return ShownProof(shown.leaf, shown.proof, "")
        case "much":
            return ShownProof(b"x" * 100_000, b"y" * 100_000, "{" * 100_000)
        case "other event":
            other = LogEvent(type=EventType.ADMINISTRATION_ACT, time_ms=1, actor="operator", detail="log begun")
            return begun(cn, other)[1]
        case "other log":
            return begun(cn, statement(), origin=f"{ORIGIN}/elsewhere")[1]
        case "no statement":
            return begun(cn, LogEvent(type=EventType.LOG_BEGUN, time_ms=1, actor="operator", detail="hello"))[1]
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how",
    [
        "nothing", "another leaf", "no proof", "other words", "no words", "much", "other event", "other log",
        "no statement",
    ],
)  # fmt: skip
async def test_a_new_name_without_a_statement_that_is_proved_is_told(world, how):
    cn, th = world
    old = Signed(cn, 7)
    await th.log.theirs.hear(CN, old.note)
    note, shown = begun(cn, statement())
    assert await th.log.theirs.hear(CN, note, beginning=_changed(shown, how, cn), asked=old.note) is Seen.NEWER
    assert f"another name than before, {NEXT}, and does not say what became of the one before" in await told(th)
    assert await th.store.read(PartnerLogsBegun()) == ()


async def test_a_log_is_met_in_an_exchange_and_not_beside_a_proof(world):
    cn, th = world
    note, _ = begun(cn, statement())
    assert await th.log.theirs.compare(CN, note) is Seen.UNPROVEN
    assert await th.store.read(PartnerCheckpoints(CN)) == ()


def fields(**changes):
    values = {
        "origin": ORIGIN, "size": 9, "root": bytes(32), "sure_size": 3, "kept_size": 4, "kept_root": b"k" * 32,
        "reason": "why",
    }  # fmt: skip
    return {**values, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": ""}, {"reason": " "}, {"reason": "a  b"}, {"reason": "a\nb"}, {"reason": "x" * 101},
        {"root": b"short"}, {"kept_root": b""}, {"sure_size": 5}, {"sure_size": -1}, {"kept_size": 0, "sure_size": 0},
        {"size": 2},
    ],
)  # fmt: skip
def test_a_statement_that_makes_no_sense_cannot_be_made(changes):
    with pytest.raises(FieldInvalid):
        Succession(**fields(**changes))


def test_the_longest_statement_fits_into_an_entry():
    origin = "cn.concord/" + "x" * 244
    far = (1 << 63) - 1
    said = Succession(**fields(origin=origin, size=far, sure_size=far, kept_size=far, reason="x" * 100))
    assert len(said.event(0, "operator").detail) <= 512


async def rolled_back(cn: Nation) -> None:
    """Have a partner show a checkpoint that is not here."""
    head = await cn.log.head()
    signers = [
        NoteSigner(head.origin, SignatureKind.ED25519, cn.secrets.log),
        NoteSigner(head.origin, SignatureKind.MLDSA44_COSIGNATURE, cn.secrets.cosign),
    ]
    note = sign_checkpoint(TreeHead(head.origin, head.size + 50, b"q" * 32), signers, 1_800_000_000).note
    with pytest.raises(LogRolledBack):
        await cn.log.hear_own(TH, note)


async def test_another_replica_and_a_restart_know_the_verdict_and_the_new_log(world):
    cn, th = world
    size = await grow(cn, 5)
    await share(cn)
    with pytest.raises(StateConflict):
        await cn.log.begin((await cn.log.head()).origin, "no need", actor="operator")
    await rolled_back(cn)
    replica = LogKeeper(directory=cn.directory, store=cn.store, clock=cn.clock, keys=cn.keys)
    with pytest.raises(LogRolledBack):
        await replica.sign_checkpoint()
    assert (await replica.show(TH, 3)).proven_from == 0, "nothing more is claimed of it"
    with pytest.raises(StateConflict):
        await cn.log.begin("another", "a disk died", actor="operator")
    for bad in ("", "a\u202eb", "x" * 101):
        with pytest.raises(FieldInvalid):
            await cn.log.begin((await cn.log.head()).origin, bad, actor="operator")
    origin = (await cn.log.head()).origin
    answers = await asyncio.gather(
        *(keeper.begin(origin, "a disk died", actor="operator") for keeper in (cn.log, replica)), return_exceptions=True
    )
    (head,) = [answer for answer in answers if not isinstance(answer, Exception)]
    (late,) = [answer for answer in answers if isinstance(answer, Exception)]
    assert isinstance(late, ConcurrentUpdate | StateConflict)
    assert (head.number, head.checkpoint.size) == (2, head.size)
    for keeper in (cn.log, replica):
        await keeper.sign_checkpoint()
        assert keeper.problem is None
    await share(cn)
    text = await told(th)
    assert f"says that {size + 50} entries of the one before were signed, and that the first {size} of them" in text
    assert "NOT TRUE" not in text
    await grow(cn, 20)
    await share(cn)
    newest = [item for item in await th.store.read(PartnerCheckpoints(CN)) if item.origin == head.origin]
    assert [item.checkpoint.size for item in newest] == [(await cn.log.head()).size]
