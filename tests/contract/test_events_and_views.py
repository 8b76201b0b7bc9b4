"""Events, lists, counts, partners: the looking half of the store's contract, on both engines."""

import asyncio

from gateway.ids import MessageId, uuid7
from gateway.model.envelope import Outcome
from gateway.model.partner import CardSignature, KeyPurpose, SignedCard
from gateway.ports import (
    AcknowledgeReceived,
    AssignPositions,
    BuryEnvelopes,
    CountMessages,
    Counts,
    EnvelopesFor,
    EventRange,
    EventsSince,
    FindMessage,
    FreezePartner,
    ListMessages,
    NoteSuccess,
    Partners,
    PutCard,
    RemovePartner,
    WaitingReceipts,
)
from tests.contract.samples import (
    CN,
    LA,
    NOW,
    TH,
    Maker,
    blob,
    log_entry,
    proof,
    receipt,
    receipts,
    receive,
    submit,
)


async def events(store, after=0, rows=1000):
    while await store.write(AssignPositions(max_rows=1000)):
        pass
    return await store.read(EventsSince(position=after, max_rows=rows))


async def test_store_without_events_has_an_empty_range(store):
    assert await store.read(EventRange()) == (1, 0)
    assert await store.write(AssignPositions(max_rows=10)) == 0
    assert await store.read(EventsSince(position=0, max_rows=10)) == ()


async def test_every_new_rung_is_an_event_once(store, make):
    first, second, third = (make.sealed(TH) for _ in range(3))
    await store.write(submit(first, second, third))
    for _ in range(2):
        await store.write(receipts(receipt(first.digest), now_ms=NOW + 1))
        await store.write(receipts(receipt(first.digest, Outcome.ACKNOWLEDGED_BY_SYSTEM), now_ms=NOW + 2))
        await store.write(receipts(receipt(first.digest, Outcome.DECIDED), now_ms=NOW + 3))
        await store.write(receipts(receipt(second.digest, Outcome.REFUSED, reason="EXPIRED"), now_ms=NOW + 4))
        negative = receipt(third.digest, Outcome.EXPIRED, issuer=CN)
        await store.write(BuryEnvelopes(rows=((TH, third.message_id, negative),), now_ms=NOW + 5))
    found = await events(store)
    assert [(event.type, event.time_ms, event.message_id, event.reason) for event in found] == [
        ("delivery.received", NOW + 1, first.message_id, ""),
        ("delivery.acknowledged", NOW + 2, first.message_id, ""),
        ("delivery.decided", NOW + 3, first.message_id, ""),
        ("delivery.refused", NOW + 4, second.message_id, "EXPIRED"),
        ("delivery.expired", NOW + 5, third.message_id, ""),
    ]
    assert {(event.sender, event.partner) for event in found} == {(CN, TH)}


async def test_same_receipt_twice_in_one_group_is_one_event(store, make):
    message = make.sealed(TH)
    await store.write(submit(message))
    item = receipt(message.digest)
    await asyncio.gather(*(store.write(receipts(item, item)) for _ in range(5)))
    assert len(await events(store)) == 1


async def test_events_are_read_after_a_position_and_bounded(store, make):
    messages = [make.received(TH) for _ in range(5)]
    await store.write(receive(*messages))
    found = await events(store)
    assert [event.position for event in found] == [1, 2, 3, 4, 5]
    assert [event.message_id for event in found] == [message.header.message_id for message in messages]
    assert {(event.sender, event.partner, event.type) for event in found} == {(TH, TH, "message.received")}
    assert await events(store, after=3) == found[3:]
    assert await events(store, after=1, rows=2) == found[1:3]
    assert await store.read(EventRange()) == (1, 5)


async def test_positions_are_dense_and_never_appear_below_one_already_seen(engine):
    """Writers and a sequencer race, while a reader follows: it must see every event exactly once, in order."""
    writers = [await engine.open()]
    if engine.name == "postgresql":
        writers += [await engine.open(), await engine.open()]
    reader = writers[0]
    seen: list[int] = []
    done, numbered = asyncio.Event(), asyncio.Event()

    async def write(number, store):
        maker = Maker()
        for place in range(15):
            await store.write(receive(maker.received(TH), maker.received(TH)))
            if place % 5 == 0:
                await asyncio.sleep(0)

    async def number():
        while not done.is_set():
            await asyncio.gather(*(store.write(AssignPositions(max_rows=7)) for store in writers))

    async def follow():
        while not numbered.is_set() or await reader.read(EventRange()) != (1, len(seen)):
            found = await reader.read(EventsSince(position=seen[-1] if seen else 0, max_rows=9))
            seen.extend(event.position for event in found)
            await asyncio.sleep(0)

    numbering, following = asyncio.create_task(number()), asyncio.create_task(follow())
    await asyncio.gather(*(write(place, writers[place % len(writers)]) for place in range(4)))
    done.set()
    await numbering
    while await reader.write(AssignPositions(max_rows=1000)):
        pass
    numbered.set()
    await asyncio.wait_for(following, 20)
    assert seen == list(range(1, 4 * 15 * 2 + 1))


