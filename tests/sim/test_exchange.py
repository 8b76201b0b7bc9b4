"""Messages between nations: what must hold whatever the network does."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.clock import SystemClock
from gateway.crypto.keys import OpenKey
from gateway.crypto.receipts import sign_receipts
from gateway.errors import (
    AuthorityNotYours,
    EnvelopeRejected,
    FieldInvalid,
    MessageIdReused,
    MessageTooLarge,
    PartnerFrozen,
    PartnerUnknown,
    QuotaExceeded,
    RequestIdReused,
    StoreUnavailable,
)
from gateway.exchange.quota import Quota
from gateway.exchange.schedule import LinkState
from gateway.exchange.sealed_rows import ready_from_row
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.envelope import Outcome, Receipt, ReceiptBatch
from gateway.model.header import Supersedes, Urgency
from gateway.ports import (
    DropLease,
    FrameAnswer,
    ListMessages,
    OutgoingFrame,
    QueueSummaries,
    SubmissionStatus,
    WaitingEnvelopes,
)
from tests.sim.nations import CODEC, Nation, Network, Secrets, until

CN, TH, LA = PartnerId("cn"), PartnerId("th"), PartnerId("la")


@pytest.fixture
async def world(tmp_path: Path):
    """Three nations that know one another, workers running."""
    network = Network()
    nations = [await Nation.start(code, tmp_path, network) for code in ("cn", "th", "la")]
    for nation in nations:
        for other in nations:
            if other is not nation:
                await nation.befriend(other)
    for nation in nations:
        nation.run()
    yield nations
    for nation in nations:
        await nation.stop()


async def received(nation: Nation, result) -> None:
    async def arrived() -> bool:
        return await nation.found(CN, result.message_id) is not None

    await until(arrived)


async def settled(nation: Nation, result, partner: str, state: str = "received") -> None:
    async def is_settled() -> bool:
        return await nation.state_at(result.message_id, partner) == state

    await until(is_settled)


async def test_a_message_arrives_whole_and_its_receipt_comes_back(world) -> None:
    cn, th, la = world
    result = await cn.send("th la", "Typhoon")
    await settled(cn, result, "th")
    await settled(cn, result, "la")
    bodies = {(await nation.reader.open(CN, result.message_id)).body_bytes for nation in world}
    assert len(bodies) == 1
    assert CODEC.decode_body(bodies.pop()).content.infos[0].headline == "Typhoon"


async def test_a_repeated_request_gets_the_first_answer_and_sends_nothing_twice(world) -> None:
    cn, th, _ = world
    submission = cn.submission(cn.draft("th"))
    (first,) = await cn.submit.submit([submission])
    (second,) = await cn.submit.submit([submission])
    assert second.status is SubmissionStatus.REPEATED
    assert second.message_id == first.message_id
    await settled(cn, first, "th")
    assert len(await th.store.read(ListMessages(sent=False, before_ms=1 << 52, before_id=b"", max_rows=9))) == 1


async def test_a_reused_request_id_with_another_draft_is_refused(world) -> None:
    cn, *_ = world
    submission = cn.submission(cn.draft("th"))
    await cn.submit.submit([submission])
    changed = cn.submission(cn.draft("la"), submission.request_id)
    object.__setattr__(changed, "request_digest", b"\1" * 32)
    (answer,) = await cn.submit.submit([changed])
    assert isinstance(answer, RequestIdReused)


async def test_a_lost_answer_sends_again_and_the_receipt_is_the_same(world) -> None:
    cn, th, _ = world
    cn.network.lose_answers = 1
    result = await cn.send("th")
    await settled(cn, result, "th")
    stored = await cn.found(CN, result.message_id)
    kept = await th.found(CN, result.message_id)
    assert stored.deliveries[0].proof == kept.deliveries[0].proof if kept.deliveries else stored.deliveries[0].proof


async def test_duplicated_frames_have_no_second_effect(world) -> None:
    cn, th, _ = world
    cn.network.duplicate = True
    results = [await cn.send("th", f"n{i}") for i in range(5)]
    for result in results:
        await settled(cn, result, "th")
    assert len(await th.store.read(ListMessages(sent=False, before_ms=1 << 52, before_id=b"", max_rows=99))) == 5


async def test_a_lossy_network_loses_nothing(world) -> None:
    cn, th, la = world
    cn.network.lose_rate = 0.3
    results = [await cn.send("th la", f"n{i}") for i in range(40)]
    cn.network.lose_rate = 0.1

    async def all_settled() -> bool:
        # Back-off would make the test slow: the partner's own calls close the breaker, as in life.
        cn.links.heard(TH)
        cn.links.heard(LA)
        states = [await cn.state_at(r.message_id, p) for r in results for p in ("th", "la")]
        return all(state == "received" for state in states)

    await until(all_settled, 30)


async def test_a_dead_partner_holds_up_nobody_and_gets_everything_in_urgency_order_on_return(world) -> None:
    cn, th, la = world
    cn.network.down.add(TH)
    routine = [await cn.send("th", urgency=Urgency.U3) for _ in range(3)]
    flash = await cn.send("th", urgency=Urgency.U0)
    other = await cn.send("la")
    await settled(cn, other, "la")
    assert await cn.state_at(flash.message_id, "th") == "waiting"
    waiting = await cn.store.read(QueueSummaries())
    assert [(q.partner, q.waiting, q.urgency) for q in waiting if q.waiting] == [(TH, 4, Urgency.U0)]
    cn.network.down.clear()
    cn.links.heard(TH)
    for result in (flash, *routine):
        await settled(cn, result, "th")
    rows = await th.store.read(ListMessages(sent=False, before_ms=1 << 52, before_id=b"", max_rows=9))
    assert len(rows) == 4


async def test_messages_of_a_thread_are_shown_in_order_even_when_they_arrive_in_reverse(world) -> None:
    cn, th, _ = world
    cn.network.down.add(TH)
    first = await cn.send("th", "one")
    thread = first.thread_id
    second = await cn.send("th", "two", thread_id=thread)
    third = await cn.send("th", "three", thread_id=thread)
    cn.network.down.clear()
    cn.network.reverse = True
    cn.links.heard(TH)
    for result in (first, second, third):
        await settled(cn, result, "th")
    seen = []
    async for events, _ in th.reader.watch(""):
        seen += [event.message_id for event in events if event.type == "message.received"]
        if len(seen) == 3:
            break
    assert seen == [first.message_id, second.message_id, third.message_id]


async def test_a_suppressed_predecessor_shows_as_a_gap_after_the_wait(world) -> None:
    cn, th, _ = world
    cn.network.down.add(TH)
    first = await cn.send("th", "one", urgency=Urgency.U0)
    second = await cn.send("th", "two", thread_id=first.thread_id, urgency=Urgency.U0)
    rows = await cn.store.read(
        WaitingEnvelopes(partner=TH, urgency=Urgency.U0, after_sequence=0, max_rows=9, max_bytes=1 << 20)
    )

    later = ready_from_row(rows[1], TH, cn.secrets.kek)
    frame = OutgoingFrame(sequence=1, envelopes=(later.envelope,), receipts=())
    answer = await th.receive.take_in(CN, frame)
    assert answer.receipts is not None
    assert await th.found(CN, second.message_id) is None
    th.clock = th.expiry._clock = SystemClock(offset_ms=11_000)
    assert await th.expiry.free_held() == 1
    stored = await th.found(CN, second.message_id)
    assert stored is not None
    assert stored.row.gap


async def test_an_acknowledgement_reaches_the_sender_as_a_signed_rung(world) -> None:
    cn, th, _ = world
    result = await cn.send("th")
    await settled(cn, result, "th")
    first = await th.acknowledge.acknowledge(CN, result.message_id, Outcome.ACKNOWLEDGED_BY_SYSTEM, actor="system/desk")
    assert (
        await th.acknowledge.acknowledge(CN, result.message_id, Outcome.ACKNOWLEDGED_BY_SYSTEM, actor="system/desk")
        == first
    )
    await settled(cn, result, "th", "acknowledged")


async def test_an_expired_message_is_buried_with_a_signed_negative(world) -> None:
    cn, *_ = world
    cn.network.down.add(TH)
    result = await cn.send("th", expire_ms=cn.clock.now_ms() + 60_000)
    cn.expiry._clock = SystemClock(offset_ms=61_000)
    assert await cn.expiry.bury_expired() == 1
    stored = await cn.found(CN, result.message_id)
    delivery = stored.deliveries[0]
    assert delivery.state == "expired"
    assert delivery.proof.issuer == CN
    assert CODEC.decode_receipt(delivery.proof.receipt).outcome is Outcome.EXPIRED


async def test_a_retired_key_is_answered_with_the_new_card_and_the_message_is_sealed_again(world) -> None:
    cn, th, _ = world
    old = th.secrets.seal
    th.secrets.seal = OpenKey.generate()
    keys = th.own_keys()
    object.__setattr__(keys, "retired", frozenset({old.seal_key.id}))
    th.keys.replace(keys)
    known = th.directory.known(TH)
    await th.directory.put_own(th.make_card(2, known.verified.digest))
    result = await cn.send("th")
    await settled(cn, result, "th")
    assert cn.directory.card(TH).sequence == 2
    body = (await th.reader.open(CN, result.message_id)).body_bytes
    assert body == (await cn.reader.open(CN, result.message_id)).body_bytes


async def rotate_seal_key(nation: Nation) -> None:
    """Retire a nation's encryption key at once."""
    old = nation.secrets.seal
    nation.secrets.seal = OpenKey.generate()
    keys = nation.own_keys()
    object.__setattr__(keys, "retired", frozenset({old.seal_key.id}))
    nation.keys.replace(keys)
    known = nation.directory.known(nation.partner)
    await nation.directory.put_own(nation.make_card(known.card.sequence + 1, known.verified.digest))


