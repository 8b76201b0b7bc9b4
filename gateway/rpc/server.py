"""The three listeners: federation for partners, exchange for this state's systems, admin for operators."""

import asyncio
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from gateway.clock import Clock
from gateway.errors import ConfigInvalid
from gateway.ids import PartnerId
from gateway.issuers import Issuer
from gateway.ports import LinkIdentity
from gateway.rpc.admin_servicer import AdminBackend, AdminServicer
from gateway.rpc.approval_servicer import ApprovalServicer
from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.callers import (
    Directory,
    PartnerAuthenticator,
    Registrations,
    SocketAuthenticator,
    SystemAuthenticator,
)
from gateway.rpc.exchange_servicer import ExchangeServicer
from gateway.rpc.federation_servicer import FederationServicer
from gateway.rpc.guard import Guard
from gateway.rpc.health import Availability, ClosedReflection, HealthServicer, ReflectionServicer
from gateway.rpc.methods import FRAME_BYTES, Listener, services_on
from gateway.rpc.rejected import RejectedCallers
from gateway.rpc.tls import Roots, anonymous_credentials, partner_roots, server_credentials
from gateway.rpc.tokens import KeySource, TokenAuthenticator
from gateway.telemetry.calls import UNWATCHED, Calls

SOCKET_FILE: Final = "admin.sock"
_SOCKET_PATH_BYTES: Final = 107
"""sun_path of sockaddr_un on Linux, less its terminating zero."""
_OPTIONS: Final = (
    # Room above the largest message of methods.py, so that its own refusal, which says what is allowed, comes first.
    ("grpc.max_receive_message_length", FRAME_BYTES + (1 << 16)),
    ("grpc.max_concurrent_streams", 256),
    # A half-open connection is found within 45 s; clients may ping as often.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # Two gateways by mistake on one port must fail, not share it.
    ("grpc.so_reuseport", 0),
)


