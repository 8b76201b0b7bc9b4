"""Laws of trees and tiles, against the definition of RFC 6962, at the sizes where tiles begin and end."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProofRejected
from gateway.translog.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from gateway.translog.tiles import Frontier, parse_tile_path, tile_path, tiles_of
from tests.unit.translog.logs import MemoryLog, MemoryTiles

LAW = settings(deadline=None, derandomize=True)
LARGEST = 65_800
EDGES = [0, 1, 2, 3, 254, 255, 256, 257, 511, 512, 513, 65_279, 65_280, 65_535, 65_536, 65_537, LARGEST]
SIZES = st.one_of(st.sampled_from(EDGES), st.integers(0, LARGEST), st.integers(0, 600))


@functools.cache
def log():
    return MemoryLog(LARGEST, step=1000)


@functools.cache
def hashes():
    return [leaf_hash(leaf) for leaf in log().leaves]


@functools.cache
def definition(start, end):
    """MTH of RFC 6962 section 2.1, word for word."""
    if start == end:
        return EMPTY_ROOT
    if end - start == 1:
        return hashes()[start]
    split = start + (1 << (end - start - 1).bit_length() - 1)
    return node_hash(definition(start, split), definition(split, end))


def path(index, start, end):
    """PATH of RFC 6962 section 2.1.1."""
    if end - start == 1:
        return []
    split = start + (1 << (end - start - 1).bit_length() - 1)
    if index < split:
        return [*path(index, start, split), definition(split, end)]
    return [*path(index, split, end), definition(start, split)]


def subproof(first, start, end, whole):
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if first == end:
        return [] if whole else [definition(start, end)]
    split = start + (1 << (end - start - 1).bit_length() - 1)
    if first <= split:
        return [*subproof(first, start, split, whole), definition(split, end)]
    return [*subproof(first, split, end, whole=False), definition(start, split)]


@settings(LAW, max_examples=150)
@given(SIZES, st.data())
def test_roots_and_proofs_are_those_of_the_definition(size, data):
    root = tree_root(log().tiles, size)
    assert root == definition(0, size) == Frontier.load(log().tiles, size).root
    if size:
        index = data.draw(st.one_of(st.integers(0, size - 1), st.sampled_from([0, size - 1])))
        proof = inclusion_proof(log().tiles, index, size)
        assert list(proof) == path(index, 0, size)
        verify_inclusion(hashes()[index], index, size, root, proof)
    first = data.draw(st.one_of(st.integers(0, size), st.sampled_from([edge for edge in EDGES if edge <= size])))
    proof = consistency_proof(log().tiles, first, size)
    assert list(proof) == (subproof(first, 0, size, whole=True) if first else [])
    verify_consistency(first, size, definition(0, first), root, proof)


@settings(LAW, max_examples=60)
@given(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 300), st.sampled_from([255, 256, 257])), max_size=8))
def test_leaves_added_in_any_steps_make_the_same_tiles(steps):
    tiles, frontier = MemoryTiles(), Frontier.empty()
    for step in steps:
        grown = frontier.append(hashes()[frontier.size : frontier.size + step])
        tiles.put(grown.tiles)
        frontier = grown.frontier
        assert frontier == Frontier.load(tiles, frontier.size)
    assert frontier.root == definition(0, sum(steps))
    assert {(level, number): width * 32 for level, number, width in tiles_of(frontier.size)} == {
        place: len(kept) for place, kept in tiles.kept.items()
    }


def accepted(check, *arguments):
    try:
        check(*arguments)
    except ProofRejected:
        return False
    return True


@settings(LAW, max_examples=150)
@given(st.integers(1, 600), st.data())
def test_nothing_but_the_proof_is_a_proof(size, data):
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    root, old = definition(0, size), definition(0, first)
    inclusion = inclusion_proof(log().tiles, index, size)
    consistency = consistency_proof(log().tiles, first, size)
    for good, check in (
        (inclusion, (verify_inclusion, hashes()[index], index, size, root)),
        (consistency, (verify_consistency, first, size, old, root)),
    ):
        assert accepted(*check, good)
        at = data.draw(st.integers(0, len(good)))
        for bad in (
            [*good[:at], bytes(32), *good[at:]],
            [*good[:at], root, *good[at:]],
            good[:-1],
            good[1:],
            good[::-1],
            [value[:31] for value in good],
        ):
            assert accepted(*check, bad) == (list(bad) == list(good))
    other = data.draw(st.integers(0, size - 1))
    assert accepted(verify_inclusion, hashes()[index], other, size, root, inclusion) == (other == index)


@LAW
@given(st.one_of(st.none(), st.integers(0, 7)), st.integers(0, 2**55), st.integers(1, 256))
def test_every_tile_has_a_path_that_leads_back(level, number, width):
    found = parse_tile_path(tile_path(level, number, width))
    assert (found.level, found.number, found.width) == (level, number, width)
