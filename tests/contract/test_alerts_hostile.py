"""Alerts of a partner that means harm, of one that is merely out of order, and of replicas that commit at once."""

import asyncio
import random
from dataclasses import replace

import pytest

from gateway.ids import MessageId, uuid7
from gateway.model.alert import AlertType
from gateway.model.header import Mode, Supersedes
from gateway.ports import AlertMark, EventsSince, FindAlerts, FreeHeld, MarkAlert, ReadLog
from gateway.store.alerts import MAX_WAITING
from gateway.translog.entry import EventType
from gateway.workflow.alert import AlertEvent, AlertState
from gateway.workflow.alert_chain import MAX_CHAIN
from tests.contract.samples import CN, LA, NOW, TH, log_entry, receive, submit
from tests.contract.test_alerts import standing, states
from tests.contract.test_log import integrated

UPDATE, CANCEL = AlertType.UPDATE, AlertType.CANCEL


def name(number: int) -> bytes:
    return number.to_bytes(16)


def about(message, number, kind=AlertType.ALERT, *references, **header):
    from gateway.ports import AlertEntry

    entry = AlertEntry(key=name(number), alert_type=kind, references=tuple(map(name, references)), self_reference=False)
    if header:
        message = replace(message, header=replace(message.header, **header))
    return replace(message, alert=entry)


def after(message) -> Supersedes:
    header = message.header
    return Supersedes(message_id=header.message_id, content_commitment=header.content_commitment)


async def reason(store, sender, message):
    row = await standing(store, sender, message.header.message_id)
    return row.alert_state, row.alert_reason


def update_chain(make, length, *, first=1):
    chain = [about(make.received(TH), first)]
    chain += [about(make.received(TH), first + n, UPDATE, first + n - 1) for n in range(1, length)]
    return chain


async def test_the_last_of_a_very_long_chain_is_ended_and_never_one_in_its_middle(store, make):
    chain = update_chain(make, 3 * MAX_CHAIN)
    for start in range(0, len(chain), 50):
        await store.write(receive(*chain[start : start + 50]))
    assert await states(store, TH, *chain[:-1]) == ["superseded"] * (len(chain) - 1)
    # Believed, it would seem done and leave the last one in force.
    far, near = about(make.received(TH), 900, CANCEL, 1), about(make.received(TH), 901, CANCEL, len(chain) - 10)
    await store.write(receive(far))
    assert await reason(store, TH, far) == ("quarantined", "predecessor_too_far")
    assert await states(store, TH, chain[-1]) == ["validated"]
    await store.write(receive(near))
    assert await states(store, TH, chain[-1], near) == ["cancelled", "validated"]


async def test_our_own_chain_is_followed_to_its_end(store, make):
    first = about(make.sealed(TH), 1)
    chain = [first]
    for number in range(2, 5 * MAX_CHAIN):
        named = Supersedes(message_id=chain[-1].message_id, content_commitment=chain[-1].content_commitment)
        chain.append(about(replace(make.sealed(TH), supersedes=named), number, UPDATE))
    for start in range(0, len(chain), 50):
        await store.write(submit(*chain[start : start + 50]))
    found = await store.read(FindAlerts(partner=CN, message_ids=(), keys=(name(1),)))
    assert len(found) == len(chain)
    (last,) = [item for item in found if item.state is AlertState.ISSUED]
    assert last.message_id == chain[-1].message_id


async def test_what_others_let_wait_for_a_name_crowds_nobody_out(store, make):
    crowd = [about(make.received(LA, create_ms=NOW - 9_000), 1000 + n, CANCEL, 1) for n in range(150)]
    await store.write(receive(*crowd, sender=LA))
    cancel, alert = about(make.received(TH), 2, CANCEL, 1), about(make.received(TH), 1)
    await store.write(receive(cancel))
    await store.write(receive(alert))
    assert await states(store, TH, alert, cancel) == ["cancelled", "validated"]
    assert await states(store, LA, *crowd[:2]) == ["quarantined"] * 2


async def test_as_many_as_come_too_early_are_freed_together(store, make):
    count = 150
    cancels = [about(make.received(TH), 1000 + n, CANCEL, n) for n in range(1, count)]
    alerts = [about(make.received(TH), n) for n in range(1, count)]
    await store.write(receive(*cancels))
    await store.write(receive(*alerts))
    assert await states(store, TH, *alerts) == ["cancelled"] * len(alerts)
    assert await states(store, TH, *cancels) == ["validated"] * len(cancels)


