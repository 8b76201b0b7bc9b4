"""Length-prefixed framing of everything that is hashed, signed or used as context.

Every use has a label of its own, so that bytes made for one purpose never mean anything for another; every part
carries its length, so that no two lists of parts have the same frame. Reference: docs/reference/envelope.md.
"""

from functools import cache
from typing import Final

ENVELOPE: Final = "concord/envelope/v1"
ENVELOPE_BATCH: Final = "concord/envelope-batch/v1"
RECEIPT_BATCH: Final = "concord/receipt-batch/v1"
CONTENT: Final = "concord/content/v1"
KEY_COMMITMENT: Final = "concord/key-commitment/v1"
ENCAPSULATION: Final = "concord/encapsulation/v1"
WRAP: Final = "concord/wrap/v1"
CARD: Final = "concord/card/v1"
AT_REST: Final = "concord/at-rest/v1"
ATTACHMENT: Final = "concord/attachment/v1"
LOG_FACET: Final = "concord/log-facet/v1"
FINGERPRINT: Final = "concord/fingerprint/v1"
RELEASE: Final = "concord/release/v1"


@cache
def _head(label: str, parts: int) -> bytes:
    encoded = label.encode("ascii")
    return (parts + 1).to_bytes(4, "big") + len(encoded).to_bytes(4, "big") + encoded


def pae(label: str, *parts: bytes) -> bytes:
    """Return the frame: number of fields, then each field (the label first) after its length; 4-byte big-endian."""
    fields = [_head(label, len(parts))]
    for part in parts:
        fields.append(len(part).to_bytes(4, "big"))
        fields.append(part)
    return b"".join(fields)


def number(value: int) -> bytes:
    """Return a count as a part: 8 bytes, big-endian."""
    return value.to_bytes(8, "big")
