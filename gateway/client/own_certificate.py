"""What a certificate chain is worth to the other side, found out without it: two ends of TLS inside this process.

The standard library verifies certificates only in a handshake, and this package takes no further one for them.
"""

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.clock import to_datetime
from gateway.errors import ConfigInvalid

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the ssl module does not name."""
_MOST_ROUNDS: Final = 16
EXPIRED: Final = 10
NOT_YET_VALID: Final = 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a certificate says of itself."""

    names: tuple[str, ...]
    issuer: str
    valid_from_ms: int
    valid_until_ms: int

    @property
    def validity(self) -> str:
        """From when until when, for people."""
        first, last = to_datetime(self.valid_from_ms), to_datetime(self.valid_until_ms)
        return f"valid {first:%Y-%m-%d %H:%M}Z to {last:%Y-%m-%d %H:%M}Z"


def load_chain(context: ssl.SSLContext, chain_pem: bytes, key_pem: bytes) -> None:
    """Let a context show a chain. The key is read from a file of this user alone, which is gone afterwards.

    Raises:
        ConfigInvalid: They are not PEM, or the key is not the certificate's.
    """
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder, "chain"), Path(folder, "key")
        chain.write_bytes(chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(key_pem)
        try:
            # A key with a passphrase would be asked for at the terminal.
            context.load_cert_chain(chain, key, password=b"")
        except (ssl.SSLError, ValueError, OSError) as error:
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                raise ConfigInvalid("the key is not that of the chain's first certificate") from None
            raise ConfigInvalid("the chain or the key is no PEM that can be read without a passphrase") from None


def facts_of(info: dict[str, Any]) -> Facts:
    """Return what `getpeercert` tells."""
    issuer = {key: value for part in info.get("issuer", ()) for key, value in part}
    return Facts(
        names=tuple(value for _, value in info.get("subjectAltName", ())),
        issuer=issuer.get("commonName", "an unnamed authority"),
        valid_from_ms=int(ssl.cert_time_to_seconds(info["notBefore"])) * 1000,
        valid_until_ms=int(ssl.cert_time_to_seconds(info["notAfter"])) * 1000,
    )


def own_facts(chain_pem: bytes, key_pem: bytes) -> Facts:
    """Return what our own certificate says.

    Raises:
        ConfigInvalid: It cannot be used.
    """
    leaf = ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(_first(chain_pem)))
    info, problem = _handshake(chain_pem, key_pem, leaf, ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME)
    if info is None:
        raise ConfigInvalid(f"our certificate cannot be used: {problem}")
    return facts_of(info)


def why_refused(chain_pem: bytes, key_pem: bytes, roots_pem: bytes) -> str:
    """Return why a side that trusts these roots refuses our certificate, dates apart; empty when it does not.

    Raises:
        ConfigInvalid: Chain, key or roots cannot be used.
    """
    info, problem = _handshake(chain_pem, key_pem, roots_pem.decode("ascii", "replace"), NO_CHECK_TIME)
    return "" if info is not None else problem


def trust(context: ssl.SSLContext, roots: str) -> None:
    """Let a context trust roots.

    Raises:
        ConfigInvalid: They are no certificates.
    """
    try:
        context.load_verify_locations(cadata=roots)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigInvalid(f"the roots are no certificates: {getattr(error, 'reason', '') or error}") from None


def _first(chain_pem: bytes) -> str:
    text, begin, end = chain_pem.decode("ascii", "replace"), "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start, stop = text.find(begin), text.find(end)
    if not 0 <= start < stop:
        raise ConfigInvalid("the chain holds no certificate")
    return text[start : stop + len(end)]


def _handshake(chain_pem: bytes, key_pem: bytes, roots: str, flags: int) -> tuple[dict[str, Any] | None, str]:
    judging = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    judging.verify_mode = ssl.CERT_REQUIRED
    judging.verify_flags = ssl.VerifyFlags(judging.verify_flags | flags)
    trust(judging, roots)
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    shown.check_hostname = False
    shown.verify_mode = ssl.CERT_NONE  # both ends are ours
    for context in (judging, shown):
        load_chain(context, chain_pem, key_pem)
    to_judge, to_show = ssl.MemoryBIO(), ssl.MemoryBIO()
    judge = judging.wrap_bio(to_judge, to_show, server_side=True)
    show = shown.wrap_bio(to_show, to_judge)
    try:
        for _ in range(_MOST_ROUNDS):
            waiting = 0
            for side in (show, judge):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    waiting += 1
            if not waiting:
                return judge.getpeercert(), ""
    except ssl.SSLCertVerificationError as error:
        return None, error.verify_message
    except ssl.SSLError as error:
        return None, error.reason or "TLS failed"
    return None, "TLS did not end"
