"""One open link under one lease: frames out, answers in, until the link or the lease is gone.

Several frames are under way at once and their answers are settled side by side, so that their commits fall together.
Whatever ends the link, what was not settled is still in the database and is sent again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.errors import CardRejected, LeaseLost, PartnerUnreachable
from gateway.exchange.courier import Courier
from gateway.exchange.deliver import Backlog, Prefetch
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.observer import Observer
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.sealed_rows import ReadyEnvelope, ready_from_row
from gateway.ids import PartnerId
from gateway.model.envelope import ReceiptBatch, ReceiptProof
from gateway.model.header import Urgency
from gateway.model.partner import SignedCard
from gateway.ports import (
    Carrier,
    DropWaitingReceipts,
    FrameAnswer,
    Link,
    LinkIdentity,
    OutgoingFrame,
    Store,
    TakeLease,
    WaitingEnvelopes,
    WaitingReceipt,
    WaitingReceipts,
)
from gateway.workers.share_checkpoints import share_checkpoints
from gateway.workers.signals import Signal

log = structlog.get_logger(__name__)

LEASE_MS: Final = 15_000
RENEW_S: Final = 5.0
WATCH_S: Final = 1.0
WINDOW_FRAMES: Final = 6
"""Frames sent and not settled: enough to keep both sides busy, few enough to lose little."""
CALM_FRAMES: Final = 2
CALM_BYTES: Final = 256 << 10
"""While so many frames of so many bytes are unanswered, U2 and U3 wait: on a line of 2 Mbit/s this is one second, and
what is on the line cannot be overtaken. Small frames do not delay anything, and get the whole window."""
ANSWER_TIMEOUT_MS: Final = 30_000
"""A link that is silent for so long with frames under way is half-open: close it and send again."""
SLOWEST_BYTES_PER_MS: Final = 1
"""A line of 8 kbit/s is the slowest that counts as one: a frame gets the time it needs there before silence is silence.
Without it a line slower than a frame in the time above would be given up and begun anew for ever."""
SCAN_S: Final = 15.0
"""How often the database is looked at without being woken."""
SHARED_SCAN_S: Final = 1.0
"""The same when other replicas write too: wake-ups can be lost, and numbers appear out of order."""
LOAD_ROWS: Final = 256
LOAD_BYTES: Final = 2 << 20
RECEIPT_ROWS: Final = 64
SUCCESS_NOTE_MS: Final = 10_000
DEFERRED_PAUSE_S: Final = 1.0
CHECKPOINTS_MS: Final = 60_000
LIVED_S: Final = 30.0
"""A link that has stood for so long is a good one, though there was nothing to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkParts:
    """What carrying to one partner needs."""

    partner: PartnerId
    holder: str
    """Names this process in leases."""
    directory: PartnerDirectory
    store: Store
    carrier: Carrier
    identity: Callable[[], LinkIdentity]
    courier: Courier
    keys: KeyHolder
    clock: Clock
    prefetch: Prefetch
    """Shared by all links of this process."""
    log: LogKeeper
    observer: Observer
    recovered_card: Callable[[], SignedCard | None]
    """Gives our last card that the recovery key has signed."""

    async def take_lease(self, now_ms: int) -> int | None:
        """Take or renew the partner's lease; its epoch, or None while another replica holds it."""
        return await self.store.write(
            TakeLease(partner=self.partner, holder=self.holder, now_ms=now_ms, until_ms=now_ms + LEASE_MS)
        )


@dataclass(frozen=True, slots=True)
class _UnderWay:
    frame: OutgoingFrame
    envelopes: tuple[ReadyEnvelope, ...]
    receipts: tuple[WaitingReceipt, ...]

    @property
    def size_bytes(self) -> int:
        """What its envelopes take on the line, about."""
        return sum(item.envelope.size_bytes for item in self.envelopes)


