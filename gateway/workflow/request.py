"""The life of a mutual-assistance request: how far it has come as a whole, and what follows from its measures.

The receiver decides on each measure by itself (`measure`), so the request's own state is never stored: it is read off
its stage and its measures. Closing takes the use report, and nothing may still be held or open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import FieldInvalid, NotFound, StateConflict
from gateway.workflow import measure
from gateway.workflow.measure import Course, MeasureEvent, MeasureState
from gateway.workflow.table import CLOCK, OFFICER, PARTNER, SYSTEM, Cause, Event, Machine, Side, State

MAX_MEASURES: Final = 32
"""assistance.proto: measures of a request."""


class Stage(State):
    """How far a request has come as a whole."""

    DRAFT = 1
    SUBMITTED = 2
    SENDER_APPROVED = 3
    SENDER_REJECTED = 4
    TRANSMITTED = 5
    UNDELIVERED = 6
    RECEIVED = 7
    ACKNOWLEDGED = 8
    UNDER_REVIEW = 9
    CLOSED = 10


class StageEvent(Event):
    """What may happen to a request as a whole. Withdrawal is an event of its measures."""

    EDIT = 1
    SUBMIT = 2
    RETURN = 3
    APPROVE = 4
    REJECT = 5
    SEND = 6
    FAIL = 7
    RECEIVE = 8
    ACKNOWLEDGE = 9
    EXAMINE = 10
    CLOSE = 11
    """With the use report."""


_T, _E = Stage, StageEvent
_M = MeasureState
_ARRIVED: Final = {_E.RECEIVE: _T.RECEIVED, _E.ACKNOWLEDGE: _T.ACKNOWLEDGED}
_WITH_RECEIVER: Final = {
    _T.RECEIVED: {_E.ACKNOWLEDGE: _T.ACKNOWLEDGED},
    _T.ACKNOWLEDGED: {_E.EXAMINE: _T.UNDER_REVIEW},
    _T.UNDER_REVIEW: {_E.CLOSE: _T.CLOSED},
    _T.CLOSED: {},
}
SENDER: Final = Machine(
    noun="a request",
    start=_T.DRAFT,
    rows={
        _T.DRAFT: {_E.EDIT: _T.DRAFT, _E.SUBMIT: _T.SUBMITTED},
        _T.SUBMITTED: {
            _E.APPROVE: _T.SENDER_APPROVED,
            _E.REJECT: _T.SENDER_REJECTED,
            _E.RETURN: _T.DRAFT,
            _E.EDIT: _T.DRAFT,
        },
        # What is edited is not what was approved.
        _T.SENDER_APPROVED: {_E.SEND: _T.TRANSMITTED, _E.EDIT: _T.DRAFT},
        _T.SENDER_REJECTED: {},
        # An officer's word may overtake the receipt, and proves it.
        _T.TRANSMITTED: {**_ARRIVED, _E.FAIL: _T.UNDELIVERED},
        _T.UNDELIVERED: _ARRIVED,
        **_WITH_RECEIVER,
    },
    causes={
        **dict.fromkeys((_E.EDIT, _E.SUBMIT, _E.RETURN, _E.APPROVE, _E.REJECT, _E.CLOSE), OFFICER),
        _E.SEND: SYSTEM,
        _E.FAIL: SYSTEM | CLOCK,
        **dict.fromkeys((_E.RECEIVE, _E.ACKNOWLEDGE, _E.EXAMINE), PARTNER),
    },
    crossed=dict.fromkeys((_T.ACKNOWLEDGED, _T.UNDER_REVIEW, _T.CLOSED), frozenset({_E.RECEIVE})),
    open=frozenset(_T) - {_T.SENDER_REJECTED, _T.CLOSED},
    advice={
        _T.SENDER_REJECTED: "hand in a new draft",
        _T.UNDELIVERED: "call the partner's desk, and hand in a new draft",
    },
)
RECEIVER: Final = Machine(
    noun="a request",
    start=_T.RECEIVED,
    rows=_WITH_RECEIVER,
    causes={**dict.fromkeys((_E.ACKNOWLEDGE, _E.EXAMINE), OFFICER), _E.CLOSE: PARTNER},
    open=frozenset({_T.RECEIVED, _T.ACKNOWLEDGED, _T.UNDER_REVIEW}),
)
MACHINES: Final = {Side.SENDER: SENDER, Side.RECEIVER: RECEIVER}

OPEN_ORDER: Final = (
    _M.PARTLY_ANSWERED, _M.EXECUTING, _M.CLARIFICATION_NEEDED, _M.CONSULTATION, _M.CONSULTED, _M.UNDER_REVIEW,
    _M.APPROVED_WITH_CONDITIONS, _M.CONDITIONS_ACCEPTED, _M.APPROVED, _M.POSTPONED,
)  # fmt: skip
"""Which word the request takes while measures are open: the first that one of them has."""
END_ORDER: Final = (
    _M.ANSWERED, _M.EXTENDED, _M.PRESERVED, _M.LAPSED, _M.RELEASED, _M.REFUSED, _M.WITHDRAWN,
)  # fmt: skip
"""Which word the request takes when no measure is open: the first that one of them has."""

_SENT: Final = frozenset({_T.TRANSMITTED, _T.UNDELIVERED, *_WITH_RECEIVER})
_OVER: Final = frozenset({_T.SENDER_REJECTED, _T.CLOSED})


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a request."""

    course: Course
    state: MeasureState = MeasureState.UNDER_REVIEW
    disclosed: bool = False
    """Something was handed over, whatever came of the measure: a use report is owed."""
    reported: bool = False
    """What was handed over until the request was closed is in its use report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as one side knows it."""

    side: Side
    stage: Stage
    measures: tuple[Measure, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.measures) <= MAX_MEASURES:
            raise FieldInvalid("measures", f"must be 1 to {MAX_MEASURES}")

    @property
    def word(self) -> str:
        """The state of the request as callers and people read it."""
        return word_of(self.stage, [item.state for item in self.measures])


