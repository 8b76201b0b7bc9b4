"""What cases point to: files, other messages, people to call. Field meanings and sizes as in reference.proto."""

from dataclasses import dataclass
from enum import IntEnum

from gateway.ids import MessageId, PartnerId
from gateway.model.person import YesNo
from gateway.model.text import LocalizedText


class CustodyAct(IntEnum):
    """What was done with an item of evidence."""

    SEIZED = 1
    COPIED = 2
    RECEIVED = 3
    EXAMINED = 4
    HANDED_OVER = 5
    RETURNED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyEntry:
    """One step of a custody log."""

    time_ms: int
    act: CustodyAct
    holder: str
    """Office that had the item then; never a person's name."""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that travels beside the message in encrypted chunks: its digest and its key."""

    name: str
    """No path."""
    media_type: str
    size_bytes: int
    """Of the file in clear, at most 2 GiB."""
    sha256: bytes
    """Of the file in clear."""
    key: bytes
    """Opens its chunks, and nothing else."""
    chunk_bytes: int
    """Size of a chunk in clear, from 4 KiB to 4 MiB."""
    description: tuple[LocalizedText, ...] = ()
    custody: tuple[CustodyEntry, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReference:
    """Names a message, and what its content was when the sender knows it."""

    sender: PartnerId
    message_id: MessageId
    content_commitment: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPoint:
    """Where an office can be reached."""

    name: str
    """Of the office."""
    telephone: str = ""
    """E.164."""
    email: str = ""
    languages: tuple[str, ...] = ()
    """BCP 47."""
    round_the_clock: YesNo
    time_zone: str = ""
    """IANA."""
