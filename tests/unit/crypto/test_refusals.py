"""What an opener refuses, and as what."""

from dataclasses import replace

import pytest

from gateway.crypto import suite1
from gateway.crypto.digests import batch_frame
from gateway.crypto.envelope import MAX_BODY_BYTES, EnvelopeOpener, envelope_digest, seal_batch
from gateway.crypto.keys import ContentKey, OpenKey, SealKey, SignKey
from gateway.crypto.merkle import leaf_hash, root_and_paths
from gateway.errors import (
    ClockSkewed,
    EnvelopeExpired,
    EnvelopeRejected,
    FieldInvalid,
    GatewayError,
    KeyRetired,
    MessageMalformed,
    MessageTooLarge,
    SuiteUnknown,
)
from gateway.model.envelope import Envelope, MerklePath
from gateway.model.header import MAX_AHEAD_MS, MAX_LIFETIME_MS
from tests.unit.crypto.parties import CODEC, HOUR, LA, NOW, TH, VN, Party, envelope_for, item, seal

SENDER, RECIPIENT, THIRD = Party(TH), Party(VN), Party(LA)


def open_(envelope, opener=None, sender=TH, verify_keys=SENDER.verify_keys, now_ms=NOW):
    return (opener or RECIPIENT.opener()).open(envelope, sender=sender, verify_keys=verify_keys, now_ms=now_ms)


def step(envelope, **how) -> str:
    with pytest.raises(EnvelopeRejected) as caught:
        open_(envelope, **how)
    return caught.value.step


def sealed(count=1, **changes):
    return seal(SENDER, [RECIPIENT, THIRD], [item(b"body", ((VN, b""), (LA, b"")), **changes) for _ in range(count)])


def forged(header=None, record=None, ciphertext=None, from_=None, key=SENDER.sign_key, **parts) -> Envelope:
    """Return what a malicious partner makes with its own signing key: any parts, correctly signed."""
    batch = from_ or seal(SENDER, [RECIPIENT], [item()])
    one = envelope_for(batch, 0, VN)
    header_bytes = CODEC.encode_header(replace(batch.envelopes[0].header, **header)) if header else one.header
    record_bytes = CODEC.encode_record(replace(CODEC.decode_record(one.record), **record)) if record else one.record
    ciphertext = one.ciphertext if ciphertext is None else ciphertext
    record_bytes = parts.pop("record_bytes", record_bytes)
    header_bytes = parts.pop("header_bytes", header_bytes)
    records_root, (record_path,) = root_and_paths([leaf_hash(record_bytes)])
    digest = envelope_digest(header_bytes, ciphertext, 1, records_root)
    batch_root, (batch_path,) = root_and_paths([leaf_hash(digest)])
    return Envelope(
        header=header_bytes,
        ciphertext=ciphertext,
        record=record_bytes,
        record_path=record_path,
        batch_path=batch_path,
        signature=key.sign(batch_frame(TH, batch_root, 1)),
        encapsulation=parts.pop("encapsulation", one.encapsulation),
    )


def test_the_forger_of_these_tests_makes_good_envelopes():
    assert open_(forged()).body_bytes == b"body"


def test_another_recipients_envelope_is_refused():
    assert step(envelope_for(sealed(), 0, LA)) == "recipient"
    # Not even with the other's keys in our hands does it count as ours.
    opener = EnvelopeOpener(VN, {THIRD.open_key.id: THIRD.open_key}, (), CODEC)
    assert step(envelope_for(sealed(), 0, LA), opener=opener) == "recipient"


def test_a_record_taken_from_elsewhere_is_refused():
    envelope, other = envelope_for(sealed(), 0, VN), envelope_for(sealed(), 0, VN)
    mixed = replace(envelope, record=other.record, record_path=other.record_path, encapsulation=other.encapsulation)
    assert step(mixed) == "signature"


@pytest.mark.parametrize(
    "path",
    [MerklePath(0, 1, b""), MerklePath(1, 2, bytes(32)), MerklePath(0, 2, bytes(32))],
    ids=["stripped", "reordered", "other"],
)
def test_a_changed_record_path_is_refused(path):
    envelope = envelope_for(sealed(), 0, VN)
    assert step(replace(envelope, record_path=path)) == "signature"
    assert step(replace(envelope, record_path=replace(envelope.record_path, index=1))) == "signature"


def test_another_number_of_recipients_cannot_be_claimed():
    # In trees of 5 and of 7, the first leaf's path has three hashes: the same bytes would fit both.
    parties = [Party(partner) for partner in (VN, LA, *map(type(VN), ("kh", "mm", "cn")))]
    batch = seal(SENDER, parties, [item(recipients=tuple((party.partner, b"") for party in parties))])
    envelope = envelope_for(batch, 0, VN)
    assert open_(envelope, opener=parties[0].opener()).body_bytes == b"body"
    claimed = replace(envelope, record_path=replace(envelope.record_path, size=7))
    assert step(claimed, opener=parties[0].opener()) == "signature"


