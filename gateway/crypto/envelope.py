"""Envelopes: sealed in sealing.py, opened in opening.py, with what a suite decides in suite1.py.

This is the door that the rest of the gateway uses. Reference: docs/reference/envelope.md.
"""

from gateway.crypto.digests import batch_frame, envelope_digest
from gateway.crypto.opening import EnvelopeOpener, OpenedEnvelope, check_times
from gateway.crypto.sealing import SealedBatch, SealedEnvelope, SealedRecord, SealingItem, seal_batch
from gateway.crypto.suite1 import MAX_BODY_BYTES

__all__ = [
    "MAX_BODY_BYTES",
    "EnvelopeOpener",
    "OpenedEnvelope",
    "SealedBatch",
    "SealedEnvelope",
    "SealedRecord",
    "SealingItem",
    "batch_frame",
    "check_times",
    "envelope_digest",
    "seal_batch",
]
