"""What policy says of an exchange: allow, hold for officers, or deny.

Anything but Allow is not allowed: a caller matches all three and ends in assert_never.
"""

from dataclasses import dataclass
from typing import Final

RELEASE: Final = "agreement/release-officers"
"""The rule that an agreement's wish for officers goes by: approving as such answers it."""
DECIDING_ROLES: Final = frozenset({"approver", "duty_lead"})


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


@dataclass(frozen=True, slots=True)
class Answer:
    """One officer's approval."""

    officer: str
    roles: frozenset[str]
    rules: frozenset[str]
    """What the officer decided on."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What officers have decided on a release; the workflow has seen to it that none of them wrote it."""

    answers: tuple[Answer, ...]
    alone: bool = False
    """One officer sends it by the fast lane or behind broken glass: stands for the release, and for no other rule."""


def answered(decision: Decision, decided: Decided) -> Decision:
    """Return a decision after officers have answered what it holds for. What is denied stays denied."""
    # A hold that names nobody who could end it is not ended by anybody.
    if not isinstance(decision, Hold) or not decision.needs:
        return decision
    left: list[Need] = []
    for need in decision.needs:
        if decided.alone and need.rule_id == RELEASE:
            continue
        officers = {
            answer.officer for answer in decided.answers if need.rule_id in answer.rules and answer.roles & need.roles
        }
        if len(officers) < need.number:
            left.append(Need(need.rule_id, need.roles, need.number, len(officers)))
    if not left:
        return Allow(decision.rule_ids, decision.explanation, decision.warnings)
    return Hold(tuple(need.rule_id for need in left), decision.explanation, tuple(left), decision.warnings)