async def test_what_follows_a_message_sealed_again_names_its_new_envelope(world) -> None:
    cn, th, _ = world
    cn.network.down.add(TH)
    first = await cn.send("th", "one")
    second = await cn.send("th", "two", thread_id=first.thread_id)
    await rotate_seal_key(th)
    # The third is sealed for the new key already: nothing but its place in the thread asks for sealing it again.
    await cn.directory.offer(TH, th.directory.own_card())
    third = await cn.send("th", "three", thread_id=first.thread_id)
    cn.network.down.clear()
    cn.links.heard(TH)
    for result in (first, second, third):
        await settled(cn, result, "th")
        await received(th, result)
        assert not (await th.found(CN, result.message_id)).row.gap


async def test_a_message_whose_receipt_was_lost_before_the_key_was_retired_is_not_sent_for_ever(world) -> None:
    cn, th, _ = world
    cn.network.lose_answers = 1
    result = await cn.send("th")
    await received(th, result)
    await rotate_seal_key(th)
    cn.links.heard(TH)
    await settled(cn, result, "th")
    assert len(await th.store.read(ListMessages(sent=False, before_ms=1 << 52, before_id=b"", max_rows=9))) == 1
    frames = cn.network.frames
    await asyncio.sleep(0.05)
    assert cn.network.frames == frames


