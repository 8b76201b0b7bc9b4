"""The life of a case referral: the state tables of the side that asks for help and of the side that is asked.

Overdue and escalated are read off the clocks and never states. What the receiver has done stands: an outcome or a
refusal that crossed a withdrawal is not undone by it. Only the side that asked reopens; a receiver that learns more
says so in an update. The digest of what leaves, and who may release it, is `approval`'s business.
"""

from typing import Final

from gateway.workflow.table import CLOCK, OFFICER, PARTNER, SYSTEM, Event, Machine, Side, State


class ReferralState(State):
    """Where a referral stands."""

    DRAFT = 1
    SUBMITTED = 2
    APPROVED = 3
    REJECTED = 4
    SENT = 5
    UNDELIVERED = 6
    RECEIVED = 7
    ACKNOWLEDGED = 8
    ACCEPTED = 9
    DECLINED = 10
    REDIRECTED = 11
    IN_PROGRESS = 12
    INFO_NEEDED = 13
    RESOLVED = 14
    CLOSED = 15
    REOPENED = 16
    WITHDRAWN = 17


class ReferralEvent(Event):
    """What may happen to a referral."""

    SUBMIT = 1
    EDIT = 2
    RETURN = 3
    APPROVE = 4
    REJECT = 5
    SEND = 6
    FAIL = 7
    RECEIVE = 8
    ACKNOWLEDGE = 9
    ACCEPT = 10
    DECLINE = 11
    REDIRECT = 12
    START = 13
    ASK = 14
    INFORM = 15
    RESOLVE = 16
    CONFIRM = 17
    SILENCE = 18
    REOPEN = 19
    WITHDRAW = 20


_S, _E = ReferralState, ReferralEvent
_WITHDRAW: Final = {_E.WITHDRAW: _S.WITHDRAWN}
_ARRIVED: Final = {_E.RECEIVE: _S.RECEIVED, _E.ACKNOWLEDGE: _S.ACKNOWLEDGED}
_DECIDED: Final = {_E.ACCEPT: _S.ACCEPTED, _E.DECLINE: _S.DECLINED, _E.REDIRECT: _S.REDIRECTED}
_AFTER_RECEIPT: Final = (
    _S.ACKNOWLEDGED, _S.ACCEPTED, _S.DECLINED, _S.REDIRECTED, _S.IN_PROGRESS, _S.INFO_NEEDED, _S.RESOLVED, _S.CLOSED,
    _S.REOPENED,
)  # fmt: skip
_WITH_RECEIVER: Final = {
    _S.ACKNOWLEDGED: {**_DECIDED, **_WITHDRAW},
    _S.ACCEPTED: {_E.START: _S.IN_PROGRESS, **_WITHDRAW},
    _S.IN_PROGRESS: {_E.ASK: _S.INFO_NEEDED, _E.RESOLVE: _S.RESOLVED, **_WITHDRAW},
    # An outcome that comes about without the answer is an outcome.
    _S.INFO_NEEDED: {_E.INFORM: _S.IN_PROGRESS, _E.RESOLVE: _S.RESOLVED, **_WITHDRAW},
    _S.RESOLVED: {_E.CONFIRM: _S.CLOSED, _E.SILENCE: _S.CLOSED, _E.REOPEN: _S.REOPENED},
    _S.CLOSED: {_E.REOPEN: _S.REOPENED},
    _S.REOPENED: {_E.START: _S.IN_PROGRESS, _E.DECLINE: _S.DECLINED, **_WITHDRAW},
    _S.DECLINED: {},
    _S.REDIRECTED: {},
}
_OPEN: Final = frozenset({
    _S.DRAFT, _S.SUBMITTED, _S.APPROVED, _S.SENT, _S.UNDELIVERED, _S.RECEIVED, _S.ACKNOWLEDGED, _S.ACCEPTED,
    _S.IN_PROGRESS, _S.INFO_NEEDED, _S.REOPENED,
})  # fmt: skip
_ADVICE: Final = {
    _S.REJECTED: "hand in a new draft",
    _S.UNDELIVERED: "call the partner's desk, and hand in a new draft",
    _S.DECLINED: "read the reason, and hand in a new draft if it no longer holds",
    _S.REDIRECTED: "refer it to the authority named",
    _S.WITHDRAWN: "hand in a new draft",
}

