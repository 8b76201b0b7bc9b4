"""The CAP reader against real files: every one gets a verdict, and what is accepted can be sent."""

import os
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from lxml import etree

from adapters.connectors.cap import CapCheck, check_all, check_cap, read_cap
from gateway.ids import AuthorityId
from gateway.model.message import Body, Handling, Onward, Tlp
from gateway.model.rules import check_body
from gateway.rpc.convert.message import MAX_BODY_BYTES, decode_body, encode_body

CHECKOUT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("CONCORD_CORPUS", CHECKOUT.parent / "shared" / "corpus"))
XSD = CORPUS / "schemas/google__cap-library/schema/cap12.xsd"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not CORPUS.is_dir() and "CI" not in os.environ, reason="no corpus here; name its folder in CONCORD_CORPUS"
    ),
]


ALERTS_IN_CONTAINERS = 97
"""Read out of 28 feeds and distributions; one more in them has no identifier."""
LINKS_ONLY = 13
REFUSED_CONTAINERS = {
    "xee.atom": "cap.doctype",
    "pelmorex.atom": "cap.encoding_broken",
    "bushfire_invalid.edxlde#2": "cap.identifier_missing",
}


def files(folder: str) -> list[Path]:
    found = sorted(path for path in (CORPUS / folder).rglob("*") if path.is_file())
    assert found, f"no files below {CORPUS / folder}"
    return found


@cache
def verdicts() -> dict[Path, CapCheck]:
    return {path: check_cap(path.read_bytes()) for path in files("cap")}


def codes(verdict: CapCheck) -> set[str]:
    return {finding.code for finding in verdict.findings}


def test_every_file_gets_a_verdict_and_only_the_hostile_one_is_refused() -> None:
    counts = Counter(verdict.verdict for verdict in verdicts().values())
    refused = {path.name: verdict.reason for path, verdict in verdicts().items() if verdict.verdict == "refused"}
    assert refused == {"xee.cap": "cap.doctype"}
    assert counts["accepted"] + counts["accepted_with_findings"] + counts["refused"] == len(verdicts())
    assert all(verdict.findings for verdict in verdicts().values() if verdict.verdict == "accepted_with_findings")


def test_what_is_accepted_survives_the_wire_whole_and_the_original_byte_for_byte() -> None:
    handling = Handling(tlp=Tlp.CLEAR, purpose="public_warning", onward=Onward.NONE)
    for path, verdict in verdicts().items():
        if verdict.verdict == "refused":
            continue
        data = path.read_bytes()
        alert = read_cap(data).alert
        body = Body(authority=AuthorityId("cn/mfa"), handling=handling, legal_basis=(), content=alert)
        check_body(body)
        encoded = encode_body(body)
        assert len(encoded) <= MAX_BODY_BYTES, path.name
        assert decode_body(encoded) == body, path.name
        assert alert.provenance is not None
        assert alert.provenance.original == data, path.name


@pytest.mark.skipif(not XSD.is_file() and "CI" not in os.environ, reason="no CAP 1.2 schema here")
def test_no_file_that_the_official_schema_refuses_is_accepted_without_findings() -> None:
    schema = etree.XMLSchema(etree.parse(str(XSD)))
    for path, verdict in verdicts().items():
        if verdict.version == "1.2" and verdict.verdict == "accepted":
            assert schema.validate(etree.parse(str(path))), f"{path.name}: {schema.error_log.last_error}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("canada_errors.cap", {"cap.reference_missing"}),
        ("no_info_tag.cap", {"cap.info_missing", "cap.signature_present"}),
        ("PelmorexNAADS_WindWarning.xml", {"cap.signature_present", "cap.signature_several"}),
        ("alertswiss-TEST-1163.xml", {"cap.reference_self", "cap.element_order", "cap.area_missing"}),
        ("noaa_errors.cap", {"cap.polygon_empty", "cap.coordinate_invalid", "cap.element_empty"}),
        ("nws-alert.xml", {"cap.coordinate_invalid"}),
        ("sweden.cap", {"cap.deref_dropped", "cap.element_order", "cap.element_unknown"}),
        ("invalid_xmlns.cap", {"cap.namespace_variant"}),
        ("gdacs-cap_1470644.xml", {"cap.coordinate_wrapped"}),
        ("test_cap_data_1.xml", {"cap.polygon_open"}),
        ("invalid.cap", {"cap.element_missing", "cap.area_name_only", "cap.expires_missing", "cap.language_missing"}),
        ("Myanmar_Flood_Multiple_Area.xml", {"cap.expires_before_sent"}),
    ],
)
def test_known_quirks_are_found(name: str, expected: set[str]) -> None:
    # Some names occur twice, in different states of repair: one of them has the quirk.
    assert any(expected <= codes(verdict) for path, verdict in verdicts().items() if path.name == name)


def test_byte_order_mark_and_prefixes_do_not_hide_burmese() -> None:
    path = next(path for path in verdicts() if path.name == "Myanmar-Flood-MultiLanguage.xml")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    texts = "".join(info.description for info in read_cap(path.read_bytes()).alert.infos)
    assert sum("\u1000" <= character <= "\u109f" for character in texts) > 100


def test_unknown_offset_stays_unknown() -> None:
    path = next(path for path in verdicts() if path.name == "canada.cap")
    assert read_cap(path.read_bytes()).alert.sent_time.offset_minutes is None


def test_every_feed_and_distribution_gets_a_verdict_for_each_alert_in_it() -> None:
    refused: dict[str, str] = {}
    alerts = links_only = 0
    for path in (*files("cap-feed"), *files("edxl-de")):
        results = check_all(path.read_bytes())
        assert results, path.name
        for place, verdict in results:
            if verdict.verdict == "refused":
                refused[f"{path.name}{place}"] = verdict.reason
            elif place:
                alerts += 1
            else:
                links_only += codes(verdict) == {"cap.feed_links"}
    assert (alerts, links_only, refused) == (ALERTS_IN_CONTAINERS, LINKS_ONLY, REFUSED_CONTAINERS)


@pytest.mark.parametrize(
    ("folder", "reasons"),
    [
        ("cap-feed", {"cap.is_feed", "cap.doctype", "cap.encoding_broken", "cap.xml_broken"}),
        ("edxl-de", {"cap.is_edxl"}),
        ("national-json", {"cap.is_json"}),
        ("stix", {"cap.is_json"}),
        ("pfif", {"cap.root_unknown", "cap.is_feed", "cap.is_html", "cap.not_xml", "cap.xml_broken"}),
        (
            "vocab",
            {"cap.is_json", "cap.not_xml", "cap.encoding_broken", "cap.xml_broken", "cap.root_unknown", "cap.is_html"},
        ),
    ],
)
def test_other_formats_are_refused_by_name(folder: str, reasons: set[str]) -> None:
    for path in files(folder):
        verdict = check_cap(path.read_bytes())
        assert verdict.verdict == "refused", path.name
        assert verdict.reason in reasons, path.name
