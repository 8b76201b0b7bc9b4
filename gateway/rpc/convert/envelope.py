"""Headers, records, receipts, envelopes and frames: proto to model and back.

Signed things are encoded once by whoever signs them; here they are parsed, never written again for verification.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from concord.v1 import envelope_pb2 as pb
from concord.v1 import federation_service_pb2 as link_pb
from google.protobuf.message import DecodeError

from gateway.errors import FieldInvalid
from gateway.ids import BatchId, EnvelopeId, MessageId, ThreadId
from gateway.model.envelope import (
    Envelope,
    MerklePath,
    Outcome,
    Receipt,
    ReceiptBatch,
    ReceiptProof,
)
from gateway.model.header import (
    Header,
    Kind,
    Mode,
    RecipientRecord,
    Supersedes,
    Urgency,
)
from gateway.ports import Deferral, FrameAnswer, OutgoingFrame
from gateway.rpc.convert.field import (
    exactly,
    member,
    parse_known,
    partner_from_text,
    required_time,
    set_time,
    sized,
)
from gateway.rpc.convert.partner import signed_card_from_proto, signed_card_to_proto

MAX_HEADER_BYTES: Final = 1024
"""envelope.proto, Envelope.header."""
MAX_RECORD_BYTES: Final = 512
"""envelope.proto, Envelope.record."""
MAX_RECEIPT_BYTES: Final = 256
"""32 digest, 63 reason, time, numbers and their tags need less than 150."""

MAX_FRAME_RECEIPTS: Final = 1024
"""In all batches of one frame. They are verified and parsed in one go of 15 us each, in which nobody else is served."""

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,62}\Z")

# Headers, records and receipts are checked field by field where they are converted, for a quarter of what the declared
# rules cost: there are three to a message. A test holds them to the declared rules.
_KINDS: Final[dict[int, Kind]] = {item.value: item for item in Kind}
_MODES: Final[dict[int, Mode]] = {item.value: item for item in Mode}
_URGENCIES: Final[dict[int, Urgency]] = {item.value: item for item in Urgency}
_OUTCOMES: Final[dict[int, Outcome]] = {item.value: item for item in Outcome}


def supersedes_from_proto(message_id: bytes, commitment: bytes, prefix: str = "") -> Supersedes | None:
    """Return what a message replaces.

    Raises:
        FieldInvalid: One of the two without the other, or a wrong length.
    """
    if not message_id and not commitment:
        return None
    if len(message_id) != 16:
        raise FieldInvalid(
            f"{prefix}supersedes_id",
            "must be 16 bytes when supersedes_commitment is given",
        )
    if len(commitment) != 32:
        raise FieldInvalid(
            f"{prefix}supersedes_commitment",
            "must be 32 bytes when supersedes_id is given",
        )
    return Supersedes(message_id=MessageId(message_id), content_commitment=commitment)


def encode_header(header: Header) -> bytes:
    """Return the header's bytes, made once by the sender."""
    message = pb.Header(
        suite=header.suite,
        envelope_id=header.envelope_id.raw,
        message_id=header.message_id.raw,
        sender=header.sender.code,
        signing_key_id=header.signing_key_id,
        kind=header.kind.value,  # type: ignore[arg-type]
        thread_id=header.thread_id.raw,
        mode=header.mode.value,  # type: ignore[arg-type]
        urgency=header.urgency.value,  # type: ignore[arg-type]
        content_commitment=header.content_commitment,
        key_commitment=header.key_commitment,
    )
    if header.in_reply_to is not None:
        message.in_reply_to = header.in_reply_to.raw
    if header.supersedes is not None:
        message.supersedes_id = header.supersedes.message_id.raw
        message.supersedes_commitment = header.supersedes.content_commitment
    set_time(message.create_time, header.create_ms)
    set_time(message.expire_time, header.expire_ms)
    return message.SerializeToString(deterministic=True)


def decode_header(data: bytes) -> Header:
    """Return the header.

    Raises:
        MessageMalformed: Not a header.
        FieldInvalid: A field breaks a rule.
    """
    message = parse_known(pb.Header, data, "header", MAX_HEADER_BYTES)
    reply, replaced, commitment = message.in_reply_to, message.supersedes_id, message.supersedes_commitment
    return Header(
        suite=message.suite,
        envelope_id=EnvelopeId(exactly(message.envelope_id, 16, "header.envelope_id")),
        message_id=MessageId(exactly(message.message_id, 16, "header.message_id")),
        sender=partner_from_text(message.sender, "header.sender"),
        signing_key_id=exactly(message.signing_key_id, 8, "header.signing_key_id"),
        kind=member(_KINDS, message.kind, "header.kind"),
        thread_id=ThreadId(exactly(message.thread_id, 16, "header.thread_id")),
        in_reply_to=MessageId(sized(reply, 16, "header.in_reply_to")) if reply else None,
        supersedes=supersedes_from_proto(replaced, commitment, "header.") if replaced or commitment else None,
        mode=member(_MODES, message.mode, "header.mode"),
        urgency=member(_URGENCIES, message.urgency, "header.urgency"),
        create_ms=required_time(message, "create_time", "header.create_time"),
        expire_ms=required_time(message, "expire_time", "header.expire_time"),
        content_commitment=exactly(message.content_commitment, 32, "header.content_commitment"),
        key_commitment=exactly(message.key_commitment, 32, "header.key_commitment"),
    )


