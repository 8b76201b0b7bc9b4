"""From an alert of the gateway to the CAP 1.2 document that national systems get.

An alert that came in as CAP 1.2 leaves as the very bytes its issuer wrote, unless they would say something false about
its mode. Anything else is written anew from the value.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from lxml import etree

from adapters.connectors.cap.read import read_cap
from gateway.errors import Rejected
from gateway.model.alert import Alert, AlertInfo, AlertUrgency, Area, NamedValue, SourceTime
from gateway.model.header import Mode

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
_TICK: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def cap_document(alert: Alert, mode: Mode) -> bytes:
    """Return the alert as a CAP 1.2 document whose status is its mode."""
    original = alert.provenance.original if alert.provenance is not None else b""
    if original and alert.provenance is not None and alert.provenance.media_type == "application/cap+xml":
        try:
            reading = read_cap(original)
        except Rejected:
            # The sender's gateway says it is CAP; ours does not take its word.
            return written(alert, mode)
        # The value is what policy and officers saw; an original that says something else is not passed on.
        same = (reading.alert.identifier, reading.alert.infos) == (alert.identifier, alert.infos)
        if same and reading.version == "1.2" and reading.mode is mode:
            return original
    return written(alert, mode)


def written(alert: Alert, mode: Mode) -> bytes:
    """Return a CAP 1.2 document written from the value, in the order of the schema."""
    root = etree.fromstring(f'<alert xmlns="{NAMESPACE}"/>')
    _add(root, "identifier", alert.identifier)
    _add(root, "sender", alert.source_sender)
    _add(root, "sent", time_text(alert.sent_time))
    _add(root, "status", mode.name.capitalize())
    _add(root, "msgType", alert.alert_type.name.capitalize())
    _add(root, "source", alert.source)
    _add(root, "scope", alert.scope or "Public")
    _add(root, "restriction", alert.restriction)
    _add(root, "addresses", _listed(alert.addresses))
    for code in alert.codes:
        _add(root, "code", code)
    _add(root, "note", alert.note)
    _add(root, "references", " ".join(f"{item.sender},{item.identifier},{item.sent}" for item in alert.references))
    _add(root, "incidents", _listed(alert.incidents))
    for info in alert.infos:
        _info(_child(root, "info"), info)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _info(element: etree._Element, info: AlertInfo) -> None:
    _add(element, "language", info.language)
    for category in info.categories or ("Other",):
        _add(element, "category", category)
    _add(element, "event", info.event or info.headline or "-")
    for response in info.response_types:
        _add(element, "responseType", response)
    # Required by CAP; what was not stated is unknown.
    for name in ("urgency", "severity", "certainty"):
        value = getattr(info, name)
        _add(element, name, "Unknown" if value == AlertUrgency.UNSPECIFIED else value.name.capitalize())
    _add(element, "audience", info.audience)
    _named(element, "eventCode", info.event_codes)
    for name, time in (
        ("effective", info.effective_time),
        ("onset", info.onset_time),
        ("expires", info.expire_time),
    ):
        if time is not None:
            _add(element, name, time_text(time))
    _add(element, "senderName", info.sender_name)
    _add(element, "headline", info.headline)
    _add(element, "description", info.description)
    _add(element, "instruction", info.instruction)
    _add(element, "web", info.web)
    _add(element, "contact", info.contact)
    _named(element, "parameter", info.parameters)
    for resource in info.resources:
        child = _child(element, "resource")
        _add(child, "resourceDesc", resource.description or "-")
        _add(child, "mimeType", resource.media_type or "application/octet-stream")
        _add(child, "size", str(resource.size_bytes) if resource.size_bytes else "")
        _add(child, "uri", resource.uri)
        _add(child, "digest", resource.digest)
    for area in info.areas:
        _area(_child(element, "area"), area)


def _area(element: etree._Element, area: Area) -> None:
    _add(element, "areaDesc", area.description or "-")
    for ring in area.polygons:
        _add(element, "polygon", " ".join(f"{_number(p.latitude)},{_number(p.longitude)}" for p in ring))
    for circle in area.circles:
        centre = f"{_number(circle.center.latitude)},{_number(circle.center.longitude)}"
        _add(element, "circle", f"{centre} {_number(circle.radius_km)}")
    _named(element, "geocode", area.geocodes)
    if area.altitude_ft is not None:
        _add(element, "altitude", _number(area.altitude_ft))
        # CAP allows a ceiling only above an altitude.
        if area.ceiling_ft is not None:
            _add(element, "ceiling", _number(area.ceiling_ft))


def time_text(time: SourceTime) -> str:
    """Return a time as CAP 1.2 writes it: whole seconds and a numeric offset, -00:00 when the source knew none."""
    if time.offset_minutes is None:
        text = (_EPOCH + time.time_ms * _TICK).replace(microsecond=0).isoformat()
        return text.removesuffix("+00:00") + "-00:00"
    zone = timezone(timedelta(minutes=time.offset_minutes))
    try:
        local = (_EPOCH + time.time_ms * _TICK).astimezone(zone)
    except OverflowError:
        # The last hours of year 9999, east of Greenwich.
        local = _EPOCH + time.time_ms * _TICK
    return local.replace(microsecond=0).isoformat()


def _number(value: float) -> str:
    """Return a number as xs:decimal has it, without an exponent."""
    return f"{value:.9f}".rstrip("0").rstrip(".") or "0"


def _listed(items: tuple[str, ...]) -> str:
    """Return a list whose members are apart by white space, quoted when they hold some."""
    return " ".join(f'"{item}"' if any(char.isspace() for char in item) else item for item in items)


def _named(element: etree._Element, name: str, values: tuple[NamedValue, ...]) -> None:
    for value in values:
        child = _child(element, name)
        _add(child, "valueName", value.scheme, always=True)
        _add(child, "value", value.value, always=True)


def _child(element: etree._Element, name: str) -> etree._Element:
    return etree.SubElement(element, f"{{{NAMESPACE}}}{name}")


def _add(element: etree._Element, name: str, text: str, *, always: bool = False) -> None:
    if text or always:
        _child(element, name).text = text