async def test_failed_group_leaves_no_hole_in_positions(store, make):
    from gateway.errors import GatewayError

    good = [make.received(TH) for _ in range(4)]
    bad = make.received(TH)
    object.__setattr__(bad, "authority", None)  # breaks NOT NULL: a programmer's mistake
    results = await asyncio.gather(
        *(store.write(receive(message)) for message in (good[0], good[1], bad, good[2], good[3])),
        return_exceptions=True,
    )
    assert isinstance(results[2], RuntimeError)
    assert not isinstance(results[2], GatewayError)
    assert [event.position for event in await events(store)] == [1, 2, 3, 4]


async def test_subscribers_are_woken_after_the_commit_that_touches_their_topic(engine, make):
    store = await engine.open()
    woken: list[str] = []
    stops = [store.subscribe(topic, lambda topic=topic: woken.append(topic)) for topic in ("outbox/th", "outbox/la")]
    stops.append(store.subscribe("events", lambda: woken.append("events")))
    await store.write(submit(make.sealed(TH)))
    assert set(woken) == {"outbox/th"}
    woken.clear()
    await store.write(receive(make.received(LA), sender=LA))
    assert "events" in woken
    for stop in stops:
        stop()
        stop()
    woken.clear()
    await store.write(submit(make.sealed(TH)))
    assert woken == []


async def test_messages_are_listed_newest_first_across_both_directions(store, make):
    expected = []
    for place in range(6):
        make.now_ms = NOW + place // 2
        if place % 2:
            message = make.sealed(TH)
            await store.write(submit(message))
            expected.append((make.now_ms, message.message_id, True))
        else:
            received = make.received(TH)
            await store.write(receive(received))
            expected.append((make.now_ms, received.header.message_id, False))
    expected.sort(reverse=True)
    newest = {"before_ms": NOW + 999, "before_id": b"\xff" * 16}
    rows = await store.read(ListMessages(sent=None, max_rows=10, **newest))
    assert [(row.create_ms, row.message_id, row.sent) for row in rows] == expected
    for sent in (True, False):
        rows = await store.read(ListMessages(sent=sent, max_rows=10, **newest))
        assert [row.message_id for row in rows] == [item[1] for item in expected if item[2] is sent]
    paged = []
    cursor = dict(newest)
    while page := await store.read(ListMessages(sent=None, max_rows=4, **cursor)):
        paged += [row.message_id for row in page]
        cursor = {"before_ms": page[-1].create_ms, "before_id": page[-1].message_id.raw}
    assert paged == [item[1] for item in expected]


async def test_held_messages_are_not_listed(store, make):
    await store.write(receive(make.received(TH, previous=blob("missing"))))
    assert await store.read(ListMessages(sent=None, before_ms=NOW * 2, before_id=b"\xff" * 16, max_rows=10)) == ()


async def test_sent_message_is_found_with_its_row(store, make):
    message = make.sealed(TH, LA)
    await store.write(submit(message))
    found = await store.read(FindMessage(sender=CN, message_id=message.message_id))
    row = found.row
    assert (row.sent, row.sender, row.state, row.submitter) == (True, CN, "released", message.submitter)
    assert (row.authority, row.content_commitment) == (message.authority, message.content_commitment)
    assert (found.header, found.digest) == (message.header, message.digest)
    assert found.content_sealed == message.content_sealed
    assert found.wrapped_message_key == message.wrapped_message_key
    assert [delivery.partner for delivery in found.deliveries] == [TH, LA]
    assert await store.read(FindMessage(sender=TH, message_id=message.message_id)) is None
    assert await store.read(FindMessage(sender=CN, message_id=MessageId(uuid7(NOW)))) is None


async def test_counts_follow_what_is_stored(store, make):
    assert await store.read(CountMessages()) == Counts(0, 0, 0)
    message = make.sealed(TH, LA)
    await store.write(submit(message))
    await store.write(receive(make.received(TH)))
    await store.write(receipts(receipt(message.digest)))
    assert await store.read(CountMessages()) == Counts(1, 1, 1)


def card(partner, sequence, expected, label=None):
    body = blob(("card", partner.code, sequence, label), 200)
    signatures = (
        CardSignature(KeyPurpose.IDENTITY, blob("identity"), blob(("signature", body), 64)),
        CardSignature(KeyPurpose.RECOVERY, blob("recovery"), blob(("recovery", body), 64)),
    )
    return PutCard(
        partner=partner,
        card=SignedCard(body, signatures),
        digest=blob(("card digest", body)),
        sequence=sequence,
        expected_sequence=expected,
        now_ms=NOW,
        log=log_entry(),
    )


