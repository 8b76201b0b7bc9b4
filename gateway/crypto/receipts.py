"""Receipts: signed together, provable one by one.

Each receipt is a leaf; the issuer signs root, number and its own name. A receipt is kept with its path, so that showing
it shows no other. Reference: docs/reference/envelope.md.
"""

from collections.abc import Sequence
from typing import Final

from gateway.crypto import framing
from gateway.crypto.codec import ReceiptCodec
from gateway.crypto.keys import SignKey, VerifyKey
from gateway.crypto.merkle import leaf_hash, root_and_paths, root_from_path
from gateway.errors import EnvelopeRejected, MessageTooLarge
from gateway.ids import PartnerId
from gateway.model.envelope import MerklePath, Receipt, ReceiptBatch, ReceiptProof

MAX_RECEIPTS: Final = 1024
"""envelope.proto: ReceiptBatch.receipts."""
MAX_RECEIPT_BYTES: Final = 256
"""Digest 32, reason 63, two numbers, and room."""


def _frame(issuer: PartnerId, root: bytes, size: int) -> bytes:
    return framing.pae(framing.RECEIPT_BATCH, issuer.code.encode("ascii"), root, framing.number(size))


def _proofs(
    issuer: PartnerId, signing_key_id: bytes, receipts: Sequence[bytes], paths: Sequence[MerklePath], signature: bytes
) -> tuple[ReceiptProof, ...]:
    return tuple(
        ReceiptProof(issuer=issuer, signing_key_id=signing_key_id, receipt=receipt, path=path, signature=signature)
        for receipt, path in zip(receipts, paths, strict=True)
    )


def sign_receipts(
    receipts: Sequence[Receipt], *, issuer: PartnerId, sign_key: SignKey, codec: ReceiptCodec
) -> tuple[ReceiptBatch, tuple[ReceiptProof, ...]]:
    """Sign receipts together; return them as they travel and each with its proof, in order.

    Raises:
        ValueError: There is no receipt, or more than MAX_RECEIPTS.
    """
    if not 0 < len(receipts) <= MAX_RECEIPTS:
        raise ValueError(f"a batch has 1 to {MAX_RECEIPTS} receipts")
    encoded = tuple(codec.encode_receipt(receipt) for receipt in receipts)
    root, paths = root_and_paths([leaf_hash(data) for data in encoded])
    signature = sign_key.sign(_frame(issuer, root, len(encoded)))
    batch = ReceiptBatch(issuer=issuer, signing_key_id=sign_key.id, receipts=encoded, signature=signature)
    return batch, _proofs(issuer, sign_key.id, encoded, paths, signature)


def verify_receipts(
    batch: ReceiptBatch, verify_key: VerifyKey, codec: ReceiptCodec
) -> tuple[tuple[Receipt, ReceiptProof], ...]:
    """Return the receipts of a batch with their proofs, in order.

    Raises:
        MessageTooLarge: Too many, or one too large.
        EnvelopeRejected: None, another key than the one named, or a wrong signature.
        MessageMalformed, FieldInvalid: A receipt does not parse.
    """
    if len(batch.receipts) > MAX_RECEIPTS:
        raise MessageTooLarge("receipts", len(batch.receipts), MAX_RECEIPTS)
    for data in batch.receipts:
        _check_size(data)
    if not batch.receipts:
        raise EnvelopeRejected("receipts")
    if batch.signing_key_id != verify_key.id:
        raise EnvelopeRejected("signing key")
    root, paths = root_and_paths([leaf_hash(data) for data in batch.receipts])
    verify_key.verify(_frame(batch.issuer, root, len(batch.receipts)), batch.signature)
    proofs = _proofs(batch.issuer, batch.signing_key_id, batch.receipts, paths, batch.signature)
    return tuple((codec.decode_receipt(proof.receipt), proof) for proof in proofs)


def verify_proof(proof: ReceiptProof, verify_key: VerifyKey, codec: ReceiptCodec) -> Receipt:
    """Return the receipt that a proof shows.

    Raises:
        MessageTooLarge: The receipt is too large.
        EnvelopeRejected: Another key than the one named, a malformed path or a wrong signature.
        MessageMalformed, FieldInvalid: The receipt does not parse.
    """
    _check_size(proof.receipt)
    if proof.signing_key_id != verify_key.id:
        raise EnvelopeRejected("signing key")
    root = root_from_path(leaf_hash(proof.receipt), proof.path)
    verify_key.verify(_frame(proof.issuer, root, proof.path.size), proof.signature)
    return codec.decode_receipt(proof.receipt)


def _check_size(receipt: bytes) -> None:
    if len(receipt) > MAX_RECEIPT_BYTES:
        raise MessageTooLarge("receipt", len(receipt), MAX_RECEIPT_BYTES)
