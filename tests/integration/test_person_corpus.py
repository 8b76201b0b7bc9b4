"""Real person records (PFIF 1.2 and 1.4) as persons of a referral: what maps is taken, what does not is refused."""

import os
import re
import unicodedata
from datetime import datetime
from pathlib import Path

import pytest
from lxml import etree

from gateway.errors import FieldInvalid
from gateway.model.content_rules import check_case
from gateway.model.person import (
    AgeRange,
    Calendar,
    Consent,
    ConsentForm,
    ConsentGiver,
    ConsentScope,
    MinorState,
    NameOrder,
    NameUse,
    PartialDate,
    Person,
    PersonName,
    PersonRole,
    Place,
    Protection,
    Sex,
    Telephone,
    TelephoneHolder,
)
from gateway.model.states import CODES, partner_of
from gateway.model.trafficking import (
    ControlMethod,
    DecisionMaker,
    ExploitationType,
    RecruitmentMethod,
    SexExploitationType,
    TraffickingStatus,
)
from gateway.rpc.convert.message import decode_body, encode_body
from tests.fixtures.cases import REFERRAL, body
from tests.fixtures.changing import changed

CHECKOUT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("CONCORD_CORPUS", CHECKOUT.parent / "shared" / "corpus"))
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not CORPUS.is_dir() and "CI" not in os.environ, reason="no corpus here; name its folder in CONCORD_CORPUS"
    ),
]
STATES = {partner_of(code).code.upper(): code for code in sorted(CODES) if len(code) == 3 and partner_of(code)}
SEXES = {"female": Sex.FEMALE, "male": Sex.MALE, "other": Sex.X}


def records():
    """Every person element of every file, and every note, as plain texts by field."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for path in sorted((CORPUS / "pfif").rglob("*.xml")):
        for element in etree.fromstring(path.read_bytes(), parser).iter():
            name = etree.QName(element).localname if isinstance(element.tag, str) else ""
            if name in {"person", "note"}:
                plain = {
                    etree.QName(child).localname: (child.text or "").strip()
                    for child in element
                    if isinstance(child.tag, str) and len(child) == 0
                }
                yield path.name, name, plain


def names(record) -> tuple[PersonName, ...]:
    family = record.get("family_name") or record.get("last_name") or None
    given = record.get("given_name") or record.get("first_name") or None
    full = (record.get("full_name") or f"{given or ''} {family or ''}".strip()).split("\n")
    main = PersonName(
        script="Zzzz",
        full=unicodedata.normalize("NFC", full[0].strip()),
        family=family,
        given=given,
        order=NameOrder.GIVEN_FIRST if family or given else None,
        use=NameUse.LEGAL,
    )
    others = [*full[1:], *record.get("alternate_names", "").split("\n")]
    return (main, *(PersonName(script="Zzzz", full=o, use=NameUse.ALSO_KNOWN_AS) for o in others if o))


def read(record) -> Person:
    year, _, rest = record.get("date_of_birth", "").partition("-")
    month, _, day = rest.partition("-")
    ages = record.get("age", "").split("-")
    since_ms = int(datetime.fromisoformat(record["source_date"]).timestamp() * 1000)
    country = STATES.get(record.get("home_country", ""), "")
    town = ", ".join(record[key] for key in ("home_neighborhood", "home_city", "home_state") if record.get(key))
    return Person(
        reference=record["person_record_id"].replace("/", "_"),
        role=PersonRole.SUBJECT,
        names=names(record),
        birth_date=PartialDate(
            calendar=Calendar.GREGORIAN,
            year=int(year),
            month=int(month) if month else None,
            day=int(day) if day else None,
            as_written=record["date_of_birth"],
        )
        if year
        else None,
        age=AgeRange(from_years=int(ages[0]), to_years=int(ages[-1]), time_ms=since_ms) if ages[0] else None,
        sex=SEXES.get(record.get("sex", "")),
        minor=MinorState.UNKNOWN,
        protection=Protection.UNKNOWN,
        consent=Consent(
            scope=(ConsentScope.SHARE,), given_by=ConsentGiver.OTHER_KIN, give_ms=since_ms, how=ConsentForm.WRITTEN
        ),
        places=(Place(description=town, country=country, source=record.get("source_name", "")),) if town else (),
    )


def test_every_person_of_the_corpus_becomes_a_person_that_travels():
    found = [(file, record) for file, kind, record in records() if kind == "person"]
    assert len(found) >= 4
    people = {file: read(record) for file, record in found if record.get("person_record_id")}
    assert len(people) >= 3
    for person in people.values():
        content = changed(changed(REFERRAL, "persons", (person, REFERRAL.persons[1])), "reporter.person", "")
        check_case(content, "body")
        assert decode_body(encode_body(body(content))) == body(content)
    full = people["test.pfif-1.4.xml"]
    assert [name.full for name in full.names] == [
        "_test_full_name1",
        "_test_full_name2",
        "_test_alternate_name1",
        "_test_alternate_name2",
    ]
    assert (full.names[0].family, full.names[0].given) == ("_test_family_name", "_test_given_name")
    assert full.birth_date == PartialDate(calendar=Calendar.GREGORIAN, year=1970, month=1, as_written="1970-01")
    assert (full.age.from_years, full.age.to_years, full.sex) == (35, 45, Sex.FEMALE)
    assert full.places[0].country == "USA"


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def test_codes_of_trafficking_are_those_of_htcds():
    folder = CORPUS / "vocab/UNMigration__HTCDS"
    definitions = (folder / "Field Definitions.md").read_text(encoding="utf-8")
    controls = re.findall(r"^\| MethodsOfControl(\w+)", definitions, re.MULTILINE)
    assert [snake(name) for name in controls] == [item.name for item in ControlMethod]
    form = (folder / "Toolkit/Survey/htcds_xlsform.xml").read_text(encoding="utf-8")
    for field, enum in (
        ("vic_MethodOfRecruitment", RecruitmentMethod),
        ("vic_TraffickingStatus", TraffickingStatus),
        ("vic_TraffickingStatusDecisionMakingOrg", DecisionMaker),
        ("vic_TypeOfExploitation", ExploitationType),
        ("vic_TypeOfSexExploitation", SexExploitationType),
    ):
        choices = re.search(rf'<select1? ref="/data/{field}"[^>]*>(.*?)</select1?>', form, re.DOTALL)
        words = re.findall(r"<value>(\w+)</value>", choices[1])
        assert [re.sub(r"[^A-Z]", "", snake(word)) for word in words] == [
            re.sub(r"[^A-Z]", "", item.name) for item in enum
        ]


def test_telephones_of_the_corpus_are_no_numbers_and_are_refused():
    told = {record[key] for _, _, record in records() for key in record if "phone" in key and record[key]}
    assert told
    for number in told:
        person = changed(REFERRAL.persons[0], "telephones", (Telephone(number=number, holder=TelephoneHolder.UNKNOWN),))
        with pytest.raises(FieldInvalid) as caught:
            encode_body(body(changed(REFERRAL, "persons[0]", person)))
        assert caught.value.field == "body.referral.persons[0].telephones[0].number"


def test_a_record_of_two_lines_is_two_names_and_never_one():
    for file, kind, record in records():
        if kind == "person" and "\n" in record.get("full_name", ""):
            name = PersonName(script="Zzzz", full=record["full_name"], use=NameUse.LEGAL)
            with pytest.raises(FieldInvalid):
                check_case(changed(REFERRAL, "persons[0].names[0]", name), "body")
            assert file == "test.pfif-1.4.xml"