def test_an_envelope_of_another_batch_does_not_take_this_ones_signature():
    one, two = sealed(2), sealed(2)
    envelope = envelope_for(one, 0, VN)
    opener = RECIPIENT.opener()
    open_(envelope, opener)
    open_(envelope_for(two, 0, VN), opener)
    assert step(replace(envelope, signature=two.envelopes[0].signature), opener=opener) == "signature"
    assert step(replace(envelope, batch_path=two.envelopes[0].batch_path), opener=opener) == "signature"


def test_the_sender_is_the_partner_of_the_link():
    envelope = envelope_for(sealed(), 0, VN)
    assert step(envelope, sender=LA) == "sender"


def test_an_unknown_or_rejected_signing_key_is_refused():
    def refuse(key_id):
        raise EnvelopeRejected("signing key validity")

    envelope = envelope_for(sealed(), 0, VN)
    opener = RECIPIENT.opener()
    open_(envelope, opener)
    # The signature is remembered by now; whether the key counts is asked every time.
    assert step(envelope, opener=opener, verify_keys=refuse) == "signing key validity"


def test_a_remembered_signature_does_not_count_for_another_key():
    envelope = envelope_for(sealed(), 0, VN)
    opener = RECIPIENT.opener()
    open_(envelope, opener)
    assert step(envelope, opener=opener, verify_keys=lambda _: THIRD.sign_key.verify_key) == "signature"


def test_a_signature_that_is_wrong_stays_wrong():
    envelope = replace(envelope_for(sealed(), 0, VN), signature=bytes(64))
    opener = RECIPIENT.opener()
    assert [step(envelope, opener=opener) for _ in range(2)] == ["signature"] * 2


def test_an_unknown_suite_is_refused():
    with pytest.raises(SuiteUnknown):
        open_(forged({"suite": 2}))


def test_a_retired_key_is_told_from_an_unknown_one():
    envelope = envelope_for(sealed(), 0, VN)
    stranger = OpenKey.generate()
    for opener in (
        EnvelopeOpener(VN, {stranger.id: stranger}, {RECIPIENT.open_key.id}, CODEC),
        EnvelopeOpener(VN, {RECIPIENT.open_key.id: RECIPIENT.open_key}, {RECIPIENT.open_key.id}, CODEC),
    ):
        with pytest.raises(KeyRetired):
            open_(envelope, opener)
    assert step(envelope, opener=EnvelopeOpener(VN, {stranger.id: stranger}, (), CODEC)) == "seal key"


def test_only_an_authentic_sender_learns_that_a_key_is_retired():
    envelope = replace(envelope_for(sealed(), 0, VN), signature=bytes(64))
    assert step(envelope, opener=RECIPIENT.opener([RECIPIENT.open_key.id])) == "signature"


def test_the_encapsulation_is_the_one_the_record_names():
    one, two = sealed(), sealed()
    envelope = envelope_for(one, 0, VN)
    for other in (envelope_for(two, 0, VN).encapsulation, b"", envelope.encapsulation[:-1]):
        assert step(replace(envelope, encapsulation=other)) == "encapsulation digest"
    with pytest.raises(MessageTooLarge):
        open_(replace(envelope, encapsulation=envelope.encapsulation + b"\x00"))


def test_a_batch_secret_opened_before_does_not_open_in_another_context():
    batch = sealed()
    opener = RECIPIENT.opener()
    open_(envelope_for(batch, 0, VN), opener)
    other = forged(
        record={"batch_id": type(CODEC.decode_record(envelope_for(batch, 0, VN).record).batch_id)(bytes(16))}
    )
    assert step(other, opener=opener) == "encapsulation"
    same_secret = forged(
        from_=batch, record={"batch_id": type(CODEC.decode_record(other.record).batch_id)(b"\x01" * 16)}
    )
    assert step(same_secret, opener=opener) == "encapsulation"


def test_a_wrapped_key_is_bound_to_its_envelope():
    batch = seal(SENDER, [RECIPIENT], [item(), item()])
    other = CODEC.decode_record(envelope_for(batch, 1, VN).record).wrapped_key
    assert step(forged(from_=batch, record={"wrapped_key": other})) == "wrapped key"
    # The header is part of what the key is wrapped under: no field of it can be changed, even by its signer.
    assert step(forged({"expire_ms": NOW + 2 * HOUR})) == "wrapped key"


