"""All link workers: one per partner, started when its card comes, ended when it is removed or with the gateway."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Final

from gateway.clock import Clock
from gateway.exchange.courier import Courier
from gateway.exchange.deliver import Prefetch
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.observer import UNOBSERVED, Observer
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.sealed_rows import ReadyEnvelope
from gateway.ids import PartnerId, uuid7
from gateway.model.partner import SignedCard
from gateway.ports import Carrier, LinkIdentity, Store
from gateway.workers.link import LinkWorker
from gateway.workers.open_link import LinkParts

_ONLY_PROCESS: Final = "the only process"


class Links:
    """The gateway's links by partner."""

    def __init__(
        self,
        *,
        directory: PartnerDirectory,
        store: Store,
        carrier: Carrier,
        identity: Callable[[], LinkIdentity],
        courier: Courier,
        keys: KeyHolder,
        clock: Clock,
        prefetch: Prefetch,
        log: LogKeeper,
        recovered_card: Callable[[], SignedCard | None] = lambda: None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._observer = observer
        self._directory = directory
        self._store = store
        self._carrier = carrier
        self._identity = identity
        self._courier = courier
        self._keys = keys
        self._clock = clock
        self._prefetch = prefetch
        self._log = log
        self._recovered_card = recovered_card
        # A home has one process, held by a lock: whoever held its leases before is dead, and they need not be sat out.
        self._holder = str(uuid.UUID(bytes=uuid7(clock.now_ms()))) if store.shared else _ONLY_PROCESS
        self._workers: dict[PartnerId, LinkWorker] = {}
        self._tasks: dict[PartnerId, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        directory.on_change(self._changed)

    def worker(self, partner: PartnerId) -> LinkWorker | None:
        """Return a partner's worker."""
        return self._workers.get(partner)

    def offer(self, envelope: ReadyEnvelope) -> None:
        """Hand a durable envelope to its partner's worker. Without one the database keeps it."""
        worker = self._workers.get(envelope.partner)
        if worker is not None:
            worker.offer(envelope)

    def receipts_wait(self, partner: PartnerId) -> None:
        """A later rung for the partner has just become durable."""
        worker = self._workers.get(partner)
        if worker is not None:
            worker.receipts_wait()

    def heard(self, partner: PartnerId) -> None:
        """The partner made an authenticated call."""
        worker = self._workers.get(partner)
        if worker is not None:
            worker.heard()

    async def run(self) -> None:
        """Run a worker for every partner until cancelled; the first that fails for good ends all."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    for partner in self._directory.partners():
                        self._changed(partner)
                    await asyncio.Event().wait()
                finally:
                    self._group = None
        except ExceptionGroup as failed:
            # Whoever reads why the gateway ended wants the reason, not the group it came in.
            raise failed.exceptions[0] from None

    def _changed(self, partner: PartnerId) -> None:
        if self._group is None or partner == self._directory.own:
            return
        if partner not in self._directory.partners():
            self._end(partner)
            return
        if partner in self._workers:
            return
        worker = LinkWorker(
            LinkParts(
                partner=partner,
                holder=self._holder,
                directory=self._directory,
                store=self._store,
                carrier=self._carrier,
                identity=self._identity,
                courier=self._courier,
                keys=self._keys,
                clock=self._clock,
                prefetch=self._prefetch,
                log=self._log,
                observer=self._observer,
                recovered_card=self._recovered_card,
            )
        )
        self._workers[partner] = worker
        self._tasks[partner] = self._group.create_task(worker.run(), name=f"link/{partner}")

    def _end(self, partner: PartnerId) -> asyncio.Task[None] | None:
        self._workers.pop(partner, None)
        task = self._tasks.pop(partner, None)
        if task is not None:
            task.cancel()
        return task

    async def stop(self, partner: PartnerId) -> None:
        """End a partner's link. The next change of its card or freeze begins it anew."""
        task = self._end(partner)
        if task is not None:
            await asyncio.wait([task])
