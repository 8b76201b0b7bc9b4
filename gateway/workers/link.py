"""The worker that carries one partner's queue over its carrier.

One worker at a time holds the partner's lease; every acknowledgement is checked against the lease's epoch, so that a
worker that slept through its lease can store nothing. A worker knows only its own partner: a dead partner slows nobody.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.errors import (
    Broken,
    CardRejected,
    GatewayError,
    LeaseLost,
    PartnerFrozen,
    PartnerUnknown,
    PartnerUnreachable,
)
from gateway.exchange.deliver import Backlog, Courier, LinkSchedule, LinkState
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.sealed_rows import ReadyEnvelope, ready_from_row
from gateway.ids import PartnerId
from gateway.model.envelope import ReceiptBatch
from gateway.model.header import Urgency
from gateway.model.partner import SignedCard
from gateway.ports import (
    Carrier,
    DropLease,
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
from gateway.workers.signals import Signal

log = structlog.get_logger(__name__)

LEASE_MS: Final = 15_000
RENEW_MS: Final = 5_000
WINDOW_FRAMES: Final = 4
"""Frames sent and not answered: enough to keep the partner busy, few enough to lose little."""
ANSWER_TIMEOUT_S: Final = 30.0
"""A link that is silent for so long with frames in flight is half-open: close it and send again."""
IDLE_S: Final = 1.0
SCAN_S: Final = 15.0
"""How often the database is looked at without being woken."""
SHARED_SCAN_S: Final = 1.0
"""The same when other replicas write too: wake-ups can be lost, and numbers appear out of order."""
LOAD_ROWS: Final = 256
LOAD_BYTES: Final = 2 << 20
SUCCESS_NOTE_MS: Final = 10_000


class LinkWorker:
    """Sends what waits for one partner."""

    def __init__(
        self,
        *,
        partner: PartnerId,
        holder: str,
        directory: PartnerDirectory,
        store: Store,
        carrier: Carrier,
        identity: Callable[[], LinkIdentity],
        courier: Courier,
        keys: KeyHolder,
        clock: Clock,
    ) -> None:
        self.partner = partner
        self.state = LinkState.IDLE
        self.schedule = LinkSchedule(random.random)
        self._holder = holder
        self._directory = directory
        self._store = store
        self._carrier = carrier
        self._identity = identity
        self._courier = courier
        self._keys = keys
        self._clock = clock
        self._backlog = Backlog()
        self._signal = Signal()
        # On a store of our own every row is offered to us; on a shared one other replicas accept messages too.
        self._unsubscribe = store.subscribe(f"outbox/{partner}", self._stored_elsewhere) if store.shared else None
        self._frames: deque[tuple[OutgoingFrame, tuple[ReadyEnvelope, ...], tuple[WaitingReceipt, ...]]] = deque()
        self._answered = asyncio.Event()
        self._settled_ms = 0
        self._noted_ms = 0
        self._urgent = False
        self._receipts_maybe = True
        self._shared_card: SignedCard | None = None

    def offer(self, envelope: ReadyEnvelope) -> None:
        """Take an envelope that has just become durable."""
        self._backlog.offer(envelope)
        if envelope.urgency <= Urgency.U1:
            self._urgent = True
            if self.state is LinkState.BACKING_OFF:
                self.schedule.hurry(self._clock.now_ms())
        self._signal.wake()

    def receipts_wait(self) -> None:
        """A later rung for this partner has just become durable."""
        self._receipts_maybe = True
        self._signal.wake()

    def _look_again(self) -> None:
        """Another replica may have queued something, or a wake-up was lost."""
        self._backlog.behind = True
        self._receipts_maybe = True

    def _stored_elsewhere(self) -> None:
        self._look_again()
        self._signal.wake()

    def heard(self) -> None:
        """The partner called us: it lives, so try it now."""
        if self.state is LinkState.BACKING_OFF:
            self.schedule.heard(self._clock.now_ms())
            self._signal.wake()

    def close(self) -> None:
        """Hear no more wake-ups."""
        if self._unsubscribe is not None:
            self._unsubscribe()

    async def run(self) -> None:
        """Carry until cancelled."""
        try:
            while True:
                try:
                    await self._once()
                except GatewayError:
                    # Damage of the store: no link can go on.
                    raise
                except Exception:
                    # A bug met on one partner's link must not stop the others; it is loud, and tried again slowly.
                    log.exception("link.bug", partner=self.partner.code)
                    self._failed(PartnerUnreachable("an error of our own; see the log"))
        finally:
            self.close()

    async def _once(self) -> None:
        now_ms = self._clock.now_ms()
        wait_ms = self.schedule.wait_ms(now_ms)
        if wait_ms:
            await self._signal.wait(wait_ms / 1000)
            return
        try:
            card = self._directory.usable(self.partner)
        except PartnerFrozen:
            self.state = LinkState.FROZEN
            await self._signal.wait(IDLE_S)
            return
        except PartnerUnknown:
            await self._signal.wait(IDLE_S)
            return
        epoch = await self._lease(now_ms)
        if epoch is None:
            self.state = LinkState.LEASED_ELSEWHERE
            self._backlog.forget()
            await self._signal.wait(IDLE_S)
            return
        try:
            link = await self._carrier.connect(self._identity(), card)
        except GatewayError as error:
            self._failed(error)
            return
        self.state = LinkState.CONNECTED
        self.schedule.heard(now_ms)
        log.info("link.connected", partner=self.partner.code, epoch=epoch)
        try:
            await self._carry(link, epoch)
        except GatewayError as error:
            self._failed(error)
        finally:
            self._frames.clear()
            self._backlog.forget()
            self._receipts_maybe = True
            self._shared_card = None
            if self.state is LinkState.CONNECTED:
                self.state = LinkState.IDLE
            await link.close()

    def _failed(self, error: GatewayError) -> None:
        if isinstance(error, Broken) and not isinstance(error, LeaseLost):
            raise error
        now_ms = self._clock.now_ms()
        self.state = LinkState.BACKING_OFF
        self.schedule.failed(now_ms, error.text, urgent=self._urgent)
        log.info("link.failed", partner=self.partner.code, reason=error.reason, retry_ms=self.schedule.wait_ms(now_ms))

    async def _lease(self, now_ms: int) -> int | None:
        return await self._store.write(
            TakeLease(partner=self.partner, holder=self._holder, now_ms=now_ms, until_ms=now_ms + LEASE_MS)
        )

    async def _carry(self, link: Link, epoch: int) -> None:
        """Send and settle until the link or the lease is gone. The first of the tasks to end ends all."""
        self._settled_ms = self._clock.now_ms()
        tasks = [
            asyncio.create_task(self._send(link)),
            asyncio.create_task(self._settle(link, epoch)),
            asyncio.create_task(self._keep(epoch)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError, GatewayError):
                    await task

    async def _keep(self, epoch: int) -> None:
        """Renew the lease, watch for silence, show a new card, and stop when the partner is frozen."""
        while True:
            await self._share_card()
            await asyncio.sleep(RENEW_MS / 1000 if not self._frames else 1.0)
            self._directory.usable(self.partner)
            now_ms = self._clock.now_ms()
            if await self._lease(now_ms) != epoch:
                raise LeaseLost("another replica holds the link")
            if self._frames and now_ms - self._settled_ms > ANSWER_TIMEOUT_S * 1000:
                raise PartnerUnreachable(f"no answer for {ANSWER_TIMEOUT_S:.0f} s")

    async def _share_card(self) -> None:
        """Exchange current cards once per link and card of ours, so that a rotated key is known before it is needed."""
        own = self._directory.own_card()
        if own == self._shared_card:
            return
        theirs = await self._carrier.fetch_card(self._identity(), self._directory.card(self.partner), own)
        try:
            await self._directory.offer(self.partner, theirs)
        except CardRejected as error:
            # Their sealed messages still verify against the card we trust; an operator must look at the other one.
            log.warning("card.rejected", partner=self.partner.code, reason=error.reason)
        self._shared_card = own

    async def _send(self, link: Link) -> None:
        sequence = 0
        while True:
            while len(self._frames) >= WINDOW_FRAMES:
                self._answered.clear()
                await self._answered.wait()
            envelopes = await self._next()
            receipts = await self._waiting_receipts()
            if not envelopes and not receipts:
                self._urgent = False
                if not await self._signal.wait(SHARED_SCAN_S if self._store.shared else SCAN_S):
                    self._look_again()
                continue
            sequence += 1
            frame = OutgoingFrame(
                sequence=sequence,
                envelopes=tuple(item.envelope for item in envelopes),
                receipts=tuple(
                    ReceiptBatch(
                        issuer=item.proof.issuer,
                        signing_key_id=item.proof.signing_key_id,
                        receipts=(item.proof.receipt,),
                        signature=item.proof.signature,
                    )
                    for item in receipts
                ),
            )
            if not self._frames:
                self._settled_ms = self._clock.now_ms()
            self._frames.append((frame, envelopes, receipts))
            await link.send(frame)

    async def _next(self) -> tuple[ReadyEnvelope, ...]:
        now_ms = self._clock.now_ms()
        if self._backlog.behind and not len(self._backlog):
            await self._load()
        return self._backlog.take(now_ms)

    async def _load(self) -> None:
        """Read waiting rows that are not in flight, most urgent first, until memory's share is full or none is left."""
        self._backlog.begin_load()
        complete = False
        try:
            complete = await self._load_rows()
        finally:
            self._backlog.end_load(complete=complete)

    async def _load_rows(self) -> bool:
        keys = self._keys.current
        for urgency in Urgency:
            after = 0
            while True:
                rows = await self._store.read(
                    WaitingEnvelopes(
                        partner=self.partner,
                        urgency=urgency,
                        after_sequence=after,
                        max_rows=LOAD_ROWS,
                        max_bytes=LOAD_BYTES,
                    )
                )
                for row in rows:
                    after = row.sequence
                    if not self._backlog.holds(row.digest):
                        self._backlog.load(ready_from_row(row, keys.partner, self.partner, keys.key_encryption))
                if not rows:
                    break
                if self._backlog.full:
                    return False
        return True

    async def _waiting_receipts(self) -> tuple[WaitingReceipt, ...]:
        if not self._receipts_maybe or any(receipts for _, _, receipts in self._frames):
            return ()
        rows = await self._store.read(WaitingReceipts(partner=self.partner, max_rows=64))
        self._receipts_maybe = len(rows) == 64
        return rows

    async def _settle(self, link: Link, epoch: int) -> None:
        async for answer in link.answers():
            if not self._frames or self._frames[0][0].sequence != answer.sequence:
                raise PartnerUnreachable("the partner answered a frame that was not sent")
            await self._settle_one(epoch, answer)
        raise PartnerUnreachable("the partner closed the link")

    async def _settle_one(self, epoch: int, answer: FrameAnswer) -> None:
        _, envelopes, receipts = self._frames[0]
        settled = await self._courier.settle(self.partner, epoch, self._backlog, envelopes, answer)
        if receipts and answer.receipts_stored:
            await self._store.write(
                DropWaitingReceipts(
                    partner=self.partner, epoch=epoch, sequences=tuple(item.sequence for item in receipts)
                )
            )
            self._receipts_maybe = True
        self._frames.popleft()
        now_ms = self._settled_ms = self._clock.now_ms()
        self._answered.set()
        if self._backlog.behind:
            self._signal.wake()
        if now_ms - self._noted_ms > SUCCESS_NOTE_MS:
            self._noted_ms = now_ms
            await self._directory.note_success(self.partner)
        if settled.deferred_reason and not settled.landed:
            # The partner cannot take anything now: pause instead of spinning on the same rows.
            await asyncio.sleep(1.0)
