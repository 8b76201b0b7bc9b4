"""Dates in three calendars, machine-readable zones by ICAO's own examples, and codes of states."""

import csv
import os
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.errors import FieldInvalid
from gateway.ids import PartnerId
from gateway.model.calendars import YEARS, check_date, gregorian_span
from gateway.model.person import Calendar, MinorState, PartialDate
from gateway.model.person_rules import check_born
from gateway.model.states import CODES, NO_STATE, is_state_code, partner_of
from gateway.model.travel_document import check_digit, has_zone_line, read_zone
from tests.fixtures.cases import SUBJECT
from tests.fixtures.changing import changed

CHECKOUT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("CONCORD_CORPUS", CHECKOUT.parent / "shared" / "corpus"))


def written(calendar: Calendar, year: int, month: int | None = None, day: int | None = None) -> PartialDate:
    return PartialDate(calendar=calendar, year=year, month=month, day=day)


def field_of(value: PartialDate) -> str:
    with pytest.raises(FieldInvalid) as caught:
        check_date(value, "date")
    return caught.value.field


def thai(day: date) -> PartialDate:
    """The Thai year of a Gregorian day, by the law of each time: Royal Institute's table, told the other way round."""
    if day >= date(1941, 1, 1):
        return written(Calendar.BUDDHIST, day.year + 543, day.month, day.day)
    begun = day.year if day.month >= 4 else day.year - 1
    return written(Calendar.BUDDHIST, begun + 543, day.month, day.day)


def test_every_buddhist_day_is_one_gregorian_day_and_back() -> None:
    day = date(1913, 4, 1)
    while day < date(2030, 1, 1):
        value = thai(day)
        check_date(value, "date")
        assert gregorian_span(value) == (day, day)
        day += timedelta(days=17 if 1950 < day.year < 2020 else 1)


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        (written(Calendar.BUDDHIST, 2569), date(2026, 1, 1), date(2026, 12, 31)),
        (written(Calendar.BUDDHIST, 2484), date(1941, 1, 1), date(1941, 12, 31)),
        (written(Calendar.BUDDHIST, 2483), date(1940, 4, 1), date(1940, 12, 31)),
        (written(Calendar.BUDDHIST, 2482), date(1939, 4, 1), date(1940, 3, 31)),
        (written(Calendar.BUDDHIST, 2482, 2), date(1940, 2, 1), date(1940, 2, 29)),
        (written(Calendar.BUDDHIST, 2482, 2, 29), date(1940, 2, 29), date(1940, 2, 29)),
        (written(Calendar.BUDDHIST, 2543, 2, 29), date(2000, 2, 29), date(2000, 2, 29)),
        (written(Calendar.GREGORIAN, 1990, 2), date(1990, 2, 1), date(1990, 2, 28)),
        (written(Calendar.GREGORIAN, 1990), date(1990, 1, 1), date(1990, 12, 31)),
    ],
)
def test_partial_dates_mean_a_span_of_days(value: PartialDate, first: date, last: date) -> None:
    check_date(value, "date")
    assert gregorian_span(value) == (first, last)


def test_spans_of_buddhist_years_join_without_gap() -> None:
    spans = [gregorian_span(written(Calendar.BUDDHIST, year)) for year in range(2456, 2600)]
    for before, after in pairwise(spans):
        assert before is not None
        assert after is not None
        assert before[1] + timedelta(days=1) == after[0]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (written(Calendar.BUDDHIST, 2483, 2), "date.month"),
        (written(Calendar.BUDDHIST, 2483, 3, 31), "date.month"),
        (written(Calendar.BUDDHIST, 2567, 2, 30), "date.day"),
        (written(Calendar.BUDDHIST, 2566, 2, 29), "date.day"),
        (written(Calendar.BUDDHIST, 1990), "date.year"),
        (written(Calendar.GREGORIAN, 2533, 3, 15), "date.year"),
        (written(Calendar.GREGORIAN, 1445), "date.year"),
        (written(Calendar.GREGORIAN, 1900, 2, 29), "date.day"),
        (written(Calendar.GREGORIAN, 1990, 13), "date.month"),
        (written(Calendar.GREGORIAN, 1990, 0), "date.month"),
        (written(Calendar.GREGORIAN, 1990, 4, 31), "date.day"),
        (written(Calendar.GREGORIAN, 1990, 4, 0), "date.day"),
        (written(Calendar.GREGORIAN, 1990, None, 4), "date.day"),
        (written(Calendar.HIJRI, 1410, 13), "date.month"),
        (written(Calendar.HIJRI, 1410, 9, 31), "date.day"),
        (written(Calendar.HIJRI, 1990), "date.year"),
    ],
)
def test_days_that_never_were_are_refused_by_field(value: PartialDate, field: str) -> None:
    assert field_of(value) == field


