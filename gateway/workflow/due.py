"""Which clocks run in which state, which side owes what they run for, and when they stood still.

What is overdue follows from a state, its history and the time; nothing of it is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.header import Urgency
from gateway.workflow.clocks import Pause, Rung, Running, Standing, Stop, Targets, clock
from gateway.workflow.measure import MeasureState
from gateway.workflow.recall import RecallState
from gateway.workflow.referral import ReferralState
from gateway.workflow.request import Stage
from gateway.workflow.table import S, Side

_R, _M, _T = ReferralState, MeasureState, Stage
_NONE: Final = frozenset[Rung]()

OWED_BY: Final[Mapping[Rung, Side]] = {
    **dict.fromkeys(Rung, Side.RECEIVER),
    Rung.INFORMATION: Side.SENDER,
}
"""Which side's desk is called when the time runs out. The other side is told."""

REFERRAL_CLOCKS: Final[Mapping[ReferralState, frozenset[Rung]]] = {
    **dict.fromkeys(_R, _NONE),
    _R.SENT: frozenset({Rung.RECEIPT}),
    _R.RECEIVED: frozenset({Rung.ACKNOWLEDGEMENT, Rung.DECISION}),
    _R.ACKNOWLEDGED: frozenset({Rung.DECISION}),
    _R.ACCEPTED: frozenset({Rung.NEWS}),
    _R.IN_PROGRESS: frozenset({Rung.NEWS}),
    # Who looks for a person goes on telling, whatever it has asked.
    _R.INFO_NEEDED: frozenset({Rung.INFORMATION, Rung.NEWS}),
    _R.REOPENED: frozenset({Rung.DECISION}),
}
STAGE_CLOCKS: Final[Mapping[Stage, frozenset[Rung]]] = {
    **dict.fromkeys(_T, _NONE),
    _T.TRANSMITTED: frozenset({Rung.RECEIPT}),
    _T.RECEIVED: frozenset({Rung.ACKNOWLEDGEMENT, Rung.DECISION}),
    _T.ACKNOWLEDGED: frozenset({Rung.DECISION}),
}
"""Of a request as a whole; under review each measure has its own."""
_DECIDING: Final = frozenset({Rung.DECISION, Rung.ANSWER})
_PLANNING: Final = frozenset({Rung.PLAN, Rung.ANSWER, Rung.NEWS})
_EXECUTING: Final = frozenset({Rung.ANSWER, Rung.NEWS})
MEASURE_CLOCKS: Final[Mapping[MeasureState, frozenset[Rung]]] = {
    **dict.fromkeys(_M, _NONE),
    _M.UNDER_REVIEW: _DECIDING,
    _M.CLARIFICATION_NEEDED: _DECIDING | {Rung.INFORMATION},
    _M.CONSULTATION: _DECIDING | {Rung.INFORMATION},
    _M.CONSULTED: _DECIDING,
    _M.POSTPONED: _EXECUTING,
    _M.APPROVED: _PLANNING,
    _M.APPROVED_WITH_CONDITIONS: frozenset({Rung.PLAN, Rung.ANSWER, Rung.INFORMATION}),
    _M.CONDITIONS_ACCEPTED: _PLANNING,
    _M.EXECUTING: _EXECUTING,
    _M.PARTLY_ANSWERED: _EXECUTING,
}
RECALL_CLOCKS: Final[Mapping[RecallState, frozenset[Rung]]] = {
    **dict.fromkeys(RecallState, _NONE),
    RecallState.ASKED: frozenset({Rung.CONFIRMATION}),
    RecallState.PASSED_ON: frozenset({Rung.CONFIRMATION}),
}

REFERRAL_PAUSES: Final[Mapping[ReferralState, Pause]] = {_R.INFO_NEEDED: Pause.QUESTION}
MEASURE_PAUSES: Final[Mapping[MeasureState, Pause]] = {
    _M.CLARIFICATION_NEEDED: Pause.QUESTION,
    _M.CONSULTATION: Pause.QUESTION,
    _M.APPROVED_WITH_CONDITIONS: Pause.QUESTION,
    _M.POSTPONED: Pause.POSTPONED,
}


RESTARTS: Final = frozenset({Rung.NEWS, Rung.INFORMATION})
"""Clocks that start anew with each state, and news with each word. The others start once, and run on through states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Something that somebody owes now."""

    rung: Rung
    owed_by: Side
    start_ms: int
    clock: Running | Standing


def dues(
    history: Sequence[tuple[int, S]],
    running: Mapping[S, frozenset[Rung]],
    pauses: Mapping[S, Pause],
    of: Targets,
    urgency: Urgency,
    *,
    word_ms: int | None,
) -> tuple[Due, ...]:
    """Return what is owed in the present state, what is due first first, and what stands still last.

    Args:
        history: Since when it was in which state, in the order in which it came about.
        running: Which clocks run in which state.
        pauses: States in which something is awaited.
        of: The agreement's targets.
        urgency: Of the thread.
        word_ms: When the side that was asked last said how it stands; None: never.
    """
    if not history:
        return ()
    begun, state = history[-1]
    awaited = stops(history, pauses)
    found = []
    for rung in running[state]:
        start_ms = max(begun, word_ms or begun) if rung is Rung.NEWS else begun
        if rung not in RESTARTS:
            start_ms = _unbroken(history, running, rung)
        shown = clock(of, rung, urgency, start_ms, awaited)
        found.append(Due(rung=rung, owed_by=OWED_BY[rung], start_ms=start_ms, clock=shown))
    return tuple(sorted(found, key=lambda item: (isinstance(item.clock, Standing), _order(item.clock), item.rung)))


def stops(history: Sequence[tuple[int, S]], pauses: Mapping[S, Pause]) -> tuple[Stop, ...]:
    """Return when something was awaited, from the states that a thing has had.

    Args:
        history: Since when it was in which state, in the order in which it came about.
        pauses: States in which something is awaited.
    """
    return tuple(
        Stop(pauses[state], start, history[number][0] if number < len(history) else None)
        for number, (start, state) in enumerate(history, start=1)
        if state in pauses
    )


def _unbroken(history: Sequence[tuple[int, S]], running: Mapping[S, frozenset[Rung]], rung: Rung) -> int:
    """Return when the first of the last states began in all of which a clock runs."""
    start_ms = history[-1][0]
    for begun, state in reversed(history):
        if rung not in running[state]:
            break
        start_ms = begun
    return start_ms


def _order(shown: Running | Standing) -> int:
    return shown.due_ms if isinstance(shown, Running) else shown.left_ms