@pytest.mark.parametrize("comes", [1, 2, 3])
async def test_one_that_names_several_waits_for_each(store, make, comes):
    cancel = about(make.received(TH), 9, CANCEL, 3, 2, 1)
    await store.write(receive(cancel))
    alert = about(make.received(TH), comes)
    await store.write(receive(alert))
    assert await states(store, TH, alert, cancel) == ["cancelled", "validated"]


async def test_one_that_names_by_id_waits_for_the_name_as_well(store, make):
    elsewhere = make.received(TH)  # The same file, sent to others.
    cancel = about(make.received(TH), 9, CANCEL, 1, supersedes=after(elsewhere))
    await store.write(receive(cancel))
    assert await reason(store, TH, cancel) == ("quarantined", "predecessor_unknown")
    alert = about(make.received(TH), 1)
    await store.write(receive(alert))
    assert await states(store, TH, alert, cancel) == ["cancelled", "validated"]


async def test_a_flood_in_doubt_waits_for_a_bounded_number_of_names(store, make):
    each = 16
    full = MAX_WAITING // each
    flood = [
        about(make.received(TH), 10**6 + n, CANCEL, *range(1000 + each * n, 1000 + each * (n + 1)))
        for n in range(full + 2)
    ]
    for start in range(0, len(flood), 100):
        await store.write(receive(*flood[start : start + 100]))
    assert await states(store, TH, *flood) == ["quarantined"] * len(flood)
    await store.write(receive(about(make.received(TH), 1000 + each * full)))
    assert await states(store, TH, flood[full]) == ["quarantined"]
    # Another sender has room of its own.
    others = about(make.received(LA), 2, CANCEL, 1)
    await store.write(receive(others, sender=LA))
    await store.write(receive(about(make.received(LA), 1), sender=LA))
    assert await states(store, LA, others) == ["validated"]
    # What has found its alert makes room, and so does what is over.
    await store.write(receive(about(make.received(TH), 1000)))
    assert await states(store, TH, flood[0]) == ["validated"]
    for number, now_ms in ((7_000_000, NOW), (7_100_000, NOW + 4_000_000), (7_200_000, NOW + 4_000_000)):
        late = about(make.received(TH), number + each, CANCEL, *range(number, number + each))
        await store.write(receive(late, now_ms=now_ms))
        await store.write(receive(about(make.received(TH), number), now_ms=now_ms))
        assert await states(store, TH, late) == ["validated"]


async def test_of_many_alerts_of_one_name_the_newest_of_the_mode_is_meant(store, make):
    same = [about(make.received(TH, create_ms=NOW - n), 1) for n in range(1, 300)]
    newest, actual = same[0], about(make.received(TH), 1, mode=Mode.ACTUAL)
    await store.write(receive(*same, actual))
    cancel = about(make.received(TH), 2, CANCEL, 1)
    await store.write(receive(cancel))
    row = await standing(store, TH, cancel.header.message_id)
    assert row.predecessor == newest.header.message_id
    assert await states(store, TH, newest, actual, *same[1:3]) == ["cancelled", "validated", "validated", "validated"]


async def test_modes_never_touch(store, make):
    actual = about(make.received(TH), 1, mode=Mode.ACTUAL)
    by_name = about(make.received(TH), 2, CANCEL, 1)
    by_id = about(make.received(TH), 3, CANCEL, supersedes=after(actual))
    await store.write(receive(actual))
    await store.write(receive(by_name, by_id))
    for item in (by_name, by_id):
        assert await reason(store, TH, item) == ("quarantined", "predecessor_other_mode")
    assert await states(store, TH, actual) == ["validated"]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3])
