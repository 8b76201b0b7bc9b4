"""Real servers with mutual TLS on loopback, over services that answer from memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc

from gateway.clock import SystemClock
from gateway.crypto.certificates import (
    create_authority,
    issue_gateway,
    issue_requested,
    issue_system,
    new_request,
    pem_to_der,
)
from gateway.errors import CallerUnknown, NotFound, PartnerFrozen, PartnerUnknown
from gateway.exchange.officers import Officer
from gateway.exchange.reader import OpenedMessage
from gateway.exchange.submission import Submitter, Validation
from gateway.ids import AuthorityId, MessageId, OfficerId, PartnerId, ThreadId
from gateway.model.partner import Card, CardSignature, KeyPurpose, SignedCard
from gateway.policy.decision import Allow
from gateway.ports import FrameAnswer, LinkIdentity, ShownLogs, SubmissionResult, SubmissionStatus
from gateway.rpc.approval_servicer import ApprovalServicer, Desk
from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.exchange_servicer import ExchangeServicer
from gateway.rpc.federation_servicer import FederationServicer
from gateway.rpc.rejected import RejectedCallers
from gateway.rpc.server import ListenerServer, exchange_listener, federation_listener
from gateway.workflow.alert import AlertState

CLOCK = SystemClock()
TH, VN, LA = PartnerId("th"), PartnerId("vn"), PartnerId("la")
SIGNED = SignedCard(card=b"card of th", signatures=(CardSignature(KeyPurpose.IDENTITY, b"i" * 32, b"s" * 64),))


@dataclass(frozen=True)
class State:
    """A state with its authority and its gateway's certificate."""

    partner: PartnerId
    authority: tuple[bytes, bytes]
    identity: LinkIdentity

    @property
    def root(self) -> bytes:
        return pem_to_der(self.authority[1])

    def claims(self, partner: PartnerId) -> LinkIdentity:
        """A certificate that this state's authority made in another's name."""
        return identity_of(self.authority, partner)


def identity_of(authority: tuple[bytes, bytes], partner: PartnerId, now_ms: int | None = None) -> LinkIdentity:
    key, certificate = issue_gateway(authority, partner, now_ms or CLOCK.now_ms())
    return LinkIdentity(partner=partner, certificate_chain_pem=certificate, private_key_pem=key)


def state(partner: PartnerId) -> State:
    authority = create_authority(partner, CLOCK.now_ms())
    return State(partner, authority, identity_of(authority, partner))


def system_identity(of: State, name: str) -> LinkIdentity:
    key, certificate = issue_system(of.authority, of.partner, name, CLOCK.now_ms())
    return LinkIdentity(partner=of.partner, certificate_chain_pem=certificate, private_key_pem=key)


def auditor_identity(of: State, name: str) -> LinkIdentity:
    return _requested(of, "auditor", name)


def officer_identity(of: State, name: str) -> LinkIdentity:
    return _requested(of, "officer", name)


def _requested(of: State, role: str, name: str) -> LinkIdentity:
    key, request = new_request()
    certificate = issue_requested(
        of.authority, of.partner, role=role, name=name, request=request, now_ms=CLOCK.now_ms()
    )
    return LinkIdentity(partner=of.partner, certificate_chain_pem=certificate, private_key_pem=key)


def card_of(of: State, *endpoints: str, roots: tuple[bytes, ...] | None = None) -> Card:
    return Card(
        partner=of.partner,
        sequence=1,
        previous_digest=b"",
        create_ms=0,
        names=(),
        keys=(),
        tls_roots=(of.root,) if roots is None else roots,
        endpoints=endpoints,
        desks=(),
        time_zone="UTC",
        languages=("en",),
        kinds=("alert",),
        suites=(1,),
    )


