"""What an entry of the exchange log says, and the leaf that commits to it without saying it.

Witnesses and partners see leaves: five salted digests each, one for every facet of the event. Who shows an event hands
out its facets with their salts (see disclosure); once event and salts are erased, nothing tells what the leaf stood
for, and every proof still holds. Reference: docs/reference/log-format.md.
"""

import enum
import hashlib
import re
from typing import Final

from gateway.crypto import framing
from gateway.errors import FieldInvalid
from gateway.values import dataclass

LEAF_LABEL: Final = b"concord/log-leaf/v1\n"
DIGEST_BYTES: Final = 32
SALT_BYTES: Final = 16
FACETS: Final = 5
SALTS_BYTES: Final = SALT_BYTES * FACETS
"""Fresh random bytes for every entry: as hard to guess as the digests are to invert."""
LEAF_BYTES: Final = len(LEAF_LABEL) + DIGEST_BYTES * FACETS
MAX_ACTOR: Final = 255
MAX_WORD: Final = 64
"""An outcome or reason: the protocol's words have at most 63 characters (AIP-193)."""
MAX_DETAIL: Final = 512
MAX_TIME_MS: Final = (1 << 63) - 1

_PARTNER = re.compile(r"(?:[a-z]{2})?\Z", re.ASCII)
_sha256 = hashlib.sha256


class EventType(enum.IntEnum):
    """What happened. The numbers are in leaves that nobody can change: never renumber, never use one again."""

    MESSAGE_SUBMITTED = 1
    MESSAGE_RELEASED = 2
    MESSAGE_RELAYED = 3
    MESSAGE_RECEIVED = 4
    MESSAGE_REFUSED = 5
    MESSAGE_ACKNOWLEDGED = 6
    MESSAGE_DECIDED = 7
    MESSAGE_EXPIRED = 8
    MESSAGE_HELD = 9
    MESSAGE_ERASED = 10
    RECEIPT_STORED = 11
    MESSAGE_SEALED_AGAIN = 12
    ALERT_CHANGED = 13
    APPROVAL_PROPOSED = 20
    APPROVAL_APPROVED = 21
    APPROVAL_REFUSED = 22
    APPROVAL_HELD = 23
    APPROVAL_CLAIMED = 24
    APPROVAL_SHOWN = 25
    APPROVAL_VOIDED = 26
    APPROVAL_LAPSED = 27
    APPROVAL_WITHDRAWN = 28
    APPROVAL_ASKED = 29
    CARD_ADDED = 30
    CARD_CHANGED = 31
    CARD_FROZEN = 32
    CARD_THAWED = 33
    CARD_REMOVED = 34
    CARD_REJECTED = 35
    KEY_ROTATED = 40
    KEY_REVOKED = 41
    GATEWAY_STARTED = 50
    GATEWAY_STOPPED = 51
    CONFIGURATION_APPLIED = 52
    ADMINISTRATION_ACT = 53
    LOG_BEGUN = 54
    MESSAGE_SHOWN = 60
    LIST_SHOWN = 61
    LOG_SEARCHED = 62
    LOG_EXPORTED = 63
    LOG_PROVED = 64
    DISCLOSURE_ERASED = 65
    PARTNER_CHECKPOINT_SEEN = 70
    ATTACHMENT_UPLOADED = 80
    ATTACHMENT_RELAYED = 81
    ATTACHMENT_RECEIVED = 82
    ATTACHMENT_REFUSED = 83
    ATTACHMENT_SHOWN = 84
    ATTACHMENT_ERASED = 85
    APPROVAL_SENT_ALONE = 90
    APPROVAL_GLASS_BROKEN = 91
    APPROVAL_REVIEWED = 92
    APPROVAL_RELEASED_CLAIM = 93
    APPROVAL_HANDED_OVER = 94
    APPROVAL_ATTEMPT_REFUSED = 95


class Facet(enum.StrEnum):
    """What can be shown apart from the rest, in the order of the leaf."""

    WHAT = "what"
    WHEN = "when"
    WHO = "who"
    WHOM = "whom"
    WHICH = "which"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One thing that happened. Never holds content of a message."""

    type: EventType
    time_ms: int
    """Milliseconds since 1970, UTC, by this gateway's clock."""
    actor: str
    """The principal that did it, as the guard names it."""
    partner: str = ""
    """The other state's code; empty when there is none."""
    subject: bytes = b""
    """message_id, 16 bytes, or empty."""
    thread: bytes = b""
    """thread_id, 16 bytes, or empty."""
    digest: bytes = b""
    """Of the envelope, card, receipt or configuration that it is about: 32 bytes, or empty."""
    outcome: str = ""
    reason: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.time_ms <= MAX_TIME_MS:
            raise FieldInvalid("time_ms", "is out of range")
        if not self.actor:
            raise FieldInvalid("actor", "must not be empty")
        check_text("actor", self.actor, MAX_ACTOR)
        # Most are empty, and this runs for every message.
        if self.outcome:
            check_text("outcome", self.outcome, MAX_WORD)
        if self.reason:
            check_text("reason", self.reason, MAX_WORD)
        if self.detail:
            check_text("detail", self.detail, MAX_DETAIL)
        if self.partner:
            check_partner(self.partner)
        if len(self.subject) not in {0, 16} or len(self.thread) not in {0, 16} or len(self.digest) not in {0, 32}:
            raise FieldInvalid("subject, thread, digest", "have 16, 16 and 32 bytes, or none")


