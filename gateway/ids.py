"""Identifiers that parse or raise.

Two kinds of id never compare equal and never substitute for one another, so that a swapped argument is a type
error and not a leak. Ids are compact bytes inside and text outside.
"""

import os
import re
import threading
import uuid
from typing import Self

from gateway.errors import FieldInvalid
from gateway.values import dataclass

_PARTNER = re.compile(r"[a-z]{2}\Z")
_AUTHORITY = re.compile(r"[a-z]{2}/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_OFFICER = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True, order=True)
class PartnerId:
    """A state's gateway: ISO 3166-1 alpha-2 in lower case."""

    code: str

    @classmethod
    def parse(cls, text: str, field: str = "partner") -> Self:
        """Return the id.

        Raises:
            FieldInvalid: Not two lower-case letters a to z.
        """
        if not _PARTNER.match(text):
            raise FieldInvalid(field, "must be two lower-case letters, as in 'th' (ISO 3166-1 alpha-2)")
        return cls(text)

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True, order=True)
class AuthorityId:
    """An authority of a partner, for example th/royal-police."""

    name: str

    @classmethod
    def parse(cls, text: str, field: str = "authority") -> Self:
        """Return the id.

        Raises:
            FieldInvalid: Not of the form partner/authority.
        """
        if not _AUTHORITY.match(text):
            raise FieldInvalid(field, "must be partner/authority, as in 'th/royal-police'")
        return cls(text)

    @property
    def partner(self) -> PartnerId:
        """The state it belongs to."""
        return PartnerId(self.name[:2])

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, order=True)
class OfficerId:
    """An officer of ours, by a pseudonym that means nothing abroad: names stay at home."""

    name: str

    @classmethod
    def parse(cls, text: str, field: str = "officer") -> Self:
        """Return the id.

        Raises:
            FieldInvalid: Not 1 to 64 lower-case letters, digits, dots, hyphens and underscores.
        """
        if not _OFFICER.match(text):
            raise FieldInvalid(field, "must be 1 to 64 of a-z, 0-9, '.', '_', '-', as in 'o-17'")
        return cls(text)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, order=True)
class _UuidId:
    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 16:
            raise FieldInvalid("id", "must be 16 bytes")

    @classmethod
    def parse(cls, text: str, field: str = "id") -> Self:
        """Return the id from its text form.

        Raises:
            FieldInvalid: Not a UUID in the usual hyphenated lower-case form.
        """
        try:
            value = uuid.UUID(text)
        except ValueError:
            raise FieldInvalid(field, "must be a UUID, as in 019acf7e-1a2b-7c3d-8e4f-5a6b7c8d9e0f") from None
        if str(value) != text:
            raise FieldInvalid(field, "must be a UUID in lower case with hyphens")
        return cls(value.bytes)

    @classmethod
    def new(cls, now_ms: int) -> Self:
        """Return a fresh UUIDv7 (RFC 9562 section 5.7)."""
        return cls(uuid7(now_ms))

    @property
    def time_ms(self) -> int:
        """When the id was made, if it is a UUIDv7 of ours."""
        return int.from_bytes(self.raw[:6], "big")

    def __str__(self) -> str:
        return str(uuid.UUID(bytes=self.raw))


@dataclass(frozen=True, slots=True, order=True)
class MessageId(_UuidId):
    """A message, whatever envelopes carry it. Unique for its sender."""


@dataclass(frozen=True, slots=True, order=True)
class EnvelopeId(_UuidId):
    """One sealing of a message."""


@dataclass(frozen=True, slots=True, order=True)
class ThreadId(_UuidId):
    """The messages of one case or operation. The first message's id, unless an operation names its own."""


@dataclass(frozen=True, slots=True, order=True)
class BatchId(_UuidId):
    """Envelopes that share one encapsulation."""


class _Uuid7:
    """Makes UUIDv7s that rise within this process even inside one millisecond (RFC 9562 section 6.2, method 1)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self, now_ms: int) -> bytes:
        random = int.from_bytes(os.urandom(10), "big")
        with self._lock:
            # 48 bits of time and 12 of counter rise together; 62 bits stay random.
            head = max(now_ms << 12 | (random >> 70 & 0x3FF), self._last + 1)
            self._last = head
        value = (head >> 12) << 80 | 0x7 << 76 | (head & 0xFFF) << 64 | 0b10 << 62 | (random & (1 << 62) - 1)
        return value.to_bytes(16, "big")


uuid7 = _Uuid7()
