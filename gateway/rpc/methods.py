"""Who may call what: one row for each method of each service. One without a row keeps the gateway from starting."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from concord.v1 import (
    admin_service_pb2,
    approval_service_pb2,
    audit_service_pb2,
    exchange_service_pb2,
    federation_service_pb2,
)
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2


class CallerKind(Enum):
    """What a caller is, as proved by how it came."""

    PARTNER = "partner"
    """Another state's gateway: a certificate with spiffe://<partner>/gateway below a root in that partner's card."""
    SYSTEM = "system"
    """A system of this state that is registered: spiffe://<own>/system/<name> below our own authority."""
    AUDITOR = "auditor"
    """Reads, never acts: spiffe://<own>/auditor/<name> below our own authority, or a token of that role."""
    OFFICER = "officer"
    """A liaison officer that is registered: spiffe://<own>/officer/<name> below our own authority, or such a token."""
    OPERATOR = "operator"
    """Whoever may open the Unix socket."""


class Listener(Enum):
    """Where a service is offered."""

    FEDERATION = "federation"
    EXCHANGE = "exchange"
    ADMIN = "admin"


COMES_BY: Final[dict[Listener, frozenset[CallerKind]]] = {
    Listener.FEDERATION: frozenset({CallerKind.PARTNER}),
    Listener.EXCHANGE: frozenset({CallerKind.SYSTEM, CallerKind.AUDITOR, CallerKind.OFFICER}),
    Listener.ADMIN: frozenset({CallerKind.OPERATOR}),
}
"""Whom a listener can identify. Any other kind is a stranger there, whatever it may do elsewhere."""


class Scope(Enum):
    """What an access token must allow. A certificate allows all that its kind may do."""

    SUBMIT = "concord.submit"
    READ = "concord.read"
    AUDIT = "concord.audit"
    DECIDE = "concord.decide"


class Verdict(Enum):
    """What a caller of a kind meets when it calls a method on a listener."""

    ALLOWED = "allowed"
    ABSENT = "absent"
    """The service is not there: UNIMPLEMENTED from gRPC itself, before anybody asks who calls."""
    STRANGER = "CALLER_UNKNOWN"
    FORBIDDEN = "METHOD_NOT_ALLOWED"
    UNIMPLEMENTED = "METHOD_UNIMPLEMENTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """The rules of one method."""

    listeners: frozenset[Listener]
    callers: frozenset[CallerKind]
    max_bytes: int
    """Largest request message; a stream's each."""
    max_age_s: float | None
    """A stream ends cleanly after this. None for unary calls, which must set a deadline instead."""
    offered: bool = True
    """False: answered METHOD_UNIMPLEMENTED."""
    checked: bool = True
    """The guard checks the declared rules of each request; False where the servicer judges parts of it one by one."""
    is_link: bool = False
    """Requests are frames of a link, and what is wrong with one is called FRAME_MALFORMED."""
    max_streams: int = 0
    """Streams that one caller may have open; one more ends the oldest, which may be half-open. For streams only."""
    scope: Scope | None = None
    """None: any token will do."""


SMALL_BYTES: Final = 4096
"""Requests that carry ids, cursors and page tokens only."""
DRAFT_BYTES: Final = 2_100_000
"""A body of 2,000,000 bytes with the fields around it; what is larger inside is refused with the body's own limit."""
WORDS_BYTES: Final = 50_000
"""Two texts of 4,000 characters of up to four bytes, and 64 rules of 128."""
CARD_BYTES: Final = 70_000
"""partner.proto: a card of 64 KiB with up to four signatures."""
REQUEST_BYTES: Final = 32_768
"""A certificate request of 16 KiB with a name and up to 64 authorities of 128 bytes."""
CHECKPOINTS_BYTES: Final = 90_000
"""Two checkpoints of 16 KiB, a proof of 64 hashes, and an entry of 16 KiB with a proof of 32 KiB."""
FRAME_BYTES: Final = 4 << 20
"""A frame of a link, or of streamed submissions."""
STREAM_AGE_S: Final = 3600.0
"""Streams begin anew each hour, so that no caller outlives its certificate's check for long."""
MAX_LINKS: Final = 2
"""A partner has one link, and for a moment two when it begins anew. Each may hold several frames of 4 MiB in memory."""
MAX_SUBMITTING: Final = 8
UPLOAD_BYTES: Final = (1 << 20) + SMALL_BYTES
"""A piece of a file of 1 MiB with the fields around it."""
MAX_FILES: Final = 8
"""Files that one caller may send or fetch at once: each holds a chunk of at most 4 MiB in memory."""
MAX_WATCHING: Final = 64
"""Such a stream holds no requests."""


Who = tuple[frozenset[Listener], frozenset[CallerKind], Scope | None]


