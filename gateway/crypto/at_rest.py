"""What is stored is encrypted under a key of the message's own; destroying that key erases the message.

The message key lies in the key store, wrapped by the gateway's key-encryption key. Every use has its own label, so that
one sealed column cannot be put in the place of another. A failure here is damage to our own database, not a partner's
doing. Reference: DESIGN section 5, "At rest".
"""

import os
from typing import Final

import nacl.exceptions
from nacl import bindings

from gateway.crypto.codec import HeaderDecoder
from gateway.crypto.framing import AT_REST, pae
from gateway.crypto.keys import ContentKey, KeyEncryptionKey, MessageKey
from gateway.crypto.suites import suite_of
from gateway.errors import Rejected, StoreCorrupt

_NONCE_BYTES: Final = 24
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_CONTENT: Final = pae(AT_REST, b"content")
_RECORD: Final = pae(AT_REST, b"record")
_UPLOAD: Final = pae(AT_REST, b"upload")
_HELD: Final = pae(AT_REST, b"held draft")
_WORDS: Final = b"words of a decision"
_SALT_BYTES: Final = 32

_encrypt = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt
_decrypt = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt


def _seal(key: MessageKey | KeyEncryptionKey, plaintext: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _encrypt(plaintext, context, nonce, key.export_secret())


def _open(key: MessageKey | KeyEncryptionKey, sealed: bytes, context: bytes) -> bytes:
    # PyNaCl answers a ciphertext shorter than its tag with an exception that is not its own.
    if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        raise StoreCorrupt("a stored secret is cut short")
    try:
        return _decrypt(sealed[_NONCE_BYTES:], context, sealed[:_NONCE_BYTES], key.export_secret())
    except nacl.exceptions.CryptoError:
        raise StoreCorrupt("a stored secret does not open: damaged, moved, or under another key") from None


def new_message_key() -> MessageKey:
    """Return a fresh key for one message."""
    return MessageKey.generate()


def _key_context(context: bytes) -> bytes:
    return pae(AT_REST, b"message-key", context)


def wrap_message_key(kek: KeyEncryptionKey, key: MessageKey, context: bytes) -> bytes:
    """Return the message key under the key-encryption key, bound to its message by context."""
    return _seal(kek, key.export_secret(), _key_context(context))


def unwrap_message_key(kek: KeyEncryptionKey, wrapped: bytes, context: bytes) -> MessageKey:
    """Return the message key.

    Raises:
        StoreCorrupt: Damaged, of another message, or wrapped by another key.
    """
    secret = _open(kek, wrapped, _key_context(context))
    if len(secret) != _KEY_BYTES:
        raise StoreCorrupt("a stored key has the wrong length")
    return MessageKey(secret)


def seal_content(key: MessageKey, content_key: ContentKey, ciphertext: bytes, record: bytes = b"") -> bytes:
    """Return content key, record and ciphertext under the message key."""
    plaintext = b"".join((content_key.export_secret(), len(record).to_bytes(4, "big"), record, ciphertext))
    return _seal(key, plaintext, _CONTENT)


def open_content(key: MessageKey, sealed: bytes) -> tuple[ContentKey, bytes, bytes]:
    """Return content key, ciphertext and record.

    Raises:
        StoreCorrupt: Damaged, or of another message.
    """
    plaintext = _open(key, sealed, _CONTENT)
    start = _KEY_BYTES + 4
    end = start + int.from_bytes(plaintext[_KEY_BYTES:start], "big")
    if len(plaintext) < max(start, end):
        raise StoreCorrupt("a stored envelope is cut short")
    return ContentKey(plaintext[:_KEY_BYTES]), plaintext[end:], plaintext[start:end]


def seal_record(key: MessageKey, record: bytes) -> bytes:
    """Return a recipient record under the message key."""
    return _seal(key, record, _RECORD)


def open_record(key: MessageKey, sealed: bytes) -> bytes:
    """Return the recipient record.

    Raises:
        StoreCorrupt: Damaged, or of another message.
    """
    return _open(key, sealed, _RECORD)


def seal_upload(key: MessageKey, described: bytes) -> bytes:
    """Return what an uploaded file is called and its key, under the key of the upload."""
    return _seal(key, described, _UPLOAD)


def open_upload(key: MessageKey, sealed: bytes) -> bytes:
    """Return what an uploaded file is called and its key.

    Raises:
        StoreCorrupt: Damaged, or of another upload.
    """
    return _open(key, sealed, _UPLOAD)


def seal_held(key: MessageKey, salt: bytes, body: bytes) -> bytes:
    """Return the salt and body of a draft that waits for officers under the key of the message it may become."""
    return _seal(key, salt + body, _HELD)


def open_held(key: MessageKey, sealed: bytes) -> tuple[bytes, bytes]:
    """Return salt and body of a held draft.

    Raises:
        StoreCorrupt: Damaged, or of another draft.
    """
    plaintext = _open(key, sealed, _HELD)
    if len(plaintext) < _SALT_BYTES:
        raise StoreCorrupt("a held draft is cut short")
    return plaintext[:_SALT_BYTES], plaintext[_SALT_BYTES:]


def seal_words(key: MessageKey, words: bytes, number: int) -> bytes:
    """Return what an officer said with one decision, bound to its place among those on the same draft."""
    return _seal(key, words, pae(AT_REST, _WORDS, number.to_bytes(8, "big")))


def open_words(key: MessageKey, sealed: bytes, number: int) -> bytes:
    """Return what an officer said with a decision.

    Raises:
        StoreCorrupt: Damaged, or of another decision.
    """
    return _open(key, sealed, pae(AT_REST, _WORDS, number.to_bytes(8, "big")))


def open_stored_body(content_key: ContentKey, header_bytes: bytes, ciphertext: bytes, codec: HeaderDecoder) -> bytes:
    """Return the body of a stored envelope, checked against the commitments of its header once more.

    Raises:
        StoreCorrupt: Header, ciphertext or key are not those that were stored together.
    """
    return open_stored_salted(content_key, header_bytes, ciphertext, codec)[1]


def open_stored_salted(
    content_key: ContentKey, header_bytes: bytes, ciphertext: bytes, codec: HeaderDecoder
) -> tuple[bytes, bytes]:
    """Return salt and body of a stored envelope, as they are needed to seal the same message again.

    Raises:
        StoreCorrupt: Header, ciphertext or key are not those that were stored together.
    """
    try:
        header = codec.decode_header(header_bytes)
        return suite_of(header.suite).open_content(
            content_key.export_secret(),
            ciphertext,
            header_bytes,
            key_committed=header.key_commitment,
            content_committed=header.content_commitment,
        )
    except Rejected:
        raise StoreCorrupt("a stored envelope does not open with its own key") from None