@dataclass
class MemoryDirectory:
    """Cards in memory; what changes is told as PartnerDirectory tells it."""

    cards: dict[PartnerId, Card] = field(default_factory=dict)
    frozen: set[PartnerId] = field(default_factory=set)
    offered: list[tuple[PartnerId, SignedCard]] = field(default_factory=list)
    callbacks: list[Callable[[PartnerId], None]] = field(default_factory=list)

    def card(self, partner: PartnerId) -> Card:
        try:
            return self.cards[partner]
        except KeyError:
            raise PartnerUnknown(partner.code) from None

    def usable(self, partner: PartnerId) -> Card:
        card = self.card(partner)
        if partner in self.frozen:
            raise PartnerFrozen(partner.code)
        return card

    def tls_roots(self) -> dict[PartnerId, tuple[bytes, ...]]:
        return {partner: card.tls_roots for partner, card in self.cards.items() if partner not in self.frozen}

    def on_change(self, callback: Callable[[PartnerId], None]) -> None:
        self.callbacks.append(callback)

    def own_card(self) -> SignedCard:
        return SIGNED

    async def offer(self, partner: PartnerId, signed: SignedCard) -> bool:
        self.offered.append((partner, signed))
        return True

    def remove(self, partner: PartnerId) -> None:
        del self.cards[partner]
        for callback in self.callbacks:
            callback(partner)

    def change(self, partner: PartnerId, card: Card | None = None, frozen: bool = False) -> None:
        if card is not None:
            self.cards[partner] = card
        (self.frozen.add if frozen else self.frozen.discard)(partner)
        for callback in self.callbacks:
            callback(partner)


@dataclass
class MemoryReceiving:
    """Takes frames and answers that receipts were stored."""

    frames: list = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event | None = None
    running: int = 0
    most: int = 0

    async def take_in(self, partner, frame):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            # Later frames are done first: answers must be put back in order.
            for _ in range(20 - min(frame.sequence, 19)):
                await asyncio.sleep(0)
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        self.frames.append((partner, frame))
        return FrameAnswer(
            sequence=frame.sequence,
            receipts=None,
            repeats=(),
            deferrals=(),
            card=None,
            receipts_stored=bool(frame.receipts),
        )


class MemoryLog:
    """A log that says nothing of itself and knows no leaf."""

    @property
    def theirs(self) -> "MemoryLog":
        return self

    async def show(self, partner: PartnerId, since: int) -> ShownLogs:
        return ShownLogs(checkpoint=b"", seen=b"", proven_from=0, consistency=(), beginning=None)

    async def hear_own(self, partner: PartnerId, note: bytes) -> int:
        return 0

    async def hear(self, partner: PartnerId, note: bytes, **proof: object) -> None:
        return None

    async def prove_leaf(self, leaf: bytes, message_id: bytes, partner):
        raise NotFound("no such leaf")


@dataclass
class Federation:
    """th's gateway as its partners meet it."""

    own: State
    directory: MemoryDirectory
    receiving: MemoryReceiving
    rejected: RejectedCallers
    listener: ListenerServer
    heard: list[PartnerId]
    shown: list[LinkIdentity]
    """The certificate shown now; replace the only item to renew it."""
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def card(self) -> Card:
        return card_of(self.own, self.endpoint)


def new_federation(
    own: State, *partners: State, max_stream_age_s: float | None = None, address: str = "127.0.0.1:0"
) -> Federation:
    """Not started yet."""
    directory = MemoryDirectory({item.partner: card_of(item) for item in partners})
    receiving, rejected, heard = MemoryReceiving(), RejectedCallers(CLOCK), []
    servicer = FederationServicer(
        receiving=receiving, cards=directory, log=MemoryLog(), log_reading=MemoryLog(), clock=CLOCK, heard=heard.append
    )
    shown = [own.identity]
    listener = federation_listener(
        address=address,
        identity=lambda: shown[0],
        own_roots=lambda: (own.root,),
        directory=directory,
        clock=CLOCK,
        servicer=servicer,
        rejected=rejected,
        max_stream_age_s=max_stream_age_s,
    )
    return Federation(own, directory, receiving, rejected, listener, heard, shown)


