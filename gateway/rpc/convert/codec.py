"""The codec behind ports.Codec: Protocol Buffers, encoded deterministically."""

from gateway.model.envelope import Receipt
from gateway.model.header import Header, RecipientRecord
from gateway.model.message import Body
from gateway.model.partner import Card
from gateway.rpc.convert import envelope, message, partner


class WireCodec:
    """Turn values into the bytes that travel and back; decode_* raise MessageMalformed or FieldInvalid."""

    __slots__ = ()

    def encode_header(self, header: Header) -> bytes:
        """Return the header's bytes."""
        return envelope.encode_header(header)

    def decode_header(self, data: bytes) -> Header:
        """Return the header."""
        return envelope.decode_header(data)

    def encode_record(self, record: RecipientRecord) -> bytes:
        """Return the record's bytes."""
        return envelope.encode_record(record)

    def decode_record(self, data: bytes) -> RecipientRecord:
        """Return the record."""
        return envelope.decode_record(data)

    def encode_receipt(self, receipt: Receipt) -> bytes:
        """Return the receipt's bytes."""
        return envelope.encode_receipt(receipt)

    def decode_receipt(self, data: bytes) -> Receipt:
        """Return the receipt."""
        return envelope.decode_receipt(data)

    def encode_card(self, card: Card) -> bytes:
        """Return the card's bytes."""
        return partner.encode_card(card)

    def decode_card(self, data: bytes) -> Card:
        """Return the card."""
        return partner.decode_card(data)

    def encode_body(self, body: Body) -> bytes:
        """Return the body's bytes."""
        return message.encode_body(body)

    def decode_body(self, data: bytes) -> Body:
        """Return the body."""
        return message.decode_body(data)
