"""What ends soon: certificates and keys, told in time to replace them."""

from typing import Final

from gateway.clock import format_utc
from gateway.crypto.certificates import validity_ms
from gateway.crypto.keyring import Keyring
from gateway.installation.registry import Registry

WARN_MS: Final = 30 * 86_400_000
"""A month: long enough for a ministry's change procedure."""


def warnings_about_endings(keyring: Keyring, registry: Registry, now_ms: int) -> tuple[str, ...]:
    """Return what has ended or ends within a month, in sentences that say what to do."""
    until = now_ms + WARN_MS
    ends = [
        ("the gateway's TLS certificate", validity_ms(keyring.tls_certificate_pem)[1], "concord partner rotate tls"),
        (
            "the TLS certificate shown on links",
            validity_ms(keyring.link_tls[1])[1],
            "concord partner rotate tls",
        ),
        (
            "this gateway's own certificate authority",
            validity_ms(keyring.authority_certificate_pem)[1],
            "concord partner recover",
        ),
    ]
    if keyring.link_tls[1] == keyring.tls_certificate_pem:
        del ends[1]
    for purpose, held in keyring.signing:
        word = purpose.name.lower()
        ends.append((f"the {word} key", held.end_ms, f"concord partner rotate {word}"))
    for item in registry.all():
        if item.certificates:
            remedy = f"concord {item.role} renew {item.name}"
            ends.append((f"the certificate of {item.principal}", item.certificates[0].end_ms, remedy))
    return tuple(
        f"{what} {'ended' if end_ms <= now_ms else 'ends'} {format_utc(end_ms)}: run `{remedy}`"
        for what, end_ms, remedy in ends
        if end_ms <= until
    )
