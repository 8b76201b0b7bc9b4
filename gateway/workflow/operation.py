"""The life of an operation shared by several partners, and of each partner's membership in it.

The owner's officers release who joins, and what a member owes is settled before it has left. A state may leave all the
same: from the moment it says so it is sent nothing more, and the owner's silence does not hold it. Every end of a
membership is an end; who comes back does so under a new membership.
"""

from collections.abc import Mapping
from typing import Final

from gateway.errors import StateConflict
from gateway.ids import PartnerId
from gateway.workflow.table import CLOCK, OFFICER, PARTNER, Cause, Event, Machine, Side, State

LEAVING_MS: Final = 24 * 3_600_000
"""After this long the owner's silence releases a member that is leaving."""


class OperationState(State):
    """Where an operation stands."""

    DRAFT = 1
    OPEN = 2
    SUSPENDED = 3
    CLOSED = 4
    WITHDRAWN = 5


class OperationEvent(Event):
    """What may happen to an operation."""

    OPEN = 1
    SUSPEND = 2
    RESUME = 3
    CLOSE = 4
    WITHDRAW = 5


class MemberState(State):
    """Where a membership stands."""

    NONE = 1
    INVITED = 2
    APPLIED = 3
    JOINED = 4
    DECLINED = 5
    """The partner did not want to join."""
    REFUSED = 6
    """The owner did not want it to join."""
    LEAVING = 7
    LEFT = 8
    REMOVED = 9


class MemberEvent(Event):
    """What may happen to a membership."""

    INVITE = 1
    APPLY = 2
    ADMIT = 3
    REFUSE = 4
    JOIN = 5
    DECLINE = 6
    LEAVE = 7
    RELEASE = 8
    SILENCE = 9
    REMOVE = 10


_O, _OE = OperationState, OperationEvent
_M, _ME = MemberState, MemberEvent

_SHARED: Final = {
    _O.OPEN: {_OE.SUSPEND: _O.SUSPENDED, _OE.CLOSE: _O.CLOSED},
    # People may have to be brought to safety before anything is resumed: closing is possible at once.
    _O.SUSPENDED: {_OE.RESUME: _O.OPEN, _OE.CLOSE: _O.CLOSED},
    _O.CLOSED: {},
}
OWNER: Final = Machine(
    noun="an operation",
    start=_O.DRAFT,
    rows={_O.DRAFT: {_OE.OPEN: _O.OPEN, _OE.WITHDRAW: _O.WITHDRAWN}, **_SHARED, _O.WITHDRAWN: {}},
    causes=dict.fromkeys(_OE, OFFICER),
    open=frozenset({_O.DRAFT, _O.OPEN, _O.SUSPENDED}),
    advice={_O.CLOSED: "open a new operation and link this one", _O.WITHDRAWN: "open a new operation"},
)
FOLLOWER: Final = Machine(
    noun="an operation",
    start=_O.OPEN,
    rows=_SHARED,
    causes=dict.fromkeys((_OE.SUSPEND, _OE.RESUME, _OE.CLOSE), PARTNER),
    open=frozenset({_O.OPEN, _O.SUSPENDED}),
    advice={_O.OPEN: "a member may leave", _O.SUSPENDED: "a member may leave"},
)

_REMOVE: Final = {_ME.REMOVE: _M.REMOVED}
_MEMBERSHIP: Final = {
    _M.NONE: {_ME.INVITE: _M.INVITED, _ME.APPLY: _M.APPLIED},
    _M.INVITED: {_ME.JOIN: _M.JOINED, _ME.DECLINE: _M.DECLINED, **_REMOVE},
    _M.APPLIED: {_ME.ADMIT: _M.JOINED, _ME.REFUSE: _M.REFUSED, _ME.DECLINE: _M.DECLINED},
    _M.JOINED: {_ME.LEAVE: _M.LEAVING, **_REMOVE},
    _M.LEAVING: {_ME.RELEASE: _M.LEFT, _ME.SILENCE: _M.LEFT, **_REMOVE},
    _M.DECLINED: {},
    _M.REFUSED: {},
    _M.LEFT: {},
    _M.REMOVED: {},
}
_OWNERS: Final = (_ME.INVITE, _ME.ADMIT, _ME.REFUSE, _ME.RELEASE, _ME.REMOVE)
_MEMBERS: Final = (_ME.APPLY, _ME.JOIN, _ME.DECLINE, _ME.LEAVE)
_MEMBERSHIP_OPEN: Final = frozenset({_M.NONE, _M.INVITED, _M.APPLIED, _M.JOINED, _M.LEAVING})

