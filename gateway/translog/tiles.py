"""Tiles of a log (c2sp.org/tlog-tiles): where they are, what is in them, and how a batch of leaves changes them.

A tile holds up to 256 consecutive hashes of one level; level L has one hash for every 256**L leaves. Tiles that are
full never change; at each level at most one is not full, and those together are all that growing the tree needs.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from gateway.errors import LogInconsistent, MessageMalformed, MessageTooLarge
from gateway.translog.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, TileReader, node_hash, peaks

TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
MAX_LEVEL: Final = 7
"""Of a tree of MAX_SIZE leaves; tlog-tiles goes to 63, where no tree can be."""
MAX_ENTRY_BYTES: Final = 0xFFFF
"""What the length before an entry can say."""
MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (MAX_ENTRY_BYTES + 2)
ENTRIES: Final = "entries"

_MAX_PATH: Final = 64
_PATH = re.compile(
    r"tile/(?P<level>[0-7]|entries)/(?P<groups>(?:x[0-9]{3}/){0,6})(?P<last>[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile as it is kept: 1 to 256 hashes, 32 bytes each."""

    level: int
    number: int
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it holds; 256 when it is full."""
        return len(self.hashes) // HASH_BYTES


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Which tile or bundle of entries a path names; level None is a bundle."""

    level: int | None
    number: int
    width: int


def tile_path(level: int | None, number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile, or of a bundle of entries when level is None."""
    head, last = divmod(number, 1000)
    groups = [f"{last:03}"]
    while head:
        head, group = divmod(head, 1000)
        groups.append(f"x{group:03}")
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{ENTRIES if level is None else level}/{'/'.join(reversed(groups))}{suffix}"


def parse_tile_path(path: str) -> Coordinates:
    """Return what a path names.

    Raises:
        MessageMalformed: It is not the one path that a tile has.
    """
    match = _PATH.match(path) if len(path) <= _MAX_PATH else None
    if match is None:
        raise MessageMalformed("not the path of a tile")
    level = None if match["level"] == ENTRIES else int(match["level"])
    number = int((match["groups"] + match["last"]).replace("x", "").replace("/", ""))
    found = Coordinates(level, number, int(match["width"] or TILE_WIDTH))
    # One tile, one path: no leading group of zeros, no width of 256 or more spelt out.
    if tile_path(found.level, number, found.width) != path or found.width > TILE_WIDTH or number > MAX_SIZE:
        raise MessageMalformed("not the path of a tile")
    return found


def tiles_of(size: int) -> Iterable[tuple[int, int, int]]:
    """Return (level, number, width) of every tile of a tree, the lowest level first."""
    for level in range(MAX_LEVEL + 1):
        full, rest = divmod(size >> level * TILE_HEIGHT, TILE_WIDTH)
        for number in range(full):
            yield level, number, TILE_WIDTH
        if rest:
            yield level, full, rest


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return entries as a bundle: each after its length, two bytes, big-endian.

    Raises:
        MessageTooLarge: An entry is longer than a length can say.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise MessageTooLarge("a log entry", len(entry), MAX_ENTRY_BYTES)
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def parse_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """Return the `width` entries of a bundle.

    Raises:
        MessageTooLarge: More bytes than 256 entries can have.
        MessageMalformed: It holds fewer or more entries, or ends inside one.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise MessageTooLarge("a bundle of log entries", len(data), MAX_BUNDLE_BYTES)
    entries, at = [], 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise MessageMalformed("the bundle of log entries ends early")
        entries.append(data[start:at])
    if at != len(data):
        raise MessageMalformed("the bundle of log entries is longer than its entries")
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class Grown:
    """A tree after leaves were added."""

    frontier: "Frontier"
    tiles: tuple[Tile, ...]
    """Every tile that is new or wider than before, the lowest level first; each replaces what was kept in its place."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to add leaves to it and to know its root."""

    size: int
    partials: tuple[bytes, ...]
    """By level, the hashes of the tile that is not full; empty where there is none."""
    peaks: tuple[bytes, ...]
    """By height, the root of the complete tree that the size holds there; empty where its bit is 0."""

    @classmethod
    def empty(cls) -> Self:
        """Return the edge of a tree without leaves."""
        return cls(0, (), ())

    @classmethod
    def load(cls, tiles: TileReader, size: int) -> Self:
        """Return the edge of a stored tree; reads one tile a level. Compare its root with the one that was stored.

        Raises:
            LogInconsistent: A tile is not of the length asked for, or the size is out of range.
        """
        if not 0 <= size <= MAX_SIZE:
            raise LogInconsistent("tree size", f"{size} is out of range")
        partials, tops = [], [b""] * size.bit_length()
        level = 0
        while hashes := size >> level * TILE_HEIGHT:
            number, width = divmod(hashes, TILE_WIDTH)
            tile = tiles.read(level, number, width) if width else b""
            if len(tile) != width * HASH_BYTES:
                raise LogInconsistent(f"tile {level}/{number}", f"has not the {width} hashes that the size asks for")
            for height, top in peaks(tile):
                tops[level * TILE_HEIGHT + height] = top
            partials.append(tile)
            level += 1
        return cls(size, tuple(partials), tuple(tops))

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        above = b""
        for top in self.peaks:
            if top:
                above = node_hash(top, above) if above else top
        return above or EMPTY_ROOT

    def append(self, leaf_hashes: Sequence[bytes]) -> Grown:
        """Return the tree with these leaves added. Hashes every new node once.

        Raises:
            ValueError: A leaf hash is not 32 bytes, or the tree would grow beyond MAX_SIZE.
        """
        size = self.size + len(leaf_hashes)
        if size > MAX_SIZE or any(len(leaf) != HASH_BYTES for leaf in leaf_hashes):
            raise ValueError("leaf hashes have 32 bytes, and a tree has a largest size")
        tops = [*self.peaks, *[b""] * (size.bit_length() - len(self.peaks))]
        partials = list(self.partials)
        changed: list[Tile] = []
        nodes, height = leaf_hashes, 0
        while nodes:
            # Nodes of this height that are new, in order; what is complete of them goes up.
            if height % TILE_HEIGHT == 0:
                changed += _widen(partials, height // TILE_HEIGHT, self.size >> height, nodes)
            if self.size >> height & 1:
                nodes = [tops[height], *nodes]
            if height < len(tops):
                tops[height] = nodes[-1] if len(nodes) % 2 else b""
            nodes = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes) - 1, 2)]
            height += 1
        return Grown(Frontier(size, tuple(partials), tuple(tops)), tuple(changed))


def _widen(partials: list[bytes], level: int, before: int, nodes: Sequence[bytes]) -> list[Tile]:
    """Return the tiles that new hashes of a level fill, and leave the one that is not full in its place."""
    if level == len(partials):
        partials.append(b"")
    data = partials[level] + b"".join(nodes)
    first, tile_bytes = before // TILE_WIDTH, TILE_WIDTH * HASH_BYTES
    found = [
        Tile(level, first + at // tile_bytes, data[at : at + tile_bytes]) for at in range(0, len(data), tile_bytes)
    ]
    partials[level] = b"" if found[-1].width == TILE_WIDTH else found[-1].hashes
    return found
