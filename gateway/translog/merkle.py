"""Proofs over an append-only tree (RFC 6962 section 2.1, verification as in RFC 9162 section 2.1).

Verifying raises and never returns a truth value that could be overlooked. Every hash has a length that is checked: a
proof with an empty or short hash in it must not lead anywhere.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from gateway.crypto.merkle import HASH_BYTES, leaf_hash, node_hash
from gateway.errors import LogProofInvalid

__all__ = [
    "EMPTY_ROOT", "HASH_BYTES", "MAX_SIZE", "TILE_HASHES", "TileReader", "consistency_proof", "inclusion_proof",
    "leaf_hash", "node_hash", "root_at", "verify_consistency", "verify_inclusion", "verify_subtree_consistency",
    "verify_subtree_inclusion",
]  # fmt: skip

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""RFC 6962, 2.1: the root of a tree without leaves."""
MAX_SIZE: Final = (1 << 63) - 1
MAX_PROOF: Final = 63
"""C2SP tlog-witness: no proof of a tree of up to 2^63 leaves has more hashes."""
TILE_HEIGHT: Final = 8
TILE_HASHES: Final = 1 << TILE_HEIGHT
"""C2SP tlog-tiles."""


class TileReader(Protocol):
    """Gives tiles of a tree."""

    def read(self, level: int, number: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile, one after the other."""
        ...


def _check(condition: bool, why: str) -> None:  # noqa: FBT001 - one word for: raise unless
    if not condition:
        raise LogProofInvalid(why)


def _check_hashes(*hashes: bytes) -> None:
    _check(all(len(item) == HASH_BYTES for item in hashes), "a hash has the wrong length")


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Return when a leaf hash is at an index (from 0) of the tree with this size and root.

    Raises:
        LogProofInvalid: It is not, or the proof is not one of such a tree.
    """
    verify_subtree_inclusion(index, (0, size), leaf, proof, root)


def verify_subtree_inclusion(
    index: int, bounds: tuple[int, int], leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Return when a leaf hash is at an index of the subtree [start, end) with this root.

    Raises:
        LogProofInvalid: It is not, or this is no subtree.
    """
    start, end = bounds
    _check_subtree(start, end)
    _check(start <= index < end, "the index lies outside the tree")
    _check_hashes(leaf, root, *proof)
    position, last, node = index - start, end - start - 1, leaf
    for sibling in proof:
        _check(last > 0, "the proof is too long")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    _check(last == 0, "the proof is too short")
    _check(node == root, "the proof leads to another root")


def _check_subtree(start: int, end: int) -> None:
    _check(0 <= start < end <= MAX_SIZE, "not the bounds of a tree")
    width = 1 << (end - start - 1).bit_length()
    _check(start % width == 0, "not the bounds of a subtree")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the old tree is a beginning of the new one.

    Raises:
        LogProofInvalid: It is not, or the proof is not one of such trees.
    """
    _check(0 <= old_size <= new_size <= MAX_SIZE, "the sizes are not those of an older and a newer tree")
    _check_hashes(old_root, new_root, *proof)
    if old_size == 0:
        _check(old_root == EMPTY_ROOT, "the empty tree has another root")
    if new_size == 0:
        _check(new_root == EMPTY_ROOT, "the empty tree has another root")
    if old_size in {0, new_size}:
        _check(not proof, "there is nothing to prove")
        _check(old_size == 0 or old_root == new_root, "trees of one size have one root")
        return
    verify_subtree_consistency((0, old_size), new_size, old_root, new_root, proof)


def verify_subtree_consistency(
    bounds: tuple[int, int], size: int, subtree_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Return when [start, end) with its root is a subtree of the tree with this size and root.

    Raises:
        LogProofInvalid: It is not, or this is no subtree.
    """
    start, end = bounds
    _check_subtree(start, end)
    _check(end <= size <= MAX_SIZE, "the subtree ends outside the tree")
    _check_hashes(subtree_root, root, *proof)
    first, second, last = start, end - 1, size - 1
    if second == last:
        while first != second:
            first, second, last = first >> 1, second >> 1, last >> 1
    else:
        while first != second and second & 1:
            first, second, last = first >> 1, second >> 1, last >> 1
    hashes = list(proof)
    if first == second:
        old = new = subtree_root
    else:
        _check(bool(hashes), "the proof is too short")
        old = new = hashes.pop(0)
    for item in hashes:
        _check(last > 0, "the proof is too long")
        if second & 1 or second == last:
            if first < second:
                old = node_hash(item, old)
            new = node_hash(item, new)
            while second and not second & 1:
                first, second, last = first >> 1, second >> 1, last >> 1
        else:
            new = node_hash(new, item)
        first, second, last = first >> 1, second >> 1, last >> 1
    _check(last == 0, "the proof is too short")
    _check(old == subtree_root, "the proof leads to another old root")
    _check(new == root, "the proof leads to another root")


# --- from tiles ----------------------------------------------------------------------------------------------


def _subtree_root(start: int, end: int, tiles: TileReader) -> bytes:
    """Return the root over the leaves [start, end), which are a subtree."""
    width = end - start
    if width & (width - 1) == 0:
        return _perfect(start, width.bit_length() - 1, tiles)
    half = 1 << (width - 1).bit_length() - 1
    return node_hash(_perfect(start, half.bit_length() - 1, tiles), _subtree_root(start + half, end, tiles))


def _perfect(start: int, height: int, tiles: TileReader) -> bytes:
    """Return the root of the perfect subtree of 2^height leaves that begins at start."""
    level = height // TILE_HEIGHT
    # How many hashes of the tile's row lie below the node wanted.
    count = 1 << (height - level * TILE_HEIGHT)
    number, place = divmod(start >> level * TILE_HEIGHT, TILE_HASHES)
    row = tiles.read(level, number, place + count)[place * HASH_BYTES :]
    hashes = [row[at : at + HASH_BYTES] for at in range(0, count * HASH_BYTES, HASH_BYTES)]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def root_at(size: int, tiles: TileReader) -> bytes:
    """Return the root of the first `size` leaves."""
    return _subtree_root(0, size, tiles) if size else EMPTY_ROOT


def _siblings(index: int, start: int, end: int, tiles: TileReader) -> Iterator[bytes]:
    """Yield the audit path from the leaf upwards (RFC 6962, 2.1.1)."""
    if end - start == 1:
        return
    half = 1 << (end - start - 1).bit_length() - 1
    middle = start + half
    if index < middle:
        yield from _siblings(index, start, middle, tiles)
        yield _subtree_root(middle, end, tiles)
    else:
        yield from _siblings(index, middle, end, tiles)
        yield _subtree_root(start, middle, tiles)


def inclusion_proof(index: int, size: int, tiles: TileReader) -> list[bytes]:
    """Return the inclusion proof of an index (from 0) in the tree of a size.

    Raises:
        LogProofInvalid: The index is not in it.
    """
    _check(0 <= index < size <= MAX_SIZE, "the index lies outside the tree")
    return list(_siblings(index, 0, size, tiles))


def _older(old: int, start: int, end: int, tiles: TileReader, *, whole: bool) -> Iterator[bytes]:
    """Yield the consistency proof (RFC 6962, 2.1.2); `whole`: the old tree's root is known to who verifies."""
    if old == end:
        if not whole:
            yield _subtree_root(start, end, tiles)
        return
    half = 1 << (end - start - 1).bit_length() - 1
    middle = start + half
    if old <= middle:
        yield from _older(old, start, middle, tiles, whole=whole)
        yield _subtree_root(middle, end, tiles)
    else:
        yield from _older(old, middle, end, tiles, whole=False)
        yield _subtree_root(start, middle, tiles)


def consistency_proof(old_size: int, new_size: int, tiles: TileReader) -> list[bytes]:
    """Return the consistency proof between two sizes.

    Raises:
        LogProofInvalid: The sizes are not those of an older and a newer tree.
    """
    _check(0 <= old_size <= new_size <= MAX_SIZE, "the sizes are not those of an older and a newer tree")
    if old_size in {0, new_size}:
        return []
    return list(_older(old_size, 0, new_size, tiles, whole=True))
