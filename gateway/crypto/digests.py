"""What stands for an envelope, and what the signature over a batch of them is made over."""

import hashlib

from gateway.crypto.framing import ENVELOPE, ENVELOPE_BATCH, number, pae
from gateway.ids import PartnerId


def envelope_digest(header: bytes, ciphertext: bytes, records: int, records_root: bytes) -> bytes:
    """Return what stands for an envelope in signatures, receipts and logs."""
    # The number of records is part of it: the same root can be claimed for other numbers.
    return hashlib.sha256(
        pae(ENVELOPE, header, hashlib.sha256(ciphertext).digest(), number(records), records_root)
    ).digest()


def batch_frame(sender: PartnerId, batch_root: bytes, size: int) -> bytes:
    """Return what the signature of a batch is over."""
    return pae(ENVELOPE_BATCH, sender.code.encode("ascii"), batch_root, number(size))
