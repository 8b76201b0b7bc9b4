"""Mark: what our side does with a received alert. It is recorded here, and shown to our own systems only."""

from typing import Final

from gateway.clock import Clock
from gateway.errors import ConcurrentUpdate, NotFound, StateConflict
from gateway.exchange.steps import step as log_step
from gateway.ids import MessageId, PartnerId
from gateway.ports import FindMessage, MarkAlert, Store
from gateway.translog.entry import EventType
from gateway.workflow.alert import RECEIVER, AlertEvent, AlertState, step

_DONE: Final = {
    AlertEvent.RELAY: {AlertState.RELAYED},
    AlertEvent.NOTE: {AlertState.NOTED},
    AlertEvent.DECLINE: {AlertState.DECLINED, AlertState.DISMISSED},
}
"""Where an alert stands that was marked so already."""
_OUTCOMES: Final = {AlertEvent.RELAY: "RELAYED", AlertEvent.NOTE: "NOTED", AlertEvent.DECLINE: "DECLINED"}


class AlertMarker:
    """Records marks."""

    def __init__(self, *, store: Store, clock: Clock, own: PartnerId) -> None:
        self._store = store
        self._clock = clock
        self._own = own

    async def mark(self, sender: PartnerId, message_id: MessageId, event: AlertEvent, *, actor: str) -> AlertState:
        """Record a mark and return where the alert stands; repeating it changes nothing.

        Args:
            event: RELAY, NOTE or DECLINE.

        Raises:
            NotFound: No such received alert, or it is not shown yet.
            StateConflict: We sent it ourselves, or its state does not allow the mark.
            ConcurrentUpdate: Others change it again and again.
        """
        if sender == self._own:
            raise StateConflict("an alert that we sent is marked by its recipients")
        stored = await self._store.read(FindMessage(sender=sender, message_id=message_id))
        if stored is None or not stored.row.alert_state:
            raise NotFound("no such received alert")
        now_ms = self._clock.now_ms()
        log = log_step(
            EventType.MESSAGE_DECIDED,
            now_ms,
            actor=actor,
            partner=sender.code,
            subject=message_id.raw,
            thread=stored.row.thread_id.raw,
            digest=stored.digest,
            outcome=_OUTCOMES[event],
        )
        made = await self._store.write(
            MarkAlert(sender=sender, message_id=message_id, event=event, now_ms=now_ms, log=log)
        )
        if made is None:
            raise NotFound("no such received alert")
        if made.after is not None:
            return made.after
        if made.before in _DONE[event]:
            return made.before
        step(RECEIVER, made.before, event)
        raise ConcurrentUpdate("the alert was changed by others at the same moment")
