"""The clear part of an envelope and its closed lists. Numbers equal those of envelope.proto."""

from enum import IntEnum
from typing import Final

from gateway.ids import BatchId, EnvelopeId, MessageId, PartnerId, ThreadId
from gateway.values import dataclass

SUITE_1: Final = 1
MAX_LIFETIME_MS: Final = 30 * 86_400_000
"""DESIGN 5: lifetime at most 30 days."""
MAX_AHEAD_MS: Final = 5 * 60_000
"""DESIGN 5: created more than 5 minutes ahead is refused."""
MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of year 9999, the end of protobuf's Timestamp and of ISO 8601's four-digit years."""


class Kind(IntEnum):
    """What a message is, as everybody on the way may know.

    Decisions, withdrawals and use reports are updates here: whether a state refused is not for the way to know.
    """

    ALERT = 1
    REFERRAL = 2
    REQUEST = 3
    UPDATE = 4
    ANSWER = 5
    RECALL = 6
    PING = 7
    OPERATION = 8


class Mode(IntEnum):
    """Set at birth, never changed."""

    ACTUAL = 1
    EXERCISE = 2
    TEST = 3


class Urgency(IntEnum):
    """U0 flash to U3 routine; smaller is more urgent."""

    U0 = 1
    U1 = 2
    U2 = 3
    U3 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Supersedes:
    """The message that this one replaces, and what its content was."""

    message_id: MessageId
    content_commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What everybody on the way may see. Carries no name and no subject."""

    suite: int
    envelope_id: EnvelopeId
    message_id: MessageId
    sender: PartnerId
    signing_key_id: bytes
    kind: Kind
    thread_id: ThreadId
    in_reply_to: MessageId | None
    supersedes: Supersedes | None
    mode: Mode
    urgency: Urgency
    create_ms: int
    expire_ms: int
    content_commitment: bytes
    key_commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRecord:
    """What one recipient needs to open an envelope; see envelope.proto."""

    recipient: PartnerId
    seal_key_id: bytes
    batch_id: BatchId
    encapsulation_digest: bytes
    wrapped_key: bytes
    previous_digest: bytes
    """Empty for the first envelope to this recipient in the thread."""