def encode_record(record: RecipientRecord) -> bytes:
    """Return the record's bytes, made once by the sender."""
    return pb.RecipientRecord(
        recipient=record.recipient.code,
        seal_key_id=record.seal_key_id,
        batch_id=record.batch_id.raw,
        encapsulation_digest=record.encapsulation_digest,
        wrapped_key=record.wrapped_key,
        previous_digest=record.previous_digest,
    ).SerializeToString(deterministic=True)


def decode_record(data: bytes) -> RecipientRecord:
    """Return the record.

    Raises:
        MessageMalformed: Not a record.
        FieldInvalid: A field breaks a rule.
    """
    message = parse_known(pb.RecipientRecord, data, "record", MAX_RECORD_BYTES)
    return RecipientRecord(
        recipient=partner_from_text(message.recipient, "record.recipient"),
        seal_key_id=exactly(message.seal_key_id, 8, "record.seal_key_id"),
        batch_id=BatchId(exactly(message.batch_id, 16, "record.batch_id")),
        encapsulation_digest=exactly(message.encapsulation_digest, 32, "record.encapsulation_digest"),
        wrapped_key=exactly(message.wrapped_key, 48, "record.wrapped_key"),
        previous_digest=sized(message.previous_digest, 32, "record.previous_digest"),
    )


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the receipt's bytes, made once by its issuer."""
    message = pb.Receipt(
        envelope_digest=receipt.envelope_digest,
        outcome=receipt.outcome.value,  # type: ignore[arg-type]
        reason=receipt.reason,
        log_position=receipt.log_position,
        log_leaf=receipt.log_leaf,
    )
    set_time(message.time, receipt.time_ms)
    return message.SerializeToString(deterministic=True)


def decode_receipt(data: bytes) -> Receipt:
    """Return the receipt.

    Raises:
        MessageMalformed: Not a receipt.
        FieldInvalid: A field breaks a rule.
    """
    message = parse_known(pb.Receipt, data, "receipt", MAX_RECEIPT_BYTES)
    if message.reason and not _REASON.match(message.reason):
        # It is kept, and shown to operators and systems: words of our catalogue's form, never a stranger's text.
        raise FieldInvalid("receipt.reason", "must be capital letters, digits and underscores")
    return Receipt(
        envelope_digest=exactly(message.envelope_digest, 32, "receipt.envelope_digest"),
        outcome=member(_OUTCOMES, message.outcome, "receipt.outcome"),
        time_ms=required_time(message, "time", "receipt.time"),
        reason=message.reason,
        log_position=message.log_position,
        log_leaf=sized(message.log_leaf, 32, "receipt.log_leaf"),
    )


def path_from_proto(path: pb.MerklePath) -> MerklePath:
    """Return the place in the tree; whoever verifies judges its shape."""
    return MerklePath(path.index, path.size, path.hashes)


def path_to_proto(path: MerklePath) -> pb.MerklePath:
    """Return the place in the tree as it travels."""
    return pb.MerklePath(index=path.index, size=path.size, hashes=path.hashes)


def envelope_from_proto(envelope: pb.Envelope, encapsulation: bytes | None = None) -> Envelope:
    """Return the envelope, not verified; encapsulation stands for one that its frame carries."""
    return Envelope(
        header=envelope.header,
        ciphertext=envelope.ciphertext,
        record=envelope.record,
        record_path=path_from_proto(envelope.record_path),
        batch_path=path_from_proto(envelope.batch_path),
        signature=envelope.signature,
        encapsulation=envelope.encapsulation if encapsulation is None else encapsulation,
    )


def envelope_to_proto(envelope: Envelope, *, with_encapsulation: bool = True) -> pb.Envelope:
    """Return the envelope as it travels, alone or in a frame that carries its encapsulation."""
    return pb.Envelope(
        header=envelope.header,
        ciphertext=envelope.ciphertext,
        record=envelope.record,
        record_path=path_to_proto(envelope.record_path),
        batch_path=path_to_proto(envelope.batch_path),
        signature=envelope.signature,
        encapsulation=envelope.encapsulation if with_encapsulation else b"",
    )


def receipt_batch_from_proto(batch: pb.ReceiptBatch) -> ReceiptBatch:
    """Return the receipts, not verified.

    Raises:
        FieldInvalid: The issuer is no partner id.
    """
    return ReceiptBatch(
        issuer=partner_from_text(batch.issuer, "receipts.issuer"),
        signing_key_id=batch.signing_key_id,
        receipts=tuple(batch.receipts),
        signature=batch.signature,
    )


