"""The CAP reader: what is read, what becomes a finding, what is refused."""

import re
from datetime import datetime
from pathlib import Path

import pytest

from adapters.connectors.cap import MAX_ORIGINAL_BYTES, CapConnector, CapReading, check_cap, read_cap
from adapters.connectors.cap.read import MAX_BODY_BYTES
from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge
from gateway.model.alert import (
    AlertCertainty,
    AlertReference,
    AlertSeverity,
    AlertType,
    AlertUrgency,
    NamedValue,
    Point,
    SourceTime,
)
from gateway.model.header import Mode, Urgency
from gateway.model.rules import check_alert
from gateway.rpc.convert import message as convert
from tests.fixtures.xml_signing import sign

EXAMPLES = Path(__file__).parents[3] / "examples" / "alerts"
NS = "urn:oasis:names:tc:emergency:cap:1.2"
HEAD = (
    "<identifier>a-1</identifier><sender>warn@a.example</sender><sent>2026-11-23T10:00:00+07:00</sent>"
    "<status>Exercise</status><msgType>Alert</msgType><scope>Public</scope>"
)
AREA = "<area><areaDesc>x</areaDesc><geocode><valueName>n</valueName><value>v</value></geocode></area>"
INFO_HEAD = (
    "<language>th</language><category>Met</category><event>น้ำท่วม</event><urgency>Future</urgency>"
    "<severity>Minor</severity><certainty>Likely</certainty>"
)
EXPIRES = "<expires>2026-11-23T20:00:00+07:00</expires>"
INFO = f"<info>{INFO_HEAD}{EXPIRES}{AREA}</info>"


def doc(head: str = HEAD, info: str = INFO, *, ns: str = f' xmlns="{NS}"', prolog: str = "") -> bytes:
    return f"{prolog}<alert{ns}>{head}{info}</alert>".encode()


def info(head: str = INFO_HEAD, expires: str = EXPIRES, rest: str = "", area: str = AREA) -> bytes:
    return doc(info=f"<info>{head}{expires}{rest}{area}</info>")


def area(inside: str) -> bytes:
    return info(area=f"<area><areaDesc>x</areaDesc>{inside}</area>")


def codes(data: bytes) -> list[str]:
    provenance = read_cap(data).alert.provenance
    assert provenance is not None
    return [finding.code for finding in provenance.findings]


def first_area(data: bytes) -> tuple[tuple[Point, ...], ...]:
    return read_cap(data).alert.infos[0].areas[0].polygons


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_clean_document_is_read_whole_without_findings() -> None:
    data = doc()
    reading = CapConnector().read(data, 0)
    alert = reading.alert
    assert (alert.identifier, alert.source_sender, alert.alert_type) == ("a-1", "warn@a.example", AlertType.ALERT)
    assert alert.sent_time == SourceTime(ms("2026-11-23T10:00:00+07:00"), 420)
    assert alert.scope == "Public"
    only = alert.infos[0]
    assert (only.language, only.categories, only.event) == ("th", ("Met",), "น้ำท่วม")
    assert (only.urgency, only.severity) == (AlertUrgency.FUTURE, AlertSeverity.MINOR)
    assert only.certainty is AlertCertainty.LIKELY
    assert only.areas[0].geocodes == (NamedValue("n", "v"),)
    assert alert.provenance is not None
    assert alert.provenance.original == data
    assert alert.provenance.findings == ()
    assert (alert.provenance.connector, alert.provenance.media_type) == ("cap", "application/cap+xml")
    assert (reading.status, reading.mode, reading.version) == ("Exercise", Mode.EXERCISE, "1.2")
    assert reading.expire_ms == ms("2026-11-23T20:00:00+07:00")
    assert [check.verdict for _, check in CapConnector().check_all(data, 0)] == ["accepted"]


