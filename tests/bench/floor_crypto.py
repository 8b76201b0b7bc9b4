"""The floor's cryptography: everything once per message, nothing shared, nothing batched.

The bytes on the wire are those of concord.v1, so that both ways carry the same load; what the full way adds
(trees, checks of commitments, replay, key validity) is left out on purpose.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from concord.v1 import envelope_pb2
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from nacl.secret import Aead
from nacl.signing import SigningKey, VerifyKey

SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
KEM_PUBLIC_BYTES = 1184
KEM_SECRET_BYTES = 64
LIFETIME_S = 3600
LENGTH_BYTES = 4
SALT_BYTES = 32
_ALONE = envelope_pb2.MerklePath(index=0, size=1)


def make_keys(folder: Path) -> None:
    """Write the key pairs of a sender and a receiver into the folder, raw."""
    for name in ("sender", "receiver"):
        sign = SigningKey.generate()
        (folder / f"{name}.sign").write_bytes(bytes(sign))
        (folder / f"{name}.verify").write_bytes(bytes(sign.verify_key))
    kem, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    (folder / "receiver.open").write_bytes(kem.private_bytes_raw() + curve.private_bytes_raw())
    (folder / "receiver.seal").write_bytes(kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw())


def seal_key(raw: bytes) -> hpke.MLKEM768X25519PublicKey:
    """Return the recipient's public key."""
    return hpke.MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(raw[:KEM_PUBLIC_BYTES]),
        x25519.X25519PublicKey.from_public_bytes(raw[KEM_PUBLIC_BYTES:]),
    )


def open_key(raw: bytes) -> hpke.MLKEM768X25519PrivateKey:
    """Return the recipient's private key."""
    return hpke.MLKEM768X25519PrivateKey(
        mlkem.MLKEM768PrivateKey.from_seed_bytes(raw[:KEM_SECRET_BYTES]),
        x25519.X25519PrivateKey.from_private_bytes(raw[KEM_SECRET_BYTES:]),
    )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message ready to leave."""

    message_id: bytes
    content_commitment: bytes
    create_ns: int
    envelope: envelope_pb2.Envelope
    envelope_bytes: bytes
    """What is stored."""


class Sealer:
    """Seals messages for one recipient."""

    def __init__(self, sender: str, recipient: str, sign: bytes, seal: bytes) -> None:
        self._sender, self._recipient = sender, recipient
        self._sign = SigningKey(sign)
        self._signing_key_id = hashlib.sha256(bytes(self._sign.verify_key)).digest()[:8]
        self._seal = seal_key(seal)
        self._seal_key_id = hashlib.sha256(seal).digest()[:8]

    def seal(self, body: bytes, mode: int, urgency: int) -> Sealed:
        """Encrypt and sign one message: one encapsulation, one AEAD, one signature."""
        now_ns = time.time_ns()
        message_id, salt, content_key = os.urandom(16), os.urandom(SALT_BYTES), os.urandom(32)
        commitment = hashlib.sha256(salt + body).digest()
        header = envelope_pb2.Header(
            suite=1,
            envelope_id=os.urandom(16),
            message_id=message_id,
            sender=self._sender,
            signing_key_id=self._signing_key_id,
            kind=envelope_pb2.KIND_ALERT,
            thread_id=message_id,
            mode=mode,
            urgency=urgency,
            content_commitment=commitment,
            key_commitment=hashlib.sha256(content_key).digest(),
        )
        header.create_time.FromNanoseconds(now_ns)
        header.expire_time.FromNanoseconds(now_ns + LIFETIME_S * 1_000_000_000)
        header_bytes = header.SerializeToString()
        ciphertext = bytes(Aead(content_key).encrypt(_pad(salt + body), header_bytes))
        encapsulation = SUITE.encrypt(content_key, self._seal, info=header_bytes)
        record = envelope_pb2.RecipientRecord(
            recipient=self._recipient,
            seal_key_id=self._seal_key_id,
            batch_id=message_id,
            encapsulation_digest=hashlib.sha256(encapsulation).digest(),
        ).SerializeToString()
        envelope = envelope_pb2.Envelope(
            header=header_bytes,
            ciphertext=ciphertext,
            record=record,
            record_path=_ALONE,
            batch_path=_ALONE,
            signature=self._sign.sign(envelope_digest(header_bytes, ciphertext, record)).signature,
            encapsulation=encapsulation,
        )
        return Sealed(message_id, commitment, now_ns, envelope, envelope.SerializeToString())


class Opener:
    """Opens messages of one sender and signs receipts for them."""

    def __init__(self, own: str, verify: bytes, opening: bytes, sign: bytes) -> None:
        self._own = own
        self._verify = VerifyKey(verify)
        self._open = open_key(opening)
        self._sign = SigningKey(sign)
        self._signing_key_id = hashlib.sha256(bytes(self._sign.verify_key)).digest()[:8]

    def open(self, envelope: envelope_pb2.Envelope) -> tuple[bytes, envelope_pb2.ReceiptProof]:
        """Verify, decrypt and answer one message: its body and a receipt with a signature of its own."""
        digest = envelope_digest(envelope.header, envelope.ciphertext, envelope.record)
        self._verify.verify(digest, envelope.signature)
        content_key = SUITE.decrypt(envelope.encapsulation, self._open, info=envelope.header)
        body = _unpad(Aead(content_key).decrypt(envelope.ciphertext, envelope.header))[SALT_BYTES:]
        receipt = envelope_pb2.Receipt(envelope_digest=digest, outcome=envelope_pb2.OUTCOME_RECEIVED)
        receipt.time.FromNanoseconds(time.time_ns())
        receipt_bytes = receipt.SerializeToString()
        proof = envelope_pb2.ReceiptProof(
            issuer=self._own,
            signing_key_id=self._signing_key_id,
            receipt=receipt_bytes,
            path=_ALONE,
            signature=self._sign.sign(receipt_bytes).signature,
        )
        return body, proof


def envelope_digest(header: bytes, ciphertext: bytes, record: bytes) -> bytes:
    """Return what is signed of an envelope; the parts are cut apart by their own lengths."""
    lengths = len(header).to_bytes(4, "big") + len(record).to_bytes(4, "big")
    return hashlib.sha256(lengths + header + record + hashlib.sha256(ciphertext).digest()).digest()


def _pad(data: bytes) -> bytes:
    # Padmé (Nikitin et al., PETS 2019): at most 12 % more, and sizes that say little.
    length = len(data) + LENGTH_BYTES
    exponent = length.bit_length() - 1
    mask = (1 << exponent - exponent.bit_length()) - 1
    return len(data).to_bytes(LENGTH_BYTES, "big") + data + bytes((length + mask & ~mask) - length)


def _unpad(data: bytes) -> bytes:
    return data[LENGTH_BYTES : LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big")]
