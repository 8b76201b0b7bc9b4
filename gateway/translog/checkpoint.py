"""Checkpoints (C2SP tlog-checkpoint): a log's name, size and root, as a signed note.

`StatedTree` is what anybody may write; `VerifiedTree` is made by `open_checkpoint` only.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.crypto.cosign import CosignKey
from gateway.crypto.keys import SignKey
from gateway.errors import LogProofInvalid
from gateway.translog.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from gateway.translog.note import (
    NoteKey,
    check_name,
    decode_base64,
    parse_note,
    parse_number,
    sign_ed25519,
    sign_mldsa44,
    verified_by,
    write_note,
)

_MAX_EXTENSIONS: Final = 16


@dataclass(frozen=True, slots=True)
class StatedTree:
    """What a checkpoint states, by whomever."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class VerifiedTree:
    """A tree that a log has signed for."""

    origin: str
    size: int
    root: bytes
    signers: tuple[str, ...]
    """vkeys' names of those asked for that signed, one per signature kind."""


def parse_body(text: str) -> StatedTree:
    """Return what the text of a checkpoint states.

    Raises:
        LogProofInvalid: Not a checkpoint.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or len(lines) > 3 + _MAX_EXTENSIONS or "" in lines:
        raise LogProofInvalid("not a checkpoint")
    origin, size, root = lines[0], parse_number(lines[1], MAX_SIZE), decode_base64(lines[2])
    check_name(origin)
    if len(root) != HASH_BYTES:
        raise LogProofInvalid("the root has the wrong length")
    if size == 0 and root != EMPTY_ROOT:
        raise LogProofInvalid("the empty tree has another root")
    return StatedTree(origin, size, root)


def write_body(tree: StatedTree) -> str:
    """Return the text of a checkpoint."""
    return f"{tree.origin}\n{tree.size}\n{base64.b64encode(tree.root).decode()}\n"


def sign_checkpoint(tree: StatedTree, key: SignKey, cosign_key: CosignKey, time_ms: int) -> bytes:
    """Return the signed note: Ed25519 for verifiers of today, ML-DSA-44 for those of the day after."""
    text = write_body(tree)
    signatures = (
        sign_ed25519(tree.origin, key, text),
        sign_mldsa44(tree.origin, cosign_key, text, time_ms // 1000),
    )
    return write_note(text, signatures)


def open_checkpoint(data: bytes, keys: Sequence[NoteKey], *, origin: str | None = None) -> VerifiedTree:
    """Return the tree of a checkpoint that at least one of the keys signed.

    Args:
        origin: The log that it must be of; None takes the log whose name a key has.

    Raises:
        LogProofInvalid: Not a checkpoint, of another log, signed by none of the keys, or wrongly by one.
    """
    note = parse_note(data)
    tree = parse_body(note.text)
    if origin is not None and tree.origin != origin:
        raise LogProofInvalid("the checkpoint is of another log")
    signers = verified_by(note, keys)
    # The log itself must have signed: a witness alone states only that it saw the tree.
    if not any(key.name == tree.origin for key in signers):
        raise LogProofInvalid("the checkpoint is not signed by its log")
    return VerifiedTree(tree.origin, tree.size, tree.root, tuple(key.name for key in signers))
