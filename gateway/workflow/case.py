"""A case as one side knows it, and what the messages of its thread do to it.

A message says one word about the whole or about measures. Some words take for granted what came before: who accepts has
seen it, who answers has executed. Those steps are taken as well, by both sides alike, so that nobody has to send a
message for each. A message about the whole of a request is about every measure, or it is refused: what it left out,
the other side could not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, TypeVar

from gateway.errors import NotFound, StateConflict
from gateway.workflow import measure, referral, request
from gateway.workflow.measure import Course, MeasureEvent, MeasureState
from gateway.workflow.referral import ReferralEvent, ReferralState
from gateway.workflow.request import Request, Stage, StageEvent
from gateway.workflow.table import Cause, Event, Machine, Side, State

S = TypeVar("S", bound=State)
E = TypeVar("E", bound=Event)

WHOLE: Final = -1
"""In place of a measure's place: the case as a whole."""


class CaseKind(IntEnum):
    """What a case began with. Numbers are stored."""

    REFERRAL = 1
    REQUEST = 2

    @property
    def word(self) -> str:
        """As people read it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What begins a case."""

    kind: CaseKind
    measures: tuple[tuple[bytes, Course], ...] = ()
    """Of a request: under which key each measure is named, and its course."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What a message says of a case."""

    word: str = ""
    """An event of the tables, or a verdict as the protocol has it. Empty: news, which changes no state."""
    measures: tuple[bytes, ...] = ()
    """Keys of the measures it is about; empty: the whole."""
    until_ms: int | None = None
    """Until when it is postponed, or the data are held."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One step that came about."""

    place: int
    """Of the measure, from 0; WHOLE."""
    event: str
    before: int
    after: int
    """Numbers of states."""
    late: bool = False
    """It crossed something of ours, and changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A referral or a request with one partner, as one side knows it."""

    side: Side
    state: ReferralState | Request
    keys: tuple[bytes, ...] = ()
    until_ms: tuple[int | None, ...] = ()

    @property
    def kind(self) -> CaseKind:
        """What it began with."""
        return CaseKind.REQUEST if isinstance(self.state, Request) else CaseKind.REFERRAL

    @property
    def number(self) -> int:
        """The state of the whole as it is stored."""
        return int(self.state.stage if isinstance(self.state, Request) else self.state)

    @property
    def word(self) -> str:
        """The state as callers and people read it."""
        return self.state.word

    @property
    def open(self) -> bool:
        """Something is still to come: an outcome, a confirmation, a use report, or data to let go."""
        if not isinstance(self.state, Request):
            return self.state not in _ENDS
        if self.state.stage is Stage.CLOSED:
            return False
        live = any(item.state in measure.OPEN or item.state in measure.HELD for item in self.state.measures)
        return live or request.use_report_owed(self.state)


