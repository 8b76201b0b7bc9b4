"""What policy says of an exchange: allow, hold for officers, or deny.

Anything but Allow is not allowed: a caller matches all three and ends in assert_never.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allow:
    """The exchange may go on."""

    rule_ids: tuple[str, ...]
    """The rules that allow it."""
    explanation: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The exchange waits until officers have decided."""

    rule_ids: tuple[str, ...]
    """The rules that hold it."""
    explanation: str


@dataclass(frozen=True, slots=True)
class Deny:
    """The exchange does not take place."""

    rule_ids: tuple[str, ...]
    """The rules that forbid it. For our own side only: rule ids never cross a link (DESIGN 8)."""
    explanation: str
    """In words, without content of a message."""


Decision = Allow | Hold | Deny
