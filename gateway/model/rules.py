"""Domain rules: what the types alone do not say about alerts, bodies and drafts. Those of cases are in content_rules.

Each rule raises FieldInvalid with the path of the field as the protocol names it (`body.alert.infos[0].headline`).
Sizes and counts are left to the field rules of the protocol, agreements and safeguards to policy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.alert import Alert, AlertInfo, AlertType, Area, Point, SourceTime
from gateway.model.assistance import Request
from gateway.model.case_drafts import check_case_draft
from gateway.model.content_rules import check_case
from gateway.model.header import MAX_LIFETIME_MS, MAX_TIME_MS
from gateway.model.message import Body, Draft, Handling, Onward, Ping, Tlp
from gateway.model.text import FORBIDDEN_IN_TEXT, check_identifier, check_text, check_uri, is_language

MAX_OFFSET_MINUTES: Final = 840
"""UTC+14, the furthest offset in use (Line Islands)."""
MAX_RADIUS_KM: Final = 20_040
"""Half of Earth's girth: a disc this wide is everywhere."""
MAX_ADVISORY_LEVEL: Final = 4
MAX_RECIPIENTS: Final = 250
SCOPES: Final = frozenset({"", "Public", "Restricted", "Private"})
"""CAP's, and empty for not stated."""

_CASE_TLP: Final = frozenset({Tlp.AMBER, Tlp.AMBER_STRICT, Tlp.RED})
_NEEDS_PREDECESSOR: Final = frozenset({AlertType.UPDATE, AlertType.CANCEL})


def check_draft(draft: Draft, now_ms: int) -> None:
    """Check a whole draft as it is handed in.

    Raises:
        FieldInvalid: A rule is broken; the first one found is named.
    """
    check_body(draft.body)
    recipients = draft.recipients
    if not recipients:
        raise FieldInvalid("recipients", "must name at least one partner")
    if len(recipients) > MAX_RECIPIENTS:
        raise FieldInvalid(
            "recipients",
            f"names {len(recipients)} partners; at most {MAX_RECIPIENTS} are taken",
        )
    if len(set(recipients)) != len(recipients):
        raise FieldInvalid("recipients", "names a partner twice")
    sender = draft.body.authority.partner
    if sender in recipients:
        raise FieldInvalid(f"recipients[{recipients.index(sender)}]", "is the sender itself")
    if draft.expire_ms is not None:
        if draft.expire_ms <= now_ms:
            raise FieldInvalid("expire_time", "is not in the future")
        if draft.expire_ms - now_ms > MAX_LIFETIME_MS:
            raise FieldInvalid("expire_time", "is more than 30 days ahead")
    if draft.supersedes is not None and len(draft.supersedes.content_commitment) != 32:
        raise FieldInvalid("supersedes_commitment", "must be 32 bytes")
    content = draft.body.content
    if (
        isinstance(content, Alert)
        and content.alert_type in _NEEDS_PREDECESSOR
        and not content.references
        and draft.supersedes is None
    ):
        raise FieldInvalid(
            "body.alert.references",
            "an update or cancellation must name the alert it is about",
        )
    if not isinstance(content, (Alert, Ping)):
        check_case_draft(draft, now_ms)


def check_body(body: Body, at: str = "body") -> None:
    """Check a body: handling, legal basis and content.

    Raises:
        FieldInvalid: A rule is broken; the first one found is named.
    """
    _check_handling(body.handling, f"{at}.handling")
    for index, basis in enumerate(body.legal_basis):
        if not basis.instrument:
            raise FieldInvalid(f"{at}.legal_basis[{index}].instrument", "must not be empty")
        check_identifier(basis.instrument, f"{at}.legal_basis[{index}].instrument")
        check_identifier(basis.article, f"{at}.legal_basis[{index}].article")
    match body.content:
        case Alert() as alert:
            check_alert(alert, f"{at}.alert")
        case Ping() as ping:
            if len(ping.nonce) != 16:
                raise FieldInvalid(f"{at}.ping.nonce", "must be 16 bytes")
        case content:
            _check_case_handling(body.handling, f"{at}.handling")
            if isinstance(content, Request) and not body.legal_basis:
                raise FieldInvalid(f"{at}.legal_basis", "must name the law that the request rests on")
            check_case(content, at)


