"""What time brings about in cases: silence closes, what was promised until an instant is over."""

from gateway.clock import Clock
from gateway.errors import StateConflict
from gateway.exchange.case_reader import PAGE, CaseReader
from gateway.exchange.steps import GATEWAY, step
from gateway.ids import PartnerId
from gateway.ports import CaseRow, ListCases, PassTime, Store
from gateway.translog.entry import EventType
from gateway.workflow import elapsed
from gateway.workflow.case import WHOLE, Turn, pass_time
from gateway.workflow.measure import MeasureEvent, MeasureState
from gateway.workflow.referral import ReferralState
from gateway.workflow.table import Event, Side


class CaseClock:
    """Looks at live cases and records what has come about."""

    def __init__(self, *, own: PartnerId, store: Store, clock: Clock, reader: CaseReader) -> None:
        self._own = own
        self._store = store
        self._clock = clock
        self._reader = reader

    async def tick(self) -> int:
        """Let time pass in every live case; return how many changed."""
        changed = 0
        last: CaseRow | None = None
        while True:
            rows = await self._store.read(ListCases(live=True, after=last, max_rows=PAGE))
            for row in rows:
                changed += await self._pass(row)
            if len(rows) < PAGE:
                return changed
            last = rows[-1]

    async def _pass(self, row: CaseRow) -> bool:
        now_ms = self._clock.now_ms()
        case = row.case
        turns: list[Turn] = []
        for place, event in await self._events(row, now_ms):
            try:
                case, taken = pass_time(case, place, event)
            except StateConflict:
                # What the table does not let time do is for officers.
                continue
            turns += taken
        if not turns:
            return False
        log = step(
            EventType.MESSAGE_DECIDED,
            now_ms,
            actor=GATEWAY,
            partner=row.partner.code,
            subject=row.message_id.raw,
            thread=row.thread_id.raw,
            detail=f"{turns[-1].event} by time: {case.word}",
        )
        return await self._store.write(
            PassTime(
                thread_id=row.thread_id,
                partner=row.partner,
                sender=self._own if case.side is Side.SENDER else row.partner,
                steps=row.steps,
                case=case,
                turns=tuple(turns),
                now_ms=now_ms,
                log=log,
            )
        )

    async def _events(self, row: CaseRow, now_ms: int) -> list[tuple[int, Event]]:
        state = row.case.state
        whole, _ = await self._reader.whole(row)
        found: list[tuple[int, Event]] = []
        if isinstance(state, ReferralState):
            heard_ms = await self._heard_ms(row, WHOLE, int(state)) if state is ReferralState.RESOLVED else None
            event: Event | None = None
            if isinstance(whole, ReferralState):
                event = elapsed.referral(whole, heard_ms, row.expire_ms, now_ms)
            return [(WHOLE, event)] if event is not None else []
        if whole is state.stage and (event := elapsed.stage(state.stage, row.expire_ms, now_ms)) is not None:
            found.append((WHOLE, event))
        of = self._reader.targets(row)
        for place, (item, until_ms) in enumerate(zip(state.measures, row.case.until_ms, strict=True)):
            consulting = item.state is MeasureState.CONSULTATION and row.case.side is Side.RECEIVER
            heard_ms = await self._heard_ms(row, place, int(item.state)) if consulting else None
            event = elapsed.measure(item.state, of, row.urgency, heard_ms=heard_ms, until_ms=until_ms, now_ms=now_ms)
            if event is not None and (event is not MeasureEvent.WAITED or consulting):
                found.append((place, event))
        return found

    async def _heard_ms(self, row: CaseRow, place: int, state: int) -> int | None:
        """Return when the other side had the word by which the present state came about, as its receipt says."""
        for line in reversed(await self._reader.history(row)):
            if line.turn is None or line.turn.place != place or line.turn.after != state or line.turn.late:
                continue
            if line.message_id is None or line.sender != self._own:
                return line.time_ms
            delivery = await self._reader.delivery(row, line.message_id)
            arrived = delivery is not None and delivery.state in {"received", "acknowledged"}
            return delivery.time_ms if delivery is not None and arrived else None
        return None