SENDER: Final = Machine(
    noun="a referral",
    start=_S.DRAFT,
    rows={
        _S.DRAFT: {_E.EDIT: _S.DRAFT, _E.SUBMIT: _S.SUBMITTED, **_WITHDRAW},
        _S.SUBMITTED: {
            _E.APPROVE: _S.APPROVED,
            _E.REJECT: _S.REJECTED,
            _E.RETURN: _S.DRAFT,
            _E.EDIT: _S.DRAFT,
            **_WITHDRAW,
        },
        # What is edited is not what was approved.
        _S.APPROVED: {_E.SEND: _S.SENT, _E.EDIT: _S.DRAFT, **_WITHDRAW},
        _S.REJECTED: {},
        # An officer's word may overtake the receipt, and proves it.
        _S.SENT: {**_ARRIVED, _E.FAIL: _S.UNDELIVERED, **_WITHDRAW},
        _S.UNDELIVERED: {**_ARRIVED, **_WITHDRAW},
        _S.RECEIVED: {_E.ACKNOWLEDGE: _S.ACKNOWLEDGED, **_WITHDRAW},
        **_WITH_RECEIVER,
        # What the receiver did before it knew of the withdrawal. A person who was found is found.
        _S.WITHDRAWN: {_E.DECLINE: _S.DECLINED, _E.REDIRECT: _S.REDIRECTED, _E.RESOLVE: _S.RESOLVED},
    },
    causes={
        **dict.fromkeys((_E.SUBMIT, _E.EDIT, _E.RETURN, _E.APPROVE, _E.REJECT), OFFICER),
        **dict.fromkeys((_E.INFORM, _E.CONFIRM, _E.REOPEN), OFFICER),
        # The clock: what one officer sent alone, and nobody approved in time.
        _E.WITHDRAW: OFFICER | CLOCK,
        _E.SEND: SYSTEM,
        _E.FAIL: SYSTEM | CLOCK,
        **dict.fromkeys((_E.RECEIVE, _E.ACKNOWLEDGE, _E.ACCEPT, _E.DECLINE, _E.REDIRECT), PARTNER),
        **dict.fromkeys((_E.START, _E.ASK, _E.RESOLVE), PARTNER),
        _E.SILENCE: CLOCK,
    },
    crossed={
        **dict.fromkeys(_AFTER_RECEIPT, frozenset({_E.RECEIVE})),
        _S.WITHDRAWN: frozenset({_E.RECEIVE, _E.ACKNOWLEDGE, _E.ACCEPT, _E.START, _E.ASK}),
    },
    open=_OPEN,
    advice=_ADVICE,
)

RECEIVER: Final = Machine(
    noun="a referral",
    start=_S.RECEIVED,
    rows={
        _S.RECEIVED: {_E.ACKNOWLEDGE: _S.ACKNOWLEDGED, **_WITHDRAW},
        **_WITH_RECEIVER,
        _S.WITHDRAWN: {},
    },
    causes={
        **dict.fromkeys((_E.ACKNOWLEDGE, _E.ACCEPT, _E.DECLINE, _E.REDIRECT), OFFICER),
        **dict.fromkeys((_E.START, _E.ASK, _E.RESOLVE), OFFICER),
        **dict.fromkeys((_E.INFORM, _E.CONFIRM, _E.REOPEN, _E.WITHDRAW), PARTNER),
        _E.SILENCE: CLOCK,
    },
    crossed={
        _S.DECLINED: frozenset({_E.WITHDRAW}),
        _S.REDIRECTED: frozenset({_E.WITHDRAW}),
        _S.RESOLVED: frozenset({_E.INFORM, _E.WITHDRAW}),
        _S.CLOSED: frozenset({_E.INFORM, _E.WITHDRAW, _E.CONFIRM}),
    },
    open=_OPEN & {_S.RECEIVED, *_WITH_RECEIVER},
    advice={
        _S.CLOSED: "tell its sender what is new in an update",
        _S.DECLINED: "its sender may refer it anew",
        _S.REDIRECTED: "its sender may refer it to the authority named",
        _S.WITHDRAWN: "its sender has withdrawn it",
    },
)

MACHINES: Final = {Side.SENDER: SENDER, Side.RECEIVER: RECEIVER}
