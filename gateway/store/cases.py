"""Where cases stand: each message of a case moves it in the commit that brings the message.

What we send is checked against the case as this very commit finds it, and refused whole if it does not fit. What a
partner sends is stored whatever it says: when it does not fit, that is kept as a finding and the state stays. Messages
held for their predecessor count when they are shown, in the order of their thread.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from gateway.errors import GatewayError, NotFound, StateConflict
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.header import Mode, Urgency
from gateway.ports import (
    CaseEntry,
    CaseHistory,
    CaseRow,
    CaseStep,
    FindCases,
    ListCases,
    PassTime,
    ReceivedMessage,
    SealedMessage,
)
from gateway.store import case_rows as rows
from gateway.store.events import CASE_CHANGED, CASE_FINDING, CASE_OPENED, EventColumns
from gateway.store.log import add_log
from gateway.store.transaction import Session, Transaction
from gateway.values import dataclass
from gateway.workflow.case import WHOLE, Turn, follow
from gateway.workflow.table import Cause, Side

MAX_FINDING: Final = 300
FAR_MS: Final = 1 << 52
"""Later than any instant that is stored."""

_Key = tuple[bytes, str]
"""thread_id, partner"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A message of a case that a commit brings."""

    entry: CaseEntry
    sender: PartnerId
    message_id: MessageId
    thread_id: ThreadId
    authority: str
    mode: Mode
    urgency: Urgency
    create_ms: int
    expire_ms: int


