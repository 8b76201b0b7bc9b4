"""Rules for what cases point to: attachments with their custody, contact points, messages, zones."""

from collections.abc import Sequence
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.reference import Attachment, ContactPoint, MessageReference
from gateway.model.text import check_identifier

MAX_ATTACHMENT_BYTES: Final = 2 << 30
_NOT_IN_NAMES: Final = frozenset('/\\:*?"<>|')
"""What some file system takes for more than a letter of a name."""
_RESERVED: Final = frozenset({".", ".."})
ZONES: Final = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)


def check_attachments(attachments: Sequence[Attachment], at: str) -> None:
    """Check attachments: names that are names, digests and keys of their size, custody in order.

    Raises:
        FieldInvalid: A rule is broken.
    """
    seen: set[bytes] = set()
    keys: set[bytes] = set()
    for index, item in enumerate(attachments):
        here = f"{at}[{index}]"
        check_identifier(item.name, f"{here}.name")
        if not item.name or item.name in _RESERVED or not _NOT_IN_NAMES.isdisjoint(item.name):
            raise FieldInvalid(f"{here}.name", "must be a file name without a path")
        if not 1 <= item.size_bytes <= MAX_ATTACHMENT_BYTES:
            raise FieldInvalid(f"{here}.size_bytes", "must be 1 byte to 2 GiB")
        for name in ("sha256", "key"):
            if len(getattr(item, name)) != 32:
                raise FieldInvalid(f"{here}.{name}", "must be 32 bytes")
        if item.sha256 in seen:
            raise FieldInvalid(f"{here}.sha256", "is that of another attachment too")
        if item.key in keys:
            raise FieldInvalid(f"{here}.key", "opens another attachment too")
        seen.add(item.sha256)
        keys.add(item.key)
        times = [entry.time_ms for entry in item.custody]
        if times != sorted(times):
            raise FieldInvalid(f"{here}.custody", "must run from the oldest entry to the newest")


def check_contact(contact: ContactPoint, at: str) -> None:
    """Check that a contact point can be reached.

    Raises:
        FieldInvalid: It cannot, or its zone is none.
    """
    if not contact.telephone and not contact.email:
        raise FieldInvalid(f"{at}.telephone", "is needed, or email")
    if contact.time_zone:
        check_zone(contact.time_zone, f"{at}.time_zone")


def check_zone(zone: str, at: str) -> None:
    """Check the form of an IANA zone; whether a machine knows its rules is for those who compute with it.

    Raises:
        FieldInvalid: No zone of a place.
    """
    area, _, place = zone.partition("/")
    if zone != "UTC" and (area not in ZONES or not place):
        raise FieldInvalid(at, "must be a zone, as in 'Asia/Yangon' (IANA)")


def check_references(references: Sequence[MessageReference], at: str) -> None:
    """Check that no message is named twice.

    Raises:
        FieldInvalid: One is.
    """
    seen: set[tuple[str, bytes]] = set()
    for index, item in enumerate(references):
        key = (item.sender.code, item.message_id.raw)
        if key in seen:
            raise FieldInvalid(f"{at}[{index}].message_id", "is named twice")
        seen.add(key)
