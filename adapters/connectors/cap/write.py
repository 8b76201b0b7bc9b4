"""Writes CAP 1.2 strictly from an alert, and says what CAP could not carry."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Final

from lxml import etree

from gateway.errors import FieldInvalid
from gateway.model.alert import Alert, AlertInfo, Area, NamedValue, Point, Resource, SourceTime
from gateway.model.header import Mode

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATUSES: Final = {Mode.ACTUAL: "Actual", Mode.EXERCISE: "Exercise", Mode.TEST: "Test"}
_CATEGORIES: Final = frozenset(
    ("Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other")
)
_RESPONSES: Final = frozenset(
    ("Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None")
)
# XML 1.0's Char production, turned round: no escape can carry these.
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NEEDS_QUOTES: Final = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Loss:
    """Something of the alert that the document does not say, or says otherwise."""

    path: str
    """In the words of CAP, positions counted from 1."""
    detail: str


@dataclass(frozen=True, slots=True)
class CapWriting:
    """A CAP 1.2 document in UTF-8, and what it lost."""

    data: bytes
    losses: tuple[Loss, ...]


def write_cap(alert: Alert, mode: Mode) -> CapWriting:
    """Return the alert as CAP 1.2. The original bytes, if any, are not looked at: callers choose them or these.

    Raises:
        FieldInvalid: A text has a character that XML 1.0 cannot carry.
    """
    writer = _Writer()
    root = writer.alert(alert, mode)
    data = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return CapWriting(data, tuple(writer.losses))


class _Writer:
    def __init__(self) -> None:
        self.losses: list[Loss] = []

    def alert(self, alert: Alert, mode: Mode) -> etree._Element:
        root = etree.fromstring(f'<alert xmlns="{NAMESPACE}"/>')
        path = "alert"
        self._required(root, path, "identifier", alert.identifier)
        self._required(root, path, "sender", alert.source_sender)
        self._time(root, path, "sent", alert.sent_time)
        self._put(root, path, "status", _STATUSES[mode])
        self._put(root, path, "msgType", alert.alert_type.name.title())
        self._optional(root, path, "source", alert.source)
        scope = alert.scope
        if not scope:
            # The narrowest one: silence about the audience is no leave to publish.
            self._lose("alert/scope", "not stated; written as Private")
            scope = "Private"
        self._put(root, path, "scope", scope)
        self._optional(root, path, "restriction", alert.restriction)
        self._optional(root, path, "addresses", self._group("alert/addresses", alert.addresses))
        for code in alert.codes:
            self._optional(root, path, "code", code)
        self._optional(root, path, "note", alert.note)
        references = []
        for number, reference in enumerate(alert.references, 1):
            parts = (reference.sender, reference.identifier, reference.sent)
            if any(not part or "," in part or _NEEDS_QUOTES.search(part) for part in parts):
                self._lose(f"alert/references[{number}]", "a part is empty, or has a comma or white space")
            else:
                references.append(",".join(parts))
        self._optional(root, path, "references", " ".join(references))
        self._optional(root, path, "incidents", self._group("alert/incidents", alert.incidents))
        for number, info in enumerate(alert.infos, 1):
            self._info(etree.SubElement(root, _tag("info")), f"alert/info[{number}]", info)
        if alert.advisory_level is not None:
            self._lose("alert", "the advisory level has no place in CAP")
        if alert.advisory_words:
            self._lose("alert", "the words of the advice have no place in CAP")
        return root

    def _info(self, parent: etree._Element, path: str, info: AlertInfo) -> None:
        self._optional(parent, path, "language", info.language)
        categories = self._known(path, "category", info.categories, _CATEGORIES)
        if not categories:
            self._lose(f"{path}/category", "none; written as Other")
        for category in categories or ("Other",):
            self._put(parent, path, "category", category)
        self._required(parent, path, "event", info.event)
        for response in self._known(path, "responseType", info.response_types, _RESPONSES):
            self._put(parent, path, "responseType", response)
        self._choice(parent, path, "urgency", info.urgency)
        self._choice(parent, path, "severity", info.severity)
        self._choice(parent, path, "certainty", info.certainty)
        self._optional(parent, path, "audience", info.audience)
        self._pairs(parent, path, "eventCode", info.event_codes)
        self._time(parent, path, "effective", info.effective_time)
        self._time(parent, path, "onset", info.onset_time)
        self._time(parent, path, "expires", info.expire_time)
        if info.expiry_by_policy:
            self._lose(f"{path}/expires", "that policy set the expiry has no place in CAP")
        self._optional(parent, path, "senderName", info.sender_name)
        self._optional(parent, path, "headline", info.headline)
        self._optional(parent, path, "description", info.description)
        self._optional(parent, path, "instruction", info.instruction)
        self._optional(parent, path, "web", info.web)
        self._optional(parent, path, "contact", info.contact)
        self._pairs(parent, path, "parameter", info.parameters)
        for number, resource in enumerate(info.resources, 1):
            self._resource(etree.SubElement(parent, _tag("resource")), f"{path}/resource[{number}]", resource)
        for number, area in enumerate(info.areas, 1):
            self._area(etree.SubElement(parent, _tag("area")), f"{path}/area[{number}]", area)

    def _resource(self, parent: etree._Element, path: str, resource: Resource) -> None:
        self._required(parent, path, "resourceDesc", resource.description)
        self._required(parent, path, "mimeType", resource.media_type)
        self._optional(parent, path, "size", str(resource.size_bytes) if resource.size_bytes else "")
        self._optional(parent, path, "uri", resource.uri)
        self._optional(parent, path, "digest", resource.digest)

    def _area(self, parent: etree._Element, path: str, area: Area) -> None:
        self._required(parent, path, "areaDesc", area.description)
        for ring in area.polygons:
            self._put(parent, path, "polygon", " ".join(map(_point, ring)))
        for circle in area.circles:
            self._put(parent, path, "circle", f"{_point(circle.center)} {_number(circle.radius_km)}")
        self._pairs(parent, path, "geocode", area.geocodes)
        for name, feet in (("altitude", area.altitude_ft), ("ceiling", area.ceiling_ft)):
            if feet is not None:
                self._put(parent, path, name, _number(feet))

    def _known(self, path: str, name: str, values: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
        kept = []
        for number, value in enumerate(values, 1):
            if value in known:
                kept.append(value)
            else:
                self._lose(f"{path}/{name}[{number}]", "a value that CAP does not know")
        return tuple(kept)

    def _choice(self, parent: etree._Element, path: str, name: str, value: IntEnum) -> None:
        if not value:
            self._lose(f"{path}/{name}", "not stated; written as Unknown")
        self._put(parent, path, name, value.name.title() if value else "Unknown")

    def _pairs(self, parent: etree._Element, path: str, name: str, pairs: Iterable[NamedValue]) -> None:
        for number, pair in enumerate(pairs, 1):
            at = f"{path}/{name}[{number}]"
            child = etree.SubElement(parent, _tag(name))
            self._put(child, at, "valueName", pair.scheme)
            self._put(child, at, "value", pair.value)

    def _time(self, parent: etree._Element, path: str, name: str, time: SourceTime | None) -> None:
        if time is None:
            return
        if time.time_ms % 1000:
            self._lose(f"{path}/{name}", "CAP has whole seconds only")
        zone = timezone(timedelta(minutes=time.offset_minutes or 0))
        local = (_EPOCH + timedelta(seconds=time.time_ms // 1000)).astimezone(zone)
        text = local.isoformat(timespec="seconds")
        # RFC 3339: an unknown offset is -00:00, and stays unknown when read again.
        self._put(parent, path, name, text if time.offset_minutes is not None else f"{text[:-6]}-00:00")

    def _group(self, path: str, values: Iterable[str]) -> str:
        words = []
        for number, value in enumerate(values, 1):
            if '"' in value:
                self._lose(f"{path}[{number}]", "CAP cannot quote a quotation mark")
            else:
                words.append(f'"{value}"' if _NEEDS_QUOTES.search(value) else value)
        return " ".join(words)

    def _required(self, parent: etree._Element, path: str, name: str, value: str) -> None:
        self._put(parent, path, name, value)

    def _optional(self, parent: etree._Element, path: str, name: str, value: str) -> None:
        if value:
            self._put(parent, path, name, value)

    def _put(self, parent: etree._Element, path: str, name: str, value: str) -> None:
        at = f"{path}/{name}"
        if found := _NOT_XML.search(value):
            raise FieldInvalid(at, f"has a character that XML cannot carry (U+{ord(found[0]):04X})")
        if value != value.strip():
            self._lose(at, "white space at an end is not kept by readers")
        etree.SubElement(parent, _tag(name)).text = value

    def _lose(self, path: str, detail: str) -> None:
        self.losses.append(Loss(path, detail))


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _point(point: Point) -> str:
    # CAP writes latitude first.
    return f"{_number(point.latitude)},{_number(point.longitude)}"


def _number(value: float) -> str:
    # The shortest decimal that reads back as the same float, without an exponent, which xs:decimal does not know.
    return format(Decimal(repr(value)), "f")
