"""What holds for every text, instant and number of a case, wherever it stands: one walk over the whole content."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.header import MAX_TIME_MS
from gateway.model.measure import MEASURE_NAMES
from gateway.model.operation import ENTRY_NAMES
from gateway.model.text import LocalizedText, check_text, is_language
from gateway.model.travel_document import has_zone_line

_MEMBER_NAMES: Final = MEASURE_NAMES | ENTRY_NAMES
_ZONES_BELONG: Final = "mrz"


def check_wording(value: object, at: str) -> None:
    """Check a content and everything inside.

    Raises:
        FieldInvalid: A text with a forbidden character, in no language, or with the machine-readable zone of a travel
            document outside a travel document; an instant outside 1970 to 9999; a number that is none.
    """
    if isinstance(value, str):
        check_text(value, at)
        if has_zone_line(value):
            raise FieldInvalid(at, "has a machine-readable zone; it belongs to a person's documents")
    elif isinstance(value, float):
        if not isfinite(value):
            raise FieldInvalid(at, "must be a finite number")
    elif isinstance(value, tuple):
        if value and isinstance(value[0], LocalizedText):
            _check_texts(value, at)
        for index, item in enumerate(value):
            check_wording(item, f"{at}[{index}]")
    elif is_dataclass(value) and not isinstance(value, Enum):
        for field in fields(value):
            inner = getattr(value, field.name)
            if inner is None or inner == ():
                continue
            if field.name.endswith("_ms"):
                _check_instant(inner, at, field.name)
            elif field.name == _ZONES_BELONG:
                check_text(inner, f"{at}.{field.name}")
            else:
                check_wording(inner, f"{at}.{member_name(field.name, inner)}")


def _check_texts(texts: Sequence[LocalizedText], at: str) -> None:
    authentic = False
    for index, words in enumerate(texts):
        if not is_language(words.language):
            raise FieldInvalid(f"{at}[{index}].language", "must be a language tag, as in 'zh-Hans' (BCP 47)")
        if not words.text.strip():
            raise FieldInvalid(f"{at}[{index}].text", "must not be empty")
        if words.authentic and authentic:
            raise FieldInvalid(f"{at}[{index}].authentic", "only one text of a list can be authentic")
        authentic = authentic or words.authentic


def _check_instant(instant_ms: int, at: str, name: str) -> None:
    if not 0 <= instant_ms <= MAX_TIME_MS:
        raise FieldInvalid(f"{at}.{wire_name(name)}", "must lie in the years 1970 to 9999")


def member_name(name: str, value: object) -> str:
    """Return under what name a value stands on the wire: members of a oneof under that of their message."""
    return _MEMBER_NAMES.get(type(value), name)


def wire_name(name: str) -> str:
    """Return the protocol's name for an instant of the model: give_ms is give_time there."""
    stem = name.removesuffix("_ms")
    return stem if stem == "time" else f"{stem}_time"
