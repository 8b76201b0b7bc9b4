"""A thread shared by several partners. Field meanings and sizes as in operation.proto."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.ids import PartnerId
from gateway.model.person import Place
from gateway.model.reference import Attachment, ContactPoint, MessageReference
from gateway.model.referral import AgeBand
from gateway.model.text import LocalizedText


class OperationType(IntEnum):
    """What is done together."""

    EVACUATION = 1
    RESCUE = 2
    JOINT_ACTION = 3
    RELIEF = 4


class MemberRole(IntEnum):
    """What a partner does in an operation."""

    OWNER = 1
    """Releases who joins; exactly one."""
    COMMAND = 2
    CONTRIBUTOR = 3
    TRANSIT = 4
    OBSERVER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A partner in an operation."""

    partner: PartnerId
    roles: tuple[MemberRole, ...]
    contact: ContactPoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationOpening:
    """What the operation is for and who takes part."""

    operation_type: OperationType
    name: str
    """Code name; no place or person is guessed from it."""
    objective: tuple[LocalizedText, ...]
    area: Place
    members: tuple[Member, ...]
    """Each partner once."""
    victim_plan: tuple[LocalizedText, ...] = ()
    """What happens with people found."""


class MembershipChange(IntEnum):
    """How membership changes. The owner invites, admits, refuses, releases and removes; the partner does the rest."""

    INVITE = 1
    APPLY = 2
    ADMIT = 3
    REFUSE = 4
    JOIN = 5
    DECLINE = 6
    LEAVE = 7
    RELEASE = 8
    REMOVE = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A partner joins or leaves."""

    partner: PartnerId
    change: MembershipChange
    roles: tuple[MemberRole, ...] = ()
    """Needed to invite, apply, admit and join."""
    reason: tuple[LocalizedText, ...] = ()
    """Needed to refuse, decline, leave and remove."""


class CountState(IntEnum):
    """Where people are."""

    EXPECTED = 1
    REGISTERED = 2
    ASSEMBLED = 3
    DEPARTED = 4
    IN_TRANSIT = 5
    ARRIVED = 6
    MISSING = 7
    INJURED = 8
    DECEASED = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleCount:
    """How many people, where, of what age and nationality."""

    state: CountState
    band: AgeBand
    nationality: str = ""
    """ICAO code. Empty: all."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationEntry:
    """What is so at an instant."""

    time_ms: int
    words: tuple[LocalizedText, ...]
    place: Place | None = None
    counts: tuple[PeopleCount, ...] = ()
    """Each state, band and nationality once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedMessages:
    """Alerts, referrals and requests that belong to the operation."""

    messages: tuple[MessageReference, ...]
    words: str = ""


class OperationStep(IntEnum):
    """What happens to an operation as a whole."""

    SUSPEND = 1
    RESUME = 2
    WITHDRAW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTurn:
    """The owner holds the operation, resumes it or takes it back."""

    step: OperationStep
    reason: tuple[LocalizedText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationClosing:
    """How it ended."""

    outcome: tuple[LocalizedText, ...]
    counts: tuple[PeopleCount, ...] = ()


OperationEntry = OperationOpening | Membership | SituationEntry | LinkedMessages | OperationClosing | OperationTurn


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One entry of an operation's thread. What opens the thread is its opening."""

    attachments: tuple[Attachment, ...] = ()
    entry: OperationEntry


ENTRY_NAMES: Final[dict[type, str]] = {
    OperationOpening: "opening",
    Membership: "membership",
    SituationEntry: "situation",
    LinkedMessages: "links",
    OperationClosing: "closing",
    OperationTurn: "turn",
}
"""Under what name the entry stands in operation.proto."""