MEMBER_AT_OWNER: Final = Machine(
    noun="a membership",
    start=_M.NONE,
    rows={
        **_MEMBERSHIP,
        # The partner took its application back before it knew of our answer.
        _M.JOINED: {**_MEMBERSHIP[_M.JOINED], _ME.DECLINE: _M.DECLINED},
        _M.REFUSED: {_ME.DECLINE: _M.DECLINED},
    },
    causes={**dict.fromkeys(_OWNERS, OFFICER), **dict.fromkeys(_MEMBERS, PARTNER), _ME.SILENCE: CLOCK},
    crossed={
        _M.INVITED: frozenset({_ME.APPLY}),
        _M.REMOVED: frozenset(_MEMBERS),
    },
    open=_MEMBERSHIP_OPEN,
    advice=dict.fromkeys((_M.DECLINED, _M.REFUSED, _M.LEFT, _M.REMOVED), "invite the partner anew"),
)
MEMBER_AT_MEMBER: Final = Machine(
    noun="a membership",
    start=_M.NONE,
    rows={
        **_MEMBERSHIP,
        # An invitation that crosses an application takes its place: the owner has released it, the partner joins.
        _M.APPLIED: {**_MEMBERSHIP[_M.APPLIED], _ME.INVITE: _M.INVITED},
        # The owner removed it before it knew.
        _M.DECLINED: _REMOVE,
        _M.LEFT: _REMOVE,
    },
    causes={**dict.fromkeys(_OWNERS, PARTNER), **dict.fromkeys(_MEMBERS, OFFICER), _ME.SILENCE: CLOCK},
    crossed={
        _M.DECLINED: frozenset({_ME.INVITE, _ME.ADMIT, _ME.REFUSE}),
        _M.LEFT: frozenset({_ME.RELEASE}),
    },
    open=_MEMBERSHIP_OPEN,
    advice=dict.fromkeys((_M.DECLINED, _M.REFUSED, _M.LEFT, _M.REMOVED), "apply anew"),
)
MEMBERS: Final = {Side.SENDER: MEMBER_AT_OWNER, Side.RECEIVER: MEMBER_AT_MEMBER}
"""The owner is the sender."""

_ENTERING: Final = frozenset({_ME.INVITE, _ME.APPLY, _ME.ADMIT, _ME.JOIN})


def step_member(
    side: Side, operation: OperationState, member: MemberState, event: MemberEvent, cause: Cause
) -> MemberState:
    """Return the next state of a membership in an operation.

    What the partner or the clock did is judged by the membership alone: it may have crossed what became of the
    operation.

    Raises:
        StateConflict: Not possible now, or not for whoever caused it; the text says what is.
    """
    if cause is Cause.OFFICER and operation is not _O.OPEN:
        if event in _ENTERING:
            raise StateConflict(
                f"cannot {event.word} while the operation is {operation.word}: possible once it is open"
            )
        if operation is not _O.SUSPENDED:
            raise StateConflict(f"cannot {event.word} when the operation is {operation.word}: possible is nothing")
    return MEMBERS[side].step(member, event, cause)


def recipients(operation: OperationState, members: Mapping[PartnerId, MemberState]) -> frozenset[PartnerId]:
    """Return the members to whom messages of the operation go now.

    A suspended operation still tells its members what happens; who has said that it leaves is told nothing more.
    """
    if operation not in {_O.OPEN, _O.SUSPENDED}:
        return frozenset()
    return frozenset(partner for partner, state in members.items() if state is _M.JOINED)
