"""The tree of a log: its root, and proofs made from tiles and verified (RFC 6962 section 2.1, RFC 9162 section 2.1).

verify_* return when the claim holds and raise when it does not. Who vouches for a root is for others: see checkpoint.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.crypto.merkle import HASH_BYTES, climb, leaf_hash, node_hash
from gateway.errors import LogInconsistent, ProofRejected

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "MAX_PROOF_HASHES",
    "MAX_SIZE",
    "TileReader",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "peaks",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
MAX_SIZE: Final = (1 << 63) - 1
"""What a signed 64-bit column holds."""
MAX_PROOF_HASHES: Final = 64
"""A consistency proof in a tree of MAX_SIZE has one hash a level and one more."""
_TILE_HEIGHT: Final = 8


class TileReader(Protocol):
    """Where the tiles of one log are kept."""

    def read(self, level: int, number: int, width: int) -> bytes:
        """Return the first `width` (1 to 256) hashes of a tile, 32 bytes each."""
        ...


# --- verifying ---------------------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the leaf hash stands at `index` of the tree with this size and root.

    Raises:
        ProofRejected: It does not, or the proof is not exactly as long as this place has.
    """
    _check_hashes([leaf, root, *proof])
    _check_size(size)
    if climb(leaf, index, size, b"".join(proof)) != root:
        raise ProofRejected("the inclusion proof does not lead to the root")


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the second tree begins with the first (RFC 9162 section 2.1.4.2).

    Raises:
        ProofRejected: It does not, or the proof is not exactly as long as these sizes have.
    """
    _check_size(second)
    if not 0 <= first <= second:
        raise ProofRejected("a tree cannot begin with a larger one")
    if first == second and (proof or first_root != second_root):
        raise ProofRejected("trees of one size have one root, and nothing to prove")
    if first == second != 0:
        # Nothing is hashed here: what is the same is the same.
        return
    _check_hashes([first_root, second_root, *proof])
    if first == 0:
        # There is one tree without leaves; any other root of size 0 is a lie that nothing else here would show.
        if first_root != EMPTY_ROOT or proof:
            raise ProofRejected("the root of an empty tree is another, or a proof is given where none is needed")
        return
    hashes = list(proof)
    if first & (first - 1) == 0:
        # A first tree that is complete stands as a node of the second: its root need not be sent.
        hashes.insert(0, first_root)
    if not hashes:
        raise ProofRejected("the consistency proof is too short")
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if not last:
            raise ProofRejected("the consistency proof is too long")
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    if last or old != first_root or new != second_root:
        raise ProofRejected("the consistency proof does not lead to both roots")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > MAX_PROOF_HASHES + 2 or any(len(value) != HASH_BYTES for value in hashes):
        raise ProofRejected(f"a proof has at most {MAX_PROOF_HASHES} hashes, each of {HASH_BYTES} bytes")


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise ProofRejected("the tree size is out of range")


# --- proving -----------------------------------------------------------------------------------------------------


def tree_root(tiles: TileReader, size: int) -> bytes:
    """Return the root of the first `size` leaves.

    Raises:
        LogInconsistent: A tile is not of the length asked for.
    """
    return _Tree(tiles, size).range(0, size) if size else EMPTY_ROOT


def inclusion_proof(tiles: TileReader, index: int, size: int) -> tuple[bytes, ...]:
    """Return the hashes beside the way from a leaf up to the root of the first `size` leaves.

    Raises:
        ValueError: There is no such leaf.
        LogInconsistent: A tile is not of the length asked for.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of this size")
    tree = _Tree(tiles, size)
    low, high, hashes = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            hashes.append(tree.range(middle, high))
            high = middle
        else:
            hashes.append(tree.range(low, middle))
            low = middle
    return tuple(reversed(hashes))


def consistency_proof(tiles: TileReader, first: int, second: int) -> tuple[bytes, ...]:
    """Return the hashes that show that the first `second` leaves begin with the first `first` (RFC 6962 section 2.1.2).

    Raises:
        ValueError: The first is larger.
        LogInconsistent: A tile is not of the length asked for.
    """
    if not 0 <= first <= second:
        raise ValueError("the first tree is the larger one")
    if first in {0, second}:
        return ()
    tree = _Tree(tiles, second)
    low, high, hashes, known = 0, second, [], True
    while high != first:
        middle = low + _split(high - low)
        if first <= middle:
            hashes.append(tree.range(middle, high))
            high = middle
        else:
            hashes.append(tree.range(low, middle))
            low, known = middle, False
    if not known:
        hashes.append(tree.range(low, high))
    return tuple(reversed(hashes))


def _split(size: int) -> int:
    """Return the largest power of two below a size above 1."""
    return 1 << (size - 1).bit_length() - 1


class _Tree:
    """Node hashes of one tree out of its tiles. Reads each tile once."""

    def __init__(self, tiles: TileReader, size: int) -> None:
        self._tiles = tiles
        self._size = size
        self._read: dict[tuple[int, int], bytes] = {}

    def range(self, start: int, end: int) -> bytes:
        """Return the hash over leaves start to end, which are a node of the tree."""
        parts = []
        while start < end:
            height = (end - start).bit_length() - 1
            parts.append(self._complete(start, height))
            start += 1 << height
        above = parts.pop()
        while parts:
            above = node_hash(parts.pop(), above)
        return above

    def _complete(self, start: int, height: int) -> bytes:
        """Return the hash over the 2**height leaves from start."""
        level, inside = divmod(height, _TILE_HEIGHT)
        number, at = divmod(start >> level * _TILE_HEIGHT, 1 << _TILE_HEIGHT)
        tile = self._tile(level, number)
        return peaks(tile[at * HASH_BYTES : (at + (1 << inside)) * HASH_BYTES])[0][1]

    def _tile(self, level: int, number: int) -> bytes:
        if (tile := self._read.get((level, number))) is None:
            hashes = (self._size >> level * _TILE_HEIGHT) - (number << _TILE_HEIGHT)
            width = min(hashes, 1 << _TILE_HEIGHT)
            tile = self._tiles.read(level, number, width)
            if len(tile) != width * HASH_BYTES:
                raise LogInconsistent(f"tile {level}/{number}", f"has not the {width} hashes that the size asks for")
            self._read[level, number] = tile
        return tile


def peaks(hashes: bytes) -> list[tuple[int, bytes]]:
    """Return (height, hash) of the complete trees that the concatenated hashes fall into, the largest first."""
    found = []
    at, left = 0, len(hashes) // HASH_BYTES
    while left:
        height = left.bit_length() - 1
        end = at + (HASH_BYTES << height)
        level = [hashes[place : place + HASH_BYTES] for place in range(at, end, HASH_BYTES)]
        while len(level) > 1:
            level = [node_hash(level[place], level[place + 1]) for place in range(0, len(level), 2)]
        found.append((height, level[0]))
        at, left = end, left - (1 << height)
    return found