async def test_a_partner_that_calls_its_only_key_retired_does_not_make_us_spin(world) -> None:
    cn, th, _ = world
    keys = th.own_keys()
    object.__setattr__(keys, "retired", frozenset({th.secrets.seal.seal_key.id}))
    object.__setattr__(keys, "open_keys", {})
    th.keys.replace(keys)
    await cn.send("th")
    await asyncio.sleep(0.3)
    assert cn.network.frames < 5


async def test_a_known_message_id_with_other_content_is_refused_with_a_signed_receipt(world) -> None:
    cn, th, _ = world
    result = await cn.send("th")
    await settled(cn, result, "th")
    from gateway.crypto.envelope import SealingItem, seal_batch
    from gateway.exchange.sealed_rows import rows_of

    draft = cn.draft("th", "something else")
    now = cn.clock.now_ms()
    item = SealingItem(
        message_id=result.message_id, kind=draft.body.kind, thread_id=result.thread_id, in_reply_to=None,
        supersedes=None, mode=draft.mode, urgency=draft.urgency, create_ms=now, expire_ms=now + 60_000,
        body_bytes=draft.body_bytes, recipients=((TH, b""),),
    )  # fmt: skip
    batch = seal_batch(
        [item], sender=CN, sign_key=cn.secrets.envelope, seal_keys={TH: cn.directory.seal_key(TH, now)}, codec=CODEC,
        now_ms=now,
    )  # fmt: skip
    _, ready = rows_of(batch, [(cn.submission(draft), None)], cn.pool)
    answer = await th.receive.take_in(
        CN, OutgoingFrame(sequence=1, envelopes=(ready.envelopes[0][0].envelope,), receipts=())
    )
    (receipt,) = [CODEC.decode_receipt(data) for data in answer.receipts.receipts]
    assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, MessageIdReused.reason)


