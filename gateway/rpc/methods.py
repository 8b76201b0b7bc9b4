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
    OPERATOR = "operator"
    """Whoever may open the Unix socket."""


class Listener(Enum):
    """Where a service is offered."""

    FEDERATION = "federation"
    EXCHANGE = "exchange"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """The rules of one method."""

    listener: Listener
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


SMALL_BYTES: Final = 4096
"""Requests that carry ids, cursors and page tokens only."""
DRAFT_BYTES: Final = 2_100_000
"""A body of 2,000,000 bytes with the fields around it; what is larger inside is refused with the body's own limit."""
CARD_BYTES: Final = 70_000
"""partner.proto: a card of 64 KiB with up to four signatures."""
FRAME_BYTES: Final = 4 << 20
"""A frame of a link, or of streamed submissions."""
STREAM_AGE_S: Final = 3600.0
"""Streams begin anew each hour, so that no caller outlives its certificate's check for long."""
MAX_LINKS: Final = 2
"""A partner has one link, and for a moment two when it begins anew. Each may hold several frames of 4 MiB in memory."""
MAX_SUBMITTING: Final = 8
MAX_WATCHING: Final = 64
"""Such a stream holds no requests."""


def _unary(
    listener: Listener, caller: CallerKind, max_bytes: int = SMALL_BYTES, *, offered: bool = True, checked: bool = True
) -> Method:
    return Method(
        listener=listener,
        callers=frozenset({caller}),
        max_bytes=max_bytes,
        max_age_s=None,
        offered=offered,
        checked=checked,
    )


def _stream(
    listener: Listener,
    caller: CallerKind,
    max_bytes: int = SMALL_BYTES,
    *,
    max_streams: int = MAX_WATCHING,
    checked: bool = True,
    is_link: bool = False,
) -> Method:
    return Method(
        listener=listener,
        callers=frozenset({caller}),
        max_bytes=max_bytes,
        max_age_s=STREAM_AGE_S,
        checked=checked,
        is_link=is_link,
        max_streams=max_streams,
    )


_EXCHANGE = (Listener.EXCHANGE, CallerKind.SYSTEM)
_FEDERATION = (Listener.FEDERATION, CallerKind.PARTNER)
_ADMIN = (Listener.ADMIN, CallerKind.OPERATOR)

METHODS: Final[dict[str, Method]] = {
    "concord.v1.ExchangeService.SubmitMessage": _unary(*_EXCHANGE, DRAFT_BYTES, checked=False),
    "concord.v1.ExchangeService.SubmitMessages": _stream(
        *_EXCHANGE, FRAME_BYTES, max_streams=MAX_SUBMITTING, checked=False
    ),
    "concord.v1.ExchangeService.ValidateMessage": _unary(*_EXCHANGE, DRAFT_BYTES, checked=False),
    "concord.v1.ExchangeService.GetMessage": _unary(*_EXCHANGE),
    "concord.v1.ExchangeService.ListMessages": _unary(*_EXCHANGE),
    "concord.v1.ExchangeService.WatchMessages": _stream(*_EXCHANGE),
    "concord.v1.ExchangeService.AcknowledgeMessage": _unary(*_EXCHANGE),
    "concord.v1.ApprovalService.ListApprovals": _unary(*_EXCHANGE, offered=False),
    "concord.v1.AuditService.GetHead": _unary(*_EXCHANGE, offered=False),
    "grpc.health.v1.Health.Check": _unary(*_EXCHANGE),
    "grpc.health.v1.Health.List": _unary(*_EXCHANGE),
    "grpc.health.v1.Health.Watch": _stream(*_EXCHANGE),
    "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo": _stream(*_EXCHANGE),
    "concord.v1.FederationService.Link": _stream(*_FEDERATION, FRAME_BYTES, max_streams=MAX_LINKS, is_link=True),
    "concord.v1.FederationService.GetCard": _unary(*_FEDERATION, CARD_BYTES),
    "concord.v1.FederationService.Probe": _unary(*_FEDERATION),
    "concord.v1.AdminService.GetStatus": _unary(*_ADMIN),
    "concord.v1.AdminService.ListOutbox": _unary(*_ADMIN),
    "concord.v1.AdminService.ListPartners": _unary(*_ADMIN),
    "concord.v1.AdminService.GetOwnCard": _unary(*_ADMIN),
    "concord.v1.AdminService.AddPartner": _unary(*_ADMIN, CARD_BYTES),
    "concord.v1.AdminService.SetPartnerFrozen": _unary(*_ADMIN),
    "concord.v1.AdminService.RemovePartner": _unary(*_ADMIN),
    "concord.v1.AdminService.RotateKeys": _unary(*_ADMIN),
    "concord.v1.AdminService.SubmitLocal": _unary(*_ADMIN, DRAFT_BYTES, checked=False),
    "concord.v1.AdminService.ListInbox": _unary(*_ADMIN),
    "concord.v1.AdminService.GetDelivery": _unary(*_ADMIN),
    "concord.v1.AdminService.TestPartner": _unary(*_ADMIN),
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
    """Return the services of a listener.

    Raises:
        LookupError: A method has no row, or a service is spread over listeners.
    """
    found = []
    for service in services():
        listeners = {row_of(method).listener for method in methods_of(service)}
        if len(listeners) != 1:
            raise LookupError(f"{service.full_name} must be on exactly one listener")
        if listener in listeners:
            found.append(service)
    return tuple(found)