def test_every_optional_element_is_read() -> None:
    head = HEAD.replace("<scope>", "<source>src</source><scope>").replace("Public", "Private") + (
        '<addresses>a@b.example "duty desk"</addresses><code>c1</code><code>c2</code><note>n</note>'
        "<references>s,i,2026-11-22T10:00:00+07:00 s,i,with,commas,2026-11-22T11:00:00+07:00</references>"
        '<incidents>one "two three"</incidents>'
    )
    inside = (
        "<audience>all</audience><eventCode><valueName>SAME</valueName><value>FLW</value></eventCode>"
        "<effective>2026-11-23T10:00:00+07:00</effective><onset>2026-11-23T11:00:00-00:00</onset>"
        + EXPIRES
        + "<senderName>"
        "sn</senderName><headline>h</headline><description>d\nd</description><instruction>i</instruction>"
        "<web>https://a.example</web><contact>c</contact>"
        "<parameter><valueName>p</valueName><value>1</value></parameter>"
        "<resource><resourceDesc>map</resourceDesc><mimeType>image/png</mimeType><size>17</size>"
        "<uri>https://a.example/m.png</uri><digest>ab12</digest></resource>"
        "<area><areaDesc>x</areaDesc><polygon>1,2 1,3 2,3 1,2</polygon><circle>1.5,2.5 10</circle>"
        "<altitude>10</altitude><ceiling>20.5</ceiling></area>"
    )
    data = doc(head, f"<info>{INFO_HEAD}{inside}</info>")
    alert = read_cap(data).alert
    assert check_cap(data).findings == ()
    assert alert.addresses == ("a@b.example", "duty desk")
    assert alert.codes == ("c1", "c2")
    assert alert.incidents == ("one", "two three")
    assert alert.references == (
        AlertReference("s", "i", "2026-11-22T10:00:00+07:00"),
        AlertReference("s", "i,with,commas", "2026-11-22T11:00:00+07:00"),
    )
    only = alert.infos[0]
    assert only.event_codes == (NamedValue("SAME", "FLW"),)
    assert only.onset_time == SourceTime(ms("2026-11-23T11:00:00+00:00"), None)
    assert only.description == "d\nd"
    assert only.parameters == (NamedValue("p", "1"),)
    assert (only.resources[0].size_bytes, only.resources[0].digest) == (17, "ab12")
    assert only.areas[0].polygons == ((Point(1, 2), Point(1, 3), Point(2, 3), Point(1, 2)),)
    assert only.areas[0].circles[0].radius_km == 10
    assert (only.areas[0].altitude_ft, only.areas[0].ceiling_ft) == (10, 20.5)


@pytest.mark.parametrize(
    ("namespace", "version"),
    [
        ("http://www.incident.com/cap/1.0", "1.0"),
        ("urn:oasis:names:tc:emergency:cap:1.1", "1.1"),
        (NS, "1.2"),
        ("urn:oasis:names:tc:emergency:alerts:1.2", "google"),
    ],
)
def test_every_version_is_read(namespace: str, version: str) -> None:
    assert read_cap(doc(ns=f' xmlns="{namespace}"')).version == version


def test_cap_1_0_writes_pairs_as_text_and_very_likely() -> None:
    data = (
        b'<alert xmlns="http://www.incident.com/cap/1.0">'
        + HEAD.encode()
        + b"<info><language>en</language><event>e</event><urgency>Past</urgency><severity>Minor</severity>"
        b"<certainty>Very Likely</certainty><eventCode>same=SVR</eventCode>"
        b"<expires>2026-11-23T20:00:00Z</expires>"
        b"<area><areaDesc>x</areaDesc><geocode>fips6=006109</geocode></area></info></alert>"
    )
    only = read_cap(data).alert.infos[0]
    assert only.event_codes == (NamedValue("same", "SVR"),)
    assert only.areas[0].geocodes == (NamedValue("fips6", "006109"),)
    assert only.certainty is AlertCertainty.LIKELY
    assert codes(data) == []


