"""What we signed under a key that was revoked since then is signed again; all else stays as it is."""

from dataclasses import replace

import pytest

from gateway.crypto.envelope import SealingItem, seal_batch
from gateway.crypto.keyring import Keyring
from gateway.crypto.receipts import sign_receipts, verify_proof
from gateway.exchange.own_keys import KeyHolder, OwnKeys
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.envelope import Envelope, MerklePath, Outcome, Receipt
from gateway.model.header import Kind, Mode, Urgency
from gateway.rpc.convert import WireCodec

NOW = 1_795_000_000_000
TH = PartnerId("th")
CODEC = WireCodec()
RING = Keyring.generate(TH, NOW)
RECEIPTS = [
    Receipt(
        envelope_digest=bytes([n]) * 32, outcome=Outcome.RECEIVED, time_ms=NOW, reason="", log_position=0, log_leaf=b""
    )
    for n in range(3)
]
PROOF = sign_receipts(RECEIPTS, issuer=TH, sign_key=RING.receipt, codec=CODEC)[1][1]


def holder(ring: Keyring) -> KeyHolder:
    keys = OwnKeys(
        log=RING.log,
        log_cosign=RING.cosign,
        partner=TH,
        envelope=ring.envelope,
        receipt=ring.receipt,
        open_keys={},
        retired=frozenset(),
        key_encryption=ring.key_encryption,
        revoked=ring.revoked(),
    )
    return KeyHolder(keys, CODEC)


@pytest.mark.parametrize("ring", [RING, RING.rotate_receipt(NOW), RING.rotate_envelope(NOW, revoke=True)])
def test_receipt_whose_key_still_counts_stays_as_it_is(ring):
    assert holder(ring).receipt_that_counts(PROOF) is PROOF


def test_receipt_under_a_revoked_key_is_stated_again_under_the_present_one():
    ring = RING.rotate_receipt(NOW, revoke=True)
    again = holder(ring).receipt_that_counts(PROOF)
    assert again.signing_key_id == ring.receipt.id
    assert verify_proof(again, ring.receipt.verify_key, CODEC) == RECEIPTS[1]


def envelope() -> Envelope:
    item = SealingItem(
        message_id=MessageId(b"m" * 16),
        kind=Kind.ALERT,
        thread_id=ThreadId(b"t" * 16),
        in_reply_to=None,
        supersedes=None,
        mode=Mode.EXERCISE,
        urgency=Urgency.U1,
        create_ms=NOW,
        expire_ms=NOW + 1000,
        body_bytes=b"body",
        recipients=((PartnerId("vn"), b""),),
    )
    seal_key = Keyring.generate(PartnerId("vn"), NOW).seal[0].key.seal_key
    batch = seal_batch(
        [item], sender=TH, sign_key=RING.envelope, seal_keys={PartnerId("vn"): seal_key}, codec=CODEC, now_ms=NOW
    )
    sealed = batch.envelopes[0]
    nowhere = MerklePath(index=0, size=1, hashes=b"")
    return Envelope(
        header=sealed.header_bytes, ciphertext=b"", record=b"", record_path=nowhere, batch_path=nowhere,
        signature=b"", encapsulation=b"",
    )  # fmt: skip


def test_envelope_counts_until_the_key_that_signed_it_is_revoked():
    sent = envelope()
    for ring in (RING, RING.rotate_envelope(NOW), RING.rotate_receipt(NOW, revoke=True)):
        assert holder(ring).envelope_counts(sent)
    for ring in (RING.rotate_envelope(NOW, revoke=True), RING.recover(NOW)):
        assert not holder(ring).envelope_counts(sent)
    assert holder(replace(RING, past=())).envelope_counts(sent)
