"""Keyed digests by which stored things are found without their texts (DESIGN 5, at rest).

Without the key, which never lies in the database, nobody can test a guess against them.
"""

import hashlib
import hmac
from typing import Final

from gateway.crypto.framing import pae
from gateway.crypto.keys import KeyEncryptionKey

_LABEL: Final = "concord/alert-index/v1"
_MEASURE_LABEL: Final = "concord/measure-index/v1"
DIGEST_BYTES: Final = 16


def alert_key(key: KeyEncryptionKey, sender: str, identifier: str, sent_ms: int) -> bytes:
    """Return under what an alert is found by the three things with which CAP names it; sent in milliseconds UTC."""
    digest = _keyed(key).copy()
    digest.update(pae(_LABEL, sender.encode(), identifier.encode(), sent_ms.to_bytes(8, "big", signed=True)))
    return digest.digest()[:DIGEST_BYTES]


def measure_key(key: KeyEncryptionKey, thread: bytes, measure_id: str) -> bytes:
    """Return under what a measure of a request is kept: its id is its sender's words."""
    digest = _keyed(key).copy()
    digest.update(pae(_MEASURE_LABEL, thread, measure_id.encode()))
    return digest.digest()[:DIGEST_BYTES]


_last: list[tuple[KeyEncryptionKey, hmac.HMAC]] = []
"""The key used last, with what follows from it alone: two thirds of the work, and it is always the same."""


def _keyed(key: KeyEncryptionKey) -> hmac.HMAC:
    for used, keyed in _last:
        if used is key:
            return keyed
    # A key derived for this alone: the key-encryption key has another use.
    keyed = hmac.new(hmac.digest(key.export_secret(), pae(_LABEL), hashlib.sha256), digestmod=hashlib.sha256)
    _last[:] = [(key, keyed)]
    return keyed
