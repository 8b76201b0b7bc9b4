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
from gateway.ids import MessageId, PartnerId
from gateway.rpc.convert.field import partner_from_text, set_time, time_from_proto

M = TypeVar("M")
P = TypeVar("P", bound=Message)
_Into = Callable[[Any], Any]
_Out = Callable[[Any], Any]
_Reader = Callable[[Any, str], Any]
"""Reads a field of a message at a path; paths of what is inside are made only when something is refused."""
_Writer = Callable[[Any, Any], None]
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
        self.fill(message, value)
        return message

    def fill(self, message: P, value: M) -> None:
        """Write the value into an empty message."""
        for name, _, write in self._fields:
            write(message, getattr(value, name))


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

    def read(message: Any, at: str) -> Any:
        wire = message.WhichOneof(name)
        if wire is None:
            raise FieldInvalid(f"{at}.{name}", "must be given")
        return mirrors[wire].from_proto(getattr(message, wire), f"{at}.{wire}")

    def write(message: Any, value: Any) -> None:
        wire = wires[type(value)]
        inner = getattr(message, wire)
        inner.SetInParent()
        mirrors[wire].fill(inner, value)

    return read, write


def _one(hint: Any, field: FieldDescriptor) -> tuple[_Reader, _Writer]:
    repeated = get_origin(hint) is tuple
    if repeated is not field.is_repeated:
        raise TypeError(f"{field.full_name} is repeated on one side only")
    optional = isinstance(hint, UnionType) and NoneType in get_args(hint)
    plain = get_args(hint)[0] if repeated or optional else hint
    if field.message_type is None:
        into, out = _leaf(plain, field)
        if repeated:
            return _leaves(field.name, into, out)
        # Empty stands for absent where nothing legal is empty: ids, digests, enumerations.
        if not optional and field.has_presence:
            raise TypeError(f"{field.full_name} can be absent on the wire only")
        return _single_leaf(field.name, into, out, optional=optional, presence=field.has_presence)
    if field.message_type.full_name == Timestamp.DESCRIPTOR.full_name:
        if repeated or plain is not int:
            raise TypeError(f"{field.full_name} is an instant on the wire only")
        return _instant(field.name, optional=optional)
    if not is_dataclass(plain):
        raise TypeError(f"{field.full_name} is a message on the wire only")
    shape: Any = plain
    mirror = _mirror(shape, field.message_type)
    return _messages(field.name, mirror) if repeated else _message(field.name, mirror, optional=optional)


def _messages(name: str, mirror: Mirror[Any, Any]) -> tuple[_Reader, _Writer]:
    def read(message: Any, at: str) -> Any:
        found = getattr(message, name)
        return tuple([mirror.from_proto(item, f"{at}.{name}[{index}]") for index, item in enumerate(found)])

    def write(message: Any, value: Any) -> None:
        found = getattr(message, name)
        for item in value:
            mirror.fill(found.add(), item)

    return read, write


def _message(name: str, mirror: Mirror[Any, Any], *, optional: bool) -> tuple[_Reader, _Writer]:
    def read(message: Any, at: str) -> Any:
        if message.HasField(name):
            return mirror.from_proto(getattr(message, name), f"{at}.{name}")
        if optional:
            return None
        raise FieldInvalid(f"{at}.{name}", "must be given")

    def write(message: Any, value: Any) -> None:
        if value is not None:
            inner = getattr(message, name)
            inner.SetInParent()
            mirror.fill(inner, value)

    return read, write


def _instant(name: str, *, optional: bool) -> tuple[_Reader, _Writer]:
    def read(message: Any, at: str) -> Any:
        if message.HasField(name):
            return time_from_proto(getattr(message, name), f"{at}.{name}")
        if optional:
            return None
        raise FieldInvalid(f"{at}.{name}", "must be given")

    def write(message: Any, value: Any) -> None:
        if value is not None:
            set_time(getattr(message, name), value)

    return read, write


def _leaves(name: str, into: _Into, out: _Out) -> tuple[_Reader, _Writer]:
    def read(message: Any, at: str) -> Any:
        taken: list[Any] = []
        try:
            for item in getattr(message, name):
                taken.append(into(item))  # noqa: PERF401 its length says which was refused
        except FieldInvalid as refused:
            raise FieldInvalid(f"{at}.{name}[{len(taken)}]", refused.problem) from None
        return tuple(taken)

    def write(message: Any, value: Any) -> None:
        getattr(message, name).extend([out(item) for item in value])

    return read, write


def _single_leaf(name: str, into: _Into, out: _Out, *, optional: bool, presence: bool) -> tuple[_Reader, _Writer]:
    def read(message: Any, at: str) -> Any:
        value = getattr(message, name)
        if optional and not (message.HasField(name) if presence else value):
            return None
        try:
            return into(value)
        except FieldInvalid as refused:
            raise FieldInvalid(f"{at}.{name}", refused.problem) from None

    def write(message: Any, value: Any) -> None:
        if value is not None:
            setattr(message, name, out(value))

    return read, write


def _leaf(plain: Any, field: FieldDescriptor) -> tuple[_Into, _Out]:
    """Return how one value that is no message is read and written; the path is added where it is known."""
    if plain is MessageId:
        return _message_id, lambda value: value.raw
    if plain is PartnerId:
        return lambda text: partner_from_text(text, ""), lambda value: value.code
    if isinstance(plain, type) and issubclass(plain, IntEnum):
        return _numbered(plain), lambda value: value.value
    if plain in _SCALARS:
        return _same, _same
    raise TypeError(f"{field.full_name}: no way to carry {plain}")


def _same(value: Any) -> Any:
    return value


def _message_id(raw: bytes) -> MessageId:
    if len(raw) != 16:
        raise FieldInvalid("", "must be 16 bytes")
    return MessageId(raw)


def _numbered(numbers: type[IntEnum]) -> _Into:
    known = {item.value: item for item in numbers}

    def read(number: int) -> IntEnum:
        found = known.get(number)
        if found is None:
            problem = "must be stated" if number == 0 else "has a value that this version does not know"
            raise FieldInvalid("", problem)
        return found

    return read
