"""Reads the info blocks of a CAP document, with their resources and areas."""

from typing import Final

from lxml import etree

from adapters.connectors.cap.findings import Code, Findings
from adapters.connectors.cap.geometry import most_points_of, parse_circle, parse_number, parse_ring
from adapters.connectors.cap.section import Section, clean, element_text, fit_characters
from adapters.connectors.cap.times import parse_time
from gateway.model.alert import (
    AlertCertainty,
    AlertInfo,
    AlertSeverity,
    AlertUrgency,
    Area,
    NamedValue,
    Resource,
    SourceTime,
)
from gateway.model.text import is_language

_INFO_NAMES: Final = (
    "language", "category", "event", "responseType", "urgency", "severity", "certainty", "audience", "eventCode",
    "effective", "onset", "expires", "senderName", "headline", "description", "instruction", "web", "contact",
    "parameter", "resource", "area",
)  # fmt: skip
INFO_ORDER: Final = {name: position for position, name in enumerate(_INFO_NAMES)}
INFO_REPEATABLE: Final = frozenset({"category", "responseType", "eventCode", "parameter", "resource", "area"})
_RESOURCE_NAMES: Final = ("resourceDesc", "mimeType", "size", "uri", "derefUri", "digest")
_RESOURCE_ORDER: Final = {name: position for position, name in enumerate(_RESOURCE_NAMES)}
_AREA_NAMES: Final = ("areaDesc", "polygon", "circle", "geocode", "altitude", "ceiling")
_AREA_ORDER: Final = {name: position for position, name in enumerate(_AREA_NAMES)}
_AREA_REPEATABLE: Final = frozenset({"polygon", "circle", "geocode"})
MAX_VALUE: Final = 16_384
"""Characters, as Geocode.value of alert.proto. The longest real one has 1,935."""
_PAIR_ORDER: Final = {"valueName": 0, "value": 1}

_CATEGORIES: Final = frozenset(
    ("Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other")
)
_RESPONSES: Final = frozenset(
    ("Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None")
)
_URGENCIES: Final = {
    "Immediate": AlertUrgency.IMMEDIATE,
    "Expected": AlertUrgency.EXPECTED,
    "Future": AlertUrgency.FUTURE,
    "Past": AlertUrgency.PAST,
    "Unknown": AlertUrgency.UNKNOWN,
}
_SEVERITIES: Final = {
    "Extreme": AlertSeverity.EXTREME,
    "Severe": AlertSeverity.SEVERE,
    "Moderate": AlertSeverity.MODERATE,
    "Minor": AlertSeverity.MINOR,
    "Unknown": AlertSeverity.UNKNOWN,
}
_CERTAINTIES: Final = {
    "Observed": AlertCertainty.OBSERVED,
    "Likely": AlertCertainty.LIKELY,
    "Possible": AlertCertainty.POSSIBLE,
    "Unlikely": AlertCertainty.UNLIKELY,
    "Unknown": AlertCertainty.UNKNOWN,
}
# CAP 1.0's word; CAP 1.1 says to read it as Likely.
_CERTAINTIES_1_0: Final = {**_CERTAINTIES, "Very Likely": AlertCertainty.LIKELY}
_DEFAULT_LANGUAGE: Final = "en-US"
_UNDETERMINED: Final = "und"
_MAX_SIZE: Final = 2**63 - 1


class RingBudget:
    """Says which polygons are read when a document has more points than a message can carry: the smallest first."""

    def __init__(self, root: etree._Element, most_points: int, findings: Findings) -> None:
        self._findings = findings
        self._too_much: set[etree._Element] = set()
        rings = [(most_points_of(element.text or ""), element) for element in root.iter("{*}polygon")]
        if sum(points for points, _ in rings) <= most_points:
            return
        spent = 0
        for points, element in sorted(rings, key=lambda ring: ring[0]):
            # One for closing the ring, and its own frame.
            spent += points + 2
            if spent > most_points:
                self._too_much.add(element)

    def has_room(self, element: etree._Element, path: str) -> bool:
        """Return whether a polygon is read, and note it when not."""
        if element not in self._too_much:
            return True
        self._findings.add(Code.POLYGON_DROPPED, path, "no room beside the original, which keeps it")
        return False


def read_info(section: Section, sent: SourceTime, version: str, budget: RingBudget) -> AlertInfo:
    """Return one info block. Nothing in it can stop an alert."""
    findings = section.findings
    times = {name: _time(section, name, version) for name in ("effective", "onset", "expires")}
    expires = times["expires"]
    if expires is None:
        findings.add(Code.EXPIRES_MISSING, section.at("expires"))
    else:
        starts = [time.time_ms for time in (times["effective"], times["onset"]) if time is not None]
        if expires.time_ms <= sent.time_ms:
            findings.add(Code.EXPIRES_BEFORE_SENT, section.at("expires"))
        elif any(expires.time_ms < start for start in starts):
            findings.add(Code.EXPIRES_BEFORE_START, section.at("expires"))
    areas = tuple(
        _area(Section(element, path, _AREA_ORDER, _AREA_REPEATABLE, findings), version, budget)
        for path, element in section.elements("area", 4096)
    )
    if not areas:
        findings.add(Code.AREA_MISSING, section.path)
    resources = tuple(
        _resource(Section(element, path, _RESOURCE_ORDER, frozenset(), findings))
        for path, element in section.elements("resource", 256)
    )
    if not section.count("category") and version != "1.0":
        findings.add(Code.ELEMENT_MISSING, section.at("category"))
    certainties = _CERTAINTIES_1_0 if version == "1.0" else _CERTAINTIES
    return AlertInfo(
        language=_language(section),
        categories=_listed(section, "category", 24, _CATEGORIES),
        event=section.text("event", 4096, required=True),
        response_types=_listed(section, "responseType", 16, _RESPONSES),
        urgency=section.choice("urgency", _URGENCIES, AlertUrgency.UNKNOWN, AlertUrgency.UNSPECIFIED),
        severity=section.choice("severity", _SEVERITIES, AlertSeverity.UNKNOWN, AlertSeverity.UNSPECIFIED),
        certainty=section.choice("certainty", certainties, AlertCertainty.UNKNOWN, AlertCertainty.UNSPECIFIED),
        audience=section.text("audience", 16_384),
        event_codes=_pairs(section, "eventCode", 64, version),
        effective_time=times["effective"],
        onset_time=times["onset"],
        expire_time=expires,
        sender_name=section.text("senderName", 4096),
        headline=section.text("headline", 16_384),
        description=section.text("description", 262_144),
        instruction=section.text("instruction", 262_144),
        web=section.uri("web", 4096),
        contact=section.text("contact", 16_384),
        parameters=_pairs(section, "parameter", 1000, version),
        resources=resources,
        areas=areas,
    )


