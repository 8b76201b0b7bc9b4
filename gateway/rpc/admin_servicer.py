"""AdminService: what the command line calls, over the Unix socket in CONCORD_HOME."""

from dataclasses import dataclass
from typing import Final, Protocol

from concord.v1 import admin_service_pb2 as pb

from gateway.errors import FieldInvalid
from gateway.exchange.reader import OpenedMessage
from gateway.exchange.submission import Validation
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.model.header import Urgency
from gateway.model.message import Draft
from gateway.model.partner import SignedCard
from gateway.ports import MessageRow, StoredMessage, SubmissionResult
from gateway.rpc.callers import Caller
from gateway.rpc.case_views import CaseBackend, listed, shown
from gateway.rpc.convert.field import partner_from_text, set_time
from gateway.rpc.convert.message import draft_from_proto
from gateway.rpc.convert.partner import signed_card_from_proto, signed_card_to_proto
from gateway.rpc.convert.view import (
    accepted_to_proto,
    listed_to_proto,
    mark_from_proto,
    opened_to_proto,
    request_digest,
    request_id_from_text,
    row_to_proto,
    stored_to_proto,
    time_to_proto,
    validation_to_proto,
)
from gateway.rpc.rejected import RejectedCaller
from gateway.rpc.system_views import SystemBackend, rejected_to_proto, system_to_proto
from gateway.workflow.alert import AlertEvent, AlertState

MAX_CANDIDATES: Final = 10
"""What a person can tell apart at a glance; whoever sees more types more of the id."""


class ConnectorStatus(Protocol):
    """How a connector does; see workers.connectors.ConnectorStatus."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def failures(self) -> int: ...
    @property
    def problems(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStatus:
    """How the gateway is."""

    partner: PartnerId
    mode: str
    """actual, exercise or test."""
    version: str
    start_ms: int
    messages_sent: int
    messages_received: int
    waiting: int
    federation_endpoint: str
    exchange_endpoint: str
    """Empty when no national system is served."""
    partners: int
    store: str
    warnings: tuple[str, ...]
    connectors: tuple[ConnectorStatus, ...] = ()
    log_size: int = 0
    log_checkpoint_ms: int | None = None
    log_problem: str = ""
    """Why the log is not signed any more; empty when all is well."""
    log_findings: tuple[str, ...] = ()
    """What partners' logs are found to have done."""
    cases_overdue: tuple[str, ...] = ()
    """Cases in which something is overdue, in words."""
    telemetry: tuple[str, ...] = ()
    """Where metrics and traces go, in words; empty when nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """What waits for one partner, why, and whose turn it is."""

    partner: PartnerId
    waiting: int
    oldest_ms: int | None
    urgency: Urgency | None
    """Most urgent of what waits."""
    link_state: str
    """connected, idle, backing_off, frozen, leased_elsewhere."""
    reason: str
    next_attempt_ms: int | None
    turn: str
    """us, them, nobody."""
    advice: str
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerStatus:
    """What is known of one partner."""

    partner: PartnerId
    name: str
    card_sequence: int
    fingerprint: str
    frozen: bool
    endpoint: str
    seal_key_end_ms: int | None
    last_success_ms: int | None
    link_state: str
    agreement: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TestStep:
    """One step of the proof that a link works."""

    __test__ = False  # not a test, whatever pytest makes of the name

    name: str
    passed: bool
    detail: str
    advice: str


class AdminBackend(CaseBackend, Protocol):
    """What the composition root offers to operators. Errors are those of gateway.errors."""

    @property
    def systems(self) -> SystemBackend: ...
    async def rejected_callers(self) -> tuple[RejectedCaller, ...]: ...

    async def status(self) -> GatewayStatus: ...
    async def queues(self) -> tuple[QueueStatus, ...]: ...
    async def partners(self) -> tuple[PartnerStatus, ...]: ...

    async def own_card(self) -> tuple[SignedCard, str]:
        """Return our current card and its fingerprint."""
        ...

    async def add_partner(self, card: SignedCard, fingerprint: str) -> PartnerStatus: ...
    async def set_frozen(self, partner: PartnerId, *, frozen: bool) -> PartnerStatus: ...

    async def remove_partner(self, partner: PartnerId, *, discard_waiting: bool) -> int:
        """Forget a partner; return how many messages that waited for it were given up."""
        ...

    async def rotate(self, purpose: str, *, revoke: bool) -> tuple[SignedCard, str]:
        """Make new keys of a purpose (seal, envelope, receipt, identity); return the new card and its fingerprint."""
        ...

    async def submit_local(self, request_id: bytes, request_digest: bytes, draft: Draft) -> SubmissionResult:
        """Submit as the operator, for an authority of this state."""
        ...

    async def validate_local(self, draft: Draft) -> Validation: ...

    async def inbox(self, page_size: int, page_token: str, *, include_sent: bool) -> tuple[tuple[MessageRow, ...], str]:
        """Return a page of received messages, newest first, and the next page's token."""
        ...

    async def mark_alert(self, sender: PartnerId, message_id: MessageId, event: AlertEvent) -> AlertState:
        """Record what we do with a received alert and return where it stands."""
        ...

    async def find(self, beginning: str, *, include_sent: bool) -> tuple[MessageRow, ...]:
        """Return the messages whose id begins so, newest first."""
        ...

    async def open(self, row: MessageRow) -> OpenedMessage:
        """Return a message with its body. Whoever shows of it calls one of the next two before."""
        ...

    async def note_shown(self, opened: OpenedMessage) -> None: ...
    async def note_listed(self, count: int) -> None: ...

    async def delivery(self, message_id: MessageId) -> StoredMessage:
        """Return a message that we sent."""
        ...

    async def begin_log(self, origin: str, reason: str) -> str:
        """End the log of this name and return that of the one that begins."""
        ...

    async def test_partner(self, partner: PartnerId) -> tuple[TestStep, ...]: ...


