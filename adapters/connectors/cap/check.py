"""Tells what would become of a CAP file or of all alerts in a container, for people and scripts.

Sends nothing and never raises.
"""

from dataclasses import dataclass, replace
from typing import Final

from adapters.connectors.cap.findings import Code, Refusal, Refused
from adapters.connectors.cap.read import Head, read_with_head
from adapters.connectors.cap.unpack import read_container
from gateway.errors import Rejected
from gateway.model.alert import Finding

ACCEPTED: Final = "accepted"
ACCEPTED_WITH_FINDINGS: Final = "accepted_with_findings"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapCheck:
    """The verdict on one alert, or on a file that holds none."""

    verdict: str
    """accepted, accepted_with_findings or refused."""
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


def check_all(data: bytes, now_ms: int | None = None) -> tuple[tuple[str, CapCheck], ...]:
    """Return the verdict on every alert in a file: itself, or those in a feed or an EDXL distribution.

    Each comes with what to put behind the file's name: nothing for a file that is one alert, else "#1", "#2" and so on.
    """
    whole = check_cap(data, now_ms)
    if whole.reason not in {Refusal.IS_FEED.value, Refusal.IS_EDXL.value, Refusal.ROOT_UNKNOWN.value}:
        return (("", whole),)
    try:
        entries = read_container(data, len(data))
    except Rejected as error:
        return (("", replace(whole, detail=error.text) if whole.reason != Refusal.ROOT_UNKNOWN.value else whole),)
    inside = [alert for entry in entries for alert in entry.inline]
    if not inside:
        linked = sum(bool(entry.link) for entry in entries)
        found = Finding(
            Code.FEED_LINKS.value, "", f"{len(entries)} entries, {linked} with a link to an alert, none inside"
        )
        return (("", replace(whole, verdict=ACCEPTED_WITH_FINDINGS, reason="", detail="", findings=(found,))),)
    return tuple((f"#{place}", check_cap(alert, now_ms)) for place, alert in enumerate(inside, 1))


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