def test_a_key_that_is_not_the_committed_one_is_refused_before_it_decrypts():
    batch = seal(SENDER, [RECIPIENT], [item()])
    one = batch.envelopes[0]
    other = ContentKey.generate().export_secret()
    secret = b"\x05" * 32
    record = CODEC.decode_record(one.records[0].record_bytes)
    encapsulation = RECIPIENT.open_key.seal_key.encapsulate(secret, suite1.encapsulation_info(TH, VN, record.batch_id))
    info = suite1.wrap_info(one.envelope_id, suite1._sha256(one.header_bytes).digest())
    wrapped = suite1.wrap_key(suite1.extract(secret), info, other)
    envelope = forged(
        from_=batch,
        record={"wrapped_key": wrapped, "encapsulation_digest": suite1._sha256(encapsulation).digest()},
        encapsulation=encapsulation,
    )
    assert step(envelope) == "key commitment"


def sealed_by_hand(plaintext: bytes, *, content_committed=None) -> Envelope:
    """Return a correctly signed envelope whose plaintext is whatever a malicious sender wants."""
    content_key, secret, nonce = b"\x01" * 32, b"\x02" * 32, b"\x03" * 24
    batch = seal(SENDER, [RECIPIENT], [item()])
    header = replace(
        batch.envelopes[0].header,
        key_commitment=suite1.key_commitment(content_key),
        content_commitment=content_committed or suite1.content_commitment(plaintext[:32], plaintext[36:40]),
    )
    header_bytes = CODEC.encode_header(header)
    record = CODEC.decode_record(batch.envelopes[0].records[0].record_bytes)
    encapsulation = RECIPIENT.open_key.seal_key.encapsulate(secret, suite1.encapsulation_info(TH, VN, record.batch_id))
    info = suite1.wrap_info(header.envelope_id, suite1._sha256(header_bytes).digest())
    return forged(
        from_=batch,
        header_bytes=header_bytes,
        ciphertext=nonce + suite1._encrypt(plaintext, header_bytes, nonce, content_key),
        record={
            "wrapped_key": suite1.wrap_key(suite1.extract(secret), info, content_key),
            "encapsulation_digest": suite1._sha256(encapsulation).digest(),
        },
        encapsulation=encapsulation,
    )


GOOD = bytes(32) + (4).to_bytes(4, "big") + b"body"


def test_the_content_is_the_committed_one():
    assert open_(sealed_by_hand(GOOD)).body_bytes == b"body"
    assert step(sealed_by_hand(GOOD, content_committed=b"\x07" * 32)) == "content commitment"


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        bytes(35),
        GOOD[:-1],
        GOOD + bytes(1),
        GOOD + bytes(4),
        GOOD[:32] + (5).to_bytes(4, "big") + b"body",
        GOOD[:32] + (2**32 - 1).to_bytes(4, "big") + b"body",
        bytes(32) + (5).to_bytes(4, "big") + b"body!" + bytes(2) + b"\x01",
    ],
)
def test_wrong_padding_is_refused(plaintext):
    assert step(sealed_by_hand(plaintext)) == "padding"


def test_a_ciphertext_too_short_to_be_one_is_refused():
    for size in (0, 1, 23, 24, 39, 40):
        assert step(forged(ciphertext=bytes(size))) == "content"


@pytest.mark.parametrize("previous", [b"\x00", bytes(31), bytes(33)])
def test_a_previous_digest_is_empty_or_whole(previous):
    with pytest.raises(FieldInvalid):
        open_(forged(record={"previous_digest": previous}))


def test_lengths_are_checked_whatever_the_codec_lets_through():
    class Loose(type(CODEC)):
        def decode_record(self, data):
            return replace(super().decode_record(data), **self.changes)

    codec = Loose()
    opener = EnvelopeOpener(VN, {RECIPIENT.open_key.id: RECIPIENT.open_key}, (), codec)
    envelope = forged()
    codec.changes = {"previous_digest": bytes(31)}
    with pytest.raises(FieldInvalid):
        open_(envelope, opener)
    for size in (0, 15, 47, 49):
        codec.changes = {"wrapped_key": bytes(size)}
        assert step(envelope, opener=opener) == "wrapped key"


def test_clock_and_lifetime():
    def opened(create_ms, expire_ms, now_ms=NOW):
        batch = seal(SENDER, [RECIPIENT], [item(create_ms=create_ms, expire_ms=expire_ms)])
        return open_(envelope_for(batch, 0, VN), now_ms=now_ms)

    opened(NOW + MAX_AHEAD_MS, NOW + HOUR)
    opened(NOW, NOW + 1)
    opened(NOW, NOW + MAX_LIFETIME_MS)
    with pytest.raises(ClockSkewed):
        opened(NOW + MAX_AHEAD_MS + 1, NOW + HOUR)
    with pytest.raises(EnvelopeExpired):
        opened(NOW - HOUR, NOW)
    with pytest.raises(FieldInvalid):
        opened(NOW, NOW)
    with pytest.raises(FieldInvalid):
        opened(NOW, NOW - 1)
    with pytest.raises(FieldInvalid):
        opened(NOW, NOW + MAX_LIFETIME_MS + 1)