@pytest.mark.parametrize(
    ("status", "mode", "found"),
    [
        ("Actual", Mode.ACTUAL, []),
        ("Exercise", Mode.EXERCISE, []),
        ("Test", Mode.TEST, []),
        ("System", None, ["cap.status_not_sendable"]),
        ("Draft", None, ["cap.status_not_sendable"]),
        ("Real", None, ["cap.value_unknown"]),
        ("TEST", Mode.TEST, ["cap.value_form"]),
        ("actual", None, ["cap.value_unknown"]),
    ],
)
def test_status_decides_the_mode_and_nothing_becomes_actual_by_a_guess(
    status: str, mode: Mode | None, found: list[str]
) -> None:
    data = doc(HEAD.replace("Exercise", status))
    reading = read_cap(data)
    assert (reading.status, reading.mode) == (status, mode)
    assert codes(data) == found


def test_missing_status_cannot_be_sent() -> None:
    data = doc(HEAD.replace("<status>Exercise</status>", ""))
    assert read_cap(data).mode is None
    assert "cap.element_missing" in codes(data)


@pytest.mark.parametrize(
    ("urgency", "severity", "expected"),
    [
        ("Immediate", "Extreme", Urgency.U0),
        ("Immediate", "Minor", Urgency.U1),
        ("Future", "Extreme", Urgency.U1),
        ("Past", "Severe", Urgency.U1),
        ("Expected", "Moderate", Urgency.U2),
        ("Future", "Moderate", Urgency.U3),
        ("Unknown", "Unknown", Urgency.U3),
    ],
)
def test_urgency_follows_from_cap(urgency: str, severity: str, expected: Urgency) -> None:
    assert read_cap(info(INFO_HEAD.replace("Future", urgency).replace("Minor", severity))).urgency is expected


def test_most_urgent_info_and_latest_expiry_count() -> None:
    later = INFO.replace("T20:", "T22:").replace("Future", "Immediate").replace("Minor", "Extreme")
    reading = read_cap(doc(info=INFO + later + f"<info>{INFO_HEAD}{AREA}</info>"))
    assert reading.urgency is Urgency.U0
    assert reading.expire_ms == ms("2026-11-23T22:00:00+07:00")


def test_no_expiry_anywhere_is_none() -> None:
    reading = read_cap(info(expires=""))
    assert reading.expire_ms is None
    assert reading.alert.infos[0].expiry_by_policy is False


