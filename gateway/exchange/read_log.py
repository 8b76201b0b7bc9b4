"""Read the log: find entries, prove them, and compute the whole of it anew.

Whoever is shown what entries disclose is recorded before he sees it.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.errors import LogInconsistent, NotFound
from gateway.exchange.check_log import CheckProgress, check_log
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.steps import step
from gateway.ids import PartnerId
from gateway.ports import (
    PRESENT,
    AppendLog,
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
from gateway.translog.entry import EventType
from gateway.translog.merkle import MAX_SIZE, leaf_hash
from gateway.translog.proof import write_proof

RECEIPT_STEPS: Final = (EventType.MESSAGE_RECEIVED, EventType.MESSAGE_REFUSED, EventType.MESSAGE_ACKNOWLEDGED)
"""What receipts name."""
MAX_PAGE: Final = 1000
DEFAULT_PAGE: Final = 100
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
        head = await self._keeper.head()
        async for progress in check_log(self._store, head, self._keeper.card_keys()):
            yield progress
