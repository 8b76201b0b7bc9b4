"""Texts in many languages, and what Unicode may not smuggle into them."""

import re
import unicodedata
from enum import IntEnum
from typing import Final

from gateway.errors import FieldInvalid
from gateway.values import dataclass


class TextOrigin(IntEnum):
    """Where a text comes from. Numbers equal those of alert.proto; 0 means not stated."""

    UNSPECIFIED = 0
    ORIGINAL = 1
    HUMAN = 2
    CERTIFIED = 3
    MACHINE = 4


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """A text in one language (BCP 47)."""

    language: str
    text: str
    origin: TextOrigin = TextOrigin.UNSPECIFIED
    authentic: bool = False


# Overrides reorder what an officer sees, and neither controls nor lone surrogates have a place in a text. Isolates
# (U+2066..U+2069) are legal in texts, where templates balance them, but not in identifiers.
FORBIDDEN_IN_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")
"""Characters that check_text refuses."""
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*\Z")
_SAFE_URI: Final = re.compile(r"(?:https?|ftp)://|(?:mailto|tel|geo):", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[^/?#]*:")
# Format, control, surrogate and private-use characters, and the line and paragraph separators.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def is_language(tag: str) -> bool:
    """Return whether a text has the form of a BCP 47 tag of at most 35 characters."""
    return len(tag) <= 35 and _LANGUAGE.match(tag) is not None


def check_text(value: str, field: str) -> None:
    """Refuse what would make a text look like another one: bidirectional overrides and control characters.

    Joiners and zero-width spaces stay legal: Khmer, Burmese, Lao and Persian need them. Tab and line ends too.

    Raises:
        FieldInvalid: The text has such a character, or half of a surrogate pair, which UTF-8 cannot carry.
    """
    if value.isascii() and value.isprintable():
        return
    if found := FORBIDDEN_IN_TEXT.search(value):
        code = ord(found[0])
        problem = "a control character"
        if 0x202A <= code <= 0x202E:
            problem = "a bidirectional override"
        elif 0xD800 <= code <= 0xDFFF:
            problem = "half of a surrogate pair"
        raise FieldInvalid(field, f"has {problem} (U+{code:04X}) at character {found.start()}")


def check_identifier(value: str, field: str) -> None:
    """Refuse in an identifier anything invisible: format, control, surrogate, private-use and separator characters.

    Raises:
        FieldInvalid: The identifier has such a character, or white space at an end.
    """
    if value.isascii() and value.isprintable() and value == value.strip():
        return
    if value != value.strip():
        raise FieldInvalid(field, "begins or ends with white space")
    for position, character in enumerate(value):
        if unicodedata.category(character) in _INVISIBLE:
            raise FieldInvalid(
                field,
                f"has an invisible character (U+{ord(character):04X}) at character {position}",
            )


def check_uri(value: str, field: str) -> None:
    """Refuse an address that a screen must never make into a link: script, data, file and every scheme not listed here.

    Relative references and empty values pass.

    Raises:
        FieldInvalid: The scheme is not http, https, ftp, mailto, tel or geo.
    """
    if value.startswith(("https://", "http://")) or not value:
        return
    # Browsers skip white space and controls inside a scheme, so a colon is what counts, not a well-formed name.
    if not _SAFE_URI.match(value) and _SCHEME.match(value):
        raise FieldInvalid(field, "must be an address of http, https, ftp, mailto, tel or geo")
