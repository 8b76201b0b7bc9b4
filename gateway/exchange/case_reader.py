"""Cases for people: where each stands, whose turn it is, what is due when, and how it came there.

Whether the other side has a message, its receipts say; so 'received' and 'acknowledged' are read off them and never
stored. What is due follows from the history, the agreement and the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.errors import FieldInvalid, NotFound
from gateway.exchange.reader import OpenedMessage
from gateway.ids import MessageId, PartnerId
from gateway.model.assistance import Request as RequestContent
from gateway.model.header import Kind, Urgency
from gateway.policy.pacts import TermsInForce
from gateway.ports import CaseHistory, CaseRow, CaseStep, Codec, Delivery, FindMessage, ListCases, Store
from gateway.workflow import clocks
from gateway.workflow.case import WHOLE, CaseKind, possible
from gateway.workflow.clocks import Rung, Running, Targets
from gateway.workflow.due import (
    MEASURE_CLOCKS,
    MEASURE_PAUSES,
    REFERRAL_CLOCKS,
    REFERRAL_PAUSES,
    STAGE_CLOCKS,
    Due,
    dues,
)
from gateway.workflow.measure import MeasureState
from gateway.workflow.referral import ReferralState
from gateway.workflow.request import Request, Stage, word_of
from gateway.workflow.table import Cause, Side

PAGE: Final = 500
_ARRIVED: Final = {"received": 1, "acknowledged": 2}
_GONE: Final = frozenset({"refused", "expired"})
_SENT: Final = {ReferralState.SENT, Stage.TRANSMITTED}
_RECEIVED: Final = {ReferralState.RECEIVED, Stage.RECEIVED}


class Reading(Protocol):
    """What is needed of exchange.reader.MessageReader."""

    async def open(self, sender: PartnerId, message_id: MessageId) -> OpenedMessage: ...
    async def note_shown(self, opened: Sequence[OpenedMessage], *, actor: str) -> None: ...
    async def note_listed(self, *, actor: str, count: int) -> None: ...


class AgreedTerms(Protocol):
    """What is agreed with a partner on a kind of case."""

    def __call__(self, partner: PartnerId, kind: Kind, *, sending: bool) -> TermsInForce | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DueView:
    """Something that is owed."""

    what: str
    by_us: bool
    due_ms: int | None
    """None: the clock stands still."""
    left_ms: int | None
    """Of one that stands still."""
    overdue: bool
    place: int
    """Of the measure; WHOLE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureView:
    """A measure."""

    measure_id: str
    """Empty where no content is shown."""
    measure_type: str
    state: str
    until_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """A case as people see it."""

    row: CaseRow
    sender: PartnerId
    """Who asks."""
    state: str
    turn: str
    """us, them, nobody."""
    dues: tuple[DueView, ...]
    possible: tuple[str, ...]
    """What our officers may do now, in the words of the tables."""
    measures: tuple[MeasureView, ...]
    history: tuple[CaseStep, ...]
    own_zone: str
    partner_zone: str