def begin(side: Side, courses: Sequence[Course]) -> Request:
    """Return a new request as a side first knows it.

    Raises:
        FieldInvalid: No measure, or too many.
    """
    return Request(side=side, stage=MACHINES[side].start, measures=tuple(Measure(course) for course in courses))


def step(request: Request, event: StageEvent, cause: Cause) -> Request:
    """Return the request after an event of the whole.

    Raises:
        StateConflict: Not possible now, or not for whoever caused it; the text says what is.
    """
    after = MACHINES[request.side].step(request.stage, event, cause)
    if event is StageEvent.CLOSE:
        _check_closing(request)
        measures = tuple(replace(item, reported=item.disclosed) for item in request.measures)
        return replace(request, stage=after, measures=measures)
    if cause is not Cause.PARTNER and request.word == _M.WITHDRAWN.word:
        raise StateConflict(f"cannot {event.word} a request that is withdrawn: possible is nothing")
    return replace(request, stage=after)


def decide(request: Request, number: int, event: MeasureEvent, cause: Cause) -> Request:
    """Return the request after an event of one of its measures, counted from 0.

    Raises:
        StateConflict: Not possible now, or not for whoever caused it; the text says what is.
        NotFound: There is no such measure.
    """
    if not 0 <= number < len(request.measures):
        raise NotFound(f"the request has no measure {number + 1}")
    _check_stage(request, event, cause)
    item = request.measures[number]
    after = measure.MACHINES[item.course, request.side].step(item.state, event, cause)
    given = event in {MeasureEvent.PART, MeasureEvent.ANSWER}
    # What crossed a withdrawal was handed over all the same, and what crossed the closing is not reported yet.
    changed = replace(item, state=after, disclosed=item.disclosed or given, reported=item.reported and not given)
    return replace(request, measures=(*request.measures[:number], changed, *request.measures[number + 1 :]))


def withdrawal(request: Request) -> tuple[tuple[int, MeasureEvent], ...]:
    """Return the events by which the side that asked withdraws the whole: what is open ends, what is held is let go.

    They travel measure by measure, so that the receiver undoes no other. What has been answered stays answered.

    Raises:
        StateConflict: Nothing is left to withdraw.
    """
    acts = tuple(
        (number, MeasureEvent.RELEASE if item.state in measure.HELD else MeasureEvent.WITHDRAW)
        for number, item in enumerate(request.measures)
        if item.state in measure.OPEN or item.state in measure.HELD
    )
    if request.side is not Side.SENDER:
        raise StateConflict("cannot withdraw what another state asked: possible is to consult, and to refuse")
    if request.stage in _OVER or not acts:
        raise StateConflict(f"cannot withdraw a request that is {_plain(request.word)}: possible is nothing")
    return acts


def withdraw(request: Request, cause: Cause) -> Request:
    """Return the request after the whole of it was withdrawn, by its officers or by the clock.

    Raises:
        StateConflict: Nothing is left to withdraw, or it is not for whoever caused it.
    """
    measures = list(request.measures)
    for number, event in withdrawal(request):
        item = measures[number]
        after = measure.MACHINES[item.course, request.side].step(item.state, event, cause)
        measures[number] = replace(item, state=after)
    return replace(request, measures=tuple(measures))


def word_of(stage: Stage, states: Iterable[MeasureState]) -> str:
    """Return the state of a request in one word: the stage until review, then what its measures need most.

    While any measure is open the word is that of the open ones, so that nothing open hides behind an answer.
    """
    found = set(states)
    if stage in _OVER:
        return stage.word
    if found == {_M.WITHDRAWN}:
        return _M.WITHDRAWN.word
    if stage is not Stage.UNDER_REVIEW:
        return stage.word
    if found & measure.OPEN:
        if found & (measure.DISCLOSED | measure.HELD):
            return _M.PARTLY_ANSWERED.word
        return next(state.word for state in OPEN_ORDER if state in found)
    return next(state.word for state in END_ORDER if state in found)


def use_report_owed(request: Request) -> bool:
    """Return whether something was handed over that is in no use report. Closing is with one; more may follow."""
    return any(item.disclosed and not item.reported for item in request.measures)


def _check_stage(request: Request, event: MeasureEvent, cause: Cause) -> None:
    # Acts that crossed the closing are judged by the measure's own table.
    if request.stage is Stage.UNDER_REVIEW or (request.stage is Stage.CLOSED and cause is Cause.PARTNER):
        return
    if event is MeasureEvent.WITHDRAW and request.stage in _SENT and request.stage is not Stage.CLOSED:
        return
    instead = MACHINES[request.side].instead(request.stage)
    raise StateConflict(
        f"cannot {_plain(event.word)} a measure of a request that is {_plain(request.stage.word)}: {instead}"
    )


def _check_closing(request: Request) -> None:
    states = [item.state for item in request.measures]
    if any(state in measure.OPEN for state in states):
        raise StateConflict("cannot close a request with open measures: possible is to wait for or withdraw them")
    if any(state in measure.HELD for state in states):
        raise StateConflict("cannot close a request while data are held for it: possible is to release them")
    kept = {_M.RELEASED, _M.LAPSED}
    if not (any(item.disclosed for item in request.measures) or kept & set(states)):
        raise StateConflict(f"cannot close a request that is {request.word}: possible is nothing, and nothing is owed")


def _plain(word: str) -> str:
    return word.replace("_", " ")
