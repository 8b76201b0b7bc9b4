"""Tells what would become of a CAP file, for people and scripts; sends nothing and never raises."""

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
MAX_CONTAINER_BYTES: Final = 16 << 20
"""Feeds and distributions hold many alerts; the largest of the corpus has 0.3 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapCheck:
    """The verdict on one file."""

    verdict: str
    """accepted, accepted_with_findings or refused."""
    reason: str
    """Stable code of the refusal, for example cap.doctype; empty unless refused."""
    detail: str
    """The refusal in words; empty unless refused."""
    findings: tuple[Finding, ...]
    identifier: str
    """Empty, like the next ones, when the file was refused before it was read."""
    sender: str
    sent: str
    """As written."""
    status: str
    version: str


def check_all(data: bytes) -> tuple[tuple[str, CapCheck], ...]:
    """Return the verdict on every alert in a file: itself, or those in a feed or an EDXL distribution.

    Each comes with what to put behind the file's name: nothing for a file that is one alert, else "#1", "#2" and so on.
    """
    whole = check_cap(data)
    if whole.reason not in {Refusal.IS_FEED.value, Refusal.IS_EDXL.value, Refusal.ROOT_UNKNOWN.value}:
        return (("", whole),)
    try:
        entries = read_container(data, MAX_CONTAINER_BYTES)
    except Rejected as error:
        return (("", replace(whole, detail=error.text) if whole.reason != Refusal.ROOT_UNKNOWN.value else whole),)
    inside = [alert for entry in entries for alert in entry.inline]
    if not inside:
        linked = sum(bool(entry.link) for entry in entries)
        found = Finding(
            Code.FEED_LINKS.value, "", f"{len(entries)} entries, {linked} with a link to an alert, none inside"
        )
        return (("", replace(whole, verdict=ACCEPTED_WITH_FINDINGS, reason="", detail="", findings=(found,))),)
    return tuple((f"#{place}", check_cap(alert)) for place, alert in enumerate(inside, 1))


def check_cap(data: bytes) -> CapCheck:
    """Return the verdict on a file's bytes. A document accepted here can still be refused at sending, by policy."""
    head = Head()
    verdict, reason, detail = ACCEPTED, "", ""
    findings: tuple[Finding, ...] = ()
    try:
        provenance = read_with_head(data, head).alert.provenance
    except Refused as refused:
        verdict, reason, detail = REFUSED, refused.code.value, refused.error.text
    else:
        if provenance is not None and provenance.findings:
            verdict, findings = ACCEPTED_WITH_FINDINGS, provenance.findings
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
    )
