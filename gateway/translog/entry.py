"""One step of the exchange log: what a leaf commits to, and how parts of it are disclosed.

A leaf shows nothing: five salted digests, one for each facet of a step (what, when, who, whom, which). Who is given a
facet with its salt can check it against the leaf; who is not learns nothing from the leaf, the tree or a proof, not
even by guessing. Forgetting the salts erases a step while the tree over it stays what it was.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from gateway.errors import LogProofInvalid

SALT_BYTES: Final = 16
FACETS: Final = ("what", "when", "who", "whom", "which")
SALTS_BYTES: Final = SALT_BYTES * len(FACETS)
LEAF_LABEL: Final = b"concord/log-leaf/v1\n"
LEAF_BYTES: Final = len(LEAF_LABEL) + 32 * len(FACETS)
MAX_TEXT_BYTES: Final = 1024
"""Actor, partner, reason and detail: names and codes, never content."""
MAX_DISCLOSURE_BYTES: Final = 16_384
_DIGEST_BYTES: Final = 32
_ID_BYTES: Final = 16
_sha256 = hashlib.sha256


class LogEventType(IntEnum):
    """What happened. Numbers are permanent: they stand in leaves that are kept for ten years."""

    MESSAGE_SUBMITTED = 1
    """A draft was taken in and waits for officers."""
    MESSAGE_RELEASED = 2
    """A message was released, sealed and put in the outbox."""
    MESSAGE_SEALED_AGAIN = 3
    MESSAGE_EXPIRED = 4
    """We gave up on delivering it."""
    RECEIPT_STORED = 5
    """A partner's signed statement about a message of ours was verified and kept."""
    MESSAGE_RECEIVED = 6
    MESSAGE_REFUSED = 7
    """An envelope was refused; the sender got a signed receipt that says why."""
    MESSAGE_ACKNOWLEDGED = 8
    MESSAGE_DECIDED = 9
    MESSAGE_ERASED = 10
    MESSAGE_HANDED_ON = 11
    """A connector gave it to a system outside the gateway."""
    ALERT_STATE_CHANGED = 12
    APPROVAL_PROPOSED = 20
    APPROVAL_GIVEN = 21
    APPROVAL_REFUSED = 22
    CARD_ADDED = 30
    CARD_CHANGED = 31
    CARD_REJECTED = 32
    PARTNER_FROZEN = 33
    PARTNER_THAWED = 34
    PARTNER_REMOVED = 35
    PARTNER_CHECKPOINT_SEEN = 36
    KEY_ROTATED = 40
    KEY_REVOKED = 41
    GATEWAY_STARTED = 50
    GATEWAY_STOPPED = 51
    CONFIGURATION_APPLIED = 52
    ADMINISTERED = 53
    """An operator did something else; the detail names the command."""
    SYSTEM_REGISTERED = 54
    SYSTEM_REMOVED = 55
    MESSAGE_SHOWN = 60
    """Content was shown to somebody."""
    LIST_SHOWN = 61
    LOG_SEARCHED = 62
    LOG_EXPORTED = 63
    LOG_PROVED = 64
    DISCLOSURE_ERASED = 65

    @property
    def words(self) -> str:
        """The type as people and filters write it, for example message-released."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """A step. Ids are 16 bytes or empty, the digest 32 or empty, texts at most MAX_TEXT_BYTES."""

    type: LogEventType
    time_ms: int
    actor: str
    """Principal: system/<name>, auditor/<name>, operator, connector/<name>, partner/<code>, or gateway."""
    partner: str
    """Whom it concerns: codes of partners, separated by commas, or empty."""
    subject: bytes
    """Message id."""
    thread: bytes
    digest: bytes
    """Of the envelope, card or other bytes that the step is about."""
    reason: str
    """A code of the error catalogue or of a vocabulary."""
    detail: str


def _framed(*parts: bytes) -> bytes:
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def _values(event: LogEvent) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Return the facets' values in the order of FACETS."""
    return (
        _framed(b"%d" % event.type, event.reason.encode(), event.detail.encode()),
        b"%d" % event.time_ms,
        event.actor.encode(),
        event.partner.encode(),
        _framed(event.subject, event.thread, event.digest),
    )


_HEADS: Final = tuple(_framed(b"concord/log-facet/v1", name.encode()) for name in FACETS)


def _facet_digest(place: int, salt: bytes, value: bytes) -> bytes:
    return _sha256(_HEADS[place] + salt + value).digest()