ODD = [
    ("cap.language_missing", info(INFO_HEAD.replace("<language>th</language>", ""))),
    ("cap.language_invalid", info(INFO_HEAD.replace(">th<", ">en_US<"))),
    ("cap.expires_missing", info(expires="")),
    ("cap.expires_before_sent", info(expires="<expires>2026-11-23T10:00:00+07:00</expires>")),
    ("cap.expires_before_start", info(rest="", expires="<onset>2026-11-24T10:00:00+07:00</onset>" + EXPIRES)),
    ("cap.time_form", info(expires="<expires>2026-11-23T20:00:00Z</expires>")),
    ("cap.time_naive", info(expires="<expires>2026-11-23T20:00:00</expires>")),
    ("cap.time_invalid", info(expires="<expires>tomorrow</expires>")),
    ("cap.polygon_empty", area("<polygon> </polygon><circle>1,1 1</circle>")),
    ("cap.polygon_open", area("<polygon>1,2 1,3 2,3</polygon>")),
    ("cap.polygon_short", area("<polygon>1,2 1,3 1,2</polygon>")),
    ("cap.polygon_long", area(f"<polygon>1,2 {'1,3 ' * 1000}1,2</polygon>")),
    ("cap.polygon_dropped", area(f"<polygon>1,2 {'1,3 ' * 20000}1,2</polygon>")),
    ("cap.coordinate_invalid", area("<polygon>1,2 1,3 2.9... 2,3 1,2</polygon>")),
    ("cap.coordinate_order", area("<polygon>100,17 101,17 101,18 100,17</polygon>")),
    ("cap.coordinate_wrapped", area("<polygon>1,179 1,181 2,181 1,179</polygon>")),
    ("cap.circle_invalid", area("<circle>1,2</circle>")),
    ("cap.number_invalid", area("<circle>1,2 3</circle><altitude>high</altitude>")),
    ("cap.area_name_only", area("")),
    ("cap.area_missing", info(area="")),
    ("cap.info_missing", doc(info="")),
    ("cap.element_missing", info(INFO_HEAD.replace("<event>น้ำท่วม</event>", ""))),
    ("cap.element_empty", info(INFO_HEAD.replace("น้ำท่วม", " "))),
    ("cap.element_order", info(EXPIRES + INFO_HEAD, expires="")),
    ("cap.element_repeated", info(rest="<headline>a</headline><headline>b</headline>")),
    ("cap.element_unknown", info(rest="<colour>red</colour>")),
    ("cap.element_foreign", info(rest='<x:y xmlns:x="urn:x">z</x:y>')),
    ("cap.namespace_missing", doc(ns="")),
    ("cap.namespace_mixed", info(rest='<headline xmlns="urn:oasis:names:tc:emergency:cap:1.1">x</headline>')),
    ("cap.namespace_variant", doc(ns=' xmlns="urn:oasis:names:tc:emergency:alerts:1.2"')),
    ("cap.text_stray", info(rest="loose")),
    ("cap.text_children", info(rest="<description>a <b>c</b></description>")),
    ("cap.text_cut", info(rest=f"<headline>{'ก' * 6000}</headline>")),
    ("cap.bidi_removed", info(rest="<headline>a&#x202E;b</headline>")),
    ("cap.invisible_kept", info(rest="<headline>pay&#x200B;ment</headline>")),
    ("cap.control_removed", info(rest="<headline>a&#x85;b</headline>")),
    ("cap.value_unknown", info(INFO_HEAD.replace("Future", "Soon"))),
    ("cap.value_form", info(INFO_HEAD.replace("Future", "future"))),
    ("cap.identifier_form", doc(HEAD.replace("a-1", "a 1"))),
    ("cap.password_dropped", doc(HEAD + "<password>x</password>")),
    ("cap.status_not_sendable", doc(HEAD.replace("Exercise", "Draft"))),
    ("cap.reference_self", doc(HEAD + "<references>warn@a.example,a-1,2026-11-23T10:00:00+07:00</references>")),
    ("cap.reference_invalid", doc(HEAD + "<references>just-an-id</references>")),
    ("cap.reference_missing", doc(HEAD.replace(">Alert<", ">Update<"))),
    ("cap.restriction_missing", doc(HEAD.replace("Public", "Restricted"))),
    ("cap.addresses_missing", doc(HEAD.replace("Public", "Private"))),
    ("cap.signature_expired", sign(doc(HEAD.replace("2026-11-23T", "2029-11-23T")))),
    ("cap.signature_invalid", sign(doc()).replace(b"a-1", b"a-2")),
    ("cap.signature_key_missing", re.sub(rb"<ds:KeyInfo>.*</ds:KeyInfo>", b"", sign(doc()), flags=re.DOTALL)),
    ("cap.signature_several", sign(sign(doc()))),
    ("cap.signature_weak", sign(doc(), sha1=True)),
    (
        "cap.deref_dropped",
        info(
            rest="<resource><resourceDesc>r</resourceDesc><mimeType>a/b</mimeType><derefUri>QUJD</derefUri></resource>"
        ),
    ),
    ("cap.uri_refused", info(rest="<web>javascript:alert(1)</web>")),
    ("cap.value_dropped", info(rest=f"<web>https://a.example/{'x' * 4096}</web>")),
    ("cap.items_cut", doc(info=INFO * 65)),
    ("cap.findings_cut", doc(info=INFO + "<oops/>" * 40)),
    ("cap.encoding_contradicted", doc(prolog='<?xml version="1.0" encoding="utf-16"?>')),
    ("cap.prolog_whitespace", doc(prolog='\n <?xml version="1.0" encoding="utf-8"?>')),
]


