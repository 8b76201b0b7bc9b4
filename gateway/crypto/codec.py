"""What the crypto room needs from the one place that knows the wire format.

decode_* check size, presence, known enumerations and field rules, and raise MessageMalformed or FieldInvalid.
"""

from typing import Protocol

from gateway.model.envelope import Receipt
from gateway.model.header import Header, RecipientRecord
from gateway.model.partner import Card


class EnvelopeCodec(Protocol):
    """Headers and recipient records, to bytes and back."""

    def encode_header(self, header: Header) -> bytes: ...
    def decode_header(self, data: bytes) -> Header: ...
    def encode_record(self, record: RecipientRecord) -> bytes: ...
    def decode_record(self, data: bytes) -> RecipientRecord: ...


class HeaderDecoder(Protocol):
    """Headers from bytes."""

    def decode_header(self, data: bytes) -> Header: ...


class ReceiptCodec(Protocol):
    """Receipts, to bytes and back."""

    def encode_receipt(self, receipt: Receipt) -> bytes: ...
    def decode_receipt(self, data: bytes) -> Receipt: ...


class CardCodec(Protocol):
    """Cards, to bytes and back."""

    def encode_card(self, card: Card) -> bytes: ...
    def decode_card(self, data: bytes) -> Card: ...
