"""Where alerts stand, on both engines."""

from dataclasses import replace

import pytest

from gateway.ids import MessageId, ThreadId, uuid7
from gateway.model.alert import AlertType
from gateway.model.header import Supersedes
from gateway.ports import (
    AlertEntry,
    EventsSince,
    FindAlerts,
    FindMessage,
    FreeHeld,
    IntegrateLog,
    LogFilter,
    SearchLog,
)
from gateway.translog.disclosure import disclose, verify_disclosure
from gateway.translog.entry import EventType
from gateway.workflow.alert import AlertState
from tests.contract.samples import CN, LA, NOW, TH, receive, submit

ALERT, UPDATE, CANCEL = AlertType.ALERT, AlertType.UPDATE, AlertType.CANCEL


def key(number):
    return bytes([number]) * 16


def about(message, number, kind=ALERT, *references):
    entry = AlertEntry(key=key(number), alert_type=kind, references=tuple(map(key, references)), self_reference=False)
    return replace(message, alert=entry)


async def standing(store, sender, message_id):
    stored = await store.read(FindMessage(sender=sender, message_id=message_id, held=True))
    return stored.row


async def states(store, sender, *messages):
    return [(await standing(store, sender, item.header.message_id)).alert_state for item in messages]


@pytest.mark.parametrize("together", [True, False])
async def test_update_and_cancel_move_their_predecessors(store, make, together):
    chain = [
        about(make.received(TH), 1),
        about(make.received(TH), 2, UPDATE, 1),
        about(make.received(TH), 3, CANCEL, 2, 1),
    ]
    for group in [chain] if together else [[item] for item in chain]:
        await store.write(receive(*group))
    assert await states(store, TH, *chain) == ["superseded", "cancelled", "validated"]
    first, middle, last = [await standing(store, TH, item.header.message_id) for item in chain]
    assert (first.predecessor, first.successor) == (None, middle.message_id)
    assert (middle.predecessor, middle.successor) == (first.message_id, last.message_id)
    assert (last.predecessor, last.successor) == (middle.message_id, None)


async def test_sent_alerts_follow_too_and_are_found_with_what_came_after(store, make):
    first = about(make.sealed(TH), 1)
    named = Supersedes(message_id=first.message_id, content_commitment=first.content_commitment)
    update = about(replace(make.sealed(TH), supersedes=named), 2, UPDATE)
    await store.write(submit(first))
    await store.write(submit(update))
    assert (await standing(store, CN, first.message_id)).alert_state == "superseded"
    assert (await standing(store, CN, update.message_id)).alert_state == "issued"
    found = await store.read(FindAlerts(partner=CN, message_ids=(), keys=(key(1), key(9))))
    assert [(item.message_id, item.state) for item in found] == [
        (first.message_id, AlertState.SUPERSEDED), (update.message_id, AlertState.ISSUED),
    ]  # fmt: skip
    assert await store.read(FindAlerts(partner=CN, message_ids=(MessageId(uuid7(NOW)),), keys=())) == ()


async def test_anothers_alert_stays_as_it_is(store, make):
    ours = about(make.sealed(TH), 1)
    theirs = about(make.received(LA), 2)
    hostile = [about(make.received(TH), 3, CANCEL, 1), about(make.received(TH), 4, UPDATE, 2)]
    await store.write(submit(ours))
    await store.write(receive(theirs, sender=LA))
    await store.write(receive(*hostile))
    assert (await standing(store, CN, ours.message_id)).alert_state == "issued"
    assert await states(store, LA, theirs) == ["validated"]
    rows = [await standing(store, TH, item.header.message_id) for item in hostile]
    assert [(row.alert_state, row.alert_reason) for row in rows] == [("quarantined", "predecessor_foreign")] * 2
    # Its own alert of the same name settles it.
    await store.write(receive(about(make.received(TH), 1)))
    assert await states(store, TH, *hostile) == ["validated", "quarantined"]
    assert (await standing(store, CN, ours.message_id)).alert_state == "issued"


