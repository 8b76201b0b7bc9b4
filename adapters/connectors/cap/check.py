"""Tells what would become of a CAP file, for people and scripts; sends nothing and never raises."""

from dataclasses import dataclass
from typing import Final

from adapters.connectors.cap.findings import Refused
from adapters.connectors.cap.read import Head, read_with_head
from gateway.model.alert import Finding

ACCEPTED: Final = "accepted"
ACCEPTED_WITH_FINDINGS: Final = "accepted_with_findings"
REFUSED: Final = "refused"


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
