"""Runs one gateway: starts what was assembled, watches it, and stops it in order.

Order matters. Listeners open when everything behind them works; on the way down they close first, so that nothing is
accepted that nobody would store. If a part fails for good, the whole process ends: a gateway that half works misleads.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import structlog

from gateway.administration import Administration
from gateway.assembly import Parts, assemble
from gateway.crypto.certificates import pem_to_der
from gateway.errors import GatewayError
from gateway.exchange.steps import GATEWAY, step
from gateway.installation import OpenedHome, warnings_about
from gateway.installation.endings import warnings_about_endings
from gateway.installation.recovery import warnings_about_keyring
from gateway.ports import AppendLog
from gateway.rpc.approval_servicer import ApprovalServicer
from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.exchange_servicer import ExchangeServicer
from gateway.rpc.federation_servicer import FederationServicer
from gateway.rpc.rejected import RejectedCallers
from gateway.rpc.server import (
    BoundPorts,
    Servers,
    TokenSettings,
    admin_listener,
    exchange_listener,
    federation_listener,
)
from gateway.rpc.tokens import KeySource
from gateway.telemetry import configure_logging
from gateway.telemetry.meters import Meters
from gateway.translog.entry import EventType
from gateway.workers.attachments import fetch_attachments
from gateway.workers.gauges import Gauges, LogLag
from gateway.workers.housekeeping import expire, keep_keys, lapse, number_events, pass_case_time, refresh_cards
from gateway.workers.log import integrate, prune_checkpoints, sign_checkpoints
from gateway.workers.rotation import tend_keys
from gateway.workers.targets import TargetWatch

log = structlog.get_logger(__name__)

SWITCH_S: Final = 0.0005
"""How long the event loop may keep the interpreter from the writer's thread. With Python's 5 ms a saturated loop
starves the commits that everybody waits for (docs/decisions/0004-speed.md)."""
GC_YOUNG: Final = 20_000
"""Young values before the collector looks; Python's 700 makes it look several times in every batch."""


@dataclass(frozen=True, slots=True)
class RunningInfo:
    """Where a gateway takes calls."""

    federation: str
    exchange: str


async def run(opened: OpenedHome, *, ready: Callable[[RunningInfo], None] | None = None) -> None:
    """Run a gateway until SIGTERM or SIGINT.

    Args:
        ready: Called once, when it takes calls.

    Raises:
        GatewayError: It cannot start, or a part failed for good.
    """
    configure_logging()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parts = await assemble(opened)
    # What is loaded now stays for good: the collector need not walk it again and again. Batches of messages make many
    # small values that die together and hold no cycles, so looking at them seldom costs nothing but saves a tenth.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG, 20, 50)
    sys.setswitchinterval(SWITCH_S)
    try:
        await _record(parts, EventType.GATEWAY_STARTED)
        await _serve(parts, stop, ready)
    finally:
        await parts.telemetry.stop()
        # A gateway that dies leaves no such entry: the next one that starts shows it.
        with contextlib.suppress(GatewayError):
            await _record(parts, EventType.GATEWAY_STOPPED)
        await parts.store.close()
        log.info("gateway.stopped", partner=parts.config.partner.code)


async def _record(parts: Parts, kind: EventType) -> None:
    """Put in the exchange log that this process starts or stops."""
    detail = f"version {version('concord-gateway')} mode {parts.config.mode.name.lower()}"
    entry = step(kind, parts.clock.now_ms(), actor=GATEWAY, detail=detail)
    await parts.store.write(AppendLog((entry,)))


