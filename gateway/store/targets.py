"""Messages of which nothing was acknowledged by an instant."""

from typing import Final

from sqlalchemy import and_, bindparam, exists, func, or_, select

from gateway.ids import PartnerId
from gateway.model.envelope import Outcome
from gateway.ports import CountUnacknowledged, Unacknowledged
from gateway.store.statement import Statement, constant
from gateway.store.tables import RECEIVED, RECIPIENTS, RUNGS, SHOWN, WAITING, alert, outbox, received, rung, sent
from gateway.store.transaction import Session
from gateway.workflow.alert import AlertState

MAX_MESSAGES: Final = 100_000
"""Looked at in one span: more than are handed in in the seconds between two looks. It also bounds the cost."""
# With a limit it is a table of its own, which is read first: SQLite would begin with the whole outbox.
_sent = (
    select(sent.c.id)
    .where(
        sent.c.create_ms > bindparam("after_ms"),
        sent.c.create_ms <= bindparam("until_ms"),
        sent.c.urgency == bindparam("of_urgency"),
    )
    .limit(constant(MAX_MESSAGES))
    .subquery()
)
_ACTED: Final = (Outcome.ACKNOWLEDGED_BY_SYSTEM, Outcome.ACKNOWLEDGED_BY_OFFICER, Outcome.DECIDED)
UNACKNOWLEDGED_SENT: Final = Statement(
    select(outbox.c.partner, func.count())
    .select_from(
        _sent.join(
            outbox,
            and_(
                outbox.c.id >= _sent.c.id * constant(RECIPIENTS),
                outbox.c.id < (_sent.c.id + constant(1)) * constant(RECIPIENTS),
            ),
        )
    )
    .where(
        outbox.c.state.in_([constant(WAITING), constant(RECEIVED)]),
        ~exists().where(rung.c.id.in_([outbox.c.id * constant(RUNGS) + constant(outcome) for outcome in _ACTED])),
    )
    .group_by(outbox.c.partner)
)
_of_received = (alert.c.sender == received.c.sender) & (alert.c.message_id == received.c.message_id)
_UNMARKED = (AlertState.QUARANTINED, AlertState.VALIDATED)
UNACKNOWLEDGED_RECEIVED: Final = Statement(
    select(received.c.sender, func.count())
    .select_from(received.outerjoin(alert, _of_received))
    .where(
        received.c.create_ms > bindparam("after_ms"),
        received.c.create_ms <= bindparam("until_ms"),
        received.c.urgency == bindparam("of_urgency"),
        received.c.state == constant(SHOWN),
        or_(alert.c.state.is_(None), alert.c.state.in_([constant(state) for state in _UNMARKED])),
    )
    .group_by(received.c.sender)
)


def count_unacknowledged(session: Session, query: CountUnacknowledged) -> Unacknowledged:
    """Return how many there are by partner, sent and received."""
    span = {"after_ms": query.after_ms, "until_ms": query.until_ms, "of_urgency": int(query.urgency)}
    counts = [
        {PartnerId(partner): int(count) for partner, count in session.rows(statement, **span)}
        for statement in (UNACKNOWLEDGED_SENT, UNACKNOWLEDGED_RECEIVED)
    ]
    return Unacknowledged(sent=counts[0], received=counts[1])
