"""The receiving half of the store's contract, on both engines."""

import asyncio

import pytest

from gateway.errors import LeaseLost
from gateway.ids import MessageId, ThreadId, uuid7
from gateway.model.envelope import Outcome
from gateway.ports import (
    AcknowledgeReceived,
    AssignPositions,
    CountMessages,
    Counts,
    DropWaitingReceipts,
    EraseMessage,
    EventsSince,
    FindMessage,
    FreeHeld,
    KnownMessages,
    ReceptionStatus,
    TakeLease,
    WaitingReceipts,
)
from gateway.store import receiving
from gateway.store.receiving import FREE_ROWS, MAX_HELD
from tests.contract.samples import LA, NOW, TH, Maker, blob, log_entry, proof, receive

STORED, HELD, RACED = ReceptionStatus


async def find(store, message, *, held=False, sender=TH):
    return await store.read(FindMessage(sender=sender, message_id=message.header.message_id, held=held))


async def shown(store):
    """Return ids and reasons of message.received events, in order."""
    await store.write(AssignPositions(max_rows=1000))
    events = await store.read(EventsSince(position=0, max_rows=1000))
    assert {event.type for event in events} <= {"message.received"}
    return [(event.message_id, event.reason) for event in events]


def own(message):
    return message.header.message_id


async def test_received_message_is_stored_with_all_it_was_given(store, make):
    message = make.received(TH)
    assert await store.write(receive(message)) == (STORED,)
    found = await find(store, message)
    assert (found.header, found.digest) == (message.header_bytes, message.digest)
    assert (found.content_sealed, found.wrapped_message_key) == (message.content_sealed, message.wrapped_message_key)
    assert found.deliveries == ()
    row, header = found.row, message.header
    assert (row.sent, row.sender, row.message_id, row.thread_id) == (False, TH, header.message_id, header.thread_id)
    assert (row.kind, row.mode, row.urgency) == (header.kind, header.mode, header.urgency)
    assert (row.create_ms, row.expire_ms) == (header.create_ms, header.expire_ms)
    assert (row.content_commitment, row.authority) == (header.content_commitment, message.authority)
    assert (row.state, row.gap, row.submitter) == ("received", False, "")


async def test_known_message_gives_the_first_receipt_back(store, make):
    message = make.received(TH)
    await store.write(receive(message))
    unknown = MessageId(uuid7(NOW))
    known = await store.read(KnownMessages(sender=TH, message_ids=(own(message), unknown)))
    assert set(known) == {own(message)}
    entry = known[own(message)]
    assert (entry.content_commitment, entry.proof) == (message.header.content_commitment, message.proof)
    assert await store.read(KnownMessages(sender=LA, message_ids=(own(message),))) == {}
    assert await store.read(KnownMessages(sender=TH, message_ids=())) == {}


async def test_same_id_from_another_sender_is_another_message(store, make):
    message = make.received(TH)
    other = make.received(LA, message_id=own(message))
    assert await store.write(receive(message)) == (STORED,)
    assert await store.write(receive(other, sender=LA)) == (STORED,)


async def test_group_with_a_known_message_is_judged_again_whole(store, make):
    first, second = make.received(TH), make.received(TH)
    await store.write(receive(first))
    statuses = await store.write(receive(second, make.received(TH, message_id=own(first))))
    assert RACED in statuses
    assert await find(store, second) is None
    assert await store.read(CountMessages()) == Counts(0, 1, 0)


async def test_same_message_twice_in_one_operation_is_judged_again(store, make):
    message = make.received(TH)
    assert RACED in await store.write(receive(message, make.received(TH, message_id=own(message))))
    assert await find(store, message) is None


async def test_racing_copies_are_stored_once(engine, make):
    stores = [await engine.open()]
    if engine.name == "postgresql":
        stores.append(await engine.open())
    message = make.received(TH)
    results = await asyncio.gather(*(stores[place % len(stores)].write(receive(message)) for place in range(10)))
    assert sorted(status for (status,) in results) == [STORED] + [RACED] * 9
    assert (await find(stores[0], message)).wrapped_message_key == message.wrapped_message_key


