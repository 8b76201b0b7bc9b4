"""Values to columns and back: Merkle paths, receipts, checksums.

A database finds damage in its own structure, not in what it was given to keep; so rows that travel or prove carry a
checksum, and a row that does not match is never handed out.
"""

import struct
from collections.abc import Iterable
from typing import Any, Final
from zlib import crc32

from gateway.errors import StoreCorrupt
from gateway.ids import PartnerId
from gateway.model.envelope import MerklePath, ReceiptProof

_PATH: Final = struct.Struct(">QQ")


def pack_path(path: MerklePath) -> bytes:
    """Return a Merkle path as one blob."""
    return _PATH.pack(path.index, path.size) + path.hashes


def unpack_path(blob: bytes) -> MerklePath:
    """Return the Merkle path.

    Raises:
        StoreCorrupt: Too short.
    """
    if len(blob) < _PATH.size:
        raise StoreCorrupt("a stored Merkle path is damaged")
    index, size = _PATH.unpack_from(blob)
    return MerklePath(index, size, blob[_PATH.size :])


ProofColumns = tuple[str, bytes, bytes, bytes, bytes]
"""issuer, signing_key_id, receipt, path, signature"""


def pack_proof(proof: ReceiptProof) -> ProofColumns:
    """Return a receipt's columns."""
    return proof.issuer.code, proof.signing_key_id, proof.receipt, pack_path(proof.path), proof.signature


def unpack_proof(columns: Iterable[Any]) -> ReceiptProof:
    """Return the receipt."""
    issuer, signing_key_id, receipt, path, signature = columns
    return ReceiptProof(
        issuer=PartnerId(issuer),
        signing_key_id=signing_key_id,
        receipt=receipt,
        path=unpack_path(path),
        signature=signature,
    )


def digest_head(digest: bytes) -> int:
    """Return the first eight bytes of a digest as a number, under which deliveries are found."""
    return int.from_bytes(digest[:8], "big", signed=True)


def checksum(*blobs: bytes) -> int:
    """Return a checksum over blobs that are stored in one row. Finds damage, not malice: signatures do that."""
    return crc32(b"".join(blobs))


def check_row(what: str, stored: int, *blobs: bytes) -> None:
    """Compare a row with its checksum.

    Raises:
        StoreCorrupt: They differ.
    """
    if crc32(b"".join(blobs)) != stored:
        raise StoreCorrupt(f"a stored {what} does not match its checksum")
