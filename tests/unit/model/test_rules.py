"""Every domain rule, kept and broken."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from math import inf, nan
from typing import Any

import pytest

from gateway.errors import FieldInvalid
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.model.alert import (
    Alert,
    AlertInfo,
    AlertReference,
    AlertType,
    Area,
    Circle,
    Finding,
    NamedValue,
    Point,
    Provenance,
    Resource,
    SourceTime,
)
from gateway.model.header import MAX_LIFETIME_MS, MAX_TIME_MS, Mode, Supersedes, Urgency
from gateway.model.message import Body, Draft, Handling, LegalBasis, Onward, Ping, Tlp
from gateway.model.rules import check_alert, check_body, check_draft
from gateway.model.text import LocalizedText, TextOrigin, is_language

NOW = 1_763_863_327_000
SENT = SourceTime(NOW - 60_000, 420)
RING = (Point(17.0, 100.0), Point(17.0, 101.0), Point(18.0, 101.0), Point(17.0, 100.0))

AREA = Area(
    description="ลุ่มน้ำโขง",
    polygons=(RING,),
    circles=(Circle(Point(17.9, 102.6), 25.0),),
    geocodes=(NamedValue("ISO 3166-2", "TH-43"),),
    altitude_ft=0.0,
    ceiling_ft=500.0,
)
INFO = AlertInfo(
    language="th",
    categories=("Met",),
    event="น้ำท่วม",
    response_types=("Evacuate",),
    audience="ประชาชน",
    event_codes=(NamedValue("concord:category", "disaster"),),
    effective_time=SENT,
    onset_time=SENT,
    expire_time=SourceTime(NOW + 3_600_000, None),
    sender_name="ศูนย์เตือนภัย",
    headline="เตือนภัยน้ำท่วม",
    description="ระดับน้ำสูงขึ้น\nอย่างรวดเร็ว",
    instruction="ย้ายไปที่สูง",
    web="https://warning.example/1",
    contact="+66 2 555 0100",
    parameters=(NamedValue("level", "3"),),
    resources=(
        Resource(description="แผนที่", media_type="image/png", size_bytes=9, uri="https://a.example/b", digest="ab"),
    ),
    areas=(AREA,),
)
ALERT = Alert(
    identifier="urn:oid:2.49.0.1.764.1",
    source_sender="warning@basin.example",
    sent_time=SENT,
    alert_type=AlertType.UPDATE,
    scope="Public",
    source="source",
    restriction="restriction",
    addresses=("desk@a.example",),
    codes=("profile:x",),
    note="note",
    references=(AlertReference("warning@basin.example", "urn:oid:2.49.0.1.764.0", "2026-11-23T10:00:00+07:00"),),
    incidents=("flood-1",),
    infos=(INFO,),
    advisory_level=3,
    advisory_words=(
        LocalizedText("th", "ระดับ 3", TextOrigin.ORIGINAL, authentic=True),
        LocalizedText("zh-Hans", "三级", TextOrigin.HUMAN),
    ),
    provenance=Provenance(
        connector="cap", media_type="a/b", original=b"\xff\x00", findings=(Finding("a.b", "c", "d"),)
    ),
)
HANDLING = Handling(tlp=Tlp.CLEAR, purpose="public_warning", onward=Onward.NONE)
BODY = Body(
    authority=AuthorityId("th/tmd"), handling=HANDLING, legal_basis=(LegalBasis("voluntary", ""),), content=ALERT
)
DRAFT = Draft(
    body=BODY,
    body_bytes=b"x",
    recipients=(PartnerId("la"), PartnerId("cn")),
    mode=Mode.EXERCISE,
    urgency=Urgency.U1,
    expire_ms=NOW + 1000,
    thread_id=None,
    in_reply_to=None,
    supersedes=None,
)


def field_of(alert: Alert) -> str:
    with pytest.raises(FieldInvalid) as caught:
        check_alert(alert)
    return caught.value.field


def with_info(**changes: Any) -> Alert:
    return replace(ALERT, infos=(INFO, replace(INFO, **changes)))


def with_area(**changes: Any) -> Alert:
    return with_info(areas=(replace(AREA, **changes),))


def test_a_full_draft_passes() -> None:
    check_draft(DRAFT, NOW)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"identifier": ""}, "alert.identifier"),
        ({"identifier": " x"}, "alert.identifier"),
        ({"identifier": "a\u200bb"}, "alert.identifier"),
        ({"identifier": "a\u2066b"}, "alert.identifier"),
        ({"identifier": "a\u202eb"}, "alert.identifier"),
        ({"identifier": "a\u2028b"}, "alert.identifier"),
        ({"identifier": "a\nb"}, "alert.identifier"),
        ({"identifier": "a\ud800"}, "alert.identifier"),
        ({"identifier": "a\ue000"}, "alert.identifier"),
        ({"source_sender": ""}, "alert.source_sender"),
        ({"source_sender": "a\ufeffb"}, "alert.source_sender"),
        ({"sent_time": SourceTime(-1, 0)}, "alert.sent_time"),
        ({"sent_time": SourceTime(MAX_TIME_MS + 1, 0)}, "alert.sent_time"),
        ({"sent_time": SourceTime(0, 841)}, "alert.sent_time.offset_minutes"),
        ({"sent_time": SourceTime(0, -841)}, "alert.sent_time.offset_minutes"),
        ({"scope": "public"}, "alert.scope"),
        ({"scope": "Secret"}, "alert.scope"),
        ({"advisory_level": 5}, "alert.advisory_level"),
        ({"advisory_level": -1}, "alert.advisory_level"),
        ({"advisory_words": (LocalizedText("", "x"),)}, "alert.advisory_words[0].language"),
        (
            {"advisory_words": (LocalizedText("th", "x", authentic=True), LocalizedText("en", "y", authentic=True))},
            "alert.advisory_words[1].authentic",
        ),
        ({"references": (AlertReference("s", "", "t"),)}, "alert.references[0].identifier"),
        ({"references": (AlertReference("s", "i\u200d", "t"),)}, "alert.references[0].identifier"),
        ({"references": (AlertReference("s\u200d", "i", "t"),)}, "alert.references[0].sender"),
    ],
)
def test_broken_alert_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    assert field_of(replace(ALERT, **change)) == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"language": ""}, "language"),
        ({"language": "en_US"}, "language"),
        ({"language": "x" * 36}, "language"),
        ({"language": "th\u202e"}, "language"),
        ({"effective_time": SourceTime(-1, 0)}, "effective_time"),
        ({"onset_time": SourceTime(0, 900)}, "onset_time.offset_minutes"),
        ({"expire_time": SourceTime(MAX_TIME_MS + 1, 0)}, "expire_time"),
        ({"web": "javascript:alert(1)"}, "web"),
        ({"web": "java\tscript:alert(1)"}, "web"),
        ({"web": " data:text/html,x"}, "web"),
        ({"web": "file:///etc/passwd"}, "web"),
        ({"resources": (replace(INFO.resources[0], uri="vbscript:x"),)}, "resources[0].uri"),
        ({"headline": "pay\u202ereverse"}, "headline"),
        ({"headline": "half \ud83d"}, "headline"),
        ({"description": "bell\x07"}, "description"),
        ({"instruction": "next\x85line"}, "instruction"),
    ],
)
def test_broken_info_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    assert field_of(with_info(**change)) == f"alert.infos[1].{field}"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"polygons": (RING[:3],)}, "polygons[0]"),
        ({"polygons": (RING, (*RING[:3], Point(1.0, 1.0)))}, "polygons[1]"),
        ({"polygons": ((Point(91.0, 0.0), RING[1], RING[2], Point(91.0, 0.0)),)}, "polygons[0]"),
        ({"polygons": ((RING[0], Point(0.0, 180.1), RING[2], RING[0]),)}, "polygons[0]"),
        ({"polygons": ((RING[0], Point(nan, 0.0), RING[2], RING[0]),)}, "polygons[0]"),
        ({"circles": (Circle(Point(0.0, inf), 1.0),)}, "circles[0].center"),
        ({"circles": (Circle(Point(0.0, 0.0), -1.0),)}, "circles[0].radius_km"),
        ({"circles": (Circle(Point(0.0, 0.0), 20_041.0),)}, "circles[0].radius_km"),
        ({"circles": (Circle(Point(0.0, 0.0), nan),)}, "circles[0].radius_km"),
        ({"altitude_ft": nan}, "altitude_ft"),
        ({"ceiling_ft": inf}, "ceiling_ft"),
    ],
)
def test_broken_geometry_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    assert field_of(with_area(**change)) == f"alert.infos[1].areas[0].{field}"


def walk(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Yield a copy of the value for every text in it, with an override put into that text."""
    if isinstance(value, str):
        yield at, value + "\u202e"
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for path, changed in walk(item, f"{at}[{index}]"):
                yield path, (*value[:index], changed, *value[index + 1 :])
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for path, changed in walk(getattr(value, field.name), f"{at}.{field.name}"):
                yield path, replace(value, **{field.name: changed})


