"""Which keys of a card sign the checkpoints of its log, and checkpoints opened with them."""

from gateway.crypto.keys import VerifyKey
from gateway.crypto.mldsa import MLDSAVerifyKey
from gateway.errors import ProofRejected
from gateway.model.partner import CardKey, KeyPurpose
from gateway.translog.checkpoint import Checkpoint, open_checkpoint
from gateway.translog.note import parse_note
from gateway.translog.note_keys import NoteKey, SignatureKind


def log_keys(origin: str, keys: tuple[CardKey, ...]) -> tuple[NoteKey, ...]:
    """Return the keys of a card that may have signed checkpoints of its log, revoked ones left out."""
    found: list[NoteKey] = []
    for key in keys:
        if key.revoke_ms is not None:
            continue
        if key.purpose is KeyPurpose.LOG:
            found.append(NoteKey(origin, SignatureKind.ED25519, VerifyKey(key.public_key)))
        elif key.purpose is KeyPurpose.LOG_COSIGN:
            found.append(NoteKey(origin, SignatureKind.MLDSA44_COSIGNATURE, MLDSAVerifyKey(key.public_key)))
    return tuple(found)


def signers_of(note: bytes, keys: tuple[NoteKey, ...]) -> tuple[NoteKey, ...]:
    """Return those of the keys that a note names as its signers; nothing is verified.

    Raises:
        MessageMalformed, MessageTooLarge: Not a note.
    """
    named = {signature.key_id for signature in parse_note(note).signatures}
    return tuple(key for key in keys if key.id in named)


def signing_pair(note: bytes, keys: tuple[NoteKey, ...]) -> tuple[NoteKey, ...]:
    """Return the pair of keys, one of each kind, that a checkpoint names as its signers; nothing is verified.

    Raises:
        MessageMalformed, MessageTooLarge: Not a note.
        ProofRejected: It names no such pair.
    """
    used = signers_of(note, keys)
    if {key.kind for key in used} != {SignatureKind.ED25519, SignatureKind.MLDSA44_COSIGNATURE}:
        raise ProofRejected("the checkpoint is not signed by both keys of its log")
    return used


def open_with(note: bytes, origin: str, keys: tuple[NoteKey, ...]) -> Checkpoint:
    """Return a checkpoint signed by a pair of the keys, whichever were in use then: one of each kind.

    Raises:
        MessageMalformed, MessageTooLarge: Not a checkpoint.
        ProofRejected: Another log's, or not signed by such a pair.
    """
    return open_checkpoint(note, origin=origin, log_keys=signing_pair(note, keys))