def make_leaf(event: LogEvent, salts: bytes) -> bytes:
    """Return a step's leaf.

    Args:
        salts: SALTS_BYTES random bytes that are used for this step only.

    Raises:
        ValueError: The salts have another length, or a field is too long.
    """
    if len(salts) != SALTS_BYTES:
        raise ValueError(f"salts are {SALTS_BYTES} bytes")
    what, when, who, whom, which = _values(event)
    if len(what) > 2 * MAX_TEXT_BYTES + 64 or len(who) > MAX_TEXT_BYTES or len(whom) > MAX_TEXT_BYTES:
        raise ValueError("a text of the step is too long")
    return LEAF_LABEL + b"".join(
        (
            _sha256(_HEADS[0] + salts[:16] + what).digest(),
            _sha256(_HEADS[1] + salts[16:32] + when).digest(),
            _sha256(_HEADS[2] + salts[32:48] + who).digest(),
            _sha256(_HEADS[3] + salts[48:64] + whom).digest(),
            _sha256(_HEADS[4] + salts[64:] + which).digest(),
        )
    )


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Facets of one step, each with the salt that opens it: name -> (salt, value)."""

    facets: Mapping[str, tuple[bytes, bytes]]

    def to_json(self) -> str:
        """Return it as text."""
        data = {
            name: {"salt": salt.hex(), "value": base64.b64encode(value).decode()}
            for name, (salt, value) in self.facets.items()
        }
        return json.dumps({"disclosure": "concord/log-disclosure/v1", "facets": data}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Disclosure":
        """Return the disclosure, not verified.

        Raises:
            LogProofInvalid: Not a disclosure.
        """
        if len(text.encode("utf-8", "surrogatepass")) > MAX_DISCLOSURE_BYTES:
            raise LogProofInvalid("the disclosure is too large")
        try:
            data = json.loads(text)
            if set(data) != {"disclosure", "facets"} or data["disclosure"] != "concord/log-disclosure/v1":
                raise ValueError("another format")
            return cls({name: _facet_from_json(name, item) for name, item in data["facets"].items()})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise LogProofInvalid("the disclosure cannot be read") from None


def _facet_from_json(name: str, item: Mapping[str, Any]) -> tuple[bytes, bytes]:
    salt = bytes.fromhex(item["salt"])
    if name not in FACETS or set(item) != {"salt", "value"} or len(salt) != SALT_BYTES:
        raise ValueError(name)
    return salt, base64.b64decode(item["value"], validate=True)


def disclose(event: LogEvent, salts: bytes, facets: Iterable[str] = FACETS) -> Disclosure:
    """Return the facets asked for, with their salts."""
    values = dict(zip(FACETS, _values(event), strict=True))
    return Disclosure(
        {
            name: (salts[place * SALT_BYTES : (place + 1) * SALT_BYTES], values[name])
            for place, name in enumerate(FACETS)
            if name in facets
        }
    )


def verify_disclosure(leaf: bytes, disclosure: Disclosure) -> None:
    """Return when every facet disclosed is the one that the leaf commits to.

    Raises:
        LogProofInvalid: One is not, nothing is disclosed, or this is not a leaf.
    """
    if len(leaf) != LEAF_BYTES or not leaf.startswith(LEAF_LABEL):
        raise LogProofInvalid("not a leaf of an exchange log")
    if not disclosure.facets:
        raise LogProofInvalid("nothing is disclosed")
    for name, (salt, value) in disclosure.facets.items():
        place = FACETS.index(name)
        start = len(LEAF_LABEL) + place * _DIGEST_BYTES
        if _facet_digest(place, salt, value) != leaf[start : start + _DIGEST_BYTES]:
            raise LogProofInvalid(f"the facet '{name}' is not the one in the leaf")


def _split(value: bytes, count: int) -> list[bytes]:
    parts, at = [], 0
    for _ in range(count):
        length = int.from_bytes(value[at : at + 4], "big")
        parts.append(value[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(value):
        raise LogProofInvalid("a facet is not framed as it should be")
    return parts


def read_facets(disclosure: Disclosure) -> dict[str, str]:
    """Return what a verified disclosure says, as texts to show: type, reason, detail, time_ms, actor, ...

    Raises:
        LogProofInvalid: A value cannot be read.
    """
    said: dict[str, str] = {}
    try:
        for name, (_, value) in disclosure.facets.items():
            match name:
                case "what":
                    kind, reason, detail = _split(value, 3)
                    said["type"] = LogEventType(int(kind)).words
                    said |= {"reason": reason.decode(), "detail": detail.decode()}
                case "when":
                    said["time_ms"] = str(int(value))
                case "who":
                    said["actor"] = value.decode()
                case "whom":
                    said["partner"] = value.decode()
                case _:
                    subject, thread, digest = _split(value, 3)
                    said |= {"message_id": subject.hex(), "thread_id": thread.hex(), "digest": digest.hex()}
    except (ValueError, UnicodeDecodeError):
        raise LogProofInvalid("a facet cannot be read") from None
    return said
