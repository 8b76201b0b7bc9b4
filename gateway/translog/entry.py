"""TEMPORARY stand-in."""
import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

SALTS_BYTES: Final = 80


class LogEventType(IntEnum):
    MESSAGE_RELEASED = 1
    MESSAGE_RECEIVED = 2
    MESSAGE_REFUSED = 3
    MESSAGE_ACKNOWLEDGED = 4
    MESSAGE_EXPIRED = 5
    MESSAGE_SEALED_AGAIN = 6
    RECEIPT_STORED = 7
    CARD_ADDED = 8
    CARD_CHANGED = 9
    PARTNER_FROZEN = 10
    PARTNER_THAWED = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    type: LogEventType
    time_ms: int
    actor: str
    partner: str
    subject: bytes
    thread: bytes
    digest: bytes
    reason: str
    detail: str


_sha = hashlib.sha256


def make_leaf(event: LogEvent, salts: bytes) -> bytes:
    parts = (
        b"what" + salts[:16] + b"%d|%s|%s" % (event.type, event.reason.encode(), event.detail.encode()),
        b"when" + salts[16:32] + b"%d" % event.time_ms,
        b"who" + salts[32:48] + event.actor.encode(),
        b"whom" + salts[48:64] + event.partner.encode(),
        b"which" + salts[64:] + event.subject + event.thread + event.digest,
    )
    return b"concord/log/v1\0" + b"".join([_sha(part).digest() for part in parts])
