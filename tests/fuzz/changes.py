"""What fuzz tests do to bytes and to JSON, and what they take as an answer: a value, or an error of the catalogue."""

import base64
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from gateway.errors import GatewayError

FUZZ = partial(settings, deadline=None, derandomize=True)
OTHERS = (0x00, 0x0A, 0x22, 0x30, 0x80, 0xFF)


def neighbours(data: bytes, places: Iterable[int] | None = None) -> Iterator[bytes]:
    """Yield the bytes with one of them flipped three ways, dropped, doubled, or cut there; at every place or some."""
    for at in range(len(data)) if places is None else places:
        head, tail = data[:at], data[at + 1 :]
        for flip in (0x01, 0x20, 0x80):
            yield head + bytes([data[at] ^ flip]) + tail
        yield head + tail
        yield head + data[at : at + 1] + data[at:]
        yield head


def flips(data: bytes, places: Iterable[int] | None = None) -> Iterator[bytes]:
    """Yield the bytes with one of them changed once, by another bit at each place."""
    for at in range(len(data)) if places is None else places:
        yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def sprinkled(data: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes with up to five pieces of them replaced."""
    piece = st.one_of(st.binary(max_size=8), st.sampled_from(OTHERS).map(lambda byte: bytes([byte])))
    change = st.tuples(st.integers(0, len(data)), st.integers(0, 12), piece)

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        out = bytearray(data)
        for start, length, put in changes:
            out[start : start + length] = put
        return bytes(out)

    return st.lists(change, min_size=1, max_size=5).map(apply)


def taken(parse: Callable[[Any], Any], data: Any) -> bool:
    """Return whether it was taken; anything but a value or an error of the catalogue fails."""
    try:
        parse(data)
    except GatewayError:
        return False
    return True


async def taken_async(parse: Callable[[Any], Awaitable[Any]], data: Any) -> bool:
    """Do the same with what must be awaited."""
    try:
        await parse(data)
    except GatewayError:
        return False
    return True


WILD_NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, float("inf"), float("-inf"), float("nan"))
WILD_TEXTS = ("", "\x00", "\ud800", "\u202e", "a" * 5000, "=", "AAAA", "-1", "1e9", "[", "é")
WILD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(WILD_NUMBERS),
        st.integers(),
        st.sampled_from(WILD_TEXTS),
        st.text(max_size=20),
        st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(("kid", "kty", "name", "", "\ud800")), inner, max_size=2),
    ),
    max_leaves=6,
)
"""Values of JSON that no writer of ours makes."""


def places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places_of(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with something else at a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


def without(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a JSON value without what is at a path."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(copy[path[0]], path[1:])
    return copy