def test_override_is_refused_in_every_text_of_an_alert() -> None:
    hostile = list(walk(ALERT, "alert"))
    assert len(hostile) > 40
    for path, alert in hostile:
        assert field_of(alert) == path


@pytest.mark.parametrize("text", ["បង្កើន\u200bកម្ពស់", "می\u200cخواهم", "a\tb\r\nc", "\u2068x\u2069", "🏴 café", "ไทย"])
def test_joiners_isolates_and_line_ends_are_legal_in_texts(text: str) -> None:
    check_alert(with_info(headline=text, description=text))


@pytest.mark.parametrize(
    "uri", ["", "http://a.example", "HTTPS://a.example", "mailto:a@b.example", "tel:+1", "map.png", "/a?b=c:d"]
)
def test_ordinary_addresses_are_taken(uri: str) -> None:
    check_alert(with_info(web=uri))


@pytest.mark.parametrize("scope", ["", "Public", "Restricted", "Private"])
def test_scopes_of_cap_are_taken(scope: str) -> None:
    check_alert(replace(ALERT, scope=scope))


@pytest.mark.parametrize("level", [None, 0, 4])
def test_advisory_levels_are_taken(level: int | None) -> None:
    check_alert(replace(ALERT, advisory_level=level))


def test_offset_unknown_and_first_and_last_instants_are_taken() -> None:
    check_alert(replace(ALERT, sent_time=SourceTime(0, None)))
    check_alert(replace(ALERT, sent_time=SourceTime(MAX_TIME_MS, -840)))


