"""DPoP proofs (RFC 9449) on gRPC: whoever calls holds the key that the token is bound to.

The proof is the metadata entry `dpop`. Its htm is POST, as every gRPC call is; its htu is the resource of the issuer's
settings with the path of the method: https://gateway.example:7444/concord.v1.ExchangeService/SubmitMessage. For a
stream it is the call that opens it.
"""

import hashlib
from collections import OrderedDict
from typing import Final
from urllib.parse import urlsplit

from gateway.errors import TokenRejected
from gateway.rpc.tokens.compact import (
    ALGORITHMS,
    PublicKey,
    encode_digest,
    import_public,
    read_compact,
    same_text,
    seconds,
    verify_compact,
)

PROOF_AGE_S: Final = 60
"""How long a proof is good: covers a slow link and no more."""
SKEW_S: Final = 30
"""How far the clocks of gateway, issuer and system may differ."""
REMEMBERED: Final = 100_000
"""Proofs remembered at once; at 2,000 calls a second that would be less than their lifetime, so beyond it calls with
DPoP are refused, never let in unchecked."""
_WHAT: Final = "proof"


class ReplayCache:
    """Proofs that were used and could be used again."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def use(self, identity: bytes, now_s: int) -> None:
        """Use a proof up.

        Raises:
            TokenRejected: It was used before, or too many are remembered.
        """
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] > now_s:
                break
            del self._seen[oldest]
        if identity in self._seen:
            raise TokenRejected("the proof was used before")
        if len(self._seen) >= self._most:
            raise TokenRejected("too many proofs are in use at once")
        self._seen[identity] = now_s + PROOF_AGE_S + 2 * SKEW_S + 1


def verify_proof(text: str, *, token: str, target: str, now_s: int, used: ReplayCache) -> str:
    """Return the thumbprint (RFC 7638) of the key that a proof proves, and use the proof up.

    Args:
        target: What htu must be.

    Raises:
        TokenRejected: The proof does not hold for this token, target and time, or was used before.
    """
    proof = read_compact(text, types=("dpop+jwt",), algorithms=tuple(ALGORITHMS), what=_WHAT)
    key: PublicKey = import_public(proof.header.get("jwk"), _WHAT)
    claims = verify_compact(proof, key, _WHAT)
    if claims.get("htm") != "POST":
        raise TokenRejected("the proof is for another HTTP method")
    if not _same_target(claims.get("htu"), target):
        raise TokenRejected("the proof is for another method or gateway")
    issued_s = seconds(claims, "iat")
    if not now_s - PROOF_AGE_S - SKEW_S <= issued_s <= now_s + SKEW_S:
        raise TokenRejected("the proof was made too long ago or in the future")
    if not same_text(claims.get("ath"), encode_digest(hashlib.sha256(token.encode()).digest())):
        raise TokenRejected("the proof is for another token")
    identifier = claims.get("jti")
    if not isinstance(identifier, str) or not 1 <= len(identifier) <= 256:
        raise TokenRejected("the proof has no usable jti")
    thumbprint = key.thumbprint()
    used.use(hashlib.sha256(f"{thumbprint}.{identifier}".encode("utf-8", "surrogatepass")).digest(), now_s)
    return thumbprint


def _same_target(given: object, target: str) -> bool:
    # RFC 9449 4.3: compared without query and fragment; scheme and host in any case.
    if not isinstance(given, str) or len(given) > 512:
        return False
    try:
        mine, theirs = urlsplit(target), urlsplit(given)
        return (mine.scheme, mine.netloc.lower(), mine.path) == (theirs.scheme, theirs.netloc.lower(), theirs.path)
    except ValueError:
        return False