def _unary(who: Who, max_bytes: int = SMALL_BYTES, *, offered: bool = True, checked: bool = True) -> Method:
    return Method(
        listeners=who[0],
        callers=who[1],
        scope=who[2],
        max_bytes=max_bytes,
        max_age_s=None,
        offered=offered,
        checked=checked,
    )


def _stream(
    who: Who,
    max_bytes: int = SMALL_BYTES,
    *,
    max_streams: int = MAX_WATCHING,
    checked: bool = True,
    is_link: bool = False,
) -> Method:
    return Method(
        listeners=who[0],
        callers=who[1],
        scope=who[2],
        max_bytes=max_bytes,
        max_age_s=STREAM_AGE_S,
        checked=checked,
        is_link=is_link,
        max_streams=max_streams,
    )


_ON_EXCHANGE: Final = frozenset({Listener.EXCHANGE})
_OWN: Final = frozenset({CallerKind.SYSTEM, CallerKind.OFFICER})
_SUBMIT: Final[Who] = (_ON_EXCHANGE, _OWN, Scope.SUBMIT)
_READ: Final[Who] = (_ON_EXCHANGE, _OWN, Scope.READ)
_DECIDE: Final[Who] = (_ON_EXCHANGE, frozenset({CallerKind.OFFICER}), Scope.DECIDE)
_AUDIT: Final[Who] = (
    frozenset({Listener.EXCHANGE, Listener.ADMIN}),
    frozenset({CallerKind.AUDITOR, CallerKind.OPERATOR}),
    Scope.AUDIT,
)
_OPEN: Final[Who] = (_ON_EXCHANGE, _OWN | {CallerKind.AUDITOR}, None)
_FEDERATION: Final[Who] = (frozenset({Listener.FEDERATION}), frozenset({CallerKind.PARTNER}), None)
_ADMIN: Final[Who] = (frozenset({Listener.ADMIN}), frozenset({CallerKind.OPERATOR}), None)

METHODS: Final[dict[str, Method]] = {
    "concord.v1.ExchangeService.SubmitMessage": _unary(_SUBMIT, DRAFT_BYTES, checked=False),
    "concord.v1.ExchangeService.SubmitMessages": _stream(
        _SUBMIT, FRAME_BYTES, max_streams=MAX_SUBMITTING, checked=False
    ),
    "concord.v1.ExchangeService.ValidateMessage": _unary(_SUBMIT, DRAFT_BYTES, checked=False),
    "concord.v1.ExchangeService.GetMessage": _unary(_READ),
    "concord.v1.ExchangeService.ListMessages": _unary(_READ),
    "concord.v1.ExchangeService.WatchMessages": _stream(_READ),
    "concord.v1.ExchangeService.AcknowledgeMessage": _unary(_READ),
    "concord.v1.ExchangeService.MarkAlert": _unary(_READ),
    "concord.v1.ExchangeService.UploadAttachment": _stream(_SUBMIT, UPLOAD_BYTES, max_streams=MAX_FILES),
    "concord.v1.ExchangeService.DownloadAttachment": _stream(_READ, max_streams=MAX_FILES),
    "concord.v1.ExchangeService.ListAttachments": _unary(_READ),
    "concord.v1.ApprovalService.ListProposals": _unary(_READ),
    "concord.v1.ApprovalService.GetProposal": _unary(_DECIDE),
    "concord.v1.ApprovalService.ClaimProposal": _unary(_DECIDE),
    "concord.v1.ApprovalService.ReleaseClaim": _unary(_DECIDE),
    "concord.v1.ApprovalService.HandOverClaim": _unary(_DECIDE),
    "concord.v1.ApprovalService.ProposeDraft": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.ApprovalService.EditDraft": _unary(_DECIDE, DRAFT_BYTES + WORDS_BYTES, checked=False),
    "concord.v1.ApprovalService.ApproveProposal": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.ApprovalService.RefuseProposal": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.ApprovalService.WithdrawProposal": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.ApprovalService.AskAboutProposal": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.ApprovalService.SendAlone": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.ApprovalService.BreakGlass": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.ApprovalService.ReviewBrokenGlass": _unary(_DECIDE, WORDS_BYTES),
    "concord.v1.AuditService.GetHead": _unary(_AUDIT),
    "concord.v1.AuditService.SearchEntries": _unary(_AUDIT),
    "concord.v1.AuditService.ListEntries": _unary(_AUDIT),
    "concord.v1.AuditService.ProveEntry": _unary(_AUDIT),
    "concord.v1.AuditService.ProveConsistency": _unary(_AUDIT),
    "concord.v1.AuditService.GetTile": _unary(_AUDIT),
    "concord.v1.AuditService.CheckLog": _stream(_AUDIT, max_streams=2),
    "grpc.health.v1.Health.Check": _unary(_OPEN),
    "grpc.health.v1.Health.List": _unary(_OPEN),
    "grpc.health.v1.Health.Watch": _stream(_OPEN),
    "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo": _stream(_OPEN),
    "concord.v1.FederationService.Link": _stream(_FEDERATION, FRAME_BYTES, max_streams=MAX_LINKS, is_link=True),
    "concord.v1.FederationService.GetCard": _unary(_FEDERATION, CARD_BYTES),
    "concord.v1.FederationService.Probe": _unary(_FEDERATION),
    "concord.v1.FederationService.ExchangeCheckpoints": _unary(_FEDERATION, CHECKPOINTS_BYTES),
    "concord.v1.FederationService.ProveReceipt": _unary(_FEDERATION),
    "concord.v1.FederationService.FetchAttachment": _stream(_FEDERATION, max_streams=MAX_FILES),
    "concord.v1.AdminService.GetStatus": _unary(_ADMIN),
    "concord.v1.AdminService.ListOutbox": _unary(_ADMIN),
    "concord.v1.AdminService.ListPartners": _unary(_ADMIN),
    "concord.v1.AdminService.GetOwnCard": _unary(_ADMIN),
    "concord.v1.AdminService.AddPartner": _unary(_ADMIN, CARD_BYTES),
    "concord.v1.AdminService.SetPartnerFrozen": _unary(_ADMIN),
    "concord.v1.AdminService.RemovePartner": _unary(_ADMIN),
    "concord.v1.AdminService.RotateKeys": _unary(_ADMIN),
    "concord.v1.AdminService.BeginLog": _unary(_ADMIN),
    "concord.v1.AdminService.SubmitLocal": _unary(_ADMIN, DRAFT_BYTES, checked=False),
    "concord.v1.AdminService.ListInbox": _unary(_ADMIN),
    "concord.v1.AdminService.MarkInboxAlert": _unary(_ADMIN),
    "concord.v1.AdminService.ShowMessage": _unary(_ADMIN),
    "concord.v1.AdminService.GetDelivery": _unary(_ADMIN),
    "concord.v1.AdminService.ListCases": _unary(_ADMIN),
    "concord.v1.AdminService.ShowCase": _unary(_ADMIN),
    "concord.v1.AdminService.TestPartner": _unary(_ADMIN),
    "concord.v1.AdminService.ListRejectedCallers": _unary(_ADMIN),
    "concord.v1.AdminService.ListSystems": _unary(_ADMIN),
    "concord.v1.AdminService.AddSystem": _unary(_ADMIN, REQUEST_BYTES),
    "concord.v1.AdminService.RenewSystem": _unary(_ADMIN, REQUEST_BYTES),
    "concord.v1.AdminService.RemoveSystem": _unary(_ADMIN),
}
"""By full name as the descriptors give it."""


