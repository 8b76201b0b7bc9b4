"""Puts the parts of one gateway together: the only place where store, policy, use cases, carriers and workers meet.

`assemble` makes everything and opens the store; nothing listens and nothing runs yet.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points, version

import structlog

from gateway.clock import SystemClock
from gateway.config import Config
from gateway.crypto.envelope import SealedBatch
from gateway.crypto.keyring import Keyring
from gateway.errors import ConfigInvalid, PartnerUnknown
from gateway.exchange.acknowledge import AcknowledgeService
from gateway.exchange.case_clock import CaseClock
from gateway.exchange.case_reader import CaseReader
from gateway.exchange.courier import Courier
from gateway.exchange.deliver import Prefetch
from gateway.exchange.desk import ConnectorDesk
from gateway.exchange.directory import KEY_GRACE_MS, PartnerDirectory
from gateway.exchange.expire import ExpiryService
from gateway.exchange.hold import HoldService
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.mark_alert import AlertMarker
from gateway.exchange.own_card import renew_card
from gateway.exchange.own_keys import KeyHolder, OwnKeys
from gateway.exchange.prove_receipt import ReceiptProver
from gateway.exchange.quota import Quota
from gateway.exchange.read_log import LogReader
from gateway.exchange.reader import MessageReader
from gateway.exchange.receive import ReceiveService
from gateway.exchange.steps import GATEWAY, step
from gateway.exchange.submission import take_all
from gateway.exchange.submit import SubmitService
from gateway.file_services import FileServices, file_services
from gateway.installation import OpenedHome
from gateway.installation.applied import check_applied
from gateway.installation.connectors import CursorFile, PlannedConnector, plan_connectors
from gateway.installation.otlp_headers import read_headers
from gateway.installation.otlp_roots import read_roots
from gateway.installation.registry import Registry
from gateway.model.partner import Profile, SignedCard
from gateway.officer_services import OfficerServices, officer_services
from gateway.policy.exchanges import ExchangePolicy
from gateway.ports import AppendLog, Carrier, LinkIdentity, Store
from gateway.profiles import load_profiles
from gateway.rpc.convert import WireCodec
from gateway.store import open_store
from gateway.telemetry.service import Telemetry, TelemetrySettings
from gateway.translog.entry import EventType
from gateway.workers.coalesce import CoalescedSubmit
from gateway.workers.connectors import Connectors, Supervised
from gateway.workers.links import Links
from gateway.workers.signals import Signal, event_signals
from gateway.workers.store_watch import StoreWatch

log = structlog.get_logger(__name__)


def own_keys(keyring: Keyring, now_ms: int) -> OwnKeys:
    """Return the keyring's keys as the use cases see them."""
    return OwnKeys(
        partner=keyring.partner,
        envelope=keyring.envelope,
        receipt=keyring.receipt,
        log=keyring.log,
        log_cosign=keyring.cosign,
        open_keys=keyring.open_keys(now_ms, KEY_GRACE_MS),
        retired=keyring.retired(now_ms, KEY_GRACE_MS),
        key_encryption=keyring.key_encryption,
        revoked=keyring.revoked(),
    )


def load_carrier(name: str) -> Carrier:
    """Return a carrier by its entry point, so that a ministry can ship its own.

    Raises:
        ConfigInvalid: Nothing of that name is installed.
    """
    found = entry_points(group="concord.carriers", name=name)
    if not found:
        raise ConfigInvalid(f"no carrier '{name}' is installed")
    carrier: Carrier = next(iter(found)).load()()
    return carrier


