"""What a body says of files beside the message, and what a gateway takes of them."""

from dataclasses import dataclass

from gateway.crypto.attachment import attachment_id
from gateway.crypto.keys import AttachmentKey
from gateway.errors import AttachmentRefused
from gateway.model.message import Body
from gateway.model.reference import Attachment
from gateway.ports import AttachmentUse


def attached_to(body: Body) -> tuple[Attachment, ...]:
    """Return the files that a body names, in their order."""
    found: tuple[Attachment, ...] = getattr(body.content, "attachments", ())
    return found


def id_of(item: Attachment) -> bytes:
    """Return the name under which a file is stored and fetched."""
    return attachment_id(AttachmentKey(item.key), item.sha256, item.size_bytes, item.chunk_bytes)


def uses_of(body: Body) -> tuple[AttachmentUse, ...]:
    """Return the files that a body names, as the store knows them."""
    return tuple(
        AttachmentUse(attachment_id=id_of(item), place=place, size_bytes=item.size_bytes, chunk_bytes=item.chunk_bytes)
        for place, item in enumerate(attached_to(body))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRules:
    """Which files this gateway takes from its own systems and fetches from partners."""

    max_bytes: int
    total_bytes: int
    keep_free_bytes: int
    media_types: frozenset[str]
    """type/subtype or type/*."""

    def check(self, size_bytes: int, media_type: str) -> None:
        """Return when a file may be taken.

        Raises:
            AttachmentRefused: It is too large or of another kind.
        """
        if size_bytes > self.max_bytes:
            raise AttachmentRefused(f"files have at most {self.max_bytes} bytes here; this one has {size_bytes}")
        if media_type not in self.media_types and f"{media_type.partition('/')[0]}/*" not in self.media_types:
            raise AttachmentRefused("files of this media type are not taken here")
