"""Content of cases: proto to model and back by the shape of the model, every field both ways.

A class of the model and its message have the same fields under the same names, but for instants: `give_time` of the
message is `give_ms` of the model. That is checked when a mirror is made, at the start of the program, so that no
field can exist on one side only. What the model has as `X | None` is absent on the wire; enumerations have no zero in
the model, so that nothing unstated gets through. A union of classes is a oneof.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import FieldInvalid
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.rpc.convert.field import authority_from_text, partner_from_text, set_time, time_from_proto

M = TypeVar("M")
P = TypeVar("P", bound=Message)
_In = Callable[[Any, str], Any]
_Out = Callable[[Any], Any]
_Reader = Callable[[Message, str], Any]
_Writer = Callable[[Message, Any], None]
_SCALARS = (str, bytes, bool, int, float)


class Mirror(Generic[M, P]):
    """Converts between one class of the model and its message, and everything inside."""

    def __init__(self, model: type[M], message: type[P]) -> None:
        """Look at both shapes.

        Raises:
            TypeError: They differ.
        """
        self._model = model
        self._message = message
        descriptor: Any = message.DESCRIPTOR
        self._fields = _plan(model, descriptor)

    def from_proto(self, message: P, at: str) -> M:
        """Return the value of the model; `at` is the path of the message, for errors.

        Raises:
            FieldInvalid: Something that must be stated is not, or has a number that this version does not know.
        """
        return self._model(**{name: read(message, at) for name, read, _ in self._fields})

    def to_proto(self, value: M) -> P:
        """Return the value as it travels."""
        message = self._message()
        for name, _, write in self._fields:
            write(message, getattr(value, name))
        return message


@cache
def _mirror(model: Any, descriptor: Descriptor) -> Mirror[Any, Any]:
    return Mirror(model, message_factory.GetMessageClass(descriptor))


def _plan(model: type[Any], descriptor: Descriptor) -> list[tuple[str, _Reader, _Writer]]:
    hints = get_type_hints(model)
    plan: list[tuple[str, _Reader, _Writer]] = []
    met: set[str] = set()
    for field in fields(model):
        hint = hints[field.name]
        if field.name in descriptor.oneofs_by_name:
            members = {item.name: item for item in descriptor.oneofs_by_name[field.name].fields}
            met |= set(members)
            plan.append((field.name, *_oneof(field.name, get_args(hint), members)))
            continue
        name = _wire_name(field.name, descriptor)
        met.add(name)
        plan.append((field.name, *_one(hint, descriptor.fields_by_name[name])))
    missing = {item.name for item in descriptor.fields} - met
    if missing:
        raise TypeError(f"{model.__name__} lacks {', '.join(sorted(missing))} of {descriptor.full_name}")
    return plan


def _wire_name(name: str, descriptor: Descriptor) -> str:
    stem = name.removesuffix("_ms")
    for candidate in (name,) if stem == name else (f"{stem}_time", stem):
        if candidate in descriptor.fields_by_name:
            return candidate
    raise TypeError(f"{descriptor.full_name} has no field for {name}")


def _oneof(name: str, models: tuple[Any, ...], members: dict[str, FieldDescriptor]) -> tuple[_Reader, _Writer]:
    if len(models) != len(members):
        raise TypeError(f"{name} has {len(models)} classes and {len(members)} messages")
    mirrors = {
        wire: _mirror(model, item.message_type) for model, (wire, item) in zip(models, members.items(), strict=True)
    }
    wires = dict(zip(models, members, strict=True))

    def read(message: Message, at: str) -> Any:
        wire = message.WhichOneof(name)
        if wire is None:
            raise FieldInvalid(f"{at}.{name}", "must be given")
        return mirrors[wire].from_proto(getattr(message, wire), f"{at}.{wire}")

    def write(message: Message, value: Any) -> None:
        wire = wires[type(value)]
        getattr(message, wire).CopyFrom(mirrors[wire].to_proto(value))

    return read, write


def _one(hint: Any, field: FieldDescriptor) -> tuple[_Reader, _Writer]:
    name = field.name
    repeated = get_origin(hint) is tuple
    if repeated is not field.is_repeated:
        raise TypeError(f"{field.full_name} is repeated on one side only")
    optional = isinstance(hint, UnionType) and NoneType in get_args(hint)
    plain = get_args(hint)[0] if repeated or optional else hint
    into, out = _item(plain, field)
    if repeated:
        return _repeated(name, into, out)
    if field.message_type is not None:
        return _single(name, into, out, optional=optional)
    if optional and not field.has_presence:
        # Empty stands for absent where nothing legal is empty: ids, digests, enumerations.
        return _unless_empty(name, into, out)
    if optional is not field.has_presence:
        raise TypeError(f"{field.full_name} can be absent on one side only")
    if optional:
        return _if_present(name, into, out)

    def read(message: Message, at: str) -> Any:
        return into(getattr(message, name), f"{at}.{name}")

    def write(message: Message, value: Any) -> None:
        setattr(message, name, out(value))

    return read, write


def _repeated(name: str, into: _In, out: _Out) -> tuple[_Reader, _Writer]:
    def read(message: Message, at: str) -> Any:
        return tuple([into(item, f"{at}.{name}[{index}]") for index, item in enumerate(getattr(message, name))])

    def write(message: Message, value: Any) -> None:
        getattr(message, name).extend([out(item) for item in value])

    return read, write


def _single(name: str, into: _In, out: _Out, *, optional: bool) -> tuple[_Reader, _Writer]:
    def read(message: Message, at: str) -> Any:
        if message.HasField(name):
            return into(getattr(message, name), f"{at}.{name}")
        if optional:
            return None
        raise FieldInvalid(f"{at}.{name}", "must be given")

    def write(message: Message, value: Any) -> None:
        if value is not None:
            getattr(message, name).CopyFrom(out(value))

    return read, write


def _unless_empty(name: str, into: _In, out: _Out) -> tuple[_Reader, _Writer]:
    def read(message: Message, at: str) -> Any:
        value = getattr(message, name)
        return into(value, f"{at}.{name}") if value else None

    def write(message: Message, value: Any) -> None:
        if value is not None:
            setattr(message, name, out(value))

    return read, write


def _if_present(name: str, into: _In, out: _Out) -> tuple[_Reader, _Writer]:
    def read(message: Message, at: str) -> Any:
        return into(getattr(message, name), f"{at}.{name}") if message.HasField(name) else None

    def write(message: Message, value: Any) -> None:
        if value is not None:
            setattr(message, name, out(value))

    return read, write


def _item(plain: Any, field: FieldDescriptor) -> tuple[_In, _Out]:
    """Return how one value is read and written."""
    if field.message_type is not None and field.message_type.full_name == Timestamp.DESCRIPTOR.full_name:
        return time_from_proto, _timestamp
    if is_dataclass(plain) and field.message_type is not None:
        shape: Any = plain
        mirror = _mirror(shape, field.message_type)
        return mirror.from_proto, mirror.to_proto
    if plain is MessageId:
        return _message_id, lambda value: value.raw
    if plain is PartnerId:
        return partner_from_text, lambda value: value.code
    if plain is AuthorityId:
        return authority_from_text, lambda value: value.name
    if isinstance(plain, type) and issubclass(plain, IntEnum):
        return _numbered(plain), lambda value: value.value
    if plain in _SCALARS:
        return _same, _as_is
    raise TypeError(f"{field.full_name}: no way to carry {plain}")


def _same(value: Any, _: str) -> Any:
    return value


def _as_is(value: Any) -> Any:
    return value


def _timestamp(instant_ms: int) -> Timestamp:
    time = Timestamp()
    set_time(time, instant_ms)
    return time


def _message_id(raw: bytes, at: str) -> MessageId:
    if len(raw) != 16:
        raise FieldInvalid(at, "must be 16 bytes")
    return MessageId(raw)


def _numbered(numbers: type[IntEnum]) -> _In:
    known = {item.value: item for item in numbers}

    def read(number: int, at: str) -> IntEnum:
        found = known.get(number)
        if found is None:
            problem = "must be stated" if number == 0 else "has a value that this version does not know"
            raise FieldInvalid(at, problem)
        return found

    return read
