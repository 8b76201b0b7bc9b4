"""Bodies of cases in files: JSON or TOML with the protocol's own field names, as `inbox show --json` prints them.

Enumerations are written as words, instants as RFC 3339, bytes as hexadecimal. What is not known to the protocol is
refused with its place, so that no slip of a key leaves out what somebody meant to say.
"""

import base64
import json
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.failure import usage
from gateway.errors import FieldInvalid

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from gateway.model.message import CaseContent

MAX_BYTES: Final = 4_000_000
"""A body has at most 2 MB, and a file is wordier."""
_MAX_DEPTH: Final = 32


def read_content(path: Path, name: str) -> "CaseContent":
    """Return the content in a file.

    Args:
        path: JSON or TOML; - reads stdin.
        name: As in Body.content, for example "referral".

    Raises:
        Failure: The file cannot be read or is neither.
        FieldInvalid: A field is unknown or breaks a rule.
    """
    from gateway.cli.connectors import read_input

    data = read_input(path)
    if len(data) > MAX_BYTES:
        raise usage(f"{path} is larger than {MAX_BYTES} bytes")
    return content_of(parse(data, path), name)


def parse(data: bytes, path: Path) -> dict[str, Any]:
    """Return the table in a file.

    Raises:
        Failure: It is neither JSON nor TOML.
    """
    try:
        text = data.decode("utf-8-sig")
        table = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise usage(
            f"{path} is neither JSON nor TOML",
            why=str(error)[:200],
            advice="print a file to begin with: `concord send referral --template`",
            reason="MESSAGE_MALFORMED",
        ) from None
    if not isinstance(table, dict):
        raise usage(f"{path} must hold one object", reason="MESSAGE_MALFORMED")
    return table


def content_of(table: Mapping[str, Any], name: str) -> "CaseContent":
    """Return the content that a table of the protocol's fields says.

    Raises:
        FieldInvalid: A field is unknown or breaks a rule.
    """
    from concord.v1 import message_pb2
    from google.protobuf import json_format

    from gateway.rpc.convert.case import case_from_proto
    from gateway.rpc.convert.field import check_rules

    inner = table.get(name, table) if len(table) == 1 else table
    if not isinstance(inner, dict):
        raise FieldInvalid(name, "must be an object")
    body = message_pb2.Body()
    message: Message = getattr(body, name)
    message.SetInParent()
    try:
        json_format.ParseDict(_table(message.DESCRIPTOR, inner, name, 0), message)
    except json_format.ParseError as error:
        raise FieldInvalid(name, str(error)[:200]) from None
    check_rules(message, f"body.{name}")
    return case_from_proto(name, message, f"body.{name}")


def content_table(content: "CaseContent") -> dict[str, Any]:
    """Return a content as a file has it."""
    from gateway.cli.content import content_data
    from gateway.rpc.convert.case import case_to_proto

    _, message = case_to_proto(content)
    return content_data(message)


def _table(descriptor: Any, table: Mapping[str, Any], at: str, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise FieldInvalid(at, "is nested too deep")
    fields: dict[str, FieldDescriptor] = dict(descriptor.fields_by_name)
    found = {}
    for key, value in table.items():
        here = f"{at}.{key}"
        field = fields.get(key)
        if field is None:
            raise FieldInvalid(
                here[:160], f"is no field of {descriptor.name}; there are {', '.join(sorted(fields))[:300]}"
            )
        if field.is_repeated:
            if not isinstance(value, list):
                raise FieldInvalid(here, "must be a list")
            found[key] = [_value(field, item, f"{here}[{place}]", depth) for place, item in enumerate(value)]
        else:
            found[key] = _value(field, value, here, depth)
    return found


def _value(field: "FieldDescriptor", value: Any, at: str, depth: int) -> Any:
    if field.message_type is not None and field.message_type.name == "Timestamp":
        return _instant(value, at)
    if field.message_type is not None:
        if not isinstance(value, dict):
            raise FieldInvalid(at, "must be an object")
        return _table(field.message_type, value, at, depth + 1)
    if field.enum_type is not None:
        return _enum(field, value, at)
    if field.type == field.TYPE_BYTES:
        try:
            return base64.b64encode(bytes.fromhex(value)).decode()
        except (TypeError, ValueError):
            raise FieldInvalid(at, "must be bytes in hexadecimal") from None
    if isinstance(value, (dict, list, datetime)) or value is None:
        raise FieldInvalid(at, "must be one value")
    return value


def _instant(value: Any, at: str) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise FieldInvalid(at, "must be an instant as in 2026-11-23T12:00:00Z") from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise FieldInvalid(at, "must be an instant with its offset from UTC, as in 2026-11-23T12:00:00Z")
    return value.isoformat()


def _enum(field: "FieldDescriptor", value: Any, at: str) -> Any:
    names: dict[int, Any] = dict(field.enum_type.values_by_number) if field.enum_type is not None else {}
    prefix = names[0].name.removesuffix("UNSPECIFIED")
    words = {item.name.removeprefix(prefix).lower(): item.name for number, item in names.items() if number}
    found = words.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise FieldInvalid(at, f"must be one of {', '.join(words)}")
    return found
