"""Facts as JSON, for trying rules on them and for keeping what a decision was made from.

Read strictly from the types of gateway.policy.facts: an unknown key, an unknown word or a value of another type is
refused with its place. A fact that may be missing and is not there is missing; what cannot be said of the kind is
filled in.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Kind
from gateway.policy.facts import NOTHING_KNOWN, Facts, not_applicable

MAX_FACTS_BYTES: Final = 1 << 20
"""A manifest of two thousand persons."""
_MAX_ITEMS: Final = 10_000
_MAX_TEXT: Final = 160
_MAX_NUMBER: Final = 1_000_000
_NOBODY_YET: Final[Mapping[str, Any]] = {"drafters": frozenset(), "executors": frozenset(), "approvals": ()}


def decode_facts(data: bytes) -> Facts:
    """Return the facts of a JSON document.

    Raises:
        MessageTooLarge: More than MAX_FACTS_BYTES.
        MessageMalformed: Not a JSON object.
        FieldInvalid: A key or a value means nothing, or what no exchange is without is not there.
    """
    if len(data) > MAX_FACTS_BYTES:
        raise MessageTooLarge("a file of facts", len(data), MAX_FACTS_BYTES)
    try:
        table = json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise MessageMalformed(f"the facts are not JSON: {str(error)[:200]}") from None
    return facts_of(table)


def facts_of(table: object) -> Facts:
    """Return the facts of a parsed document.

    Raises:
        FieldInvalid: As decode_facts.
    """
    if not isinstance(table, dict):
        raise FieldInvalid("facts", "must be an object")
    kind = _value(Kind, table.get("kind"), "kind")
    known = {**NOTHING_KNOWN, **_NOBODY_YET, **not_applicable(kind)}
    found: Facts = _record(Facts, table, "", known)
    return found


def facts_as_json(facts: Facts) -> dict[str, Any]:
    """Return facts as plain values that decode_facts reads back to the same; what is missing is left out.

    Where leaving out would be read as something else, it is there as None.
    """
    filled_in = not_applicable(facts.kind)
    return {name: value for name, value in _plain(facts).items() if value is not None or name in filled_in}


def _plain(value: Any) -> Any:
    match value:
        case IntEnum():
            return value.name.lower()
        case PartnerId() | AuthorityId():
            return str(value)
        case frozenset():
            return sorted(_plain(item) for item in value)
        case tuple():
            return [_plain(item) for item in value]
        case _ if is_dataclass(value):
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _record(kind: Any, table: Mapping[str, Any], place: str, known: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    if unknown := sorted(map(str, table.keys() - hints.keys())):
        raise FieldInvalid(f"{place}{unknown[0][:_MAX_TEXT]}", "is not a fact")
    values: dict[str, Any] = {}
    for name, hint in hints.items():
        if name in table:
            values[name] = _value(hint, table[name], f"{place}{name}")
        elif name in known:
            values[name] = known[name]
        else:
            raise FieldInvalid(f"{place}{name}", "is missing")
    return kind(**values)


def _value(hint: Any, value: Any, place: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        inner = next(item for item in arguments if item is not NoneType)
        return None if value is None else _value(inner, value, place)
    if origin is Literal:
        return _word(value, arguments, place, lambda word: word)
    if origin in {tuple, frozenset}:
        if not isinstance(value, list) or len(value) > _MAX_ITEMS:
            raise FieldInvalid(place, f"must be a list of at most {_MAX_ITEMS}")
        return origin(_value(arguments[0], item, f"{place}[{number}]") for number, item in enumerate(value))
    if is_dataclass(hint) and hint not in {PartnerId, AuthorityId}:
        if not isinstance(value, dict):
            raise FieldInvalid(place, "must be an object")
        return _record(hint, value, f"{place}.", {})
    if hint is bool:
        if not isinstance(value, bool):
            raise FieldInvalid(place, "must be true or false")
        return value
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_NUMBER:
            raise FieldInvalid(place, f"must be a whole number, 0 to {_MAX_NUMBER}")
        return value
    if issubclass(hint, IntEnum):
        return _word(value, [item.name.lower() for item in hint], place, lambda word: hint[word.upper()])
    if not isinstance(value, str) or not value or len(value) > _MAX_TEXT:
        raise FieldInvalid(place, f"must be a text of 1 to {_MAX_TEXT} characters")
    return value if hint is str else hint.parse(value, place)


def _word(value: Any, words: Any, place: str, found: Callable[[Any], Any]) -> Any:
    if not isinstance(value, str) or value not in words:
        raise FieldInvalid(place, f"must be one of {', '.join(words)}")
    return found(value)
