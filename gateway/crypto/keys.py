"""Keys, one type per role, so that no key can be taken for another.

Secrets have no textual form, cannot be pickled or copied and compare in constant time. Objects of PyNaCl, which print
their secrets, never leave this room. A key id is a hint to find a key and proves nothing.
"""

import hashlib
import hmac
import os
from typing import ClassVar, Final, NoReturn, Self, final

import nacl.exceptions
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from nacl import bindings

from gateway.errors import EnvelopeRejected, FieldInvalid

KEY_ID_BYTES: Final = 8
SIGNATURE_BYTES: Final = 64
VERIFY_KEY_BYTES: Final = 32
SEAL_KEY_BYTES: Final = 1216
"""ML-KEM-768 encapsulation key (1184, FIPS 203) and X25519 public key (32)."""
OPEN_KEY_BYTES: Final = 96
"""ML-KEM-768 seed d || z (64, FIPS 203) and X25519 private key (32)."""
ENCAPSULATION_BYTES: Final = 1168
"""ML-KEM-768 ciphertext (1088), X25519 ephemeral key (32), and a 32-byte secret under ChaCha20-Poly1305 (48)."""
_MLKEM_PUBLIC: Final = 1184
_MLKEM_SEED: Final = 64

_HPKE: Final = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def key_id(public: bytes) -> bytes:
    """Return the first 8 bytes of the SHA-256 of a public key."""
    return hashlib.sha256(public).digest()[:KEY_ID_BYTES]


class _Secret:
    """What all secrets share: shown by kind and id only, never serialised, compared in constant time."""

    __slots__ = ("_secret",)
    _secret: bytes
    _size: ClassVar[int] = 32

    def __init__(self, secret: bytes) -> None:
        if len(secret) != self._size:
            raise FieldInvalid(type(self).__name__, f"must be {self._size} bytes")
        self._secret = secret

    @classmethod
    def generate(cls) -> Self:
        """Return a fresh key from the operating system's random source."""
        return cls(os.urandom(cls._size))

    @classmethod
    def from_secret(cls, secret: bytes) -> Self:
        """Return the key with these secret bytes.

        Raises:
            FieldInvalid: The length is wrong.
        """
        return cls(secret)

    def export_secret(self) -> bytes:
        """Return the secret bytes, for the keyring and for nothing else."""
        return self._secret

    @property
    def id(self) -> bytes:
        """Names the key without giving it away."""
        return hashlib.sha256(b"concord/secret-id/v1" + self._secret).digest()[:KEY_ID_BYTES]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id.hex()})"

    def __str__(self) -> str:
        return self.__repr__()

    def __format__(self, format_spec: str) -> str:
        return self.__repr__()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is never serialised")


@final
class ContentKey(_Secret):
    """Encrypts the content of one envelope."""

    __slots__ = ()


@final
class AttachmentKey(_Secret):
    """Encrypts the chunks of one file, and nothing else."""

    __slots__ = ()


@final
class MessageKey(_Secret):
    """Encrypts one message at rest. Destroying it erases the message."""

    __slots__ = ()


@final
class KeyEncryptionKey(_Secret):
    """Wraps message keys."""

    __slots__ = ()


@final
class VerifyKey:
    """Verifies Ed25519 signatures."""

    __slots__ = ("id", "public")

    def __init__(self, public: bytes) -> None:
        """Take an encoded point.

        Raises:
            FieldInvalid: The length is wrong, or the point is not in the prime-order group.
        """
        if len(public) != VERIFY_KEY_BYTES:
            raise FieldInvalid("public_key", f"must be {VERIFY_KEY_BYTES} bytes")
        # A point of low order verifies signatures that nobody made; libsodium takes 32 zero bytes for a key.
        if not bindings.crypto_core_ed25519_is_valid_point(public):
            raise FieldInvalid("public_key", "is not a point of the prime-order group")
        self.public = bytes(public)
        self.id = key_id(self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when the signature is this key's over the message.

        Raises:
            EnvelopeRejected: It is not.
        """
        # PyNaCl raises another exception for a signature of the wrong length.
        if len(signature) != SIGNATURE_BYTES:
            raise EnvelopeRejected("signature")
        try:
            bindings.crypto_sign_open(signature + message, self.public)
        except nacl.exceptions.CryptoError:
            raise EnvelopeRejected("signature") from None

    def __repr__(self) -> str:
        return f"VerifyKey({self.id.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyKey) and self.public == other.public

    def __hash__(self) -> int:
        return hash(self.public)


@final
class SignKey(_Secret):
    """Makes Ed25519 signatures."""

    __slots__ = ("_expanded", "verify_key")

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        public, self._expanded = bindings.crypto_sign_seed_keypair(secret)
        self.verify_key = VerifyKey(public)

    @property
    def id(self) -> bytes:
        """Names the key by its public part."""
        return self.verify_key.id

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature."""
        return bindings.crypto_sign(message, self._expanded)[:SIGNATURE_BYTES]


@final
class SealKey:
    """Encapsulates secrets for one recipient: HPKE with ML-KEM-768 and X25519."""

    __slots__ = ("_handle", "id", "public")

    def __init__(self, public: bytes) -> None:
        """Take an encoded public key.

        Raises:
            FieldInvalid: The length is wrong, or one of the two parts is not a usable key.
        """
        if len(public) != SEAL_KEY_BYTES:
            raise FieldInvalid("public_key", f"must be {SEAL_KEY_BYTES} bytes")
        try:
            exchange = x25519.X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:])
            # Refuses points of low order here, and not when a message is waiting to be sealed.
            x25519.X25519PrivateKey.generate().exchange(exchange)
            self._handle = hpke.MLKEM768X25519PublicKey(
                mlkem.MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]), exchange
            )
        except ValueError:
            raise FieldInvalid("public_key", "is not a usable ML-KEM-768 and X25519 key") from None
        self.public = bytes(public)
        self.id = key_id(self.public)

    def encapsulate(self, secret: bytes, info: bytes) -> bytes:
        """Return the secret sealed to this key and bound to info."""
        return _HPKE.encrypt(secret, self._handle, info=info)

    def __repr__(self) -> str:
        return f"SealKey({self.id.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealKey) and self.public == other.public

    def __hash__(self) -> int:
        return hash(self.public)


@final
class OpenKey(_Secret):
    """Opens what was encapsulated to its seal key."""

    __slots__ = ("_handle", "seal_key")
    _size = OPEN_KEY_BYTES

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        post_quantum = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[:_MLKEM_SEED])
        exchange = x25519.X25519PrivateKey.from_private_bytes(secret[_MLKEM_SEED:])
        self._handle = hpke.MLKEM768X25519PrivateKey(post_quantum, exchange)
        self.seal_key = SealKey(post_quantum.public_key().public_bytes_raw() + exchange.public_key().public_bytes_raw())

    @property
    def id(self) -> bytes:
        """Names the key by its public part."""
        return self.seal_key.id

    def decapsulate(self, encapsulation: bytes, info: bytes) -> bytes:
        """Return the secret.

        Raises:
            EnvelopeRejected: It was not sealed to this key with this info.
        """
        try:
            return _HPKE.decrypt(encapsulation, self._handle, info=info)
        except (InvalidTag, ValueError):
            raise EnvelopeRejected("encapsulation") from None
