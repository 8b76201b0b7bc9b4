"""Proof files (C2SP tlog-proof): that a leaf is in a log, checked with no gateway and no network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import LogProofInvalid
from gateway.translog.checkpoint import VerifiedTree, open_checkpoint
from gateway.translog.merkle import HASH_BYTES, MAX_PROOF, MAX_SIZE, leaf_hash, verify_inclusion
from gateway.translog.note import MAX_NOTE_BYTES, NoteKey, decode_base64, parse_number

_HEAD: Final = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES: Final = MAX_NOTE_BYTES + 128 * 1024


@dataclass(frozen=True, slots=True)
class LogProof:
    """A proof file as it was read, not verified."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""
    """Not covered by anything: a hint, never a fact."""


@dataclass(frozen=True, slots=True)
class Proved:
    """A leaf that is in a log."""

    index: int
    tree: VerifiedTree


def write_proof(proof: LogProof) -> bytes:
    """Return the proof as a file."""
    lines = [_HEAD]
    if proof.extra:
        lines.append(f"extra {base64.b64encode(proof.extra).decode()}")
    lines.append(f"index {proof.index}")
    lines += [base64.b64encode(item).decode() for item in proof.hashes]
    return "\n".join([*lines, "", ""]).encode() + proof.checkpoint


def parse_proof(data: bytes) -> LogProof:
    """Return a proof, not verified.

    Raises:
        LogProofInvalid: Not a proof file.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise LogProofInvalid("the proof is too large")
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise LogProofInvalid("not a proof") from None
    if not blank or lines.pop(0) != _HEAD or not lines:
        raise LogProofInvalid("not a proof")
    extra = b""
    if lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise LogProofInvalid("the proof has no index")
    index = parse_number(lines.pop(0).removeprefix("index "), MAX_SIZE)
    if len(lines) > MAX_PROOF:
        raise LogProofInvalid("the proof is too long")
    hashes = tuple(decode_base64(line) for line in lines)
    if any(len(item) != HASH_BYTES for item in hashes):
        raise LogProofInvalid("a hash has the wrong length")
    return LogProof(index, hashes, checkpoint, extra)


def verify_proof(proof: LogProof, leaf: bytes, keys: Sequence[NoteKey], *, origin: str | None = None) -> Proved:
    """Return where a leaf is in which signed tree.

    Raises:
        LogProofInvalid: It is not there, or the checkpoint is not one of a log with these keys.
    """
    tree = open_checkpoint(proof.checkpoint, keys, origin=origin)
    verify_inclusion(proof.index, tree.size, leaf_hash(leaf), proof.hashes, tree.root)
    return Proved(proof.index, tree)
