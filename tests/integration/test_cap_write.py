"""The CAP writer against the reader, the official schema and real files."""

import dataclasses

import pytest
from lxml import etree

from adapters.connectors.cap import read_cap
from adapters.connectors.cap.write import write_cap
from gateway.errors import FieldInvalid
from gateway.model.alert import Alert, Area, Circle, Point
from gateway.model.header import Mode
from tests.integration.test_cap_corpus import CHECKOUT, CORPUS, XSD, verdicts

EXAMPLE = CHECKOUT / "examples/alerts/mekong-typhoon.xml"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus here; name its folder in CONCORD_CORPUS")


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
    alert = dataclasses.replace(example(), advisory_level=3, scope="")
    written = write_cap(alert, Mode.TEST)
    assert [loss.path for loss in written.losses] == ["alert/scope", "alert"]
    assert read_cap(written.data).alert.scope == "Private"


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