async def test_alerts_that_name_one_another_in_a_circle_stay_in_doubt(store, make, length, together):
    plain = [make.received(TH) for _ in range(length)]
    circle = [about(item, number, UPDATE, supersedes=after(plain[number - 1])) for number, item in enumerate(plain)]
    for group in [circle] if together else [[item] for item in circle]:
        await store.write(receive(*group))
    assert await states(store, TH, *circle) == ["quarantined"] * length
    if length == 1:
        assert (await reason(store, TH, circle[0]))[1] == "predecessor_self"
    # Names that lead round in a circle, and one that would close it, free nothing either.
    names = [about(make.received(TH), 50 + n, UPDATE, 50 + (n + 1) % length) for n in range(length)]
    if length > 1:
        await store.write(receive(*names))
        assert await states(store, TH, *names) == ["quarantined"] * length


async def test_another_content_than_named_is_not_ended(store, make):
    alert = about(make.received(TH), 1)
    lie = Supersedes(message_id=alert.header.message_id, content_commitment=b"x" * 32)
    cancel = about(make.received(TH), 2, CANCEL, 1, supersedes=lie)
    await store.write(receive(cancel))
    await store.write(receive(alert))
    assert await reason(store, TH, cancel) == ("quarantined", "predecessor_changed")
    assert await states(store, TH, alert) == ["validated"]


async def test_what_is_over_is_still_ended_by_its_issuer(store, make):
    # The cancellation was under way when the time was over, or waited for its alert beyond it.
    over = {"expire_ms": NOW - 1}
    first, cancel = about(make.received(TH), 1, **over), about(make.received(TH), 2, CANCEL, 1, **over)
    early, late = about(make.received(TH), 4, UPDATE, 3, **over), about(make.received(TH), 3, **over)
    for item in (first, cancel, early, late):
        await store.write(receive(item))
    assert await states(store, TH, first, cancel, late, early) == ["cancelled", "validated", "superseded", "validated"]


async def test_what_waits_goes_on_waiting_after_a_restart(engine, make):
    cancel, alert = about(make.received(TH), 2, CANCEL, 7, 1), about(make.received(TH), 1)
    first = await engine.open()
    await first.write(receive(cancel))
    await first.close()
    second = await engine.open()
    await second.write(receive(alert))
    assert await states(second, TH, alert, cancel) == ["cancelled", "validated"]


async def test_what_two_replicas_commit_at_once_sees_one_another(engine, make):
    one, other = await engine.open(), None
    if not one.shared:
        return await in_one_writer(one, make)
    other = await engine.open()
    for number in range(0, 90, 3):
        alert = about(make.received(TH), number)
        cancel = about(make.received(TH), number + 1, CANCEL, number)
        await asyncio.gather(one.write(receive(alert)), other.write(receive(cancel)))
        assert await states(one, TH, alert, cancel) == ["cancelled", "validated"]
    for number in range(100, 190, 3):
        alert = about(make.received(TH), number)
        await one.write(receive(alert))
        two = [about(make.received(TH), number + n, UPDATE, number) for n in (1, 2)]
        await asyncio.gather(one.write(receive(two[0])), other.write(receive(two[1])))
        # One of them is the last, whichever came first.
        assert sorted(await states(one, TH, alert, *two)) == ["superseded", "superseded", "validated"]
    return None


async def in_one_writer(store, make):
    alert, cancel = about(make.received(TH), 0), about(make.received(TH), 1, CANCEL, 0)
    await asyncio.gather(store.write(receive(cancel)), store.write(receive(alert)))
    assert await states(store, TH, alert, cancel) == ["cancelled", "validated"]


def mark(message, event, *, sender=TH, now_ms=NOW):
    return MarkAlert(
        sender=sender,
        message_id=message.header.message_id,
        event=event,
        now_ms=now_ms,
        log=log_entry(EventType.MESSAGE_DECIDED),
    )


async def test_what_our_side_does_is_kept_and_told_and_the_issuer_has_the_last_word(store, make):
    alert = about(make.received(TH), 1)
    await store.write(receive(alert))
    for event, before, then in (
        (AlertEvent.DECLINE, AlertState.VALIDATED, AlertState.DECLINED),
        (AlertEvent.NOTE, AlertState.DECLINED, AlertState.NOTED),
        (AlertEvent.NOTE, AlertState.NOTED, None),
        (AlertEvent.DECLINE, AlertState.NOTED, None),
        (AlertEvent.RELAY, AlertState.NOTED, AlertState.RELAYED),
    ):
        assert await store.write(mark(alert, event)) == AlertMark(before=before, after=then)
    if not store.shared:
        told = [item.type for item in await store.read(EventsSince(position=0, max_rows=10))]
        assert told == ["message.received", "alert.declined", "alert.noted", "alert.relayed"]
    # What changed nothing is no step in the log.
    await integrated(store)
    logged = [item.event.type for item in await store.read(ReadLog(first=0, max_rows=100)) if item.event is not None]
    assert logged.count(EventType.MESSAGE_DECIDED) == 3
    await store.write(receive(about(make.received(TH), 2, CANCEL, 1)))
    assert await states(store, TH, alert) == ["cancelled"]
    assert await store.write(mark(alert, AlertEvent.NOTE)) == AlertMark(before=AlertState.CANCELLED, after=None)


