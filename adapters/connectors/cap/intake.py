"""Hands in what a source offers: from bytes to submitted alerts, under the rules of the source."""

from dataclasses import dataclass
from typing import Final

from adapters.connectors.cap.options import SourceOptions
from adapters.connectors.cap.read import CapReading, read_cap
from adapters.connectors.cap.unpack import unpack
from gateway.errors import FieldInvalid, FindingsRefused, Rejected
from gateway.model.header import MAX_LIFETIME_MS, Urgency
from gateway.model.message import Body, Handling, Onward, Tlp
from gateway.ports import Desk, HandedIn, SubmissionResult

EXPIRY_MARGIN_MS: Final = 60_000
"""A message may live 30 days from when it is sealed, which is a little after now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of one alert; it need not be handed in again."""

    identifier: str
    result: SubmissionResult | None
    error: Rejected | None


class Intake:
    """Hands in the alerts of one source."""

    def __init__(self, desk: Desk, source: SourceOptions) -> None:
        self._desk = desk
        self._source = source

    async def hand_in(self, data: bytes) -> tuple[Settled, ...]:
        """Hand in every alert in a document: a CAP file, or an EDXL distribution of several.

        Raises:
            Busy, Broken: Not now; handing the same bytes in again is safe.
            Rejected: The document holds no alerts.
        """
        return tuple([await self._one(alert) for alert in unpack(data)])

    async def _one(self, data: bytes) -> Settled:
        identifier = ""
        try:
            reading = read_cap(data)
            identifier = reading.alert.identifier
            result = await self._desk.submit(self._draft(reading), self._source.name, data)
        except Rejected as error:
            return Settled(identifier=identifier, result=None, error=error)
        return Settled(identifier=identifier, result=result, error=None)

    def _draft(self, reading: CapReading) -> HandedIn:
        source, alert = self._source, reading.alert
        if reading.mode is not source.mode:
            # A test must never go out as a warning, nor a warning as a test, whatever the source was set up for.
            wanted = source.mode.name.capitalize()
            raise FieldInvalid("alert/status", f"is '{reading.status}'; this source hands in {wanted} only")
        findings = alert.provenance.findings if alert.provenance is not None else ()
        if findings and source.findings == "refuse":
            raise FindingsRefused(f"{len(findings)} finding(s), the first {findings[0].code} at {findings[0].path}")
        handling = Handling(
            tlp={"Public": Tlp.CLEAR, "Restricted": Tlp.AMBER}.get(alert.scope, Tlp.AMBER_STRICT),
            purpose=source.purpose,
            # A public warning may go on with our consent; what is not public may not go on at all.
            onward=Onward.ASK if alert.scope == "Public" else Onward.NONE,
        )
        return HandedIn(
            body=Body(authority=source.authority, handling=handling, legal_basis=(), content=alert),
            recipients=source.recipients,
            mode=source.mode,
            urgency=self._urgency(reading.urgency),
            expire_ms=self._expiry(reading.expire_ms),
        )

    def _urgency(self, stated: Urgency) -> Urgency:
        return max(self._source.urgency or stated, self._source.most_urgent)

    def _expiry(self, stated_ms: int | None) -> int | None:
        if stated_ms is None:
            return None
        return min(stated_ms, self._desk.now_ms() + MAX_LIFETIME_MS - EXPIRY_MARGIN_MS)
