"""Signed notes (C2SP signed-note): a text, a blank line, and signatures by named keys.

Parsing is strict, so that one note has one form, and judges nothing: whoever opens a note says which keys count.
Signatures of keys that are not asked for are ignored, whatever they are; one of a known key that does not verify
refuses the whole note.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.crypto.cosign import COSIGN_KEY_BYTES, COSIGNATURE_BYTES, CosignKey, CosignVerifyKey
from gateway.crypto.keys import SIGNATURE_BYTES, VERIFY_KEY_BYTES, SignKey, VerifyKey
from gateway.errors import FieldInvalid, GatewayError, LogProofInvalid

ED25519: Final = 0x01
ED25519_COSIGNATURE: Final = 0x04
MLDSA44_COSIGNATURE: Final = 0x06
MAX_NOTE_BYTES: Final = 256 << 10
"""Room for more than 16 signatures of the largest kind."""
MAX_SIGNATURES: Final = 64
MAX_NAME_BYTES: Final = 255
"""tlog-cosignature: names are 1 to 255 bytes."""
_DASH: Final = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature line, not verified."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read, not verified."""

    text: str
    """Ends in a newline."""
    signatures: tuple[NoteSignature, ...]


class NoteKey(Protocol):
    """A key that may have signed a note."""

    @property
    def name(self) -> str: ...
    @property
    def key_id(self) -> bytes: ...
    @property
    def vkey(self) -> str: ...

    def verify(self, text: str, signature: bytes) -> None:
        """Return when the signature is this key's over the text.

        Raises:
            LogProofInvalid: It is not.
        """
        ...