async def test_submitting_for_a_foreign_authority_is_refused(world) -> None:
    cn, *_ = world
    submission = cn.submission(cn.draft("th"))
    object.__setattr__(submission.submitter, "authorities", frozenset())
    (answer,) = await cn.submit.submit([submission])
    assert isinstance(answer, AuthorityNotYours)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"recipients": (PartnerId("vn"),)}, PartnerUnknown),
        ({"expire_ms": 1}, FieldInvalid),
        ({"expire_ms": 1 << 50}, FieldInvalid),
        ({"in_reply_to": MessageId(os.urandom(16))}, FieldInvalid),
        ({"supersedes": Supersedes(message_id=MessageId(os.urandom(16)), content_commitment=bytes(32))}, FieldInvalid),
    ],
)
async def test_a_draft_that_breaks_a_rule_is_refused(world, change, error) -> None:
    cn, *_ = world
    (answer,) = await cn.submit.submit([cn.submission(replace(cn.draft("th"), **change))])
    assert isinstance(answer, error)


async def test_a_frozen_partner_gets_nothing_and_may_send_nothing(world) -> None:
    cn, th, _ = world
    await cn.directory.freeze(TH, frozen=True)
    (answer,) = await cn.submit.submit([cn.submission(cn.draft("th"))])
    assert isinstance(answer, PartnerFrozen)
    with pytest.raises(PartnerFrozen):
        await cn.receive.take_in(TH, OutgoingFrame(sequence=1, envelopes=(), receipts=()))


async def test_a_partner_over_its_quota_is_deferred_and_delivers_later(world) -> None:
    cn, th, _ = world
    th.receive._quota = Quota(per_second=50, burst=3)
    results = [await cn.send("th", f"n{i}") for i in range(8)]
    for result in results:
        await settled(cn, result, "th")


async def test_envelopes_sealed_one_by_one_are_opened_only_as_far_as_a_partner_share_goes(world) -> None:
    cn, th, _ = world
    th.receive._effort = Quota(per_second=1, burst=6)
    cn.network.down.add(TH)
    for number in range(20):
        await cn.send("th", f"n{number}")
    rows = await cn.store.read(
        WaitingEnvelopes(partner=TH, urgency=Urgency.U3, after_sequence=0, max_rows=99, max_bytes=1 << 20)
    )
    envelopes = tuple(ready_from_row(row, TH, cn.secrets.kek).envelope for row in rows)
    answer = await th.receive.take_in(CN, OutgoingFrame(sequence=1, envelopes=envelopes, receipts=()))
    # Eight are free, and six signatures and encapsulations make three more.
    assert len(answer.receipts.receipts) == 11
    assert {deferral.reason for deferral in answer.deferrals} == {QuotaExceeded.reason}


async def test_a_system_over_its_quota_is_told_when_to_come_back(world) -> None:
    cn, *_ = world
    cn.submit._quota = Quota(per_second=1, burst=1)
    answers = await cn.submit.submit([cn.submission(cn.draft("th")) for _ in range(2)])
    assert isinstance(answers[1], QuotaExceeded)
    assert answers[1].retry_after_ms > 0


async def test_many_messages_in_one_thread_keep_their_chain(world) -> None:
    cn, th, _ = world
    first = await cn.send("th")
    thread = ThreadId(first.thread_id.raw)
    answers = await cn.submit.submit([cn.submission(cn.draft("th", f"n{i}", thread_id=thread)) for i in range(4)])
    for answer in answers:
        await settled(cn, answer, "th")


async def test_a_restart_sends_what_was_waiting(tmp_path: Path) -> None:
    network = Network()
    secrets = {code: Secrets.generate(PartnerId(code), 1_790_000_000_000) for code in ("cn", "th")}
    cn = await Nation.start("cn", tmp_path, network, secrets["cn"])
    th = await Nation.start("th", tmp_path, network, secrets["th"])
    await cn.befriend(th)
    await th.befriend(cn)
    results = [await cn.send("th", f"n{i}") for i in range(10)]
    await cn.stop()
    again = await Nation.start("cn", tmp_path, network, secrets["cn"])
    again.run()
    for result in results:
        await settled(again, result, "th")
    await asyncio.gather(again.stop(), th.stop())


