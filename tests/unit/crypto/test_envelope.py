"""Sealing and opening envelopes."""

from gateway.ids import ThreadId
from tests.unit.crypto.parties import LA, NOW, TH, VN, Party, envelope_for, item, seal


def test_every_recipient_opens_what_was_sealed():
    th, vn, la = Party(TH), Party(VN), Party(LA)
    bodies = [b"", b"a", b"x" * 1000]
    batch = seal(th, [vn, la], [item(body, ((VN, b""), (LA, b"\x01" * 32))) for body in bodies])
    assert len(batch.encapsulations) == 2
    for party in (vn, la):
        opener = party.opener()
        for index, body in enumerate(bodies):
            envelope = envelope_for(batch, index, party.partner)
            opened = opener.open(envelope, sender=TH, verify_keys=th.verify_keys, now_ms=NOW)
            assert opened.body_bytes == body
            assert opened.digest == batch.envelopes[index].digest == opener.digest_of(envelope)
            assert opened.header == batch.envelopes[index].header
            assert opened.content_key == batch.envelopes[index].content_key


def test_an_envelope_of_a_batch_opens_alone():
    th, vn = Party(TH), Party(VN)
    batch = seal(th, [vn], [item(bytes([number])) for number in range(5)])
    opened = vn.opener().open(envelope_for(batch, 3, VN), sender=TH, verify_keys=th.verify_keys, now_ms=NOW)
    assert opened.body_bytes == b"\x03"


def test_messages_of_one_thread_in_one_batch_are_chained():
    th, vn, la = Party(TH), Party(VN), Party(LA)
    thread = ThreadId(bytes(16))
    before = b"\x07" * 32
    batch = seal(
        th,
        [vn, la],
        [
            item(recipients=((VN, before),), thread=thread),
            item(recipients=((VN, before), (LA, b"")), thread=thread),
            item(recipients=((VN, b""),)),
        ],
    )
    first, second, other = batch.envelopes
    assert first.records[0].previous_digest == before
    assert [record.previous_digest for record in second.records] == [first.digest, b""]
    assert other.records[0].previous_digest == b""