def services() -> tuple[ServiceDescriptor, ...]:
    """Return the descriptors of every service this gateway knows."""
    files = (
        exchange_service_pb2,
        approval_service_pb2,
        audit_service_pb2,
        federation_service_pb2,
        admin_service_pb2,
        health_pb2,
        reflection_pb2,
    )
    return tuple(service for file in files for service in file.DESCRIPTOR.services_by_name.values())


def methods_of(service: ServiceDescriptor) -> Iterable[MethodDescriptor]:
    """Return a service's methods."""
    methods: Iterable[MethodDescriptor] = service.methods
    return methods


def row_of(method: MethodDescriptor) -> Method:
    """Return a method's rules.

    Raises:
        LookupError: It has none: a mistake of ours that must stop the start.
    """
    try:
        return METHODS[method.full_name]
    except KeyError:
        raise LookupError(f"no row for {method.full_name} in gateway.rpc.methods") from None


def services_on(listener: Listener) -> tuple[ServiceDescriptor, ...]:
    """Return the services of a listener. A service is whole on each listener it is on.

    Raises:
        LookupError: A method has no row, or methods of one service are on different listeners.
    """
    found = []
    for service in services():
        listeners = {row_of(method).listeners for method in methods_of(service)}
        if len(listeners) != 1:
            raise LookupError(f"the methods of {service.full_name} must all be on the same listeners")
        if listener in next(iter(listeners)):
            found.append(service)
    return tuple(found)


def verdict(name: str, kind: CallerKind, listener: Listener) -> Verdict:
    """Return what a caller of a kind meets: the whole table of access, one cell at a time.

    Raises:
        LookupError: There is no such method.
    """
    row = METHODS.get(name)
    if row is None:
        raise LookupError(f"no row for {name} in gateway.rpc.methods")
    if listener not in row.listeners:
        return Verdict.ABSENT
    if kind not in COMES_BY[listener]:
        return Verdict.STRANGER
    if kind not in row.callers:
        return Verdict.FORBIDDEN
    return Verdict.ALLOWED if row.offered else Verdict.UNIMPLEMENTED
