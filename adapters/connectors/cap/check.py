"""Tells what would become of a CAP file or of all alerts in a container, for people and scripts.

Sends nothing and never raises.
"""

from dataclasses import dataclass, replace
from typing import Final

from adapters.connectors.cap.container import open_container
from adapters.connectors.cap.findings import Refusal, Refused
from adapters.connectors.cap.read import Head, read_with_head
from gateway.model.alert import Finding

ACCEPTED: Final = "accepted"
ACCEPTED_WITH_FINDINGS: Final = "accepted_with_findings"
REFUSED: Final = "refused"
NO_ALERTS: Final = "no_alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapCheck:
    """The verdict on one alert, or on a file that holds none."""

    verdict: str
    """accepted, accepted_with_findings, refused, or no_alerts: a container that is in order but holds none."""
    reason: str
    """Stable code of the refusal, for example cap.doctype; empty unless refused."""
    detail: str
    """The refusal, or what the container holds instead, in words; else empty."""
    findings: tuple[Finding, ...]
    identifier: str
    """Empty, like the next ones, when the file was refused before it was read."""
    sender: str
    sent: str
    """As written."""
    status: str
    version: str
    signature: str
    """As in Provenance; empty when refused."""
    number: int = 0
    """Place in the container, counted from 1; 0 for a file that is an alert itself."""


def check_cap(data: bytes, now_ms: int | None = None) -> CapCheck:
    """Return the verdict on a file's bytes, read as read_cap reads them.

    A document accepted here can still be refused at sending, by policy.
    """
    head = Head()
    verdict, reason, detail = ACCEPTED, "", ""
    findings: tuple[Finding, ...] = ()
    signature = ""
    try:
        provenance = read_with_head(data, head, now_ms).alert.provenance
    except Refused as refused:
        verdict, reason, detail = REFUSED, refused.code.value, refused.error.text
    else:
        if provenance is not None:
            signature, findings = provenance.signature, provenance.findings
            verdict = ACCEPTED_WITH_FINDINGS if findings else ACCEPTED
    return CapCheck(
        verdict=verdict,
        reason=reason,
        detail=detail,
        findings=findings,
        identifier=head.identifier,
        sender=head.sender,
        sent=head.sent,
        status=head.status,
        version=head.version,
        signature=signature,
    )


def check_file(data: bytes, now_ms: int | None = None) -> tuple[CapCheck, ...]:
    """Return the verdict on a file, or on every alert of a feed, an EDXL distribution or a list; at least one."""
    whole = check_cap(data, now_ms)
    if whole.reason not in {Refusal.IS_FEED, Refusal.IS_EDXL}:
        return (whole,)
    try:
        contents = open_container(data)
    except Refused as refused:
        return (replace(whole, reason=refused.code.value, detail=refused.error.text),)
    if not contents.alerts:
        return (replace(whole, verdict=NO_ALERTS, reason="", detail=contents.summary),)
    return tuple(replace(check_cap(alert, now_ms), number=number) for number, alert in enumerate(contents.alerts, 1))