async def test_a_message_received_before_its_key_was_retired_keeps_its_envelope_and_can_be_acknowledged(world) -> None:
    cn, th, _ = world
    cn.network.lose_answers = 1
    result = await cn.send("th")
    await received(th, result)
    await rotate_seal_key(th)
    cn.links.heard(TH)
    await settled(cn, result, "th")
    await th.acknowledge.acknowledge(CN, result.message_id, Outcome.ACKNOWLEDGED_BY_SYSTEM, actor="system/desk")
    await settled(cn, result, "th", "acknowledged")


async def test_frames_that_are_answered_side_by_side_with_the_same_new_card_do_not_end_the_link(world) -> None:
    cn, th, _ = world
    await rotate_seal_key(th)
    card = th.directory.own_card()
    taken = await asyncio.gather(*(cn.directory.offer(TH, card) for _ in range(6)))
    assert sorted(taken) == [False] * 5 + [True]


async def test_an_answer_that_says_more_than_the_frame_asked_is_refused_before_it_costs(world) -> None:
    cn, th, _ = world
    result = await cn.send("th")
    await settled(cn, result, "th")
    stored = await cn.found(CN, result.message_id)
    answer = FrameAnswer(
        sequence=1, receipts=None, repeats=(stored.deliveries[0].proof,) * 9, deferrals=(), card=None,
        receipts_stored=False,
    )  # fmt: skip
    worker = cn.links.worker(TH)
    with pytest.raises(EnvelopeRejected):
        await worker._parts.courier.settle(TH, 1, worker._backlog, (), answer)


async def test_validating_finds_a_predecessor_that_does_not_exist_as_submitting_would(world) -> None:
    cn, *_ = world
    draft = replace(
        cn.draft("th"), supersedes=Supersedes(message_id=MessageId(os.urandom(16)), content_commitment=bytes(32))
    )
    with pytest.raises(FieldInvalid):
        await cn.submit.validate(cn.submission(draft).submitter, draft)


async def test_a_link_ends_when_told_to_even_if_the_store_cannot_take_its_lease_back(world) -> None:
    cn, th, _ = world
    result = await cn.send("th")
    await settled(cn, result, "th")
    worker = cn.links.worker(TH)
    plain = cn.store.write

    async def full(operation):
        if isinstance(operation, DropLease):
            raise StoreUnavailable("the disk is full")
        return await plain(operation)

    cn.store.write = full
    for task in cn._tasks:
        task.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(*cn._tasks, return_exceptions=True)
    assert worker.state is LinkState.IDLE


def stating(nation: Nation, digest: bytes, outcome: Outcome) -> ReceiptBatch:
    receipt = Receipt(
        envelope_digest=digest, outcome=outcome, time_ms=nation.clock.now_ms(), reason="", log_position=0, log_leaf=b""
    )
    batch, _ = sign_receipts([receipt], issuer=nation.partner, sign_key=nation.secrets.receipt, codec=CODEC)
    return batch


async def test_a_partner_cannot_state_that_our_own_message_expired(world) -> None:
    cn, th, _ = world
    cn.network.down.add(TH)
    result = await cn.send("th")
    stored = await cn.found(CN, result.message_id)
    batch = stating(th, stored.digest, Outcome.EXPIRED)
    with pytest.raises(EnvelopeRejected):
        await cn.receive.take_in(TH, OutgoingFrame(sequence=1, envelopes=(), receipts=(batch,)))
    worker = cn.links.worker(TH)
    ready = SimpleNamespace(digest=stored.digest)
    for outcome in (Outcome.EXPIRED, Outcome.ACKNOWLEDGED_BY_OFFICER):
        answer = FrameAnswer(
            sequence=1, receipts=stating(th, stored.digest, outcome), repeats=(), deferrals=(), card=None,
            receipts_stored=False,
        )  # fmt: skip
        with pytest.raises(EnvelopeRejected):
            await worker._parts.courier.settle(TH, 1, worker._backlog, (ready,), answer)
    assert await cn.state_at(result.message_id, "th") == "waiting"


async def test_a_frame_with_more_receipts_than_can_be_taken_at_once_is_refused_before_it_costs(world) -> None:
    cn, th, _ = world
    batch = replace(stating(th, bytes(32), Outcome.DECIDED), receipts=(b"never read",) * 513)
    with pytest.raises(MessageTooLarge):
        await cn.receive.take_in(TH, OutgoingFrame(sequence=1, envelopes=(), receipts=(batch, batch)))