@pytest.mark.parametrize(("code", "data"), ODD, ids=[code for code, _ in ODD])
def test_oddity_is_found_and_the_alert_still_read(code: str, data: bytes) -> None:
    verdict = check_cap(data)
    assert verdict.verdict == "accepted_with_findings"
    assert code in {finding.code for finding in verdict.findings}
    reading = read_cap(data)
    check_alert(reading.alert)
    assert reading.alert.provenance is not None
    assert reading.alert.provenance.original == data


def test_values_are_kept_whole_up_to_their_bound() -> None:
    def data(length: int) -> bytes:
        return info(rest=f"<parameter><valueName>p</valueName><value>{'ก' * length}</value></parameter>")

    assert codes(data(16_384)) == []
    assert read_cap(data(16_384)).alert.infos[0].parameters == (NamedValue("p", "ก" * 16_384),)
    assert body_size(read_cap(data(16_384))) <= MAX_BODY_BYTES
    assert codes(data(16_385)) == ["cap.text_cut"]
    assert len(read_cap(data(20_000)).alert.infos[0].parameters[0].value) == 16_384


def test_every_finding_has_a_case_here() -> None:
    from adapters.connectors.cap.findings import Code

    # That a feed holds links only is found beside the reader, see test_cap_corpus.
    assert {code for code, _ in ODD} == {code.value for code in Code} - {Code.FEED_LINKS.value}


REFUSED = [
    ("cap.empty", b""),
    ("cap.empty", b" \r\n\t "),
    ("cap.empty", b"\xef\xbb\xbf"),
    ("cap.too_large", b"<alert>" + b" " * MAX_ORIGINAL_BYTES),
    ("cap.too_large", info(rest=f"<parameter><valueName>a</valueName><value>{'x' * 1_200_000}</value></parameter>")),
    ("cap.not_xml", b"CAP alert"),
    ("cap.not_xml", b"PK\x03\x04"),
    ("cap.is_json", b'{"identifier": "a"}'),
    ("cap.is_json", b"\n[1]"),
    ("cap.is_html", b"<!DOCTYPE html><html><body>404</body></html>"),
    ("cap.is_html", b"<html><body>404</body></html>"),
    ("cap.is_feed", b'<feed xmlns="http://www.w3.org/2005/Atom"/>'),
    ("cap.is_feed", b"<rss><channel/></rss>"),
    ("cap.is_edxl", b'<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:1.0"/>'),
    ("cap.root_unknown", b"<note/>"),
    ("cap.namespace_unknown", doc(ns=' xmlns="urn:oasis:names:tc:emergency:cap:9.9"')),
    ("cap.xml_broken", doc()[:-1]),
    ("cap.xml_broken", doc(info="<info>&undefined;</info>")),
    ("cap.xml_broken", doc(HEAD.replace("a-1", "a\x001"))),
    ("cap.xml_broken", b'<?xml version="1.0"?><?xml version="1.0"?>' + doc()),
    ("cap.encoding_broken", doc().replace("น".encode(), b"\xe0\xb8")),
    ("cap.encoding_broken", b"\xff\xfe<"),
    ("cap.encoding_unsupported", b'<?xml version="1.0" encoding="utf-7"?>' + doc()),
    ("cap.encoding_unsupported", b'<?xml version="1.0" encoding="ebcdic-cp-us"?>' + doc()),
    ("cap.encoding_unsupported", "\ufeff<alert/>".encode("utf-32-le")),
    ("cap.doctype", b'<!DOCTYPE alert SYSTEM "http://a.example/x.dtd">' + doc()),
    ("cap.doctype", b"<?xml version='1.0'?><!-- x --><?p q?>\n<!DOCTYPE alert [<!ENTITY a 'b'>]>" + doc()),
    ("cap.doctype", '<!DOCTYPE alert [<!ENTITY x SYSTEM "file:///etc/hostname">]><alert>&x;</alert>'.encode("utf-16")),
    ("cap.doctype", '<!DOCTYPE a [<!ENTITY x "y">]><alert>&x;</alert>'.encode("utf-16-le")),
    ("cap.too_deep", doc(info="<info>" + "<a>" * 70 + "</a>" * 70 + "</info>")),
    ("cap.too_many_nodes", doc(info="<a/>" * 200_001)),
    ("cap.identifier_missing", doc(HEAD.replace("a-1", " "))),
    ("cap.identifier_missing", doc(HEAD.replace("<identifier>a-1</identifier>", ""))),
    ("cap.identifier_invalid", doc(HEAD.replace("a-1", "a&#x202E;1"))),
    ("cap.identifier_invalid", doc(HEAD.replace("a-1", "a&#x200B;1"))),
    ("cap.identifier_invalid", doc(HEAD.replace("a-1", "x" * 1025))),
    ("cap.sender_missing", doc(HEAD.replace("<sender>warn@a.example</sender>", ""))),
    ("cap.sender_invalid", doc(HEAD.replace("warn@", "warn\u2066@"))),
    ("cap.sent_missing", doc(HEAD.replace("<sent>2026-11-23T10:00:00+07:00</sent>", "<sent/>"))),
    ("cap.sent_invalid", doc(HEAD.replace("2026-11-23T", "2026-13-23T"))),
    ("cap.sent_invalid", doc(HEAD.replace("+07:00", "+15:00"))),
    ("cap.msg_type_missing", doc(HEAD.replace("<msgType>Alert</msgType>", ""))),
    ("cap.msg_type_unknown", doc(HEAD.replace(">Alert<", ">Recall<"))),
    ("cap.head_repeated", doc(HEAD + "<status>Actual</status>")),
]


