"""The life of one measure of a request, decided by itself: tables of the side that asks and of the side that is asked.

Two courses: most measures are answered; preservation ends in data that are held until an instant. No path leads to a
refusal without consultation (UNTOC Article 18(26)), and none to execution without the receiver's approval. What has
been handed over stays so, whatever withdrawal crossed it; a withdrawal that crosses a refusal or a hold undoes it.
"""

from enum import Enum
from typing import Final

from gateway.workflow.table import CLOCK, OFFICER, PARTNER, Event, Machine, Side, State


class MeasureState(State):
    """Where a measure stands."""

    UNDER_REVIEW = 1
    """From the first; it counts once the request is under review."""
    CLARIFICATION_NEEDED = 2
    CONSULTATION = 3
    CONSULTED = 4
    """The asking side has replied, or its time to do so is over."""
    POSTPONED = 5
    APPROVED = 6
    APPROVED_WITH_CONDITIONS = 7
    CONDITIONS_ACCEPTED = 8
    REFUSED = 9
    EXECUTING = 10
    PARTLY_ANSWERED = 11
    ANSWERED = 12
    PRESERVED = 13
    EXTENDED = 14
    RELEASED = 15
    LAPSED = 16
    WITHDRAWN = 17


class MeasureEvent(Event):
    """What may happen to a measure."""

    ASK = 1
    CLARIFY = 2
    CONSULT = 3
    REPLY = 4
    WAITED = 5
    """The time to reply to a consultation is over; the receiver tells it."""
    POSTPONE = 6
    RESUME = 7
    APPROVE = 8
    APPROVE_WITH_CONDITIONS = 9
    ACCEPT_CONDITIONS = 10
    REFUSE = 11
    EXECUTE = 12
    PART = 13
    """Part of the answer."""
    ANSWER = 14
    """All of the answer, or its last part."""
    PRESERVE = 15
    EXTEND = 16
    RELEASE = 17
    LAPSE = 18
    WITHDRAW = 19


class Course(Enum):
    """How a measure ends when it is carried out.

    `preserve` takes the second course. Every other measure takes the first, `extend_preservation` too: when it is
    approved, the preservation that it names is extended.
    """

    ANSWER = "answer"
    PRESERVE = "preserve"


_S, _E = MeasureState, MeasureEvent
_WITHDRAW: Final = {_E.WITHDRAW: _S.WITHDRAWN}
_APPROVALS: Final = {_E.APPROVE: _S.APPROVED, _E.APPROVE_WITH_CONDITIONS: _S.APPROVED_WITH_CONDITIONS}
_CONSULT: Final = {_E.CONSULT: _S.CONSULTATION}
_DECISION: Final = {
    _S.UNDER_REVIEW: {
        _E.ASK: _S.CLARIFICATION_NEEDED,
        **_APPROVALS,
        **_CONSULT,
        _E.POSTPONE: _S.POSTPONED,
        **_WITHDRAW,
    },
    # Who is not answered need not wait for ever: consultation is the way on.
    _S.CLARIFICATION_NEEDED: {_E.CLARIFY: _S.UNDER_REVIEW, **_CONSULT, **_WITHDRAW},
    _S.CONSULTATION: {_E.REPLY: _S.CONSULTED, _E.WAITED: _S.CONSULTED, **_APPROVALS, **_WITHDRAW},
    _S.CONSULTED: {**_APPROVALS, _E.REFUSE: _S.REFUSED, **_WITHDRAW},
    _S.POSTPONED: {_E.RESUME: _S.UNDER_REVIEW, **_WITHDRAW},
    _S.APPROVED: {_E.EXECUTE: _S.EXECUTING, **_WITHDRAW},
    _S.APPROVED_WITH_CONDITIONS: {_E.ACCEPT_CONDITIONS: _S.CONDITIONS_ACCEPTED, **_WITHDRAW},
    _S.CONDITIONS_ACCEPTED: {_E.EXECUTE: _S.EXECUTING, **_WITHDRAW},
}
_ANSWERING: Final = {
    _S.EXECUTING: {_E.PART: _S.PARTLY_ANSWERED, _E.ANSWER: _S.ANSWERED, **_WITHDRAW},
    _S.PARTLY_ANSWERED: {_E.PART: _S.PARTLY_ANSWERED, _E.ANSWER: _S.ANSWERED, **_WITHDRAW},
    _S.ANSWERED: {},
}
_KEPT: Final = {_E.EXTEND: _S.EXTENDED, _E.RELEASE: _S.RELEASED, _E.LAPSE: _S.LAPSED}
_KEEPING: Final = {
    _S.EXECUTING: {_E.PRESERVE: _S.PRESERVED, **_WITHDRAW},
    _S.PRESERVED: _KEPT,
    _S.EXTENDED: _KEPT,
    _S.RELEASED: {},
    _S.LAPSED: {},
}

OPEN: Final = frozenset({*_DECISION, _S.EXECUTING, _S.PARTLY_ANSWERED})
"""Without an outcome: each may be withdrawn by the side that asked."""
HELD: Final = frozenset({_S.PRESERVED, _S.EXTENDED})
"""Data are being held: each may be released."""
DISCLOSED: Final = frozenset({_S.PARTLY_ANSWERED, _S.ANSWERED})
"""Something has been handed over."""

