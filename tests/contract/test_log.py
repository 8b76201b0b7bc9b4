"""The exchange log in the store: entries in order, one tree whoever integrates, checkpoints that never go back."""

import asyncio
import itertools

import pytest

from gateway.model.envelope import Outcome
from gateway.ports import (
    AppendLog,
    BeginLog,
    Checkpoint,
    Checkpoints,
    CommitCheckpoint,
    CondemnLog,
    EndedLogs,
    EraseDisclosure,
    Finding,
    IntegrateLog,
    KeepPartnerCheckpoint,
    LogFilter,
    LogVerdict,
    OpenLog,
    PartnerCheckpoints,
    PartnerLogBegun,
    PartnerLogsBegun,
    ProveConsistency,
    ProveInclusion,
    PruneCheckpoints,
    ReadLog,
    ReadLogHead,
    ReadTile,
    RootAt,
    SearchLog,
    Seen,
)
from gateway.store.partner_logs import MAX_FORKED, MAX_ORIGINS
from gateway.translog.disclosure import disclose, verify_disclosure
from gateway.translog.entry import SALTS_BYTES, EventType
from gateway.translog.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from gateway.translog.succession import Succession, parse_succession
from gateway.translog.tiles import Frontier
from tests.contract.samples import LA, NOW, TH, blob, log_entry, receipt, receipts, receive, submit

FAR = 1 << 62


def entries(count, start=0, kind=EventType.ADMINISTRATION_ACT):
    return tuple(log_entry(kind, blob(("subject", start + place), 16)) for place in range(count))


async def integrated(store) -> None:
    while await store.write(IntegrateLog(1000)):
        pass


async def whole(store):
    found = []
    while rows := await store.read(ReadLog(first=len(found), max_rows=500)):
        found += rows
    return found


async def check_tree(store) -> None:
    """Everything that is stored of the tree follows from the entries."""
    head = await store.read(ReadLogHead())
    records = await whole(store)
    assert [record.index for record in records] == list(range(head.size))
    tree = Frontier.empty()
    for record in records:
        grown = tree.append([leaf_hash(record.leaf)])
        tree = grown.frontier
        if record.event is not None:
            verify_disclosure(record.leaf, disclose(record.event, record.salts))
    assert tree.root == head.root
    for level, partial in enumerate(tree.partials):
        if partial:
            assert await store.read(ReadTile(level, head.size >> 8 * (level + 1))) == partial


async def test_an_empty_log_has_the_empty_root_and_one_name(store):
    head = await store.read(ReadLogHead())
    assert (head.origin, head.size, head.root, head.waiting, head.checkpoint, head.mark) == (
        "", 0, EMPTY_ROOT, 0, None, None,
    )  # fmt: skip
    assert await store.write(IntegrateLog(10)) == 0
    assert await store.write(OpenLog("cn.concord/exchange-log/a")) == "cn.concord/exchange-log/a"
    assert await store.write(OpenLog("cn.concord/exchange-log/b")) == "cn.concord/exchange-log/a"


async def test_entries_are_counted_while_they_wait_and_are_in_the_tree_once_integrated(store):
    woken = []
    store.subscribe("log.new", lambda: woken.append(1))
    await store.write(AppendLog(entries(5)))
    assert woken
    head = await store.read(ReadLogHead())
    assert (head.size, head.waiting) == (0, 5)
    assert await store.read(ReadLog(first=0, max_rows=10)) == ()
    assert await store.write(IntegrateLog(3)) == 3
    assert await store.write(IntegrateLog(3)) == 2
    head = await store.read(ReadLogHead())
    assert (head.size, head.waiting) == (5, 0)
    assert [record.leaf for record in await whole(store)] == [entry.leaf for entry in entries(5)]
    await check_tree(store)


