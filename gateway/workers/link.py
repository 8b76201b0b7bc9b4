"""The worker that carries one partner's queue over its carrier.

One worker at a time holds the partner's lease; every acknowledgement is checked against the lease's epoch, so that a
worker that slept through its lease can store nothing. A worker knows only its own partner: a dead partner slows nobody.
"""

import contextlib
import random
from typing import Final

import structlog

from gateway.errors import Broken, Busy, GatewayError, LeaseLost, PartnerFrozen, PartnerUnknown, PartnerUnreachable
from gateway.exchange.deliver import Backlog
from gateway.exchange.schedule import LinkSchedule, LinkState
from gateway.exchange.sealed_rows import ReadyEnvelope
from gateway.ids import PartnerId
from gateway.model.header import Urgency
from gateway.ports import DropLease, WaitingEnvelopes
from gateway.workers.open_link import LinkParts, OpenLink
from gateway.workers.signals import Signal

log = structlog.get_logger(__name__)

IDLE_S: Final = 1.0


class LinkWorker:
    """Sends what waits for one partner."""

    def __init__(self, parts: LinkParts) -> None:
        self.state = LinkState.IDLE
        self.schedule = LinkSchedule(random.random)
        self._parts = parts
        self._backlog = Backlog(parts.prefetch)
        self._signal = Signal()
        self._open: OpenLink | None = None
        # On a store of our own every row is offered to us; on a shared one other replicas accept messages too.
        topic = f"outbox/{parts.partner}"
        self._unsubscribe = parts.store.subscribe(topic, self._stored_elsewhere) if parts.store.shared else None

    @property
    def partner(self) -> PartnerId:
        """Whose queue it is."""
        return self._parts.partner

    def offer(self, envelope: ReadyEnvelope) -> None:
        """Take an envelope that has just become durable."""
        self._backlog.offer(envelope)
        if envelope.urgency <= Urgency.U1 and self.state is LinkState.BACKING_OFF:
            self.schedule.hurry(self._parts.clock.now_ms())
        self._signal.wake()

    def receipts_wait(self) -> None:
        """A later rung for this partner has just become durable."""
        if self._open is not None:
            self._open.receipts_maybe = True
        self._signal.wake()

    def _stored_elsewhere(self) -> None:
        self._backlog.fall_behind(Urgency.U0)
        self.receipts_wait()

    def heard(self) -> None:
        """The partner called us: it lives, so try it now."""
        if self.state is LinkState.BACKING_OFF:
            self.schedule.heard(self._parts.clock.now_ms())
            self._signal.wake()

    def _proved(self) -> None:
        """The link carries: the next failure is a first one."""
        self.schedule.heard(self._parts.clock.now_ms())

    async def run(self) -> None:
        """Carry until cancelled.

        Raises:
            Broken: The store is damaged: no link can go on.
        """
        try:
            while True:
                try:
                    await self._once()
                except GatewayError as error:
                    if isinstance(error, Broken) and not isinstance(error, LeaseLost):
                        raise
                    await self._failed(error)
                except Exception:
                    # A bug met on one partner's link must not stop the others; it is loud, and tried again slowly.
                    log.exception("link.bug", partner=self.partner.code)
                    await self._failed(PartnerUnreachable("an error of our own; see the log"))
        finally:
            # What was read ahead counts against what all links may hold.
            self._backlog.forget()
            if self._unsubscribe is not None:
                self._unsubscribe()

    async def _once(self) -> None:
        parts = self._parts
        now_ms = parts.clock.now_ms()
        wait_ms = self.schedule.wait_ms(now_ms)
        if wait_ms:
            await self._signal.wait(wait_ms / 1000)
            return
        try:
            card = parts.directory.usable(self.partner)
        except (PartnerFrozen, PartnerUnknown) as error:
            self.state = LinkState.FROZEN if isinstance(error, PartnerFrozen) else LinkState.IDLE
            await self._signal.wait(IDLE_S)
            return
        epoch = await parts.take_lease(now_ms)
        if epoch is None:
            self.state = LinkState.LEASED_ELSEWHERE
            self._backlog.forget()
            await self._signal.wait(IDLE_S)
            return
        try:
            link = await parts.carrier.connect(parts.identity(), card)
        except BaseException:
            await self._drop_lease(epoch)
            raise
        try:
            opened = OpenLink(parts, link, epoch, self._backlog, self._signal, proved=self._proved)
            await self._carry(opened, epoch)
        finally:
            self._open = None
            self._backlog.forget()
            self.state = LinkState.IDLE
            await link.close()

    async def _carry(self, opened: OpenLink, epoch: int) -> None:
        self._open = opened
        self.state = LinkState.CONNECTED
        log.info("link.connected", partner=self.partner.code, epoch=epoch)
        try:
            await opened.carry()
        except LeaseLost:
            raise
        except BaseException:
            await self._drop_lease(epoch)
            raise
        # The lease stays ours: the next link is opened at once.
        log.info("link.renewed", partner=self.partner.code, epoch=epoch)

    async def _drop_lease(self, epoch: int) -> None:
        """Let another replica, which may reach the partner, have the link before the lease runs out."""
        # When the store cannot, it waits for that: the first error counts, and above all a cancellation must not turn
        # into an error after which the link is tried again.
        with contextlib.suppress(Busy):
            await self._parts.store.write(DropLease(partner=self.partner, holder=self._parts.holder, epoch=epoch))

    async def _failed(self, error: GatewayError) -> None:
        urgent = await self._urgent_waits()
        now_ms = self._parts.clock.now_ms()
        self.state = LinkState.BACKING_OFF
        self.schedule.failed(now_ms, error.text, urgent=urgent)
        log.info(
            "link.failed",
            partner=self.partner.code,
            reason=error.reason,
            why=error.text,
            retry_ms=self.schedule.wait_ms(now_ms),
        )

    async def _urgent_waits(self) -> bool:
        for urgency in (Urgency.U0, Urgency.U1):
            query = WaitingEnvelopes(partner=self.partner, urgency=urgency, after_sequence=0, max_rows=1, max_bytes=1)
            try:
                if await self._parts.store.read(query):
                    return True
            except Busy:
                # Not knowing is no reason to let a life wait.
                return True
        return False
