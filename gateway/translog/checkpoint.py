"""Checkpoints: signed tree heads (c2sp.org/tlog-checkpoint), made and opened.

A Checkpoint exists only where the signatures that the caller demanded were found. Whether it is consistent with another
one is for verify_consistency; keeping a log from signing two histories is for whoever stores what it signed.
"""

from collections.abc import Sequence
from typing import Final, NoReturn, final

from gateway.errors import FieldInvalid, ProofRejected
from gateway.translog.note import Signed, open_note, parse_note, signature_of, write_note
from gateway.translog.note_keys import NoteKey, NoteSigner
from gateway.translog.tree_head import TreeHead, parse_tree_head

_OPENED: Final = object()


@final
class Checkpoint:
    """A tree head whose signatures hold. Only open_checkpoint and sign_checkpoint make one."""

    __slots__ = ("head", "note", "signed")

    head: TreeHead
    note: bytes
    """The bytes that were verified; what is stored and passed on."""
    signed: tuple[Signed, ...]
    """Signatures of keys that the caller named: the log's and witnesses'."""

    def __init__(self, head: TreeHead, note: bytes, signed: tuple[Signed, ...], opened: object) -> None:
        if opened is not _OPENED:
            raise TypeError("a checkpoint comes from open_checkpoint")
        object.__setattr__(self, "head", head)
        object.__setattr__(self, "note", note)
        object.__setattr__(self, "signed", signed)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.head.origin

    @property
    def size(self) -> int:
        """How many entries the tree has."""
        return self.head.size

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        return self.head.root

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a checkpoint never changes")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a checkpoint is stored as its note and opened again")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self.note == other.note and self.signed == other.signed

    def __hash__(self) -> int:
        return hash(self.note)

    def __repr__(self) -> str:
        return f"Checkpoint({self.origin}, {self.size}, {self.root.hex()})"


def sign_checkpoint(head: TreeHead, signers: Sequence[NoteSigner], now_s: int) -> Checkpoint:
    """Return a log's own checkpoint, signed by each of its keys under the log's name.

    Raises:
        FieldInvalid: There is no signer, or one has another name than the log.
        MessageMalformed: The tree head cannot be written.
    """
    if not signers or any(signer.name != head.origin for signer in signers):
        raise FieldInvalid("signers", "are keys in the name of the log, at least one")
    note = write_note(head.text, [signature_of(head.text, signer, now_s) for signer in signers])
    return open_checkpoint(note, origin=head.origin, log_keys=[signer.note_key for signer in signers])


def open_checkpoint(
    note: bytes, *, origin: str, log_keys: Sequence[NoteKey], witnesses: Sequence[NoteKey] = (), quorum: int = 0
) -> Checkpoint:
    """Return a checkpoint of this log that every log key given, and at least `quorum` of the witnesses, has signed.

    Name the Ed25519 key and the ML-DSA-44 key, and breaking one of the two is not enough to speak for the log.

    Raises:
        MessageTooLarge: More bytes than a note may have.
        MessageMalformed: It is not a checkpoint.
        ProofRejected: It is another log's, a signature is missing, or one of a key named does not verify.
        FieldInvalid: Keys and quorum make no sense: no log key, one in another name, fewer witnesses than the quorum.
    """
    if not log_keys or any(key.name != origin for key in log_keys):
        raise FieldInvalid("log_keys", "are keys in the name of the log, at least one")
    # One witness with two keys is one witness; the log cannot be its own.
    names = {key.name for key in witnesses}
    if not 0 <= quorum <= len(names) or origin in names:
        raise FieldInvalid("quorum", "is at most the number of witnesses, none of which is the log")
    unverified = parse_note(note)
    signed = open_note(unverified, [*log_keys, *witnesses])
    head = parse_tree_head(unverified.text)
    if head.origin != origin:
        raise ProofRejected("the checkpoint is another log's")
    signers = {each.key for each in signed}
    if not signers.issuperset(log_keys):
        raise ProofRejected("the log has not signed with each of its keys")
    if len({key.name for key in signers} - {origin}) < quorum:
        raise ProofRejected("too few witnesses have signed")
    return Checkpoint(head, bytes(note), signed, _OPENED)