class HeldKeyring:
    """The keyring in use; another one takes its place when keys rotate."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring

    def identity(self) -> LinkIdentity:
        """How we show ourselves on a link now."""
        return LinkIdentity(
            partner=self.keyring.partner,
            certificate_chain_pem=self.keyring.link_tls[1],
            private_key_pem=self.keyring.link_tls[0],
        )

    def system_identity(self) -> LinkIdentity:
        """How we show ourselves to our own systems now."""
        return LinkIdentity(
            partner=self.keyring.partner,
            certificate_chain_pem=self.keyring.tls_certificate_pem,
            private_key_pem=self.keyring.tls_key_pem,
        )

    def recovered_card(self) -> SignedCard | None:
        """The last card of ours that the recovery key has signed."""
        return self.keyring.recovered_card


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One gateway's parts."""

    opened: OpenedHome
    config: Config
    held: HeldKeyring
    registry: Registry
    profile: Profile
    clock: SystemClock
    codec: WireCodec
    store: Store
    directory: PartnerDirectory
    keys: KeyHolder
    carrier: Carrier
    links: Links
    submit: CoalescedSubmit
    officers: OfficerServices
    receive: ReceiveService
    reader: MessageReader
    acknowledge: AcknowledgeService
    marker: AlertMarker
    files: FileServices
    expiry: ExpiryService
    cases: CaseReader
    case_clock: CaseClock
    connectors: Connectors
    pool: KeyPool
    log_keeper: LogKeeper
    log_reader: LogReader
    receipts: ReceiptProver
    keys_low: Signal
    telemetry: Telemetry
    store_watch: StoreWatch

    @property
    def keyring(self) -> Keyring:
        """The keyring in use."""
        return self.held.keyring

    def identity(self) -> LinkIdentity:
        """How we show ourselves on a link now."""
        return self.held.identity()

    async def use(self, keyring: Keyring) -> None:
        """Use another keyring from now on: save it, then sign and store the card that follows from it."""
        now_ms = self.clock.now_ms()
        current = self.directory.own_card() if self._has_card() else None
        keyring, card = renew_card(
            keyring, self.profile, self.config.endpoints, current=current, codec=self.codec, now_ms=now_ms
        )
        if keyring != self.keyring:
            # On disk before anybody sees the card: a card whose keys are lost could never be followed by another.
            await asyncio.to_thread(self.opened.save, keyring)
        self.held.keyring = keyring
        self.keys.replace(own_keys(keyring, now_ms))
        await self.directory.put_own(card)

    def _has_card(self) -> bool:
        try:
            self.directory.known(self.directory.own)
        except PartnerUnknown:
            return False
        return True


