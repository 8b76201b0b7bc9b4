"""Who calls: from what a connection proves to a caller, judged anew on each call.

TLS accepts whatever leads to any partner's root, so a certificate is verified again here against the roots of the one
partner it claims to be: another partner's authority cannot mint its name. Reference: DESIGN section 6.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gateway.clock import Clock
from gateway.crypto.certificates import pem_to_der, spiffe_id, verify_gateway_chain, verify_own_chain
from gateway.errors import CallerUnknown, TokenRejected
from gateway.ids import PartnerId
from gateway.model.partner import Card
from gateway.rpc.methods import CallerKind, Scope

JUDGED_FOR_MS: Final = 60_000
"""How long a verified chain counts before it is verified again: certificates expire while connections live."""
REMEMBERED: Final = 1024
_END: Final = b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A caller that has proved who it is."""

    kind: CallerKind
    principal: str
    """partner/vn, system/early-warning, auditor/court, token/early-warning or operator."""
    partner: PartnerId | None = None
    """Set for partners."""
    certificate_digest: bytes = b""
    """SHA-256 of the certificate presented, DER."""
    scopes: frozenset[Scope] | None = None
    """What its access token allows; None for callers that are known without one."""
    rest_s: float | None = None
    """How long its access token still counts, as of this call: its streams end with it."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What a connection shows of its other end."""

    address: str
    leaf: bytes
    """PEM; empty without a certificate."""
    intermediates: tuple[bytes, ...]
    authorization: tuple[str, ...] = field(default=(), repr=False)
    """Values of the metadata entry of that name. One is a token; several are an attempt to be two callers."""
    proof: tuple[str, ...] = field(default=(), repr=False)
    """Values of the metadata entry dpop."""


def presented_by(context: Any) -> Presented:
    """Return what the connection of a call shows."""
    found = context.auth_context()
    leaf = next(iter(found.get("x509_pem_cert", ())), b"")
    chain = next(iter(found.get("x509_pem_cert_chain", ())), b"")
    parts = [part + _END for part in chain.split(_END)[:-1]]
    return Presented(context.peer(), leaf, tuple(parts[1:]))


def with_token(presented: Presented, context: Any) -> Presented:
    """Return the same with the access token and proof that the call carries."""
    found: dict[str, list[str]] = {"authorization": [], "dpop": []}
    for key, value in context.invocation_metadata() or ():
        if key in found:
            found[key].append(value if isinstance(value, str) else "")
    if not found["authorization"] and not found["dpop"]:
        return presented
    return Presented(
        presented.address,
        presented.leaf,
        presented.intermediates,
        tuple(found["authorization"]),
        tuple(found["dpop"]),
    )


def certificate_digest(leaf: bytes) -> bytes:
    """Return SHA-256 of a certificate (PEM), over DER.

    Raises:
        FieldInvalid: It is none.
    """
    return hashlib.sha256(pem_to_der(leaf)).digest()


class Authenticator(Protocol):
    """Says who a caller is."""

    def identify(self, presented: Presented) -> Caller:
        """Return the caller.

        Raises:
            CallerUnknown: Its proof does not hold.
            PartnerUnknown: It is no partner of ours.
            PartnerFrozen: Exchange with it is stopped.
        """
        ...


class Directory(Protocol):
    """What is needed of exchange.directory.PartnerDirectory."""

    def card(self, partner: PartnerId) -> Card: ...
    def usable(self, partner: PartnerId) -> Card: ...
    def tls_roots(self) -> dict[PartnerId, tuple[bytes, ...]]: ...
    def on_change(self, callback: Callable[[PartnerId], None]) -> None: ...