class CaseReader:
    """Answers where cases stand.

    Args:
        terms: What is agreed with each partner.
        zones: IANA zone of each partner's clock.
    """

    def __init__(
        self,
        *,
        own: PartnerId,
        store: Store,
        codec: Codec,
        clock: Clock,
        reading: Reading,
        terms: AgreedTerms,
        zones: Mapping[PartnerId, str],
    ) -> None:
        self._own = own
        self._store = store
        self._codec = codec
        self._clock = clock
        self._reading = reading
        self._terms = terms
        self._zones = zones

    async def newest(self, *, live: bool, max_rows: int, actor: str) -> tuple[CaseView, ...]:
        """Return cases without content, what changed last first. The exchange log gets an entry for the call."""
        rows = await self._store.read(ListCases(live=live, after=None, max_rows=max_rows))
        views = [await self._view(row) for row in rows]
        await self._reading.note_listed(actor=actor, count=len(views))
        return tuple(views)

    async def find(self, beginning: str, partner: PartnerId | None) -> tuple[CaseRow, ...]:
        """Return the cases whose thread or first message has an id that begins so."""
        found: list[CaseRow] = []
        last: CaseRow | None = None
        while True:
            rows = await self._store.read(ListCases(live=False, after=last, max_rows=PAGE))
            found += (
                row
                for row in rows
                if (str(row.thread_id).startswith(beginning) or str(row.message_id).startswith(beginning))
                and partner in {None, row.partner}
            )
            if len(rows) < PAGE:
                return tuple(found)
            last = rows[-1]

    async def show(self, row: CaseRow, *, actor: str) -> CaseView:
        """Return a case with its history and the names of its measures; the exchange log says that it was shown."""
        view = await self._view(row)
        if not isinstance(row.case.state, Request):
            return view
        try:
            opened = await self._reading.open(view.sender, row.message_id)
        except NotFound:
            return view
        body = self._codec.decode_body(opened.body_bytes) if opened.body_bytes is not None else None
        if body is None or not isinstance(body.content, RequestContent):
            return view
        await self._reading.note_shown([opened], actor=actor)
        named = tuple(
            replace(item, measure_id=asked.measure_id, measure_type=asked.measure_type.name.lower())
            for item, asked in zip(view.measures, body.content.measures, strict=True)
        )
        return replace(view, measures=named)

    async def overdue(self) -> tuple[CaseView, ...]:
        """Return live cases in which something is overdue."""
        rows = await self._store.read(ListCases(live=True, after=None, max_rows=PAGE))
        views = [await self._view(row) for row in rows]
        return tuple(view for view in views if any(item.overdue for item in view.dues))

    async def history(self, row: CaseRow) -> tuple[CaseStep, ...]:
        """Return what happened in a case, oldest first."""
        return await self._store.read(CaseHistory(thread_id=row.thread_id, partner=row.partner))

    async def delivery(self, row: CaseRow, message_id: MessageId) -> Delivery | None:
        """Return how far a message of ours has come; None when it is not there any more."""
        stored = await self._store.read(FindMessage(sender=self._own, message_id=message_id))
        found = stored.deliveries if stored is not None else ()
        return next((item for item in found if item.partner == row.partner), None)

    async def whole(self, row: CaseRow) -> tuple[ReferralState | Stage, int | None]:
        """Return where the whole stands by what receipts say too, and since when if a receipt says so."""
        case = row.case
        state: ReferralState | Stage = case.state.stage if isinstance(case.state, Request) else case.state
        if state in _SENT:
            delivery = await self.delivery(row, row.message_id)
            return _by_delivery(state, delivery)
        if state in _RECEIVED:
            stored = await self._store.read(FindMessage(sender=row.partner, message_id=row.message_id))
            if stored is not None and stored.row.state == "acknowledged":
                return type(state)["ACKNOWLEDGED"], row.create_ms
        return state, None

    async def _view(self, row: CaseRow) -> CaseView:
        now_ms = self._clock.now_ms()
        case = row.case
        ours = case.side is Side.SENDER
        history = await self.history(row)
        whole, since_ms = await self.whole(row)
        owed = self._owed(row, whole, since_ms, history)
        shown = [_due(item, place, case.side, now_ms) for place, item in owed] if case.open else []
        words = possible(case, Cause.OFFICER)
        measures: tuple[MeasureView, ...] = ()
        state = whole.word
        if isinstance(case.state, Request) and isinstance(whole, Stage):
            state = word_of(whole, [item.state for item in case.state.measures])
            measures = tuple(
                MeasureView(measure_id="", measure_type="", state=item.state.word, until_ms=until)
                for item, until in zip(case.state.measures, case.until_ms, strict=True)
            )
        return CaseView(
            row=row,
            sender=self._own if ours else row.partner,
            state=state,
            turn=_turn(shown, words, live=case.open),
            dues=tuple(shown),
            possible=words,
            measures=measures,
            history=history,
            own_zone=self._zones.get(self._own, "UTC"),
            partner_zone=self._zones.get(row.partner, "UTC"),
        )

    def _owed(
        self, row: CaseRow, whole: ReferralState | Stage, since_ms: int | None, history: Sequence[CaseStep]
    ) -> list[tuple[int, Due]]:
        of = self.targets(row)
        states = [(step.time_ms, step.turn.place, step.turn.after) for step in history if step.turn is not None]
        lines = [(time_ms, number) for time_ms, place, number in states if place == WHOLE]
        if since_ms is not None:
            lines.append((max(since_ms, lines[-1][0] if lines else 0), int(whole)))
        if not isinstance(whole, Stage):
            line = [(time_ms, ReferralState(number)) for time_ms, number in lines]
            found = dues(line, REFERRAL_CLOCKS, REFERRAL_PAUSES, of, row.urgency, word_ms=row.word_ms)
            return [(WHOLE, item) for item in found]
        stages = [(time_ms, Stage(number)) for time_ms, number in lines]
        owed = [(WHOLE, item) for item in dues(stages, STAGE_CLOCKS, {}, of, row.urgency, word_ms=row.word_ms)]
        if whole is not Stage.UNDER_REVIEW or not isinstance(row.case.state, Request):
            return owed
        # From when the request came in: its clocks do not wait until somebody looks at a measure.
        begun = stages[0][0]
        for place in range(len(row.case.state.measures)):
            moved = [(time_ms, MeasureState(number)) for time_ms, where, number in states if where == place]
            line_of = [(begun, MeasureState.UNDER_REVIEW), *moved]
            found = dues(line_of, MEASURE_CLOCKS, MEASURE_PAUSES, of, row.urgency, word_ms=row.word_ms)
            owed += [(place, item) for item in found]
        return owed

    def targets(self, row: CaseRow) -> Targets:
        """Return the times agreed with the partner."""
        kind = Kind.REQUEST if row.case.kind is CaseKind.REQUEST else Kind.REFERRAL
        terms = self._terms(row.partner, kind, sending=row.case.side is Side.SENDER)
        if terms is None:
            return clocks.DEFAULT
        agreed: dict[tuple[Rung, Urgency], int] = {}
        for urgency, clock in terms.clocks:
            agreed |= {
                (Rung.RECEIPT, urgency): clock.receipt_ms,
                (Rung.ACKNOWLEDGEMENT, urgency): clock.acknowledge_ms,
                (Rung.DECISION, urgency): clock.decide_ms,
                (Rung.NEWS, urgency): clock.status_ms,
            }
        try:
            return clocks.targets(agreed)
        except FieldInvalid:
            # Two sides whose agreed times do not fit together owe one another the ordinary ones.
            return clocks.DEFAULT


