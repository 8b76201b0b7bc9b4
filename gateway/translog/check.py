"""A whole log, checked from its leaves: every tile, the root and every checkpoint that was ever signed.

Leaves are fed in order; memory stays the same however many there are. The first contradiction ends it and is named as
precisely as the data allows: entry, node of a tile, or checkpoint.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.errors import LogInconsistent
from gateway.translog.merkle import HASH_BYTES, TileReader, leaf_hash
from gateway.translog.tiles import TILE_HEIGHT, TILE_WIDTH, Frontier, Tile
from gateway.translog.tree_head import TreeHead

_NEVER: Final = TreeHead("", -1, b"")


class LogCheck:
    """One pass over a log."""

    def __init__(self, tiles: TileReader, checkpoints: Iterable[TreeHead] = (), start: Frontier | None = None) -> None:
        """Begin at the first leaf, or after those of `start`, which an earlier pass has checked.

        Args:
            tiles: The tiles as they are stored.
            checkpoints: What the log has signed, the smallest first; those of sizes below the start are passed over.
            start: Where an earlier pass ended.
        """
        self.frontier = start or Frontier.empty()
        self._tiles = tiles
        self._checkpoints = self._ascending(checkpoints)
        self._next = next(self._checkpoints, _NEVER)
        while self._next is not _NEVER and self._next.size < self.frontier.size:
            self._next = next(self._checkpoints, _NEVER)
        self._compare_checkpoints()

    def feed(self, leaves: Sequence[bytes]) -> None:
        """Check the next leaves.

        Raises:
            LogInconsistent: A tile that they fill or a checkpoint that they reach says something else.
        """
        at = 0
        while at < len(leaves):
            size = self.frontier.size
            stop = (size // TILE_WIDTH + 1) * TILE_WIDTH
            if self._next is not _NEVER:
                stop = min(stop, self._next.size)
            part = leaves[at : at + stop - size]
            grown = self.frontier.append([leaf_hash(leaf) for leaf in part])
            for tile in grown.tiles:
                if tile.width == TILE_WIDTH:
                    self._compare_tile(tile)
            self.frontier = grown.frontier
            self._compare_checkpoints()
            at += len(part)

    def finish(self, size: int, root: bytes) -> None:
        """Check the end: size and root as they are stored, and the tiles that are not full.

        Raises:
            LogInconsistent: Something is missing, or says something else.
        """
        if self.frontier.size != size:
            raise LogInconsistent(f"entry {self.frontier.size}", f"the log ends here; its size says {size}")
        self._compare_unfinished()
        if self.frontier.root != root:
            raise LogInconsistent(f"tree of size {size}", "the root stored is another")
        if self._next is not _NEVER:
            raise LogInconsistent(f"checkpoint of size {self._next.size}", "the log has fewer entries")

    def _ascending(self, checkpoints: Iterable[TreeHead]) -> Iterator[TreeHead]:
        before = 0
        for head in checkpoints:
            if head.size < before:
                raise ValueError("checkpoints come with the smallest first")
            before = head.size
            yield head

    def _compare_checkpoints(self) -> None:
        # Several can have one size: a log signs the same tree again when nothing has happened.
        while self._next.size == self.frontier.size:
            if self._next.root != self.frontier.root:
                # If a tile tells too, it tells which entry it is.
                self._compare_unfinished()
                raise LogInconsistent(f"checkpoint of size {self._next.size}", "the entries lead to another root")
            self._next = next(self._checkpoints, _NEVER)

    def _compare_unfinished(self) -> None:
        for level, hashes in enumerate(self.frontier.partials):
            if hashes:
                number = (self.frontier.size >> level * TILE_HEIGHT) // TILE_WIDTH
                self._compare_tile(Tile(level, number, hashes))

    def _compare_tile(self, tile: Tile) -> None:
        stored = self._tiles.read(tile.level, tile.number, tile.width)
        if stored == tile.hashes:
            return
        place = f"tile {tile.level}/{tile.number}"
        if len(stored) != len(tile.hashes):
            raise LogInconsistent(place, f"has not the {tile.width} hashes that the size asks for")
        at = next(
            at
            for at in range(tile.width)
            if stored[at * HASH_BYTES : (at + 1) * HASH_BYTES] != tile.hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]
        )
        node = tile.number * TILE_WIDTH + at
        if tile.level == 0:
            raise LogInconsistent(f"entry {node}", f"is not what {place} holds the hash of")
        span = TILE_WIDTH**tile.level
        raise LogInconsistent(
            f"{place}, hash {at}", f"is not that over entries {node * span} to {(node + 1) * span - 1}"
        )
