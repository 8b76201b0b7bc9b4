"""The CAP writer against the reader, the official schema and real files."""

import dataclasses
import os

import pytest
from lxml import etree

from adapters.connectors.cap import read_cap
from adapters.connectors.cap.write import write_cap
from gateway.errors import FieldInvalid
from gateway.model.alert import Alert, Area, Circle, NamedValue, Point
from gateway.model.header import Mode
from gateway.model.rules import check_alert
from gateway.model.text import LocalizedText, TextOrigin
from tests.integration.test_cap_corpus import CHECKOUT, CORPUS, XSD, verdicts

EXAMPLE = CHECKOUT / "examples/alerts/mekong-typhoon.xml"
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir() and "CI" not in os.environ, reason="no corpus here; name its folder in CONCORD_CORPUS"
)


def example() -> Alert:
    return bare(read_cap(EXAMPLE.read_bytes()).alert)


def bare(alert: Alert) -> Alert:
    return dataclasses.replace(alert, provenance=None)


def test_an_alert_in_several_languages_comes_back_whole() -> None:
    alert = example()
    assert len({info.language for info in alert.infos}) > 1
    written = write_cap(alert, Mode.EXERCISE)
    assert not written.losses
    reading = read_cap(written.data)
    assert bare(reading.alert) == alert
    assert reading.mode is Mode.EXERCISE


def test_latitude_stays_first() -> None:
    # Vientiane; mirrored it would lie beyond the pole, and a place mirrored within 90 degrees reads without complaint.
    alert = example()
    for point in (Point(17.97, 102.6), Point(12.5, 43.25), Point(0.00001, -0.00002)):
        area = Area(
            description="x", circles=(Circle(point, 1.5),), polygons=((point, Point(1, 2), Point(3, 4), point),)
        )
        moved = dataclasses.replace(alert, infos=(dataclasses.replace(alert.infos[0], areas=(area,)),))
        assert read_cap(write_cap(moved, Mode.TEST).data).alert.infos[0].areas == (area,)


def test_markup_in_texts_is_text_and_what_xml_cannot_carry_is_refused() -> None:
    alert = example()
    for text in ("</headline><x/>", "a & b ]]> c", "one\r\ntwo", "<!DOCTYPE x>"):
        changed = dataclasses.replace(alert, infos=(dataclasses.replace(alert.infos[0], headline=text),))
        assert read_cap(write_cap(changed, Mode.TEST).data).alert.infos[0].headline == text
    for character in ("\x00", "\x0b", "\ud800", "\ufffe", "\uffff"):
        with pytest.raises(FieldInvalid):
            write_cap(dataclasses.replace(alert, note=f"a{character}b"), Mode.TEST)


def test_what_cap_cannot_say_is_told() -> None:
    alert = dataclasses.replace(example(), advisory_level=3, scope="", infos=())
    written = write_cap(alert, Mode.TEST)
    assert [loss.path for loss in written.losses] == ["alert/scope", "alert"]
    assert read_cap(written.data).alert.scope == "Private"


def with_parameters(*pairs: NamedValue) -> Alert:
    alert = example()
    return dataclasses.replace(alert, infos=(dataclasses.replace(alert.infos[0], parameters=pairs), *alert.infos[1:]))


def test_advice_and_codes_of_ours_come_back() -> None:
    words = (
        LocalizedText("th", "ไม่ควรเดินทาง  โดย\nไม่จำเป็น", TextOrigin.ORIGINAL, authentic=True),
        LocalizedText("zh-Hans", "暂勿前往 & <x>", TextOrigin.MACHINE),
    )
    alert = example()
    info = dataclasses.replace(
        alert.infos[0], categories=("Met", "scam_recruitment", "unrest"), response_types=("Avoid", "call_hotline")
    )
    for level in (None, 0, 4):
        full = dataclasses.replace(alert, advisory_level=level, advisory_words=words, infos=(info, *alert.infos[1:]))
        written = write_cap(full, Mode.TEST)
        assert not written.losses
        assert bare(read_cap(written.data).alert) == full
    for categories in (("unrest", "Met"), ("unrest",), ("Met", "Not a code")):
        odd = dataclasses.replace(alert, infos=(dataclasses.replace(info, categories=categories),))
        assert any("category" in loss.path for loss in write_cap(odd, Mode.TEST).losses)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concord:advisory_level", "5"),
        ("concord:advisory_level", "-1"),
        ("concord:advisory_level", "٣"),
        ("concord:advisory_words", "no such language 1 0 x"),
        ("concord:advisory_words", "th 9 0 x"),
        ("concord:advisory_words", "th 1 2 x"),
        ("concord:advisory_words", "th"),
        ("concord:category", "Not A Code"),
        ("concord:category", "x" * 65),
        ("concord:other", "x"),
    ],
)
def test_bad_values_under_our_names_stay_parameters(name: str, value: str) -> None:
    written = write_cap(with_parameters(NamedValue(name, value)), Mode.TEST)
    assert written.losses
    alert = read_cap(written.data).alert
    assert alert.infos[0].parameters == (NamedValue(name, value),)
    assert (alert.advisory_level, alert.advisory_words) == (None, ())
    assert alert.provenance is not None
    assert "cap.value_unknown" in {finding.code for finding in alert.provenance.findings}


def test_values_under_our_names_are_bounded_and_the_first_level_counts() -> None:
    pairs = (NamedValue("concord:advisory_level", "2"), NamedValue("concord:advisory_level", "4"))
    many = [NamedValue("concord:advisory_words", f"th 1 1 {number}") for number in range(3)]
    many += [NamedValue("concord:advisory_words", f"th 1 0 {number}") for number in range(60)]
    many += [NamedValue("concord:category", "c" * number) for number in range(1, 40)]
    alert = read_cap(write_cap(with_parameters(*pairs, *many), Mode.TEST).data).alert
    check_alert(alert)
    assert alert.advisory_level == 2
    assert len(alert.advisory_words) == 40
    assert len(alert.infos[0].categories) == 24


@needs_corpus
@pytest.mark.corpus
def test_every_readable_file_is_written_as_the_schema_wants_and_comes_back_or_says_why() -> None:
    schema = etree.XMLSchema(etree.parse(str(XSD)))
    for path, verdict in verdicts().items():
        if verdict.verdict == "refused":
            continue
        reading = read_cap(path.read_bytes())
        written = write_cap(reading.alert, reading.mode or Mode.TEST)
        assert schema.validate(etree.fromstring(written.data)), f"{path.name}: {schema.error_log.last_error}"
        if not written.losses:
            assert bare(read_cap(written.data).alert) == bare(reading.alert), path.name
