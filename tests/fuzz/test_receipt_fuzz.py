"""Bytes into receipts and their proofs: what is taken is the statement that was signed."""

import pytest
from concord.v1 import envelope_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.crypto.keys import SignKey
from gateway.crypto.receipts import sign_receipts, verify_proof, verify_receipts
from gateway.errors import MessageMalformed
from gateway.model.envelope import Outcome, Receipt
from gateway.rpc.convert.envelope import (
    receipt_batch_from_proto,
    receipt_batch_to_proto,
    receipt_proof_from_proto,
    receipt_proof_to_proto,
)
from gateway.rpc.convert.field import check_rules
from tests.fuzz.changes import FUZZ, neighbours, sprinkled, taken
from tests.unit.crypto.parties import CODEC, NOW, TH

KEY = SignKey.from_secret(bytes(32))
RECEIPTS = tuple(
    Receipt(
        envelope_digest=bytes([number]) * 32, outcome=outcome, time_ms=NOW + number, reason=reason, log_position=number,
        log_leaf=b"l" * 32 if number else b"",
    )
    for number, (outcome, reason) in enumerate(
        ((Outcome.RECEIVED, ""), (Outcome.REFUSED, "POLICY_DENIED"), (Outcome.ACKNOWLEDGED_BY_OFFICER, ""))
    )
)  # fmt: skip
BATCH, PROOFS = sign_receipts(RECEIPTS, issuer=TH, sign_key=KEY, codec=CODEC)


def message(kind, data):
    """Return a message as it comes over the link, its declared rules checked."""
    try:
        found = kind.FromString(data)
    except DecodeError:
        raise MessageMalformed("the guard refuses this") from None
    check_rules(found)
    return found


def batch(data):
    found = receipt_batch_from_proto(message(envelope_pb2.ReceiptBatch, data))
    assert tuple(receipt for receipt, _ in verify_receipts(found, KEY.verify_key, CODEC)) == RECEIPTS


def proof(data):
    found = receipt_proof_from_proto(message(envelope_pb2.ReceiptProof, data))
    assert verify_proof(found, KEY.verify_key, CODEC) == RECEIPTS[1]


def receipt(data):
    assert CODEC.decode_receipt(CODEC.encode_receipt(CODEC.decode_receipt(data))) == CODEC.decode_receipt(data)


SEEDS = {
    batch: receipt_batch_to_proto(BATCH).SerializeToString(),
    proof: receipt_proof_to_proto(PROOFS[1]).SerializeToString(),
    receipt: BATCH.receipts[1],
}
PARSERS = pytest.mark.parametrize("parse", SEEDS, ids=lambda parse: parse.__name__)


@PARSERS
def test_every_byte(parse):
    assert taken(parse, SEEDS[parse])
    for changed in neighbours(SEEDS[parse]):
        taken(parse, changed)


@PARSERS
@FUZZ(max_examples=150)
@given(data=st.data())
def test_sprinkled_and_any(parse, data):
    taken(parse, data.draw(sprinkled(SEEDS[parse])))
    taken(parse, data.draw(st.binary(max_size=120)))


@FUZZ(max_examples=100)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_any_bytes_as_receipts_under_a_good_signature(contents):
    """Whoever has a receipt key signs what it likes."""

    class Verbatim:
        def encode_receipt(self, data):
            return data

    if contents:
        signed, proofs = sign_receipts(contents, issuer=TH, sign_key=KEY, codec=Verbatim())
        taken(lambda item: verify_receipts(item, KEY.verify_key, CODEC), signed)
        for item in proofs:
            taken(lambda item: verify_proof(item, KEY.verify_key, CODEC), item)
