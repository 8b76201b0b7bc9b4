"""Texts in many languages, and what Unicode may not smuggle into them."""

import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.errors import FieldInvalid


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


# Overrides and isolates reorder what an officer sees; U+FEFF and the rest hide characters. Isolates (U+2066..U+2069)
# are legal in texts, where templates balance them, but not in identifiers.
_OVERRIDES: Final = frozenset("\u202a\u202b\u202c\u202d\u202e")
_ALLOWED_CONTROLS: Final = frozenset("\t\n\r")


def check_text(value: str, field: str) -> None:
    """Refuse what would make a text look like another one: bidirectional overrides and control characters.

    Joiners and zero-width spaces stay legal: Khmer, Burmese, Lao and Persian need them.

    Raises:
        FieldInvalid: The text has such a character.
    """
    if value.isascii() and value.isprintable():
        return
    for position, character in enumerate(value):
        if character in _OVERRIDES:
            raise FieldInvalid(field, f"has a bidirectional override (U+{ord(character):04X}) at character {position}")
        if character < " " and character not in _ALLOWED_CONTROLS or character == "\x7f":
            raise FieldInvalid(field, f"has a control character (U+{ord(character):04X}) at character {position}")


def check_identifier(value: str, field: str) -> None:
    """Refuse in an identifier anything that is invisible: format, control, surrogate and private-use characters.

    Raises:
        FieldInvalid: The identifier has such a character, or white space at an end.
    """
    if value.isascii() and value.isprintable() and value == value.strip():
        return
    if value != value.strip():
        raise FieldInvalid(field, "begins or ends with white space")
    for position, character in enumerate(value):
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co"}:
            raise FieldInvalid(field, f"has an invisible character (U+{ord(character):04X}) at character {position}")
