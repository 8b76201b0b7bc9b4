"""The sending half of the store's contract, on both engines."""

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import LeaseLost
from gateway.ids import EnvelopeId, MessageId, ThreadId, uuid7
from gateway.model.envelope import Outcome
from gateway.model.header import Urgency
from gateway.ports import (
    BuryEnvelopes,
    CountMessages,
    Counts,
    DropLease,
    EncapsulationRow,
    EraseMessage,
    ExpiringEnvelopes,
    FindMessage,
    FindRequest,
    Follower,
    OutboxRow,
    QueueDepth,
    QueueDepths,
    QueueSummaries,
    QueueSummary,
    ReplaceEnvelope,
    SentSecrets,
    SubmissionStatus,
    TakeLease,
    ThreadHeads,
    WaitingEnvelopes,
    WaitingFollower,
)
from tests.contract.samples import CN, ENCAPSULATION, LA, NOW, PATH, TH, VN, blob, log_entry, receipt, receipts, submit

NEW, REPEATED, REUSED, HEAD_MOVED, _ = SubmissionStatus


async def waiting(store, partner=TH, urgency=Urgency.U2, after=0, rows=1000, size=10**9):
    return await store.read(
        WaitingEnvelopes(partner=partner, urgency=urgency, after_sequence=after, max_rows=rows, max_bytes=size)
    )


async def statuses(store, *messages):
    return [result.status for result in await store.write(submit(*messages))]


def ids(items):
    return [item.message_id for item in items]


async def test_accepted_message_waits_for_each_recipient_with_all_it_was_given(store, make):
    message = make.sealed(TH, LA)
    (result,) = await store.write(submit(message))
    assert (result.status, result.message_id, result.thread_id) == (NEW, message.message_id, message.thread_id)
    assert (result.content_commitment, result.create_ms, result.expire_ms) == (
        message.content_commitment,
        message.create_ms,
        message.expire_ms,
    )
    for row in message.outbox:
        (item,) = await waiting(store, row.partner)
        assert item.message_id == message.message_id
        assert item.envelope_id == message.envelope_id
        assert (item.urgency, item.expire_ms, item.digest) == (Urgency.U2, message.expire_ms, message.digest)
        assert (item.header, item.content_sealed) == (message.header, message.content_sealed)
        assert item.wrapped_message_key == message.wrapped_message_key
        assert (item.record_sealed, item.record_path) == (row.record_sealed, row.record_path)
        assert (item.batch_path, item.signature) == (message.batch_path, message.signature)
        assert (item.encapsulation_digest, item.encapsulation) == (ENCAPSULATION.digest, ENCAPSULATION.encapsulation)


async def test_repeated_request_gets_the_first_answer_and_stores_nothing(store, make):
    first = make.sealed(TH)
    await store.write(submit(first))
    again = make.sealed(TH, request_id=first.request_id, request_digest=first.request_digest)
    (result,) = await store.write(submit(again))
    assert (result.status, result.message_id, result.thread_id) == (REPEATED, first.message_id, first.thread_id)
    assert await store.read(CountMessages()) == Counts(1, 0, 1)


async def test_reused_request_id_with_another_draft_is_refused(store, make):
    first = make.sealed(TH)
    await store.write(submit(first))
    assert await statuses(store, make.sealed(TH, request_id=first.request_id)) == [REUSED]
    assert await store.read(CountMessages()) == Counts(1, 0, 1)


async def test_same_request_id_of_another_submitter_is_another_request(store, make):
    first = make.sealed(TH)
    assert await statuses(store, first, make.sealed(TH, request_id=first.request_id, submitter="system/x")) == [NEW] * 2


async def test_repeat_within_one_operation_gets_the_first_answer(store, make):
    first = make.sealed(TH)
    again = make.sealed(TH, request_id=first.request_id, request_digest=first.request_digest)
    other = make.sealed(TH, request_id=first.request_id)
    assert await statuses(store, first, again, other) == [NEW, REPEATED, REUSED]


