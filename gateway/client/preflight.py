"""Why a connection does not come about: the steps of one, each tried by itself.

gRPC answers nearly every such fault with UNAVAILABLE, and four of them with the same "Socket closed". Here each has a
name, and words that say what happened, why, and what to do.
"""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from concord.v1 import audit_service_pb2 as audit_pb
from concord.v1 import exchange_service_pb2 as pb
from concord.v1.audit_service_pb2_grpc import AuditServiceStub
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub

from gateway.client.connection import OPTIONS, SERVICE, AccessToken, read_pem
from gateway.client.errors import NotUnderstood, error_of_call, told
from gateway.client.own_certificate import (
    EXPIRED,
    NO_CHECK_TIME,
    NOT_YET_VALID,
    Facts,
    facts_of,
    load_chain,
    own_facts,
    trust,
    why_refused,
)
from gateway.client.report import Fault, Report, Step
from gateway.clock import Clock, SystemClock, to_datetime
from gateway.errors import CallerUnknown, ConfigInvalid, GatewayError, MethodNotAllowed

TIMEOUT_S: Final = 5.0
AUDITOR: Final = "/auditor/"
"""In a certificate's name: spiffe://<partner>/auditor/<name>."""
AUDIT_SERVICE: Final = SERVICE.replace("ExchangeService", "AuditService")
HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What an HTTP/2 client says first (RFC 9113 section 3.4); TLS 1.3 tells of a refused certificate only after it."""


class _Stop(Exception):
    def __init__(self, fault: Fault, what: str, why: str, fix: str) -> None:
        super().__init__()
        self.fault, self.what, self.why, self.fix = fault, what, why, fix


def preflight(
    target: str,
    *,
    roots: Path | str,
    chain: Path | str | None = None,
    key: Path | str | None = None,
    access_token: AccessToken | None = None,
    timeout_s: float = TIMEOUT_S,
    clock: Clock | None = None,
) -> Report:
    """Try to connect, step by step, and say where it stops. Raises nothing about the connection: that is the report.

    Args:
        target: host:port of the exchange listener.
        roots: PEM file of the authority that issued the gateway's certificate.
        chain: PEM file of our certificate with any intermediates; without it only the way to the gateway is tested.
        key: PEM file of its key.
        access_token: When the gateway asks for one.
        timeout_s: For each step.
        clock: Says what time it is here.
    """
    attempt = _Attempt(
        target=target,
        roots=roots,
        chain=chain,
        key=key,
        access_token=access_token,
        timeout_s=timeout_s,
        clock=clock or SystemClock(),
    )
    steps: list[Step] = []
    named: tuple[tuple[str, Callable[[], str]], ...] = (
        ("files", attempt.files),
        ("name", attempt.resolve),
        ("port", attempt.connect),
        ("gateway", attempt.judge_gateway),
        ("ourselves", attempt.be_judged),
        ("call", attempt.call),
    )
    for name, step in named:
        try:
            steps.append(Step(name=name, what=step()))
        except _Stop as stop:
            steps.append(Step(name=name, what=stop.what, fault=stop.fault, why=stop.why, fix=stop.fix))
            break
        except ConfigInvalid as error:
            fix = "Name the right PEM files: the authority's certificate, our certificate, its key without passphrase."
            steps.append(Step(name=name, what="the files cannot be used", fault=Fault.FILES, why=error.text, fix=fix))
            break
    return Report(target=target, steps=tuple(steps))


class _Attempt:
    """One connection; each step leaves behind what the next one needs."""

    def __init__(
        self,
        *,
        target: str,
        roots: Path | str,
        chain: Path | str | None,
        key: Path | str | None,
        access_token: AccessToken | None,
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self._target, self._access_token, self._timeout_s, self._clock = target, access_token, timeout_s, clock
        self._paths = (roots, chain, key)
        self._host, self._port = "", 0
        self._roots_pem, self._chain_pem, self._key_pem = b"", b"", b""
        self._own: Facts | None = None
        self._address: Any = None

    def files(self) -> str:
        roots, chain, key = self._paths
        self._roots_pem = read_pem(roots, "roots", b"CERTIFICATE")
        trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self._roots)
        if (chain is None) != (key is None):
            raise ConfigInvalid("a certificate chain and its key belong together")
        if chain is None or key is None:
            return "roots can be read; no certificate of ours is given"
        self._chain_pem, self._key_pem = (
            read_pem(chain, "chain", b"CERTIFICATE"),
            read_pem(key, "key", b"PRIVATE KEY"),
        )
        self._own = own_facts(self._chain_pem, self._key_pem)
        return f"our certificate is {', '.join(self._own.names)}, {self._own.validity}"

    @property
    def _roots(self) -> str:
        return self._roots_pem.decode("ascii", "replace")

    def resolve(self) -> str:
        host, _, port = self._target.rpartition(":")
        self._host = host.removeprefix("[").removesuffix("]")
        if not self._host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            fix = "Write the target as host:port, for example gateway.example.org:7444."
            raise _Stop(Fault.NAME_UNKNOWN, f"'{self._target}' is no address", "there is no host or no port", fix)
        self._port = int(port)
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _Stop(
                Fault.NAME_UNKNOWN,
                f"the name '{self._host}' is not known",
                f"the resolver says: {getattr(error, 'strerror', '') or error}",
                "Check the spelling, and that this machine asks the right name server.",
            ) from None
        return f"{self._host} is {', '.join(dict.fromkeys(str(item[4][0]) for item in found))}"

    def connect(self) -> str:
        connection = self._connected()
        self._address = connection.getpeername()
        connection.close()
        return f"{self._address[0]} port {self._address[1]} is open"

    def _connected(self) -> socket.socket:
        where = f"{self._host} port {self._port}"
        try:
            return socket.create_connection((self._host, self._port), timeout=self._timeout_s)
        except TimeoutError:
            raise _Stop(
                Fault.SILENT,
                f"{where} does not answer",
                f"nothing came back in {self._timeout_s:g} s; most often a firewall drops what is not let through",
                "Ask the network's operators to let this machine through to that address and port.",
            ) from None
        except ConnectionRefusedError:
            raise _Stop(
                Fault.PORT_CLOSED,
                f"{where} is closed",
                "the machine answers, and no program listens there",
                "Check the port (listen.exchange in concord.toml) and that the gateway runs: concord status.",
            ) from None
        except OSError as error:
            raise _Stop(
                Fault.SILENT,
                f"{where} cannot be reached",
                f"the network says: {error.strerror or error}",
                "Check the route and the address.",
            ) from None

    def judge_gateway(self) -> str:
        context = self._context(ssl.CERT_REQUIRED)
        try:
            with self._connected() as plain, context.wrap_socket(plain, server_hostname=self._host) as secure:
                facts = facts_of(secure.getpeercert() or {})
                speaks_http2 = secure.selected_alpn_protocol() == "h2"
        except ssl.SSLCertVerificationError as error:
            raise self._not_believed(error) from None
        except TimeoutError:
            raise _Stop(
                Fault.SILENT,
                "the port is open, but nobody speaks",
                f"no answer to a TLS greeting in {self._timeout_s:g} s: a proxy without a gateway behind, or no TLS",
                "Check that address and port are the gateway's exchange listener.",
            ) from None
        except (ssl.SSLError, OSError) as error:
            raise _Stop(
                Fault.NOT_TLS,
                "the other side does not speak TLS",
                f"its answer to a TLS greeting was: {getattr(error, 'reason', '') or error.strerror or 'it hung up'}",
                "Check the port: this is another service, or a proxy that takes TLS off.",
            ) from None
        if not speaks_http2:
            raise _wrong_service("it speaks TLS but no HTTP/2")
        return f"its certificate is {', '.join(facts.names)}, {facts.validity}"

    def _context(self, verify: ssl.VerifyMode) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = verify is ssl.CERT_REQUIRED
        context.verify_mode = verify
        context.set_alpn_protocols(["h2"])
        trust(context, self._roots)
        if self._own is not None:
            load_chain(context, self._chain_pem, self._key_pem)
        return context

    def _not_believed(self, error: ssl.SSLCertVerificationError) -> _Stop:
        facts = self._presented()
        shown = f"{', '.join(facts.names)}, issued by {facts.issuer}, {facts.validity}" if facts else "not readable"
        if error.verify_code in {EXPIRED, NOT_YET_VALID}:
            return _Stop(
                Fault.SERVER_DATES,
                "the gateway's certificate is not valid now",
                f"it is {shown}; this machine's clock says {self._now()}",
                "If the clock here is right, the gateway's operator renews its certificate.",
            )
        if "mismatch" in error.verify_message.lower():
            return _Stop(
                Fault.SERVER_NAME,
                f"the gateway's certificate is not for '{self._host}'",
                f"it is {shown}",
                "Call it by a name in its certificate, or have one issued with this name.",
            )
        return _Stop(
            Fault.SERVER_UNTRUSTED,
            "the gateway's certificate is from an authority that is not in the roots given",
            f"{error.verify_message}; it is {shown}",
            "Take the roots file from the gateway's operator, by a way you trust: certs/authority.pem in its home. "
            "If you have it already, this may be somebody else's machine: do not go on.",
        )

    def _presented(self) -> Facts | None:
        """Return what the gateway's certificate says, whoever issued it."""
        try:
            context = self._context(ssl.CERT_NONE)
            with self._connected() as plain, context.wrap_socket(plain, server_hostname=self._host) as secure:
                leaf = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"")
            context = self._context(ssl.CERT_REQUIRED)
            context.check_hostname = False
            context.verify_flags = ssl.VerifyFlags(context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME)
            trust(context, leaf)
            with self._connected() as plain, context.wrap_socket(plain, server_hostname=self._host) as secure:
                return facts_of(secure.getpeercert() or {})
        except (OSError, _Stop, ConfigInvalid, KeyError):
            return None

    def be_judged(self) -> str:
        context = self._context(ssl.CERT_REQUIRED)
        said = ""
        try:
            with self._connected() as plain, context.wrap_socket(plain, server_hostname=self._host) as secure:
                secure.sendall(HELLO)
                if secure.recv(1):
                    return "the gateway takes our certificate" if self._own else "the gateway asks for no certificate"
                said = "it hung up"
        except TimeoutError:
            said = f"it said nothing for {self._timeout_s:g} s"
        except (ssl.SSLError, OSError) as error:
            said = getattr(error, "reason", "") or getattr(error, "strerror", "") or "it hung up"
        raise self._refused(said)

    def _refused(self, said: str) -> _Stop:
        words = said.lower().replace("_", " ")
        if self._own is None:
            return _Stop(
                Fault.OWN_MISSING,
                "the gateway wants a certificate of ours",
                f"none is given (it said: {words})",
                "Name our certificate chain and key; the gateway's operator issues them.",
            )
        now_ms = self._clock.now_ms()
        if "expired" in words or not self._own.valid_from_ms <= now_ms <= self._own.valid_until_ms:
            return _Stop(
                Fault.OWN_DATES,
                "our certificate is not valid now",
                f"it is {self._own.validity}; this machine's clock says {self._now()}, the gateway's may differ",
                "Compare both clocks with UTC. If they agree, have the gateway's operator issue a new certificate.",
            )
        problem = why_refused(self._chain_pem, self._key_pem, self._roots_pem)
        if problem or "unknown ca" in words:
            return _Stop(
                Fault.OWN_UNTRUSTED,
                "our certificate is from an authority that the gateway does not trust",
                f"it was issued by {self._own.issuer}: {problem or words}",
                "Have the gateway's operator issue our certificate from its own authority.",
            )
        return _Stop(
            Fault.OWN_REFUSED,
            "the gateway hung up after seeing our certificate",
            f"it said: {words}; here it looks right ({self._own.validity})",
            "Ask the operator what the gateway's log says about our handshake, and compare both clocks with UTC.",
        )

    def call(self) -> str:
        pair = (self._key_pem, self._chain_pem) if self._own is not None else (None, None)
        credentials = grpc.ssl_channel_credentials(self._roots_pem, *pair)
        with grpc.secure_channel(self._target, credentials, options=OPTIONS) as channel:
            # An auditor is refused by the service for systems, and the gateway would list it as turned away.
            error = self._call_as_auditor(channel) if self._is_auditor else self._call_as_system(channel)
            if isinstance(error, MethodNotAllowed) and not self._is_auditor:
                # A token says what its bearer is only to the gateway.
                as_auditor = self._call_as_auditor(channel)
                if as_auditor is None:
                    return "the gateway answers us as an auditor: AuditService is ours, ExchangeService is not"
        if error is None:
            return "the gateway answers us" + (" as an auditor, in AuditService" if self._is_auditor else "")
        name = ", ".join(self._own.names) if self._own is not None else "nobody"
        service = "AuditService" if self._is_auditor else "ExchangeService"
        match error:
            case CallerUnknown():
                raise _Stop(
                    Fault.NOT_REGISTERED,
                    "the gateway does not know us",
                    f"{error.text}; our certificate says {name}",
                    "Have the gateway's operator register us: `concord system add`, or `concord auditor add`.",
                )
            case MethodNotAllowed():
                raise _Stop(Fault.NOT_ALLOWED, f"we may not call {service}", error.text, error.advice)
            case NotUnderstood() if told(error).code == "UNIMPLEMENTED":
                raise _wrong_service(f"it offers no {service}")
            case _:
                raise _Stop(Fault.CALL_FAILED, "the call fails", f"{error.reason}: {error.text}", error.advice)

    @property
    def _is_auditor(self) -> bool:
        """Whether our certificate says that we audit."""
        return self._own is not None and any(AUDITOR in name for name in self._own.names)

    def _call_as_system(self, channel: grpc.Channel) -> GatewayError | None:
        stub: Any = ExchangeServiceStub(channel)
        return self._tried(stub.ListMessages, pb.ListMessagesRequest(page_size=1), SERVICE + "ListMessages")

    def _call_as_auditor(self, channel: grpc.Channel) -> GatewayError | None:
        stub: Any = AuditServiceStub(channel)
        return self._tried(stub.GetHead, audit_pb.GetHeadRequest(), AUDIT_SERVICE + "GetHead")

    def _tried(self, method: Any, request: Any, name: str) -> GatewayError | None:
        """Call, and return what went wrong."""
        metadata = self._access_token.metadata(name) if self._access_token is not None else ()
        try:
            method(request, timeout=self._timeout_s, metadata=metadata)
        except grpc.RpcError as raised:
            return error_of_call(raised)
        return None

    def _now(self) -> str:
        return f"{to_datetime(self._clock.now_ms()):%Y-%m-%d %H:%M}Z"


def _wrong_service(why: str) -> _Stop:
    fix = "Check the port: systems call listen.exchange of concord.toml; listen.federation is for other gateways."
    return _Stop(Fault.WRONG_SERVICE, "this is not the gateway's exchange listener", why, fix)
