"""Read the log: find entries, prove them, and compute the whole of it anew.

Whoever is shown what entries disclose is recorded before he sees it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from gateway.clock import Clock
from gateway.errors import LogInconsistent, NotFound, Rejected
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.log_keys import open_with
from gateway.exchange.steps import step
from gateway.ids import PartnerId
from gateway.ports import (
    PRESENT,
    AppendLog,
    Checkpoints,
    EndedLog,
    EndedLogs,
    IntegrateLog,
    LogFilter,
    LogHead,
    LogRecord,
    ProveConsistency,
    ProveInclusion,
    ReadLog,
    ReadTile,
    RootAt,
    SearchLog,
    Store,
)
from gateway.translog.disclosure import disclose, verify_disclosure
from gateway.translog.entry import EventType
from gateway.translog.merkle import MAX_SIZE, leaf_hash
from gateway.translog.note_keys import NoteKey
from gateway.translog.proof import write_proof
from gateway.translog.tiles import TILE_WIDTH, Frontier, Tile

RECEIPT_STEPS: Final = (EventType.MESSAGE_RECEIVED, EventType.MESSAGE_REFUSED, EventType.MESSAGE_ACKNOWLEDGED)
"""What receipts name."""
MAX_PAGE: Final = 1000
DEFAULT_PAGE: Final = 100
CHECK_ROWS: Final = 1024
MAX_PROBLEMS: Final = 100
MAX_CHECKPOINTS: Final = 10_000_000
"""Three years of one every ten seconds."""
_INTEGRATE: Final = 4096


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry and the file that proves it."""

    record: LogRecord
    proof: bytes


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of a search."""

    records: tuple[LogRecord, ...]
    more: bool
    """Whether older entries match too."""
    total: int
    searched: int


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


class LogReader:
    """Answers auditors."""

    def __init__(self, *, store: Store, clock: Clock, keeper: LogKeeper) -> None:
        self._store = store
        self._clock = clock
        self._keeper = keeper

    async def head(self, log: int = PRESENT) -> LogHead:
        """Return where a log of ours stands.

        Raises:
            NotFound: We have kept none of this number.
        """
        return await self._keeper.head(log)

    async def ended(self) -> tuple[EndedLog, ...]:
        """Return our logs that another one has followed, the oldest first."""
        return await self._store.read(EndedLogs())

    async def _record(self, kind: EventType, actor: str, detail: str) -> None:
        await self._store.write(AppendLog((step(kind, self._clock.now_ms(), actor=actor, detail=detail),)))

    async def search(
        self, wanted: LogFilter, *, page_size: int, before: int | None, actor: str, log: int = PRESENT
    ) -> FoundPage:
        """Return a page of entries that match, newest first, and how many there are in all."""
        await self.head(log)
        size = min(page_size, MAX_PAGE) if page_size > 0 else DEFAULT_PAGE
        found = await self._store.read(
            SearchLog(filter=wanted, before=MAX_SIZE if before is None else before, max_rows=size + 1, log=log)
        )
        await self._record(EventType.LOG_SEARCHED, actor, f"{found.total} found")
        return FoundPage(found.records[:size], len(found.records) > size, found.total, found.searched)

    async def entries(
        self, first: int, count: int, *, disclosed: bool, actor: str, log: int = PRESENT
    ) -> tuple[LogRecord, ...]:
        """Return entries in order."""
        await self.head(log)
        records = await self._store.read(ReadLog(first=first, max_rows=count, log=log))
        if disclosed and records:
            await self._record(EventType.LOG_EXPORTED, actor, f"{first} to {records[-1].index}")
        return records

    async def prove(self, *, index: int | None, message_id: bytes, actor: str, log: int = PRESENT) -> ProvedEntry:
        """Return an entry with its proof under a checkpoint that covers it, signed now when there is none yet.

        A message is looked for in logs that ended too, the newest entry about it first, unless one log is named.

        Raises:
            NotFound: No such entry.
            LogRolledBack: Nothing is signed any more.
        """
        await self._integrate()
        if index is None:
            wanted = LogFilter(subject=message_id)
            found = [item async for item in self._everywhere(wanted, 1) if log in {PRESENT, item[0]}]
            if not found:
                raise NotFound("no entry of the log is about this message")
            log, record = found[0]
            index = record.index
        proved = await self._prove(index, log)
        await self._record(EventType.LOG_PROVED, actor, f"entry {index} of {(await self.head(log)).origin}")
        return proved

    async def _everywhere(self, wanted: LogFilter, max_rows: int) -> AsyncIterator[tuple[int, LogRecord]]:
        """Yield matching entries with the number of their log, those of the newest log first."""
        for log in range((await self.head()).number, 0, -1):
            found = await self._store.read(
                SearchLog(filter=wanted, before=MAX_SIZE, max_rows=max_rows, log=log, counted=False)
            )
            for record in found.records:
                yield log, record

    async def prove_leaf(self, leaf: bytes, message_id: bytes, partner: PartnerId) -> ProvedEntry:
        """Return the entry of a leaf that we named in a receipt to this partner.

        Raises:
            NotFound: No entry that a receipt to it names has such a leaf. Knowing the leaf is not enough: a proof of
                the entry beside it shows it to anybody.
            LogRolledBack: Nothing is signed any more.
        """
        await self._integrate()
        wanted = LogFilter(types=RECEIPT_STEPS, partner=partner.code, subject=message_id)
        async for log, record in self._everywhere(wanted, MAX_PAGE):
            if leaf_hash(record.leaf) == leaf:
                return await self._prove(record.index, log)
        raise NotFound("no entry about this message has this leaf")

    async def _integrate(self) -> None:
        while await self._store.write(IntegrateLog(_INTEGRATE)) == _INTEGRATE:
            pass

    async def _prove(self, index: int, log: int) -> ProvedEntry:
        head = await self.head(log)
        records = await self._store.read(ReadLog(first=index, max_rows=1, log=log))
        if not records or records[0].index != index:
            raise NotFound("no such entry")
        checkpoint = head.checkpoint
        # A log that ended is not signed any more: what its last checkpoint does not cover is not proved by it.
        present = head.number == (await self.head()).number
        if present and (checkpoint is None or checkpoint.size <= index):
            checkpoint = await self._keeper.sign_checkpoint() or (await self._keeper.head()).checkpoint
        if checkpoint is None or checkpoint.size <= index:
            raise NotFound("the entry is not under a checkpoint" + (" yet" if present else " of its log, which ended"))
        hashes = await self._store.read(ProveInclusion(index=index, size=checkpoint.size, log=log))
        return ProvedEntry(records[0], write_proof(index, hashes, checkpoint.note))

    async def consistency(self, old_size: int, new_size: int) -> tuple[tuple[bytes, ...], bytes, bytes]:
        """Return a consistency proof and both roots.

        Raises:
            NotFound: The tree does not have these sizes.
        """
        head = await self._keeper.head()
        if not 0 <= old_size <= new_size <= head.size:
            raise NotFound(f"the tree has {head.size} entries")
        hashes = await self._store.read(ProveConsistency(old_size=old_size, new_size=new_size))
        return hashes, await self._store.read(RootAt(old_size)), await self._store.read(RootAt(new_size))

    async def tile(self, level: int, number: int, width: int, log: int = PRESENT) -> bytes:
        """Return the first hashes of a tile.

        Raises:
            NotFound: The tile does not have so many.
        """
        await self.head(log)
        hashes = await self._store.read(ReadTile(level, number, log)) or b""
        if len(hashes) < 32 * width:
            raise NotFound("the tree has no such tile")
        return hashes[: 32 * width]

    async def check(self) -> AsyncIterator[CheckProgress]:
        """Compute the log anew; yield progress, the last time with `done`."""
        # A tree too damaged to grow is what a check is for: it names the place.
        with contextlib.suppress(LogInconsistent):
            await self._integrate()
        # Checkpoints first: the log grows meanwhile, and what is signed by now is in any tree that is read later.
        checkpoints = list(await self._store.read(Checkpoints(after=0, max_rows=MAX_CHECKPOINTS)))
        head = await self._keeper.head()
        progress = CheckProgress(head.size)
        tree = Frontier.empty()
        signed = {item.size: item for item in checkpoints if item.size <= head.size}
        for late in [item for item in checkpoints if item.size > head.size]:
            progress.found(f"a checkpoint of {late.size} entries is signed, and only {head.size} are here")
        boundaries = sorted(signed)
        keys = (head.origin, self._keeper.own_keys(head.origin))
        while tree.size < head.size:
            until = next((size for size in boundaries if size > tree.size), head.size)
            count = min(CHECK_ROWS, until - tree.size)
            try:
                records = await self._store.read(ReadLog(first=tree.size, max_rows=count))
            except LogInconsistent as error:
                progress.found(error.text)
                break
            if len(records) != count or records[0].index != tree.size:
                progress.found(f"entries from {tree.size} on are missing")
                break
            for record in records:
                self._check_record(record, progress)
            grown = await asyncio.to_thread(tree.append, [leaf_hash(record.leaf) for record in records])
            tree = grown.frontier
            await self._check_tiles(grown.tiles, progress, last=tree.size == head.size)
            if tree.size in signed:
                progress.checkpoints += 1
                self._check_signed(signed[tree.size].note, tree, keys, progress)
            progress.checked = tree.size
            yield progress
        if tree.size == head.size and tree.root != head.root:
            progress.found("the root of the entries is not the root that is stored")
        progress.done = True
        yield progress

    @staticmethod
    def _check_record(record: LogRecord, progress: CheckProgress) -> None:
        if record.event is None:
            progress.erased += 1
            return
        progress.disclosed += 1
        try:
            verify_disclosure(record.leaf, disclose(record.event, record.salts))
        except (Rejected, ValueError) as error:
            progress.found(f"entry {record.index}: {error}")

    async def _check_tiles(self, changed: tuple[Tile, ...], progress: CheckProgress, *, last: bool) -> None:
        for tile in changed:
            # A tile that still grows is compared when it is full, or at the end.
            if tile.width == TILE_WIDTH or last:
                stored = await self._store.read(ReadTile(tile.level, tile.number)) or b""
                # The log goes on growing while it is checked: its last tiles may hold more by now.
                if stored[: len(tile.hashes)] != tile.hashes:
                    progress.found(f"tile {tile.level}/{tile.number} is not the one that the entries make")

    @staticmethod
    def _check_signed(
        note: bytes, tree: Frontier, keys: tuple[str, tuple[NoteKey, ...]], progress: CheckProgress
    ) -> None:
        try:
            stated = open_with(note, *keys)
        except Rejected as error:
            progress.found(f"the checkpoint of {tree.size} entries: {error.text}")
            return
        if stated.root != tree.root or stated.size != tree.size:
            progress.found(f"the checkpoint of {tree.size} entries states another tree than the entries make")
