"""Which alerts national systems may see, and what is current among them.

Everything is listed that may be shown: a state, mode or marking that is not known here is not shown.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from adapters.connectors.cap.options import ShownOptions
from gateway.errors import NotFound
from gateway.ids import MessageId, PartnerId
from gateway.model.alert import Alert, AlertType
from gateway.model.header import Kind, Mode
from gateway.model.message import Body, Tlp
from gateway.ports import Desk, MessageRow

STATES: Final = frozenset({"received", "acknowledged", "released"})
CURRENT: Final = frozenset({"issued", "validated", "relayed", "noted", "expired"})
"""What counts, with expiry seen to apart. One in quarantine is in doubt, one declined our people did not take on."""
OVER: Final = frozenset({"superseded", "cancelled"})
_TLP: Final = {
    "clear": frozenset({Tlp.CLEAR}),
    "green": frozenset({Tlp.CLEAR, Tlp.GREEN}),
    "amber": frozenset({Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT}),
}
_REPLACES: Final = frozenset({AlertType.UPDATE, AlertType.CANCEL})
PAGE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What is known of one alert without reading it again."""

    sender: PartnerId
    message_id: MessageId
    title: str
    summary: str
    author: str
    time_ms: int
    expire_ms: int
    speaker: tuple[str, str]
    """The authority and, within it, the source: only the same one may take an alert back."""
    identifier: str
    replaces: tuple[str, ...]
    """Identifiers of alerts that this one updates or cancels."""


def may_show(options: ShownOptions, row: MessageRow) -> bool:
    """Return whether a message may be shown, as far as its row says."""
    if row.kind is not Kind.ALERT or row.state not in STATES or (row.sent and not options.own):
        return False
    if row.alert_state not in CURRENT | OVER:
        return False
    return row.mode is Mode.ACTUAL or (row.mode is Mode.EXERCISE and options.exercises)


def shown_alert(options: ShownOptions, body: Body | None) -> Alert | None:
    """Return the alert of a message if its marking lets it be shown; None also once it is erased."""
    if body is None or body.handling.tlp not in _TLP[options.tlp]:
        return None
    return body.content if isinstance(body.content, Alert) else None


class Shelf:
    """The current alerts, newest first, kept up with the gateway when asked.

    Args:
        keep: How many of the newest messages are looked through.
    """

    def __init__(self, desk: Desk, options: ShownOptions, keep: int) -> None:
        self._desk = desk
        self._options = options
        self._keep = keep
        self._known: dict[tuple[PartnerId, MessageId], Listed | None] = {}
        self._lock = asyncio.Lock()

    async def current(self) -> tuple[Listed, ...]:
        """Return what belongs into a feed now: not expired, not replaced or cancelled.

        Raises:
            GatewayError: The store does not answer.
        """
        # One at a time: many readers at once must not multiply the work.
        async with self._lock:
            listed = await self._look()
        now_ms = self._desk.now_ms()
        replaced = {(item.speaker, identifier) for item in listed for identifier in item.replaces}
        return tuple(
            item for item in listed if item.expire_ms > now_ms and (item.speaker, item.identifier) not in replaced
        )

    async def _look(self) -> list[Listed]:
        known: dict[tuple[PartnerId, MessageId], Listed | None] = {}
        token, seen = "", 0
        while seen < self._keep:
            rows, token = await self._desk.page(token, min(PAGE, self._keep - seen))
            seen += PAGE
            for row in rows:
                if may_show(self._options, row) and row.alert_state not in OVER:
                    key = (row.sender, row.message_id)
                    known[key] = self._known[key] if key in self._known else await self._listed(row)
            if not token:
                break
        self._known = known
        return [item for item in known.values() if item is not None]

    async def _listed(self, row: MessageRow) -> Listed | None:
        try:
            message = await self._desk.message(row.sender, row.message_id)
        except NotFound:
            return None
        alert = shown_alert(self._options, message.body)
        return _listed(row, alert) if alert is not None else None


def _listed(row: MessageRow, alert: Alert) -> Listed:
    infos = alert.infos
    # Several languages, one title: the reader of the feed sees that there are more in the alert.
    title = " / ".join(dict.fromkeys(info.headline or info.event for info in infos if info.headline or info.event))
    expiries = [info.expire_time.time_ms for info in infos if info.expire_time is not None]
    return Listed(
        sender=row.sender,
        message_id=row.message_id,
        title=(title or alert.identifier)[:500],
        summary="\n\n".join(info.description for info in infos if info.description)[:4_000],
        author=row.authority,
        time_ms=row.create_ms,
        expire_ms=min(row.expire_ms, max(expiries)) if len(expiries) == len(infos) and expiries else row.expire_ms,
        speaker=(row.authority, alert.source_sender),
        identifier=alert.identifier,
        replaces=tuple(item.identifier for item in alert.references) if alert.alert_type in _REPLACES else (),
    )
