"""Showing what a leaf stands for, whole or in part, and checking what is shown.

A facet that is withheld is not in the disclosure at all; its digest stays in the leaf, so that what is shown still
proves itself. Values are read only after their digest has been found in the leaf.
"""

import enum
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge, ProofRejected
from gateway.translog.entry import (
    DIGEST_BYTES,
    LEAF_BYTES,
    LEAF_LABEL,
    MAX_ACTOR,
    MAX_DETAIL,
    MAX_TIME_MS,
    MAX_WORD,
    SALT_BYTES,
    SALTS_BYTES,
    EventType,
    Facet,
    LogEvent,
    check_partner,
    check_text,
    facet_digest,
    facet_fields,
)

FORMAT: Final = "concord/log-disclosure/v1"
MAX_JSON_BYTES: Final = 16 * 1024
"""Texts of the greatest length with every character written as an escape, twice over."""


class _Kind(enum.Enum):
    """How a field is written: in the leaf's frame and in JSON."""

    TYPE = enum.auto()
    TEXT = enum.auto()
    PARTNER = enum.auto()
    TIME = enum.auto()
    BYTES = enum.auto()


_FIELDS: Final[dict[Facet, tuple[tuple[str, _Kind, int], ...]]] = {
    Facet.WHAT: (
        ("type", _Kind.TYPE, 2),
        ("outcome", _Kind.TEXT, MAX_WORD),
        ("reason", _Kind.TEXT, MAX_WORD),
        ("detail", _Kind.TEXT, MAX_DETAIL),
    ),
    Facet.WHEN: (("time_ms", _Kind.TIME, 8),),
    Facet.WHO: (("actor", _Kind.TEXT, MAX_ACTOR),),
    Facet.WHOM: (("partner", _Kind.PARTNER, 2),),
    Facet.WHICH: (("subject", _Kind.BYTES, 16), ("thread", _Kind.BYTES, 16), ("digest", _Kind.BYTES, 32)),
}
_PLACES: Final = {facet: len(LEAF_LABEL) + DIGEST_BYTES * place for place, facet in enumerate(Facet)}
_SALTS: Final = {facet: SALT_BYTES * place for place, facet in enumerate(Facet)}


