"""Files beside messages: one libsodium secretstream (XChaCha20-Poly1305) a file, a chunk each message of the stream.

Every chunk is bound to its place, to the size of the file and of its chunks, and to every chunk before it; the last one
alone carries the final tag. So a file that is cut short, put in another order, lengthened, or mixed from two files does
not open, and neither does one with a flipped bit. Each file has a key of its own, which travels in the sealed body.

The sealed form is fixed by key, header and content, and so is its size. Reference: docs/reference/envelope.md.
"""

import hashlib
import hmac
from typing import Any, Final

import nacl.exceptions
from nacl import bindings

from gateway.crypto.framing import ATTACHMENT, number, pae
from gateway.crypto.keys import AttachmentKey
from gateway.errors import AttachmentRejected

CHUNK_BYTES: Final = 1 << 20
"""What this gateway makes; others may choose 4 KiB to 4 MiB."""
MIN_CHUNK_BYTES: Final = 4096
MAX_CHUNK_BYTES: Final = 4 << 20
HEADER_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
"""24: in front of the first chunk."""
TAG_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
"""17 a chunk."""
ID_BYTES: Final = 32
_FINAL: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_MESSAGE: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE

_new_state = bindings.crypto_secretstream_xchacha20poly1305_state
_init_push = bindings.crypto_secretstream_xchacha20poly1305_init_push
_init_pull = bindings.crypto_secretstream_xchacha20poly1305_init_pull
_push = bindings.crypto_secretstream_xchacha20poly1305_push
_pull = bindings.crypto_secretstream_xchacha20poly1305_pull


def sealed_size(size_bytes: int, chunk_bytes: int) -> int:
    """Return how many bytes the sealed form of a file has."""
    return HEADER_BYTES + size_bytes + TAG_BYTES * -(-size_bytes // chunk_bytes)


def attachment_id(key: AttachmentKey, sha256: bytes, size_bytes: int, chunk_bytes: int) -> bytes:
    """Return the name under which a file is stored and fetched: 32 bytes that only who has the key can make.

    It says nothing of the content to who does not have the key, and names one content only to who has.
    """
    return hmac.digest(
        key.export_secret(), pae(ATTACHMENT, b"id", sha256, number(size_bytes), number(chunk_bytes)), "sha256"
    )


class ChunkStream:
    """The state of a stream between two chunks: what both sides share.

    Sealing goes on after a break from what was stored: opening a chunk and sealing it move the state alike, so that
    `open` on all that is there leaves a stream that `seal` can follow.
    """

    def __init__(self, state: Any, header: bytes, size_bytes: int, chunk_bytes: int) -> None:
        self._state = state
        self.header = header
        self._size = size_bytes
        self._chunk = chunk_bytes
        self._index = 0
        self._left = size_bytes

    @classmethod
    def begin(cls, key: AttachmentKey, size_bytes: int, chunk_bytes: int) -> "ChunkStream":
        """Return a new stream for sealing, with a fresh header."""
        state = _new_state()
        header = _init_push(state, key.export_secret())
        return cls(state, header, size_bytes, chunk_bytes)

    @classmethod
    def follow(cls, key: AttachmentKey, header: bytes, size_bytes: int, chunk_bytes: int) -> "ChunkStream":
        """Return the stream that a header begins.

        Raises:
            AttachmentRejected: The header is cut short.
        """
        if len(header) != HEADER_BYTES:
            raise AttachmentRejected("header")
        state = _new_state()
        _init_pull(state, header, key.export_secret())
        return cls(state, header, size_bytes, chunk_bytes)

    @property
    def left_bytes(self) -> int:
        """Bytes of the file in clear that are still to come."""
        return self._left

    @property
    def next_bytes(self) -> int:
        """Size in clear of the next chunk; 0 when there is none."""
        return min(self._chunk, self._left)

    def _context(self) -> bytes:
        return pae(ATTACHMENT, b"chunk", number(self._index), number(self._size), number(self._chunk))

    def _moved(self, size: int) -> None:
        self._index += 1
        self._left -= size

    def seal(self, chunk: bytes) -> bytes:
        """Return the next chunk sealed.

        Raises:
            AttachmentRejected: It does not have the size that the next chunk must have.
        """
        if not chunk or len(chunk) != self.next_bytes:
            raise AttachmentRejected("chunk size")
        tag = _FINAL if len(chunk) == self._left else _MESSAGE
        sealed: bytes = _push(self._state, chunk, self._context(), tag)
        self._moved(len(chunk))
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Return the next chunk in clear.

        Raises:
            AttachmentRejected: It is not the next chunk of this file, as it was sealed.
        """
        size = self.next_bytes
        # PyNaCl answers a chunk shorter than its tag with an exception that is not its own.
        if not size or len(sealed) != size + TAG_BYTES:
            raise AttachmentRejected("chunk size")
        try:
            chunk, tag = _pull(self._state, sealed, self._context())
        except nacl.exceptions.CryptoError:
            raise AttachmentRejected("chunk") from None
        if (tag == _FINAL) != (size == self._left):
            raise AttachmentRejected("final tag")
        self._moved(size)
        return chunk


class FileDigests:
    """Digests over the file in clear and over its sealed form, as they pass by."""

    def __init__(self) -> None:
        self._clear = hashlib.sha256()
        self._sealed = hashlib.sha256()

    def add(self, clear: bytes, sealed: bytes) -> None:
        """Take in the next piece of both; either may be empty."""
        self._clear.update(clear)
        self._sealed.update(sealed)

    @property
    def sealed(self) -> bytes:
        """SHA-256 of the sealed form so far."""
        return self._sealed.digest()

    def check(self, sha256: bytes) -> None:
        """Return when the file in clear has this digest.

        Raises:
            AttachmentRejected: It has another one.
        """
        if not hmac.compare_digest(self._clear.digest(), sha256):
            raise AttachmentRejected("digest")
