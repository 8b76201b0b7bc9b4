"""ML-DSA-44 keys (FIPS 204) that sign checkpoints of the exchange log beside Ed25519.

A log is kept for ten years; a statement about it should outlive the day on which somebody builds a quantum computer.
"""

from typing import Final, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa

from gateway.crypto.keys import _Secret, key_id
from gateway.errors import EnvelopeRejected, FieldInvalid

COSIGN_KEY_BYTES: Final = 1312
COSIGNATURE_BYTES: Final = 2420


@final
class CosignVerifyKey:
    """Verifies ML-DSA-44 signatures."""

    __slots__ = ("_handle", "id", "public")

    def __init__(self, public: bytes) -> None:
        """Take an encoded public key.

        Raises:
            FieldInvalid: Not one.
        """
        if len(public) != COSIGN_KEY_BYTES:
            raise FieldInvalid("public_key", f"must be {COSIGN_KEY_BYTES} bytes")
        try:
            self._handle = mldsa.MLDSA44PublicKey.from_public_bytes(public)
        except ValueError:
            raise FieldInvalid("public_key", "is not an ML-DSA-44 key") from None
        self.public = bytes(public)
        self.id = key_id(self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when the signature is this key's over the message.

        Raises:
            EnvelopeRejected: It is not.
        """
        if len(signature) != COSIGNATURE_BYTES:
            raise EnvelopeRejected("signature")
        try:
            self._handle.verify(signature, message)
        except InvalidSignature:
            raise EnvelopeRejected("signature") from None

    def __repr__(self) -> str:
        return f"CosignVerifyKey({self.id.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CosignVerifyKey) and self.public == other.public

    def __hash__(self) -> int:
        return hash(self.public)


@final
class CosignKey(_Secret):
    """Makes ML-DSA-44 signatures; its secret is the 32-byte seed."""

    __slots__ = ("_handle", "verify_key")

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self._handle = mldsa.MLDSA44PrivateKey.from_seed_bytes(secret)
        self.verify_key = CosignVerifyKey(self._handle.public_key().public_bytes_raw())

    @property
    def id(self) -> bytes:
        """Names the key by its public part."""
        return self.verify_key.id

    def sign(self, message: bytes) -> bytes:
        """Return the 2,420-byte signature."""
        return self._handle.sign(message)