def receipt_batch_to_proto(batch: ReceiptBatch) -> pb.ReceiptBatch:
    """Return the receipts as they travel."""
    return pb.ReceiptBatch(
        issuer=batch.issuer.code,
        signing_key_id=batch.signing_key_id,
        receipts=batch.receipts,
        signature=batch.signature,
    )


def receipt_proof_from_proto(proof: pb.ReceiptProof) -> ReceiptProof:
    """Return the receipt with its path, not verified.

    Raises:
        FieldInvalid: The issuer is no partner id.
    """
    return ReceiptProof(
        issuer=partner_from_text(proof.issuer, "proof.issuer"),
        signing_key_id=proof.signing_key_id,
        receipt=proof.receipt,
        path=path_from_proto(proof.path),
        signature=proof.signature,
    )


def receipt_proof_to_proto(proof: ReceiptProof) -> pb.ReceiptProof:
    """Return the receipt with its path as it travels."""
    return pb.ReceiptProof(
        issuer=proof.issuer.code,
        signing_key_id=proof.signing_key_id,
        receipt=proof.receipt,
        path=path_to_proto(proof.path),
        signature=proof.signature,
    )


def _encapsulation_of(envelope: pb.Envelope, by_digest: dict[bytes, bytes]) -> bytes:
    if envelope.encapsulation or not by_digest:
        return envelope.encapsulation
    try:
        record = pb.RecipientRecord.FromString(envelope.record)
    except DecodeError:
        # The opener refuses this envelope with a receipt; its neighbours in the frame are none the worse for it.
        return b""
    return by_digest.get(record.encapsulation_digest, b"")


def frame_from_proto(frame: link_pb.LinkRequest) -> OutgoingFrame:
    """Return a frame whose envelopes each have the encapsulation their record names, or none when it is unknown.

    Raises:
        FieldInvalid: The issuer of receipts is no partner id, or there are too many receipts in all.
    """
    if sum(len(item.receipts) for item in frame.receipts) > MAX_FRAME_RECEIPTS:
        raise FieldInvalid("receipts", f"must be at most {MAX_FRAME_RECEIPTS} in all batches of a frame")
    by_digest = {hashlib.sha256(data).digest(): data for data in frame.encapsulations}
    return OutgoingFrame(
        sequence=frame.sequence,
        envelopes=tuple(envelope_from_proto(item, _encapsulation_of(item, by_digest)) for item in frame.envelopes),
        receipts=tuple(receipt_batch_from_proto(item) for item in frame.receipts),
        # A mistake in what is only drawn is no reason to refuse what is exchanged.
        traces=tuple(frame.trace_contexts) if len(frame.trace_contexts) == len(frame.envelopes) else (),
    )


def frame_to_proto(frame: OutgoingFrame) -> link_pb.LinkRequest:
    """Return the frame as it travels, each encapsulation in it once."""
    return link_pb.LinkRequest(
        sequence=frame.sequence,
        encapsulations=dict.fromkeys(item.encapsulation for item in frame.envelopes if item.encapsulation),
        envelopes=[envelope_to_proto(item, with_encapsulation=False) for item in frame.envelopes],
        receipts=[receipt_batch_to_proto(item) for item in frame.receipts],
        trace_contexts=frame.traces,
    )


def answer_from_proto(answer: link_pb.LinkResponse) -> FrameAnswer:
    """Return the answer to a frame, its receipts not verified.

    Raises:
        FieldInvalid: An issuer is no partner id.
    """
    return FrameAnswer(
        sequence=answer.sequence,
        receipts=receipt_batch_from_proto(answer.receipts) if answer.HasField("receipts") else None,
        repeats=tuple(receipt_proof_from_proto(item) for item in answer.repeats),
        deferrals=tuple(Deferral(index=item.index, reason=item.reason) for item in answer.deferrals),
        card=signed_card_from_proto(answer.card) if answer.HasField("card") else None,
        receipts_stored=answer.receipts_stored,
    )


def _deferrals(items: Iterable[Deferral]) -> list[link_pb.Deferral]:
    return [link_pb.Deferral(index=item.index, reason=item.reason) for item in items]


def answer_to_proto(answer: FrameAnswer) -> link_pb.LinkResponse:
    """Return the answer as it travels."""
    return link_pb.LinkResponse(
        sequence=answer.sequence,
        receipts=receipt_batch_to_proto(answer.receipts) if answer.receipts is not None else None,
        deferrals=_deferrals(answer.deferrals),
        card=signed_card_to_proto(answer.card) if answer.card is not None else None,
        receipts_stored=answer.receipts_stored,
        repeats=[receipt_proof_to_proto(item) for item in answer.repeats],
    )
