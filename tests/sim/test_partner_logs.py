"""What a gateway makes of the checkpoints of partners' logs: what grew is followed, what contradicts is kept."""

import pytest

from gateway.clock import SystemClock
from gateway.errors import (
    LogForked,
    MessageMalformed,
    MessageTooLarge,
    PartnerLogWentBack,
    PartnerUnreachable,
    ProofRejected,
    Rejected,
)
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.partner_logs import LATE_MS
from gateway.exchange.steps import step
from gateway.ids import PartnerId
from gateway.ports import AppendLog, Finding, IntegrateLog, LogFilter, PartnerCheckpoints, SearchLog, Seen, ShownLogs
from gateway.translog.checkpoint import sign_checkpoint
from gateway.translog.entry import EventType
from gateway.translog.merkle import consistency_proof
from gateway.translog.note_keys import NoteSigner, SignatureKind
from gateway.translog.tree_head import TreeHead
from gateway.workers.share_checkpoints import share_checkpoints
from tests.sim.nations import Nation, Network, SimCarrier
from tests.unit.translog.logs import MemoryLog

CN, TH = PartnerId("cn"), PartnerId("th")
ORIGIN = "cn.concord/exchange-log/a"


class ToldClock(SystemClock):
    """A clock that is set forward by hand."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@pytest.fixture
async def world(tmp_path):
    network = Network()
    nations = [await Nation.start(code, tmp_path, network, clock=ToldClock()) for code in ("cn", "th")]
    for nation in nations:
        for other in nations:
            if other is not nation:
                await nation.befriend(other)
    yield nations
    for nation in nations:
        await nation.stop()


class Signed:
    """A log of cn in the hands of whoever holds its keys."""

    def __init__(self, cn: Nation, size: int, other_from: int | None = None) -> None:
        self.log = MemoryLog(size if other_from is None else other_from)
        if other_from is not None:
            # Another history from here on: leaves are numbered, so one that is left out makes all others differ.
            self.log.leaves.append(b"")
            self.log.grow(size - other_from)
        self.notes: dict[int, bytes] = {}
        self.signers = [
            NoteSigner(ORIGIN, SignatureKind.ED25519, cn.secrets.log),
            NoteSigner(ORIGIN, SignatureKind.MLDSA44_COSIGNATURE, cn.secrets.cosign),
        ]

    @property
    def size(self) -> int:
        return self.log.frontier.size

    @property
    def note(self) -> bytes:
        if self.size not in self.notes:
            # Once for each size: ML-DSA signs differently each time.
            head = TreeHead(ORIGIN, self.size, self.log.frontier.root)
            self.notes[self.size] = sign_checkpoint(head, self.signers, 1_800_000_000).note
        return self.notes[self.size]

    def proof(self, since: int) -> tuple[bytes, ...]:
        return consistency_proof(self.log.tiles, since, self.size)


async def kept(th: Nation) -> list[tuple[int, Finding]]:
    return [(item.checkpoint.size, item.finding) for item in await th.store.read(PartnerCheckpoints(CN))]


async def reasons(th: Nation) -> list[str]:
    while await th.store.write(IntegrateLog(1000)):
        pass
    wanted = LogFilter(types=(EventType.PARTNER_CHECKPOINT_SEEN,))
    found = await th.store.read(SearchLog(filter=wanted, before=1 << 60, max_rows=100))
    return [record.event.reason for record in found.records]


async def grow(nation: Nation, count: int) -> int:
    entries = tuple(
        step(EventType.ADMINISTRATION_ACT, nation.clock.now_ms(), actor="operator", detail=str(number))
        for number in range(count)
    )
    await nation.store.write(AppendLog(entries))
    while await nation.store.write(IntegrateLog(1000)):
        pass
    checkpoint = await nation.log.sign_checkpoint()
    assert checkpoint is not None
    return checkpoint.size


async def share(cn: Nation, keeper: LogKeeper | None = None) -> None:
    carrier = SimCarrier(cn.network, cn.partner)
    await share_checkpoints(keeper or cn.log, carrier, None, cn.directory.card(TH))


async def test_partners_follow_one_another_by_proofs_also_after_a_restart(world):
    cn, th = world
    sizes = [await grow(cn, 3), await grow(th, 5)]
    for _ in range(3):
        await share(cn)
        assert await kept(th) == [(sizes[0], Finding.NONE)]
        sizes[0] = await grow(cn, 300)
    again = LogKeeper(directory=cn.directory, store=cn.store, clock=cn.clock, keys=cn.keys)
    assert again.known_to(TH) == 0
    await share(cn, again)
    assert again.known_to(TH) == sizes[0]
    assert await kept(th) == [(sizes[0], Finding.NONE)]
    (seen,) = await cn.store.read(PartnerCheckpoints(TH))
    assert (seen.checkpoint.size, seen.finding) == (sizes[1], Finding.NONE)
    for nation in world:
        assert await nation.log.theirs.findings() == ()
        assert nation.log.problem is None


async def test_a_partner_that_cannot_be_reached_or_refuses_changes_nothing(world, monkeypatch):
    cn, th = world
    await grow(cn, 3)

    async def refuse(*_):
        raise PartnerUnreachable("no line")

    monkeypatch.setattr(SimCarrier, "exchange_checkpoints", refuse)
    await share(cn)
    assert await kept(th) == []


async def test_what_is_not_proved_is_not_kept_and_nothing_is_lost_by_it(world):
    cn, th = world
    log = Signed(cn, 7)
    assert await th.log.theirs.hear(CN, b"") is None
    assert await th.log.theirs.hear(CN, log.note) is Seen.NEWER, "there is nothing yet to follow from"
    assert await th.log.theirs.hear(CN, log.note) is Seen.KNOWN
    first = log.note
    log.log.grow(93)
    for since, proof in (
        (0, ()),
        (6, log.proof(6)),
        (50, log.proof(50)),
        (1 << 62, ()),
        (100, ()),
        (101, (bytes(32),)),
    ):
        assert await th.log.theirs.hear(CN, log.note, proven_from=since, consistency=proof) is Seen.UNPROVEN, since
        assert await th.log.theirs.seen_of(CN) == first
    assert await th.log.theirs.hear(CN, log.note, proven_from=7, consistency=log.proof(7)) is Seen.NEWER
    assert await kept(th) == [(100, Finding.NONE)]
    # Two calls that cross: what was true when it was sent comes late. Nothing follows from it.
    assert await th.log.theirs.hear(CN, first) is Seen.OLDER
    assert await th.log.theirs.findings() == ()


@pytest.mark.parametrize("forgery", ["flipped", "short", "long", "none", "much", "odd", "other"])
async def test_a_proof_that_does_not_hold_keeps_both_and_says_so(world, forgery):
    cn, th = world
    log = Signed(cn, 7)
    await th.log.theirs.hear(CN, log.note)
    first = log.note
    log.log.grow(93)
    true = log.proof(7)
    proof = {
        "flipped": (bytes([true[0][0] ^ 1]) + true[0][1:], *true[1:]),
        "short": true[:-1],
        "long": (*true, bytes(32)),
        "none": (),
        "much": (bytes(32),) * 5000,
        "odd": (true[0][:31], *true[1:]),
        "other": true,
    }[forgery]
    note = Signed(cn, 100, other_from=5).note if forgery == "other" else log.note
    with pytest.raises(LogForked):
        await th.log.theirs.hear(CN, note, proven_from=7, consistency=proof)
    assert await kept(th) == [(7, Finding.FORKED), (100, Finding.FORKED)]
    notes = {item.checkpoint.note for item in await th.store.read(PartnerCheckpoints(CN))}
    assert notes == {first, note}
    (text,) = await th.log.theirs.findings()
    assert "'cn' shows two histories: its signed checkpoints of 7 and 100 entries" in text
    assert await reasons(th) == ["LOG_FORKED", ""]
    # It goes on: what follows from what it showed last is followed, and the evidence stays.
    if forgery != "other":
        log.log.grow(1)
        assert await th.log.theirs.hear(CN, log.note, proven_from=100, consistency=log.proof(100)) is Seen.NEWER
        assert len(await kept(th)) == 3
        assert await th.log.theirs.findings() == (text,)


async def test_two_trees_of_one_size_are_kept_whatever_is_proved(world):
    cn, th = world
    log, other = Signed(cn, 9), Signed(cn, 9, other_from=3)
    await th.log.theirs.hear(CN, log.note)
    with pytest.raises(LogForked):
        await th.log.theirs.hear(CN, other.note, proven_from=9)
    # A third tells nothing that two do not.
    assert await th.log.theirs.compare(CN, Signed(cn, 9, other_from=2).note) is Seen.KNOWN
    assert await kept(th) == [(9, Finding.FORKED), (9, Finding.FORKED)]
    assert "of 9 entries contradict" in (await th.log.theirs.findings())[0]


async def test_who_answers_without_the_proof_that_is_due_is_held_to_it(world):
    cn, th = world
    log = Signed(cn, 7)
    await th.log.theirs.hear(CN, log.note)
    first = log.note
    log.log.grow(3)
    # Asked about a log of another name, it owes nothing.
    elsewhere = Signed(cn, 7)
    elsewhere_note = sign_checkpoint(
        TreeHead("cn.concord/exchange-log/z", 1, bytes(32)),
        [NoteSigner("cn.concord/exchange-log/z", SignatureKind.ED25519, cn.secrets.log)],
        1,
    ).note
    assert await th.log.theirs.hear(CN, elsewhere.note, asked=elsewhere_note) is Seen.KNOWN
    assert await th.log.theirs.hear(CN, log.note, asked=elsewhere_note) is Seen.UNPROVEN
    with pytest.raises(LogForked):
        await th.log.theirs.hear(CN, log.note, proven_from=6, consistency=log.proof(6), asked=first)
    assert await kept(th) == [(7, Finding.FORKED), (10, Finding.FORKED)]


async def test_an_answer_that_crossed_a_newer_one_is_no_accusation(world):
    cn, th = world
    log = Signed(cn, 7)
    await th.log.theirs.hear(CN, log.note)
    asked = log.note
    log.log.grow(3)
    await th.log.theirs.hear(CN, log.note, proven_from=7, consistency=log.proof(7))
    log.log.grow(3)
    # It answers what was asked; meanwhile its own call has brought us further.
    assert await th.log.theirs.hear(CN, log.note, proven_from=7, consistency=log.proof(7), asked=asked) is Seen.UNPROVEN
    assert await kept(th) == [(10, Finding.NONE)]


@pytest.mark.parametrize("how", ["answers", "late"])
async def test_a_log_that_went_back_is_told_in_words_until_it_goes_on_from_where_it_was(world, how):
    cn, th = world
    log = Signed(cn, 90)
    old = log.note
    await th.log.theirs.hear(CN, old)
    log.log.grow(10)
    await th.log.theirs.hear(CN, log.note, proven_from=90, consistency=log.proof(90))
    newest = log.note
    if how == "late":
        th.clock.ahead_ms = LATE_MS + 1
    with pytest.raises(PartnerLogWentBack):
        await th.log.theirs.hear(CN, old, asked=newest if how == "answers" else b"")
    again = await th.log.theirs.hear(CN, old, asked=newest)
    assert again is Seen.KNOWN
    assert await kept(th) == [(90, Finding.WENT_BACK), (100, Finding.NONE)]
    assert await th.log.theirs.seen_of(CN) == newest, "what it once signed is what it is asked about"
    (text,) = await th.log.theirs.findings()
    assert "'cn' has gone back: it showed 100 entries, and now 90" in text
    assert await reasons(th) == ["PARTNER_LOG_WENT_BACK", ""]
    # A smaller tree that is a third one is not a second finding: one is enough, and would fill the store.
    assert await th.log.theirs.hear(CN, Signed(cn, 50).note, asked=newest) is Seen.KNOWN
    th.clock.ahead_ms += 1
    log.log.grow(1)
    assert await th.log.theirs.hear(CN, log.note, proven_from=100, consistency=log.proof(100)) is Seen.NEWER
    assert await th.log.theirs.findings() == ()
    assert await kept(th) == [(90, Finding.WENT_BACK), (101, Finding.NONE)]


async def test_what_is_no_checkpoint_of_this_partner_is_refused(world):
    cn, th = world
    log = Signed(cn, 7)
    stranger = NoteSigner("th.concord/exchange-log/a", SignatureKind.ED25519, cn.secrets.log)
    for note, refusal in (
        (b"nonsense", MessageMalformed),
        (log.note[:-30], Rejected),
        (log.note.replace(b"\n7\n", b"\n8\n"), ProofRejected),
        (sign_checkpoint(TreeHead(stranger.name, 7, bytes(32)), [stranger], 1).note, ProofRejected),
        (b"x" * 16_385, MessageTooLarge),
    ):
        with pytest.raises(refusal):
            await th.log.theirs.hear(CN, note)
    assert await kept(th) == []


async def test_nothing_is_proved_from_where_our_tree_never_was(world):
    cn, _ = world
    assert (await cn.log.show(TH, 5)).checkpoint == b""
    size = await grow(cn, 5)
    for since in (-1, 0, size + 1, 1 << 63):
        shown = await cn.log.show(TH, since)
        assert (shown.proven_from, shown.consistency) == (0, ())
        assert isinstance(shown, ShownLogs)
    assert (await cn.log.show(TH, size)).proven_from == size
