"""ML-DSA-44 keys (FIPS 204): signatures on checkpoints that outlive elliptic curves.

Types of their own, so that a key for checkpoints cannot sign anything else by mistake.
"""

from typing import Final, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa

from gateway.crypto.keys import _Secret, key_id
from gateway.errors import EnvelopeRejected, FieldInvalid

MLDSA_PUBLIC_BYTES: Final = 1312
MLDSA_SIGNATURE_BYTES: Final = 2420
"""FIPS 204 table 2, ML-DSA-44."""


@final
class MLDSAVerifyKey:
    """Verifies ML-DSA-44 signatures."""

    __slots__ = ("_handle", "id", "public")

    def __init__(self, public: bytes) -> None:
        """Take an encoded public key.

        Raises:
            FieldInvalid: The length is wrong.
        """
        if len(public) != MLDSA_PUBLIC_BYTES:
            raise FieldInvalid("public_key", f"must be {MLDSA_PUBLIC_BYTES} bytes")
        # Every string of this length is a key: packed integers without forbidden values (FIPS 204 algorithm 23).
        self._handle = mldsa.MLDSA44PublicKey.from_public_bytes(public)
        self.public = bytes(public)
        self.id = key_id(self.public)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when the signature is this key's over the message, with an empty context.

        Raises:
            EnvelopeRejected: It is not.
        """
        if len(signature) != MLDSA_SIGNATURE_BYTES:
            raise EnvelopeRejected("signature")
        try:
            self._handle.verify(signature, message)
        except InvalidSignature:
            raise EnvelopeRejected("signature") from None

    def __repr__(self) -> str:
        return f"MLDSAVerifyKey({self.id.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MLDSAVerifyKey) and self.public == other.public

    def __hash__(self) -> int:
        return hash(self.public)


@final
class MLDSASignKey(_Secret):
    """Makes ML-DSA-44 signatures. The secret is the 32-byte seed (FIPS 204 algorithm 6)."""

    __slots__ = ("_handle", "verify_key")

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self._handle = mldsa.MLDSA44PrivateKey.from_seed_bytes(secret)
        self.verify_key = MLDSAVerifyKey(self._handle.public_key().public_bytes_raw())

    @property
    def id(self) -> bytes:
        """Names the key by its public part."""
        return self.verify_key.id

    def sign(self, message: bytes) -> bytes:
        """Return the 2420-byte signature, with an empty context. Randomised: two of one message differ."""
        return self._handle.sign(message)