class OpenLink:
    """Carries over one link.

    Args:
        backlog: The partner's queue in memory.
        signal: Woken when there is something new to send.
        proved: Called once when the link is known to carry. To connect proves nothing: a partner may take every
            connection and fail at every frame, and must not be tried without end at the shortest back-off.
    """

    def __init__(
        self,
        parts: LinkParts,
        link: Link,
        epoch: int,
        backlog: Backlog,
        signal: Signal,
        *,
        proved: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._link = link
        self._epoch = epoch
        self._backlog = backlog
        self._signal = signal
        self._proved: Callable[[], None] | None = proved
        self._under_way: deque[_UnderWay] = deque()
        self._unsettled = 0
        self._settled = asyncio.Event()
        self._settling: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._heard_ms = parts.clock.now_ms()
        self._opened_ms = self._heard_ms
        self._noted_ms = 0
        self._shared_card: SignedCard | None = None
        self._checkpoints_due_ms = 0
        self.receipts_maybe = True
        """Later rungs may wait in the database."""

    async def carry(self) -> None:
        """Send and settle until the link, the lease or the partner's admission is gone.

        Returns when the partner has ended, in good order, a link that had stood: every stream ends some time, so that
        whoever calls is checked anew.

        Raises:
            GatewayError: Why it ended.
        """
        tasks = [self._task(self._send()), self._task(self._listen()), self._task(self._keep())]
        lived = asyncio.get_running_loop().call_later(LIVED_S, self._prove)
        try:
            await self._ended
        finally:
            lived.cancel()
            ending = {*tasks, *self._settling}
            for task in ending:
                task.cancel()
            # Not by awaiting each with its cancellation suppressed: when the gateway stops while a link is already
            # ending, ours would be suppressed too, and the worker would go on for ever.
            await asyncio.wait(ending)

    def _prove(self) -> None:
        proved, self._proved = self._proved, None
        if proved is not None:
            proved()

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._one_ended)
        return task

    def _one_ended(self, task: asyncio.Task[None]) -> None:
        """The first task to fail ends the link with its error."""
        if task.cancelled():
            return
        # Looked at in any case: an error that nobody looked at is reported as a bug.
        error = task.exception()
        if error is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def _keep(self) -> None:
        """Renew the lease, watch for silence, show a new card, and stop when the partner is frozen."""
        parts = self._parts
        while True:
            await self._share_card()
            await self._share_checkpoints()
            await asyncio.sleep(WATCH_S if self._under_way else RENEW_S)
            parts.directory.usable(parts.partner)
            now_ms = parts.clock.now_ms()
            if await parts.take_lease(now_ms) != self._epoch:
                raise LeaseLost("another replica holds the link")
            if self._under_way:
                borne_ms = ANSWER_TIMEOUT_MS + self._under_way[0].size_bytes // SLOWEST_BYTES_PER_MS
                if now_ms - self._heard_ms > borne_ms:
                    raise PartnerUnreachable(f"no answer for {borne_ms // 1000} s")

    async def _share_card(self) -> None:
        """Exchange current cards once per link and card of ours, so that a rotated key is known before it is needed."""
        parts = self._parts
        own = parts.directory.own_card()
        if own == self._shared_card:
            return
        theirs = await self._exchange_cards(own)
        try:
            await parts.directory.offer(parts.partner, theirs)
        except CardRejected as error:
            # Their sealed messages still verify against the card we trust; an operator must look at the other one.
            log.warning("card.rejected", partner=parts.partner.code, reason=error.reason)
        self._shared_card = own

    async def _share_checkpoints(self) -> None:
        """Exchange checkpoints of both logs now and then, so that a log rolled back or forked is found out."""
        parts = self._parts
        now_ms = parts.clock.now_ms()
        if now_ms < self._checkpoints_due_ms:
            return
        self._checkpoints_due_ms = now_ms + CHECKPOINTS_MS
        await share_checkpoints(parts.log, parts.carrier, parts.identity(), parts.directory.card(parts.partner))

    async def _exchange_cards(self, own: SignedCard) -> SignedCard:
        parts = self._parts
        card = parts.directory.card(parts.partner)
        try:
            return await parts.carrier.fetch_card(parts.identity(), card, own)
        except PartnerUnreachable:
            recovered = parts.recovered_card()
            if recovered is None or recovered == own:
                raise
            # A partner that was away during a recovery refuses what came after, until it has seen the card between.
            await parts.carrier.fetch_card(parts.identity(), card, recovered)
            return await parts.carrier.fetch_card(parts.identity(), card, own)

    # --- out -----------------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        sequence = 0
        while True:
            while self._unsettled >= WINDOW_FRAMES:
                self._settled.clear()
                await self._settled.wait()
            if self._backlog.urgent_uncertain:
                await self._load(urgent_only=True)
            elif self._backlog.behind_from is not None and not len(self._backlog):
                await self._load()
            if self._line_full() and not self._backlog.urgent:
                await self._rest()
                continue
            envelopes = await self._that_count(self._backlog.take(self._parts.clock.now_ms()))
            receipts = await self._waiting_receipts()
            if not envelopes and not receipts:
                await self._rest()
                continue
            sequence += 1
            frame = OutgoingFrame(
                sequence=sequence,
                envelopes=tuple([item.envelope for item in envelopes]),
                receipts=tuple([_alone(self._parts.keys.receipt_that_counts(item.proof)) for item in receipts]),
                traces=self._parts.observer.sending(self._parts.partner, envelopes),
            )
            if not self._under_way:
                self._heard_ms = self._parts.clock.now_ms()
            self._under_way.append(_UnderWay(frame, envelopes, receipts))
            self._unsettled += 1
            await self._link.send(frame)

    def _line_full(self) -> bool:
        """Say whether so much is unanswered that only U0 and U1 may follow."""
        frames = self._under_way
        return len(frames) >= CALM_FRAMES and sum(frame.size_bytes for frame in frames) > CALM_BYTES

    async def _rest(self) -> None:
        """Wait until something changes, and no longer than the database may go without being looked at."""
        if not await self._signal.wait(SHARED_SCAN_S if self._parts.store.shared else SCAN_S):
            # Another replica may have queued something, or a wake-up was lost.
            self._backlog.fall_behind(Urgency.U0)
            self.receipts_maybe = True

    async def _that_count(self, envelopes: tuple[ReadyEnvelope, ...]) -> tuple[ReadyEnvelope, ...]:
        """Seal again what a key signed that was revoked since then: the partner would refuse it for good."""
        parts = self._parts
        refused = [item for item in envelopes if not parts.keys.envelope_counts(item.envelope)]
        if not refused:
            return envelopes
        for item in refused:
            self._backlog.land(item.digest)
            self._backlog.fall_behind(item.urgency)
            await parts.courier.seal_again(parts.partner, self._epoch, self._backlog, item)
        self._signal.wake()
        return tuple(item for item in envelopes if item not in refused)

    async def _load(self, *, urgent_only: bool = False) -> None:
        """Read waiting rows that are not in flight, most urgent first, until memory's share is full or none is left."""
        self._backlog.begin_load(urgent_only=urgent_only)
        stopped_at: Urgency | None = Urgency.U0
        try:
            stopped_at = await self._load_rows((Urgency.U0, Urgency.U1) if urgent_only else tuple(Urgency))
        finally:
            self._backlog.end_load(stopped_at)

    async def _load_rows(self, urgencies: tuple[Urgency, ...]) -> Urgency | None:
        """Return the urgency at which memory was full, None when all were read to their end."""
        parts = self._parts
        keys = parts.keys.current
        for urgency in urgencies:
            after = 0
            while True:
                rows = await parts.store.read(
                    WaitingEnvelopes(
                        partner=parts.partner,
                        urgency=urgency,
                        after_sequence=after,
                        max_rows=LOAD_ROWS,
                        max_bytes=LOAD_BYTES,
                    )
                )
                for row in rows:
                    after = row.sequence
                    if not self._backlog.holds(row.digest):
                        self._backlog.load(ready_from_row(row, parts.partner, keys.key_encryption))
                if not rows:
                    break
                if self._backlog.full_for(urgency):
                    return urgency
        return None

    async def _waiting_receipts(self) -> tuple[WaitingReceipt, ...]:
        # One frame with later rungs at a time, so that none is sent twice while the first is under way.
        if not self.receipts_maybe or any(item.receipts for item in self._under_way):
            return ()
        rows = await self._parts.store.read(WaitingReceipts(partner=self._parts.partner, max_rows=RECEIPT_ROWS))
        self.receipts_maybe = len(rows) == RECEIPT_ROWS
        return rows

    # --- in ------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for answer in self._link.answers():
            if not self._under_way or self._under_way[0].frame.sequence != answer.sequence:
                raise PartnerUnreachable("the partner answered a frame that was not sent")
            self._heard_ms = self._parts.clock.now_ms()
            line_was_full = self._line_full()
            task = self._task(self._settle(self._under_way.popleft(), answer))
            if line_was_full:
                self._signal.wake()
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
        # Only a link that has stood: a partner that ends each one at once must not be tried without a pause.
        lived_ms = self._parts.clock.now_ms() - self._opened_ms
        if self._under_way or lived_ms < LIVED_S * 1000:
            raise PartnerUnreachable("the partner closed the link")
        if not self._ended.done():
            self._ended.set_result(None)

    async def _settle(self, sent: _UnderWay, answer: FrameAnswer) -> None:
        parts = self._parts
        settled = await parts.courier.settle(parts.partner, self._epoch, self._backlog, sent.envelopes, answer)
        self._prove()
        if sent.receipts:
            if answer.receipts_stored:
                sequences = tuple(item.sequence for item in sent.receipts)
                await parts.store.write(
                    DropWaitingReceipts(partner=parts.partner, epoch=self._epoch, sequences=sequences)
                )
            self.receipts_maybe = True
            self._signal.wake()
        if settled.deferred_reason and not settled.landed:
            # The partner takes nothing now: pause instead of spinning on the same rows.
            await asyncio.sleep(DEFERRED_PAUSE_S)
        self._unsettled -= 1
        self._settled.set()
        if self._backlog.behind_from is not None:
            self._signal.wake()
        await self._note_success()

    async def _note_success(self) -> None:
        now_ms = self._parts.clock.now_ms()
        if now_ms - self._noted_ms > SUCCESS_NOTE_MS:
            self._noted_ms = now_ms
            await self._parts.directory.note_success(self._parts.partner)


def _alone(proof: ReceiptProof) -> ReceiptBatch:
    """Return a later rung as a batch of its own, as it was signed."""
    return ReceiptBatch(
        issuer=proof.issuer, signing_key_id=proof.signing_key_id, receipts=(proof.receipt,), signature=proof.signature
    )
