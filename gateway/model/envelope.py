"""Envelopes and receipts as they travel: bytes that nobody re-encodes."""

from enum import IntEnum

from gateway.ids import PartnerId
from gateway.values import dataclass


@dataclass(frozen=True, slots=True)
class MerklePath:
    """A leaf's place in a tree (RFC 6962 section 2.1.1)."""

    index: int
    size: int
    hashes: bytes
    """Concatenated 32-byte hashes, lowest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An envelope as one recipient gets it, not verified."""

    header: bytes
    ciphertext: bytes
    record: bytes
    record_path: MerklePath
    batch_path: MerklePath
    signature: bytes
    encapsulation: bytes

    @property
    def size_bytes(self) -> int:
        """Bytes on the wire, nearly."""
        return len(self.header) + len(self.ciphertext) + len(self.record) + len(self.encapsulation) + 320


class Outcome(IntEnum):
    """How far an envelope got. Numbers equal those of envelope.proto."""

    RECEIVED = 1
    REFUSED = 2
    ACKNOWLEDGED_BY_SYSTEM = 3
    ACKNOWLEDGED_BY_OFFICER = 4
    DECIDED = 5
    EXPIRED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The statement of one gateway about one envelope."""

    envelope_digest: bytes
    outcome: Outcome
    time_ms: int
    reason: str
    log_position: int
    """Position in the issuer's exchange log, counted from 1; 0 while not known."""
    log_leaf: bytes
    """RFC 6962 hash of the leaf that records this in the issuer's log, which binds him to have it there; or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptBatch:
    """Receipts signed together, as they travel, not verified."""

    issuer: PartnerId
    signing_key_id: bytes
    receipts: tuple[bytes, ...]
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptProof:
    """One receipt taken out of its batch: provable alone, shows no other."""

    issuer: PartnerId
    signing_key_id: bytes
    receipt: bytes
    path: MerklePath
    signature: bytes