_RS, _RE, _ME, _SE = ReferralState, ReferralEvent, MeasureEvent, StageEvent
_ENDS: Final = frozenset({_RS.REJECTED, _RS.CLOSED, _RS.DECLINED, _RS.REDIRECTED, _RS.WITHDRAWN})
_REFERRAL_WORDS: Final[Mapping[str, ReferralEvent]] = {
    **{
        item.word: item
        for item in (
            _RE.ACKNOWLEDGE, _RE.ACCEPT, _RE.DECLINE, _RE.REDIRECT, _RE.START, _RE.ASK, _RE.INFORM, _RE.RESOLVE,
            _RE.CONFIRM, _RE.REOPEN, _RE.WITHDRAW,
        )
    },
    "accept_with_conditions": _RE.ACCEPT,
    "refuse": _RE.DECLINE,
}  # fmt: skip
_STAGE_WORDS: Final[Mapping[str, StageEvent]] = {item.word: item for item in (_SE.ACKNOWLEDGE, _SE.EXAMINE, _SE.CLOSE)}
_MEASURE_WORDS: Final[Mapping[str, MeasureEvent]] = {
    **{item.word: item for item in MeasureEvent},
    "accept": _ME.APPROVE,
    "accept_with_conditions": _ME.APPROVE_WITH_CONDITIONS,
    "agree_to_conditions": _ME.ACCEPT_CONDITIONS,
}
_REFERRAL_BEFORE: Final[Mapping[ReferralEvent, tuple[ReferralEvent, ...]]] = {
    **dict.fromkeys((_RE.ACCEPT, _RE.DECLINE, _RE.REDIRECT), (_RE.ACKNOWLEDGE,)),
    **dict.fromkeys((_RE.ASK, _RE.RESOLVE), (_RE.START,)),
}
"""What a word takes for granted."""
_MEASURE_BEFORE: Final[Mapping[MeasureEvent, tuple[MeasureEvent, ...]]] = {
    **dict.fromkeys((_ME.PART, _ME.ANSWER, _ME.PRESERVE), (_ME.EXECUTE,)),
    # Who refuses while we still owe a reply has waited long enough: its own gateway has seen to that.
    _ME.REFUSE: (_ME.WAITED,),
}
_STAGE_BEFORE: Final = (_SE.ACKNOWLEDGE, _SE.EXAMINE)
_KEPT: Final = frozenset({MeasureState.PRESERVED, MeasureState.EXTENDED, MeasureState.RELEASED, MeasureState.LAPSED})
_LASTING: Final = frozenset({MeasureState.POSTPONED, MeasureState.PRESERVED, MeasureState.EXTENDED})


def begin(side: Side, opening: Opening) -> Case:
    """Return a new case as a side first knows it: sent, or received.

    Raises:
        FieldInvalid: A request without measures, or with too many.
    """
    if opening.kind is CaseKind.REFERRAL:
        return Case(side=side, state=_RS.SENT if side is Side.SENDER else _RS.RECEIVED)
    state = request.begin(side, [course for _, course in opening.measures])
    if side is Side.SENDER:
        state = replace(state, stage=Stage.TRANSMITTED)
    return Case(
        side=side,
        state=state,
        keys=tuple(key for key, _ in opening.measures),
        until_ms=(None,) * len(opening.measures),
    )


def act(case: Case, deed: Deed, cause: Cause) -> tuple[Case, tuple[Turn, ...]]:
    """Return the case after a deed, and the steps that came about; none for news.

    Raises:
        StateConflict: Not possible now, or not for whoever caused it; the text says what is.
        NotFound: It names a measure that the request does not have.
    """
    if not deed.word:
        return case, ()
    if isinstance(case.state, Request):
        return _act_on_request(case, case.state, deed, cause)
    event = _REFERRAL_WORDS.get(deed.word)
    if event is None or deed.measures:
        raise StateConflict(f"'{deed.word}' is no act on a referral: {_instead(case)}")
    steps = _path(referral.MACHINES[case.side], case.state, event, cause, _REFERRAL_BEFORE)
    return replace(case, state=steps[-1][1]), _turns(WHOLE, case.state, steps)


def pass_time(case: Case, place: int, event: Event) -> tuple[Case, tuple[Turn, ...]]:
    """Return the case after what time itself brings about (`elapsed`).

    Raises:
        StateConflict: It does not, in this state.
    """
    state = case.state
    if isinstance(state, Request):
        if isinstance(event, MeasureEvent):
            # With the side that asked, the holder said beforehand when it ends.
            cause = Cause.CLOCK if case.side is Side.RECEIVER else Cause.PARTNER
            return _decide(case, _Act(place, event, cause))
        if isinstance(event, StageEvent):
            after = request.step(state, event, Cause.CLOCK)
            return replace(case, state=after), (Turn(WHOLE, event.word, int(state.stage), int(after.stage)),)
    elif isinstance(event, ReferralEvent):
        moved = referral.MACHINES[case.side].step(state, event, Cause.CLOCK)
        return replace(case, state=moved), (Turn(WHOLE, event.word, int(state), int(moved)),)
    raise StateConflict(f"'{event.word}' is no act on a {case.kind.word}")