async def assemble(opened: OpenedHome) -> Parts:
    """Open the store and make every part.

    Raises:
        ConfigInvalid: Profiles or carrier cannot be used.
        PolicyNotApplied: Profiles or rules are not those that two operators have applied.
        SchemaTooNew: The database was written by a newer version.
        StoreCorrupt: The database is damaged.
        StoreUnavailable: The database cannot be opened.
    """
    config, keyring = opened.config, opened.keyring
    if config.partners_dir is None:
        raise ConfigInvalid("partners_dir is not set")
    profiles = load_profiles(config.partners_dir)
    profile = profiles.get(config.partner)
    if profile is None:
        raise ConfigInvalid(f"{config.partners_dir} has no profile of '{config.partner}'")
    applied = check_applied(opened.home, config)
    planned = plan_connectors(opened.home, config)
    clock = SystemClock(offset_ms=config.clock_offset_ms)
    codec = WireCodec()
    telemetry = Telemetry(_telemetry_settings(config), clock)
    store = await open_store(config.store)
    if telemetry.meters is not None:
        store.on_commit(telemetry.meters.committed)
    directory = PartnerDirectory(config.partner, store, codec, clock)
    await directory.load()
    keys = KeyHolder(own_keys(keyring, clock.now_ms()), codec)
    policy = ExchangePolicy(config.partner, profiles, config.mode, clock)
    carrier = load_carrier("grpc")
    held = HeldKeyring(keyring)
    limits = config.limits
    observer = telemetry.observer
    keys_low = Signal()
    pool = KeyPool(store, keys, clock.now_ms, keys_low.wake)
    courier = Courier(directory=directory, store=store, codec=codec, clock=clock, keys=keys, observer=observer)
    keeper = LogKeeper(directory=directory, store=store, clock=clock, keys=keys)
    await keeper.open()
    if applied is not None:
        who = " and ".join(word.operator.name for word in applied.signed)
        counts = step(
            EventType.CONFIGURATION_APPLIED,
            clock.now_ms(),
            actor=GATEWAY,
            digest=applied.policy.digest,
            detail=f"policy applied by {who}",
        )
        await store.write(AppendLog((counts,)))
    links = Links(
        directory=directory,
        store=store,
        carrier=carrier,
        identity=held.identity,
        recovered_card=held.recovered_card,
        courier=courier,
        keys=keys,
        clock=clock,
        prefetch=Prefetch(limits.prefetch_mb << 20),
        log=keeper,
        observer=observer,
    )
    reader = MessageReader(store=store, codec=codec, clock=clock, keys=keys, new_signal=event_signals(store))
    files = file_services(
        config,
        store=store,
        codec=codec,
        clock=clock,
        keys=keys,
        pool=pool,
        reader=reader,
        directory=directory,
        carrier=carrier,
        identity=held.identity,
    )
    holding = HoldService(store=store, codec=codec, clock=clock, keys=keys, pool=pool)
    submit = SubmitService(
        directory=directory,
        policy=policy,
        store=store,
        codec=codec,
        clock=clock,
        keys=keys,
        pool=pool,
        quota=Quota(per_second=limits.submit_per_s, burst=limits.submit_burst),
        ready=links.offer,
        offload=_offload,
        observer=observer,
        check_files=take_all if config.attachments.by_other_means else files.uploads.check_uploaded,
        holding=holding,
    )
    coalesced = CoalescedSubmit(submit, limits.queued_mb << 20, observer)
    registry = Registry(opened.home, config)
    officers = officer_services(
        store=store,
        holding=holding,
        policy=policy,
        codec=codec,
        clock=clock,
        pool=pool,
        submitting=coalesced,
        registry=registry,
    )
    marker = AlertMarker(store=store, clock=clock, own=config.partner)
    cases = CaseReader(
        own=config.partner,
        store=store,
        codec=codec,
        clock=clock,
        reading=reader,
        terms=policy.terms_with,
        zones={partner: item.time_zone for partner, item in profiles.items()},
    )
    acknowledge = AcknowledgeService(store=store, codec=codec, clock=clock, keys=keys, queued=links.receipts_wait)

    def supervised(plan: PlannedConnector) -> Supervised:
        desk = ConnectorDesk(
            submitter=plan.submitter,
            directory=directory,
            profile=profile,
            policy=policy,
            codec=codec,
            clock=clock,
            submitting=coalesced,
            reading=reader,
            acknowledging=acknowledge,
            marking=marker,
            cursor=CursorFile(opened.home, plan.name),
            lost=lambda why: log.warning("connector.cursor_lost", connector=plan.name, why=why),
        )
        return Supervised(
            name=plan.name, kind=plan.kind_name, desk=desk, open=lambda: plan.kind.open(plan.options, desk)
        )

    parts = Parts(
        opened=opened,
        config=config,
        held=held,
        registry=registry,
        officers=officers,
        profile=profile,
        clock=clock,
        codec=codec,
        store=store,
        directory=directory,
        keys=keys,
        carrier=carrier,
        links=links,
        submit=coalesced,
        receive=ReceiveService(
            directory=directory,
            policy=policy,
            store=store,
            codec=codec,
            clock=clock,
            keys=keys,
            pool=pool,
            quota=Quota(per_second=limits.partner_per_s, burst=limits.partner_burst),
            pause=_pause,
            observer=observer,
        ),
        reader=reader,
        acknowledge=acknowledge,
        marker=marker,
        files=files,
        pool=pool,
        keys_low=keys_low,
        log_keeper=keeper,
        log_reader=LogReader(store=store, clock=clock, keeper=keeper),
        receipts=ReceiptProver(
            directory=directory,
            store=store,
            codec=codec,
            clock=clock,
            carrier=carrier,
            identity=held.identity,
            keeper=keeper,
        ),
        expiry=ExpiryService(store=store, codec=codec, clock=clock, keys=keys),
        cases=cases,
        case_clock=CaseClock(own=config.partner, store=store, clock=clock, reader=cases),
        connectors=Connectors(tuple(supervised(plan) for plan in planned), clock),
        telemetry=telemetry,
        store_watch=StoreWatch(store, config.partner, clock),
    )
    await parts.use(keyring.destroy_past_grace(clock.now_ms(), KEY_GRACE_MS))
    log.info("gateway.assembled", partner=config.partner.code, store=config.store.partition("://")[0])
    return parts


def _telemetry_settings(config: Config) -> TelemetrySettings:
    section = config.telemetry
    file, roots = section.otlp_headers_file, section.otlp_ca_file
    return TelemetrySettings(
        partner=config.partner.code,
        mode=config.mode.name.lower(),
        version=version("concord-gateway"),
        prometheus=section.prometheus,
        otlp=section.otlp,
        headers=() if file is None else read_headers(file),
        roots=None if roots is None else read_roots(roots),
        trace_ratio=section.trace_ratio,
        partner_traces_per_s=section.partner_traces_per_s,
    )


async def _pause() -> None:
    await asyncio.sleep(0)


async def _offload(call: Callable[[], SealedBatch]) -> SealedBatch:
    return await asyncio.to_thread(call)
