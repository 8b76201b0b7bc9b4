"""The trace of the call that is being handled: set only when the call is sampled, empty at all other times."""

from contextvars import ContextVar
from typing import Final

TRACE: Final[ContextVar[bytes]] = ContextVar("concord_trace", default=b"")
"""Trace context of the running call in its form on the link (gateway.telemetry.context)."""


def current_trace() -> bytes:
    """Return the context that what this call hands in belongs to; empty when the call is not sampled."""
    return TRACE.get()
