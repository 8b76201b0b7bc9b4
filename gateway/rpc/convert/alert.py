"""Alerts: proto to model and back, every field both ways."""

from collections.abc import Iterable
from typing import Final

from concord.v1 import alert_pb2 as pb

from gateway.model.alert import (
    Alert,
    AlertCertainty,
    AlertInfo,
    AlertReference,
    AlertSeverity,
    AlertType,
    AlertUrgency,
    Area,
    Circle,
    Finding,
    NamedValue,
    Point,
    Provenance,
    Resource,
    SourceTime,
)
from gateway.model.text import LocalizedText, TextOrigin
from gateway.rpc.convert.field import set_time, time_from_proto

# Look-ups, and lists rather than generators below, save a third of the time on the hot way.
_TYPE: Final[dict[int, AlertType]] = {item.value: item for item in AlertType}
_URGENCY: Final[dict[int, AlertUrgency]] = {item.value: item for item in AlertUrgency}
_SEVERITY: Final[dict[int, AlertSeverity]] = {item.value: item for item in AlertSeverity}
_ORIGIN: Final[dict[int, TextOrigin]] = {item.value: item for item in TextOrigin}
_CERTAINTY: Final[dict[int, AlertCertainty]] = {item.value: item for item in AlertCertainty}


def texts_from_proto(texts: Iterable[pb.LocalizedText]) -> tuple[LocalizedText, ...]:
    """Return the texts."""
    return tuple([LocalizedText(item.language, item.text, _ORIGIN[item.origin], item.authentic) for item in texts])


def texts_to_proto(texts: Iterable[LocalizedText]) -> list[pb.LocalizedText]:
    """Return the texts as they travel."""
    return [
        pb.LocalizedText(
            language=item.language,
            text=item.text,
            origin=item.origin.value,  # type: ignore[arg-type]
            authentic=item.authentic,
        )
        for item in texts
    ]


def _source_time_from_proto(time: pb.SourceTime, field: str) -> SourceTime:
    return SourceTime(
        time_from_proto(time.time, field),
        time.offset_minutes if time.HasField("offset_minutes") else None,
    )


def _set_source_time(message: pb.SourceTime, time: SourceTime) -> None:
    set_time(message.time, time.time_ms)
    if time.offset_minutes is not None:
        message.offset_minutes = time.offset_minutes


def _values_from_proto(values: Iterable[pb.Geocode]) -> tuple[NamedValue, ...]:
    return tuple([NamedValue(item.scheme, item.value) for item in values])


def _values_to_proto(values: Iterable[NamedValue]) -> list[pb.Geocode]:
    return [pb.Geocode(scheme=item.scheme, value=item.value) for item in values]


def _area_from_proto(area: pb.Area) -> Area:
    return Area(
        description=area.description,
        polygons=tuple(
            [tuple([Point(point.latitude, point.longitude) for point in polygon.points]) for polygon in area.polygons]
        ),
        circles=tuple(
            [Circle(Point(item.center.latitude, item.center.longitude), item.radius_km) for item in area.circles]
        ),
        geocodes=_values_from_proto(area.geocodes),
        altitude_ft=area.altitude_ft if area.HasField("altitude_ft") else None,
        ceiling_ft=area.ceiling_ft if area.HasField("ceiling_ft") else None,
    )


def _point_to_proto(point: Point) -> pb.Point:
    return pb.Point(latitude=point.latitude, longitude=point.longitude)


def _area_to_proto(area: Area) -> pb.Area:
    return pb.Area(
        description=area.description,
        polygons=[pb.Polygon(points=[_point_to_proto(point) for point in ring]) for ring in area.polygons],
        circles=[pb.Circle(center=_point_to_proto(item.center), radius_km=item.radius_km) for item in area.circles],
        geocodes=_values_to_proto(area.geocodes),
        altitude_ft=area.altitude_ft,
        ceiling_ft=area.ceiling_ft,
    )


def _resource_from_proto(resource: pb.Resource) -> Resource:
    return Resource(
        description=resource.description,
        media_type=resource.media_type,
        size_bytes=resource.size_bytes,
        uri=resource.uri,
        digest=resource.digest,
    )


def _resource_to_proto(resource: Resource) -> pb.Resource:
    return pb.Resource(
        description=resource.description,
        media_type=resource.media_type,
        size_bytes=resource.size_bytes,
        uri=resource.uri,
        digest=resource.digest,
    )