def _check_case_handling(handling: Handling, at: str) -> None:
    """What a case may be done with is stated, and it is never for the public."""
    if handling.tlp not in _CASE_TLP:
        raise FieldInvalid(f"{at}.tlp", "must be AMBER, AMBER_STRICT or RED for a case")
    if handling.onward is Onward.UNSPECIFIED:
        raise FieldInvalid(f"{at}.onward", "must be stated for a case")


def check_alert(alert: Alert, at: str = "alert") -> None:
    """Check an alert by itself. Whether an update names its predecessor is for check_draft, which sees both ways.

    Raises:
        FieldInvalid: A rule is broken; the first one found is named.
    """
    if not alert.identifier:
        raise FieldInvalid(f"{at}.identifier", "must not be empty")
    check_identifier(alert.identifier, f"{at}.identifier")
    if not alert.source_sender:
        raise FieldInvalid(f"{at}.source_sender", "must not be empty")
    check_identifier(alert.source_sender, f"{at}.source_sender")
    _check_time(alert.sent_time, at, "sent_time")
    if alert.scope not in SCOPES:
        raise FieldInvalid(f"{at}.scope", "must be Public, Restricted or Private")
    level = alert.advisory_level
    if level is not None and not 0 <= level <= MAX_ADVISORY_LEVEL:
        raise FieldInvalid(f"{at}.advisory_level", f"must be 0 to {MAX_ADVISORY_LEVEL}")
    texts = [
        alert.source,
        alert.restriction,
        alert.note,
        *alert.addresses,
        *alert.codes,
        *alert.incidents,
    ]
    authentic = False
    for index, words in enumerate(alert.advisory_words):
        _check_language(words.language, at, f"advisory_words[{index}].language")
        if words.authentic and authentic:
            raise FieldInvalid(
                f"{at}.advisory_words[{index}].authentic",
                "only one text of a list can be authentic",
            )
        authentic = authentic or words.authentic
        texts.append(words.text)
    for index, reference in enumerate(alert.references):
        if not reference.identifier:
            raise FieldInvalid(f"{at}.references[{index}].identifier", "must not be empty")
        check_identifier(reference.identifier, f"{at}.references[{index}].identifier")
        check_identifier(reference.sender, f"{at}.references[{index}].sender")
        texts.append(reference.sent)
    for index, info in enumerate(alert.infos):
        _check_info(info, texts, at, index)
    if alert.provenance is not None:
        texts += (alert.provenance.connector, alert.provenance.media_type, alert.provenance.signature)
        for finding in alert.provenance.findings:
            texts += (finding.code, finding.path, finding.detail)
    # One look at everything: naming each field as we go would cost more than all other rules together.
    joined = "".join(texts)
    if not joined.replace("\n", " ").isprintable() and FORBIDDEN_IN_TEXT.search(joined):
        for path, text in _walk_texts(alert, at):
            check_text(text, path)


def _check_info(info: AlertInfo, texts: list[str], at: str, index: int) -> None:
    _check_language(info.language, at, f"infos[{index}].language")
    for name in ("effective_time", "onset_time", "expire_time"):
        time = getattr(info, name)
        if time is not None:
            _check_time(time, at, f"infos[{index}].{name}")
    if info.web:
        check_uri(info.web, f"{at}.infos[{index}].web")
    texts += info.categories
    texts += info.response_types
    texts += (
        info.event,
        info.audience,
        info.sender_name,
        info.headline,
        info.description,
        info.instruction,
        info.web,
        info.contact,
    )
    for named in info.event_codes:
        texts += (named.scheme, named.value)
    for named in info.parameters:
        texts += (named.scheme, named.value)
    for number, resource in enumerate(info.resources):
        check_uri(resource.uri, f"{at}.infos[{index}].resources[{number}].uri")
        texts += (
            resource.description,
            resource.media_type,
            resource.uri,
            resource.digest,
        )
    for number, area in enumerate(info.areas):
        texts.append(area.description)
        for named in area.geocodes:
            texts += (named.scheme, named.value)
        if area.polygons or area.circles or area.altitude_ft is not None or area.ceiling_ft is not None:
            _check_geometry(area, f"{at}.infos[{index}].areas[{number}]")


