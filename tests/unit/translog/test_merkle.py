"""The tree of a log, against published values and other people's vectors, the negative ones included."""

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from gateway.errors import LogInconsistent, ProofRejected
from gateway.translog.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from gateway.translog.tiles import Frontier
from tests.unit.translog.logs import MemoryLog, MemoryTiles

CHECKOUT = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("CONCORD_CORPUS", CHECKOUT.parent / "shared" / "corpus")) / "merkle-vectors/testdata"
# The example tree of the Certificate Transparency test data.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_roots_are_those_of_certificate_transparency():
    tiles, frontier = MemoryTiles(), Frontier.empty()
    assert frontier.root == EMPTY_ROOT == tree_root(tiles, 0)
    roots = [frontier.root.hex()]
    for leaf in LEAVES:
        grown = frontier.append([leaf_hash(bytes.fromhex(leaf))])
        tiles.put(grown.tiles)
        frontier = grown.frontier
        roots.append(frontier.root.hex())
    assert roots == ROOTS
    assert [tree_root(tiles, size).hex() for size in range(9)] == ROOTS


def holds(check, *arguments):
    try:
        check(*arguments)
    except ProofRejected:
        return False
    return True


@pytest.mark.corpus
@pytest.mark.skipif(
    not VECTORS.is_dir() and "CI" not in os.environ, reason="no corpus here; name its folder in CONCORD_CORPUS"
)
@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_every_vector_gets_the_verdict_it_asks_for(kind):
    decode = base64.b64decode
    wrong, refused, taken = [], 0, 0
    for path in sorted((VECTORS / kind).rglob("*.json")):
        case = json.loads(path.read_text())
        proof = [decode(value) for value in case["proof"] or []]
        if kind == "inclusion":
            numbers = case["leafIdx"], case["treeSize"], decode(case["root"])
            fine = holds(verify_inclusion, decode(case["leafHash"]), *numbers, proof)
        else:
            roots = decode(case["root1"]), decode(case["root2"])
            fine = holds(verify_consistency, case["size1"], case["size2"], *roots, proof)
        taken, refused = taken + fine, refused + (not fine)
        if fine == case["wantErr"]:
            wrong.append(f"{path}: {case['desc']}")
    assert wrong == []
    assert (taken, refused) == (6, 92)


@pytest.mark.parametrize(
    ("first", "second", "roots", "proof"),
    [
        (0, 5, (b"\x01" * 32, b"\x02" * 32), []),
        (0, 0, (b"\x01" * 32, b"\x01" * 32), []),
        (0, 5, (EMPTY_ROOT, b"\x02" * 31), []),
        (0, 5, (EMPTY_ROOT, b"\x02" * 32), [bytes(32)]),
        (3, 3, (b"\x01" * 32, b"\x02" * 32), []),
        (3, 3, (b"\x01" * 32, b"\x01" * 32), [bytes(32)]),
        (4, 3, (b"\x01" * 32, b"\x01" * 32), []),
        (-1, 3, (b"\x01" * 32, b"\x01" * 32), []),
        (3, 4, (b"\x01" * 32, b"\x02" * 32), []),
        (3, 4, (b"\x01" * 32, b"\x02" * 32), [bytes(32)] * 200),
        (3, MAX_SIZE + 1, (b"\x01" * 32, b"\x02" * 32), [bytes(32)] * 3),
    ],
)
def test_consistency_that_proves_nothing_is_refused(first, second, roots, proof):
    with pytest.raises(ProofRejected):
        verify_consistency(first, second, *roots, proof)


def test_an_empty_tree_is_the_beginning_of_every_tree():
    assert verify_consistency(0, 5, EMPTY_ROOT, b"\x02" * 32, []) is None
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, []) is None


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 1), (1, 1), (5, 3), (MAX_SIZE, MAX_SIZE + 1)])
def test_a_leaf_outside_the_tree_is_refused(index, size):
    leaf = hashlib.sha256(b"x").digest()
    with pytest.raises(ProofRejected):
        verify_inclusion(leaf, index, size, leaf, [])
    with pytest.raises(ValueError):
        inclusion_proof(MemoryTiles(), index, min(size, 3))


def test_a_proof_in_a_large_tree_reads_few_tiles():
    log = MemoryLog(70_000, step=1000)
    size, root = log.frontier.size, log.frontier.root
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        log.tiles.reads = 0
        proof = inclusion_proof(log.tiles, index, size)
        assert log.tiles.reads <= 6
        verify_inclusion(leaf_hash(log.leaves[index]), index, size, root, proof)
        log.tiles.reads = 0
        proof = consistency_proof(log.tiles, index, size)
        assert log.tiles.reads <= 6
        verify_consistency(index, size, tree_root(log.tiles, index), root, proof)


def test_a_tile_that_is_cut_is_named():
    log = MemoryLog(300)
    log.tiles.kept[0, 1] = log.tiles.kept[0, 1][:-1]
    for act in (
        lambda: tree_root(log.tiles, 300),
        lambda: inclusion_proof(log.tiles, 3, 300),
        lambda: consistency_proof(log.tiles, 3, 300),
        lambda: Frontier.load(log.tiles, 300),
    ):
        with pytest.raises(LogInconsistent) as caught:
            act()
        assert caught.value.place == "tile 0/1"


def test_a_consistency_proof_from_a_larger_tree_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError):
        consistency_proof(MemoryTiles(), 3, 2)
