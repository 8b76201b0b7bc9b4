"""Logs in memory, and keys for them."""

from gateway.crypto.keys import SignKey
from gateway.crypto.mldsa import MLDSASignKey
from gateway.translog.checkpoint import sign_checkpoint
from gateway.translog.merkle import leaf_hash
from gateway.translog.note_keys import NoteSigner, SignatureKind
from gateway.translog.tiles import Frontier
from gateway.translog.tree_head import TreeHead

ORIGIN = "gw.th.example/log/2026"
NOW_S = 1_795_651_200
LOG = NoteSigner(ORIGIN, SignatureKind.ED25519, SignKey.from_secret(b"\x01" * 32))
LOG_PQ = NoteSigner(ORIGIN, SignatureKind.MLDSA44_COSIGNATURE, MLDSASignKey.from_secret(b"\x02" * 32))
WITNESSES = [
    NoteSigner("witness.cn.example", SignatureKind.MLDSA44_COSIGNATURE, MLDSASignKey.from_secret(b"\x03" * 32)),
    NoteSigner("witness.vn.example", SignatureKind.ED25519_COSIGNATURE, SignKey.from_secret(b"\x04" * 32)),
]


class MemoryTiles:
    """Tiles as a store keeps them: the widest of each place."""

    def __init__(self):
        self.kept = {}
        self.reads = 0

    def put(self, tiles):
        for tile in tiles:
            self.kept[tile.level, tile.number] = tile.hashes

    def read(self, level, number, width):
        self.reads += 1
        return self.kept[level, number][: width * 32]


class MemoryLog:
    """A log of numbered leaves, grown in steps."""

    def __init__(self, size=0, step=256):
        self.tiles = MemoryTiles()
        self.leaves = []
        self.frontier = Frontier.empty()
        while len(self.leaves) < size:
            self.grow(min(step, size - len(self.leaves)))

    def grow(self, count):
        new = [number.to_bytes(8, "big") for number in range(len(self.leaves), len(self.leaves) + count)]
        grown = self.frontier.append([leaf_hash(leaf) for leaf in new])
        self.leaves += new
        self.tiles.put(grown.tiles)
        self.frontier = grown.frontier

    def read_entries(self, number, width):
        return self.leaves[number * 256 : number * 256 + width]

    @property
    def head(self):
        return TreeHead(ORIGIN, self.frontier.size, self.frontier.root)

    def checkpoint(self, signers=(LOG, LOG_PQ)):
        return sign_checkpoint(self.head, signers, NOW_S)