@dataclass(frozen=True, slots=True)
class OpenedFacet:
    """A facet with the salt that ties it to its digest."""

    facet: Facet
    salt: bytes
    fields: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Facets that somebody shows, in the order of the leaf, each at most once."""

    opened: tuple[OpenedFacet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosedEvent:
    """What a leaf was shown to stand for; None is withheld. Only verify_disclosure returns one."""

    type: EventType | None = None
    outcome: str | None = None
    reason: str | None = None
    detail: str | None = None
    time_ms: int | None = None
    actor: str | None = None
    partner: str | None = None
    subject: bytes | None = None
    thread: bytes | None = None
    digest: bytes | None = None


def disclose(event: LogEvent, salts: bytes, facets: Iterable[Facet] = tuple(Facet)) -> Disclosure:
    """Return the facets named, ready to be shown.

    Raises:
        ValueError: The salts are not 80 bytes.
    """
    if len(salts) != SALTS_BYTES:
        raise ValueError(f"an entry takes {SALTS_BYTES} random bytes")
    chosen = set(facets)
    return Disclosure(
        tuple(
            OpenedFacet(facet, salts[_SALTS[facet] : _SALTS[facet] + SALT_BYTES], facet_fields(event, facet))
            for facet in Facet
            if facet in chosen
        )
    )


def verify_disclosure(leaf: bytes, disclosure: Disclosure) -> DisclosedEvent:
    """Return what is shown of an entry, if the leaf stands for it.

    Raises:
        MessageMalformed: The leaf is not one of this version, or what is shown is no event of this version.
        ProofRejected: The leaf stands for something else.
    """
    if len(leaf) != LEAF_BYTES or not leaf.startswith(LEAF_LABEL):
        raise MessageMalformed("not a leaf of this version of the exchange log")
    shown = [opened.facet for opened in disclosure.opened]
    if not shown or shown != [facet for facet in Facet if facet in shown]:
        raise MessageMalformed("a disclosure shows one facet or more, in order and each once")
    values: dict[str, Any] = {}
    for opened in disclosure.opened:
        place = _PLACES[opened.facet]
        if len(opened.salt) != SALT_BYTES:
            raise MessageMalformed(f"a salt has {SALT_BYTES} bytes")
        found = facet_digest(opened.facet, opened.salt, opened.fields)
        if not hmac.compare_digest(found, leaf[place : place + DIGEST_BYTES]):
            raise ProofRejected(f"the leaf does not stand for the facet '{opened.facet}' shown")
        values |= _read_facet(opened)
    return DisclosedEvent(**values)


def _read_facet(opened: OpenedFacet) -> dict[str, Any]:
    """Return the values of a facet by name."""
    fields = _FIELDS[opened.facet]
    if len(opened.fields) != len(fields):
        raise MessageMalformed(f"the facet '{opened.facet}' has {len(fields)} fields")
    return {
        name: _read(name, kind, limit, data) for (name, kind, limit), data in zip(fields, opened.fields, strict=True)
    }


def _read(name: str, kind: _Kind, limit: int, data: bytes) -> EventType | str | int | bytes:
    try:
        match kind:
            case _Kind.TYPE | _Kind.TIME if len(data) != limit:
                raise MessageMalformed(f"{name} has {limit} bytes")
            case _Kind.TYPE:
                return EventType(int.from_bytes(data, "big"))
            case _Kind.TIME:
                if (time_ms := int.from_bytes(data, "big")) > MAX_TIME_MS:
                    raise MessageMalformed(f"{name} is out of range")
                return time_ms
            case _Kind.TEXT:
                text = data.decode("utf-8")
                check_text(name, text, limit)
                if name == "actor" and not text:
                    raise MessageMalformed(f"{name} is empty")
                return text
            case _Kind.PARTNER:
                text = data.decode("utf-8")
                check_partner(text)
                return text
            case _Kind.BYTES:
                if len(data) not in {0, limit}:
                    raise MessageMalformed(f"{name} has {limit} bytes, or none")
                return data
    except (ValueError, FieldInvalid):
        # An unknown type or text that is not UTF-8 is a ValueError.
        raise MessageMalformed(f"{name} is not what an entry of this version holds") from None


# --- JSON --------------------------------------------------------------------------------------------------------


def to_json(disclosure: Disclosure) -> str:
    """Return a disclosure as JSON, one object with a member for each facet shown; bytes in hex.

    Raises:
        MessageMalformed: It is not one of an event of this version.
    """
    members: dict[str, Any] = {"format": FORMAT}
    for opened in disclosure.opened:
        member: dict[str, Any] = {"salt": opened.salt.hex()}
        for name, value in _read_facet(opened).items():
            # An event type is a number too.
            if isinstance(value, EventType):
                member[name] = value.name
            else:
                member[name] = value.hex() if isinstance(value, bytes) else value
        members[opened.facet.value] = member
    return json.dumps(members, ensure_ascii=False)


def parse_json(data: bytes) -> Disclosure:
    """Return the disclosure that a JSON text holds. Nothing of it is verified.

    Raises:
        MessageTooLarge: More bytes than a disclosure has.
        MessageMalformed: It is not a disclosure of an event of this version.
    """
    if len(data) > MAX_JSON_BYTES:
        raise MessageTooLarge("a disclosure", len(data), MAX_JSON_BYTES)
    try:
        members = json.loads(data.decode("utf-8"), object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise MessageMalformed("a disclosure is JSON, with no member twice") from None
    if not isinstance(members, dict) or members.pop("format", None) != FORMAT:
        raise MessageMalformed(f"a disclosure is a JSON object of the format {FORMAT}")
    opened = [_parse_facet(facet, members.pop(facet.value)) for facet in Facet if facet.value in members]
    if members or not opened:
        raise MessageMalformed("a disclosure holds the facets of an entry, one or more, and nothing else")
    return Disclosure(tuple(opened))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _parse_facet(facet: Facet, member: Any) -> OpenedFacet:
    names = [name for name, _, _ in _FIELDS[facet]]
    if not isinstance(member, dict) or set(member) != {"salt", *names}:
        raise MessageMalformed(f"the facet '{facet}' holds a salt and {', '.join(names)}")
    salt = _from_json("salt", _Kind.BYTES, member["salt"])
    if len(salt) != SALT_BYTES:
        raise MessageMalformed(f"a salt has {SALT_BYTES} bytes")
    opened = OpenedFacet(facet, salt, tuple(_from_json(name, kind, member[name]) for name, kind, _ in _FIELDS[facet]))
    _read_facet(opened)
    return opened


def _from_json(name: str, kind: _Kind, value: Any) -> bytes:
    """Return a field as the leaf's frame holds it."""
    try:
        match kind, value:
            # True is a number to Python.
            case _Kind.TIME, int() if not isinstance(value, bool):
                return value.to_bytes(8, "big")
            case _Kind.TYPE, str():
                return EventType[value].to_bytes(2, "big")
            case ((_Kind.TEXT | _Kind.PARTNER), str()):
                return value.encode()
            case _Kind.BYTES, str() if (data := bytes.fromhex(value)).hex() == value:
                return data
            case _:
                pass
    except (ValueError, KeyError, OverflowError):
        pass
    raise MessageMalformed(f"{name} is not what a disclosure holds")
