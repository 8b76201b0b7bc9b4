"""Merkle trees over what is sealed or stated together, and the hashes of all trees (RFC 6962 section 2.1).

A root is always used together with the number of leaves, which the signed frame carries: a path alone does not say
how many leaves there are.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from gateway.errors import EnvelopeRejected
from gateway.model.envelope import MerklePath

HASH_BYTES: Final = 32
MAX_HASHES: Final = 20
"""envelope.proto: MerklePath.hashes holds at most 640 bytes."""
MAX_LEAVES: Final = 1 << MAX_HASHES

_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return _sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes.

    Raises:
        ValueError: There is no leaf.
    """
    return _levels(leaf_hashes)[-1][0]


def root_and_paths(leaf_hashes: Sequence[bytes]) -> tuple[bytes, list[MerklePath]]:
    """Return the root and every leaf's path. Each node is hashed once.

    Raises:
        ValueError: There is no leaf, or more than a path can describe.
    """
    size = len(leaf_hashes)
    if size == 1:
        return leaf_hashes[0], [MerklePath(0, 1, b"")]
    levels = _levels(leaf_hashes)
    paths = []
    for index in range(size):
        hashes = []
        position = index
        for level in levels[:-1]:
            # The last node of an odd level has no sibling and moves up as it is.
            if position ^ 1 < len(level):
                hashes.append(level[position ^ 1])
            position >>= 1
        paths.append(MerklePath(index, size, b"".join(hashes)))
    return levels[-1][0], paths


def _levels(leaf_hashes: Sequence[bytes]) -> list[Sequence[bytes]]:
    if not 0 < len(leaf_hashes) <= MAX_LEAVES:
        raise ValueError(f"a tree has 1 to {MAX_LEAVES} leaves")
    levels: list[Sequence[bytes]] = [leaf_hashes]
    level = leaf_hashes
    while len(level) > 1:
        above = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        levels.append(above)
        level = above
    return levels


def root_from_path(leaf: bytes, path: MerklePath) -> bytes:
    """Return the root that a leaf hash and its path lead to.

    For one size and one root there is one path to a leaf, so that a path cannot be changed and still lead there.

    Raises:
        EnvelopeRejected: The path is not one of a tree of its size.
    """
    reached = climb(leaf, path.index, path.size, path.hashes) if path.size <= MAX_LEAVES else None
    if reached is None:
        raise EnvelopeRejected("path")
    return reached


def climb(leaf: bytes, index: int, size: int, hashes: bytes) -> bytes | None:
    """Return the root that a leaf hash and the hashes beside the way up lead to (RFC 9162 section 2.1.3.2).

    None when they are not exactly as many as leaf `index` of a tree of `size` leaves has, or a length is wrong.
    """
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        return None
    node, position, last, at = leaf, index, size - 1, 0
    while last:
        if position & 1 or position < last:
            sibling = hashes[at : at + HASH_BYTES]
            if len(sibling) != HASH_BYTES:
                return None
            at += HASH_BYTES
            node = _sha256(b"\x01" + (sibling + node if position & 1 else node + sibling)).digest()
        position >>= 1
        last >>= 1
    return node if at == len(hashes) else None
