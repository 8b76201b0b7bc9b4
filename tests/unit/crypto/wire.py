"""A codec for tests of the crypto room alone: protobuf without the field rules of the real one."""

from google.protobuf.message import DecodeError

from concord.v1 import envelope_pb2, partner_pb2
from gateway.errors import FieldInvalid, MessageMalformed
from gateway.ids import BatchId, EnvelopeId, MessageId, PartnerId, ThreadId
from gateway.model.envelope import Outcome, Receipt
from gateway.model.header import Header, Kind, Mode, RecipientRecord, Supersedes, Urgency
from gateway.model.partner import Card, CardKey, KeyPurpose


def _parse(kind, data):
    try:
        return kind.FromString(data)
    except DecodeError:
        raise MessageMalformed from None


def _enum(kind, value, field):
    try:
        return kind(value)
    except ValueError:
        raise FieldInvalid(field, "is unknown") from None


def _put_time(field, instant_ms):
    field.FromMilliseconds(instant_ms)


class TestCodec:
    __test__ = False

    def encode_header(self, header: Header) -> bytes:
        message = envelope_pb2.Header(
            suite=header.suite,
            envelope_id=header.envelope_id.raw,
            message_id=header.message_id.raw,
            sender=header.sender.code,
            signing_key_id=header.signing_key_id,
            kind=header.kind,
            thread_id=header.thread_id.raw,
            in_reply_to=header.in_reply_to.raw if header.in_reply_to else b"",
            supersedes_id=header.supersedes.message_id.raw if header.supersedes else b"",
            supersedes_commitment=header.supersedes.content_commitment if header.supersedes else b"",
            mode=header.mode,
            urgency=header.urgency,
            content_commitment=header.content_commitment,
            key_commitment=header.key_commitment,
        )
        _put_time(message.create_time, header.create_ms)
        _put_time(message.expire_time, header.expire_ms)
        return message.SerializeToString()

    def decode_header(self, data: bytes) -> Header:
        message = _parse(envelope_pb2.Header, data)
        supersedes = None
        if message.supersedes_id:
            supersedes = Supersedes(
                message_id=MessageId(message.supersedes_id), content_commitment=message.supersedes_commitment
            )
        return Header(
            suite=message.suite,
            envelope_id=EnvelopeId(message.envelope_id),
            message_id=MessageId(message.message_id),
            sender=PartnerId.parse(message.sender),
            signing_key_id=message.signing_key_id,
            kind=_enum(Kind, message.kind, "kind"),
            thread_id=ThreadId(message.thread_id),
            in_reply_to=MessageId(message.in_reply_to) if message.in_reply_to else None,
            supersedes=supersedes,
            mode=_enum(Mode, message.mode, "mode"),
            urgency=_enum(Urgency, message.urgency, "urgency"),
            create_ms=message.create_time.ToMilliseconds(),
            expire_ms=message.expire_time.ToMilliseconds(),
            content_commitment=message.content_commitment,
            key_commitment=message.key_commitment,
        )

    def encode_record(self, record: RecipientRecord) -> bytes:
        return envelope_pb2.RecipientRecord(
            recipient=record.recipient.code,
            seal_key_id=record.seal_key_id,
            batch_id=record.batch_id.raw,
            encapsulation_digest=record.encapsulation_digest,
            wrapped_key=record.wrapped_key,
            previous_digest=record.previous_digest,
        ).SerializeToString()

    def decode_record(self, data: bytes) -> RecipientRecord:
        message = _parse(envelope_pb2.RecipientRecord, data)
        return RecipientRecord(
            recipient=PartnerId.parse(message.recipient),
            seal_key_id=message.seal_key_id,
            batch_id=BatchId(message.batch_id),
            encapsulation_digest=message.encapsulation_digest,
            wrapped_key=message.wrapped_key,
            previous_digest=message.previous_digest,
        )

    def encode_receipt(self, receipt: Receipt) -> bytes:
        message = envelope_pb2.Receipt(
            envelope_digest=receipt.envelope_digest,
            outcome=receipt.outcome,
            reason=receipt.reason,
            log_position=receipt.log_position,
        )
        _put_time(message.time, receipt.time_ms)
        return message.SerializeToString()

    def decode_receipt(self, data: bytes) -> Receipt:
        message = _parse(envelope_pb2.Receipt, data)
        return Receipt(
            envelope_digest=message.envelope_digest,
            outcome=_enum(Outcome, message.outcome, "outcome"),
            time_ms=message.time.ToMilliseconds(),
            reason=message.reason,
            log_position=message.log_position,
        )

    def encode_card(self, card: Card) -> bytes:
        message = partner_pb2.Card(
            partner=card.partner.code,
            sequence=card.sequence,
            previous_digest=card.previous_digest,
            tls_roots=card.tls_roots,
            endpoints=card.endpoints,
        )
        _put_time(message.create_time, card.create_ms)
        for key in card.keys:
            encoded = message.keys.add(purpose=key.purpose, public_key=key.public_key)
            _put_time(encoded.start_time, key.start_ms)
            _put_time(encoded.end_time, key.end_ms)
            if key.revoke_ms is not None:
                _put_time(encoded.revoke_time, key.revoke_ms)
        return message.SerializeToString()

    def decode_card(self, data: bytes) -> Card:
        message = _parse(partner_pb2.Card, data)
        return Card(
            partner=PartnerId.parse(message.partner),
            sequence=message.sequence,
            previous_digest=message.previous_digest,
            create_ms=message.create_time.ToMilliseconds(),
            names=(),
            keys=tuple(
                CardKey(
                    purpose=_enum(KeyPurpose, key.purpose, "purpose"),
                    public_key=key.public_key,
                    start_ms=key.start_time.ToMilliseconds(),
                    end_ms=key.end_time.ToMilliseconds(),
                    revoke_ms=key.revoke_time.ToMilliseconds() if key.HasField("revoke_time") else None,
                )
                for key in message.keys
            ),
            tls_roots=tuple(message.tls_roots),
            endpoints=tuple(message.endpoints),
            desks=(),
            time_zone="",
            languages=(),
            kinds=(),
            suites=(),
        )