def _info_from_proto(info: pb.AlertInfo, parent: str) -> AlertInfo:
    return AlertInfo(
        language=info.language,
        categories=tuple(info.categories),
        event=info.event,
        response_types=tuple(info.response_types),
        urgency=_URGENCY[info.urgency],
        severity=_SEVERITY[info.severity],
        certainty=_CERTAINTY[info.certainty],
        audience=info.audience,
        event_codes=_values_from_proto(info.event_codes),
        effective_time=_source_time_from_proto(info.effective_time, f"{parent}.effective_time")
        if info.HasField("effective_time")
        else None,
        onset_time=_source_time_from_proto(info.onset_time, f"{parent}.onset_time")
        if info.HasField("onset_time")
        else None,
        expire_time=_source_time_from_proto(info.expire_time, f"{parent}.expire_time")
        if info.HasField("expire_time")
        else None,
        expiry_by_policy=info.expiry_by_policy,
        sender_name=info.sender_name,
        headline=info.headline,
        description=info.description,
        instruction=info.instruction,
        web=info.web,
        contact=info.contact,
        parameters=_values_from_proto(info.parameters),
        resources=tuple([_resource_from_proto(item) for item in info.resources]),
        areas=tuple([_area_from_proto(item) for item in info.areas]),
    )


def _info_to_proto(info: AlertInfo) -> pb.AlertInfo:
    message = pb.AlertInfo(
        language=info.language,
        categories=info.categories,
        event=info.event,
        response_types=info.response_types,
        urgency=info.urgency.value,  # type: ignore[arg-type]
        severity=info.severity.value,  # type: ignore[arg-type]
        certainty=info.certainty.value,  # type: ignore[arg-type]
        audience=info.audience,
        event_codes=_values_to_proto(info.event_codes),
        expiry_by_policy=info.expiry_by_policy,
        sender_name=info.sender_name,
        headline=info.headline,
        description=info.description,
        instruction=info.instruction,
        web=info.web,
        contact=info.contact,
        parameters=_values_to_proto(info.parameters),
        resources=[_resource_to_proto(item) for item in info.resources],
        areas=[_area_to_proto(item) for item in info.areas],
    )
    if info.effective_time is not None:
        _set_source_time(message.effective_time, info.effective_time)
    if info.onset_time is not None:
        _set_source_time(message.onset_time, info.onset_time)
    if info.expire_time is not None:
        _set_source_time(message.expire_time, info.expire_time)
    return message


def _provenance_from_proto(provenance: pb.Provenance) -> Provenance:
    return Provenance(
        connector=provenance.connector,
        media_type=provenance.media_type,
        original=provenance.original,
        findings=tuple(Finding(item.code, item.path, item.detail) for item in provenance.findings),
        signature=provenance.signature,
    )


def _provenance_to_proto(provenance: Provenance) -> pb.Provenance:
    return pb.Provenance(
        connector=provenance.connector,
        media_type=provenance.media_type,
        original=provenance.original,
        findings=[pb.Finding(code=item.code, path=item.path, detail=item.detail) for item in provenance.findings],
        signature=provenance.signature,
    )


def alert_from_proto(alert: pb.Alert, parent: str) -> Alert:
    """Return the alert; the declared rules have been checked, those of gateway.model.rules not yet.

    Raises:
        FieldInvalid: A time out of range.
    """
    return Alert(
        identifier=alert.identifier,
        source_sender=alert.source_sender,
        sent_time=_source_time_from_proto(alert.sent_time, f"{parent}.sent_time"),
        alert_type=_TYPE[alert.alert_type],
        scope=alert.scope,
        source=alert.source,
        restriction=alert.restriction,
        addresses=tuple(alert.addresses),
        codes=tuple(alert.codes),
        note=alert.note,
        references=tuple([AlertReference(item.sender, item.identifier, item.sent) for item in alert.references]),
        incidents=tuple(alert.incidents),
        infos=tuple([_info_from_proto(item, f"{parent}.infos[{index}]") for index, item in enumerate(alert.infos)]),
        advisory_level=alert.advisory_level if alert.HasField("advisory_level") else None,
        advisory_words=texts_from_proto(alert.advisory_words),
        provenance=_provenance_from_proto(alert.provenance) if alert.HasField("provenance") else None,
    )


def alert_to_proto(alert: Alert) -> pb.Alert:
    """Return the alert as it travels."""
    message = pb.Alert(
        identifier=alert.identifier,
        source_sender=alert.source_sender,
        alert_type=alert.alert_type.value,  # type: ignore[arg-type]
        scope=alert.scope,
        source=alert.source,
        restriction=alert.restriction,
        addresses=alert.addresses,
        codes=alert.codes,
        note=alert.note,
        references=[
            pb.AlertReference(sender=item.sender, identifier=item.identifier, sent=item.sent)
            for item in alert.references
        ],
        incidents=alert.incidents,
        infos=[_info_to_proto(item) for item in alert.infos],
        advisory_level=alert.advisory_level,
        advisory_words=texts_to_proto(alert.advisory_words),
        provenance=_provenance_to_proto(alert.provenance) if alert.provenance is not None else None,
    )
    _set_source_time(message.sent_time, alert.sent_time)
    return message
