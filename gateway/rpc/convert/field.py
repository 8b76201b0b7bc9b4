"""Fields of the wire: parsing, declared rules, instants, ids. Unknown is refused.

Size limits come before parsing and belong to the caller, who knows which limit applies.
"""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, TypeVar

import protovalidate
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import FieldInvalid, MessageMalformed
from gateway.ids import AuthorityId, PartnerId

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=Enum)

_MAX_SECONDS: Final = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second google.protobuf.Timestamp may carry."""
_NANOS: Final = 1_000_000_000

_validator = protovalidate.Validator()


def parse(message_type: type[M], data: bytes, what: str, max_bytes: int) -> M:
    """Return the message in data.

    Raises:
        MessageMalformed: Too long, or not an encoding of such a message.
    """
    if len(data) > max_bytes:
        raise MessageMalformed(f"{what} has {len(data)} bytes; at most {max_bytes} are taken")
    try:
        return message_type.FromString(data)
    except DecodeError:
        raise MessageMalformed(f"{what} could not be read") from None


def parse_exactly(message_type: type[M], data: bytes, what: str, max_bytes: int) -> M:
    """Return the message in data, which keeps every declared rule and has no field unknown here.

    An unknown field would be sealed and delivered without any rule having looked at it.

    Raises:
        MessageMalformed: Too long, not such a message, or with a field that this version does not know.
        FieldInvalid: A declared rule is broken.
    """
    message = parse_known(message_type, data, what, max_bytes)
    check_rules(message, what)
    return message


def parse_known(message_type: type[M], data: bytes, what: str, max_bytes: int) -> M:
    """Return the message in data, which has no field unknown here; its rules are for the caller to check.

    Raises:
        MessageMalformed: Too long, not such a message, or with a field that this version does not know.
    """
    message = parse(message_type, data, what, max_bytes)
    check_known(message, what)
    return message


def check_known(message: Message, what: str) -> None:
    """Refuse a message that has, at any depth, a field that this version does not know. Removes such fields.

    Raises:
        MessageMalformed: It has one.
    """
    size_bytes = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size_bytes:
        raise MessageMalformed(f"{what} has a field that this version does not know")


def check_rules(message: Message, prefix: str = "") -> None:
    """Check the rules that the .proto files declare, before anything looks at the content.

    Raises:
        FieldInvalid: The first rule broken, with the path of its field below prefix.
    """
    violations = _validator.collect_violations(message, fail_fast=True)
    if not violations:
        return
    violation = violations[0].proto
    path = prefix
    for element in violation.field.elements if violation.field else ():
        path = f"{path}.{element.field_name}" if path else element.field_name
        if element.subscript is not None and element.subscript.field == "index":
            path += f"[{element.subscript.value}]"
    raise FieldInvalid(path, violation.message or "breaks a rule")


def time_from_proto(time: Timestamp, field: str) -> int:
    """Return milliseconds since 1970; what is finer than a millisecond is cut off.

    Raises:
        FieldInvalid: Before 1970, after 9999, or with impossible nanoseconds.
    """
    seconds, nanos = time.seconds, time.nanos
    if not (0 <= seconds <= _MAX_SECONDS and 0 <= nanos < _NANOS):
        raise FieldInvalid(field, "must lie between the years 1970 and 9999")
    return seconds * 1000 + nanos // 1_000_000


def required_time(message: Message, name: str, field: str) -> int:
    """Return the milliseconds of a timestamp that must be there.

    Raises:
        FieldInvalid: It is absent, or as time_from_proto.
    """
    if not message.HasField(name):
        raise FieldInvalid(field, "is required")
    return time_from_proto(getattr(message, name), field)


def set_time(time: Timestamp, instant_ms: int) -> None:
    """Write milliseconds since 1970 into a timestamp."""
    # 1970 exactly would leave an absent field: setting seconds marks it as present even when zero.
    time.seconds, rest_ms = divmod(instant_ms, 1000)
    time.nanos = rest_ms * 1_000_000


@lru_cache(maxsize=1024)
def partner_from_text(text: str, field: str) -> PartnerId:
    """Return the partner id; remembered, because there are few and each frame names them again."""
    return PartnerId.parse(text, field)


@lru_cache(maxsize=1024)
def authority_from_text(text: str, field: str) -> AuthorityId:
    """Return the authority id; remembered like partners."""
    return AuthorityId.parse(text, field)


def exactly(data: bytes, length: int, field: str) -> bytes:
    """Return data that has one exact length.

    Raises:
        FieldInvalid: Another length.
    """
    if len(data) != length:
        raise FieldInvalid(field, f"must be {length} bytes")
    return data


def member(known: Mapping[int, E], number: int, field: str) -> E:
    """Return the member of an enumeration that a number on the wire stands for.

    Raises:
        FieldInvalid: None is known under this number.
    """
    found = known.get(number)
    if found is None:
        raise FieldInvalid(field, "must be one of the defined values, and not unspecified")
    return found


def sized(data: bytes, length: int, field: str) -> bytes:
    """Return data that is empty or has one exact length.

    Raises:
        FieldInvalid: Another length.
    """
    if data and len(data) != length:
        raise FieldInvalid(field, f"must be empty or {length} bytes")
    return data
