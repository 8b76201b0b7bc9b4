"""From an access token to a caller: verified anew on each call, in numbered steps, and refused in one way.

A token says what its issuer knows; whom it stands for here, for which authorities it speaks and what it may do at most,
the principals of the settings say. Reference: RFC 9068 section 4, RFC 8705 section 3, RFC 9449 section 7.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.issuers import Issuer, Principal
from gateway.rpc.callers import Caller, Presented, SystemAuthenticator, certificate_digest
from gateway.rpc.methods import CallerKind, Scope
from gateway.rpc.tokens.compact import Unverified, encode_digest, read_compact, same_text, seconds, verify_compact
from gateway.rpc.tokens.keys import KeySource
from gateway.rpc.tokens.proof import SKEW_S, ReplayCache, verify_proof

MAX_LIFE_S: Final = 24 * 3600
"""Longer tokens are keys in disguise (a common server library makes them for ten days)."""
_WHAT: Final = "token"


class TokenAuthenticator:
    """Knows callers on the exchange listener by access token, or by certificate where no token is shown.

    Args:
        issuers: By the claim iss, with where their keys come from.
        default_resource: What htu of proofs begins with where an issuer names nothing else.
        systems: Judges certificates.
    """

    def __init__(
        self,
        *,
        issuers: Mapping[str, tuple[Issuer, KeySource]],
        default_resource: str,
        systems: SystemAuthenticator,
        clock: Clock,
    ) -> None:
        self._issuers = issuers
        self._default_resource = default_resource
        self._systems = systems
        self._clock = clock
        self._used = ReplayCache()

    async def admit(self, presented: Presented, method: str) -> Caller:
        """Return the caller.

        Args:
            method: Full name, as descriptors give it.

        Raises:
            CallerUnknown: The certificate does not hold.
            TokenRejected: The token or its proof does not hold.
        """
        if not presented.authorization and not presented.proof:
            return self._systems.by_certificate(presented)
        # 1. One token of one scheme, and a proof exactly where the scheme wants one.
        scheme, text, proof = _split(presented)
        # 2. Shape; the claims are looked at only to find the key.
        algorithms = {name for issuer, _ in self._issuers.values() for name in issuer.algorithms}
        token = read_compact(text, types=("at+jwt",), algorithms=algorithms, what=_WHAT)
        # 3. Signature, by the issuer that the key belongs to: iss is believed only once it holds.
        issuer, claims = await self._verified(token)
        # 4. For us, now.
        now_s = self._clock.now_ms() // 1000
        end_s = _check_time(claims, now_s)
        audience = claims.get("aud")
        if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRejected("the token is for another audience")
        # 5. Who shows it.
        self._check_certificate(presented, issuer)
        target = _target(issuer.resource or self._default_resource, method)
        jkt = verify_proof(proof, token=text, target=target, now_s=now_s, used=self._used) if proof else None
        _check_binding(claims, presented, issuer, scheme=scheme, jkt=jkt)
        # 6. Whom it stands for here.
        principal = _principal(issuer, claims)
        return Caller(
            kind=CallerKind(principal.role),
            principal=f"token/{principal.name}",
            certificate_digest=certificate_digest(presented.leaf) if presented.leaf else b"",
            scopes=_scopes(claims, principal),
            rest_s=float(max(0, end_s - now_s)),
        )

    def still_holds(self, caller: Caller, presented: Presented) -> None:
        """Judge an open stream anew after registrations changed. Its token's end is its own end anyway.

        Raises:
            CallerUnknown: The certificate does not hold any more.
        """
        if caller.scopes is None or presented.leaf:
            self._systems.by_certificate(presented)

    async def _verified(self, token: Unverified) -> tuple[Issuer, dict[str, Any]]:
        kid = token.header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise TokenRejected("the token names no key")
        claimed = self._issuers.get(_claimed_issuer(token))
        if claimed is None:
            raise TokenRejected("the token is of an issuer that is not configured here")
        issuer, keys = claimed
        if token.algorithm not in issuer.algorithms:
            raise TokenRejected("the token is signed with an algorithm that is not allowed")
        claims = verify_compact(token, await keys.key(kid), _WHAT)
        if claims.get("iss") != issuer.url:
            raise TokenRejected("the token is of an issuer that is not configured here")
        return issuer, claims

    def _check_certificate(self, presented: Presented, issuer: Issuer) -> None:
        if presented.leaf:
            # A stolen token on a certificate that was taken back must not open anything.
            self._systems.by_certificate(presented)
        elif issuer.require_certificate:
            raise TokenRejected("tokens of this issuer are taken together with a certificate only")


def _split(presented: Presented) -> tuple[str, str, str]:
    if len(presented.authorization) != 1:
        raise TokenRejected("the call carries no token, or several")
    scheme, _, text = presented.authorization[0].partition(" ")
    scheme = scheme.lower()
    if scheme == "bearer" and not presented.proof:
        return scheme, text, ""
    if scheme == "dpop" and len(presented.proof) == 1 and presented.proof[0]:
        return scheme, text, presented.proof[0]
    raise TokenRejected("the scheme must be Bearer without a proof, or DPoP with one")


def _claimed_issuer(token: Unverified) -> str:
    claimed = token.claims().get("iss")
    return claimed if isinstance(claimed, str) else ""


def _check_time(claims: dict[str, Any], now_s: int) -> int:
    end_s, issued_s = seconds(claims, "exp"), seconds(claims, "iat")
    if now_s >= end_s + SKEW_S:
        raise TokenRejected("the token has expired")
    if issued_s > now_s + SKEW_S or ("nbf" in claims and seconds(claims, "nbf") > now_s + SKEW_S):
        raise TokenRejected("the token is not valid yet")
    if not 0 < end_s - issued_s <= MAX_LIFE_S:
        raise TokenRejected("the token is made for longer than a day, or for no time")
    return end_s


def _check_binding(
    claims: dict[str, Any], presented: Presented, issuer: Issuer, *, scheme: str, jkt: str | None
) -> None:
    bound = claims.get("cnf", {})
    if not isinstance(bound, dict) or bound.keys() - {"x5t#S256", "jkt"}:
        raise TokenRejected("the token is bound in a way that is not known here")
    if not bound:
        if scheme == "dpop" or not issuer.allow_unbound:
            raise TokenRejected("the token is not bound to a certificate or key")
        return
    if "x5t#S256" in bound:
        mine = encode_digest(certificate_digest(presented.leaf)) if presented.leaf else ""
        if not same_text(bound["x5t#S256"], mine):
            raise TokenRejected("the token is bound to another certificate")
    if "jkt" in bound:
        if jkt is None:
            raise TokenRejected("the token is bound to a key, and no proof of it is shown")
        if not same_text(bound["jkt"], jkt):
            raise TokenRejected("the token is bound to another key than the proof's")
    elif scheme == "dpop":
        raise TokenRejected("a proof is shown for a token that is not bound to a key")


def _principal(issuer: Issuer, claims: dict[str, Any]) -> Principal:
    subject, client = claims.get("sub"), claims.get("client_id")
    found = [
        item
        for item in issuer.principal
        if (item.subject is None or item.subject == subject) and (item.client_id is None or item.client_id == client)
    ]
    # Two that fit would make the order of a file decide for whom somebody speaks.
    if len(found) != 1:
        raise TokenRejected("the token's subject and client are not one principal of the settings")
    return found[0]


def _scopes(claims: dict[str, Any], principal: Principal) -> frozenset[Scope]:
    given = claims.get("scope", "")
    words = set(given.split(" ")) if isinstance(given, str) else set()
    return frozenset(scope for scope in Scope if scope.value in words and scope.value in principal.scopes)


def _target(resource: str, method: str) -> str:
    service, _, name = method.rpartition(".")
    return f"{resource.rstrip('/')}/{service}/{name}"