async def test_card_replaces_the_one_it_follows_only(store):
    woken = []
    store.subscribe("cards", lambda: woken.append(1))
    first, second = card(TH, 3, 0), card(TH, 4, 3)
    assert await store.write(first) is True
    assert woken
    (row,) = await store.read(Partners())
    assert (row.partner, row.card, row.sequence) == (TH, first.card, 3)
    assert (row.frozen, row.last_success_ms) == (False, None)
    assert await store.write(card(TH, 5, 0)) is False
    assert await store.write(card(TH, 5, 4)) is False
    assert await store.write(second) is True
    (row,) = await store.read(Partners())
    assert (row.card, row.sequence) == (second.card, 4)


async def test_card_of_equal_sequence_can_take_over(store):
    await store.write(card(TH, 3, 0))
    recovered = card(TH, 3, 3, "by the recovery key")
    assert await store.write(recovered) is True
    (row,) = await store.read(Partners())
    assert row.card == recovered.card


async def test_racing_cards_have_one_winner(engine):
    stores = [await engine.open()]
    if engine.name == "postgresql":
        stores.append(await engine.open())
    results = await asyncio.gather(*(stores[place % len(stores)].write(card(TH, 7, 0, place)) for place in range(6)))
    assert sorted(results) == [False] * 5 + [True]


async def test_partners_are_frozen_thawed_and_heard_from(store):
    await store.write(card(TH, 1, 0))
    await store.write(card(LA, 1, 0))
    assert await store.write(FreezePartner(partner=CN, frozen=True, log=log_entry())) is False
    assert await store.write(FreezePartner(partner=TH, frozen=True, log=log_entry())) is True
    await store.write(NoteSuccess(partner=LA, now_ms=NOW + 1))
    await store.write(NoteSuccess(partner=CN, now_ms=NOW + 1))
    rows = await store.read(Partners())
    assert [(row.partner, row.frozen, row.last_success_ms) for row in rows] == [(LA, False, NOW + 1), (TH, True, None)]
    await store.write(card(TH, 2, 1))
    await store.write(FreezePartner(partner=TH, frozen=False, log=log_entry()))
    assert [row.frozen for row in await store.read(Partners())] == [False, False]


async def test_partner_is_removed_when_nothing_waits_for_it_and_may_come_back_from_the_start(store, make):
    woken = []
    await store.write(card(TH, 7, 0))
    await store.write(card(LA, 1, 0))
    mine, other = make.sealed(TH, LA), make.sealed(LA)
    theirs = make.received(TH)
    await store.write(submit(mine, other))
    await store.write(receive(theirs))
    message_id = theirs.header.message_id
    await store.write(
        AcknowledgeReceived(sender=TH, message_id=message_id, proof=proof("ack", CN), now_ms=NOW, log=log_entry())
    )
    store.subscribe("cards", lambda: woken.append(1))
    assert await store.write(RemovePartner(partner=CN, log=log_entry())) is None
    assert await store.write(RemovePartner(partner=TH, log=log_entry())) == 1
    assert len(await store.read(Partners())) == 2
    assert not woken
    (row,) = await store.read(EnvelopesFor(partner=TH, max_rows=9))
    assert (row.partner, row.message_id, row.digest) == (TH, mine.message_id, mine.digest)
    given_up = receipt(mine.digest, Outcome.EXPIRED, CN, "PARTNER_UNKNOWN")
    assert await store.write(BuryEnvelopes(rows=((TH, mine.message_id, given_up),), now_ms=NOW)) == 1
    assert await store.read(EnvelopesFor(partner=TH, max_rows=9)) == ()
    assert len(await store.read(EnvelopesFor(partner=LA, max_rows=9))) == 2
    assert await store.write(RemovePartner(partner=TH, log=log_entry())) == 0
    assert woken
    assert [row.partner for row in await store.read(Partners())] == [LA]
    assert await store.read(WaitingReceipts(partner=TH, max_rows=9)) == ()
    states = {item.partner: item.state for item in (await store.read(find(mine.message_id))).deliveries}
    assert states == {TH: "expired", LA: "waiting"}
    assert (await store.read(find(message_id, TH))).row.state == "acknowledged"
    # As a new partner: with a lower number, or with the very card it had.
    assert await store.write(card(TH, 1, 0, "fresh")) is True
    assert await store.write(RemovePartner(partner=TH, log=log_entry())) == 0
    assert await store.write(card(TH, 7, 0)) is True
    assert [(row.partner, row.sequence, row.frozen) for row in await store.read(Partners())] == [
        (LA, 1, False),
        (TH, 7, False),
    ]


def find(message_id, sender=CN):
    return FindMessage(sender=sender, message_id=message_id)