def _by_delivery(state: ReferralState | Stage, delivery: Delivery | None) -> tuple[ReferralState | Stage, int | None]:
    if delivery is None or delivery.time_ms is None:
        return state, None
    if delivery.state in _GONE:
        return type(state)["UNDELIVERED"], delivery.time_ms
    if delivery.state in _ARRIVED:
        return type(state)[delivery.state.upper()], delivery.time_ms
    return state, None


def _due(item: Due, place: int, side: Side, now_ms: int) -> DueView:
    due_ms = item.clock.due_ms if isinstance(item.clock, Running) else None
    return DueView(
        what=item.rung.value,
        by_us=item.owed_by is side,
        due_ms=due_ms,
        left_ms=None if isinstance(item.clock, Running) else item.clock.left_ms,
        overdue=due_ms is not None and now_ms >= due_ms,
        place=place,
    )


def _turn(shown: Sequence[DueView], words: Sequence[str], *, live: bool) -> str:
    """Return whose turn it is: who owes what is due first, else whoever can still do something."""
    running = [item for item in shown if item.due_ms is not None]
    if running:
        return "us" if min(running, key=lambda item: item.due_ms or 0).by_us else "them"
    if shown:
        return "us" if shown[0].by_us else "them"
    return "us" if live and words else "nobody"