def test_a_buddhist_year_given_as_gregorian_is_told_to_be_one() -> None:
    with pytest.raises(FieldInvalid) as caught:
        check_date(written(Calendar.GREGORIAN, 2533), "date")
    assert "buddhist" in caught.value.problem


def test_hijri_dates_are_kept_as_written_and_not_converted() -> None:
    value = written(Calendar.HIJRI, 1410, 9, 30)
    check_date(value, "date")
    assert gregorian_span(value) is None


def test_years_are_one_span_in_three_calendars() -> None:
    assert YEARS[Calendar.BUDDHIST] == tuple(year + 543 for year in YEARS[Calendar.GREGORIAN])


def test_eighteen_is_counted_by_the_day_and_only_where_the_date_leaves_no_doubt() -> None:
    born = changed(SUBJECT, "birth_date", written(Calendar.GREGORIAN, 2008, 11, 26))
    birthday, day = date(2026, 11, 26), timedelta(days=1)
    for minor, contradicted in ((MinorState.YES, birthday + day), (MinorState.NO, birthday - 2 * day)):
        person = changed(born, "minor", minor)
        with pytest.raises(FieldInvalid) as caught:
            check_born(person, contradicted, "p")
        assert caught.value.field == "p.minor"
        # Around midnight it depends on the zone, and nobody is refused for that.
        for shift in (-1, 0):
            check_born(person, birthday + shift * day, "p")
        check_born(changed(born, "minor", MinorState.DISPUTED), contradicted, "p")
    leap = changed(SUBJECT, "birth_date", written(Calendar.GREGORIAN, 2008, 2, 29))
    check_born(changed(leap, "minor", MinorState.YES), date(2026, 3, 1), "p")
    with pytest.raises(FieldInvalid):
        check_born(changed(leap, "minor", MinorState.YES), date(2026, 3, 2), "p")
    vague = changed(SUBJECT, "birth_date", written(Calendar.BUDDHIST, 2551))
    for minor in MinorState:
        check_born(changed(vague, "minor", minor), birthday, "p")


def test_nobody_is_born_tomorrow():
    for offset in (0, 1, 2):
        born = date(2026, 11, 26) + timedelta(days=offset)
        person = changed(SUBJECT, "birth_date", written(Calendar.GREGORIAN, born.year, born.month, born.day))
        person = changed(person, "minor", MinorState.YES)
        if offset < 2:
            check_born(person, date(2026, 11, 26), "p")
        else:
            with pytest.raises(FieldInvalid) as caught:
                check_born(person, date(2026, 11, 26), "p")
            assert caught.value.field == "p.birth_date"


PASSPORT = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
SPECIMENS = {
    # Doc 9303: part 4 appendix A, part 5 appendix A and section 4.2.2, part 6 appendix A, part 7 appendices A and B.
    "passport": (PASSPORT, "P", "L898902C3", "UTO"),
    "card of three lines": (
        "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
        "I", "D23145890", "UTO",
    ),
    "card with a long number": (
        "I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<",
        "I", "D23145890734", "UTO",
    ),
    "card of two lines": (
        "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6",
        "I", "D23145890", "UTO",
    ),
    "visa of 44": (
        "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL8988901C4XXX4009078F96121096ZE184226B<<<<<<",
        "V", "L8988901C", "XXX",
    ),
    "visa of 36": (
        "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nL8988901C4XXX4009078F9612109<<<<<<<<",
        "V", "L8988901C", "XXX",
    ),
}  # fmt: skip