@pytest.mark.parametrize("parts", [(255, 1, 1), (256, 256), (1, 300), (511, 2)])
async def test_the_tree_is_the_same_however_it_grew(store, parts):
    start = 0
    for count in parts:
        await store.write(AppendLog(entries(count, start)))
        await integrated(store)
        start += count
    await check_tree(store)
    head = await store.read(ReadLogHead())
    for index in {0, 1, head.size // 2, head.size - 1}:
        record = (await store.read(ReadLog(first=index, max_rows=1)))[0]
        proof = await store.read(ProveInclusion(index=index, size=head.size))
        verify_inclusion(leaf_hash(record.leaf), index, head.size, head.root, proof)
    for old in {1, head.size // 3, head.size}:
        proof = await store.read(ProveConsistency(old_size=old, new_size=head.size))
        verify_consistency(old, head.size, await store.read(RootAt(old)), head.root, proof)


async def test_every_step_of_a_message_is_an_entry_once(store, make):
    message, other = make.sealed(TH), make.received(TH)
    await store.write(submit(message))
    await store.write(submit(message))
    await store.write(receive(other))
    await store.write(receive(other))
    for _ in range(2):
        await store.write(receipts(receipt(message.digest)))
        await store.write(receipts(receipt(message.digest, Outcome.ACKNOWLEDGED_BY_SYSTEM)))
    await integrated(store)
    seen = [(record.event.type, record.event.subject, record.event.outcome) for record in await whole(store)]
    own, theirs = message.message_id.raw, other.header.message_id.raw
    assert seen == [
        (EventType.MESSAGE_RELEASED, own, ""),
        (EventType.MESSAGE_RECEIVED, theirs, ""),
        (EventType.RECEIPT_STORED, own, "RECEIVED"),
        (EventType.RECEIPT_STORED, own, "ACKNOWLEDGED_BY_SYSTEM"),
    ]


async def test_search_counts_the_whole_log_and_pages_through_it(store):
    for start, kind in ((0, EventType.CARD_ADDED), (100, EventType.LOG_SEARCHED)):
        await store.write(AppendLog(entries(7, start, kind)))
    await integrated(store)
    wanted = LogFilter(types=(EventType.CARD_ADDED,), partner="th")
    first = await store.read(SearchLog(filter=wanted, before=FAR, max_rows=4))
    assert (first.total, first.searched) == (7, 14)
    assert [record.index for record in first.records] == [6, 5, 4, 3]
    second = await store.read(SearchLog(filter=wanted, before=3, max_rows=4))
    assert (second.total, [record.index for record in second.records]) == (7, [2, 1, 0])
    for nothing in (
        LogFilter(partner="vn"), LogFilter(actor="operator"), LogFilter(subject=bytes(16)),
        LogFilter(thread=bytes(16)), LogFilter(since_ms=NOW + 1), LogFilter(until_ms=NOW),
    ):  # fmt: skip
        found = await store.read(SearchLog(filter=nothing, before=FAR, max_rows=4))
        assert (found.total, found.records, found.searched) == (0, (), 14)
    subject = blob(("subject", 100), 16)
    found = await store.read(SearchLog(filter=LogFilter(subject=subject), before=FAR, max_rows=4))
    assert [record.event.subject for record in found.records] == [subject]


async def test_two_integrators_race_and_writers_write_and_there_is_one_tree(engine):
    stores = [await engine.open()]
    if engine.name == "postgresql":
        stores.append(await engine.open())
    places = itertools.count()

    async def write(store) -> None:
        for _ in range(20):
            await store.write(AppendLog(entries(13, next(places) * 13)))

    async def integrate(store) -> None:
        for _ in range(30):
            await store.write(IntegrateLog(50))
            await asyncio.sleep(0)

    await asyncio.gather(*(work(stores[place % len(stores)]) for place in range(3) for work in (write, integrate)))
    await integrated(stores[0])
    head = await stores[0].read(ReadLogHead())
    assert (head.size, head.waiting) == (3 * 20 * 13, 0)
    await check_tree(stores[0])


def checkpoint(size, root, note=b"note"):
    return Checkpoint(size=size, root=root, time_ms=NOW, note=note + b" %d" % size)


async def test_a_checkpoint_is_kept_once_in_order_and_marked(store):
    await store.write(AppendLog(entries(3)))
    await integrated(store)
    root = await store.read(RootAt(3))
    assert await store.write(CommitCheckpoint(1, checkpoint(4, root))) is False, "larger than the tree"
    assert await store.write(CommitCheckpoint(1, checkpoint(3, root))) is True
    assert await store.write(CommitCheckpoint(1, checkpoint(3, root, b"another"))) is False
    assert await store.write(CommitCheckpoint(1, checkpoint(2, root))) is False
    head = await store.read(ReadLogHead())
    assert head.checkpoint == checkpoint(3, root)
    assert head.mark == (3, root)
    assert await store.read(Checkpoints(after=0, max_rows=10)) == (checkpoint(3, root),)
    assert await store.read(Checkpoints(after=3, max_rows=10)) == ()


def shown(size, root, basis=None, *, follows=True, partner=TH, origin="th.concord/log", knows_newer=False, begun=None):
    newer, fork, back = entries(3)
    return KeepPartnerCheckpoint(
        partner=partner, origin=origin, checkpoint=checkpoint(size, root), basis=basis, follows=follows,
        knows_newer=knows_newer, begun=begun, newer_log=newer, fork_log=fork, back_log=back,
    )  # fmt: skip


async def test_partners_checkpoints_keep_the_newest_and_every_contradiction(store):
    a, b = blob("a"), blob("b")
    assert await store.write(shown(5, a)) is Seen.NEWER
    assert await store.write(shown(5, a)) is Seen.KNOWN
    assert await store.write(shown(4, a)) is Seen.OLDER
    assert await store.write(shown(9, a)) is Seen.UNPROVEN
    assert await store.write(shown(9, a, (4, a))) is Seen.UNPROVEN
    assert await store.write(shown(9, a, (5, b))) is Seen.UNPROVEN
    assert await store.write(shown(9, a, (5, a))) is Seen.NEWER
    assert await store.write(shown(10, a, (5, a))) is Seen.UNPROVEN, "what it was judged by is not the newest any more"
    assert [item.checkpoint.size for item in await store.read(PartnerCheckpoints())] == [9]
    assert await store.write(shown(9, b)) is Seen.FORK
    assert await store.write(shown(12, a, (9, b))) is Seen.NEWER, "it goes on from one of the two"
    kept = await store.read(PartnerCheckpoints())
    assert [(item.checkpoint.size, item.finding) for item in kept] == [
        (9, Finding.FORKED), (9, Finding.FORKED), (12, Finding.NONE),
    ]  # fmt: skip
    assert await store.read(PartnerCheckpoints(TH)) == kept
    assert await store.read(PartnerCheckpoints(LA)) == ()
    assert await store.write(shown(9, a, partner=LA)) is Seen.NEWER, "another partner's log is another log"
    assert (await store.read(ReadLogHead())).waiting == 5, "each that was kept is an entry"


async def test_a_tree_that_does_not_follow_or_goes_back_is_kept_beside_the_newest(store):
    a, b = blob("a"), blob("b")
    await store.write(shown(9, a))
    assert await store.write(shown(5, a, knows_newer=True)) is Seen.WENT_BACK
    assert await store.write(shown(5, a, knows_newer=True)) is Seen.KNOWN
    assert await store.write(shown(6, a, knows_newer=True)) is Seen.KNOWN
    assert await store.write(shown(12, b, (9, a), follows=False)) is Seen.FORK
    kept = await store.read(PartnerCheckpoints())
    assert [(item.checkpoint.size, item.finding) for item in kept] == [
        (5, Finding.WENT_BACK), (9, Finding.FORKED), (12, Finding.FORKED),
    ]  # fmt: skip
    assert (await store.read(ReadLogHead())).waiting == 3


async def test_a_partner_cannot_fill_the_store_with_checkpoints(store):
    a = blob("a")
    assert await store.write(shown(1, a)) is Seen.NEWER
    assert await store.write(shown(1, blob("b"))) is Seen.FORK
    assert [await store.write(shown(1, blob(f"c{number}"))) for number in range(5)] == [Seen.KNOWN] * 5
    for size in range(2, 80):
        await store.write(shown(size, a, (size - 1, a), follows=size % 2 == 0))
        await store.write(shown(size, blob("b")))
    for number in range(40):
        await store.write(shown(1, a, origin=f"th.concord/{number}"))
    assert await store.write(shown(1, a, origin="th.concord/one-more")) is Seen.TOO_MANY
    kept = await store.read(PartnerCheckpoints(TH))
    assert len({item.origin for item in kept}) == MAX_ORIGINS
    assert len(kept) <= MAX_ORIGINS + MAX_FORKED + 1


async def test_erasing_what_an_entry_discloses_leaves_leaf_tree_and_proofs(store):
    await store.write(AppendLog(entries(4)))
    await integrated(store)
    before = await store.read(ReadLogHead())
    assert await store.write(EraseDisclosure(2, log_entry(EventType.DISCLOSURE_ERASED))) is True
    assert await store.write(EraseDisclosure(2, log_entry(EventType.DISCLOSURE_ERASED))) is False
    assert await store.write(EraseDisclosure(99, log_entry(EventType.DISCLOSURE_ERASED))) is False
    await integrated(store)
    records = await whole(store)
    assert (records[2].event, records[2].salts, records[2].leaf) == (None, b"", entries(4)[2].leaf)
    assert [record.event.type for record in records[4:]] == [EventType.DISCLOSURE_ERASED]
    assert await store.read(RootAt(4)) == before.root
    found = await store.read(SearchLog(filter=LogFilter(), before=FAR, max_rows=10))
    assert (found.total, found.searched) == (4, 4)


async def test_an_operation_that_fails_leaves_no_entry(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    with pytest.raises(RuntimeError):
        await store.write(receipts(receipt(message.digest, time_ms=1 << 80)))
    await integrated(store)
    assert len(await whole(store)) == 1
    await check_tree(store)


async def test_a_store_opened_again_goes_on_with_its_tree(engine):
    store = await engine.open()
    await store.write(AppendLog(entries(300)))
    await integrated(store)
    await store.write(AppendLog(entries(10, 300)))
    await store.close()
    store = await engine.open()
    await store.write(AppendLog(entries(10, 310)))
    await integrated(store)
    head = await store.read(ReadLogHead())
    assert (head.size, head.waiting) == (320, 0)
    await check_tree(store)


def begin(number, origin, signed, *, sound=True):
    return BeginLog(
        number=number, origin=origin, sound=sound, problem="it was restored", reason="a disk died", signed=signed,
        time_ms=NOW, actor="operator", salts=bytes(SALTS_BYTES),
    )  # fmt: skip


async def test_a_verdict_stays_and_the_first_one_counts(engine):
    store = await engine.open()
    first = LogVerdict(problem="it went back", origin="cn.concord/a", size=7, root=blob("r"))
    await store.write(CondemnLog(number=1, time_ms=NOW, verdict=first))
    later = LogVerdict(problem="another", origin="cn.concord/a", size=9, root=blob("s"))
    await store.write(CondemnLog(number=1, time_ms=NOW, verdict=later))
    await store.close()
    store = await engine.open()
    assert (await store.read(ReadLogHead())).verdict == first


async def test_a_log_that_ends_stays_readable_and_the_next_one_says_what_became_of_it(engine):
    store = await engine.open()
    await store.write(OpenLog("cn.concord/a"))
    await store.write(AppendLog(entries(300)))
    await integrated(store)
    root = await store.read(RootAt(300))
    await store.write(CommitCheckpoint(1, checkpoint(300, root)))
    verdict = LogVerdict(problem="it was restored", origin="cn.concord/a", size=400, root=blob("r"))
    await store.write(CondemnLog(number=1, time_ms=NOW, verdict=verdict))
    await store.write(AppendLog(entries(5, 300)))
    old = [*await whole(store)]
    signed = ("cn.concord/a", 400, blob("r"))
    assert await store.write(begin(2, "cn.concord/b", signed)) is False, "another log is kept"
    assert await store.write(begin(1, "cn.concord/a", signed)) is False, "a name is used once"
    assert await store.write(begin(1, "cn.concord/b", signed)) is True
    assert await store.write(begin(1, "cn.concord/c", signed)) is False
    assert await store.write(CommitCheckpoint(1, checkpoint(305, root))) is False, "the old one is signed no more"

    head = await store.read(ReadLogHead())
    assert (head.number, head.origin, head.size, head.waiting) == (2, "cn.concord/b", 1, 0)
    assert (head.checkpoint, head.verdict, head.mark) == (None, None, (1, head.root))
    (first,) = await whole(store)
    assert (first.index, first.event.type, first.event.actor) == (0, EventType.LOG_BEGUN, "operator")
    ended = await store.read(ReadLogHead(1))
    said = parse_succession(first.event.digest, first.event.detail)
    assert said == Succession(
        origin="cn.concord/a",
        size=400,
        root=blob("r"),
        sure_size=300,
        kept_size=305,
        kept_root=ended.root,
        reason="a disk died",
    )
    # What waited went into the old tree, which is as it was.
    assert (ended.number, ended.origin, ended.size, ended.checkpoint, ended.mark, ended.verdict) == (
        1, "cn.concord/a", 305, checkpoint(300, root), None, verdict,
    )  # fmt: skip
    kept = [*await store.read(ReadLog(first=0, max_rows=1000, log=1))]
    assert kept[: len(old)] == old
    assert [record.index for record in kept] == list(range(305))
    assert await store.read(ReadLogHead(3)) is None

    # It grows like any other, and neither sees anything of the other one.
    await store.write(AppendLog(entries(600, 1000)))
    await store.close()
    store = await engine.open()
    await store.write(AppendLog(entries(3, 2000)))
    await integrated(store)
    await check_tree(store)
    head = await store.read(ReadLogHead())
    assert head.size == 604
    assert await store.write(CommitCheckpoint(2, checkpoint(2, await store.read(RootAt(2))))) is True
    assert await store.read(Checkpoints(after=0, max_rows=9)) == (checkpoint(2, await store.read(RootAt(2))),)
    assert (await store.read(ReadLogHead(1))).checkpoint == checkpoint(300, root)
    for log, size, top, subject in ((1, 305, ended.root, 7), (2, 604, head.root, 1007)):
        for index in (0, size // 2, size - 1):
            (record,) = await store.read(ReadLog(first=index, max_rows=1, log=log))
            proof = await store.read(ProveInclusion(index=index, size=size, log=log))
            verify_inclusion(leaf_hash(record.leaf), index, size, top, proof)
        found = await store.read(SearchLog(filter=LogFilter(), before=FAR, max_rows=2, log=log))
        assert (found.total, found.searched, found.records[0].index) == (size, size, size - 1)
        wanted = LogFilter(subject=blob(("subject", subject), 16))
        (match,) = (await store.read(SearchLog(filter=wanted, before=FAR, max_rows=9, log=log))).records
        assert match.index == (7 if log == 1 else 8)
    tiles = [await store.read(ReadTile(0, 0, log)) for log in (1, 2)]
    assert tiles[0] == b"".join(leaf_hash(record.leaf) for record in kept[:256])
    assert tiles[0] != tiles[1]
    assert await store.write(EraseDisclosure(0, log_entry(EventType.DISCLOSURE_ERASED))) is True
    assert (await whole(store))[0].event is None
    assert (await store.read(ReadLog(first=0, max_rows=1, log=1)))[0] == kept[0]

    # A third one, from a copy that had never heard of the log that was signed.
    assert await store.write(begin(2, "cn.concord/c", ("cn.concord/z", 9, blob("z")))) is True
    said = parse_succession((await whole(store))[0].event.digest, (await whole(store))[0].event.detail)
    assert (said.origin, said.size, said.kept_size, said.kept_root) == ("cn.concord/z", 9, 0, EMPTY_ROOT)
    logs = await store.read(EndedLogs())
    assert [(item.number, item.origin, item.size) for item in logs] == [
        (1, "cn.concord/a", 305), (2, "cn.concord/b", 605),
    ]  # fmt: skip
    assert {(item.problem, item.reason, item.end_ms) for item in logs} == {("it was restored", "a disk died", NOW)}


async def test_a_log_with_a_damaged_tree_ends_without_being_grown(store):
    await store.write(OpenLog("cn.concord/a"))
    await store.write(AppendLog(entries(3)))
    await integrated(store)
    await store.write(AppendLog(entries(2, 3)))
    assert await store.write(begin(1, "cn.concord/b", ("cn.concord/a", 0, EMPTY_ROOT), sound=False)) is True
    await integrated(store)
    assert (await store.read(ReadLogHead(1))).size == 3
    assert (await whole(store))[0].event.type is EventType.LOG_BEGUN
    await check_tree(store)


async def test_how_a_partners_log_begins_is_kept_once_with_its_first_checkpoint(store):
    def begun(detail):
        return PartnerLogBegun(
            partner=TH, origin="th.concord/log", time_ms=NOW, digest=blob("d"), detail=detail, leaf=b"leaf",
            proof=b"proof", disclosure="{}",
        )  # fmt: skip

    assert await store.write(shown(5, blob("a"), begun=begun("first"))) is Seen.NEWER
    assert await store.write(shown(6, blob("b"), (5, blob("a")), begun=begun("second"))) is Seen.NEWER
    assert await store.read(PartnerLogsBegun()) == (begun("first"),)


HOUR = 3_600_000


@pytest.mark.parametrize("max_rows", [2, 3, 1000])
async def test_old_checkpoints_are_thinned_to_one_an_hour_and_one_a_log(store, max_rows):
    await store.write(OpenLog("cn.concord/a"))
    await store.write(AppendLog(entries(40)))
    await integrated(store)
    roots = {size: await store.read(RootAt(size)) for size in range(1, 41)}

    async def sign(log, size, minute) -> None:
        root = roots[size] if log == 1 else await store.read(RootAt(size))
        signed = Checkpoint(size=size, root=root, time_ms=10 * HOUR + minute * 60_000, note=b"note %d" % size)
        assert await store.write(CommitCheckpoint(log, signed))

    async def prune(before_minute, *keep) -> None:
        after = 0
        while after is not None:
            before_ms = 10 * HOUR + before_minute * 60_000
            after = await store.write(PruneCheckpoints(before_ms=before_ms, after=after, max_rows=max_rows, keep=keep))

    async def sizes() -> list[int]:
        return [item.size for item in await store.read(Checkpoints(after=0, max_rows=100))]

    for place, minute in enumerate((0, 10, 20, 59, 60, 61, 130, 131, 132, 133)):
        await sign(1, place + 1, minute)
    await prune(0)
    assert await sizes() == [*range(1, 11)], "none is older"
    await prune(132, 2)
    # What is younger stays; the last of an hour that is not over yet goes only when it is.
    assert await sizes() == [2, 4, 6, 8, 9, 10]
    await prune(240)
    assert await sizes() == [4, 6, 10]
    await sign(1, 20, 134)
    assert await store.write(begin(1, "cn.concord/b", ("cn.concord/a", 20, roots[20]))) is True
    await store.write(AppendLog(entries(9, 100)))
    await integrated(store)
    for size, minute in ((1, 135), (4, 136), (7, 137)):
        await sign(2, size, minute)
    await prune(10_000, 4)
    assert await sizes() == [4, 7]
    # The last of the log that ended stays, though one of the next log was signed in the same hour.
    assert (await store.read(ReadLogHead(1))).checkpoint.size == 20
    assert (await store.read(ReadLogHead())).checkpoint.size == 7