def check_text(field: str, text: str, max_chars: int) -> None:
    """Return when a text can stand in an entry.

    Raises:
        FieldInvalid: It is too long or holds characters that cannot be seen.
    """
    # A line break or a change of direction would let an entry pass for others where it is shown.
    if len(text) > max_chars or not text.isprintable():
        raise FieldInvalid(field, f"has at most {max_chars} characters, all of them visible")


def check_partner(code: str) -> None:
    """Return when a text is a partner's code or empty.

    Raises:
        FieldInvalid: It is neither.
    """
    if not _PARTNER.match(code):
        raise FieldInvalid("partner", "must be two lower-case letters, or empty")


def _prefix(facet: Facet, fields: int) -> bytes:
    """Return how the frame of a facet begins, up to where the salt stands."""
    # The last field has no bytes and is cut off with its length; the salt's own length stays.
    whole = framing.pae(framing.LOG_FACET, facet.encode("ascii"), bytes(SALT_BYTES), *[b""] * fields)
    return whole[: len(whole) - SALT_BYTES - 4 * fields]


_PREFIXES: Final = {
    Facet.WHAT: _prefix(Facet.WHAT, 4),
    Facet.WHEN: _prefix(Facet.WHEN, 1),
    Facet.WHO: _prefix(Facet.WHO, 1),
    Facet.WHOM: _prefix(Facet.WHOM, 1),
    Facet.WHICH: _prefix(Facet.WHICH, 3),
}
_WHAT, _WHEN, _WHO, _WHOM, _WHICH = _PREFIXES.values()
# Lengths of most fields, as a frame writes them.
_LENGTHS: Final = tuple(length.to_bytes(4, "big") for length in range(256))


def _field(data: bytes) -> bytes:
    length = len(data)
    return (_LENGTHS[length] if length < 256 else length.to_bytes(4, "big")) + data


def leaf(event: LogEvent, salts: bytes) -> bytes:
    """Return the leaf: label, then the digests of the five facets under 16 bytes of the salts each.

    Raises:
        ValueError: The salts are not 80 bytes.
    """
    if len(salts) != SALTS_BYTES:
        raise ValueError(f"an entry takes {SALTS_BYTES} random bytes")
    what = b"".join((
        _WHAT, salts[:16], b"\0\0\0\2", event.type.to_bytes(2, "big"),
        _field(event.outcome.encode()), _field(event.reason.encode()), _field(event.detail.encode()),
    ))  # fmt: skip
    which = b"".join((_WHICH, salts[64:], _field(event.subject), _field(event.thread), _field(event.digest)))
    return b"".join((
        LEAF_LABEL,
        _sha256(what).digest(),
        _sha256(_WHEN + salts[16:32] + b"\0\0\0\x08" + event.time_ms.to_bytes(8, "big")).digest(),
        _sha256(_WHO + salts[32:48] + _field(event.actor.encode())).digest(),
        _sha256(_WHOM + salts[48:64] + _field(event.partner.encode())).digest(),
        _sha256(which).digest(),
    ))  # fmt: skip


def facet_fields(event: LogEvent, facet: Facet) -> tuple[bytes, ...]:
    """Return what a facet's digest is over, besides its salt."""
    match facet:
        case Facet.WHAT:
            texts = (event.outcome, event.reason, event.detail)
            return (event.type.to_bytes(2, "big"), *(text.encode() for text in texts))
        case Facet.WHEN:
            return (event.time_ms.to_bytes(8, "big"),)
        case Facet.WHO:
            return (event.actor.encode(),)
        case Facet.WHOM:
            return (event.partner.encode(),)
        case Facet.WHICH:
            return (event.subject, event.thread, event.digest)


def facet_digest(facet: Facet, salt: bytes, fields: tuple[bytes, ...]) -> bytes:
    """Return the digest that stands for a facet in a leaf."""
    return _sha256(framing.pae(framing.LOG_FACET, facet.encode("ascii"), salt, *fields)).digest()
