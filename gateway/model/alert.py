"""Early warning: CAP 1.2's alert plus what ministries of foreign affairs add. Units and names as in alert.proto."""

from enum import IntEnum

from gateway.model.text import LocalizedText
from gateway.values import dataclass


class AlertType(IntEnum):
    """CAP msgType."""

    ALERT = 1
    UPDATE = 2
    CANCEL = 3
    ACK = 4
    ERROR = 5


class AlertUrgency(IntEnum):
    """CAP urgency; 0 means not stated."""

    UNSPECIFIED = 0
    IMMEDIATE = 1
    EXPECTED = 2
    FUTURE = 3
    PAST = 4
    UNKNOWN = 5


class AlertSeverity(IntEnum):
    """CAP severity; 0 means not stated."""

    UNSPECIFIED = 0
    EXTREME = 1
    SEVERE = 2
    MODERATE = 3
    MINOR = 4
    UNKNOWN = 5


class AlertCertainty(IntEnum):
    """CAP certainty; 0 means not stated."""

    UNSPECIFIED = 0
    OBSERVED = 1
    LIKELY = 2
    POSSIBLE = 3
    UNLIKELY = 4
    UNKNOWN = 5


@dataclass(frozen=True, slots=True)
class SourceTime:
    """An instant as its source wrote it."""

    time_ms: int
    offset_minutes: int | None
    """Minutes east of UTC; None when the source did not know its offset (CAP's -00:00)."""


@dataclass(frozen=True, slots=True)
class Point:
    """WGS 84 degrees. CAP writes latitude first, GeoJSON longitude first: the names settle it."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Circle:
    """A disc on the ground."""

    center: Point
    radius_km: float


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A value under a scheme: geocode, event code or parameter."""

    scheme: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Where."""

    description: str
    polygons: tuple[tuple[Point, ...], ...] = ()
    """Closed rings: first and last points are equal."""
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[NamedValue, ...] = ()
    altitude_ft: float | None = None
    ceiling_ft: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A file that belongs to an alert, by reference and digest."""

    description: str
    media_type: str
    size_bytes: int
    uri: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertInfo:
    """One language's account of the event."""

    language: str
    categories: tuple[str, ...] = ()
    event: str = ""
    response_types: tuple[str, ...] = ()
    urgency: AlertUrgency = AlertUrgency.UNSPECIFIED
    severity: AlertSeverity = AlertSeverity.UNSPECIFIED
    certainty: AlertCertainty = AlertCertainty.UNSPECIFIED
    audience: str = ""
    event_codes: tuple[NamedValue, ...] = ()
    effective_time: SourceTime | None = None
    onset_time: SourceTime | None = None
    expire_time: SourceTime | None = None
    expiry_by_policy: bool = False
    """The expiry was set by policy because the source gave none."""
    sender_name: str = ""
    headline: str = ""
    description: str = ""
    instruction: str = ""
    web: str = ""
    contact: str = ""
    parameters: tuple[NamedValue, ...] = ()
    resources: tuple[Resource, ...] = ()
    areas: tuple[Area, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertReference:
    """Names another alert as CAP does."""

    sender: str
    identifier: str
    sent: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd in an input that did not stop it."""

    code: str
    """Stable, for example cap.expires_missing."""
    path: str
    """Where, in the words of the format: info[1]/area[2]/polygon."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an alert came from when it was not born here."""

    connector: str
    media_type: str
    original: bytes
    """The bytes as they arrived, verbatim."""
    findings: tuple[Finding, ...] = ()
    signature: str = ""
    """What the connector found the original's own signature to be worth; empty when it did not look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A warning about danger to people. Carries no personal data and names no suspect."""

    identifier: str
    source_sender: str
    sent_time: SourceTime
    alert_type: AlertType
    scope: str = "Public"
    source: str = ""
    restriction: str = ""
    addresses: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    note: str = ""
    references: tuple[AlertReference, ...] = ()
    incidents: tuple[str, ...] = ()
    infos: tuple[AlertInfo, ...] = ()
    advisory_level: int | None = None
    """Travel advice 0 (none) to 4 (do not travel)."""
    advisory_words: tuple[LocalizedText, ...] = ()
    provenance: Provenance | None = None
