"""Receipts are provable one by one."""

from dataclasses import replace

import pytest

from gateway.crypto.keys import SignKey
from gateway.crypto.receipts import MAX_RECEIPTS, sign_receipts, verify_proof, verify_receipts
from gateway.errors import EnvelopeRejected, GatewayError, MessageTooLarge
from gateway.model.envelope import MerklePath, Outcome, Receipt
from tests.unit.crypto.parties import CODEC, LA, NOW, TH

KEY = SignKey.from_secret(bytes(32))


def receipt(number: int = 0) -> Receipt:
    return Receipt(
        envelope_digest=bytes([number]) * 32,
        outcome=Outcome.RECEIVED,
        time_ms=NOW,
        reason="",
        log_position=number,
        log_leaf=b"",
    )


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_batch_and_each_of_its_receipts_verify(size):
    receipts = [receipt(number) for number in range(size)]
    batch, proofs = sign_receipts(receipts, issuer=TH, sign_key=KEY, codec=CODEC)
    assert verify_receipts(batch, KEY.verify_key, CODEC) == tuple(zip(receipts, proofs, strict=True))
    assert [verify_proof(proof, KEY.verify_key, CODEC) for proof in proofs] == receipts


def test_a_proof_shows_no_other_receipt():
    _, proofs = sign_receipts([receipt(1), receipt(2)], issuer=TH, sign_key=KEY, codec=CODEC)
    shown = proofs[0].receipt + proofs[0].path.hashes
    assert bytes([1]) * 32 in shown
    assert bytes([2]) * 32 not in shown


def test_a_changed_batch_is_refused():
    batch, proofs = sign_receipts([receipt(1), receipt(2)], issuer=TH, sign_key=KEY, codec=CODEC)
    other = CODEC.encode_receipt(receipt(3))
    for changed in (
        replace(batch, receipts=(batch.receipts[0], other)),
        replace(batch, receipts=batch.receipts[:1]),
        replace(batch, receipts=batch.receipts[::-1]),
        replace(batch, receipts=(*batch.receipts, other)),
        replace(batch, receipts=()),
        replace(batch, issuer=LA),
        replace(batch, signing_key_id=bytes(8)),
        replace(batch, signature=bytes(64)),
        replace(batch, signature=b""),
    ):
        with pytest.raises(EnvelopeRejected):
            verify_receipts(changed, KEY.verify_key, CODEC)
    proof = proofs[1]
    for changed in (
        replace(proof, receipt=other),
        replace(proof, issuer=LA),
        replace(proof, signing_key_id=bytes(8)),
        replace(proof, path=proofs[0].path),
        replace(proof, path=MerklePath(1, 3, proof.path.hashes)),
        replace(proof, path=MerklePath(0, 1, b"")),
        replace(proof, signature=bytes(64)),
    ):
        with pytest.raises(EnvelopeRejected):
            verify_proof(changed, KEY.verify_key, CODEC)
    with pytest.raises(EnvelopeRejected):
        verify_receipts(batch, SignKey.generate().verify_key, CODEC)


def test_a_signed_receipt_that_does_not_parse_is_refused():
    class Lying:
        def encode_receipt(self, receipt):
            return b"\xff\xff"

        def decode_receipt(self, data):
            return CODEC.decode_receipt(data)

    batch, proofs = sign_receipts([receipt()], issuer=TH, sign_key=KEY, codec=Lying())
    with pytest.raises(GatewayError):
        verify_receipts(batch, KEY.verify_key, CODEC)
    with pytest.raises(GatewayError):
        verify_proof(proofs[0], KEY.verify_key, CODEC)


def test_too_many_or_too_large_is_refused_before_it_is_hashed():
    batch, proofs = sign_receipts([receipt()], issuer=TH, sign_key=KEY, codec=CODEC)
    with pytest.raises(MessageTooLarge):
        verify_receipts(replace(batch, receipts=batch.receipts * (MAX_RECEIPTS + 1)), KEY.verify_key, CODEC)
    with pytest.raises(MessageTooLarge):
        verify_receipts(replace(batch, receipts=(bytes(257),)), KEY.verify_key, CODEC)
    with pytest.raises(MessageTooLarge):
        verify_proof(replace(proofs[0], receipt=bytes(257)), KEY.verify_key, CODEC)
    with pytest.raises(ValueError, match="receipts"):
        sign_receipts([], issuer=TH, sign_key=KEY, codec=CODEC)