@pytest.mark.parametrize(("reason", "data"), REFUSED, ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(REFUSED)])
def test_refusal_is_typed_and_says_what_it_is(reason: str, data: bytes) -> None:
    verdict = check_cap(data)
    assert (verdict.verdict, verdict.reason) == ("refused", reason)
    assert verdict.detail
    with pytest.raises((MessageMalformed, MessageTooLarge, FieldInvalid)) as caught:
        read_cap(data)
    expected = (
        MessageTooLarge
        if reason == "cap.too_large"
        else FieldInvalid
        if reason.startswith(("cap.identifier", "cap.sen", "cap.msg", "cap.head"))
        else MessageMalformed
    )
    assert type(caught.value) is expected


def test_every_refusal_has_a_case_here() -> None:
    from adapters.connectors.cap.findings import Refusal

    assert {reason for reason, _ in REFUSED} == {reason.value for reason in Refusal}


def test_refusal_half_way_still_tells_whose_alert_it_is() -> None:
    verdict = check_cap(doc(HEAD.replace(">Alert<", ">Recall<")))
    assert (verdict.identifier, verdict.sender, verdict.sent) == ("a-1", "warn@a.example", "2026-11-23T10:00:00+07:00")
    assert (verdict.status, verdict.version) == ("Exercise", "1.2")


def test_entity_never_reaches_the_file_it_names(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("CANARY-7f3a")
    for encoding in ("utf-8", "utf-16", "utf-16-le"):
        declared = f'<!DOCTYPE alert [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        verdict = check_cap(f'{declared}<alert xmlns="{NS}">{HEAD}<note>&x;</note></alert>'.encode(encoding))
        assert verdict.reason == "cap.doctype"
        assert "CANARY" not in repr(verdict)


def test_doctype_inside_a_text_is_only_text() -> None:
    data = info(rest="<description><![CDATA[<!DOCTYPE html> is how pages begin]]></description>")
    assert read_cap(data).alert.infos[0].description.startswith("<!DOCTYPE")


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8-sig", ""),
        ("utf-8-sig", '<?xml version="1.0" encoding="UTF-8"?>'),
        ("utf-16", '<?xml version="1.0" encoding="UTF-16"?>'),
        ("utf-16-be", '<?xml version="1.0" encoding="UTF-16BE"?>'),
        ("cp874", '<?xml version="1.0" encoding="TIS-620"?>'),
        ("utf-8", "<?xml version='1.0' encoding='utf-8'?><!-- before --><?xml-stylesheet href='x.xsl'?>"),
    ],
)
def test_thai_survives_its_encodings(encoding: str, declared: str) -> None:
    data = (declared + doc().decode()).encode(encoding)
    assert read_cap(data).alert.infos[0].event == "น้ำท่วม"
    assert codes(data) == []


