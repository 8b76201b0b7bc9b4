"""What nobody has acknowledged when the time for it is over, on both engines."""

from dataclasses import replace

from gateway.model.envelope import Outcome
from gateway.model.header import Urgency
from gateway.ports import AcknowledgeReceived, CountUnacknowledged, MarkAlert, Unacknowledged
from gateway.workflow.alert import AlertEvent
from tests.contract.samples import LA, NOW, TH, log_entry, proof, receipt, receipts, receive, submit
from tests.contract.test_alerts import about


async def late(store, urgency=Urgency.U2, after_ms=NOW - 1000, until_ms=NOW + 1000):
    return await store.read(CountUnacknowledged(urgency=urgency, after_ms=after_ms, until_ms=until_ms))


async def test_of_sent_messages_those_count_that_no_system_has_taken_over(store, make):
    first, second, third = make.sealed(TH, LA), make.sealed(TH), make.sealed(LA, urgency=Urgency.U0)
    await store.write(submit(first, second, third))
    assert await late(store) == Unacknowledged(sent={TH: 2, LA: 1}, received={})
    assert await late(store, Urgency.U0) == Unacknowledged(sent={LA: 1}, received={})
    # Received by a machine is not yet acknowledged; what was refused is answered.
    await store.write(receipts(receipt(first.digest), receipt(second.digest, Outcome.REFUSED, reason="NO")))
    assert (await late(store)).sent == {TH: 1, LA: 1}
    await store.write(receipts(receipt(first.digest, Outcome.ACKNOWLEDGED_BY_SYSTEM)))
    assert (await late(store)).sent == {LA: 1}


async def test_of_received_messages_those_count_that_were_neither_taken_over_nor_marked(store, make):
    plain, taken, marked, left = (
        make.received(TH),
        make.received(TH),
        about(make.received(TH), 1),
        about(make.received(LA), 2),
    )
    held = make.received(TH, previous=b"d" * 32)
    await store.write(receive(plain, taken, marked, held))
    await store.write(receive(left, sender=LA))
    assert await late(store) == Unacknowledged(sent={}, received={TH: 3, LA: 1})
    await store.write(
        AcknowledgeReceived(
            sender=TH, message_id=taken.header.message_id, proof=proof("a"), now_ms=NOW, log=log_entry()
        )
    )
    await store.write(
        MarkAlert(sender=TH, message_id=marked.header.message_id, event=AlertEvent.NOTE, now_ms=NOW, log=log_entry())
    )
    assert (await late(store)).received == {TH: 1, LA: 1}


async def test_a_message_is_in_one_span_only(store, make):
    make.now_ms = NOW
    await store.write(submit(make.sealed(TH)))
    await store.write(receive(replace(make.received(TH, create_ms=NOW))))
    for after_ms, until_ms, there in ((NOW - 1, NOW, True), (NOW, NOW + 1, False), (NOW - 2, NOW - 1, False)):
        found = await late(store, after_ms=after_ms, until_ms=until_ms)
        assert (bool(found.sent), bool(found.received)) == (there, there)