def possible(case: Case, cause: Cause) -> tuple[str, ...]:
    """Return in words what somebody may do with a case now, what a word takes for granted included."""
    if not isinstance(case.state, Request):
        return tuple(
            event.word for event in dict.fromkeys(_REFERRAL_WORDS.values()) if _can(case, event.word, (), cause)
        )
    return (
        *(word for word in _STAGE_WORDS if _can(case, word, (), cause)),
        *(event.word for event in MeasureEvent if any(_can(case, event.word, (key,), cause) for key in case.keys)),
    )


def _can(case: Case, word: str, measures: tuple[bytes, ...], cause: Cause) -> bool:
    try:
        _, turns = act(case, Deed(word=word, measures=measures), cause)
    except StateConflict:
        return False
    return not all(turn.late for turn in turns)


def _act_on_request(case: Case, state: Request, deed: Deed, cause: Cause) -> tuple[Case, tuple[Turn, ...]]:
    stage_event = _STAGE_WORDS.get(deed.word)
    if stage_event is not None:
        after = _advance(state, stage_event, cause)
        return replace(case, state=after[-1][1]), _stage_turns(state, after)
    event = _MEASURE_WORDS.get(deed.word)
    if event is None:
        raise StateConflict(f"'{deed.word}' is no act on a request: {_instead(case)}")
    places = [_place(case, key) for key in deed.measures] or list(range(len(state.measures)))
    turns: list[Turn] = []
    for place in places:
        case, taken = _act_on_measure(case, _Act(place, event, cause, deed.until_ms))
        turns += taken
    return case, tuple(turns)


@dataclass(frozen=True, slots=True)
class _Act:
    """An event of one measure, by whom, and until when what it brings lasts."""

    place: int
    event: MeasureEvent
    cause: Cause
    until_ms: int | None = None


def _act_on_measure(case: Case, item: _Act) -> tuple[Case, tuple[Turn, ...]]:
    state = _request(case)
    now = state.measures[item.place].state
    if item.event is MeasureEvent.PRESERVE and now in _KEPT:
        # Preserved again is preserved for longer.
        item = replace(item, event=MeasureEvent.EXTEND)
    if item.event is MeasureEvent.WITHDRAW and now in measure.HELD and case.side is Side.SENDER:
        item = replace(item, event=MeasureEvent.RELEASE)
    try:
        return _decided(case, item)
    except StateConflict:
        turns: list[Turn] = []
        for stage_event in _STAGE_BEFORE:
            if stage_event in request.MACHINES[case.side].possible(state.stage, item.cause):
                after = request.step(state, stage_event, item.cause)
                turns.append(Turn(WHOLE, stage_event.word, int(state.stage), int(after.stage)))
                state = after
        if not turns:
            raise
        decided, taken = _decided(replace(case, state=state), item)
        return decided, (*turns, *taken)


def _decided(case: Case, item: _Act) -> tuple[Case, tuple[Turn, ...]]:
    """Return the case after an event of a measure and what it takes for granted."""
    try:
        return _decide(case, item)
    except StateConflict:
        now = _request(case).measures[item.place]
        for earlier in _MEASURE_BEFORE.get(item.event, ()):
            if earlier in measure.MACHINES[now.course, case.side].possible(now.state, item.cause):
                between, first = _decide(case, _Act(item.place, earlier, item.cause))
                after, then = _decide(between, item)
                return after, (*first, *then)
        raise


