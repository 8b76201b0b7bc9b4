"""What policy says of an exchange: allow, hold for officers, or deny.

Anything but Allow is not allowed: a caller matches all three and ends in assert_never.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """Who must decide so that a rule holds no longer."""

    rule_id: str
    roles: frozenset[str]
    """Officers in any of these may decide."""
    number: int
    """How many different officers, none of whom wrote or executes it."""
    decided: int
    """How many have."""


@dataclass(frozen=True, slots=True)
class Allow:
    """The exchange may go on."""

    rule_ids: tuple[str, ...]
    """The rules that allow it."""
    explanation: str
    warnings: tuple[str, ...] = ()
    """Rules that stop nothing, and that officers are told."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The exchange waits until officers have decided."""

    rule_ids: tuple[str, ...]
    """The rules that hold it."""
    explanation: str
    needs: tuple[Need, ...] = ()
    """For each rule, who must decide. Empty where the holder knows by itself."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deny:
    """The exchange does not take place."""

    rule_ids: tuple[str, ...]
    """The rules that forbid it. For our own side only: rule ids never cross a link (DESIGN 8)."""
    explanation: str
    """In words, without content of a message."""


Decision = Allow | Hold | Deny