def test_chinese_survives_gb2312() -> None:
    text = '<?xml version="1.0" encoding="GB2312"?>' + doc().decode().replace("น้ำท่วม", "湄公河洪水")
    assert read_cap(text.encode("gb18030")).alert.infos[0].event == "湄公河洪水"


def test_prefixed_names_are_read() -> None:
    text = doc().decode().replace("<", "<cap:").replace("<cap:/", "</cap:").replace("xmlns=", "xmlns:cap=")
    assert codes(text.encode()) == []


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23T10:00:00+07:00", SourceTime(ms("2026-11-23T03:00:00+00:00"), 420)),
        ("2026-11-23T10:00:00-00:00", SourceTime(ms("2026-11-23T10:00:00+00:00"), None)),
        ("2026-11-23T10:00:00+00:00", SourceTime(ms("2026-11-23T10:00:00+00:00"), 0)),
        ("2026-11-23T10:00:00Z", SourceTime(ms("2026-11-23T10:00:00+00:00"), 0)),
        ("2026-11-23T10:00:00", SourceTime(ms("2026-11-23T10:00:00+00:00"), None)),
        ("2026-11-23T10:00+06:30", SourceTime(ms("2026-11-23T03:30:00+00:00"), 390)),
        ("2026-11-23T10:00:00.1234-0330", SourceTime(ms("2026-11-23T13:30:00+00:00") + 123, -210)),
        ("2026-11-23T24:00:00+07:00", SourceTime(ms("2026-11-23T17:00:00+00:00"), 420)),
        ("2016-12-31T23:59:60+00:00", SourceTime(ms("2016-12-31T23:59:59+00:00"), 0)),
    ],
)
def test_times_are_read_as_they_come(text: str, time: SourceTime) -> None:
    assert read_cap(doc(HEAD.replace("2026-11-23T10:00:00+07:00", text))).alert.sent_time == time


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T10:00:00+07:00",
        "1969-12-31T23:00:00+00:00",
        "10000-01-01T00:00:00Z",
        "٢٠٢٦-11-23T10:00:00Z",
        "9999-12-31T24:00:00Z",
    ],
)
def test_impossible_sent_is_refused(text: str) -> None:
    assert check_cap(doc(HEAD.replace("2026-11-23T10:00:00+07:00", text))).reason == "cap.sent_invalid"


@pytest.mark.parametrize(
    ("text", "ring"),
    [
        ("1,2\t1,3\n 2,3 1,2", ((1, 2), (1, 3), (2, 3), (1, 2))),
        ("+1,2, 1,+3, 2,3, 1,2", ((1, 2), (1, 3), (2, 3), (1, 2))),
        ("1, 2 1, 3 2, 3 1, 2", ((1, 2), (1, 3), (2, 3), (1, 2))),
        ("1 2 1 3 2 3", ((1, 2), (1, 3), (2, 3), (1, 2))),
        ("1,2 nan,3 1,3 2,3 1,2", ((1, 2), (1, 3), (2, 3), (1, 2))),
        ("1,2 91,3 1,3 2,3 1,2", ((1, 2), (1, 3), (2, 3), (1, 2))),
        ("100,17 101,17 101,18 100,17", ((17, 100), (17, 101), (18, 101), (17, 100))),
        ("1,-179 1,-181 2,-181 1,-179", ((1, -179), (1, 179), (2, 179), (1, -179))),
    ],
)
def test_rings_are_read_as_they_come(text: str, ring: tuple[tuple[float, float], ...]) -> None:
    assert first_area(area(f"<polygon>{text}</polygon>")) == (tuple(Point(*pair) for pair in ring),)