def _check_geometry(area: Area, at: str) -> None:
    for index, ring in enumerate(area.polygons):
        if len(ring) < 4:
            raise FieldInvalid(
                f"{at}.polygons[{index}]",
                "must have at least 4 points, the first repeated at the end",
            )
        if ring[0] != ring[-1]:
            raise FieldInvalid(
                f"{at}.polygons[{index}]",
                "must be closed: its last point must equal its first",
            )
        if not _is_on_earth(ring):
            raise FieldInvalid(
                f"{at}.polygons[{index}]",
                "has a point outside latitude -90..90 or longitude -180..180",
            )
    for index, circle in enumerate(area.circles):
        if not _is_on_earth((circle.center,)):
            raise FieldInvalid(
                f"{at}.circles[{index}].center",
                "is outside latitude -90..90 or longitude -180..180",
            )
        if not 0 <= circle.radius_km <= MAX_RADIUS_KM:
            raise FieldInvalid(f"{at}.circles[{index}].radius_km", f"must be 0 to {MAX_RADIUS_KM}")
    for name in ("altitude_ft", "ceiling_ft"):
        feet = getattr(area, name)
        # Geostationary height is 117 million feet; what matters is that NaN and infinities stay out.
        if feet is not None and not abs(feet) <= 1e9:
            raise FieldInvalid(f"{at}.{name}", "must be a finite height in feet")


def _is_on_earth(points: Sequence[Point]) -> bool:
    # NaN compares false and so is refused. A loop, because all() over a generator costs twice as much here.
    for point in points:  # noqa: SIM110
        if not (-90 <= point.latitude <= 90 and -180 <= point.longitude <= 180):
            return False
    return True


def _check_language(language: str, at: str, name: str) -> None:
    if not is_language(language):
        raise FieldInvalid(f"{at}.{name}", "must be a language tag, as in 'zh-Hans' (BCP 47)")


def _check_time(time: SourceTime, at: str, name: str) -> None:
    if not 0 <= time.time_ms <= MAX_TIME_MS:
        raise FieldInvalid(f"{at}.{name}", "must lie in the years 1970 to 9999")
    offset = time.offset_minutes
    if offset is not None and not -MAX_OFFSET_MINUTES <= offset <= MAX_OFFSET_MINUTES:
        raise FieldInvalid(f"{at}.{name}.offset_minutes", "must be within 14 hours of UTC")


def _check_handling(handling: Handling, at: str) -> None:
    check_identifier(handling.purpose, f"{at}.purpose")
    partners = handling.onward_partners
    if (handling.onward is Onward.LISTED) != bool(partners):
        raise FieldInvalid(f"{at}.onward_partners", "must be given exactly when onward is LISTED")
    if len(set(partners)) != len(partners):
        raise FieldInvalid(f"{at}.onward_partners", "names a partner twice")
    for name, instant_ms in (
        ("retain_until", handling.retain_until_ms),
        ("review_time", handling.review_ms),
    ):
        if instant_ms is not None and not 0 <= instant_ms <= MAX_TIME_MS:
            raise FieldInvalid(f"{at}.{name}", "must lie in the years 1970 to 9999")


def _walk_texts(value: object, at: str) -> Iterator[tuple[str, str]]:
    """Yield every text anywhere in a value of the model, with its path."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _walk_texts(item, f"{at}[{index}]")
    elif is_dataclass(value):
        for field in fields(value):
            yield from _walk_texts(getattr(value, field.name), f"{at}.{field.name}")