async def _serve(parts: Parts, stop: asyncio.Event, ready: Callable[[RunningInfo], None] | None) -> None:
    running: RunningInfo | None = None

    def endpoints() -> tuple[str, str]:
        return (running.federation, running.exchange) if running is not None else ("", "")

    rejected = RejectedCallers(parts.clock)

    def warnings() -> tuple[str, ...]:
        return (
            *warnings_about(parts.opened.home, parts.config),
            *warnings_about_keyring(parts.keyring),
            *warnings_about_endings(parts.keyring, parts.registry, parts.clock.now_ms()),
        )

    async def open_exchange() -> None:
        nonlocal running
        port = await servers.open_exchange()
        if port is not None and running is not None:
            running = RunningInfo(running.federation, _at(parts.config.listen.exchange, port))

    administration = Administration(
        parts, endpoints=endpoints, warnings=warnings, rejected=rejected, first_system=open_exchange
    )
    servers = _servers(parts, administration, rejected)
    workers = [
        asyncio.create_task(parts.links.run(), name="links"),
        asyncio.create_task(expire(parts.expiry), name="expire"),
        asyncio.create_task(lapse(parts.officers.taking_back), name="lapse"),
        asyncio.create_task(pass_case_time(parts.case_clock), name="pass_case_time"),
        asyncio.create_task(keep_keys(parts.pool, parts.keys_low), name="keep_keys"),
        asyncio.create_task(integrate(parts.store, parts.log_keeper), name="integrate_log"),
        asyncio.create_task(sign_checkpoints(parts.log_keeper), name="sign_checkpoints"),
        asyncio.create_task(prune_checkpoints(parts.log_keeper), name="prune_checkpoints"),
        asyncio.create_task(refresh_cards(parts.store, parts.directory), name="refresh_cards"),
        asyncio.create_task(fetch_attachments(parts.files.fetch, parts.store), name="fetch_attachments"),
        asyncio.create_task(tend_keys(administration.tend_keys), name="tend_keys"),
    ]
    workers.append(asyncio.create_task(parts.store_watch.run(), name="store_watch"))
    if parts.telemetry.meters is not None:
        workers.append(asyncio.create_task(_gauges(parts, parts.telemetry.meters).run(), name="gauges"))
        targets = TargetWatch(meters=parts.telemetry.meters, store=parts.store, clock=parts.clock)
        workers.append(asyncio.create_task(targets.run(), name="targets"))
    if parts.store.shared:
        # A store with one writer gives positions as it commits.
        workers.append(asyncio.create_task(number_events(parts.store), name="number_events"))
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await parts.telemetry.start()
        bound = await servers.start()
        running = _running(parts, bound)
        # Last up and, with the workers, first down: a connector finds a gateway that works.
        workers.append(asyncio.create_task(parts.connectors.run(), name="connectors"))
        log.info("gateway.ready", partner=parts.config.partner.code, endpoint=running.federation)
        if ready is not None:
            ready(running)
        await asyncio.wait([stopping, *workers], return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            if worker.done():
                log.error("worker.ended", worker=worker.get_name())
                worker.result()
    finally:
        # Links first: a link that keeps trying would keep its partner's stream, and with it our listener, busy.
        for task in (stopping, *workers):
            task.cancel()
        await servers.stop()
        for task in (stopping, *workers):
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def _gauges(parts: Parts, meters: Meters) -> Gauges:
    async def log_lag() -> LogLag:
        head = await parts.log_keeper.head()
        last = head.checkpoint
        return LogLag(
            pending=head.waiting,
            unsigned=head.size - (0 if last is None else last.size),
            checkpoint_ms=None if last is None else last.time_ms,
        )

    return Gauges(
        meters=meters,
        store=parts.store,
        directory=parts.directory,
        links=parts.links,
        keyring=lambda: parts.keyring,
        clock=parts.clock,
        watch=parts.store_watch,
        log_lag=log_lag,
    )


def _running(parts: Parts, bound: BoundPorts) -> RunningInfo:
    listen = parts.config.listen
    exchange = _at(listen.exchange, bound.exchange) if bound.exchange is not None else ""
    return RunningInfo(_at(listen.federation, bound.federation), exchange)


def _at(listen: str, port: int) -> str:
    return f"{listen.rpartition(':')[0]}:{port}"


def _token_settings(parts: Parts) -> TokenSettings | None:
    home, config = parts.opened.home, parts.config
    if not config.issuer:
        return None
    issuers = {
        issuer.url: (
            issuer,
            KeySource(
                url=issuer.jwks_url,
                path=home / issuer.jwks_file if issuer.jwks_file is not None else None,
                ca_file=home / issuer.ca_file if issuer.ca_file is not None else None,
                max_stale_s=issuer.max_stale_s,
                clock=parts.clock,
            ),
        )
        for issuer in config.issuer
    }
    return TokenSettings(issuers, config.listen.tokens)


def _servers(parts: Parts, administration: Administration, rejected: RejectedCallers) -> Servers:
    config = parts.config
    calls = parts.telemetry.calls

    def own_roots() -> tuple[bytes, ...]:
        return (pem_to_der(parts.keyring.authority_certificate_pem),)

    audit = AuditServicer(store=parts.store, keeper=parts.log_keeper, reading=parts.log_reader, receipts=parts.receipts)
    federation = federation_listener(
        address=config.listen.federation,
        identity=parts.identity,
        own_roots=own_roots,
        directory=parts.directory,
        clock=parts.clock,
        servicer=FederationServicer(
            receiving=parts.receive,
            cards=parts.directory,
            log=parts.log_keeper,
            log_reading=parts.log_reader,
            clock=parts.clock,
            heard=parts.links.heard,
            files=parts.files.reader,
        ),
        rejected=rejected,
        calls=calls,
    )
    exchange = exchange_listener(
        address=config.listen.exchange,
        own=config.partner,
        identity=parts.held.system_identity,
        own_roots=own_roots,
        submitters=parts.registry,
        clock=parts.clock,
        servicer=ExchangeServicer(
            own=config.partner,
            submitting=parts.submit,
            reading=parts.reader,
            acknowledging=parts.acknowledge,
            marking=parts.marker,
            submitters=parts.registry,
            calls=calls,
            files=parts.files,
        ),
        audit=audit,
        approvals=ApprovalServicer(
            desk=parts.officers.desk, register=parts.registry, submitters=parts.registry, clock=parts.clock
        ),
        rejected=rejected,
        tokens=_token_settings(parts),
        calls=calls,
        store=parts.store_watch,
        reflection=config.reflects,
    )
    parts.registry.on_change(exchange.guard.recheck_all)
    admin = admin_listener(home=parts.opened.home, backend=administration, audit=audit, rejected=rejected, calls=calls)
    expects = bool(config.system or config.issuer or parts.registry.all())
    return Servers(federation=federation, exchange=exchange, admin=admin, expects_systems=expects)
