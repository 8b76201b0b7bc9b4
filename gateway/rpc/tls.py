"""Server credentials that follow keys and cards without a restart: gRPC asks again at each handshake.

TLS takes one bundle of roots, so a partner's listener trusts the roots of all of them for the handshake; who the caller
then is, gateway.rpc.callers decides against one partner's roots.
"""

from collections.abc import Callable

import grpc

from gateway.crypto.certificates import der_to_pem
from gateway.ids import PartnerId
from gateway.ports import LinkIdentity

Roots = Callable[[], tuple[bytes, ...]]
"""Gives DER certificates."""


def anonymous_credentials(identity: Callable[[], LinkIdentity]) -> grpc.ServerCredentials:
    """Return credentials that show the current identity and ask for no certificate: callers prove themselves by token.

    gRPC cannot ask for a certificate and do without one, so this needs a port of its own.
    """
    return server_credentials(identity, lambda: (), ask=False)


def server_credentials(
    identity: Callable[[], LinkIdentity], roots: Roots, *, ask: bool = True
) -> grpc.ServerCredentials:
    """Return credentials that show the current identity and ask callers for a certificate below the current roots.

    Connections made before a change keep what they were made with: the guard judges each call and open stream anew.

    Args:
        identity: Gives this gateway's current certificate and key. Called in a thread of gRPC's, so must not block.
        roots: Gives the roots trusted now. Not empty where callers are asked: without roots TLS would not ask.
        ask: False asks callers for no certificate.
    """

    def made_of(identity: LinkIdentity, roots: tuple[bytes, ...]) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(identity.private_key_pem, identity.certificate_chain_pem)],
            root_certificates=b"".join(der_to_pem(der) for der in roots) or None,
        )

    shown = (identity(), roots())

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        current = (identity(), roots())
        if current == shown:
            # None keeps what is shown. With a configuration for every handshake gRPC swaps its own under handshakes
            # of other connections: strangers who connect by the hundred end the process (SIGSEGV).
            return None
        made = made_of(*current)
        shown = current
        return made

    # The types that come with grpc do not know that the fetcher may return None.
    return grpc.dynamic_ssl_server_credentials(made_of(*shown), fetch, require_client_authentication=ask)  # type: ignore[arg-type]


def partner_roots(tls_roots: Callable[[], dict[PartnerId, tuple[bytes, ...]]], own_roots: Roots) -> Roots:
    """Return a function that gives the roots of all partners with which exchange is open, and our own.

    Our own keep the bundle from being empty before the first partner is added. They open nothing: our own gateway is
    no partner of itself.
    """

    def roots() -> tuple[bytes, ...]:
        found = dict.fromkeys(own_roots())
        for theirs in tls_roots().values():
            found.update(dict.fromkeys(theirs))
        return tuple(found)

    return roots
