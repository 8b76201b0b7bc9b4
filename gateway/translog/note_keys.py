"""Keys that sign notes, by name and kind (c2sp.org/signed-note, c2sp.org/tlog-cosignature).

A key id names a key within its name and proves nothing. What each kind signs differs, so that a signature made for one
purpose says nothing for another: an Ed25519 key as log key and the same key as witness have different messages and ids.
"""

import base64
import enum
import hashlib
import re
from dataclasses import dataclass
from typing import Final, Self

from gateway.crypto.keys import SIGNATURE_BYTES, VERIFY_KEY_BYTES, SignKey, VerifyKey
from gateway.crypto.mldsa import MLDSA_PUBLIC_BYTES, MLDSA_SIGNATURE_BYTES, MLDSASignKey, MLDSAVerifyKey
from gateway.errors import EnvelopeRejected, FieldInvalid, MessageMalformed, ProofRejected
from gateway.translog.merkle import MAX_SIZE
from gateway.translog.tree_head import TreeHead, check_name, decode_base64, parse_tree_head

KEY_ID_BYTES: Final = 4
_TIMESTAMP_BYTES: Final = 8
_SUBTREE: Final = b"subtree/v1\n\0"
_KEY_ID = re.compile(r"[0-9a-f]{8}\Z", re.ASCII)


class SignatureKind(enum.IntEnum):
    """Assigned in c2sp.org/signed-note. Others are not verified here."""

    ED25519 = 0x01
    """Over the text of the note."""
    ED25519_COSIGNATURE = 0x04
    """Over a time and the text of the note."""
    MLDSA44_COSIGNATURE = 0x06
    """Over a time, the cosigner's name, and what the checkpoint says."""


_PUBLIC_BYTES: Final = {
    SignatureKind.ED25519: VERIFY_KEY_BYTES,
    SignatureKind.ED25519_COSIGNATURE: VERIFY_KEY_BYTES,
    SignatureKind.MLDSA44_COSIGNATURE: MLDSA_PUBLIC_BYTES,
}


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that verifies signatures on notes."""

    name: str
    kind: SignatureKind
    key: VerifyKey | MLDSAVerifyKey

    def __post_init__(self) -> None:
        check_name(self.name)
        if isinstance(self.key, MLDSAVerifyKey) != (self.kind is SignatureKind.MLDSA44_COSIGNATURE):
            raise FieldInvalid("kind", "does not fit the key")

    @property
    def id(self) -> bytes:
        """Four bytes that with the name tell keys apart."""
        return hashlib.sha256(
            self.name.encode() + b"\n" + bytes([self.kind]) + self.key.public
        ).digest()[:KEY_ID_BYTES]  # fmt: skip

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of a vkey text: name, key id in hex, kind and public key in base64, joined by plus signs.

        Raises:
            MessageMalformed: It is not one, of a kind known here, with the id that the key has.
            FieldInvalid: The public key cannot be used.
        """
        # Neither name nor id holds a plus sign; base64 may.
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise MessageMalformed("a verifier key is name+id+key")
        name, key_id, encoded = parts
        check_name(name)
        data = decode_base64(encoded, 1 + MLDSA_PUBLIC_BYTES)
        try:
            kind = SignatureKind(data[0] if data else 0)
        except ValueError:
            raise MessageMalformed("a verifier key of a kind that is not known here") from None
        public = data[1:]
        if len(public) != _PUBLIC_BYTES[kind]:
            raise MessageMalformed("a verifier key of the wrong length")
        mldsa = kind is SignatureKind.MLDSA44_COSIGNATURE
        found = cls(name, kind, MLDSAVerifyKey(public) if mldsa else VerifyKey(public))
        if not _KEY_ID.match(key_id) or found.id.hex() != key_id:
            raise MessageMalformed("a verifier key whose id is another's")
        return found

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.key.public).decode("ascii")
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def verify(self, text: str, signature: bytes) -> int | None:
        """Return the time in seconds that the signature states, or None when its kind states none.

        Raises:
            ProofRejected: It is not this key's signature over the text.
        """
        try:
            if self.kind is SignatureKind.ED25519:
                self.key.verify(text.encode(), signature)
                return None
            if len(signature) != _TIMESTAMP_BYTES + _SIGNATURE_BYTES[self.kind]:
                raise EnvelopeRejected("signature")
            time_s = int.from_bytes(signature[:_TIMESTAMP_BYTES], "big")
            if time_s > MAX_SIZE:
                raise EnvelopeRejected("time")
            self.key.verify(_cosigned(self.kind, self.name, time_s, text), signature[_TIMESTAMP_BYTES:])
        except (EnvelopeRejected, MessageMalformed):
            raise ProofRejected(f"a signature in the name of {self.name} does not verify") from None
        return time_s


_SIGNATURE_BYTES: Final = {
    SignatureKind.ED25519_COSIGNATURE: SIGNATURE_BYTES,
    SignatureKind.MLDSA44_COSIGNATURE: MLDSA_SIGNATURE_BYTES,
}


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A key that signs notes."""

    name: str
    kind: SignatureKind
    key: SignKey | MLDSASignKey

    @property
    def note_key(self) -> NoteKey:
        """What verifies its signatures."""
        return NoteKey(self.name, self.kind, self.key.verify_key)

    def sign(self, text: str, now_s: int) -> bytes:
        """Return the signature over a text; cosignatures state the time.

        Raises:
            MessageMalformed: The kind signs checkpoints only, and the text is none.
        """
        if self.kind is SignatureKind.ED25519:
            return self.key.sign(text.encode())
        return now_s.to_bytes(_TIMESTAMP_BYTES, "big") + self.key.sign(_cosigned(self.kind, self.name, now_s, text))


def _cosigned(kind: SignatureKind, name: str, time_s: int, text: str) -> bytes:
    """Return what a cosignature is over."""
    head = parse_tree_head(text)
    if kind is SignatureKind.MLDSA44_COSIGNATURE:
        return mldsa_message(name, time_s, head)
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def mldsa_message(name: str, time_s: int, head: TreeHead) -> bytes:
    """Return the cosigned_message of c2sp.org/tlog-cosignature for a whole tree.

    Label, cosigner's name, time, origin, start, end, hash; names follow one byte of length, numbers have eight bytes.
    """
    fields = [_SUBTREE]
    for text, number in ((name, time_s), (head.origin, 0)):
        encoded = text.encode()
        fields += (bytes([len(encoded)]), encoded, number.to_bytes(8, "big"))
    return b"".join((*fields, head.size.to_bytes(8, "big"), head.root))
