"""What holds for every text, instant and number of a case, wherever it stands.

Everything is gathered in one walk and looked at once, as a referral may name hundreds of people; paths are made only
when something is wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from math import isfinite
from types import NoneType
from typing import Any, Final, get_args, get_origin, get_type_hints

from gateway.errors import FieldInvalid
from gateway.model.header import MAX_TIME_MS
from gateway.model.measure import MEASURE_NAMES
from gateway.model.operation import ENTRY_NAMES
from gateway.model.text import FORBIDDEN_IN_TEXT, LocalizedText, check_text, is_language
from gateway.model.travel_document import has_zone_line

_MEMBER_NAMES: Final = MEASURE_NAMES | ENTRY_NAMES
_ZONE: Final = "mrz"
HAPPENED: Final = frozenset(
    {
        "time_ms", "give_ms", "withdraw_ms", "declare_ms", "detain_ms", "rights_told_ms", "first_call_ms",
        "last_call_ms", "done_ms", "delete_ms",
    }
)  # fmt: skip
"""Instants of what is told as having happened."""


class _Shape(Enum):
    """What a field of the model is to the walk."""

    TEXT = 1
    TEXTS = 2
    WORDS = 3
    ZONE = 4
    INSTANT = 5
    PAST = 6
    NUMBER = 7
    PART = 8
    PARTS = 9


@dataclass(slots=True)
class Gathered:
    """What stands in a content."""

    texts: list[str] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    words: list[tuple[LocalizedText, ...]] = field(default_factory=list)
    instants: list[int] = field(default_factory=list)
    past: list[int] = field(default_factory=list)
    """Of HAPPENED."""
    numbers: list[float] = field(default_factory=list)


def check_wording(content: object, at: str) -> None:
    """Check a content and everything inside.

    Raises:
        FieldInvalid: A text with a forbidden character, in no language, or with the machine-readable zone of a travel
            document outside a travel document; an instant outside 1970 to 9999; a number that is none.
    """
    if not _is_well(gather(content)):
        _find(content, at)


def gather(content: object) -> Gathered:
    """Return what stands in a content, in no order that matters."""
    gathered = Gathered()
    _gather(content, gathered)
    return gathered


def check_past(content: object, at: str, latest_ms: int) -> None:
    """Refuse as having happened what lies after an instant.

    Raises:
        FieldInvalid: Something does.
    """
    if max(gather(content).past, default=0) > latest_ms:
        _find_future(content, at, latest_ms)


def member_name(name: str, value: object) -> str:
    """Return under what name a value stands on the wire: members of a oneof under that of their message."""
    return _MEMBER_NAMES.get(type(value), name)


def wire_name(name: str) -> str:
    """Return the protocol's name for an instant of the model: give_ms is give_time there."""
    stem = name.removesuffix("_ms")
    return stem if stem == "time" else f"{stem}_time"


@cache
def _plan(model: Any) -> tuple[tuple[str, _Shape], ...]:
    hints = get_type_hints(model)
    found = ((item.name, _shape(item.name, hints[item.name])) for item in fields(model))
    return tuple((name, shape) for name, shape in found if shape is not None)


def _shape(name: str, hint: Any) -> _Shape | None:
    arguments = [item for item in get_args(hint) if item not in {NoneType, Ellipsis}]
    many = get_origin(hint) is tuple
    plain = arguments[0] if arguments else hint
    if plain is str:
        return _Shape.ZONE if name == _ZONE else _Shape.TEXTS if many else _Shape.TEXT
    if plain is LocalizedText:
        return _Shape.WORDS
    if plain is float:
        return _Shape.NUMBER
    if plain is int and name.endswith("_ms"):
        return _Shape.PAST if name in HAPPENED else _Shape.INSTANT
    if is_dataclass(plain):
        return _Shape.PARTS if many else _Shape.PART
    return None


