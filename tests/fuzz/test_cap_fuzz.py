"""Bytes into the CAP reader: a reading that keeps every rule, or a typed error, whatever they are."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.connectors.cap import check_all, check_cap, read_cap
from adapters.connectors.cap.info import INFO_ORDER
from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge
from gateway.ids import AuthorityId
from gateway.model.message import Body, Handling, Onward, Tlp
from gateway.model.rules import check_body
from gateway.rpc.convert.message import decode_body, encode_body
from tests.fixtures.xml_signing import sign

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "alerts").glob("*.xml"))
SEED = (Path(__file__).parents[2] / "examples" / "alerts" / "dam-release.xml").read_bytes()
HANDLING = Handling(tlp=Tlp.CLEAR, purpose="public_warning", onward=Onward.NONE)
NS = "urn:oasis:names:tc:emergency:cap:1.2"


def hold(data: bytes) -> None:
    """Check all that must be so for any bytes."""
    verdict = check_cap(data)
    if verdict.verdict == "refused":
        assert verdict.reason.startswith("cap.")
        with pytest.raises((MessageMalformed, MessageTooLarge, FieldInvalid)) as caught:
            read_cap(data)
        assert caught.value.text == verdict.detail
        return
    reading = read_cap(data)
    assert reading.alert.provenance is not None
    assert reading.alert.provenance.original == data
    body = Body(authority=AuthorityId("cn/mfa"), handling=HANDLING, legal_basis=(), content=reading.alert)
    check_body(body)
    # The protocol's own limits, by its own checker.
    assert decode_body(encode_body(body)) == body


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_bytes(data: bytes) -> None:
    hold(data)


@given(st.sampled_from(["", '<?xml version="1.0" encoding="UTF-16"?>', "<!-- -->", "\ufeff"]), st.text(max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_text_after_a_prolog(prolog: str, text: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        hold((prolog + "<" + text).encode(encoding, "surrogatepass"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_cut_anywhere(path: Path) -> None:
    data = path.read_bytes()
    hold(data)
    # Every byte of the head and the first info, then in steps: later infos repeat the same shapes.
    for length in [*range(min(len(data), 2500)), *range(2500, len(data), 61)]:
        assert check_cap(data[:length]).verdict == "refused"
        hold(data[:length])


@given(st.data())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_mutated_alert(data: st.DataObject) -> None:
    changed = bytearray(SEED)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(changed)))
        stop = min(len(changed), start + data.draw(st.integers(0, 40)))
        piece = data.draw(st.one_of(st.binary(max_size=20), st.sampled_from(PIECES)))
        changed[start:stop] = piece
    hold(bytes(changed))


PIECES = [
    b"<!DOCTYPE a>",
    b"<!ENTITY a 'b'>",
    b"&x;",
    b"&#x202E;",
    b"&#0;",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"</info>",
    b"<info>",
    b"<polygon>",
    b"1e999,nan ",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"\xff\xfe",
    b'xmlns=""',
    b"<sender/>",
    b"-00:00",
    b"24:00:00",
    b"9999-12-31T23:59:59-14:00",
]

TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        [
            "",
            "Actual",
            "Exercise",
            "Update",
            "Alert",
            "Immediate",
            "Extreme",
            "en_US",
            "zh-Hans",
            "a=b",
            "=",
            ",,",
            "a,b,c",
        ]
    ),
    st.sampled_from(
        ["javascript:x", "https://a.example", "1,2 1,3 2,3", "91,181", "1,2 3", "-0", "1e5", "9" * 30, '"a" b']
    ),
    st.sampled_from(
        ["2026-11-23T10:00:00+07:00", "1970-01-01T00:00:00+14:00", "9999-12-31T23:59:60-14:00", "2026-11-23T24:00:00"]
    ),
)
NAMES = st.sampled_from(
    [
        *("identifier", "sender", "sent", "status", "msgType", "source", "scope", "restriction", "addresses", "code"),
        *("note", "references", "incidents", "info", "password", "Signature", "other", "valueName", "value"),
        *("resourceDesc", "mimeType", "size", "uri", "derefUri", "digest"),
        *("areaDesc", "polygon", "circle", "geocode", "altitude", "ceiling"),
        *INFO_ORDER,
    ]
)
ESCAPES = str.maketrans({"<": "&lt;", "&": "&amp;", ">": "&gt;"})


def is_xml(character: str) -> bool:
    return character in "\t\n\r" or (character >= " " and character not in "\ufffe\uffff")


ELEMENTS = st.recursive(
    st.builds(lambda name, text: f"<{name}>{''.join(filter(is_xml, text)).translate(ESCAPES)}</{name}>", NAMES, TEXTS),
    lambda inner: st.builds(
        lambda name, parts: f"<{name}>{''.join(parts)}</{name}>", NAMES, st.lists(inner, max_size=6)
    ),
    max_leaves=40,
)
HEAD = (
    "<identifier>a</identifier><sender>b</sender><sent>2026-11-23T10:00:00+07:00</sent><status>Test</status>"
    "<msgType>Alert</msgType><scope>Public</scope>"
)


@given(st.sampled_from(["", HEAD]), st.lists(ELEMENTS, max_size=12), st.booleans())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_well_formed_but_wild_alerts(head: str, elements: list[str], wrapped: bool) -> None:
    inside = "".join(elements)
    if wrapped:
        inside = f"<info>{inside}</info>"
    hold(f'<alert xmlns="{NS}">{head}{inside}</alert>'.encode())


@pytest.mark.parametrize(
    "inside",
    [
        "<info><area><areaDesc>a</areaDesc>" + "<polygon>1,1 2,2 3,3 1,1</polygon>" * 1100 + "</area></info>",
        "<info><area>" + "<geocode><valueName>a</valueName><value>b</value></geocode>" * 11_000 + "</area></info>",
        "<info>" + "<area><areaDesc>a</areaDesc></area>" * 5000 + "</info>",
        "<info>" + "<category>x</category>" * 100 + "</info>",
        "<code>" + "c" * 2000 + "</code>" + "<code>c</code>" * 100,
        "<references>" + "s,i,t " * 1500 + "</references>",
        "<incidents>" + "i " * 1000 + "</incidents>" + "<addresses>" + "a" * 5000 + "</addresses>",
        "<info><description>" + "ဆ" * 200_000 + "</description></info>",
        "<info><area><polygon>" + "1,1 " * 300_000 + "</polygon></area></info>",
        "<info>" * 60 + "</info>" * 60,
        "<note " + " ".join(f'a{n}="b"' for n in range(20_000)) + "/>",
        "<" + "n" * 60_000 + "/>",
    ],
    ids=range(12),
)
def test_documents_at_and_over_the_limits(inside: str) -> None:
    hold(f'<alert xmlns="{NS}">{HEAD}{inside}</alert>'.encode())


def test_any_byte_of_a_signed_alert_changed() -> None:
    """Whatever byte is changed, what still counts as signed says the same as before."""
    data = sign(f'<alert xmlns="{NS}">{HEAD}<note>stay inside</note></alert>'.encode())
    assert check_cap(data).signature == "valid"
    genuine = dataclasses.replace(read_cap(data).alert, provenance=None)
    # Every byte up to the signature, then in steps: base64 fills most of the rest.
    body = data.index(b"<ds:Signature")
    for place in [*range(body), *range(body, len(data), 7)]:
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        check = check_cap(damaged)
        if check.verdict == "refused":
            continue
        reading = read_cap(damaged).alert
        if check.signature.startswith("valid"):
            assert dataclasses.replace(reading, provenance=None) == genuine, place


CONTAINERS = [
    "<feed><entry><id>a</id><link href='https://a.example'/>{}</entry><entry>{}</entry></feed>",
    "<rss><channel><item>{}</item></channel></rss>",
    "<EDXLDistribution><contentObject><xmlContent>{}</xmlContent></contentObject></EDXLDistribution>",
    "<EDXLDistribution><content><contentObject><contentXML>{}</contentXML></contentObject></content></EDXLDistribution>",
    "<alerts>{}{}</alerts>",
]


@given(st.sampled_from(CONTAINERS), st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_mutated_container(container: str, data: st.DataObject) -> None:
    alert = f'<alert xmlns="{NS}">{HEAD}</alert>'
    changed = bytearray(container.replace("{}", alert).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(changed)))
        stop = min(len(changed), start + data.draw(st.integers(0, 20)))
        changed[start:stop] = data.draw(st.one_of(st.binary(max_size=10), st.sampled_from(PIECES)))
    checks = tuple(check for _, check in check_all(bytes(changed)))
    assert checks
    for check in checks:
        assert check.verdict in {"accepted", "accepted_with_findings", "refused"}
        assert (check.verdict == "refused") == check.reason.startswith("cap.")


def test_containers_cut_anywhere() -> None:
    alert = f'<alert xmlns="{NS}">{HEAD}</alert>'
    for container in CONTAINERS:
        whole = container.replace("{}", alert).encode()
        assert all(check.verdict.startswith("accepted") for check in tuple(check for _, check in check_all(whole)))
        for length in range(len(whole)):
            (check,) = tuple(check for _, check in check_all(whole[:length]))
            assert check.verdict == "refused"
