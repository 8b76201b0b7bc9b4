"""The text of a checkpoint (c2sp.org/tlog-checkpoint): which log, how many entries, which root. Unproven."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import MessageMalformed, MessageTooLarge
from gateway.translog.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

MAX_NAME_BYTES: Final = 255
"""What the ML-DSA-44 cosigned message can say of an origin or a cosigner (c2sp.org/tlog-cosignature)."""
MAX_EXTENSIONS: Final = 8
MAX_TEXT_BYTES: Final = 4096

_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z", re.ASCII)
_SPACE_OR_PLUS = re.compile(r"[\s+]")


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines of other logs. Nothing here reads them, and ML-DSA-44 does not sign them."""

    @property
    def text(self) -> str:
        """The text that is signed."""
        root = base64.b64encode(self.root).decode("ascii")
        return "\n".join((self.origin, str(self.size), root, *self.extensions, ""))


def parse_tree_head(text: str) -> TreeHead:
    """Return what the text of a checkpoint says.

    Raises:
        MessageTooLarge: It is longer than a checkpoint is.
        MessageMalformed: It is not the one way to write a checkpoint.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise MessageTooLarge("a checkpoint", len(text), MAX_TEXT_BYTES)
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or "" in lines:
        raise MessageMalformed("a checkpoint has at least three lines, none of them empty, each ended by a line feed")
    if len(lines) > 3 + MAX_EXTENSIONS:
        raise MessageMalformed(f"a checkpoint has at most {MAX_EXTENSIONS} extension lines")
    origin, size, root = lines[:3]
    check_name(origin)
    head = TreeHead(origin, parse_decimal(size), decode_base64(root, HASH_BYTES), tuple(lines[3:]))
    if len(head.root) != HASH_BYTES:
        raise MessageMalformed(f"the root of a checkpoint has {HASH_BYTES} bytes")
    if head.size == 0 and head.root != EMPTY_ROOT:
        raise MessageMalformed("the root of an empty tree is another")
    return head


def check_name(name: str) -> None:
    """Return when a name can be that of a key, and so of a log (c2sp.org/signed-note).

    Raises:
        MessageMalformed: It is empty, too long, or holds a space, a plus or what cannot be seen.
    """
    # isprintable takes the plain space only, and refuses every control, format and unpaired character.
    if not name or not name.isprintable() or _SPACE_OR_PLUS.search(name):
        raise MessageMalformed("a key name or origin is not empty and has no space, plus sign or hidden character")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise MessageMalformed(f"a key name or origin has at most {MAX_NAME_BYTES} bytes")


def parse_decimal(text: str) -> int:
    """Return a number written in the one way there is: ASCII digits, no leading zero, at most MAX_SIZE.

    Raises:
        MessageMalformed: It is written otherwise.
    """
    # int() alone takes underscores, spaces, signs and the digits of other scripts.
    if not _DECIMAL.match(text) or (value := int(text)) > MAX_SIZE:
        raise MessageMalformed("a number is written in decimal digits without leading zeros, and is in range")
    return value


def decode_base64(text: str, max_bytes: int) -> bytes:
    """Return the bytes of a base64 text in its one form (RFC 4648 section 4, with padding).

    Raises:
        MessageMalformed: It is longer, or written in any other form.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True) if len(text) <= max_bytes * 4 // 3 + 4 else None
    except (UnicodeEncodeError, binascii.Error):
        data = None
    # Strict decoding still takes stray bits in the last character.
    if data is None or len(data) > max_bytes or base64.b64encode(data).decode("ascii") != text:
        raise MessageMalformed("not base64 in its one form, or too long")
    return data