def test_update_without_predecessor_passes_alone_because_the_draft_may_name_it() -> None:
    check_alert(replace(ALERT, references=()))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"recipients": ()}, "recipients"),
        ({"recipients": (PartnerId("la"), PartnerId("la"))}, "recipients"),
        (
            {"recipients": tuple(PartnerId(f"{a}{b}") for a in "abcdefghijk" for b in "abcdefghijklmnopqrstuvw")},
            "recipients",
        ),
        ({"recipients": (PartnerId("la"), PartnerId("th"))}, "recipients[1]"),
        ({"expire_ms": NOW}, "expire_time"),
        ({"expire_ms": NOW - 1}, "expire_time"),
        ({"expire_ms": NOW + MAX_LIFETIME_MS + 1}, "expire_time"),
        ({"supersedes": Supersedes(message_id=MessageId(bytes(16)), content_commitment=b"")}, "supersedes_commitment"),
        ({"body": replace(BODY, content=replace(ALERT, references=()))}, "body.alert.references"),
        (
            {"body": replace(BODY, content=replace(ALERT, alert_type=AlertType.CANCEL, references=()))},
            "body.alert.references",
        ),
        ({"body": replace(BODY, content=replace(ALERT, identifier=""))}, "body.alert.identifier"),
    ],
)
def test_broken_draft_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        check_draft(replace(DRAFT, **change), NOW)
    assert caught.value.field == field


def test_update_is_taken_when_the_draft_supersedes_a_message() -> None:
    supersedes = Supersedes(message_id=MessageId(bytes(16)), content_commitment=bytes(32))
    body = replace(BODY, content=replace(ALERT, references=()))
    check_draft(replace(DRAFT, body=body, supersedes=supersedes), NOW)


def test_new_alert_needs_no_predecessor() -> None:
    check_draft(
        replace(DRAFT, body=replace(BODY, content=replace(ALERT, alert_type=AlertType.ALERT, references=()))), NOW
    )


@pytest.mark.parametrize("expire_ms", [None, NOW + 1, NOW + MAX_LIFETIME_MS])
def test_lifetimes_up_to_thirty_days_are_taken(expire_ms: int | None) -> None:
    check_draft(replace(DRAFT, expire_ms=expire_ms), NOW)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"handling": replace(HANDLING, purpose="a\u200b")}, "body.handling.purpose"),
        ({"handling": replace(HANDLING, onward=Onward.LISTED)}, "body.handling.onward_partners"),
        ({"handling": replace(HANDLING, onward_partners=(PartnerId("vn"),))}, "body.handling.onward_partners"),
        (
            {"handling": replace(HANDLING, onward=Onward.LISTED, onward_partners=(PartnerId("vn"), PartnerId("vn")))},
            "body.handling.onward_partners",
        ),
        ({"handling": replace(HANDLING, retain_until_ms=-1)}, "body.handling.retain_until"),
        ({"handling": replace(HANDLING, review_ms=MAX_TIME_MS + 1)}, "body.handling.review_time"),
        ({"legal_basis": (LegalBasis("", "1"),)}, "body.legal_basis[0].instrument"),
        ({"legal_basis": (LegalBasis("x\u202e", "1"),)}, "body.legal_basis[0].instrument"),
        ({"legal_basis": (LegalBasis("x", "1\x00"),)}, "body.legal_basis[0].article"),
        ({"content": Ping(b"short")}, "body.ping.nonce"),
    ],
)
def test_broken_body_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        check_body(replace(BODY, **change))
    assert caught.value.field == field


def test_ping_and_listed_onward_pass() -> None:
    check_body(replace(BODY, content=Ping(bytes(16))))
    check_body(replace(BODY, handling=replace(HANDLING, onward=Onward.LISTED, onward_partners=(PartnerId("vn"),))))


@pytest.mark.parametrize("tag", ["en", "zh-Hans", "es-419", "x-private", "und", "sr-Latn-RS"])
def test_language_tags_are_known_by_their_form(tag: str) -> None:
    assert is_language(tag)
    assert not is_language(tag + "\n")
