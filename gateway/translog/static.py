"""A log as files that any static web server can serve (c2sp.org/tlog-tiles), and other people's verifiers can read."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from gateway.errors import LogInconsistent
from gateway.translog.checkpoint import Checkpoint
from gateway.translog.merkle import HASH_BYTES, TileReader, leaf_hash, tree_root
from gateway.translog.tiles import encode_bundle, tile_path, tiles_of

CHECKPOINT_PATH: Final = "checkpoint"


class EntryReader(Protocol):
    """Where the leaves of one log are kept."""

    def read_entries(self, number: int, width: int) -> Sequence[bytes]:
        """Return the first `width` (1 to 256) leaves of a bundle; bundle `number` begins with leaf number * 256."""
        ...


def static_files(checkpoint: Checkpoint, tiles: TileReader, entries: EntryReader) -> Iterator[tuple[str, bytes]]:
    """Yield (path, bytes) of every file of the log as it was at a checkpoint. Holds one tile at a time.

    The checkpoint comes last, so that what a stop leaves behind claims nothing.

    Raises:
        LogInconsistent: Tiles, leaves and checkpoint do not belong together.
        MessageTooLarge: A leaf is longer than a bundle can hold.
    """
    if tree_root(tiles, checkpoint.size) != checkpoint.root:
        raise LogInconsistent(f"checkpoint of size {checkpoint.size}", "the tiles lead to another root")
    for level, number, width in tiles_of(checkpoint.size):
        tile = tiles.read(level, number, width)
        if len(tile) != width * HASH_BYTES:
            raise LogInconsistent(f"tile {level}/{number}", f"has not the {width} hashes that the size asks for")
        yield tile_path(level, number, width), tile
        if level == 0:
            leaves = entries.read_entries(number, width)
            if b"".join(map(leaf_hash, leaves)) != tile:
                raise LogInconsistent(f"entries of tile 0/{number}", "are not those that the tile holds the hashes of")
            yield tile_path(None, number, width), encode_bundle(leaves)
    yield CHECKPOINT_PATH, checkpoint.note