class AdminServicer:
    """Offers the backend on the socket."""

    def __init__(self, backend: AdminBackend) -> None:
        self._backend = backend

    async def get_status(self, _: pb.GetStatusRequest, __: Caller) -> pb.GetStatusResponse:
        """Return how the gateway is."""
        status = await self._backend.status()
        response = pb.GetStatusResponse(
            partner=status.partner.code,
            mode=status.mode,
            version=status.version,
            start_time=time_to_proto(status.start_ms),
            messages_sent=status.messages_sent,
            messages_received=status.messages_received,
            waiting=status.waiting,
            federation_endpoint=status.federation_endpoint,
            exchange_endpoint=status.exchange_endpoint,
            partners=status.partners,
            store=status.store,
            warnings=status.warnings,
            connectors=[
                pb.ConnectorView(
                    name=item.name, kind=item.kind, state=item.state, failures=item.failures, problems=item.problems
                )
                for item in status.connectors
            ],
            log_size=status.log_size,
            log_problem=status.log_problem,
            log_findings=status.log_findings,
            telemetry=status.telemetry,
            cases_overdue=status.cases_overdue,
        )
        if status.log_checkpoint_ms is not None:
            set_time(response.log_checkpoint_time, status.log_checkpoint_ms)
        return response

    async def list_outbox(self, _: pb.ListOutboxRequest, __: Caller) -> pb.ListOutboxResponse:
        """Return what waits for each partner."""
        return pb.ListOutboxResponse(queues=[_queue(item) for item in await self._backend.queues()])

    async def list_partners(self, _: pb.ListPartnersRequest, __: Caller) -> pb.ListPartnersResponse:
        """Return the partners."""
        return pb.ListPartnersResponse(partners=[_partner(item) for item in await self._backend.partners()])

    async def get_own_card(self, _: pb.GetOwnCardRequest, __: Caller) -> pb.GetOwnCardResponse:
        """Return our card."""
        card, fingerprint = await self._backend.own_card()
        return pb.GetOwnCardResponse(card=signed_card_to_proto(card), fingerprint=fingerprint)

    async def add_partner(self, request: pb.AddPartnerRequest, _: Caller) -> pb.AddPartnerResponse:
        """Add or renew a partner."""
        partner = await self._backend.add_partner(signed_card_from_proto(request.card), request.fingerprint)
        return pb.AddPartnerResponse(partner=_partner(partner))

    async def set_partner_frozen(self, request: pb.SetPartnerFrozenRequest, _: Caller) -> pb.SetPartnerFrozenResponse:
        """Stop or resume exchange with a partner."""
        partner = await self._backend.set_frozen(partner_from_text(request.partner, "partner"), frozen=request.frozen)
        return pb.SetPartnerFrozenResponse(partner=_partner(partner))

    async def remove_partner(self, request: pb.RemovePartnerRequest, _: Caller) -> pb.RemovePartnerResponse:
        """Forget a partner."""
        partner = partner_from_text(request.partner, "partner")
        discarded = await self._backend.remove_partner(partner, discard_waiting=request.discard_waiting)
        return pb.RemovePartnerResponse(discarded=discarded)

    async def begin_log(self, request: pb.BeginLogRequest, _: Caller) -> pb.BeginLogResponse:
        """Begin another exchange log."""
        return pb.BeginLogResponse(origin=await self._backend.begin_log(request.origin, request.reason))

    async def rotate_keys(self, request: pb.RotateKeysRequest, _: Caller) -> pb.RotateKeysResponse:
        """Make new keys and a new card."""
        card, fingerprint = await self._backend.rotate(request.purpose, revoke=request.revoke)
        return pb.RotateKeysResponse(card=signed_card_to_proto(card), fingerprint=fingerprint)

    async def submit_local(self, request: pb.SubmitLocalRequest, _: Caller) -> pb.SubmitLocalResponse:
        """Submit a draft, or only say what would happen to it."""
        if not request.submit.HasField("draft"):
            raise FieldInvalid("draft", "is required")
        draft = draft_from_proto(request.submit.draft)
        if request.validate_only:
            return pb.SubmitLocalResponse(validation=validation_to_proto(await self._backend.validate_local(draft)))
        accepted = await self._backend.submit_local(
            request_id_from_text(request.submit.request_id), request_digest(request.submit.draft), draft
        )
        return pb.SubmitLocalResponse(accepted=accepted_to_proto(accepted))

    async def list_inbox(self, request: pb.ListInboxRequest, _: Caller) -> pb.ListInboxResponse:
        """Return received messages with their headlines."""
        rows, token = await self._backend.inbox(
            request.page_size, request.page_token, include_sent=request.include_sent
        )
        # One body at a time in memory: a page of whole ones could be gigabytes.
        views = [listed_to_proto(await self._backend.open(row)) for row in rows]
        await self._backend.note_listed(len(views))
        return pb.ListInboxResponse(messages=views, next_page_token=token)

    async def mark_inbox_alert(self, request: pb.MarkInboxAlertRequest, _: Caller) -> pb.MarkInboxAlertResponse:
        """Record what this state does with a received alert."""
        sender = partner_from_text(request.sender, "sender")
        event = mark_from_proto(request.mark)
        state = await self._backend.mark_alert(sender, MessageId(request.message_id), event)
        return pb.MarkInboxAlertResponse(alert_state=state.word)

    async def show_message(self, request: pb.ShowMessageRequest, _: Caller) -> pb.ShowMessageResponse:
        """Return one message with its body, if exactly one has such an id."""
        rows = await self._backend.find(request.beginning, include_sent=request.include_sent)
        if len(rows) != 1:
            candidates = [row_to_proto(row) for row in rows[:MAX_CANDIDATES]]
            return pb.ShowMessageResponse(candidates=candidates, found=len(rows))
        opened = await self._backend.open(rows[0])
        await self._backend.note_shown(opened)
        return pb.ShowMessageResponse(message=opened_to_proto(opened, own_body=True), found=1)

    async def get_delivery(self, request: pb.GetDeliveryRequest, _: Caller) -> pb.GetDeliveryResponse:
        """Return where a sent message stands."""
        stored = await self._backend.delivery(MessageId(request.message_id))
        return pb.GetDeliveryResponse(message=stored_to_proto(stored))

    async def list_cases(self, request: pb.ListCasesRequest, _: Caller) -> pb.ListCasesResponse:
        """Return cases without content."""
        return await listed(self._backend, request)

    async def show_case(self, request: pb.ShowCaseRequest, _: Caller) -> pb.ShowCaseResponse:
        """Return one case with its history, if exactly one has such an id."""
        return await shown(self._backend, request)

    async def test_partner(self, request: pb.TestPartnerRequest, _: Caller) -> pb.TestPartnerResponse:  # noqa: PT019 - no test
        """Prove the link to a partner."""
        steps = await self._backend.test_partner(partner_from_text(request.partner, "partner"))
        return pb.TestPartnerResponse(
            steps=[
                pb.TestStep(name=item.name, passed=item.passed, detail=item.detail, advice=item.advice)
                for item in steps
            ]
        )

    async def list_rejected_callers(
        self, _: pb.ListRejectedCallersRequest, __: Caller
    ) -> pb.ListRejectedCallersResponse:
        """Return callers that were turned away."""
        callers = await self._backend.rejected_callers()
        return pb.ListRejectedCallersResponse(callers=[rejected_to_proto(item) for item in callers])

    async def list_systems(self, _: pb.ListSystemsRequest, __: Caller) -> pb.ListSystemsResponse:
        """Return who may call with a certificate."""
        return pb.ListSystemsResponse(systems=[system_to_proto(item) for item in self._backend.systems.list()])

    async def add_system(self, request: pb.AddSystemRequest, _: Caller) -> pb.AddSystemResponse:
        """Register a system or auditor."""
        authorities = tuple(AuthorityId.parse(item, "authorities") for item in request.authorities)
        added, certificate = await self._backend.systems.add(
            request.role, request.name, authorities, request.certificate_request, tuple(request.officer_roles)
        )
        return pb.AddSystemResponse(system=system_to_proto(added), certificate=certificate)

    async def renew_system(self, request: pb.RenewSystemRequest, _: Caller) -> pb.RenewSystemResponse:
        """Issue another certificate."""
        renewed, certificate = await self._backend.systems.renew(
            request.role, request.name, request.certificate_request
        )
        return pb.RenewSystemResponse(system=system_to_proto(renewed), certificate=certificate)

    async def remove_system(self, request: pb.RemoveSystemRequest, _: Caller) -> pb.RemoveSystemResponse:
        """Take a registration back."""
        removed = await self._backend.systems.remove(request.role, request.name)
        return pb.RemoveSystemResponse(system=system_to_proto(removed))


def _queue(queue: QueueStatus) -> pb.PartnerQueue:
    return pb.PartnerQueue(
        partner=queue.partner.code,
        waiting=queue.waiting,
        oldest_time=time_to_proto(queue.oldest_ms),
        urgency=queue.urgency.name if queue.urgency is not None else "",
        link_state=queue.link_state,
        reason=queue.reason,
        next_attempt_time=time_to_proto(queue.next_attempt_ms),
        turn=queue.turn,
        advice=queue.advice,
        dead=queue.dead,
    )


def _partner(partner: PartnerStatus) -> pb.PartnerView:
    return pb.PartnerView(
        partner=partner.partner.code,
        name=partner.name,
        card_sequence=partner.card_sequence,
        fingerprint=partner.fingerprint,
        frozen=partner.frozen,
        endpoint=partner.endpoint,
        seal_key_end_time=time_to_proto(partner.seal_key_end_ms),
        last_success_time=time_to_proto(partner.last_success_ms),
        link_state=partner.link_state,
        agreement=partner.agreement,
    )
