"""Which keys of a card sign the checkpoints of its log, and checkpoints opened with them.

What a partner shows as its newest checkpoint is judged by the keys that count now: whoever stole a key that was revoked
can still write any time into a signature. What was signed long ago, and is kept by us or follows from what is kept, is
judged by the time that it states: a key that was replaced or revoked later has signed it well.
"""

from typing import Final

from gateway.crypto.keys import VerifyKey
from gateway.crypto.mldsa import MLDSAVerifyKey
from gateway.errors import ProofRejected
from gateway.model.partner import CardKey, KeyPurpose
from gateway.translog.checkpoint import Checkpoint, open_checkpoint
from gateway.translog.note import parse_note
from gateway.translog.note_keys import NoteKey, SignatureKind

SLACK_MS: Final = 300_000
"""A checkpoint is signed with the keys of a moment ago while they are replaced; and as much as clocks may differ."""


def log_keys(origin: str, keys: tuple[CardKey, ...], *, revoked: bool = False) -> tuple[NoteKey, ...]:
    """Return the keys of a card that may have signed checkpoints of its log; revoked ones only when asked for."""
    found = (_note_key(origin, key) for key in keys if revoked or key.revoke_ms is None)
    return tuple(key for key in found if key is not None)


def _note_key(origin: str, key: CardKey) -> NoteKey | None:
    match key.purpose:
        case KeyPurpose.LOG:
            return NoteKey(origin, SignatureKind.ED25519, VerifyKey(key.public_key))
        case KeyPurpose.LOG_COSIGN:
            return NoteKey(origin, SignatureKind.MLDSA44_COSIGNATURE, MLDSAVerifyKey(key.public_key))
        case _:
            return None


def open_signed_in_time(note: bytes, origin: str, keys: tuple[CardKey, ...]) -> Checkpoint:
    """Return a checkpoint signed by a pair of keys of a card while both of them counted, by the time that it states.

    Raises:
        MessageMalformed, MessageTooLarge: Not a checkpoint.
        ProofRejected: Another log's, not signed by such a pair, or signed before or after one of them counted.
    """
    tree = open_with(note, origin, log_keys(origin, keys, revoked=True))
    check_signed_in_time(tree, keys)
    return tree


def check_signed_in_time(tree: Checkpoint, keys: tuple[CardKey, ...]) -> None:
    """Return when each key that signed a checkpoint counted at the time that the checkpoint states.

    Raises:
        ProofRejected: One did not count yet, or not any more, or no time is stated.
    """
    # Ed25519 states no time of its own; both keys have signed, so that of the other holds for it too.
    times = [each.time_s * 1000 for each in tree.signed if each.time_s is not None]
    used = {each.key for each in tree.signed}
    if not times:
        raise ProofRejected("the checkpoint does not say when it was signed")
    for key in keys:
        if _note_key(tree.origin, key) not in used:
            continue
        end_ms = min(key.end_ms, key.end_ms if key.revoke_ms is None else key.revoke_ms)
        if min(times) < key.start_ms - SLACK_MS or max(times) > end_ms + SLACK_MS:
            raise ProofRejected("the checkpoint was signed while a key of it did not count")


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
