"""Entries of the exchange log for alerts that change."""

from gateway.exchange.steps import GATEWAY, step
from gateway.ports import LogEntry
from gateway.store.alert_rows import Standing
from gateway.translog.entry import EventType


def changed(standing: Standing, now_ms: int) -> LogEntry:
    """Return the entry that an alert left its first state; that it came is an entry already.

    Made inside the commit because only there it is known what changes. Salts may differ when it is tried again.
    """
    known = standing.known
    return step(
        EventType.ALERT_CHANGED,
        now_ms,
        actor=GATEWAY,
        partner="" if standing.ours else known.partner.code,
        subject=known.message_id.raw,
        thread=known.thread_id.raw,
        outcome=known.state.word,
        reason=standing.reason,
        detail=str(known.successor_id or ""),
    )