@pytest.mark.parametrize("text", ["1,2 1e1,3 1,3", "inf,1 1,1 2,2", "", ",,,", "x", "1,2 1,2", "१,२ १,३ २,३"])
def test_hopeless_rings_are_left_out(text: str) -> None:
    assert first_area(area(f"<polygon>{text}</polygon>")) == ()


def test_polygons_that_find_no_room_beside_the_original_are_left_out_largest_first() -> None:
    big = "1.5,2.5 " * 19_000 + "1,1"
    small = "<polygon>1,2 1,3 2,3 1,2</polygon>"
    data = area("".join(f"<polygon>{big}</polygon>" for _ in range(8)) + small)
    reading = read_cap(data)
    rings = reading.alert.infos[0].areas[0].polygons
    assert len(rings[-1]) == 4
    assert 1 < len(rings) < 9
    assert "cap.polygon_dropped" in codes(data)
    assert body_size(reading) <= MAX_BODY_BYTES


def test_points_without_commas_count_as_well() -> None:
    data = area(f"<polygon>{'1 2 1 3 2 3 ' * 6000}1 2</polygon>" * 12)
    assert body_size(read_cap(data)) <= MAX_BODY_BYTES


def test_hostile_texts_lose_their_overrides_but_the_original_keeps_them() -> None:
    data = info(rest="<headline>pay \u202eon\u202c\x80time</headline>")
    reading = read_cap(data)
    assert reading.alert.infos[0].headline == "pay ontime"
    assert "\u202e".encode() in reading.alert.provenance.original  # type: ignore[union-attr]


def test_findings_never_crowd_out_the_alert() -> None:
    data = doc(info=INFO + "".join(f"<x{n}/>" for n in range(5000)))
    found = codes(data)
    assert len(found) <= 200
    assert found[-1] == "cap.findings_cut"


def test_limits_agree_with_the_protocol() -> None:
    assert MAX_BODY_BYTES == convert.MAX_BODY_BYTES


def body_size(reading: CapReading) -> int:
    from gateway.ids import AuthorityId
    from gateway.model.message import Body, Handling, Onward, Tlp

    handling = Handling(tlp=Tlp.CLEAR, purpose="public_warning", onward=Onward.NONE)
    return len(
        convert.encode_body(
            Body(authority=AuthorityId("cn/mfa"), handling=handling, legal_basis=(), content=reading.alert)
        )
    )


@pytest.mark.parametrize(
    ("name", "languages", "mode", "urgency"),
    [
        ("mekong-typhoon", ["zh-Hans", "en", "th", "lo"], Mode.EXERCISE, Urgency.U1),
        ("scam-recruitment", ["en", "zh-Hans", "my", "km", "vi"], Mode.EXERCISE, Urgency.U1),
        ("dam-release", ["lo", "th", "en"], Mode.ACTUAL, Urgency.U0),
    ],
)
def test_examples_are_accepted_without_findings(name: str, languages: list[str], mode: Mode, urgency: Urgency) -> None:
    data = (EXAMPLES / f"{name}.xml").read_bytes()
    reading = read_cap(data)
    assert check_cap(data).verdict == "accepted"
    assert [info.language for info in reading.alert.infos] == languages
    assert (reading.mode, reading.urgency) == (mode, urgency)
    assert body_size(reading) < 100_000


@pytest.mark.parametrize(("name", "reason"), [("hostile-entity", "cap.doctype"), ("broken", "cap.xml_broken")])
def test_bad_examples_are_refused(name: str, reason: str) -> None:
    assert check_cap((EXAMPLES / f"{name}.xml").read_bytes()).reason == reason
