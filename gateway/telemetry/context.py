"""Trace contexts: W3C text on calls of our own systems, 25 bytes on the link between gateways.

Whatever cannot be read is no context. A context says which trace something belongs to and nothing else: who sends a
broken or a false one harms only what is drawn of its own messages.
"""

import re
from typing import Final

CONTEXT_BYTES: Final = 25
"""Trace id, parent's span id, flags: the fields of W3C Trace Context level 1, section 3.2.2, without their text."""
SAMPLED: Final = 0x01
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?", re.ASCII)
_MAX_TEXT: Final = 128
"""55 characters in version 00; a later one may append some."""


def to_context(trace_id: int, span_id: int, *, sampled: bool = True) -> bytes:
    """Return a context as it travels on the link."""
    return trace_id.to_bytes(16, "big") + span_id.to_bytes(8, "big") + bytes([SAMPLED if sampled else 0])


def read_context(data: bytes) -> bytes:
    """Return a context that came over a link; empty when it is not one, or not sampled."""
    if len(data) != CONTEXT_BYTES or not any(data[:16]) or not any(data[16:24]) or not data[24] & SAMPLED:
        return b""
    return data[:24] + bytes([SAMPLED])


def ids_of(context: bytes) -> tuple[str, str]:
    """Return trace and span id as they are written."""
    return context[:16].hex(), context[16:24].hex()


def parse_traceparent(text: object) -> tuple[bytes, bool] | None:
    """Return the context of a `traceparent` and whether it is sampled; None when it is not one."""
    match = _TRACEPARENT.fullmatch(text) if isinstance(text, str) and len(text) <= _MAX_TEXT else None
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5] is not None):
        return None
    trace_id, span_id = bytes.fromhex(match[2]), bytes.fromhex(match[3])
    if not any(trace_id) or not any(span_id):
        return None
    sampled = bool(int(match[4], 16) & SAMPLED)
    return trace_id + span_id + bytes([SAMPLED if sampled else 0]), sampled