def _gather(value: object, gathered: Gathered) -> None:
    model: Any = type(value)
    for name, shape in _plan(model):
        inner = getattr(value, name)
        if inner is None or inner == ():
            continue
        match shape:
            case _Shape.TEXT:
                gathered.texts.append(inner)
            case _Shape.PART:
                _gather(inner, gathered)
            case _Shape.PARTS:
                for item in inner:
                    _gather(item, gathered)
            case _Shape.TEXTS:
                gathered.texts += inner
            case _Shape.WORDS:
                gathered.words.append(inner)
                gathered.texts += [text for item in inner for text in (item.language, item.text)]
            case _Shape.ZONE:
                gathered.zones.append(inner)
            case _Shape.INSTANT:
                gathered.instants.append(inner)
            case _Shape.PAST:
                gathered.past.append(inner)
            case _Shape.NUMBER:
                gathered.numbers.append(inner)


def _is_well(gathered: Gathered) -> bool:
    joined = "\n".join((*gathered.texts, *gathered.zones))
    clean = joined.replace("\n", " ").isprintable() or not FORBIDDEN_IN_TEXT.search(joined)
    zoned = "<<" in joined and any(map(has_zone_line, gathered.texts))
    return (
        clean
        and not zoned
        and all(0 <= instant <= MAX_TIME_MS for instant in (*gathered.instants, *gathered.past))
        and all(map(isfinite, gathered.numbers))
        and all(map(_are_words_well, gathered.words))
    )


def _are_words_well(texts: Iterable[LocalizedText]) -> bool:
    authentic = 0
    for item in texts:
        authentic += item.authentic
        if authentic > 1 or not is_language(item.language) or not item.text.strip():
            return False
    return True


def _find(value: object, at: str) -> None:
    """Walk again with paths, to name what is wrong."""
    if isinstance(value, str):
        check_text(value, at)
        if has_zone_line(value):
            raise FieldInvalid(at, "has a machine-readable zone; it belongs to a person's documents")
    elif isinstance(value, float):
        if not isfinite(value):
            raise FieldInvalid(at, "must be a finite number")
    elif isinstance(value, tuple):
        if value and isinstance(value[0], LocalizedText):
            _find_in_words(value, at)
        for index, item in enumerate(value):
            _find(item, f"{at}[{index}]")
    elif is_dataclass(value):
        for item in fields(value):
            inner = getattr(value, item.name)
            if inner is None:
                continue
            if item.name.endswith("_ms"):
                if not 0 <= inner <= MAX_TIME_MS:
                    raise FieldInvalid(f"{at}.{wire_name(item.name)}", "must lie in the years 1970 to 9999")
            elif item.name == _ZONE:
                check_text(inner, f"{at}.{item.name}")
            else:
                _find(inner, f"{at}.{member_name(item.name, inner)}")


def _find_in_words(texts: Sequence[LocalizedText], at: str) -> None:
    authentic = False
    for index, words in enumerate(texts):
        if not is_language(words.language):
            # Named for what is worst about it.
            check_text(words.language, f"{at}[{index}].language")
            raise FieldInvalid(f"{at}[{index}].language", "must be a language tag, as in 'zh-Hans' (BCP 47)")
        if not words.text.strip():
            raise FieldInvalid(f"{at}[{index}].text", "must not be empty")
        if words.authentic and authentic:
            raise FieldInvalid(f"{at}[{index}].authentic", "only one text of a list can be authentic")
        authentic = authentic or words.authentic


def _find_future(value: object, at: str, latest_ms: int) -> None:
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            _find_future(item, f"{at}[{index}]", latest_ms)
    elif is_dataclass(value):
        for item in fields(value):
            inner = getattr(value, item.name)
            if item.name not in HAPPENED:
                _find_future(inner, f"{at}.{member_name(item.name, inner)}", latest_ms)
            elif inner is not None and inner > latest_ms:
                raise FieldInvalid(f"{at}.{wire_name(item.name)}", "lies in the future")
