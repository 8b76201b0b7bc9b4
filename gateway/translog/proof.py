"""Proofs that stand alone (c2sp.org/tlog-proof@v1): an index, the hashes beside the way up, and a signed checkpoint.

With the entry's bytes and the log's keys such a file can be checked by anybody, with no network and no gateway.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import MessageMalformed, MessageTooLarge
from gateway.translog.checkpoint import Checkpoint, open_checkpoint
from gateway.translog.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from gateway.translog.note import MAX_NOTE_BYTES, parse_note
from gateway.translog.note_keys import NoteKey
from gateway.translog.tree_head import decode_base64, parse_decimal, parse_tree_head

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 63
"""A tree of 2**63 leaves has paths no longer."""
MAX_EXTRA_BYTES: Final = 4096
MAX_PROOF_BYTES: Final = MAX_NOTE_BYTES + 16384


@dataclass(frozen=True, slots=True)
class UnverifiedProof:
    """A proof that is well formed."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The note as it stands in the file."""
    extra: bytes = b""
    """Whatever its maker put there. Nothing signs it."""


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry that a checkpoint vouches for. Only verify_proof returns one."""

    index: int
    leaf: bytes
    checkpoint: Checkpoint


def write_proof(index: int, hashes: Sequence[bytes], checkpoint: bytes, extra: bytes = b"") -> bytes:
    """Return the file.

    Raises:
        MessageTooLarge: It has more bytes than a proof may have.
        MessageMalformed: The parts do not make a proof that reads as it was written.
    """
    lines = [HEADER]
    if extra:
        lines.append(f"extra {base64.b64encode(extra).decode('ascii')}")
    lines.append(f"index {index}")
    lines += (base64.b64encode(value).decode("ascii") for value in hashes)
    data = ("\n".join(lines) + "\n\n").encode("ascii") + checkpoint
    if parse_proof(data) != UnverifiedProof(index, tuple(hashes), checkpoint, extra):
        raise MessageMalformed("the parts do not make a proof")
    return data


def parse_proof(data: bytes) -> UnverifiedProof:
    """Return what a proof file claims.

    Raises:
        MessageTooLarge: More bytes than a proof may have.
        MessageMalformed: It is not a proof file.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise MessageTooLarge("a log proof", len(data), MAX_PROOF_BYTES)
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        lines = []
    if not blank or lines[:1] != [HEADER]:
        raise MessageMalformed(f"a log proof begins with {HEADER} and holds an empty line before its checkpoint")
    del lines[0]
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), MAX_EXTRA_BYTES)
        if not extra:
            raise MessageMalformed("a log proof with an empty extra line")
    if not lines or not lines[0].startswith("index "):
        raise MessageMalformed("a log proof names the index of its entry")
    index = parse_decimal(lines.pop(0).removeprefix("index "))
    if len(lines) > MAX_HASHES:
        raise MessageMalformed(f"a log proof has at most {MAX_HASHES} hashes")
    hashes = tuple(decode_base64(line, HASH_BYTES) for line in lines)
    if any(len(value) != HASH_BYTES for value in hashes):
        raise MessageMalformed(f"the hashes of a log proof have {HASH_BYTES} bytes")
    # Malformed now rather than when somebody verifies it.
    if index >= parse_tree_head(parse_note(checkpoint).text).size:
        raise MessageMalformed("a log proof for an entry that its checkpoint does not cover")
    return UnverifiedProof(index, hashes, checkpoint, extra)


def verify_proof(
    proof: UnverifiedProof,
    leaf: bytes,
    *,
    origin: str,
    log_keys: Sequence[NoteKey],
    witnesses: Sequence[NoteKey] = (),
    quorum: int = 0,
) -> ProvenEntry:
    """Return the entry whose bytes are `leaf`, if the log's checkpoint vouches for it.

    Raises:
        ProofRejected: The signatures that open_checkpoint asks for are not there, or the entry is not in the tree.
        FieldInvalid, MessageMalformed, MessageTooLarge: As open_checkpoint.
    """
    checkpoint = open_checkpoint(proof.checkpoint, origin=origin, log_keys=log_keys, witnesses=witnesses, quorum=quorum)
    verify_inclusion(leaf_hash(leaf), proof.index, checkpoint.size, checkpoint.root, proof.hashes)
    return ProvenEntry(proof.index, bytes(leaf), checkpoint)
