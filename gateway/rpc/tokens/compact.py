"""Compact JWS read with suspicion: bounded, with an algorithm of a list, and no key that the sender names by address.

The header is read before anything is verified, only to refuse and to find the key. Nothing in it chooses how: "none",
HMAC with a public key as the secret, jku, x5u and crit all end here. Reference: RFC 8725 section 3.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import TokenRejected

MAX_TOKEN_BYTES: Final = 6144
"""gRPC takes 8 KiB of metadata in all; a token has 1 to 2 KiB."""
MAX_KID: Final = 256
ALGORITHMS: Final = {"ES256": "P-256", "ES384": "P-384", "PS256": "RSA", "RS256": "RSA"}
"""Algorithm to the key it needs. Asymmetric only: with a shared secret the gateway itself could make tokens."""
MIN_RSA_BITS: Final = 2048
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z", re.ASCII)
_STEERING: Final = frozenset({"crit", "b64", "jku", "x5u", "x5c", "zip"})

PublicKey = ECKey | RSAKey


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token that has the right shape."""

    text: str
    header: dict[str, Any]
    algorithm: str

    def claims(self) -> dict[str, Any]:
        """Return what the token claims, of which nothing is proved.

        Raises:
            TokenRejected: It holds no JSON object.
        """
        return _object(_decode(self.text.split(".")[1], "token"), "token")


def read_compact(text: str, *, types: Collection[str], algorithms: Collection[str], what: str) -> Unverified:
    """Return a token whose signature is still to be verified.

    Args:
        types: What typ may be, in lower case.
        algorithms: Those of ALGORITHMS that are allowed.
        what: The thing, for refusals.

    Raises:
        TokenRejected: It has another shape, type or algorithm.
    """
    if len(text) > MAX_TOKEN_BYTES:
        raise TokenRejected(f"the {what} is larger than {MAX_TOKEN_BYTES} bytes")
    if not _COMPACT.match(text):
        raise TokenRejected(f"the {what} is not a compact JWS")
    header = _object(_decode(text.partition(".")[0], what), what)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise TokenRejected(f"the {what} is signed with an algorithm that is not allowed")
    kind = header.get("typ")
    # RFC 7515 4.1.9: the prefix may be left out, and case does not matter.
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in types:
        raise TokenRejected(f"the {what} is of another type")
    if _STEERING & header.keys():
        raise TokenRejected(f"the {what} names keys or rules of its own")
    return Unverified(text, header, algorithm)


def verify_compact(token: Unverified, key: PublicKey, what: str) -> dict[str, Any]:
    """Return the claims of a token whose signature holds.

    Raises:
        TokenRejected: It does not, or the key is of another kind than the algorithm's.
    """
    check_key(key, token.algorithm, what)
    try:
        payload = jws.deserialize_compact(token.text, key, algorithms=[token.algorithm]).payload
    except (JoseError, ValueError, TypeError, KeyError):
        raise TokenRejected(f"the signature of the {what} does not hold") from None
    return _object(payload, what)


def check_key(key: PublicKey, algorithm: str, what: str) -> None:
    """Refuse a key of another kind than an algorithm needs.

    Raises:
        TokenRejected: It is.
    """
    needed = ALGORITHMS[algorithm]
    if needed == "RSA":
        fits = isinstance(key, RSAKey) and key.public_key.key_size >= MIN_RSA_BITS
    else:
        fits = isinstance(key, ECKey) and key.curve_name == needed
    named = key.as_dict(private=False).get("alg")
    if not fits or named not in (None, algorithm):
        raise TokenRejected(f"the key of the {what} is not one for its algorithm")


def import_public(data: object, what: str) -> PublicKey:
    """Return a public key from a JWK.

    Raises:
        TokenRejected: It is private, shared, unknown or malformed.
    """
    if not isinstance(data, dict) or {"d", "p", "q", "k", "oth"} & data.keys():
        raise TokenRejected(f"the key of the {what} is not a public key")
    try:
        match data.get("kty"):
            case "EC":
                return ECKey.import_key(data)
            case "RSA":
                return RSAKey.import_key(data)
            case _:
                pass
    except (JoseError, ValueError, TypeError, KeyError):
        pass
    raise TokenRejected(f"the key of the {what} cannot be used")


def seconds(claims: dict[str, Any], name: str) -> int:
    """Return a time claim in seconds.

    Raises:
        TokenRejected: Missing, no number, or out of range.
    """
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise TokenRejected(f"the claim {name} is missing or is no time")
    return int(value)


def same_text(given: object, mine: str) -> bool:
    """Tell whether a claim is this text, which is ASCII. JSON also has text that no encoding can write."""
    return isinstance(given, str) and given.isascii() and bool(mine) and hmac.compare_digest(given, mine)


def encode_digest(digest: bytes) -> str:
    """Return a digest as claims carry it."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _decode(part: str, what: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise TokenRejected(f"the {what} is not base64url") from None


def _object(data: bytes | None, what: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        # Two readers of a name that stands twice may see two tokens.
        if len(found) != len(pairs):
            raise ValueError
        return found

    try:
        found = json.loads((data or b"").decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise TokenRejected(f"the {what} does not hold a JSON object") from None
    if not isinstance(found, dict):
        raise TokenRejected(f"the {what} does not hold a JSON object")
    return found
