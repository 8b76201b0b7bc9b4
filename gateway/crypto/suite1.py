"""Suite 1: HPKE (ML-KEM-768 with X25519), XChaCha20-Poly1305, HKDF-SHA256, Ed25519.

What a suite decides is in this file: how content is padded, encrypted and committed to, and how its key reaches the
recipients. What is signed is in digests.py, in which order things are checked in opening.py. Reference:
docs/reference/envelope.md.
"""

import hashlib
import hmac
from typing import Final

import nacl.exceptions
from nacl import bindings

from gateway.crypto.framing import CONTENT, ENCAPSULATION, KEY_COMMITMENT, WRAP, number, pae
from gateway.errors import EnvelopeRejected
from gateway.ids import BatchId, EnvelopeId, PartnerId
from gateway.model.header import SUITE_1

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
NONCE_BYTES: Final = 24
TAG_BYTES: Final = 16
WRAPPED_BYTES: Final = KEY_BYTES + TAG_BYTES
_PREFIX_BYTES: Final = SALT_BYTES + 4
MAX_BODY_BYTES: Final = 2_064_384 - _PREFIX_BYTES
"""The largest padded size (a multiple of 32 KiB there) that fits with nonce and tag into the 2 MiB of a ciphertext."""

_NO_SALT: Final = bytes(32)
_ZERO_NONCE: Final = bytes(NONCE_BYTES)
_COMMIT_INFO: Final = pae(KEY_COMMITMENT) + b"\x01"

_sha256 = hashlib.sha256
_hmac = hmac.digest
_encrypt = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt
_decrypt = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt


def padded_size(size: int) -> int:
    """Return the Padmé size: reveals O(log log size) bits of the size and costs at most 12 %.

    Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PoPETs 2019.
    """
    exponent = size.bit_length() - 1
    mask = (1 << exponent - exponent.bit_length()) - 1
    return size + mask & ~mask


def content_commitment(salt: bytes, body: bytes) -> bytes:
    """Return the commitment to a body. The salt keeps a short body from being guessed."""
    return _sha256(pae(CONTENT, salt, body)).digest()


def key_commitment(content_key: bytes) -> bytes:
    """Return the commitment to a content key, which XChaCha20-Poly1305 does not make."""
    return _hmac(_hmac(_NO_SALT, content_key, "sha256"), _COMMIT_INFO, "sha256")


def seal_content(content_key: bytes, salt: bytes, nonce: bytes, body: bytes, header: bytes) -> bytes:
    """Return nonce and encryption of salt, length, body and padding."""
    size = _PREFIX_BYTES + len(body)
    padding = bytes(padded_size(size) - size)
    plaintext = b"".join((salt, len(body).to_bytes(4, "big"), body, padding))
    return nonce + _encrypt(plaintext, header, nonce, content_key)


def open_content(
    content_key: bytes, ciphertext: bytes, header: bytes, *, key_committed: bytes, content_committed: bytes
) -> tuple[bytes, bytes]:
    """Return the salt and the body, checked against both commitments of the header.

    Raises:
        EnvelopeRejected: A commitment does not hold, or the ciphertext does not open.
    """
    # Before decryption: with two keys made for one ciphertext, only the committed one gets further.
    if not hmac.compare_digest(key_commitment(content_key), key_committed):
        raise EnvelopeRejected("key commitment")
    # PyNaCl answers a ciphertext shorter than its tag with an exception that is not its own.
    if len(ciphertext) < NONCE_BYTES + TAG_BYTES:
        raise EnvelopeRejected("content")
    try:
        plaintext = _decrypt(ciphertext[NONCE_BYTES:], header, ciphertext[:NONCE_BYTES], content_key)
    except nacl.exceptions.CryptoError:
        raise EnvelopeRejected("content") from None
    end = _PREFIX_BYTES + int.from_bytes(plaintext[SALT_BYTES:_PREFIX_BYTES], "big")
    # One padding per body: nothing can be hidden in it, and a body has one encoding.
    if len(plaintext) < _PREFIX_BYTES or len(plaintext) != padded_size(end) or any(plaintext[end:]):
        raise EnvelopeRejected("padding")
    body = plaintext[_PREFIX_BYTES:end]
    salt = plaintext[:SALT_BYTES]
    if content_commitment(salt, body) != content_committed:
        raise EnvelopeRejected("content commitment")
    return salt, body


def encapsulation_info(sender: PartnerId, recipient: PartnerId, batch_id: BatchId) -> bytes:
    """Bind an encapsulated batch secret to who seals for whom."""
    return pae(
        ENCAPSULATION, number(SUITE_1), sender.code.encode("ascii"), recipient.code.encode("ascii"), batch_id.raw
    )


def extract(batch_secret: bytes) -> bytes:
    """Return the HKDF pseudo-random key of a batch secret (RFC 5869 section 2.2, no salt: the secret is uniform)."""
    return _hmac(_NO_SALT, batch_secret, "sha256")


def wrap_info(envelope_id: EnvelopeId, header_digest: bytes) -> bytes:
    """Bind a wrapped content key to its envelope. Includes the counter of HKDF's only block."""
    return pae(WRAP, envelope_id.raw, header_digest) + b"\x01"


def wrap_key(pseudo_random_key: bytes, info: bytes, content_key: bytes) -> bytes:
    """Return the content key under the key derived for this envelope (48 bytes)."""
    # The nonce is fixed because the derived key is used once: envelope id and header are fresh for every sealing.
    return _encrypt(content_key, None, _ZERO_NONCE, _hmac(pseudo_random_key, info, "sha256"))


def unwrap_key(pseudo_random_key: bytes, info: bytes, wrapped: bytes) -> bytes:
    """Return the content key.

    Raises:
        EnvelopeRejected: It was not wrapped for this envelope.
    """
    if len(wrapped) != WRAPPED_BYTES:
        raise EnvelopeRejected("wrapped key")
    try:
        return _decrypt(wrapped, None, _ZERO_NONCE, _hmac(pseudo_random_key, info, "sha256"))
    except nacl.exceptions.CryptoError:
        raise EnvelopeRejected("wrapped key") from None
