"""TEMPORARY stand-in."""
from typing import NamedTuple
from gateway.translog.merkle import node_hash, EMPTY_ROOT
class Grown(NamedTuple):
    size: int
    root: bytes
    tiles: dict
def edge(size):
    out = []
    level = 0
    while size:
        if size % 256:
            out.append((level, size // 256))
        size //= 256
        level += 1
    return out
def append(size, edge_tiles, hashes):
    tiles = dict(edge_tiles)
    level = 0
    start = size
    new = list(hashes)
    changed = {}
    while new:
        n = start // 256
        buf = tiles.get((level, n), b"")
        up = []
        up_start = start // 256
        for h in new:
            buf += h
            if len(buf) == 8192:
                changed[level, n] = buf
                layer = [buf[i:i+32] for i in range(0, 8192, 32)]
                while len(layer) > 1:
                    layer = [node_hash(layer[i], layer[i+1]) for i in range(0, len(layer), 2)]
                up.append(layer[0])
                n += 1
                buf = b""
        if buf:
            changed[level, n] = buf
        level += 1
        start = up_start
        new = up
    total = size + len(hashes)
    allt = {**tiles, **changed}
    # root from right edge
    root = None
    lvl = 0
    s = total
    stack = []
    while s:
        w = s % 256
        if w:
            layer = allt[lvl, s // 256]
            hs = [layer[i:i+32] for i in range(0, w * 32, 32)]
            # fold into perfect subtrees left to right
            pos = 0
            subs = []
            bit = 128
            while bit:
                if w & bit:
                    part = hs[pos:pos+bit]
                    while len(part) > 1:
                        part = [node_hash(part[i], part[i+1]) for i in range(0, len(part), 2)]
                    subs.append(part[0])
                    pos += bit
                bit >>= 1
            for h in reversed(subs):
                root = h if root is None else node_hash(h, root)
        s //= 256
        lvl += 1
    return Grown(total, root or EMPTY_ROOT, changed)
