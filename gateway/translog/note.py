"""Signed notes (c2sp.org/signed-note v1.0.0): a text, a blank line, and a line for each signature.

What is parsed here is unverified until open_note has found the signatures of known keys in it. Neither text nor lines
are ever written anew to verify them: two texts that mean the same would then share a signature.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.crypto.mldsa import MLDSA_SIGNATURE_BYTES
from gateway.errors import MessageMalformed, MessageTooLarge, ProofRejected
from gateway.translog.note_keys import KEY_ID_BYTES, NoteKey, NoteSigner
from gateway.translog.tree_head import check_name, decode_base64

MAX_SIGNATURES: Final = 64
"""signed-note asks for at least 16."""
MAX_SIGNATURE_BYTES: Final = 5120
"""The largest post-quantum signature in use has nearly 5 kB (signed-note)."""
MAX_NOTE_BYTES: Final = 256 * 1024
"""64 ML-DSA-44 cosignatures (3.3 kB each in base64) under long names, and the text."""
_DASH: Final = "\u2014 "
_CONTROLS: Final = frozenset(range(0x20)) - {0x0A}

assert MAX_SIGNATURE_BYTES > MLDSA_SIGNATURE_BYTES + 12  # noqa: S101 - a limit that contradicts another


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature line of a note; whether it is any key's is not known yet."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, with its end."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class UnverifiedNote:
    """A note that is well formed."""

    text: str
    """With the line feed that ends it."""
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that verified."""

    key: NoteKey
    time_s: int | None
    """When the signer says it signed, in seconds; None when its kind does not say."""


def parse_note(data: bytes) -> UnverifiedNote:
    """Return a note's text and signatures, none of them verified.

    Raises:
        MessageTooLarge: More bytes than a note may have.
        MessageMalformed: It is not a note.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise MessageTooLarge("a signed note", len(data), MAX_NOTE_BYTES)
    if not _CONTROLS.isdisjoint(data):
        raise MessageMalformed("a signed note has no control characters")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MessageMalformed("a signed note is UTF-8") from None
    # The text may hold empty lines: the last one ends it.
    text, blank, rest = whole.rpartition("\n\n")
    if not blank or not text or not rest.endswith("\n"):
        raise MessageMalformed("a signed note is a text, an empty line, and signature lines that end in a line feed")
    lines = rest[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MessageMalformed(f"a signed note has at most {MAX_SIGNATURES} signatures")
    return UnverifiedNote(text + "\n", tuple(_parse_line(line) for line in lines))


def _parse_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise MessageMalformed("a signature line is a dash, a key name and a signature")
    check_name(name)
    data = decode_base64(encoded, KEY_ID_BYTES + MAX_SIGNATURE_BYTES)
    if len(data) <= KEY_ID_BYTES:
        raise MessageMalformed("a signature line holds a key id and a signature")
    return NoteSignature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def open_note(note: UnverifiedNote, keys: Iterable[NoteKey]) -> tuple[Signed, ...]:
    """Return the signatures of known keys, in the order of the note; at least one. Other keys' are passed over.

    Raises:
        ProofRejected: No known key has signed, one has signed twice, or what stands in its name does not verify.
    """
    known = {(key.name, key.id): key for key in keys}
    found: list[Signed] = []
    for signature in note.signatures:
        if key := known.get((signature.name, signature.key_id)):
            if any(signed.key == key for signed in found):
                raise ProofRejected(f"{key.name} has signed twice")
            found.append(Signed(key, key.verify(note.text, signature.signature)))
    if not found:
        raise ProofRejected("no known key has signed")
    return tuple(found)


def signature_of(text: str, signer: NoteSigner, now_s: int) -> NoteSignature:
    """Return a signer's line for a note with this text."""
    return NoteSignature(signer.name, signer.note_key.id, signer.sign(text, now_s))


def write_note(text: str, signatures: Sequence[NoteSignature]) -> bytes:
    """Return the note.

    Raises:
        MessageTooLarge: It has more bytes than a note may have.
        MessageMalformed: Text and signatures do not make a note that reads as it was written.
    """
    note = UnverifiedNote(text, tuple(signatures))
    data = f"{text}\n{''.join(signature.line for signature in signatures)}".encode()
    if parse_note(data) != note:
        raise MessageMalformed("the text and signatures do not make a note")
    return data


def add_signatures(data: bytes, signatures: Sequence[NoteSignature]) -> bytes:
    """Return a note with further signatures, those of witnesses, after its own.

    Raises:
        MessageTooLarge: It has more bytes than a note may have.
        MessageMalformed: It is not a note.
    """
    note = parse_note(data)
    return write_note(note.text, (*note.signatures, *signatures))