async def test_raced_copy_does_not_replace_the_key_of_the_first(store, make):
    message = make.received(TH)
    await store.write(receive(message))
    copy = make.received(TH, message_id=own(message))
    object.__setattr__(copy, "wrapped_message_key", blob("another key", 72))
    await store.write(receive(copy))
    assert (await find(store, message)).wrapped_message_key == message.wrapped_message_key


async def test_message_without_its_predecessor_is_held_and_not_shown(store, make):
    message = make.received(TH, previous=blob("missing"))
    assert await store.write(receive(message)) == (HELD,)
    assert await find(store, message) is None
    assert (await find(store, message, held=True)).row.state == "held"
    assert await shown(store) == []
    known = await store.read(KnownMessages(sender=TH, message_ids=(own(message),)))
    assert known[own(message)].proof == message.proof


async def test_predecessor_frees_the_whole_line_in_order(store, make):
    first = make.received(TH)
    second = make.received(TH, thread=first.header.thread_id, previous=first.digest)
    third = make.received(TH, thread=first.header.thread_id, previous=second.digest)
    assert await store.write(receive(third)) == (HELD,)
    assert await store.write(receive(second)) == (HELD,)
    assert await store.write(receive(first)) == (STORED,)
    assert await shown(store) == [(own(first), ""), (own(second), ""), (own(third), "")]
    assert not (await find(store, third)).row.gap


async def test_line_in_one_operation_is_stored_in_order(store, make):
    first = make.received(TH)
    second = make.received(TH, thread=first.header.thread_id, previous=first.digest)
    assert await store.write(receive(first, second)) == (STORED, STORED)
    assert await shown(store) == [(own(first), ""), (own(second), "")]


async def test_predecessor_behind_its_successor_in_one_operation_frees_it(store, make):
    first = make.received(TH)
    second = make.received(TH, thread=first.header.thread_id, previous=first.digest)
    await store.write(receive(second, first))
    assert await shown(store) == [(own(first), ""), (own(second), "")]


async def test_predecessor_of_another_sender_or_thread_does_not_count(store, make):
    first = make.received(LA)
    await store.write(receive(first, sender=LA))
    assert await store.write(receive(make.received(TH, thread=first.header.thread_id, previous=first.digest))) == (
        HELD,
    )
    other = make.received(TH)
    await store.write(receive(other))
    assert await store.write(receive(make.received(TH, previous=other.digest))) == (HELD,)


async def test_wait_that_is_over_shows_the_gap(store, make):
    thread = ThreadId(uuid7(NOW))
    second = make.received(TH, thread=thread, previous=blob("missing"), hold_until_ms=NOW + 50)
    third = make.received(TH, thread=thread, previous=second.digest, hold_until_ms=NOW + 50)
    assert await store.write(receive(second, third)) == (HELD, HELD)
    assert await store.write(FreeHeld(now_ms=NOW + 49)) == 0
    assert await store.write(FreeHeld(now_ms=NOW + 50)) == 2
    assert await store.write(FreeHeld(now_ms=NOW + 50)) == 0
    assert await shown(store) == [(own(second), "gap"), (own(third), "")]
    assert (await find(store, second)).row.gap
    assert not (await find(store, third)).row.gap


async def test_predecessor_that_comes_after_the_gap_was_shown_is_shown_too(store, make):
    first = make.received(TH)
    second = make.received(TH, thread=first.header.thread_id, previous=first.digest, hold_until_ms=NOW + 1)
    await store.write(receive(second))
    await store.write(FreeHeld(now_ms=NOW + 1))
    assert await store.write(receive(first)) == (STORED,)
    assert await shown(store) == [(own(second), "gap"), (own(first), "")]


