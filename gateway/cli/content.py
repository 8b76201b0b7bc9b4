"""Contents of cases for people and for --json: every field that is set, under its own name, in the protocol's order.

Keys of attachments are never shown: who holds one can open the file wherever it lies.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from gateway.clock import format_utc, to_datetime

if TYPE_CHECKING:
    from concord.v1.message_pb2 import Body
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

_NOT_CASES: Final = frozenset({"alert", "ping"})
_SECRET: Final = frozenset({"key"})
WITHHELD: Final = "(not shown)"
_HEADING: Final[dict[str, tuple[str, ...]]] = {
    "referral": ("case_type", "asks"),
    "decision": ("verdict",),
    "answer": ("outcome",),
    "update": ("event",),
    "recall": ("action",),
    "recall_confirmation": ("result",),
}
"""What says most about a content in few words and nothing about a person: lists are read over shoulders."""


def case_name(body: "Body") -> str:
    """Return the name of a case's content in the body; empty for alerts, pings and bodies without content."""
    name = body.WhichOneof("content")
    return "" if name is None or name in _NOT_CASES else str(name)


def heading(body: "Body") -> str:
    """Return what a content is, in one line without personal data."""
    name = case_name(body)
    if not name:
        return ""
    content = getattr(body, name)
    words: list[str] = []
    if name == "request":
        words = [_word(item, "measure_type") for item in content.measures]
    elif name == "operation":
        words = [str(content.WhichOneof("entry") or "")]
    for field in _HEADING.get(name, ()):
        value = getattr(content, field)
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, int):
            words.append(_word(content, field))
        else:
            words += [_enum_word(content.DESCRIPTOR.fields_by_name[field], item) for item in value]
    told = ", ".join(word.replace("_", " ") for word in words if word)
    return f"{name.replace('_', ' ')}: {told}" if told else name.replace("_", " ")


def content_data(message: "Message") -> dict[str, Any]:
    """Return a content as plain data: enumerations as words, instants as RFC 3339, bytes as hexadecimal."""
    return {
        field.name: [_datum(field, item) for item in value] if field.is_repeated else _datum(field, value)
        for field, value in _present(message)
    }


def content_lines(message: "Message", language: str, depth: int = 0) -> Iterator[tuple[int, str, str]]:
    """Yield depth, label and value of every field that is set; of texts the one in the language asked for."""
    for field, value in _present(message):
        label = field.name.replace("_", " ")
        if not field.is_repeated:
            yield from _lines(field, value, label, language, depth)
        elif field.message_type is not None and field.message_type.name == "LocalizedText":
            yield depth, label, _text(value, language)
        elif field.message_type is not None:
            for number, item in enumerate(value, 1):
                yield from _lines(field, item, f"{label} {number}", language, depth)
        else:
            yield depth, label, ", ".join(_shown(field, item) for item in value)


def _lines(
    field: "FieldDescriptor", value: Any, label: str, language: str, depth: int
) -> Iterator[tuple[int, str, str]]:
    if field.message_type is None or field.message_type.name == "Timestamp":
        yield depth, label, _shown(field, value)
        return
    yield depth, label, ""
    yield from content_lines(value, language, depth + 1)


def _present(message: "Message") -> Iterator[tuple["FieldDescriptor", Any]]:
    yield from message.ListFields()


def _text(texts: Any, language: str) -> str:
    for wanted in (language.lower(), language.partition("-")[0].lower(), "en"):
        for item in texts:
            if item.language.lower() == wanted or item.language.lower().startswith(wanted + "-"):
                return f"[{item.language}] {item.text}"
    return f"[{texts[0].language}] {texts[0].text}"


def _shown(field: "FieldDescriptor", value: Any) -> str:
    if field.enum_type is not None:
        return _enum_word(field, value).replace("_", " ")
    if field.message_type is not None:
        return format_utc(_instant_ms(value))
    if isinstance(value, bytes):
        return WITHHELD if field.name in _SECRET else value.hex()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _datum(field: "FieldDescriptor", value: Any) -> Any:
    if field.enum_type is not None:
        return _enum_word(field, value)
    if field.message_type is not None:
        if field.message_type.name == "Timestamp":
            return to_datetime(_instant_ms(value)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return content_data(value)
    if isinstance(value, bytes):
        return WITHHELD if field.name in _SECRET else value.hex()
    return value


def _instant_ms(time: Any) -> int:
    return int(time.seconds) * 1000 + int(time.nanos) // 1_000_000


def _word(message: Any, field: str) -> str:
    return _enum_word(message.DESCRIPTOR.fields_by_name[field], getattr(message, field))


def _enum_word(field: "FieldDescriptor", number: int) -> str:
    """Return an enumeration's word without the name of the enumeration; a number of a newer gateway stays a number."""
    names: dict[int, Any] = dict(field.enum_type.values_by_number) if field.enum_type is not None else {}
    found = names.get(number)
    if found is None:
        return str(number)
    if number == 0:
        return ""
    prefix = names[0].name.removesuffix("UNSPECIFIED")
    return str(found.name.removeprefix(prefix)).lower()
