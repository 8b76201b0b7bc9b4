"""Reads CAP 1.0, 1.1 and 1.2 leniently: what is odd becomes a finding, what cannot be understood is refused.

The reader decides nothing about sending: whether the alert may leave is for domain rules and policy.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree

from adapters.connectors.cap.document import read_document
from adapters.connectors.cap.findings import Code, Findings, Refusal, Refused
from adapters.connectors.cap.info import INFO_ORDER, INFO_REPEATABLE, RingBudget, read_info
from adapters.connectors.cap.ours import read_back
from adapters.connectors.cap.section import Section, clean, fit_characters
from adapters.connectors.cap.signature import check_signatures
from adapters.connectors.cap.times import parse_time
from gateway.errors import FieldInvalid, MessageTooLarge
from gateway.model.alert import (
    Alert,
    AlertInfo,
    AlertReference,
    AlertSeverity,
    AlertType,
    AlertUrgency,
    Provenance,
    SourceTime,
)
from gateway.model.header import Mode, Urgency
from gateway.model.rules import SCOPES
from gateway.model.text import check_identifier

MEDIA_TYPE: Final = "application/cap+xml"
MAX_BODY_BYTES: Final = 2_000_000
"""The largest body of a message; original and value have to fit in it together."""
_ROOM: Final = 140_000
"""Kept free of the body for findings (200 of at most 700 bytes), handling and framing."""
_POINT_BYTES: Final = 20
"""A point of a ring in protobuf: two doubles with tags, and the frame round them."""

_ALERT_NAMES: Final = (
    "identifier", "sender", "sent", "status", "msgType", "source", "scope", "restriction", "addresses", "code", "note",
    "references", "incidents", "info",
)  # fmt: skip
_ALERT_ORDER: Final = {name: position for position, name in enumerate(_ALERT_NAMES)}
_ALERT_REPEATABLE: Final = frozenset({"code", "info"})
_HEAD: Final = ("identifier", "sender", "sent", "status", "msgType")
_MODES: Final = {"Actual": Mode.ACTUAL, "Exercise": Mode.EXERCISE, "Test": Mode.TEST}
_NOT_SENDABLE: Final = frozenset({"System", "Draft"})
_TYPES: Final = {
    "Alert": AlertType.ALERT,
    "Update": AlertType.UPDATE,
    "Cancel": AlertType.CANCEL,
    "Ack": AlertType.ACK,
    "Error": AlertType.ERROR,
}
_QUOTED: Final = re.compile(r'"([^"]*)"|([^\s"]+)')
_ODD_IN_IDENTIFIER: Final = re.compile(r"[\s,<&]")
_MAX_IDENTIFIER: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CapReading:
    """What one CAP document said."""

    alert: Alert
    """With provenance: the bytes verbatim, and the findings."""
    status: str
    """As written: Actual, Exercise, Test, System, Draft, or whatever else stood there."""
    mode: Mode | None
    """What the status allows to be sent as; None: it cannot be sent."""
    urgency: Urgency
    expire_ms: int | None
    """The latest expiry of any info; None when the file gives none."""
    version: str
    """1.0, 1.1, 1.2, google (its variant namespace) or none (no namespace)."""


@dataclass(slots=True)
class Head:
    """What is known of a document so far, for reports on documents refused half way."""

    identifier: str = ""
    sender: str = ""
    sent: str = ""
    status: str = ""
    version: str = ""


def read_cap(data: bytes, now_ms: int | None = None) -> CapReading:
    """Read one CAP document; without a clock, certificates of signatures are judged at the time it was sent.

    Raises:
        MessageMalformed: Not XML, hostile XML, or not a CAP alert.
        MessageTooLarge: More than can be carried verbatim.
        FieldInvalid: An element without which an alert is none is missing or unusable.
    """
    try:
        return read_with_head(data, Head(), now_ms)
    except Refused as refused:
        raise refused.error from None


def read_with_head(data: bytes, head: Head, now_ms: int | None = None) -> CapReading:
    """Read one CAP document and fill in the head on the way.

    Raises:
        Refused: As read_cap, with the code of the refusal.
    """
    findings = Findings()
    document = read_document(data, findings)
    head.version = document.version
    section = Section(document.root, "alert", _ALERT_ORDER, _ALERT_REPEATABLE, findings)
    # 1. What makes it an alert. Twice the same element could be read two ways, so it is refused.
    for name in _HEAD:
        if section.count(name) > 1:
            raise Refused(Refusal.HEAD_REPEATED, FieldInvalid(f"alert/{name}", "occurs more than once"))
    head.identifier = _identifier(section, "identifier", Refusal.IDENTIFIER_MISSING, Refusal.IDENTIFIER_INVALID)
    head.sender = _identifier(section, "sender", Refusal.SENDER_MISSING, Refusal.SENDER_INVALID)
    head.sent = clean(section.raw("sent"), "alert/sent", findings)[:64]
    head.status, mode = _status(section)
    sent_time = _sent(head.sent, document.version, findings)
    alert_type = _alert_type(section)
    # 2. Room: the original and the value go into one body.
    budget = RingBudget(document.root, _points_left(data, document.root, document.text_bytes), findings)
    # 3. The rest, none of which can stop the alert.
    infos = tuple(
        read_info(Section(element, path, INFO_ORDER, INFO_REPEATABLE, findings), sent_time, document.version, budget)
        for path, element in section.elements("info", 64)
    )
    if not infos:
        findings.add(Code.INFO_MISSING, "alert")
    scope = _scope(section)
    restriction = section.text("restriction", 4096)
    if scope == "Restricted" and not restriction:
        findings.add(Code.RESTRICTION_MISSING, "alert/restriction")
    addresses = _list(section, "addresses")
    if scope == "Private" and not addresses:
        findings.add(Code.ADDRESSES_MISSING, "alert/addresses")
    references = _references(section, head, alert_type)
    signature = check_signatures(document.root, sent_time.time_ms if now_ms is None else now_ms, findings)
    alert = read_back(
        Alert(
            identifier=head.identifier,
            source_sender=head.sender,
            sent_time=sent_time,
            alert_type=alert_type,
            scope=scope,
            source=section.text("source", 4096),
            restriction=restriction,
            addresses=addresses,
            codes=section.texts("code", 64, 1024),
            note=section.text("note", 65_536),
            references=references,
            incidents=_list(section, "incidents"),
            infos=infos,
        ),
        findings,
    )
    provenance = Provenance(
        connector="cap",
        media_type=MEDIA_TYPE,
        original=data,
        findings=findings.collected(),
        signature=signature.value,
    )
    return CapReading(
        alert=replace(alert, provenance=provenance),
        status=head.status,
        mode=mode,
        urgency=_urgency(infos),
        expire_ms=max((info.expire_time.time_ms for info in infos if info.expire_time is not None), default=None),
        version=document.version,
    )


def _identifier(section: Section, name: str, missing: Refusal, invalid: Refusal) -> str:
    value = section.raw(name)
    path = section.at(name)
    if not value:
        raise Refused(missing, FieldInvalid(path, "is missing"))
    if len(value) > _MAX_IDENTIFIER:
        raise Refused(invalid, FieldInvalid(path, f"has more than {_MAX_IDENTIFIER} characters"))
    try:
        check_identifier(value, path)
    except FieldInvalid as error:
        raise Refused(invalid, error) from None
    if _ODD_IN_IDENTIFIER.search(value):
        section.findings.add(Code.IDENTIFIER_FORM, path, value)
    return value


def _sent(text: str, version: str, findings: Findings) -> SourceTime:
    if not text:
        raise Refused(Refusal.SENT_MISSING, FieldInvalid("alert/sent", "is missing"))
    time = parse_time(text, "alert/sent", version, findings)
    if time is None:
        problem = "is no date and time, as in 2026-11-23T10:02:07+07:00"
        raise Refused(Refusal.SENT_INVALID, FieldInvalid("alert/sent", problem))
    return time


def _status(section: Section) -> tuple[str, Mode | None]:
    status = clean(section.raw("status", required=True), "alert/status", section.findings)[:64]
    if (mode := _MODES.get(status)) is not None:
        return status, mode
    if status in _NOT_SENDABLE:
        section.findings.add(Code.STATUS_NOT_SENDABLE, "alert/status", status)
        return status, None
    # Read without regard to case only towards the harmless side: nothing becomes actual by a guess.
    if (mode := _MODES.get(status.capitalize())) is not None and mode is not Mode.ACTUAL:
        section.findings.add(Code.VALUE_FORM, "alert/status", status)
        return status, mode
    section.findings.add(Code.VALUE_UNKNOWN, "alert/status", status)
    return status, None


def _alert_type(section: Section) -> AlertType:
    text = section.raw("msgType")
    if not text:
        raise Refused(Refusal.MSG_TYPE_MISSING, FieldInvalid("alert/msgType", "is missing"))
    if (found := _TYPES.get(text)) is not None:
        return found
    if (found := _TYPES.get(text.capitalize())) is not None:
        section.findings.add(Code.VALUE_FORM, "alert/msgType", text)
        return found
    problem = "must be Alert, Update, Cancel, Ack or Error"
    raise Refused(Refusal.MSG_TYPE_UNKNOWN, FieldInvalid("alert/msgType", problem))


def _scope(section: Section) -> str:
    scope = section.raw("scope", required=True)
    if scope in SCOPES:
        return scope
    if scope.capitalize() in SCOPES:
        section.findings.add(Code.VALUE_FORM, "alert/scope", scope)
        return scope.capitalize()
    section.findings.add(Code.VALUE_UNKNOWN, "alert/scope", scope)
    return ""


def _list(section: Section, name: str) -> tuple[str, ...]:
    """Return the items of a list whose members are apart by white space, and quoted when they have some inside."""
    path = section.at(name)
    text = clean(section.raw(name), path, section.findings)
    items = [quoted or plain for quoted, plain in _QUOTED.findall(text)]
    if len(items) > 256:
        section.findings.add(Code.ITEMS_CUT, path, f"{len(items)}; at most 256 are taken")
    return tuple(fit_characters(item, 1024, path, section.findings) for item in items[:256] if item)


def _references(section: Section, head: Head, alert_type: AlertType) -> tuple[AlertReference, ...]:
    path = "alert/references"
    references: list[AlertReference] = []
    tokens = section.raw("references").split()
    if len(tokens) > 1000:
        section.findings.add(Code.ITEMS_CUT, path, f"{len(tokens)}; at most 1000 are taken")
    for token in tokens[:1000]:
        # The identifier stands between the first comma and the last, so it may hold some itself.
        sender, _, rest = token.partition(",")
        identifier, _, sent = rest.rpartition(",")
        try:
            check_identifier(sender, path)
            check_identifier(identifier, path)
        except FieldInvalid:
            sender = identifier = ""
        if not sender or not identifier or not sent or len(sent) > 64 or len(token) > _MAX_IDENTIFIER:
            section.findings.add(Code.REFERENCE_INVALID, path, token)
            continue
        if sender == head.sender and identifier == head.identifier:
            section.findings.add(Code.REFERENCE_SELF, path, token)
        references.append(AlertReference(sender, identifier, clean(sent, path, section.findings)))
    if not references and alert_type in {AlertType.UPDATE, AlertType.CANCEL}:
        section.findings.add(Code.REFERENCE_MISSING, path, "an update or cancellation should name its predecessor")
    return tuple(references)


def _urgency(infos: tuple[AlertInfo, ...]) -> Urgency:
    """Derive how fast it has to travel: the most urgent info decides."""
    return min((_urgency_of(info) for info in infos), default=Urgency.U3)


def _urgency_of(info: AlertInfo) -> Urgency:
    immediate = info.urgency is AlertUrgency.IMMEDIATE
    if immediate and info.severity is AlertSeverity.EXTREME:
        return Urgency.U0
    if immediate or info.severity in {AlertSeverity.EXTREME, AlertSeverity.SEVERE}:
        return Urgency.U1
    return Urgency.U2 if info.urgency is AlertUrgency.EXPECTED else Urgency.U3


def _points_left(data: bytes, root: etree._Element, text_bytes: int) -> int:
    """Return how many points of rings fit into a body beside the original and its texts.

    Raises:
        Refused: The original and its texts alone do not.
    """
    shed = sum(len(element.text or "") for element in root.iter("{*}polygon", "{*}derefUri"))
    needed = len(data) + text_bytes - shed + _ROOM
    # The markup, counted here, pays for the framing of texts in protobuf.
    if needed > MAX_BODY_BYTES:
        error = MessageTooLarge("the CAP document together with its texts", needed - _ROOM, MAX_BODY_BYTES - _ROOM)
        raise Refused(Refusal.TOO_LARGE, error)
    return (MAX_BODY_BYTES - needed) // _POINT_BYTES
