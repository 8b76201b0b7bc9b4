"""Compute a log anew from its entries, and compare tiles, checkpoints and disclosures with that.

Page by page: a log of a million entries takes no more memory than one of a thousand. Hashing and signatures are done
away from the event loop, so that nobody's message waits for an auditor.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import LogInconsistent, NotFound, Rejected
from gateway.exchange.log_keys import open_signed_in_time
from gateway.model.partner import CardKey
from gateway.ports import Checkpoint, Checkpoints, LogHead, LogRecord, ReadLog, ReadLogHead, ReadTile, Store
from gateway.translog.disclosure import disclose, verify_disclosure
from gateway.translog.entry import SALTS_BYTES, leaf
from gateway.translog.merkle import leaf_hash
from gateway.translog.tiles import TILE_WIDTH, Frontier, Tile

CHECK_ROWS: Final = 256
"""Entries at a time: one tile, and some 20 ms of a thread."""
MAX_PROBLEMS: Final = 100


@dataclass(slots=True)
class CheckProgress:
    """How far a check has come, and what it found."""

    size: int
    checked: int = 0
    checkpoints: int = 0
    disclosed: int = 0
    erased: int = 0
    done: bool = False
    problems: list[str] = field(default_factory=list)

    def found(self, problem: str) -> None:
        """Note what is wrong; beyond a hundred only the first count."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


async def check_log(store: Store, head: LogHead, keys: tuple[CardKey, ...]) -> AsyncIterator[CheckProgress]:
    """Check the log as it is at a head; yield progress, the last time with `done`.

    Args:
        store: Where it is kept.
        head: Up to where it is checked; it may go on growing.
        keys: Those of our card.
    """
    progress = CheckProgress(head.size)
    await _check_beyond(store, head, progress)
    tree = Frontier.empty()
    while tree.size < head.size:
        count = min(CHECK_ROWS, head.size - tree.size)
        try:
            records = await store.read(ReadLog(first=tree.size, max_rows=count))
        except LogInconsistent as error:
            progress.found(error.text)
            break
        if [record.index for record in records] != list(range(tree.size, tree.size + count)):
            progress.found(f"entries from {tree.size} on are missing")
            break
        signed = await store.read(Checkpoints(after=tree.size, max_rows=count))
        due = [item for item in signed if item.size <= tree.size + count]
        tree, changed = await asyncio.to_thread(_check_page, tree, records, due, (head.origin, keys), progress)
        await _check_tiles(store, changed, progress, last=tree.size == head.size)
        progress.checked = tree.size
        yield progress
    if tree.size == head.size and tree.root != head.root:
        progress.found("the root of the entries is not the root that is stored")
    progress.done = True
    yield progress


async def _check_beyond(store: Store, head: LogHead, progress: CheckProgress) -> None:
    """Look for checkpoints of more entries than there are."""
    late = await store.read(Checkpoints(after=head.size, max_rows=MAX_PROBLEMS))
    if not late:
        return
    # The log grows meanwhile: what is signed by now is in any tree that is read later.
    now = await store.read(ReadLogHead())
    if now is None:
        raise NotFound("the log is gone")
    for item in late:
        if item.size > now.size:
            progress.found(f"a checkpoint of {item.size} entries is signed, and only {now.size} are here")


def _check_page(
    tree: Frontier,
    records: Sequence[LogRecord],
    signed: Sequence[Checkpoint],
    keys: tuple[str, tuple[CardKey, ...]],
    progress: CheckProgress,
) -> tuple[Frontier, list[Tile]]:
    """Check entries, and the checkpoints that end among them; return the tree with them and the tiles they change."""
    changed: dict[tuple[int, int], Tile] = {}
    start = tree.size
    for record in records:
        _check_record(record, progress)
    hashes = [leaf_hash(record.leaf) for record in records]
    stops = {item.size: item for item in signed}
    for stop in sorted({*stops, start + len(records)}):
        grown = tree.append(hashes[tree.size - start : stop - start])
        tree = grown.frontier
        changed.update({(tile.level, tile.number): tile for tile in grown.tiles})
        if stop in stops:
            progress.checkpoints += 1
            _check_signed(stops[stop].note, tree, keys, progress)
    return tree, list(changed.values())


def _check_record(record: LogRecord, progress: CheckProgress) -> None:
    if record.event is None:
        progress.erased += 1
        return
    progress.disclosed += 1
    # The same leaf made anew says all that reading its disclosure would, for a tenth; the slow way says what differs.
    if len(record.salts) == SALTS_BYTES and leaf(record.event, record.salts) == record.leaf:
        return
    try:
        verify_disclosure(record.leaf, disclose(record.event, record.salts))
    except (Rejected, ValueError) as error:
        progress.found(f"entry {record.index}: {error}")


async def _check_tiles(store: Store, changed: Sequence[Tile], progress: CheckProgress, *, last: bool) -> None:
    for tile in changed:
        # A tile that still grows is compared when it is full, or at the end.
        if tile.width == TILE_WIDTH or last:
            stored = await store.read(ReadTile(tile.level, tile.number)) or b""
            # The log goes on growing while it is checked: its last tiles may hold more by now.
            if stored[: len(tile.hashes)] != tile.hashes:
                progress.found(f"tile {tile.level}/{tile.number} is not the one that the entries make")


def _check_signed(note: bytes, tree: Frontier, keys: tuple[str, tuple[CardKey, ...]], progress: CheckProgress) -> None:
    try:
        stated = open_signed_in_time(note, *keys)
    except Rejected as error:
        progress.found(f"the checkpoint of {tree.size} entries: {error.text}")
        return
    if stated.root != tree.root or stated.size != tree.size:
        progress.found(f"the checkpoint of {tree.size} entries states another tree than the entries make")
