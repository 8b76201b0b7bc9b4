"""The tree in tiles of 256 hashes (C2SP tlog-tiles): where a hash lies, how tiles grow, how they are named and read.

A tile of level 0 holds leaf hashes, one of level L the roots of whole tiles of level L - 1. A tile that is full never
changes again; the last one of each level grows. Whoever adds leaves needs those last ones only.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gateway.errors import LogProofInvalid
from gateway.translog.merkle import EMPTY_ROOT, HASH_BYTES, TILE_HASHES, node_hash

TILE_BYTES: Final = TILE_HASHES * HASH_BYTES
MAX_ENTRY_BYTES: Final = 65_535
"""An entry's length in a bundle is 16 bits."""
_PATH: Final = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")

Place = tuple[int, int]
"""level, number"""


class Grown(NamedTuple):
    """A tree after leaves were added."""

    size: int
    root: bytes
    tiles: dict[Place, bytes]
    """Those that changed."""


def edge(size: int) -> list[Place]:
    """Return the unfinished tiles of a tree of a size, one a level at most."""
    places = []
    level = 0
    while size:
        if size % TILE_HASHES:
            places.append((level, size // TILE_HASHES))
        size //= TILE_HASHES
        level += 1
    return places


def append(size: int, unfinished: Mapping[Place, bytes], hashes: Sequence[bytes]) -> Grown:
    """Add leaf hashes to a tree.

    Args:
        unfinished: The tiles that `edge(size)` names.

    Raises:
        ValueError: A tile is missing or has another width than the size says.
    """
    for level, number in edge(size):
        width = (size >> 8 * level) % TILE_HASHES
        if len(unfinished.get((level, number), b"")) != width * HASH_BYTES:
            raise ValueError(f"tile {level}/{number} does not fit a tree of {size} leaves")
    tiles = dict(unfinished)
    changed: dict[Place, bytes] = {}
    start, new, level = size, list(hashes), 0
    while new:
        number = start // TILE_HASHES
        row = tiles.get((level, number), b"") + b"".join(new)
        above = []
        for at in range(0, len(row), TILE_BYTES):
            tile = row[at : at + TILE_BYTES]
            tiles[level, number] = changed[level, number] = tile
            if len(tile) == TILE_BYTES:
                above.append(_fold(tile))
            number += 1
        start, new, level = start // TILE_HASHES, above, level + 1
    total = size + len(hashes)
    return Grown(total, _root(total, tiles), changed)


def _fold(row: bytes) -> bytes:
    """Return the root over a row of a power of two of hashes."""
    hashes = [row[at : at + HASH_BYTES] for at in range(0, len(row), HASH_BYTES)]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _root(size: int, tiles: Mapping[Place, bytes]) -> bytes:
    """Return the root from the right edge: each set bit of the size is a perfect subtree."""
    root = b""
    level = 0
    while size:
        width = size % TILE_HASHES
        row = tiles[level, size // TILE_HASHES] if width else b""
        end = width
        for bit in range(8):
            count = 1 << bit
            if width & count:
                part = _fold(row[(end - count) * HASH_BYTES : end * HASH_BYTES])
                root = node_hash(part, root) if root else part
                end -= count
        size //= TILE_HASHES
        level += 1
    return root or EMPTY_ROOT


# --- static files ----------------------------------------------------------------------------------------------


def tile_path(level: int | str, number: int, width: int) -> str:
    """Return where a tile or, for the level "entries", a bundle lies in a static log."""
    groups: list[str] = []
    rest = number
    while True:
        rest, group = divmod(rest, 1000)
        groups.insert(0, f"{group:03}")
        if not rest:
            break
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    suffix = "" if width == TILE_HASHES else f".p/{width}"
    return f"tile/{level}/{name}{suffix}"


def parse_path(path: str) -> tuple[int | str, int, int]:
    """Return level (or "entries"), number and width of a path.

    Raises:
        LogProofInvalid: Not the one way to write such a path.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise LogProofInvalid("not the path of a tile")
    level = match[1] if match[1] == "entries" else int(match[1])
    number = int(match[2].replace("/", "").replace("x", ""))
    width = int(match[3] or TILE_HASHES)
    if width > TILE_HASHES or tile_path(level, number, width) != path:
        raise LogProofInvalid("not the path of a tile")
    return level, number, width


def tiles_of(size: int) -> list[tuple[int, int, int]]:
    """Return level, number and width of every tile of a tree of a size, full ones first within each level."""
    found = []
    level = 0
    while size:
        found += [(level, number, TILE_HASHES) for number in range(size // TILE_HASHES)]
        if size % TILE_HASHES:
            found.append((level, size // TILE_HASHES, size % TILE_HASHES))
        size //= TILE_HASHES
        level += 1
    return found


def bundle(leaves: Sequence[bytes]) -> bytes:
    """Return entries as a bundle: each after its length in two bytes.

    Raises:
        ValueError: One is too long.
    """
    if any(len(leaf) > MAX_ENTRY_BYTES for leaf in leaves):
        raise ValueError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join([len(leaf).to_bytes(2, "big") + leaf for leaf in leaves])


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        LogProofInvalid: Cut short, or not as many as its path says.
    """
    leaves: list[bytes] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        leaf = data[at + 2 : at + 2 + length]
        if len(data) < at + 2 + length or len(leaves) >= width:
            raise LogProofInvalid("the entry bundle is damaged")
        leaves.append(leaf)
        at += 2 + length
    if len(leaves) != width:
        raise LogProofInvalid("the entry bundle is damaged")
    return leaves
