"""Merkle trees, against the definition and published values."""

import hashlib

import pytest

from gateway.crypto.merkle import MAX_LEAVES, leaf_hash, node_hash, root, root_and_paths, root_from_path
from gateway.errors import EnvelopeRejected
from gateway.model.envelope import MerklePath

# The example tree of the Certificate Transparency test data: eight leaves.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_of_certificate_transparency(size):
    assert root([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size]


def test_leaf_and_node_hashes_are_apart():
    data = bytes(64)
    assert leaf_hash(data) != node_hash(data[:32], data[32:]) != hashlib.sha256(data).digest()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 64, 100])
def test_every_path_leads_to_the_root(size):
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(size)]
    expected, paths = root_and_paths(leaves)
    assert expected == root(leaves)
    assert [root_from_path(leaf, path) for leaf, path in zip(leaves, paths, strict=True)] == [expected] * size


@pytest.mark.parametrize(
    "path",
    [
        MerklePath(0, 0, b""),
        MerklePath(-1, 1, b""),
        MerklePath(1, 1, b""),
        MerklePath(0, 1, bytes(32)),
        MerklePath(0, 2, b""),
        MerklePath(0, 2, bytes(31)),
        MerklePath(0, 2, bytes(33)),
        MerklePath(0, 2, bytes(64)),
        MerklePath(2, 3, bytes(64)),
        MerklePath(0, MAX_LEAVES + 1, bytes(32 * 21)),
        MerklePath(0, 1 << 60, bytes(32)),
    ],
)
def test_a_malformed_path_is_refused(path):
    with pytest.raises(EnvelopeRejected) as caught:
        root_from_path(bytes(32), path)
    assert caught.value.step == "path"


def test_a_leaf_hash_of_another_length_is_refused():
    with pytest.raises(EnvelopeRejected):
        root_from_path(bytes(31), MerklePath(0, 1, b""))


def test_a_path_changed_in_one_place_leads_elsewhere():
    leaves = [leaf_hash(bytes([number])) for number in range(6)]
    expected, paths = root_and_paths(leaves)
    other = MerklePath(1, 6, paths[0].hashes)
    assert root_from_path(leaves[0], other) != expected


def test_a_tree_without_leaves_is_a_programming_mistake():
    with pytest.raises(ValueError, match="leaves"):
        root_and_paths([])
