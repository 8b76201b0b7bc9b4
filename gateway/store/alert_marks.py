"""What our side does with a received alert: handed on, noted, declined."""

from typing import Final

from gateway.errors import StateConflict
from gateway.ports import AlertMark, MarkAlert
from gateway.store.alert_rows import BY_ID, DROP_WAITS, MOVE, standing_of
from gateway.store.events import ALERT_MARKED
from gateway.store.log import add_log
from gateway.store.transaction import Transaction
from gateway.workflow.alert import RECEIVER, AlertState, state_at, step

_TRIES: Final = 3
"""Another replica may move the alert in between: its issuer ends it once, and our side marks it a few times at most."""


def mark_alert(tx: Transaction, operation: MarkAlert) -> AlertMark | None:
    """Record a mark, unless the alert's state does not allow it."""
    sender, message_id = operation.sender.code, operation.message_id.raw
    before = AlertState.RECEIVED
    for _ in range(_TRIES):
        rows = tx.look_up(BY_ID, [message_id], of_sender=sender)
        if not rows or (standing := standing_of(rows[0])).ours:
            return None
        stored = standing.known.state
        before = state_at(stored, standing.known.expire_ms, operation.now_ms)
        try:
            after = step(RECEIVER, before, operation.event)
        except StateConflict:
            break
        moved = tx.run(MOVE, of_sender=sender, of_message=message_id, old_state=int(stored), new_state=int(after))
        if not moved:
            continue
        tx.run_for(DROP_WAITS, [row[:-1] for row in standing.waits()])
        add_log(tx, [operation.log])
        tx.add_events([(ALERT_MARKED[after], operation.now_ms, sender, message_id, sender, "")])
        return AlertMark(before=before, after=after)
    return AlertMark(before=before, after=None)