def note_key_id(name: str, kind: int, public: bytes) -> bytes:
    """Return a key's four bytes, which only tell keys apart."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def check_name(name: str) -> None:
    """Return when a text can name a key or a log.

    Raises:
        LogProofInvalid: It cannot.
    """
    # A format character or a space that looks like nothing would let two names look the same.
    bad = not name.isprintable() or any(character.isspace() for character in name) or "+" in name
    if not name or bad or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise LogProofInvalid("not the name of a key")


def decode_base64(text: str) -> bytes:
    """Return the bytes of base64 in its one form.

    Raises:
        LogProofInvalid: It is not.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise LogProofInvalid("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise LogProofInvalid("not base64 in its one form")
    return data


def parse_number(text: str, most: int) -> int:
    """Return a decimal number in its one form.

    Raises:
        LogProofInvalid: It is not, or above `most`.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 20 or (text[0] == "0" and text != "0"):
        raise LogProofInvalid("not a decimal number")
    if int(text) > most:
        raise LogProofInvalid("the number is too large")
    return int(text)


def parse_note(data: bytes) -> Note:
    """Return a note, not verified.

    Raises:
        LogProofInvalid: Not a note.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise LogProofInvalid("the note is too large")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise LogProofInvalid("the note is not UTF-8") from None
    if any(character < " " and character != "\n" for character in whole):
        raise LogProofInvalid("the note has control characters")
    place = whole.rfind("\n\n")
    if place < 0 or not whole.endswith("\n"):
        raise LogProofInvalid("the note has no signatures")
    text, lines = whole[: place + 1], whole[place + 2 :].split("\n")[:-1]
    if not lines or len(lines) > MAX_SIGNATURES:
        raise LogProofInvalid("the note has no signatures, or too many")
    return Note(text, tuple(_parse_signature(line) for line in lines))


def _parse_signature(line: str) -> NoteSignature:
    if not line.startswith(_DASH):
        raise LogProofInvalid("not a signature line")
    name, space, encoded = line[len(_DASH) :].partition(" ")
    if not space:
        raise LogProofInvalid("not a signature line")
    check_name(name)
    data = decode_base64(encoded)
    if len(data) < 5:
        raise LogProofInvalid("a signature is too short")
    return NoteSignature(name, data[:4], data[4:])


def write_note(text: str, signatures: Sequence[NoteSignature]) -> bytes:
    """Return a note."""
    lines = (f"{_DASH}{item.name} {base64.b64encode(item.key_id + item.signature).decode()}\n" for item in signatures)
    return (text + "\n" + "".join(lines)).encode()


def verified_by(note: Note, keys: Sequence[NoteKey]) -> tuple[NoteKey, ...]:
    """Return those of the keys that signed the note.

    Raises:
        LogProofInvalid: A signature of one of them does not verify.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found: list[NoteKey] = []
    for item in note.signatures:
        key = known.get((item.name, item.key_id))
        if key is None:
            continue
        key.verify(note.text, item.signature)
        if key not in found:
            found.append(key)
    return tuple(found)


class Ed25519NoteKey:
    """Type 0x01: the log's own signature over the note's text."""

    kind: Final = ED25519

    def __init__(self, name: str, key: VerifyKey) -> None:
        check_name(name)
        self.name, self._key = name, key
        self.key_id = note_key_id(name, self.kind, key.public)

    def verify(self, text: str, signature: bytes) -> None:
        """Return when the signature is this key's over the text."""
        _verify(self._key, text.encode(), signature)

    @property
    def vkey(self) -> str:
        """The key as verifiers are configured with it."""
        return _vkey(self.name, self.kind, self._key.public)


class CosignatureNoteKey:
    """Types 0x04 and 0x06: a timestamped statement that a tree is consistent with all that the cosigner saw."""

    def __init__(self, name: str, key: VerifyKey | CosignVerifyKey) -> None:
        check_name(name)
        self.name, self._key = name, key
        self.kind = MLDSA44_COSIGNATURE if isinstance(key, CosignVerifyKey) else ED25519_COSIGNATURE
        self.key_id = note_key_id(name, self.kind, key.public)

    def verify(self, text: str, signature: bytes) -> None:
        """Return when the signature is this key's over the checkpoint in the text."""
        size = COSIGNATURE_BYTES if self.kind == MLDSA44_COSIGNATURE else SIGNATURE_BYTES
        if len(signature) != 8 + size or signature[0] & 0x80:
            raise LogProofInvalid("a cosignature has the wrong form")
        time_s = int.from_bytes(signature[:8], "big")
        if self.kind == MLDSA44_COSIGNATURE:
            message = cosigned_message(self.name, time_s, text)
        else:
            message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
        _verify(self._key, message, signature[8:])

    @property
    def vkey(self) -> str:
        """The key as verifiers are configured with it."""
        return _vkey(self.name, self.kind, self._key.public)


def _verify(key: VerifyKey | CosignVerifyKey, message: bytes, signature: bytes) -> None:
    try:
        key.verify(message, signature)
    except GatewayError:
        raise LogProofInvalid("a signature of a known key does not verify") from None


def _vkey(name: str, kind: int, public: bytes) -> str:
    key_id = note_key_id(name, kind, public)
    return f"{name}+{key_id.hex()}+{base64.b64encode(bytes([kind]) + public).decode()}"


def parse_vkey(text: str) -> Ed25519NoteKey | CosignatureNoteKey:
    """Return the key that a verifier key names.

    Raises:
        LogProofInvalid: Not one, or of a kind not known here.
    """
    name, plus, rest = text.strip().partition("+")
    shown_id, second, encoded = rest.partition("+")
    if not plus or not second:
        raise LogProofInvalid("not a verifier key")
    check_name(name)
    data = decode_base64(encoded)
    kind, public = data[:1], data[1:]
    sizes = {ED25519: VERIFY_KEY_BYTES, ED25519_COSIGNATURE: VERIFY_KEY_BYTES, MLDSA44_COSIGNATURE: COSIGN_KEY_BYTES}
    if not kind or sizes.get(kind[0]) != len(public) or note_key_id(name, kind[0], public).hex() != shown_id:
        raise LogProofInvalid("not a verifier key of a kind known here")
    try:
        if kind[0] == ED25519:
            return Ed25519NoteKey(name, VerifyKey(public))
        return CosignatureNoteKey(
            name, CosignVerifyKey(public) if kind[0] == MLDSA44_COSIGNATURE else VerifyKey(public)
        )
    except FieldInvalid:
        raise LogProofInvalid("not a usable verifier key") from None


def cosigned_message(cosigner: str, time_s: int, text: str) -> bytes:
    """Return what an ML-DSA-44 cosignature signs (tlog-cosignature: cosigned_message), for a checkpoint's text.

    Raises:
        LogProofInvalid: The text is not a checkpoint's.
    """
    lines = text.split("\n")
    if len(lines) < 4:
        raise LogProofInvalid("not a checkpoint")
    check_name(lines[0])
    size, root = parse_number(lines[1], (1 << 63) - 1), decode_base64(lines[2])
    if len(root) != 32:
        raise LogProofInvalid("not a checkpoint")
    names = [bytes([len(name.encode())]) + name.encode() for name in (cosigner, lines[0])]
    return b"".join(
        (
            b"subtree/v1\n\x00", names[0], time_s.to_bytes(8, "big"), names[1], bytes(8), size.to_bytes(8, "big"), root,
        )
    )  # fmt: skip


def sign_ed25519(name: str, key: SignKey, text: str) -> NoteSignature:
    """Return the log's own signature."""
    return NoteSignature(name, note_key_id(name, ED25519, key.verify_key.public), key.sign(text.encode()))


def sign_mldsa44(name: str, key: CosignKey, text: str, time_s: int) -> NoteSignature:
    """Return an ML-DSA-44 cosignature over a checkpoint's text."""
    signature = time_s.to_bytes(8, "big") + key.sign(cosigned_message(name, time_s, text))
    return NoteSignature(name, note_key_id(name, MLDSA44_COSIGNATURE, key.verify_key.public), signature)