def line(maker, count, **options):
    """Return a thread of messages, each naming the one before."""
    messages = [maker.received(TH)]
    thread = messages[0].header.thread_id
    for _ in range(count - 1):
        messages.append(maker.received(TH, thread=thread, previous=messages[-1].digest, **options))
    return messages


async def free_all(store, now_ms):
    """Return what each call freed until one freed nothing."""
    counts = []
    while count := await store.write(FreeHeld(now_ms=now_ms)):
        counts.append(count)
    return counts


async def seen(store):
    """Return ids and reasons of message.received events, however many."""
    while await store.write(AssignPositions(max_rows=1000)):
        pass
    return [(event.message_id, event.reason) for event in await store.read(EventsSince(position=0, max_rows=5000))]


async def test_thread_sent_backwards_is_held_up_to_a_bound_and_freed_bit_by_bit_in_order(store):
    first, *rest = line(Maker(body_bytes=50), MAX_HELD + 3)
    rest.reverse()
    statuses = []
    for start in range(0, len(rest), 300):
        statuses += await store.write(receive(*rest[start : start + 300]))
    assert statuses == [HELD] * MAX_HELD + [STORED] * 2
    over = rest[MAX_HELD:]
    assert (await find(store, over[0])).row.gap
    # What is shown in spite of its gap is a predecessor like any other, and frees those behind it.
    freed = await free_all(store, NOW + 1)
    assert sum(freed) == MAX_HELD - FREE_ROWS
    assert max(freed) <= FREE_ROWS
    line_behind = [(own(message), "") for message in reversed(rest[:MAX_HELD])]
    assert await seen(store) == [(own(over[0]), "gap"), (own(over[1]), "gap"), *line_behind]
    assert await store.write(receive(first)) == (STORED,)


async def test_what_one_message_frees_is_bounded_and_the_rest_does_not_wait_for_its_time(store):
    first, *rest = line(Maker(body_bytes=50), 2 * FREE_ROWS)
    assert set(await store.write(receive(*rest))) == {HELD}
    assert await store.write(receive(first)) == (STORED,)
    assert len(await seen(store)) == 1 + FREE_ROWS
    assert await free_all(store, NOW) == [FREE_ROWS - 1]
    assert await seen(store) == [(own(message), "") for message in (first, *rest)]


async def test_many_that_wait_for_one_message_are_freed_bit_by_bit(store):
    maker = Maker(body_bytes=50)
    first = maker.received(TH)
    thread = first.header.thread_id
    rest = [maker.received(TH, thread=thread, previous=first.digest) for _ in range(FREE_ROWS + 20)]
    await store.write(receive(*rest))
    await store.write(receive(first))
    assert len(await seen(store)) == 1 + FREE_ROWS
    assert await free_all(store, NOW) == [20]
    assert sorted(await seen(store)) == sorted((own(message), "") for message in (first, *rest))


async def test_waits_that_end_together_are_ended_bit_by_bit(store):
    maker = Maker(body_bytes=50)
    rest = [maker.received(TH, previous=blob(place), hold_until_ms=NOW + 5) for place in range(FREE_ROWS + 20)]
    await store.write(receive(*rest))
    assert await free_all(store, NOW + 4) == []
    assert await free_all(store, NOW + 5) == [FREE_ROWS, 20]
    assert {reason for _, reason in await seen(store)} == {"gap"}


async def test_predecessor_that_another_replica_stored_at_the_same_moment_frees_without_a_gap(store, make, monkeypatch):
    first, second, third = line(make, 3)
    await store.write(receive(second, third))
    with monkeypatch.context() as patch:
        # Neither of two transactions sees what the other has not committed.
        patch.setattr(receiving, "_free_successors", lambda *_: 0)
        await store.write(receive(first))
    assert await seen(store) == [(own(first), "")]
    assert await free_all(store, NOW + 1) == [2]
    assert await seen(store) == [(own(message), "") for message in (first, second, third)]


