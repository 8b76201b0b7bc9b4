"""What the store knows of threads that messages continue, on both engines."""

from dataclasses import replace

import pytest

from gateway.ids import MessageId, PartnerId, ThreadId, uuid7
from gateway.model.header import Kind, Mode
from gateway.ports import KnownThreads, NamedMessage
from tests.contract.samples import CN, LA, NOW, TH, receive, submit


async def known(store, *threads, ids=(), partner=TH):
    return await store.read(KnownThreads(partner=partner, threads=threads, message_ids=tuple(ids)))


def in_mode(message, mode):
    return replace(message, header=replace(message.header, mode=mode))


async def test_nothing_is_known_of_what_is_not_stored(store, make):
    await store.write(submit(make.sealed(TH)))
    found = await known(store, ThreadId(uuid7(NOW)), ids=[MessageId(uuid7(NOW))])
    assert (found.ours, found.theirs, found.messages) == ({}, {}, ())
    assert (await known(store)).messages == ()


async def test_thread_has_the_mode_of_what_we_sent_in_it_wherever_it_began(store, make):
    first = replace(make.sealed(TH), mode=Mode.ACTUAL)
    later = replace(make.sealed(TH, thread=ThreadId(uuid7(NOW)), new_thread=False), mode=Mode.TEST)
    await store.write(submit(first, later))
    found = await known(store, first.thread_id, later.thread_id)
    assert found.ours == {first.thread_id: Mode.ACTUAL, later.thread_id: Mode.TEST}
    assert found.theirs == {}


async def test_what_the_sender_began_counts_before_what_others_said_in_the_thread(store, make):
    first = in_mode(make.received(TH), Mode.ACTUAL)
    thread = first.header.thread_id
    spoilt = in_mode(make.received(LA, thread=thread), Mode.EXERCISE)
    forged = in_mode(make.received(LA, message_id=first.header.message_id, thread=thread), Mode.TEST)
    await store.write(receive(spoilt, sender=LA))
    assert (await known(store, thread)).theirs == {thread: Mode.EXERCISE}
    await store.write(receive(forged, sender=LA))
    assert (await known(store, thread)).theirs == {thread: Mode.TEST}
    await store.write(receive(first))
    assert (await known(store, thread)).theirs == {thread: Mode.ACTUAL}
    assert (await known(store, thread, partner=LA)).theirs == {thread: Mode.TEST}


async def test_held_messages_count_too(store, make):
    held = in_mode(make.received(TH, thread=ThreadId(uuid7(NOW)), previous=b"d" * 32), Mode.ACTUAL)
    await store.write(receive(held))
    found = await known(store, held.header.thread_id, ids=[held.header.message_id], partner=PartnerId("vn"))
    assert found.theirs == {held.header.thread_id: Mode.ACTUAL}
    assert [item.message_id for item in found.messages] == [held.header.message_id]


async def test_messages_of_an_id_are_found_whoever_sent_them(store, make):
    ours = replace(make.sealed(TH), kind=Kind.UPDATE)
    theirs = make.received(TH, message_id=ours.message_id, thread=ThreadId(uuid7(NOW)))
    await store.write(submit(ours))
    await store.write(receive(theirs))
    found = await known(store, ids=[ours.message_id])
    assert sorted(found.messages, key=lambda item: item.sender) == [
        NamedMessage(
            sender=CN, message_id=ours.message_id, thread_id=ours.thread_id, kind=Kind.UPDATE, mode=Mode.EXERCISE,
            authority="cn/emergency", content_commitment=ours.content_commitment,
        ),
        NamedMessage(
            sender=TH, message_id=ours.message_id, thread_id=theirs.header.thread_id, kind=Kind.ALERT,
            mode=Mode.EXERCISE, authority="th/police", content_commitment=theirs.header.content_commitment,
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [3, 300])
async def test_many_threads_are_asked_about_at_once(store, make, count):
    messages = [make.received(TH) for _ in range(count)]
    await store.write(receive(*messages))
    threads = [message.header.thread_id for message in messages]
    found = await known(store, *threads, ids=[message.header.message_id for message in messages])
    assert found.theirs == dict.fromkeys(threads, Mode.EXERCISE)
    assert len(found.messages) == count