async def test_what_is_declined_in_doubt_stays_out_whatever_comes(store, make):
    cancel, alert = about(make.received(TH), 2, CANCEL, 1), about(make.received(TH), 1)
    await store.write(receive(cancel))
    for event in (AlertEvent.NOTE, AlertEvent.RELAY):
        assert (await store.write(mark(cancel, event))).after is None
    answer = await store.write(mark(cancel, AlertEvent.DECLINE))
    assert answer == AlertMark(before=AlertState.QUARANTINED, after=AlertState.DISMISSED)
    await store.write(receive(alert, about(make.received(TH), 3, UPDATE, 2)))
    assert await states(store, TH, cancel, alert) == ["dismissed", "validated"]


async def test_only_received_alerts_that_are_not_over_are_marked(store, make):
    ours, theirs, plain = about(make.sealed(TH), 1), about(make.received(TH), 2), make.received(TH)
    await store.write(submit(ours))
    await store.write(receive(theirs, plain))
    nobody = replace(theirs, header=replace(theirs.header, message_id=MessageId(uuid7(NOW))))
    for item, sender in ((plain, TH), (nobody, TH), (theirs, LA)):
        assert await store.write(mark(item, AlertEvent.NOTE, sender=sender)) is None
    own = MarkAlert(
        sender=CN,
        message_id=ours.message_id,
        event=AlertEvent.NOTE,
        now_ms=NOW,
        log=log_entry(EventType.MESSAGE_DECIDED),
    )
    assert await store.write(own) is None
    over = mark(theirs, AlertEvent.NOTE, now_ms=theirs.header.expire_ms)
    assert await store.write(over) == AlertMark(before=AlertState.EXPIRED, after=None)
    assert await states(store, TH, theirs) == ["validated"]


async def test_two_replicas_that_mark_at_once_leave_one_state_and_lose_no_end(engine, make):
    one = await engine.open()
    other = await engine.open() if one.shared else one
    for number in range(0, 40, 2):
        alert = about(make.received(TH), number)
        await one.write(receive(alert))
        cancel = about(make.received(TH), number + 1, CANCEL, number)
        await asyncio.gather(
            one.write(receive(cancel)), other.write(mark(alert, AlertEvent.NOTE)), one.write(FreeHeld(now_ms=NOW))
        )
        assert await states(one, TH, alert) == ["cancelled"]


async def test_in_whatever_order_a_chain_arrives_its_last_one_counts(store, make):
    seeds = random.Random(7)
    for trial in range(40):
        first, length = 100 * (trial + 1), seeds.randint(2, 9)
        ends = seeds.random() < 0.5
        chain = [about(make.received(TH, create_ms=NOW), first)]
        for place in range(1, length):
            kind = CANCEL if ends and place == length - 1 else UPDATE
            # By any earlier name, by several, or by id.
            names = sorted(seeds.sample(range(place), seeds.randint(1, place)), reverse=True)
            header = {"create_ms": NOW + place}
            if seeds.random() < 0.3:
                header["supersedes"], names = after(chain[place - 1]), []
            chain.append(about(make.received(TH), first + place, kind, *(first + n for n in names), **header))
        left = seeds.sample(chain, length)
        while left:
            size = seeds.randint(1, len(left))
            await store.write(receive(*left[:size]))
            left = left[size:]
        # Which of two ends came first is a matter of arrival; that it is over is not.
        *over, last = await states(store, TH, *chain)
        assert last == "validated", trial
        assert set(over) <= {"superseded", "cancelled"}, trial
        assert ends == ("cancelled" in over), trial