async def test_racing_repeats_store_one_message(engine, make):
    stores = [await engine.open()]
    if engine.name == "postgresql":
        stores.append(await engine.open())
    request_id, digest = blob("race", 16), blob("draft")
    copies = [make.sealed(TH, request_id=request_id, request_digest=digest) for _ in range(12)]
    results = await asyncio.gather(
        *(stores[place % len(stores)].write(submit(copy)) for place, copy in enumerate(copies))
    )
    assert sorted(result.status for (result,) in results) == [NEW] + [REPEATED] * 11
    assert len({result.message_id for (result,) in results}) == 1
    assert (await stores[0].read(CountMessages())).sent == 1


async def test_known_request_is_found_by_the_submitter_who_made_it(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    query = FindRequest(
        submitter=message.submitter, request_id=message.request_id, request_digest=message.request_digest
    )
    found = await store.read(query)
    assert found is not None
    assert (found.status, found.message_id) == (REPEATED, message.message_id)
    reused = await store.read(
        FindRequest(submitter=message.submitter, request_id=message.request_id, request_digest=blob("other"))
    )
    assert reused is not None
    assert reused.status is REUSED
    assert (
        await store.read(FindRequest(submitter="system/x", request_id=message.request_id, request_digest=b"")) is None
    )
    assert await store.read(FindRequest(submitter="x", request_id=bytes(16), request_digest=b"")) is None


async def test_thread_heads_are_the_last_digests_per_partner(store, make):
    first = make.sealed(TH, LA)
    second = make.sealed(TH, thread=first.thread_id)
    await store.write(submit(first))
    await store.write(submit(second))
    heads = await store.read(ThreadHeads(threads=(first.thread_id, ThreadId(uuid7(NOW)))))
    assert heads == {(first.thread_id, TH): second.digest, (first.thread_id, LA): first.digest}
    assert await store.read(ThreadHeads(threads=())) == {}


async def test_message_on_a_moved_head_is_not_stored_for_any_recipient(store, make):
    first = make.sealed(TH, LA)
    await store.write(submit(first))
    await store.write(submit(make.sealed(LA, thread=first.thread_id)))
    stale = make.sealed(TH, LA, thread=first.thread_id, previous=first.digest)
    assert await statuses(store, stale) == [HEAD_MOVED]
    assert await store.read(CountMessages()) == Counts(2, 0, 3)
    assert (await store.read(ThreadHeads(threads=(first.thread_id,))))[first.thread_id, TH] == first.digest
    request = FindRequest(submitter=stale.submitter, request_id=stale.request_id, request_digest=stale.request_digest)
    assert await store.read(request) is None


async def test_first_message_to_a_partner_in_an_old_thread_names_no_digest(store, make):
    first = make.sealed(TH)
    await store.write(submit(first))
    assert await statuses(store, make.sealed(VN, thread=first.thread_id, previous=b"")) == [NEW]
    assert await statuses(store, make.sealed(VN, thread=first.thread_id, previous=b"")) == [HEAD_MOVED]


async def test_new_thread_that_is_not_new_is_refused_by_its_head(store, make):
    first = make.sealed(TH)
    await store.write(submit(first))
    second = make.sealed(TH, thread=first.thread_id, previous=b"", new_thread=True)
    good = make.sealed(TH)
    results = await asyncio.gather(store.write(submit(second)), store.write(submit(good)))
    assert [result.status for (result,) in results] == [HEAD_MOVED, NEW]


async def test_messages_of_one_thread_in_one_operation_follow_one_another(store, make):
    first = make.sealed(TH)
    second = make.sealed(TH, thread=first.thread_id)
    forked = make.sealed(TH, thread=first.thread_id, previous=first.digest)
    assert await statuses(store, first, second, forked) == [NEW, NEW, HEAD_MOVED]


async def test_racing_replies_on_one_head_store_one(engine, make):
    stores = [await engine.open()]
    if engine.name == "postgresql":
        stores.append(await engine.open())
    first = make.sealed(TH)
    await stores[0].write(submit(first))
    rivals = [make.sealed(TH, thread=first.thread_id, previous=first.digest) for _ in range(8)]
    results = await asyncio.gather(
        *(stores[place % len(stores)].write(submit(rival)) for place, rival in enumerate(rivals))
    )
    assert sorted(result.status for (result,) in results) == [NEW] + [HEAD_MOVED] * 7


async def test_queue_is_read_in_order_after_a_place(store, make):
    messages = [make.sealed(TH) for _ in range(5)]
    for message in messages:
        await store.write(submit(message))
    items = await waiting(store)
    assert ids(items) == ids(messages)
    assert ids(await waiting(store, after=items[1].sequence)) == ids(messages[2:])
    assert await waiting(store, partner=LA) == ()
    assert await waiting(store, urgency=Urgency.U0) == ()


async def test_queue_is_bounded_in_rows(store, make):
    await store.write(submit(*(make.sealed(TH) for _ in range(5))))
    assert len(await waiting(store, rows=3)) == 3


async def test_queue_is_bounded_in_bytes_but_gives_one_row_always(store, make):
    messages = [make.sealed(TH) for _ in range(6)]
    await store.write(submit(*messages))
    one = len(messages[0].header) + len(messages[0].content_sealed) + 240 + 1120
    assert len(await waiting(store, size=3 * one)) == 3
    assert ids(await waiting(store, size=1)) == ids(messages[:1])


async def test_more_urgent_message_pulls_its_thread_along_in_order(store, make):
    other = make.sealed(TH, urgency=Urgency.U3)
    first = make.sealed(TH, LA, urgency=Urgency.U3)
    second = make.sealed(TH, thread=first.thread_id, urgency=Urgency.U3)
    for message in (first, other, second):
        await store.write(submit(message))
    urgent = make.sealed(TH, thread=first.thread_id, urgency=Urgency.U0)
    await store.write(submit(urgent))
    assert ids(await waiting(store, urgency=Urgency.U0)) == ids([first, second, urgent])
    assert ids(await waiting(store, urgency=Urgency.U3)) == ids([other])
    assert ids(await waiting(store, partner=LA, urgency=Urgency.U3)) == ids([first])


async def test_thread_is_pulled_along_within_one_operation(store, make):
    first = make.sealed(TH, urgency=Urgency.U3)
    urgent = make.sealed(TH, thread=first.thread_id, urgency=Urgency.U1)
    await store.write(submit(first, urgent))
    assert ids(await waiting(store, urgency=Urgency.U1)) == ids([first, urgent])


async def test_pulled_row_is_seen_behind_a_cursor_that_has_passed_it(store, make):
    flash = make.sealed(TH, urgency=Urgency.U0)
    routine = make.sealed(TH, urgency=Urgency.U3)
    await store.write(submit(routine, flash))
    (seen,) = await waiting(store, urgency=Urgency.U0)
    await store.write(submit(make.sealed(TH, thread=routine.thread_id, urgency=Urgency.U0)))
    later = await waiting(store, urgency=Urgency.U0, after=seen.sequence)
    assert later[0].message_id == routine.message_id


async def test_less_urgent_newcomer_changes_nothing(store, make):
    first = make.sealed(TH, urgency=Urgency.U1)
    await store.write(submit(first))
    before = await waiting(store, urgency=Urgency.U1)
    await store.write(submit(make.sealed(TH, thread=first.thread_id, urgency=Urgency.U3)))
    assert await waiting(store, urgency=Urgency.U1) == before


@pytest.mark.parametrize("outcome", [Outcome.RECEIVED, Outcome.REFUSED])
async def test_receipt_ends_waiting(store, make, outcome):
    message = make.sealed(TH, LA)
    await store.write(submit(message))
    item = receipt(message.digest, outcome, reason="WRONG" if outcome is Outcome.REFUSED else "", time_ms=NOW + 7)
    await store.write(receipts(item))
    assert await waiting(store) == ()
    assert len(await waiting(store, LA)) == 1
    stored = await store.read(FindMessage(sender=CN, message_id=message.message_id))
    first, second = stored.deliveries
    assert (first.partner, first.state) == (TH, outcome.name.lower())
    assert (first.time_ms, first.reason, first.proof) == (NOW + 7, item.receipt.reason, item.proof)
    assert (second.partner, second.state, second.time_ms, second.proof) == (LA, "waiting", None, None)


async def test_receipt_of_another_partner_or_unknown_envelope_changes_nothing(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    await store.write(receipts(receipt(message.digest, issuer=LA), partner=LA))
    await store.write(receipts(receipt(blob("unknown"))))
    assert ids(await waiting(store)) == ids([message])


async def test_acknowledgement_climbs_above_received(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    await store.write(receipts(receipt(message.digest)))
    later = receipt(message.digest, Outcome.ACKNOWLEDGED_BY_SYSTEM, time_ms=NOW + 9)
    await store.write(receipts(later))
    (delivery,) = (await store.read(FindMessage(sender=CN, message_id=message.message_id))).deliveries
    assert (delivery.state, delivery.time_ms, delivery.proof) == ("acknowledged", NOW + 9, later.proof)


async def test_acknowledgement_that_overtakes_does_not_end_waiting(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    await store.write(receipts(receipt(message.digest, Outcome.ACKNOWLEDGED_BY_OFFICER)))
    assert ids(await waiting(store)) == ids([message])
    await store.write(receipts(receipt(message.digest)))
    assert await waiting(store) == ()
    (delivery,) = (await store.read(FindMessage(sender=CN, message_id=message.message_id))).deliveries
    assert delivery.state == "acknowledged"


async def test_partner_that_received_cannot_refuse_any_more(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    await store.write(receipts(receipt(message.digest)))
    await store.write(receipts(receipt(message.digest, Outcome.REFUSED)))
    (delivery,) = (await store.read(FindMessage(sender=CN, message_id=message.message_id))).deliveries
    assert delivery.state == "received"


async def test_expired_row_is_buried_with_its_negative(store, make):
    short = make.sealed(TH, expire_ms=NOW + 10)
    long = make.sealed(TH)
    await store.write(submit(short, long))
    assert await store.read(ExpiringEnvelopes(now_ms=NOW + 9, max_rows=10)) == ()
    (row,) = await store.read(ExpiringEnvelopes(now_ms=NOW + 10, max_rows=10))
    assert (row.partner, row.message_id, row.digest) == (TH, short.message_id, short.digest)
    negative = receipt(short.digest, Outcome.EXPIRED, issuer=CN, time_ms=NOW + 11)
    bury = BuryEnvelopes(rows=((TH, short.message_id, negative),), now_ms=NOW + 11)
    assert await store.write(bury) == 1
    assert await store.write(bury) == 0
    assert ids(await waiting(store)) == ids([long])
    assert await store.read(ExpiringEnvelopes(now_ms=NOW + 10, max_rows=10)) == ()
    (delivery,) = (await store.read(FindMessage(sender=CN, message_id=short.message_id))).deliveries
    assert (delivery.state, delivery.proof) == ("expired", negative.proof)
    (summary,) = await store.read(QueueSummaries())
    assert (summary.waiting, summary.dead) == (1, 1)


async def test_received_row_is_not_buried(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    await store.write(receipts(receipt(message.digest)))
    negative = receipt(message.digest, Outcome.EXPIRED, issuer=CN)
    assert await store.write(BuryEnvelopes(rows=((TH, message.message_id, negative),), now_ms=NOW)) == 0


async def test_receipt_that_comes_after_burial_wins(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    negative = receipt(message.digest, Outcome.EXPIRED, issuer=CN)
    await store.write(BuryEnvelopes(rows=((TH, message.message_id, negative),), now_ms=NOW))
    await store.write(receipts(receipt(message.digest)))
    (delivery,) = (await store.read(FindMessage(sender=CN, message_id=message.message_id))).deliveries
    assert delivery.state == "received"
    assert await store.read(QueueSummaries()) == ()


async def test_depths_tell_what_waits_at_each_urgency_and_what_is_dead(store, make):
    assert await store.read(QueueDepths()) == ((), {})
    short = make.sealed(TH, expire_ms=NOW + 10)
    await store.write(submit(make.sealed(TH, LA, urgency=Urgency.U3), short))
    make.now_ms += 5
    await store.write(submit(make.sealed(TH, urgency=Urgency.U0), make.sealed(TH, urgency=Urgency.U3)))
    negative = receipt(short.digest, Outcome.EXPIRED, issuer=CN, time_ms=NOW + 11)
    await store.write(BuryEnvelopes(rows=((TH, short.message_id, negative),), now_ms=NOW + 11))
    depths, dead = await store.read(QueueDepths())
    assert dead == {TH: 1}
    assert set(depths) == {
        QueueDepth(partner=TH, urgency=Urgency.U0, waiting=1, oldest_ms=NOW + 5),
        QueueDepth(partner=TH, urgency=Urgency.U3, waiting=2, oldest_ms=NOW),
        QueueDepth(partner=LA, urgency=Urgency.U3, waiting=1, oldest_ms=NOW),
    }


async def test_each_commit_is_told_with_its_size_and_a_failed_one_is_not(store, make):
    told = []
    store.on_commit(lambda operations, seconds: told.append((operations, seconds)))
    await asyncio.gather(*(store.write(submit(make.sealed(TH))) for _ in range(5)))
    with pytest.raises(LeaseLost):
        await store.write(replace(receipts(receipt(blob(32))), epoch=99))
    assert sum(operations for operations, _ in told) in {5, 6}
    assert all(seconds > 0 for _, seconds in told)


async def test_summaries_tell_what_waits_since_when_and_how_urgent(store, make):
    assert await store.read(QueueSummaries()) == ()
    await store.write(submit(make.sealed(TH, LA, urgency=Urgency.U3)))
    make.now_ms += 5
    await store.write(submit(make.sealed(TH, urgency=Urgency.U1)))
    assert await store.read(QueueSummaries()) == (
        QueueSummary(partner=LA, waiting=1, oldest_ms=NOW, urgency=Urgency.U3, dead=0),
        QueueSummary(partner=TH, waiting=2, oldest_ms=NOW, urgency=Urgency.U1, dead=0),
    )


def replacement(old, epoch, *, envelope_id=None):
    label = envelope_id or EnvelopeId(uuid7(NOW))
    secret = EncapsulationRow(digest=blob(("new secret", label)), encapsulation=blob("fresh", 1120))
    return ReplaceEnvelope(
        partner=TH,
        epoch=epoch,
        message_id=old.message_id,
        old_envelope_id=old.envelope_id,
        envelope_id=label,
        digest=blob(("new digest", label)),
        header=blob(("new header", label), 300),
        content_sealed=blob(("new content", label), 500),
        batch_path=PATH,
        signature=blob(("new signature", label), 64),
        outbox=OutboxRow(
            partner=TH,
            record_sealed=blob(("new record", label), 240),
            record_path=PATH,
            encapsulation_digest=secret.digest,
            previous_digest=old.outbox[0].previous_digest,
        ),
        encapsulation=secret,
        log=log_entry(),
    )


async def test_message_sealed_again_takes_the_place_of_one_row(store, make):
    message = make.sealed(TH, LA)
    await store.write(submit(message))
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    operation = replacement(message, epoch)
    assert await store.write(operation) is True
    (item,) = await waiting(store)
    assert (item.message_id, item.envelope_id) == (message.message_id, operation.envelope_id)
    assert (item.digest, item.header, item.content_sealed) == (
        operation.digest,
        operation.header,
        operation.content_sealed,
    )
    assert item.encapsulation == operation.encapsulation.encapsulation
    assert item.record_sealed == operation.outbox.record_sealed
    assert item.wrapped_message_key == message.wrapped_message_key
    (other,) = await waiting(store, LA)
    assert (other.envelope_id, other.digest, other.content_sealed) == (
        message.envelope_id,
        message.digest,
        message.content_sealed,
    )
    heads = await store.read(ThreadHeads(threads=(message.thread_id,)))
    assert heads == {(message.thread_id, TH): operation.digest, (message.thread_id, LA): message.digest}
    await store.write(receipts(receipt(operation.digest)))
    assert await waiting(store) == ()


async def test_message_is_sealed_again_twice(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    first = replacement(message, epoch)
    await store.write(first)
    stale = replacement(message, epoch)
    assert await store.write(stale) is False
    second = ReplaceEnvelope(
        **{name: getattr(stale, name) for name in stale.__dataclass_fields__} | {"old_envelope_id": first.envelope_id}
    )
    assert await store.write(second) is True
    secrets = await store.read(SentSecrets(envelope_id=second.envelope_id, partner=TH))
    assert secrets.content_sealed == second.content_sealed


async def sealed_again_twice(store, message):
    """Replace a message's envelope two times; return the digests it had, oldest first."""
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    first = replacement(message, epoch)
    assert await store.write(first) is True
    second = replace(replacement(message, epoch), old_envelope_id=first.envelope_id)
    assert await store.write(second) is True
    return message.digest, first.digest, second.digest


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_late_receipt_for_a_replaced_envelope_ends_waiting(store, make, place):
    message = make.sealed(TH)
    await store.write(submit(message))
    digests = await sealed_again_twice(store, message)
    await store.write(receipts(receipt(digests[place]), partner=LA))
    assert ids(await waiting(store)) == ids([message])
    await store.write(receipts(receipt(digests[place]), receipt(digests[-1])))
    assert await waiting(store) == ()
    await store.write(receipts(receipt(digests[place], Outcome.ACKNOWLEDGED_BY_OFFICER)))
    (delivery,) = (await store.read(FindMessage(sender=CN, message_id=message.message_id))).deliveries
    assert delivery.state == "acknowledged"
    assert delivery.proof == receipt(digests[place], Outcome.ACKNOWLEDGED_BY_OFFICER).proof


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.EXPIRED])
async def test_refusal_of_a_replaced_envelope_leaves_the_one_in_its_place_waiting(store, make, outcome):
    message = make.sealed(TH)
    await store.write(submit(message))
    old, _, _ = await sealed_again_twice(store, message)
    item = receipt(old, outcome)
    await store.write(receipts(item))
    assert await store.write(BuryEnvelopes(rows=((TH, message.message_id, item),), now_ms=NOW)) == 0
    assert ids(await waiting(store)) == ids([message])


async def test_head_that_has_moved_on_stays_when_an_older_envelope_is_replaced(store, make):
    first = make.sealed(TH)
    second = make.sealed(TH, thread=first.thread_id)
    await store.write(submit(first, second))
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    assert await store.write(replacement(first, epoch)) is True
    assert (await store.read(ThreadHeads(threads=(first.thread_id,))))[first.thread_id, TH] == second.digest


async def test_waiting_follower_is_found_by_the_digest_that_it_names(store, make):
    first = make.sealed(TH)
    second = make.sealed(TH, thread=first.thread_id)
    await store.write(submit(first, second))
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))

    async def follower(partner=TH, thread=first.thread_id, digest=first.digest):
        return await store.read(WaitingFollower(partner=partner, thread_id=thread, previous_digest=digest))

    assert await follower() == Follower(envelope_id=second.envelope_id, digest=second.digest)
    assert await follower(partner=LA) is None
    assert await follower(digest=second.digest) is None
    operation = replacement(second, epoch)
    assert await store.write(operation) is True
    assert await follower() == Follower(envelope_id=operation.envelope_id, digest=operation.digest)
    await store.write(receipts(receipt(operation.digest)))
    assert await follower() is None


async def test_row_that_waits_no_longer_is_not_replaced(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    await store.write(receipts(receipt(message.digest)))
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    assert await store.write(replacement(message, epoch)) is False
    assert await store.write(replacement(make.sealed(TH), epoch)) is False


async def test_secrets_of_a_sent_envelope_are_found_for_its_recipients_only(store, make):
    first = make.sealed(TH)
    message = make.sealed(TH, LA, thread=first.thread_id)
    await store.write(submit(first, message))
    secrets = await store.read(SentSecrets(envelope_id=message.envelope_id, partner=TH))
    assert (secrets.header, secrets.content_sealed) == (message.header, message.content_sealed)
    assert (secrets.wrapped_message_key, secrets.thread_id) == (message.wrapped_message_key, message.thread_id)
    assert secrets.previous_digest == first.digest
    assert await store.read(SentSecrets(envelope_id=message.envelope_id, partner=VN)) is None
    assert await store.read(SentSecrets(envelope_id=EnvelopeId(uuid7(NOW)), partner=TH)) is None


async def test_erased_message_is_never_sent_nor_sealed_again(store, make):
    message, other = make.sealed(TH), make.sealed(TH)
    await store.write(submit(message, other))
    erase = EraseMessage(sender=CN, message_id=message.message_id, log=log_entry())
    assert await store.write(erase) is True
    assert await store.write(erase) is True
    assert ids(await waiting(store)) == ids([other])
    assert await store.read(SentSecrets(envelope_id=message.envelope_id, partner=TH)) is None
    found = await store.read(FindMessage(sender=CN, message_id=message.message_id))
    assert (found.content_sealed, found.wrapped_message_key, found.digest) == (None, None, message.digest)
    assert await store.write(EraseMessage(sender=CN, message_id=MessageId(uuid7(NOW)), log=log_entry())) is False


async def test_page_full_of_erased_messages_does_not_end_the_queue(store, make):
    erased = [make.sealed(TH) for _ in range(3)]
    last = make.sealed(TH)
    await store.write(submit(*erased, last))
    for message in erased:
        await store.write(EraseMessage(sender=CN, message_id=message.message_id, log=log_entry()))
    assert ids(await waiting(store, rows=2)) == ids([last])
    assert ids(await waiting(store, size=1)) == ids([last])


async def test_lease_has_one_holder_and_epochs_rise(store):
    def take(holder, now_ms, until_ms):
        return store.write(TakeLease(partner=TH, holder=holder, now_ms=now_ms, until_ms=until_ms))

    first = await take("a", NOW, NOW + 10)
    assert first is not None
    assert await take("a", NOW + 5, NOW + 15) == first
    assert await take("b", NOW + 14, NOW + 30) is None
    assert await take("b", NOW + 15, NOW + 30) == first + 1
    assert await take("a", NOW + 16, NOW + 30) is None
    await store.write(DropLease(partner=TH, holder="a", epoch=first))
    assert await take("a", NOW + 16, NOW + 30) is None
    await store.write(DropLease(partner=TH, holder="b", epoch=first + 1))
    assert await take("a", NOW + 16, NOW + 30) == first + 2
    assert await store.write(TakeLease(partner=LA, holder="b", now_ms=NOW, until_ms=NOW + 1)) is not None


async def test_lease_is_taken_by_one_of_many(engine):
    stores = [await engine.open()]
    if engine.name == "postgresql":
        stores.append(await engine.open())
    epochs = await asyncio.gather(
        *(
            stores[place % len(stores)].write(TakeLease(partner=TH, holder=f"h{place}", now_ms=NOW, until_ms=NOW + 10))
            for place in range(10)
        )
    )
    assert len([epoch for epoch in epochs if epoch is not None]) == 1


async def test_worker_that_lost_its_lease_stores_nothing(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    old = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    new = await store.write(TakeLease(partner=TH, holder="b", now_ms=NOW + 10, until_ms=NOW + 20))
    for operation in (receipts(receipt(message.digest), epoch=old), replacement(message, old)):
        with pytest.raises(LeaseLost):
            await store.write(operation)
    with pytest.raises(LeaseLost):
        await store.write(receipts(receipt(message.digest, issuer=LA), partner=LA, epoch=1))
    assert ids(await waiting(store)) == ids([message])
    await store.write(receipts(receipt(message.digest), epoch=new))
    assert await waiting(store) == ()


async def test_lost_lease_harms_no_operation_of_the_same_group(store, make):
    messages = [make.sealed(TH) for _ in range(6)]
    await store.write(submit(*messages))
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    results = await asyncio.gather(
        *(
            store.write(receipts(receipt(message.digest), epoch=epoch + place % 2))
            for place, message in enumerate(messages)
        ),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), LeaseLost] * 3
    assert ids(await waiting(store)) == ids(messages[1::2])