class Cases:
    """The cases that a commit changes, written at the end."""

    def __init__(self, tx: Transaction, keys: Iterable[_Key], now_ms: int) -> None:
        self._tx = tx
        self._now_ms = now_ms
        found = map(rows.case_of, tx.look_up(rows.CASES_TO_MOVE, sorted(set(keys))))
        self._cases: dict[_Key, CaseRow] = {(row.thread_id.raw, row.partner.code): row for row in found}
        self._stored = frozenset(self._cases)
        self._changed: set[_Key] = set()
        self._steps: list[tuple[object, ...]] = []
        self._events: list[EventColumns] = []

    def judge(self, move: Move, partners: Sequence[PartnerId]) -> "Judged | None":
        """Return what a message of ours does with each of its recipients; None when with one it is not possible."""
        try:
            made = [judged(self._cases.get(_key(move, partner)), move, partner) for partner in partners]
        except (StateConflict, NotFound):
            return None
        return Judged(move, tuple(made))

    def send(self, judgement: "Judged") -> None:
        """Let a message of ours count, as it was judged."""
        for after, turns in judgement.made:
            if after is not None:
                self._keep(judgement.move, after, turns, Cause.OFFICER)

    def take(self, move: Move) -> None:
        """Let a message of a partner count, or keep why it does not."""
        partner = move.sender
        before = self._cases.get(_key(move, partner))
        try:
            after, turns = judged(before, move, partner, cause=Cause.PARTNER)
        except GatewayError as error:
            finding = error.text[:MAX_FINDING]
            if before is not None:
                self._keep(move, before, (), Cause.PARTNER, finding)
            self._events.append(_event(CASE_FINDING, self._now_ms, move, partner, finding))
            return
        if after is not None:
            self._keep(move, after, turns, Cause.PARTNER)

    def _keep(self, move: Move, row: CaseRow, turns: Sequence[Turn], cause: Cause, finding: str = "") -> None:
        partner = row.partner
        key = _key(move, partner)
        before = self._cases.get(key)
        moved = any(turn.before != turn.after for turn in turns)
        lines: Sequence[Turn] = turns or [Turn(WHOLE, "", row.case.number, row.case.number)]
        asked = (row.case.side is Side.RECEIVER) is (cause is Cause.OFFICER)
        number = row.steps
        for turn in lines:
            made = (self._now_ms, rows.CAUSES[cause], move.sender.code, move.message_id.raw)
            self._steps.append((*key, number, *made, *_turn_columns(turn, finding)))
            number += 1
        self._cases[key] = replace(
            row,
            steps=number,
            change_ms=self._now_ms if moved else row.change_ms,
            word_ms=self._now_ms if asked and not finding and before is not None else row.word_ms,
        )
        self._changed.add(key)
        if before is None:
            self._events.append(_event(CASE_OPENED, self._now_ms, move, partner, row.case.word))
        elif moved:
            self._events.append(_event(CASE_CHANGED, self._now_ms, move, partner, row.case.word))

    def write(self) -> None:
        """Put in the transaction what changed."""
        changed = sorted(self._changed)
        new = [rows.case_columns(self._cases[key]) for key in changed if key not in self._stored]
        self._tx.insert(rows.ADD, new)
        self._tx.insert(rows.PUT, [rows.case_columns(self._cases[key]) for key in changed if key in self._stored])
        self._tx.insert(rows.ADD_STEPS, self._steps)
        if self._events:
            self._tx.add_events(self._events)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a message of ours does with each of its recipients."""

    move: Move
    made: tuple[tuple[CaseRow | None, tuple[Turn, ...]], ...]


def judged(
    row: CaseRow | None, move: Move, partner: PartnerId, *, cause: Cause = Cause.OFFICER
) -> tuple[CaseRow | None, tuple[Turn, ...]]:
    """Return the case after a message, and what came about; None when the message belongs to no case.

    Raises:
        StateConflict: Not possible now, or not for whoever sent it.
        NotFound: It names a measure that the request does not have.
    """
    case, turns = follow(
        None if row is None else row.case, move.entry.opening, move.entry.deeds, cause=cause, partner=partner.code
    )
    if case is None:
        return None, ()
    if row is not None:
        return replace(row, case=case), turns
    opened = CaseRow(
        thread_id=move.thread_id,
        partner=partner,
        message_id=move.message_id,
        authority=move.authority,
        mode=move.mode,
        urgency=move.urgency,
        case=case,
        create_ms=move.create_ms,
        expire_ms=move.expire_ms,
        change_ms=0,
        word_ms=None,
        steps=0,
    )
    return opened, turns


def _key(move: Move, partner: PartnerId) -> _Key:
    return move.thread_id.raw, partner.code


def _turn_columns(turn: Turn, finding: str) -> tuple[object, ...]:
    return (turn.place, turn.event, turn.before, turn.after, int(turn.late), finding)


def _event(kind: int, now_ms: int, move: Move, partner: PartnerId, reason: str) -> EventColumns:
    return (kind, now_ms, move.sender.code, move.message_id.raw, partner.code, reason)


def move_of(sender: PartnerId, message: SealedMessage | ReceivedMessage, entry: CaseEntry) -> Move:
    """Return what a message does, sent or received."""
    header = message.header if isinstance(message, ReceivedMessage) else message
    return Move(
        entry=entry,
        sender=sender,
        message_id=header.message_id,
        thread_id=header.thread_id,
        authority=message.authority,
        mode=header.mode,
        urgency=header.urgency,
        create_ms=header.create_ms,
        expire_ms=header.expire_ms,
    )


def sending(tx: Transaction, messages: Sequence[SealedMessage]) -> "Cases | None":
    """Return the cases that messages of ours are about; None, and nothing read, when they are about none."""
    about = [message for message in messages if message.case is not None]
    if not about:
        return None
    keys = [(message.thread_id.raw, row.partner.code) for message in about for row in message.outbox]
    return Cases(tx, keys, max(message.create_ms for message in about))


def take_cases(tx: Transaction, moves: Sequence[Move], now_ms: int) -> None:
    """Let messages of partners count, in order."""
    if not moves:
        return
    cases = Cases(tx, [_key(move, move.sender) for move in moves], now_ms)
    for move in moves:
        cases.take(move)
    cases.write()


def hold_cases(tx: Transaction, held: Sequence[Move]) -> None:
    """Keep what held messages say until they are shown."""
    tx.insert(rows.ADD_WAITING, [(move.sender.code, move.message_id.raw, rows.pack_entry(move.entry)) for move in held])


def show_cases(tx: Transaction, shown: Sequence[tuple[str, bytes]], now_ms: int) -> None:
    """Let held messages (sender, id) count that are shown now, in this order."""
    found = {(row[0], row[1]): row for row in tx.look_up(rows.WAITING, [message_id for _, message_id in shown])}
    moves = []
    for key in shown:
        row = found.get(key)
        if row is None:
            continue
        sender, message_id, entry, thread_id, authority, mode, urgency, create_ms, expire_ms = row
        moves.append(
            Move(
                entry=rows.unpack_entry(entry),
                sender=PartnerId(sender),
                message_id=MessageId(message_id),
                thread_id=ThreadId(thread_id),
                authority=authority,
                mode=Mode(mode),
                urgency=Urgency(urgency),
                create_ms=create_ms,
                expire_ms=expire_ms,
            )
        )
    if moves:
        take_cases(tx, moves, now_ms)
        tx.run_for(rows.DROP_WAITING, [(move.sender.code, move.message_id.raw) for move in moves])


def pass_time(tx: Transaction, operation: PassTime) -> bool:
    """Record what time brought about, unless the case has changed meanwhile."""
    key = (operation.thread_id.raw, operation.partner.code)
    found = [rows.case_of(row) for row in tx.look_up(rows.CASES_TO_MOVE, [key])]
    if not found or found[0].steps != operation.steps:
        return False
    row = found[0]
    now_ms = operation.now_ms
    steps = [
        (*key, number, now_ms, rows.CAUSES[Cause.CLOCK], operation.sender.code, None, *_turn_columns(turn, ""))
        for number, turn in enumerate(operation.turns, row.steps)
    ]
    after = replace(row, case=operation.case, steps=row.steps + len(steps), change_ms=now_ms)
    tx.insert(rows.PUT, [rows.case_columns(after)])
    tx.insert(rows.ADD_STEPS, steps)
    tx.add_events([(CASE_CHANGED, now_ms, operation.sender.code, row.message_id.raw, key[1], operation.case.word)])
    add_log(tx, [operation.log])
    return True


def find_cases(session: Session, query: FindCases) -> tuple[CaseRow, ...]:
    """Return the cases of threads."""
    return tuple(map(rows.case_of, session.look_up(rows.OF_THREADS, [thread.raw for thread in query.threads])))


def list_cases(session: Session, query: ListCases) -> tuple[CaseRow, ...]:
    """Return cases, what changed last first."""
    after = query.after
    values: dict[str, object] = {
        "before_ms": FAR_MS if after is None else after.change_ms,
        "before_thread": b"" if after is None else after.thread_id.raw,
        "before_partner": "" if after is None else after.partner.code,
        "max_rows": query.max_rows,
    }
    return tuple(map(rows.case_of, session.rows(rows.LIVE if query.live else rows.ALL, **values)))


def case_history(session: Session, query: CaseHistory) -> tuple[CaseStep, ...]:
    """Return what happened in a case."""
    found = session.rows(rows.STEPS, of_thread=query.thread_id.raw, with_partner=query.partner.code)
    return tuple(
        CaseStep(
            number=number,
            time_ms=time_ms,
            cause=rows.CAUSE_OF[cause],
            sender=PartnerId(sender),
            message_id=None if message_id is None else MessageId(message_id),
            turn=Turn(place, event, before, after, bool(late)) if event else None,
            finding=finding,
        )
        for _, _, number, time_ms, cause, sender, message_id, place, event, before, after, late, finding in found
    )
