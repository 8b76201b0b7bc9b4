"""Events and their positions.

Positions are dense and in the order of commit. With one writer the position is given where the event is stored.
With many, numbers taken before a commit say nothing about its order: events wait in a table of their own until one
sequencer at a time moves what is committed behind what it moved before.
"""

from typing import Final

from sqlalchemy import Integer, bindparam, delete, func, select, update

from gateway.ids import MessageId, PartnerId
from gateway.model.envelope import Outcome
from gateway.ports import AssignPositions, EventRange, EventRow, EventsSince
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.tables import event, event_waiting, sequencer
from gateway.store.transaction import Session, Transaction
from gateway.workflow.alert import AlertState

EventColumns = tuple[int, int, str, bytes, str, str]
"""type, time_ms, sender, message_id, partner, reason"""

MESSAGE_RECEIVED: Final = 1
OUTCOME_EVENTS: Final = {
    Outcome.RECEIVED: 2,
    Outcome.REFUSED: 3,
    Outcome.ACKNOWLEDGED_BY_SYSTEM: 4,
    Outcome.ACKNOWLEDGED_BY_OFFICER: 4,
    Outcome.DECIDED: 5,
    Outcome.EXPIRED: 6,
}
ALERT_QUARANTINED, ALERT_VALIDATED, ALERT_SUPERSEDED, ALERT_CANCELLED = 7, 8, 9, 10
ALERT_MARKED: Final = {
    AlertState.RELAYED: 11,
    AlertState.NOTED: 12,
    AlertState.DECLINED: 13,
    AlertState.DISMISSED: 13,
}
CASE_OPENED, CASE_CHANGED, CASE_FINDING = 14, 15, 16
EVENT_NAMES: Final = {
    MESSAGE_RECEIVED: "message.received",
    2: "delivery.received",
    3: "delivery.refused",
    4: "delivery.acknowledged",
    5: "delivery.decided",
    6: "delivery.expired",
    ALERT_QUARANTINED: "alert.quarantined",
    ALERT_VALIDATED: "alert.validated",
    ALERT_SUPERSEDED: "alert.superseded",
    ALERT_CANCELLED: "alert.cancelled",
    11: "alert.relayed",
    12: "alert.noted",
    13: "alert.declined",
    CASE_OPENED: "case.opened",
    CASE_CHANGED: "case.changed",
    CASE_FINDING: "case.finding",
}

ADD_EVENTS: Final = Insert(event)
ADD_WAITING_EVENTS: Final = Insert(event_waiting)
LOCK_SEQUENCER: Final = Statement(select(sequencer.c.position).where(sequencer.c.id == constant(1)).with_for_update())
MOVE_SEQUENCER: Final = Statement(
    update(sequencer).where(sequencer.c.id == constant(1)).values(position=bindparam("new_position"))
)
NEXT_EVENTS: Final = Statement(
    select(*event_waiting.c).order_by(event_waiting.c.id).limit(bindparam("max_rows", type_=Integer))
)
DROP_WAITING: Final = Lookup(lambda keys: delete(event_waiting).where(event_waiting.c.id.in_(keys)), event_waiting.c.id)
SINCE: Final = Statement(
    select(*event.c)
    .where(event.c.position > bindparam("after_position"))
    .order_by(event.c.position)
    .limit(bindparam("max_rows", type_=Integer))
)
# Two statements in one: both ends at once would be looked for in all that is between.
FIRST_AND_LAST: Final = Statement(
    select(select(func.min(event.c.position)).scalar_subquery(), select(func.max(event.c.position)).scalar_subquery())
)


def assign_positions(tx: Transaction, operation: AssignPositions) -> int:
    """Move committed events behind those that have positions."""
    row = tx.row(LOCK_SEQUENCER)
    waiting = tx.rows(NEXT_EVENTS, max_rows=operation.max_rows)
    if row is None or not waiting:
        return 0
    first = int(row[0]) + 1
    tx.insert(ADD_EVENTS, [(first + place, *columns[1:]) for place, columns in enumerate(map(tuple, waiting))])
    tx.run_for(DROP_WAITING, [columns[0] for columns in waiting])
    tx.run(MOVE_SEQUENCER, new_position=first + len(waiting) - 1)
    tx.touch("events")
    return len(waiting)


def events_since(session: Session, query: EventsSince) -> tuple[EventRow, ...]:
    """Return events after a position."""
    return tuple(
        EventRow(
            position=position,
            type=EVENT_NAMES[kind],
            time_ms=time_ms,
            sender=PartnerId(sender),
            message_id=MessageId(message_id),
            partner=PartnerId(partner),
            reason=reason,
        )
        for position, kind, time_ms, sender, message_id, partner, reason in session.rows(
            SINCE, after_position=query.position, max_rows=query.max_rows
        )
    )


def event_range(session: Session, _: EventRange) -> tuple[int, int]:
    """Return the first and the last position."""
    row = session.row(FIRST_AND_LAST)
    return (1, 0) if row is None or row[0] is None else (row[0], row[1])
