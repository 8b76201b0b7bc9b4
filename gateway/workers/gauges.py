"""What gauges show, gathered on the event loop every few seconds and read from there by whoever collects."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.crypto.certificates import validity_ms
from gateway.crypto.keyring import Keyring
from gateway.errors import Busy, GatewayError, StoreCorrupt
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.schedule import LinkState
from gateway.ids import PartnerId
from gateway.model.header import Urgency
from gateway.model.partner import KeyPurpose
from gateway.ports import QueueDepth, QueueDepths, Store
from gateway.telemetry import catalogue
from gateway.telemetry.meters import Meters, Values
from gateway.workers.links import Links
from gateway.workers.store_watch import StoreWatch

log = structlog.get_logger(__name__)

REFRESH_S: Final = 5.0
PATIENCE_S: Final = 5.0
"""A store that does not answer must not keep the other gauges from being fresh."""
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLag:
    """How far the exchange log is behind."""

    pending: int
    """Entries that are not integrated."""
    unsigned: int
    """Entries that no checkpoint covers."""
    checkpoint_ms: int | None
    """When the last checkpoint was signed; None before the first."""


@dataclass(frozen=True, slots=True)
class _Queues:
    read_ms: int
    depths: dict[tuple[PartnerId, Urgency], QueueDepth]
    dead: dict[PartnerId, int]


class Gauges:
    """Fills the gauges of one gateway.

    Args:
        log_lag: Says how far the exchange log is behind; without it nothing is shown of the log.
    """

    def __init__(
        self,
        *,
        meters: Meters,
        store: Store,
        directory: PartnerDirectory,
        links: Links,
        keyring: Callable[[], Keyring],
        clock: Clock,
        watch: StoreWatch,
        log_lag: Callable[[], Awaitable[LogLag]] | None = None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._links = links
        self._keyring = keyring
        self._clock = clock
        self._watch = watch
        self._log_lag = log_lag
        self._lag: LogLag | None = None
        self._queues: _Queues | None = None
        self._latest: dict[str, Values] = {}
        for metric in catalogue.METRICS:
            if metric.form is catalogue.Form.GAUGE:
                meters.watch(metric, lambda name=metric.name: self._latest.get(name, ()))  # type: ignore[misc]

    async def run(self) -> None:
        """Gather until cancelled."""
        while True:
            await self._read_queues()
            await self._read_log()
            self._latest = {metric.name: values for metric, values in self._gather()}
            await asyncio.sleep(REFRESH_S)

    async def _read_queues(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                depths, dead = await self._store.read(QueueDepths())
        except (Busy, StoreCorrupt, TimeoutError) as error:
            # What was read last stays, and its age says how old it is.
            log.warning("worker.waiting", worker="gauges", reason=getattr(error, "reason", "TIMEOUT"))
            return
        self._queues = _Queues(self._clock.now_ms(), {(item.partner, item.urgency): item for item in depths}, dead)

    async def _read_log(self) -> None:
        if self._log_lag is None:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._lag = await self._log_lag()
        except (GatewayError, TimeoutError) as error:
            # No fault of the log ends the gateway: what was read last stays.
            log.warning("worker.waiting", worker="gauges", reason=getattr(error, "reason", "TIMEOUT"))

    def _gather(self) -> list[tuple[catalogue.Metric, Values]]:
        """Return every gauge that something is known of."""
        gathered: list[tuple[catalogue.Metric, Values]] = [
            (catalogue.STORE_AVAILABLE, [({}, int(self._watch.available))]),
            (catalogue.KEY_EXPIRY, self._keys()),
            (catalogue.CERTIFICATE_EXPIRY, self._certificates()),
            (catalogue.MEMORY, [({}, resident_bytes())]),
            *self._of_links(),
        ]
        if self._queues is not None:
            gathered += self._of_queues(self._queues)
        if self._lag is not None:
            gathered.append((catalogue.LOG_PENDING, [({}, self._lag.pending)]))
            if self._lag.checkpoint_ms is not None:
                # A log that does not grow is not signed again: its last checkpoint is as good as a new one.
                age_s = self._since_s(self._lag.checkpoint_ms) if self._lag.unsigned else 0
                gathered.append((catalogue.LOG_CHECKPOINT_AGE, [({}, age_s)]))
        return gathered

    def _since_s(self, instant_ms: int) -> float:
        return max(0, self._clock.now_ms() - instant_ms) / 1000

    def _of_queues(self, queues: _Queues) -> list[tuple[catalogue.Metric, Values]]:
        # 0 where nothing waits: a series that goes away looks as if all were well.
        places = [(partner, urgency) for partner in self._directory.partners() for urgency in Urgency]
        found = [({"partner": p.code, "urgency": u.name}, queues.depths.get((p, u))) for p, u in places]
        return [
            (catalogue.QUEUE_LENGTH, [(labels, 0 if item is None else item.waiting) for labels, item in found]),
            (
                catalogue.QUEUE_AGE,
                [(labels, 0 if item is None else self._since_s(item.oldest_ms)) for labels, item in found],
            ),
            (
                catalogue.QUEUE_DEAD,
                [({"partner": p.code}, queues.dead.get(p, 0)) for p in self._directory.partners()],
            ),
            (catalogue.SNAPSHOT_AGE, [({}, self._since_s(queues.read_ms))]),
        ]

    def _of_links(self) -> list[tuple[catalogue.Metric, Values]]:
        now_ms = self._clock.now_ms()
        states: list[tuple[dict[str, str], float]] = []
        failures: list[tuple[dict[str, str], float]] = []
        backoff: list[tuple[dict[str, str], float]] = []
        for partner in self._directory.partners():
            worker = self._links.worker(partner)
            now = LinkState.IDLE if worker is None else worker.state
            if self._directory.known(partner).frozen:
                now = LinkState.FROZEN
            states += [({"partner": partner.code, "state": state.value}, int(state is now)) for state in LinkState]
            failures.append(({"partner": partner.code}, 0 if worker is None else worker.schedule.failures))
            wait_ms = worker.schedule.wait_ms(now_ms) if worker is not None and now is LinkState.BACKING_OFF else 0
            backoff.append(({"partner": partner.code}, wait_ms / 1000))
        return [
            (catalogue.LINK_STATE, states),
            (catalogue.LINK_FAILURES, failures),
            (catalogue.LINK_BACKOFF, backoff),
        ]

    def _keys(self) -> Values:
        keyring, now_ms = self._keyring(), self._clock.now_ms()
        own = keyring.partner.code
        ends = {(own, purpose): held.end_ms for purpose, held in keyring.signing}
        ends[own, KeyPurpose.SEAL] = keyring.seal[0].end_ms
        for partner in self._directory.partners():
            for key in self._directory.known(partner).card.keys:
                if key.revoke_ms is None and key.end_ms > ends.get((partner.code, key.purpose), 0):
                    ends[partner.code, key.purpose] = key.end_ms
        return [
            ({"partner": code, "purpose": purpose.name.lower()}, (end_ms - now_ms) / 1000)
            for (code, purpose), end_ms in ends.items()
            # The recovery key is kept off line and has no end that anybody could watch.
            if purpose is not KeyPurpose.RECOVERY
        ]

    def _certificates(self) -> Values:
        keyring, now_ms = self._keyring(), self._clock.now_ms()
        return [
            ({"purpose": purpose}, (validity_ms(pem)[1] - now_ms) / 1000)
            for purpose, pem in (
                ("authority", keyring.authority_certificate_pem),
                ("link", keyring.link_tls[1]),
                ("system", keyring.tls_certificate_pem),
            )
        ]


def resident_bytes() -> int:
    """Return the process's resident memory (proc(5), statm: the second number, in pages)."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - a path object would be made each time
        return int(file.read(128).split()[1]) * _PAGE_BYTES