async def test_held_messages_of_one_sender_leave_room_for_another(store):
    maker = Maker(body_bytes=50)
    await store.write(receive(*(maker.received(TH, previous=blob("missing")) for _ in range(MAX_HELD))))
    assert await store.write(receive(maker.received(TH, previous=blob("missing")))) == (STORED,)
    assert await store.write(receive(maker.received(LA, previous=blob("missing")), sender=LA)) == (HELD,)
    await free_all(store, NOW + 60_000)
    assert await store.write(receive(maker.received(TH, previous=blob("missing")))) == (HELD,)


async def acknowledge(store, message, now_ms=NOW + 5, label="ack"):
    return await store.write(
        AcknowledgeReceived(sender=TH, message_id=own(message), proof=proof(label), now_ms=now_ms, log=log_entry())
    )


async def test_acknowledgement_counts_once_and_waits_for_the_sender(store, make):
    message = make.received(TH)
    await store.write(receive(message))
    woken = []
    stop = store.subscribe("outbox/th", lambda: woken.append(1))
    assert await acknowledge(store, message) == NOW + 5
    assert await acknowledge(store, message, NOW + 99, "again") == NOW + 5
    stop()
    assert woken
    assert (await find(store, message)).row.state == "acknowledged"
    (item,) = await store.read(WaitingReceipts(partner=TH, max_rows=10))
    assert item.proof == proof("ack")
    assert await store.read(WaitingReceipts(partner=LA, max_rows=10)) == ()


async def test_unknown_or_held_message_cannot_be_acknowledged(store, make):
    message = make.received(TH, previous=blob("missing"))
    await store.write(receive(message))
    assert await acknowledge(store, message) is None
    assert await acknowledge(store, make.received(TH)) is None
    assert await store.read(WaitingReceipts(partner=TH, max_rows=10)) == ()


async def test_confirmed_receipts_wait_no_longer_and_only_the_leaseholder_confirms(store, make):
    messages = [make.received(TH) for _ in range(3)]
    await store.write(receive(*messages))
    for place, message in enumerate(messages):
        await acknowledge(store, message, label=place)
    items = await store.read(WaitingReceipts(partner=TH, max_rows=10))
    assert [item.proof for item in items] == [proof(place) for place in range(3)]
    assert len(await store.read(WaitingReceipts(partner=TH, max_rows=2))) == 2
    epoch = await store.write(TakeLease(partner=TH, holder="a", now_ms=NOW, until_ms=NOW + 10))
    sequences = (items[0].sequence, items[2].sequence)
    with pytest.raises(LeaseLost):
        await store.write(DropWaitingReceipts(partner=TH, epoch=epoch + 1, sequences=sequences))
    await store.write(DropWaitingReceipts(partner=TH, epoch=epoch, sequences=sequences))
    assert await store.read(WaitingReceipts(partner=TH, max_rows=10)) == items[1:2]
    await store.write(TakeLease(partner=LA, holder="a", now_ms=NOW, until_ms=NOW + 10))
    await store.write(DropWaitingReceipts(partner=LA, epoch=1, sequences=(items[1].sequence,)))
    assert len(await store.read(WaitingReceipts(partner=TH, max_rows=10))) == 1


async def test_erased_message_stays_known_and_shows_no_content(store, make):
    message = make.received(TH)
    await store.write(receive(message))
    assert await store.write(EraseMessage(sender=TH, message_id=own(message), log=log_entry()))
    found = await find(store, message)
    assert (found.content_sealed, found.wrapped_message_key) == (None, None)
    assert found.header == message.header_bytes
    assert own(message) in await store.read(KnownMessages(sender=TH, message_ids=(own(message),)))
    assert RACED in await store.write(receive(message))
    assert (await find(store, message)).wrapped_message_key is None


def test_outcomes_fit_their_places():
    from gateway.store.tables import RUNGS

    assert max(Outcome) < RUNGS