_SENDER_ADVICE: Final = {
    _S.REFUSED: "a new request may meet the ground",
    _S.WITHDRAWN: "a new request is possible",
    _S.LAPSED: "preservation needs a new request",
}
_RECEIVER_ADVICE: Final = {
    _S.UNDER_REVIEW: "consult before refusing",
    _S.CLARIFICATION_NEEDED: "consult if no answer comes",
    _S.CONSULTATION: "refusing needs the reply, or the end of the time to reply",
    _S.WITHDRAWN: "its sender has withdrawn it",
    _S.LAPSED: "the time for which it was promised is over",
}
_THEIRS: Final = (
    _E.ASK, _E.CONSULT, _E.WAITED, _E.POSTPONE, _E.RESUME, _E.APPROVE, _E.APPROVE_WITH_CONDITIONS, _E.REFUSE,
    _E.EXECUTE, _E.PART, _E.ANSWER, _E.PRESERVE, _E.EXTEND, _E.LAPSE,
)  # fmt: skip
"""Acts of the side that was asked."""
_OURS: Final = (_E.CLARIFY, _E.REPLY, _E.ACCEPT_CONDITIONS, _E.WITHDRAW)
"""Acts of the side that asks."""
_SENDER_CAUSES: Final = {
    **dict.fromkeys(_THEIRS, PARTNER),
    **dict.fromkeys(_OURS, OFFICER),
    # The clock: what one officer sent alone, and nobody approved in time.
    _E.WITHDRAW: OFFICER | CLOCK,
    # A holder may be made to let go by its own law.
    _E.RELEASE: OFFICER | CLOCK | PARTNER,
}
_RECEIVER_CAUSES: Final = {
    **dict.fromkeys(_THEIRS, OFFICER),
    **dict.fromkeys(_OURS, PARTNER),
    _E.WAITED: CLOCK,
    _E.RESUME: OFFICER | CLOCK,
    _E.LAPSE: CLOCK,
    _E.RELEASE: OFFICER | PARTNER,
}

_LATE_FOR_SENDER: Final = {
    _S.CONSULTED: frozenset({_E.WAITED}),
    _S.WITHDRAWN: frozenset(_THEIRS) - {_E.PART, _E.ANSWER, _E.PRESERVE, _E.EXTEND, _E.LAPSE},
}
_REPLIES: Final = frozenset({_E.CLARIFY, _E.REPLY})
_LATE_FOR_RECEIVER: Final = {
    _S.CONSULTATION: frozenset({_E.CLARIFY}),
    _S.CONSULTED: _REPLIES,
    **dict.fromkeys((_S.APPROVED, _S.APPROVED_WITH_CONDITIONS, _S.EXECUTING), _REPLIES),
    _S.REFUSED: _REPLIES,
}

_ANSWER_SENDER: Final = Machine(
    noun="a measure",
    start=_S.UNDER_REVIEW,
    rows={**_DECISION, **_ANSWERING, _S.REFUSED: {}, _S.WITHDRAWN: {_E.ANSWER: _S.ANSWERED}},
    causes=_SENDER_CAUSES,
    crossed={**_LATE_FOR_SENDER, _S.WITHDRAWN: _LATE_FOR_SENDER[_S.WITHDRAWN] | {_E.PART}},
    open=OPEN,
    advice=_SENDER_ADVICE,
)
_ANSWER_RECEIVER: Final = Machine(
    noun="a measure",
    start=_S.UNDER_REVIEW,
    rows={**_DECISION, **_ANSWERING, _S.REFUSED: _WITHDRAW, _S.WITHDRAWN: {}},
    causes=_RECEIVER_CAUSES,
    crossed={
        **_LATE_FOR_RECEIVER,
        _S.PARTLY_ANSWERED: _REPLIES,
        _S.ANSWERED: _REPLIES | {_E.WITHDRAW},
    },
    open=OPEN,
    advice=_RECEIVER_ADVICE,
)
_OPEN_KEEPING: Final = OPEN - {_S.PARTLY_ANSWERED}
_PRESERVE_SENDER: Final = Machine(
    noun="a preservation",
    start=_S.UNDER_REVIEW,
    rows={
        **_DECISION,
        **_KEEPING,
        _S.REFUSED: {},
        # The holder lets go when it learns of the withdrawal.
        _S.WITHDRAWN: {_E.PRESERVE: _S.RELEASED},
        # The time may have been over before our word came.
        _S.RELEASED: {_E.LAPSE: _S.LAPSED},
    },
    causes=_SENDER_CAUSES,
    crossed={**_LATE_FOR_SENDER, _S.RELEASED: frozenset({_E.EXTEND, _E.RELEASE})},
    open=_OPEN_KEEPING,
    advice=_SENDER_ADVICE,
)
_PRESERVE_RECEIVER: Final = Machine(
    noun="a preservation",
    start=_S.UNDER_REVIEW,
    rows={
        **_DECISION,
        **_KEEPING,
        **{state: {**_KEPT, _E.WITHDRAW: _S.RELEASED} for state in HELD},
        _S.REFUSED: _WITHDRAW,
        _S.WITHDRAWN: {},
    },
    causes=_RECEIVER_CAUSES,
    crossed={
        **_LATE_FOR_RECEIVER,
        **dict.fromkeys(HELD, _REPLIES),
        **dict.fromkeys((_S.RELEASED, _S.LAPSED), _REPLIES | {_E.RELEASE, _E.WITHDRAW}),
    },
    open=_OPEN_KEEPING,
    advice=_RECEIVER_ADVICE,
)

MACHINES: Final = {
    (Course.ANSWER, Side.SENDER): _ANSWER_SENDER,
    (Course.ANSWER, Side.RECEIVER): _ANSWER_RECEIVER,
    (Course.PRESERVE, Side.SENDER): _PRESERVE_SENDER,
    (Course.PRESERVE, Side.RECEIVER): _PRESERVE_RECEIVER,
}
