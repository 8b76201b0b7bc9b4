"""Names of alerts as digests: what they are made of, and that keys are never mixed up."""

import hashlib
import hmac

import pytest

from gateway.crypto.blind_index import DIGEST_BYTES, alert_key
from gateway.crypto.framing import pae
from gateway.crypto.keys import KeyEncryptionKey

LABEL = "concord/alert-index/v1"


def by_hand(secret: bytes, sender: str, identifier: str, sent_ms: int) -> bytes:
    own = hmac.digest(secret, pae(LABEL), hashlib.sha256)
    named = pae(LABEL, sender.encode(), identifier.encode(), sent_ms.to_bytes(8, "big", signed=True))
    return hmac.digest(own, named, hashlib.sha256)[:DIGEST_BYTES]


@pytest.mark.parametrize("sent_ms", [0, -1, 1_790_000_000_000, -(1 << 62)])
def test_a_digest_stays_what_it_was_whatever_is_kept_between_calls(sent_ms):
    # What is stored was made with it: another digest, and no alert of before is found.
    secrets = [bytes([n]) * 32 for n in (1, 2, 1)]
    keys = [KeyEncryptionKey(secret) for secret in secrets]
    for _ in range(2):
        for key, secret in zip(keys, secrets, strict=True):
            for name in ("", "a", "เตือนภัย", "x" * 1000):
                assert alert_key(key, name, "i", sent_ms) == by_hand(secret, name, "i", sent_ms)