@contextlib.asynccontextmanager
async def federation(own: State, *partners: State, max_stream_age_s: float | None = None) -> AsyncIterator[Federation]:
    running = new_federation(own, *partners, max_stream_age_s=max_stream_age_s)
    running.port = await running.listener.start()
    try:
        yield running
    finally:
        await running.listener.stop(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened; it fails after two seconds."""
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0.001)


def channel(identity: LinkIdentity | None, root_pem: bytes, port: int, name: str = "localhost") -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        root_pem,
        identity.private_key_pem if identity else None,
        identity.certificate_chain_pem if identity else None,
    )
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.ssl_target_name_override", name),
        ("grpc.enable_retries", 0),
        ("grpc.max_send_message_length", -1),
    ]
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)


@dataclass
class MemoryExchange:
    """What the exchange servicer calls: accepts drafts and remembers them, reads what it is given."""

    submissions: list = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    refuse: Callable = lambda _: None
    """Returns the error of a submission, or None."""
    decision: object = Allow(rule_ids=("agreement",), explanation="agreed")
    stored: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    acknowledged: list = field(default_factory=list)
    marked: list = field(default_factory=list)
    shown: list = field(default_factory=list)
    watching: int = 0

    async def submit(self, submissions):
        self.batches.append(len(submissions))
        await asyncio.sleep(0)
        answers = []
        for item in submissions:
            error = self.refuse(item)
            if error is None:
                self.submissions.append(item)
            answers.append(
                error
                or SubmissionResult(
                    SubmissionStatus.NEW, MessageId(item.request_id), ThreadId(b"t" * 16), b"c" * 32, 1000, 2000
                )
            )
        return answers

    async def validate(self, submitter, draft):
        return Validation(
            decision=self.decision, body_bytes=len(draft.body_bytes), recipients=draft.recipients, expire_ms=2000
        )

    async def open(self, sender, message_id):
        try:
            return OpenedMessage(*self.stored[sender, message_id])
        except KeyError:
            raise NotFound("no such message") from None

    async def note_shown(self, opened, *, actor):
        self.shown += [(actor, item.stored.row.message_id) for item in opened]

    async def note_listed(self, *, actor, count):
        self.shown.append((actor, count))

    async def list(self, *, sent, page_size, page_token):
        rows = [stored.row for stored, _ in self.stored.values() if sent is None or stored.row.sent is sent]
        return tuple(rows), f"after {page_size} {page_token}"

    async def watch(self, since_cursor):
        self.watching += 1
        try:
            yield tuple(self.events), f"{since_cursor}+{len(self.events)}"
            await asyncio.Event().wait()
        finally:
            self.watching -= 1

    async def acknowledge(self, sender, message_id, outcome, *, actor):
        self.acknowledged.append((sender, message_id, outcome))
        return 3000

    async def mark(self, sender, message_id, event, *, actor):
        self.marked.append((sender, message_id, event, actor))
        return AlertState.NOTED


@dataclass
class Exchange:
    """th's gateway as its own systems meet it."""

    memory: MemoryExchange
    rejected: RejectedCallers
    listener: ListenerServer
    port: int = 0


EARLY_WARNING = Submitter(
    principal="system/early-warning", authorities=frozenset({AuthorityId("th/early-warning"), AuthorityId("th/police")})
)
COURT = Submitter(principal="auditor/court", authorities=frozenset())
OFFICER = Submitter(principal="officer/o-17", authorities=frozenset())
HOTLINE = Submitter(principal="system/hotline", authorities=frozenset({AuthorityId("th/hotline")}))


class Registrations(dict):
    """By name alone; what a certificate is, the registry's own tests say."""

    def check_certificate(self, principal, digest):
        pass

    def officer(self, principal):
        if principal in {"officer/somchai", "token/somchai"}:
            return Officer(officer_id=OfficerId("o-17"), roles=frozenset({"approver"}), authorities=frozenset())
        raise CallerUnknown(principal)


def new_exchange(own: State, max_stream_age_s: float | None = None, *, submitters=None, tokens=None) -> Exchange:
    """Not started yet."""
    submitters = submitters or Registrations({item.principal: item for item in (EARLY_WARNING, HOTLINE)})
    memory, rejected = MemoryExchange(), RejectedCallers(CLOCK)
    listener = exchange_listener(
        address="127.0.0.1:0",
        own=own.partner,
        identity=lambda: own.identity,
        own_roots=lambda: (own.root,),
        submitters=submitters,
        clock=CLOCK,
        servicer=ExchangeServicer(
            own=own.partner,
            submitting=memory,
            reading=memory,
            acknowledging=memory,
            marking=memory,
            submitters=submitters,
        ),
        audit=AuditServicer(store=None, keeper=None, reading=None, receipts=None),
        approvals=ApprovalServicer(
            desk=Desk(claims=None, deciding=None, editing=None, alone=None, lists=None),
            register=submitters,
            submitters=submitters,
            clock=CLOCK,
        ),
        rejected=rejected,
        max_stream_age_s=max_stream_age_s,
        tokens=tokens,
    )
    return Exchange(memory, rejected, listener)


@contextlib.asynccontextmanager
async def exchange(
    own: State, max_stream_age_s: float | None = None, *, submitters=None, tokens=None
) -> AsyncIterator[Exchange]:
    running = new_exchange(own, max_stream_age_s, submitters=submitters, tokens=tokens)
    running.port = await running.listener.start()
    try:
        yield running
    finally:
        await running.listener.stop(0)