class _Judgements:
    """Chains verified a moment ago, so that a call does not pay for X.509 each time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Presented, tuple[bytes, ...]], tuple[int, Caller]] = OrderedDict()

    def find(self, presented: Presented, roots: tuple[bytes, ...], now_ms: int) -> Caller | None:
        key = (Presented("", presented.leaf, presented.intermediates), roots)
        found = self._kept.get(key)
        if found is None or not found[0] <= now_ms < found[0] + JUDGED_FOR_MS:
            return None
        self._kept.move_to_end(key)
        return found[1]

    def keep(self, presented: Presented, roots: tuple[bytes, ...], now_ms: int, caller: Caller) -> None:
        key = (Presented("", presented.leaf, presented.intermediates), roots)
        self._kept[key] = (now_ms, caller)
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)


class PartnerAuthenticator:
    """Knows partner gateways by chains that lead to the roots in their own cards."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._claims: OrderedDict[bytes, PartnerId] = OrderedDict()
        self._judged = _Judgements()

    def identify(self, presented: Presented) -> Caller:
        """Return the partner that calls.

        Raises:
            CallerUnknown: No certificate, or it does not lead to the roots of the partner it names.
            PartnerUnknown: The partner it names has no card here.
            PartnerFrozen: Exchange with it is stopped.
        """
        claimed = self._claimed(presented.leaf)
        roots = self._directory.card(claimed).tls_roots
        now_ms = self._clock.now_ms()
        caller = self._judged.find(presented, roots, now_ms)
        if caller is None:
            partner = verify_gateway_chain(presented.leaf, presented.intermediates, roots, now_ms)
            if partner != claimed:
                raise CallerUnknown("the certificate names another partner")
            caller = Caller(
                kind=CallerKind.PARTNER,
                principal=f"partner/{partner}",
                partner=partner,
                certificate_digest=certificate_digest(presented.leaf),
            )
            self._judged.keep(presented, roots, now_ms, caller)
        # Last, so that only the partner itself learns that it is frozen.
        self._directory.usable(claimed)
        return caller

    def _claimed(self, leaf: bytes) -> PartnerId:
        if not leaf:
            raise CallerUnknown("the caller shows no certificate")
        claimed = self._claims.get(leaf)
        if claimed is None:
            code, _, role = spiffe_id(leaf).removeprefix("spiffe://").partition("/")
            if role != "gateway":
                # Before cards are looked at: a state's systems and auditors are nobody here, whoever their state is.
                raise CallerUnknown("the certificate is not a gateway's")
            claimed = PartnerId(code)
            self._claims[leaf] = claimed
            if len(self._claims) > REMEMBERED:
                self._claims.popitem(last=False)
        return claimed


class Registrations(Protocol):
    """What is needed of installation.registry.Registry."""

    def __contains__(self, principal: object, /) -> bool: ...

    def check_certificate(self, principal: str, digest: bytes) -> None:
        """Refuse a certificate that is not one of the principal's.

        Raises:
            CallerUnknown: It is not.
        """
        ...


class SystemAuthenticator:
    """Knows this state's own systems and auditors by certificates of its own authority.

    Args:
        own: This state.
        roots: Gives the DER certificates of its authority.
        registered: Principals that may call, for example "system/early-warning", with their certificates.
    """

    def __init__(
        self, *, own: PartnerId, roots: Callable[[], tuple[bytes, ...]], registered: Registrations, clock: Clock
    ) -> None:
        self._own = own
        self._roots = roots
        self._registered = registered
        self._clock = clock
        self._judged = _Judgements()

    def identify(self, presented: Presented) -> Caller:
        """Return the system or auditor that calls.

        Raises:
            CallerUnknown: No certificate, not of this state, or not registered.
            TokenRejected: An access token is shown where none is taken: never judged by less than what is shown.
        """
        if presented.authorization or presented.proof:
            raise TokenRejected("no issuer of tokens is configured here")
        return self.by_certificate(presented)

    def by_certificate(self, presented: Presented) -> Caller:
        """Return whom the certificate alone proves.

        Raises:
            CallerUnknown: As identify.
        """
        if not presented.leaf:
            raise CallerUnknown("the caller shows no certificate")
        roots = self._roots()
        now_ms = self._clock.now_ms()
        caller = self._judged.find(presented, roots, now_ms)
        if caller is None:
            partner, role, name = verify_own_chain(presented.leaf, presented.intermediates, roots, now_ms)
            if partner != self._own:
                raise CallerUnknown("the certificate is of another state")
            caller = Caller(
                kind=CallerKind(role),
                principal=f"{role}/{name}",
                certificate_digest=certificate_digest(presented.leaf),
            )
            self._judged.keep(presented, roots, now_ms, caller)
        if caller.principal not in self._registered:
            raise CallerUnknown(f"'{caller.principal}' is not registered here")
        self._registered.check_certificate(caller.principal, caller.certificate_digest)
        return caller


class SocketAuthenticator:
    """Knows the operator by possession of the Unix socket, which only the gateway's own user can open."""

    def identify(self, presented: Presented) -> Caller:
        """Return the operator.

        Raises:
            CallerUnknown: The call did not come through the socket.
        """
        if not presented.address.startswith("unix:"):
            raise CallerUnknown("the admin service is offered on the Unix socket only")
        return Caller(kind=CallerKind.OPERATOR, principal="operator")