def _language(section: Section) -> str:
    text = section.raw("language")
    path = section.at("language")
    if not text:
        section.findings.add(Code.LANGUAGE_MISSING, path, "read as en-US, as CAP has it; often it is not English")
        return _DEFAULT_LANGUAGE
    if is_language(text):
        return text
    section.findings.add(Code.LANGUAGE_INVALID, path, text)
    spelled = text.replace("_", "-")
    return spelled if is_language(spelled) else _UNDETERMINED


def _time(section: Section, name: str, version: str) -> SourceTime | None:
    text = section.raw(name)
    return parse_time(text, section.at(name), version, section.findings) if text else None


def _listed(section: Section, name: str, most_items: int, known: frozenset[str]) -> tuple[str, ...]:
    values = section.texts(name, most_items, 64)
    for number, value in enumerate(values, 1):
        if value not in known:
            section.findings.add(Code.VALUE_UNKNOWN, f"{section.at(name)}[{number}]", value)
    return values


def _pairs(section: Section, name: str, most_items: int, version: str) -> tuple[NamedValue, ...]:
    """Return eventCode, parameter or geocode values. CAP 1.0 wrote them as name=value."""
    pairs = []
    for path, element in section.elements(name, most_items):
        if len(element):
            pair = Section(element, path, _PAIR_ORDER, frozenset(), section.findings)
            scheme = clean(pair.raw("valueName", required=True), path, section.findings)
            value = clean(pair.raw("value", required=True), path, section.findings)
        else:
            scheme, separator, value = clean(
                element_text(element, path, section.findings), path, section.findings
            ).partition("=")
            if not separator:
                scheme, value = "", scheme
            if not value:
                section.findings.add(Code.ELEMENT_EMPTY, path)
            elif version != "1.0" or not separator:
                section.findings.add(Code.VALUE_FORM, path)
        if scheme or value:
            scheme = fit_characters(scheme, 256, path, section.findings)
            pairs.append(NamedValue(scheme, fit_characters(value, MAX_VALUE, path, section.findings)))
    return tuple(pairs)


def _resource(section: Section) -> Resource:
    findings = section.findings
    size_text = section.raw("size")
    size = parse_number(size_text) if size_text else 0.0
    if size is None or not 0 <= size <= _MAX_SIZE or not size.is_integer():
        findings.add(Code.NUMBER_INVALID, section.at("size"), size_text)
        size = 0.0
    if section.count("derefUri"):
        embedded = len(section.raw("derefUri"))
        findings.add(Code.DEREF_DROPPED, section.at("derefUri"), f"{embedded} characters, kept in the original only")
    digest = clean(section.raw("digest"), section.at("digest"), findings)
    if len(digest) > 128:
        findings.add(Code.VALUE_DROPPED, section.at("digest"), f"{len(digest)} characters; at most 128 are taken")
        digest = ""
    return Resource(
        description=section.text("resourceDesc", 16_384, required=True),
        media_type=fit_characters(section.text("mimeType", 1024, required=True), 255, section.at("mimeType"), findings),
        size_bytes=int(size),
        uri=section.uri("uri", 4096),
        digest=digest,
    )


def _area(section: Section, version: str, budget: RingBudget) -> Area:
    findings = section.findings
    polygons = []
    for path, element in section.elements("polygon", 1000):
        if budget.has_room(element, path):
            ring = parse_ring(element_text(element, path, findings), path, findings)
            if ring is not None:
                polygons.append(ring)
    circles = []
    for path, element in section.elements("circle", 1000):
        circle = parse_circle(element_text(element, path, findings), path, findings)
        if circle is not None:
            circles.append(circle)
    area = Area(
        description=section.text("areaDesc", 16_384, required=True),
        polygons=tuple(polygons),
        circles=tuple(circles),
        geocodes=_pairs(section, "geocode", 10_000, version),
        altitude_ft=_feet(section, "altitude"),
        ceiling_ft=_feet(section, "ceiling"),
    )
    if not area.polygons and not area.circles and not area.geocodes:
        findings.add(Code.AREA_NAME_ONLY, section.path)
    return area


def _feet(section: Section, name: str) -> float | None:
    text = section.raw(name)
    if not text:
        return None
    feet = parse_number(text)
    if feet is None or abs(feet) > 1e9:
        section.findings.add(Code.NUMBER_INVALID, section.at(name), text)
        return None
    return feet
