"""Reasons that may label a series."""

from typing import Final

from gateway import errors

OTHER: Final = "OTHER"
"""Stands for every reason that is not of our catalogue: a partner's words must not make series without end."""


_KNOWN: Final = frozenset(
    {"", *(kind.reason for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "reason"))}
)


def known_reason(reason: str) -> str:
    """Return a reason that may label a series."""
    return reason if reason in _KNOWN else OTHER