def _decide(case: Case, item: _Act) -> tuple[Case, tuple[Turn, ...]]:
    state, place = _request(case), item.place
    before = state.measures[place]
    after = request.decide(state, place, item.event, item.cause)
    now = after.measures[place].state
    listed = item.event in measure.MACHINES[before.course, case.side].rows.get(before.state, {})
    until = item.until_ms if item.until_ms is not None else case.until_ms[place]
    kept = (*case.until_ms[:place], until if now in _LASTING else None, *case.until_ms[place + 1 :])
    turn = Turn(place, item.event.word, int(before.state), int(now), late=not listed)
    return replace(case, state=after, until_ms=kept), (turn,)


def _request(case: Case) -> Request:
    if not isinstance(case.state, Request):
        raise StateConflict("a referral has no measures: possible is nothing")
    return case.state


def _advance(state: Request, event: StageEvent, cause: Cause) -> list[tuple[StageEvent, Request]]:
    try:
        return [(event, request.step(state, event, cause))]
    except StateConflict:
        first = _SE.ACKNOWLEDGE
        if event is _SE.EXAMINE and first in request.MACHINES[state.side].possible(state.stage, cause):
            between = request.step(state, first, cause)
            return [(first, between), *_advance(between, event, cause)]
        raise


def _stage_turns(state: Request, after: Sequence[tuple[StageEvent, Request]]) -> tuple[Turn, ...]:
    turns, before = [], int(state.stage)
    for event, item in after:
        turns.append(Turn(WHOLE, event.word, before, int(item.stage), late=before == int(item.stage)))
        before = int(item.stage)
    return tuple(turns)


def _path(
    machine: Machine[S, E], state: S, event: E, cause: Cause, granted: Mapping[E, tuple[E, ...]]
) -> list[tuple[E, S]]:
    """Return the steps to an event: itself, or first what it takes for granted."""
    try:
        return [(event, machine.step(state, event, cause))]
    except StateConflict:
        for earlier in granted.get(event, ()):
            if earlier in machine.possible(state, cause):
                between = machine.step(state, earlier, cause)
                if event in machine.possible(between, cause):
                    return [(earlier, between), (event, machine.step(between, event, cause))]
        raise


def _turns(place: int, state: State, steps: Sequence[tuple[Event, State]]) -> tuple[Turn, ...]:
    turns, before = [], int(state)
    for event, after in steps:
        turns.append(Turn(place, event.word, before, int(after), late=before == int(after)))
        before = int(after)
    return tuple(turns)


def _place(case: Case, key: bytes) -> int:
    try:
        return case.keys.index(key)
    except ValueError:
        raise NotFound("the request has no such measure") from None


def _instead(case: Case) -> str:
    if isinstance(case.state, Request):
        return request.MACHINES[case.side].instead(case.state.stage)
    return referral.MACHINES[case.side].instead(case.state)


def follow(
    case: Case | None, opening: Opening | None, deeds: Sequence[Deed], *, cause: Cause, partner: str
) -> tuple[Case | None, tuple[Turn, ...]]:
    """Return a case after a message, and what came about; None when the message belongs to no case.

    Args:
        case: As it is; None: there is none with this partner in the thread.
        opening: What the message begins.
        deeds: What it says of what has begun.
        cause: OFFICER: it is ours. PARTNER: it is theirs.
        partner: The other side, for the text of a refusal.

    Raises:
        StateConflict: Not possible now, or not for whoever sent it.
        NotFound: It names a measure that the request does not have.
    """
    if opening is not None:
        if case is not None:
            raise StateConflict(f"the thread has a {case.kind.word} with '{partner}' already: begin a new thread")
        begun = begin(Side.SENDER if cause is Cause.OFFICER else Side.RECEIVER, opening)
        return begun, (Turn(WHOLE, "open", 0, begun.number),)
    if case is None:
        if any(deed.word for deed in deeds):
            raise StateConflict(f"there is no case with '{partner}' in this thread to decide on")
        return None, ()
    turns: list[Turn] = []
    for deed in deeds:
        case, taken = act(case, deed, cause)
        turns += taken
    return case, tuple(turns)