class ListenerServer:
    """One listener with its services behind one guard."""

    def __init__(
        self,
        guard: Guard,
        services: Mapping[ServiceDescriptor, object | None],
        bind: Callable[[Any], int],
        *,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.guard = guard
        self._bind = bind
        self._on_stop = on_stop
        self._handlers = [guard.handlers(item, by) for item, by in services.items()]
        # Made when it starts: a server of gRPC's that never runs cannot be disposed of quietly.
        self._server: grpc.aio.Server | None = None

    @property
    def running(self) -> bool:
        """Whether it was started."""
        return self._server is not None

    async def start(self) -> int:
        """Listen and return the port bound (0 for the socket).

        Raises:
            ConfigInvalid: The address cannot be bound.
        """
        self._server = grpc.aio.server(options=list(_OPTIONS))
        self._server.add_generic_rpc_handlers(self._handlers)
        port = self._bind(self._server)
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, end streams cleanly, and cut off after the grace what is still running."""
        if self._server is None:
            return
        self._on_stop()
        self.guard.end_streams()
        await self._server.stop(grace_s)


def _bind_tls(address: str, key: str, credentials: grpc.ServerCredentials) -> Callable[[Any], int]:
    def bind(server: Any) -> int:
        try:
            port: int = server.add_secure_port(address, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise ConfigInvalid(f"{key}: '{address}' cannot be bound: another program holds it, or it is not ours")
        return port

    return bind


def _bind_socket(path: Path) -> Callable[[Any], int]:
    def bind(server: Any) -> int:
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
            raise ConfigInvalid(f"the path of the socket is longer than {_SOCKET_PATH_BYTES} bytes: {path}")
        # A leftover of a gateway that died; a living one holds the home's lock, so this one cannot run.
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        # The mask, and not a chmod afterwards: there must be no moment in which others could connect.
        mask = os.umask(0o177)
        try:
            bound: int = server.add_insecure_port(f"unix:{path}")
        except RuntimeError:
            bound = 0
        finally:
            os.umask(mask)
        if bound == 0 or stat.S_IMODE(path.stat().st_mode) != 0o600:
            raise ConfigInvalid(f"the socket {path} cannot be made for this user alone")
        return 0

    return bind


def federation_listener(
    *,
    address: str,
    identity: Callable[[], LinkIdentity],
    own_roots: Roots,
    directory: Directory,
    clock: Clock,
    servicer: FederationServicer,
    rejected: RejectedCallers,
    max_stream_age_s: float | None = None,
    calls: Calls = UNWATCHED,
) -> ListenerServer:
    """Return the listener for partner gateways.

    Args:
        address: host:port; port 0 takes any free one.
        identity: Gives our current certificate and key.
        own_roots: Gives the certificates (DER) of our own authority.
        directory: Partners' cards; a change is applied to open streams at once.
        clock: Says when certificates are judged.
        servicer: Answers.
        rejected: Remembers who was turned away.
        max_stream_age_s: Instead of that in methods.py.
        calls: Counts and draws calls.
    """
    guard = Guard(
        Listener.FEDERATION,
        PartnerAuthenticator(directory, clock),
        rejected,
        max_age_s=max_stream_age_s,
        calls=calls,
    )
    directory.on_change(guard.recheck)
    credentials = server_credentials(identity, partner_roots(directory.tls_roots, own_roots))
    services = dict.fromkeys(services_on(Listener.FEDERATION), servicer)
    return ListenerServer(guard, services, _bind_tls(address, "listen.federation", credentials))


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Whose access tokens the exchange listener takes."""

    issuers: Mapping[str, tuple[Issuer, KeySource]]
    """By the claim iss."""
    address: str | None
    """host:port of a second port, where callers show no certificate."""


def _both(first: Callable[[Any], int], second: Callable[[Any], int]) -> Callable[[Any], int]:
    def bind(server: Any) -> int:
        port = first(server)
        second(server)
        return port

    return bind


def exchange_listener(
    *,
    address: str,
    own: PartnerId,
    identity: Callable[[], LinkIdentity],
    own_roots: Roots,
    submitters: Registrations,
    clock: Clock,
    servicer: ExchangeServicer,
    audit: AuditServicer | None,
    approvals: ApprovalServicer,
    rejected: RejectedCallers,
    max_stream_age_s: float | None = None,
    tokens: TokenSettings | None = None,
    calls: Calls = UNWATCHED,
    store: Availability | None = None,
    reflection: bool = True,
) -> ListenerServer:
    """Return the listener for this state's own systems, with health and reflection.

    Args:
        address: host:port; port 0 takes any free one.
        own: This state.
        identity: Gives our current certificate and key.
        own_roots: Gives the certificates (DER) of our own authority, which issues systems' certificates.
        submitters: Who may call, by principal, for example "system/early-warning", with which certificates.
        clock: Says when certificates are judged.
        servicer: Answers.
        audit: Answers auditors.
        approvals: Answers officers.
        rejected: Remembers who was turned away.
        max_stream_age_s: Instead of that in methods.py.
        tokens: Whose access tokens are taken; None for none.
        calls: Counts and draws calls.
        store: Whether what is handed in can be stored; without it health says that it can.
        reflection: Whether callers are shown the descriptors.
    """
    authenticator = SystemAuthenticator(own=own, roots=own_roots, registered=submitters, clock=clock)
    gate = None
    if tokens is not None:
        gate = TokenAuthenticator(
            issuers=tokens.issuers, default_resource=f"https://{address}", systems=authenticator, clock=clock
        )
    guard = Guard(Listener.EXCHANGE, authenticator, rejected, max_age_s=max_stream_age_s, tokens=gate, calls=calls)
    found = services_on(Listener.EXCHANGE)
    names: Sequence[str] = [item.full_name for item in found]
    health = HealthServicer(names, store=store)
    servicers: dict[str, object] = {
        "concord.v1.ExchangeService": servicer,
        "concord.v1.ApprovalService": approvals,
        "concord.v1.AuditService": audit,
        "grpc.health.v1.Health": health,
        "grpc.reflection.v1alpha.ServerReflection": ReflectionServicer(names) if reflection else ClosedReflection(),
    }
    services = {item: servicers.get(item.full_name) for item in found}
    bind = _bind_tls(address, "listen.exchange", server_credentials(identity, own_roots))
    if tokens is not None and tokens.address is not None:
        bind = _both(bind, _bind_tls(tokens.address, "listen.tokens", anonymous_credentials(identity)))
    return ListenerServer(guard, services, bind, on_stop=health.stop)


def admin_listener(
    *,
    home: Path,
    backend: AdminBackend,
    audit: AuditServicer | None,
    rejected: RejectedCallers,
    calls: Calls = UNWATCHED,
) -> ListenerServer:
    """Return the listener for operators: a Unix socket in the home that only this user may open."""
    guard = Guard(Listener.ADMIN, SocketAuthenticator(), rejected, calls=calls)
    servicers: dict[str, object] = {
        "concord.v1.AdminService": AdminServicer(backend),
        "concord.v1.AuditService": audit,
    }
    services = {item: servicers.get(item.full_name) for item in services_on(Listener.ADMIN)}
    return ListenerServer(guard, services, _bind_socket((home / SOCKET_FILE).absolute()))


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPorts:
    """Ports that were bound."""

    federation: int
    exchange: int | None


class Servers:
    """All listeners of one gateway.

    Args:
        expects_systems: False leaves the exchange listener closed until open_exchange.
    """

    def __init__(
        self,
        *,
        federation: ListenerServer,
        exchange: ListenerServer | None,
        admin: ListenerServer,
        expects_systems: bool = True,
    ) -> None:
        self._federation = federation
        self._exchange = exchange
        self._expects_systems = expects_systems
        self._admin = admin

    async def start(self) -> BoundPorts:
        """Start all; the socket last, so that whoever can ask finds a gateway that serves.

        Raises:
            ConfigInvalid: An address cannot be bound; what had started is stopped again.
        """
        try:
            federation = await self._federation.start()
            exchange = await self.open_exchange() if self._expects_systems else None
            await self._admin.start()
        except BaseException:
            await self.stop(0)
            raise
        return BoundPorts(federation=federation, exchange=exchange)

    async def open_exchange(self) -> int | None:
        """Start the exchange listener if it does not run; its first caller has been registered.

        Raises:
            ConfigInvalid: The address cannot be bound.
        """
        return None if self._exchange is None or self._exchange.running else await self._exchange.start()

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop all at once, so that the grace is waited for once."""
        listeners = (self._exchange, self._federation, self._admin)
        await asyncio.gather(*(listener.stop(grace_s) for listener in listeners if listener is not None))