async def test_a_whole_chain_in_quarantine_is_judged_again(store, make):
    chain = [about(make.received(TH), number, UPDATE, number - 1) for number in range(2, 6)]
    first = about(make.received(TH), 1)
    await store.write(receive(*reversed(chain)))
    assert await states(store, TH, *chain) == ["quarantined"] * 4
    await store.write(receive(first))
    assert await states(store, TH, first, *chain) == ["superseded"] * 4 + ["validated"]


async def test_of_many_that_wait_for_one_alert_one_counts(store, make):
    waiting = [about(make.received(TH), 10, CANCEL, 1) for _ in range(100)]
    await store.write(receive(*waiting))
    first = about(make.received(TH), 1)
    await store.write(receive(first))
    assert await states(store, TH, first) == ["cancelled"]
    assert sorted(await states(store, TH, *waiting)) == ["quarantined"] * 99 + ["validated"]


async def test_what_is_held_is_told_of_as_doubtful_only_when_it_is_shown(store, make):
    held = about(make.received(TH, thread=ThreadId(uuid7(NOW)), previous=b"d" * 32), 2, CANCEL, 1)
    await store.write(receive(held))

    async def told():
        return [item.type for item in await store.read(EventsSince(position=0, max_rows=10))]

    assert await told() == []
    await store.write(FreeHeld(now_ms=held.hold_until_ms + 1))
    if not store.shared:
        assert await told() == ["message.received", "alert.quarantined"]
    assert await states(store, TH, held) == ["quarantined"]


async def test_what_is_no_alert_has_no_standing(store, make):
    plain = make.received(TH)
    await store.write(receive(plain))
    row = await standing(store, TH, plain.header.message_id)
    assert (row.alert_state, row.alert_reason, row.predecessor, row.successor) == ("", "", None, None)


async def changes(store):
    """Return what the exchange log says of alerts that left their first state, in order."""
    while await store.write(IntegrateLog(1000)):
        pass
    wanted = LogFilter(types=(EventType.ALERT_CHANGED,))
    found = await store.read(SearchLog(filter=wanted, before=1 << 60, max_rows=1000))
    for record in found.records:
        verify_disclosure(record.leaf, disclose(record.event, record.salts))
    return [record.event for record in reversed(found.records)]


@pytest.mark.parametrize("ours", [True, False])
async def test_an_alert_that_ends_is_an_entry_and_one_that_only_comes_is_none(store, make, ours):
    first = about(make.sealed(TH) if ours else make.received(TH), 1)
    await store.write(submit(first) if ours else receive(first))
    assert await changes(store) == [], "that it came is an entry already"
    header = first if ours else first.header
    named = Supersedes(message_id=header.message_id, content_commitment=header.content_commitment)
    if ours:
        after = about(replace(make.sealed(TH), supersedes=named), 2, CANCEL)
        await store.write(submit(after))
        await store.write(submit(after))
    else:
        after = about(make.received(TH), 2, CANCEL, 1)
        await store.write(receive(after))
        await store.write(receive(after))
    (event,) = await changes(store)
    cancelled_by = after.message_id if ours else after.header.message_id
    assert (event.outcome, event.subject, event.detail) == ("cancelled", header.message_id.raw, str(cancelled_by))
    assert (event.actor, event.partner) == ("gateway", "" if ours else "th")


async def test_a_doubt_and_its_end_are_entries(store, make):
    chain = [
        about(make.received(TH), 1),
        about(make.received(TH), 2, UPDATE, 1),
        about(make.received(TH), 3, UPDATE, 2),
    ]
    for item in reversed(chain):
        await store.write(receive(item))
    assert await states(store, TH, *chain) == ["superseded", "superseded", "validated"]
    ids = [item.header.message_id.raw for item in chain]
    said = [(ids.index(event.subject), event.outcome, event.reason) for event in await changes(store)]
    assert said[:2] == [(2, "quarantined", "predecessor_unknown"), (1, "quarantined", "predecessor_unknown")]
    assert sorted(said[2:]) == [
        (0, "superseded", ""),
        (1, "superseded", ""),
        (1, "validated", ""),
        (2, "validated", ""),
    ]