def test_check_digits_are_those_of_the_examples_of_part_3() -> None:
    assert check_digit("520727") == 3
    assert check_digit("AB2134<<<") == 5
    assert check_digit("HA672242<658022549601086<<<<<<<<<<<<<<0") == 8
    assert check_digit("") == 0
    for wrong in ("a", "É", " ", "-"):
        with pytest.raises(FieldInvalid):
            check_digit(wrong)


@pytest.mark.parametrize("name", SPECIMENS)
def test_specimens_of_doc_9303_pass(name: str) -> None:
    text, document_type, number, nationality = SPECIMENS[name]
    zone = read_zone(text, "mrz")
    assert (zone.document_type, zone.number, zone.nationality, zone.wrong) == (document_type, number, nationality, ())
    assert all(has_zone_line(f"seen: {line}.") for line in text.split("\n") if "<<" in line)


@pytest.mark.parametrize(
    ("position", "wrong"),
    [
        (0, {"number", "composite"}),
        (9, {"number", "composite"}),
        (10, set()),
        (14, {"birth", "composite"}),
        (20, set()),
        (22, {"expiry", "composite"}),
        (30, {"personal_number", "composite"}),
        (42, {"personal_number", "composite"}),
        (43, {"composite"}),
    ],
)
def test_a_changed_character_is_found_by_the_digits_over_it(position: int, wrong: set[str]) -> None:
    first, second = PASSPORT.split("\n")
    other = "0" if second[position] != "0" else "1"
    changed_line = second[:position] + other + second[position + 1 :]
    assert set(read_zone(f"{first}\n{changed_line}", "mrz").wrong) == wrong


@pytest.mark.parametrize(
    "text",
    ["", "\n", PASSPORT + "\n", PASSPORT.replace("\n", "\r\n"), PASSPORT.replace("\n", ""), PASSPORT[:-1], "É" * 44],
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        read_zone(text, "person.mrz")
    assert caught.value.field == "person.mrz"


@pytest.mark.parametrize("text", ["a << b", "<" * 29, "SHIFT<<" * 10, "https://a.example/" + "A" * 60, "A" * 44])
def test_ordinary_texts_have_no_zone_line(text: str) -> None:
    assert not has_zone_line(text)


def test_codes_lead_to_partners_and_those_without_a_state_to_nobody() -> None:
    assert {code: partner_of(code) for code in ("THA", "CHN", "D", "GBN")} == {
        "THA": PartnerId("th"),
        "CHN": PartnerId("cn"),
        "D": PartnerId("de"),
        "GBN": PartnerId("gb"),
    }
    assert all(is_state_code(code) and partner_of(code) is None for code in (*NO_STATE, "UNO", "RKS"))
    assert not any(map(is_state_code, ("", "TH", "tha", "UTO", "ZZZ")))
    assert partner_of("ZZZ") is None


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir() and "CI" not in os.environ, reason="no corpus here; name it in CONCORD_CORPUS")
def test_codes_are_those_of_iso_3166() -> None:
    (path,) = (CORPUS / "vocab/datasets__country-codes/data").glob("*.csv")
    with path.open(encoding="utf-8") as file:
        rows = [(row["ISO3166-1-Alpha-3"], row["ISO3166-1-Alpha-2"]) for row in csv.DictReader(file)]
    pairs = {alpha_3: alpha_2.lower() for alpha_3, alpha_2 in rows if len(alpha_3) == 3 and len(alpha_2) == 2}
    assert len(pairs) == 249
    assert {code: partner_of(code) for code in pairs} == {code: PartnerId(name) for code, name in pairs.items()}
    assert len(CODES) == 249 + 22 + len(NO_STATE)
