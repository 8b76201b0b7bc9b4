"""Callers that were turned away, for operators: most often a partner whose card here is out of date.

Seen is who got through the TLS handshake. A certificate that leads to no root known here is refused inside it, by
gRPC, which tells nobody; docs/how-to/refused-callers.md says where such attempts show.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.crypto.certificates import spiffe_id
from gateway.errors import (
    CallerUnknown,
    GatewayError,
    MethodNotAllowed,
    PartnerFrozen,
    PartnerUnknown,
    TokenRejected,
)
from gateway.rpc.callers import Presented, certificate_digest
from gateway.rpc.methods import Listener

log = structlog.get_logger(__name__)

REJECTED_KEPT: Final = 256
"""Different callers remembered; the one not seen for the longest time makes room."""
ADVICE: Final[dict[type[GatewayError], str]] = {
    CallerUnknown: "If it should be let in: a partner sends its current card (concord partner add), a system gets a "
    "certificate (concord system add or renew). If nobody knows it, ask whoever runs that address.",
    PartnerUnknown: "Add the partner's card if you exchange with it: `concord partner add FILE --fingerprint ...`.",
    PartnerFrozen: "Nothing, while the freeze is meant; `concord partner freeze PARTNER --thaw` ends it.",
    TokenRejected: "Compare the issuer's settings with [[issuer]] in concord.toml; the system fetches a new token.",
    MethodNotAllowed: "Use an account whose role and scopes allow the call; docs/reference/access.md lists them.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedCaller:
    """Somebody who was turned away after TLS let it in."""

    fingerprint: str
    """SHA-256 of the certificate presented, in hexadecimal; empty without one."""
    claimed_id: str
    """The SPIFFE id in the certificate. Not proved."""
    address: str
    """Of the last call."""
    listener: Listener
    reason: str
    detail: str
    """Why, in words of ours: nothing that the caller wrote."""
    advice: str
    count: int
    first_ms: int
    time_ms: int
    """The last time."""


class RejectedCallers:
    """The last callers turned away, each once with how often."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], RejectedCaller] = OrderedDict()

    def add(self, presented: Presented, error: GatewayError, listener: Listener) -> None:
        """Remember and log one."""
        fingerprint, claimed = _shown(presented.leaf)
        detail = error.step if isinstance(error, TokenRejected) else error.text
        now_ms = self._clock.now_ms()
        # The port is another one each time.
        host = "" if fingerprint else presented.address.rpartition(":")[0] or presented.address
        key = (listener.value, fingerprint, host, error.reason, detail)
        known = self._kept.pop(key, None)
        if known is None:
            known = RejectedCaller(
                fingerprint=fingerprint,
                claimed_id=claimed,
                address=presented.address,
                listener=listener,
                reason=error.reason,
                detail=detail,
                advice=ADVICE.get(type(error), error.advice),
                count=0,
                first_ms=now_ms,
                time_ms=now_ms,
            )
        self._kept[key] = replace(known, count=known.count + 1, time_ms=now_ms, address=presented.address)
        if len(self._kept) > REJECTED_KEPT:
            self._kept.popitem(last=False)
        log.warning(
            "caller.rejected",
            peer=presented.address,
            fingerprint=fingerprint,
            listener=listener.value,
            reason=error.reason,
            step=detail,
        )

    def latest(self) -> tuple[RejectedCaller, ...]:
        """Return those remembered, the one seen last at the end."""
        return tuple(self._kept.values())


def _shown(leaf: bytes) -> tuple[str, str]:
    if not leaf:
        return "", ""
    try:
        fingerprint = certificate_digest(leaf).hex()
    except GatewayError:
        return "", ""
    try:
        return fingerprint, spiffe_id(leaf)
    except GatewayError:
        return fingerprint, ""