def test_an_envelope_that_was_opened_expires_like_any_other():
    envelope = envelope_for(sealed(), 0, VN)
    opener = RECIPIENT.opener()
    open_(envelope, opener)
    with pytest.raises(EnvelopeExpired):
        open_(envelope, opener, now_ms=NOW + HOUR)


@pytest.mark.parametrize(
    ("part", "size"),
    [("header", 1025), ("ciphertext", 2 * 1024 * 1024 + 1), ("record", 513), ("encapsulation", 1169)],
)
def test_an_oversized_part_is_refused_before_anything_is_parsed(part, size):
    class NoCodec:
        """Fails the test when anything is parsed."""

    opener = EnvelopeOpener(VN, {}, (), NoCodec())
    envelope = replace(envelope_for(sealed(), 0, VN), **{part: bytes(size)})
    for call in (lambda: open_(envelope, opener), lambda: opener.digest_of(envelope)):
        with pytest.raises(MessageTooLarge):
            call()


def test_a_header_or_record_that_does_not_parse_is_malformed():
    for changed in ({"header_bytes": b"\xff"}, {"record_bytes": b"\xff"}, {"header_bytes": b""}, {"record_bytes": b""}):
        with pytest.raises((MessageMalformed, FieldInvalid)):
            open_(forged(**changed))


def test_the_largest_body_is_sealed_and_a_larger_one_is_not():
    batch = seal(SENDER, [RECIPIENT], [item(bytes(MAX_BODY_BYTES))])
    assert len(batch.envelopes[0].ciphertext) <= 2 * 1024 * 1024
    assert len(open_(envelope_for(batch, 0, VN)).body_bytes) == MAX_BODY_BYTES
    with pytest.raises(MessageTooLarge) as caught:
        seal(SENDER, [RECIPIENT], [item(bytes(MAX_BODY_BYTES + 1))])
    assert caught.value.max_bytes == MAX_BODY_BYTES


def test_mistakes_of_the_caller_are_not_gateway_errors():
    for items, error in (
        ([], ValueError),
        ([item(recipients=())], ValueError),
        ([item(recipients=((VN, b""), (VN, b"")))], ValueError),
        ([item(recipients=((LA, b""),))], KeyError),
        ([item(salt=b"short")], ValueError),
    ):
        with pytest.raises(error) as caught:
            seal(SENDER, [RECIPIENT], items)
        assert not isinstance(caught.value, GatewayError)


def test_sealing_is_fresh_every_time():
    one, two = (seal(SENDER, [RECIPIENT], [item()]).envelopes[0] for _ in range(2))
    assert one.content_key != two.content_key
    assert one.envelope_id != two.envelope_id
    assert one.header.content_commitment != two.header.content_commitment
    assert one.ciphertext[:24] != two.ciphertext[:24]


def test_a_fan_out_costs_one_encryption_and_one_signature(monkeypatch):
    calls = {"aead": 0, "sign": 0, "hpke": 0}

    def counting(name, function):
        def call(*args):
            calls[name] += 1
            return function(*args)

        return call

    parties = [Party(type(VN)(f"a{letter}"), open_key=RECIPIENT.open_key) for letter in "abcdefghij"]
    monkeypatch.setattr(suite1, "seal_content", counting("aead", suite1.seal_content))
    monkeypatch.setattr(SignKey, "sign", counting("sign", SignKey.sign))
    recipients = tuple((party.partner, b"") for party in parties)
    batch = seal_batch(
        [item(recipients=recipients)],
        sender=TH,
        sign_key=SENDER.sign_key,
        seal_keys={party.partner: party.open_key.seal_key for party in parties},
        codec=CODEC,
        now_ms=NOW,
        encapsulate=counting("hpke", SealKey.encapsulate),
    )
    assert calls == {"aead": 1, "sign": 1, "hpke": 10}
    assert len(batch.envelopes[0].records) == len(batch.encapsulations) == 10
    for party in parties:
        assert open_(envelope_for(batch, 0, party.partner), party.opener()).body_bytes == b"body"


def test_a_batch_costs_the_receiver_one_signature_and_one_encapsulation(monkeypatch):
    calls = []
    batch = sealed(5)
    opener = RECIPIENT.opener()
    real = OpenKey.decapsulate
    monkeypatch.setattr(OpenKey, "decapsulate", lambda *args: calls.append(1) or real(*args))
    for index in range(5):
        open_(envelope_for(batch, index, VN), opener)
    assert len(calls) == 1


def test_what_is_remembered_is_bounded():
    opener = RECIPIENT.opener()
    for _ in range(300):
        open_(envelope_for(seal(SENDER, [RECIPIENT], [item()]), 0, VN), opener)
    assert len(opener._secrets._entries) == len(opener._signatures._entries) == 256
