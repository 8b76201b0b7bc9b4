"""Every rule of cases, kept and broken, with the field that is named."""

from dataclasses import replace
from math import nan
from typing import Any

import pytest

from gateway.errors import FieldInvalid
from gateway.ids import MessageId, PartnerId
from gateway.model.alert import Point
from gateway.model.assistance import ApprovalAct
from gateway.model.case import Answer, CaseOutcome, Ground, MeasureOutcome, RecallAction, RecallResult, Verdict
from gateway.model.content_rules import CONTENT_NAMES, check_case
from gateway.model.header import MAX_TIME_MS, Mode, Urgency
from gateway.model.measure import DataClass, MeasureType, Selector, SelectorType
from gateway.model.message import Onward, Tlp
from gateway.model.operation import MemberRole, MembershipChange
from gateway.model.person import (
    Calendar,
    DocumentHolder,
    MinorState,
    MrzCheck,
    NameOrder,
    PartialDate,
    PersonRole,
    Place,
    YesNo,
)
from gateway.model.referral import (
    AgeBand,
    AgeCount,
    CaseType,
    ContactMethod,
    NotificationRegime,
    NotificationWish,
)
from gateway.model.rules import check_draft
from gateway.model.text import LocalizedText
from tests.fixtures.cases import (
    ANSWER,
    CONFIRMATION,
    CONTENTS,
    DECISION,
    DECISIONS,
    NOW,
    OPENING,
    OPERATIONS,
    OUTCOME,
    POINT,
    RECALL,
    REFERRAL,
    REFUSAL,
    REPORTER,
    REQUEST,
    SUBJECT,
    TRAFFICKING,
    UPDATE,
    USE_REPORT,
    WITHDRAWAL,
    ZONE,
    attachment,
    draft,
    words,
)
from tests.fixtures.changing import changed, texts

DAY = 86_400_000
TH, LA, CN, VN = map(PartnerId, ("th", "la", "cn", "vn"))


def refused(content: Any) -> str:
    with pytest.raises(FieldInvalid) as caught:
        check_case(content, "body")
    return caught.value.field.removeprefix(f"body.{CONTENT_NAMES[type(content)]}").lstrip(".")


@pytest.mark.parametrize("content", CONTENTS, ids=lambda item: type(item).__name__)
def test_full_samples_pass_alone_and_as_drafts(content: Any) -> None:
    check_case(content, "body")
    check_draft(draft(content), NOW)


def test_override_is_refused_in_every_text_of_every_content() -> None:
    met = 0
    for content in CONTENTS:
        for path, wire, text in texts(content):
            if text:
                assert refused(changed(content, path, text + "\u202e")) == wire
                met += 1
    assert met > 500


@pytest.mark.parametrize("mark", ["\x07", "\ud800", "\x85", "\u202b"])
def test_controls_and_half_letters_are_refused_in_texts(mark: str) -> None:
    for path, wire, text in texts(RECALL):
        if text:
            assert refused(changed(RECALL, path, text + mark)) == wire


def test_zone_of_a_passport_is_refused_in_every_text_but_its_own() -> None:
    line = ZONE.split("\n")[0]
    for path, wire, text in texts(REFERRAL):
        if text and not path.endswith(".mrz"):
            assert refused(changed(REFERRAL, path, f"{text} {line} ")) == wire


@pytest.mark.parametrize(
    ("path", "new", "field"),
    [
        ("full", "", "full"),
        ("full", " x", "full"),
        ("full", "สมชาย\nแซ่ตั้ง", "full"),
        ("family", "\u0301", None),
        ("full", "สมชาย\u2066", "full"),
        ("full", "สมชาย\ue000", "full"),
        ("full", "Cмит", "full"),
        ("given", "", "given"),
        ("order", None, "order"),
        ("order", NameOrder.SINGLE, "order"),
    ],
)
def test_broken_name_is_refused_by_field(path: str, new: Any, field: str | None) -> None:
    content = changed(REFERRAL, f"persons[0].names[0].{path}", new)
    if field is None:
        check_case(content, "body")
    else:
        assert refused(content) == f"persons[0].names[0].{field}"


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("Latn", "Nguye\u0302\u0303n"),
        ("Latn", "Sm\u0456th"),
        ("Latn", "Anna\u200bMaria"),
        ("Cyrl", "\u0410nn\u0430"),
        ("Hans", "陈\u200b宋才"),
        ("Hans", "ﾁﾝ"),
        ("Thai", "ສົມ"),
        ("Zzzz", "a\u202ab"),
        ("Khmr", "ក\ufeff"),
    ],
)
def test_names_that_look_like_others_are_refused(script: str, name: str) -> None:
    content = changed(REFERRAL, "persons[0].names[3]", replace(SUBJECT.names[3], script=script, full=name))
    assert refused(content) == "persons[0].names[3].full"


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("Latn", "Nguyễn Thị Ánh"),
        ("Latn", "O’Brien-Smith Jr."),
        ("Mymr", "ဒေါ်အောင်ဆန်း"),
        ("Khmr", "សុខ\u200bវណ្ណា"),
        ("Arab", "علی\u200cرضا"),
        ("Laoo", "ສົມສັກ"),
        ("Hant", "陳大文"),
        ("Cyrl", "Алёна"),
        ("Tibt", "བསྟན་འཛིན"),
        ("Mong", "ᠪᠠᠲᠤ"),
        ("Zzzz", "X 小明"),
        ("Hang", "김철수"),
    ],
)
def test_names_of_many_peoples_are_taken(script: str, name: str) -> None:
    check_case(changed(REFERRAL, "persons[0].names[3]", replace(SUBJECT.names[3], script=script, full=name)), "body")


@pytest.mark.parametrize(
    ("path", "new", "field"),
    [
        ("persons[1].reference", "p1", "persons[1].reference"),
        ("persons[0].nationalities", ("THA", "THX"), "persons[0].nationalities[1]"),
        ("persons[0].feared_states", ("TH",), "persons[0].feared_states[0]"),
        ("persons[0].age.to_years", 3, "persons[0].age.to_years"),
        ("persons[0].birth_date.year", 1990, "persons[0].birth_date.year"),
        ("persons[0].birth_date.month", None, "persons[0].birth_date.day"),
        ("persons[0].documents[0].description", "", None),
        ("persons[0].documents[0].issuer", "ZZZ", "persons[0].documents[0].issuer"),
        ("persons[0].documents[0].issuer", "LAO", "persons[0].documents[0].issuer"),
        ("persons[0].documents[0].number", "AA1234568", "persons[0].documents[0].number"),
        ("persons[0].documents[0].number", "AA-1234567", None),
        ("persons[0].documents[0].document_type", "V", "persons[0].documents[0].document_type"),
        ("persons[0].documents[0].document_type", "", "persons[0].documents[0].description"),
        ("persons[0].documents[0].mrz_check", MrzCheck.FAILED, "persons[0].documents[0].mrz_check"),
        ("persons[0].documents[0].mrz_check", MrzCheck.NOT_READ, "persons[0].documents[0].mrz_check"),
        ("persons[0].documents[0].mrz", ZONE[:-1] + "7", "persons[0].documents[0].mrz_check"),
        ("persons[0].documents[0].mrz", ZONE[:-1], "persons[0].documents[0].mrz"),
        ("persons[0].documents[0].mrz", ZONE.lower(), "persons[0].documents[0].mrz"),
        ("persons[0].documents[0].mrz", "", "persons[0].documents[0].mrz_check"),
        ("persons[0].documents[0].holder", DocumentHolder.NEVER_ISSUED, "persons[0].documents[0].holder"),
        ("persons[0].documents[0].expiry.day", 32, "persons[0].documents[0].expiry.day"),
        ("persons[0].consent.withdraw_ms", NOW - 2 * DAY, "persons[0].consent.withdraw_time"),
        ("persons[0].places[0]", Place(), "persons[0].places[0]"),
        ("persons[0].places[0].country", "XX", "persons[0].places[0].country"),
        ("persons[0].places[0].cell", "87411a70dfffff0", "persons[0].places[0].cell"),
        ("persons[0].places[0].cell", "no cell at all", "persons[0].places[0].cell"),
        ("persons[0].places[0].cell", "88411a70d1fffff", "persons[0].places[0].cell"),
        ("persons[0].places[0].cell", "87f51a70dffffff", "persons[0].places[0].cell"),
        ("persons[0].places[0].point", Point(1.0, 2.0), "persons[0].places[0].cell"),
        ("persons[0].places[0].accuracy_m", 5.0, "persons[0].places[0].accuracy_m"),
        ("last_place", replace(POINT, accuracy_m=None), "last_place.accuracy_m"),
        ("last_place", replace(POINT, accuracy_m=nan), "last_place.accuracy_m"),
        ("last_place", replace(POINT, point=Point(91.0, 0.0)), "last_place.point"),
        ("persons[0].consent.give_ms", MAX_TIME_MS + 1, "persons[0].consent.give_time"),
        ("persons[0].age.time_ms", -1, "persons[0].age.time"),
    ],
)
def test_broken_person_is_refused_by_field(path: str, new: Any, field: str | None) -> None:
    content = changed(REFERRAL, path, new)
    if field is None:
        check_case(content, "body")
    else:
        assert refused(content) == field


def test_a_zone_with_wrong_digits_is_evidence_and_taken_when_it_says_so() -> None:
    forged = replace(SUBJECT.documents[0], mrz=ZONE[:-1] + "7", mrz_check=MrzCheck.FAILED, number="OTHER1")
    check_case(changed(REFERRAL, "persons[0].documents[0]", forged), "body")


def test_a_subject_needs_consent_that_stands_or_a_vital_interest() -> None:
    bare = changed(REFERRAL, "persons[0].vital_interest", None)
    check_case(bare, "body")
    assert refused(changed(bare, "persons[0].consent", None)) == "persons[0].consent"
    assert refused(changed(bare, "persons[0].consent.withdraw_ms", NOW)) == "persons[0].consent.withdraw_time"
    check_case(changed(REFERRAL, "persons[0].consent", None), "body")
    assert refused(changed(UPDATE, "persons[0]", changed(bare, "persons[0].consent", None).persons[0])) == (
        "persons[0].consent"
    )


@pytest.mark.parametrize(
    ("path", "new", "field"),
    [
        ("asks", (), "asks"),
        ("summary", (), "summary"),
        ("summary[0].language", "th_TH", "summary[0].language"),
        ("summary[0].text", " ", "summary[0].text"),
        ("summary[1].authentic", True, "summary[1].authentic"),
        ("reporter.person", "nobody", "reporter.person"),
        ("last_contact.words", (), None),
        ("danger", (), "danger"),
        ("evacuation", None, "evacuation"),
        ("case_type", CaseType.KIDNAP, "evacuation"),
        ("detention", None, "detention"),
        ("screening.screened_by", "", "screening.screened_by"),
        ("screening.time_ms", None, "screening.time"),
        ("safe_contact.time_zone", "", "safe_contact.time_zone"),
        ("safe_contact.time_zone", "Yangon", "safe_contact.time_zone"),
        ("safe_contact.method", ContactMethod.DO_NOT_CONTACT, "safe_contact.hours"),
        ("detention.place", Place(), "detention.place"),
        ("detention.rights_told", YesNo.NO, "detention.rights_told_time"),
        ("detention.rights_told_ms", NOW - 3 * DAY, "detention.rights_told_time"),
        ("detention.regime_hours", None, "detention.regime_hours"),
        ("detention.regime", NotificationRegime.ON_REQUEST, "detention.regime_hours"),
        ("detention.notification", NotificationWish.REFUSED, "detention.visit_asked"),
        (
            "detention",
            replace(REFERRAL.detention, visit_asked=YesNo.NO, visit_granted=YesNo.YES),
            "detention.visit_granted",
        ),
        ("evacuation.head_counts", (), "evacuation.head_counts"),
        ("evacuation.head_counts", (AgeCount(band=AgeBand.UNKNOWN, count=0),), "evacuation.head_counts"),
        ("evacuation.head_counts[1].band", AgeBand.FROM_18_TO_59, "evacuation.head_counts[1].band"),
        ("evacuation.with_passport", 400, "evacuation.without_passport"),
        ("evacuation.assembly_point", Place(), "evacuation.assembly_point"),
        ("evacuation.manifest_sha256", bytes(32), "evacuation.manifest_sha256"),
        ("hotline.call_reference", " ", "hotline.call_reference"),
        ("hotline.calls_merged", 0, "hotline.calls_merged"),
        ("hotline.last_call_ms", NOW - 2 * DAY, "hotline.last_call_time"),
        ("trafficking.status", None, "trafficking.decided_by"),
        ("trafficking.recruitment_place", Place(), "trafficking.recruitment_place"),
        (
            "trafficking",
            replace(TRAFFICKING, acts=(), means=(), purposes=(), exploitation=(), controls=()),
            "trafficking",
        ),
        ("attachments[0].name", "../a.pdf", "attachments[0].name"),
        ("attachments[0].name", "..", "attachments[0].name"),
        ("attachments[0].name", "fdp\u200b.exe", "attachments[0].name"),
        ("attachments[0].size_bytes", (2 << 30) + 1, "attachments[0].size_bytes"),
        ("attachments[0].key", b"short", "attachments[0].key"),
        ("attachments[0].custody[1].time_ms", 0, "attachments[0].custody"),
        ("attachments", (attachment(1), attachment(1)), "attachments[1].sha256"),
        ("attachments", (attachment(1), replace(attachment(2), key=attachment(1).key)), "attachments[1].key"),
        ("related", (REFERRAL.related[0], REFERRAL.related[0]), "related[1].message_id"),
    ],
)
def test_broken_referral_is_refused_by_field(path: str, new: Any, field: str | None) -> None:
    content = changed(REFERRAL, path, new)
    if field is None:
        check_case(content, "body")
    else:
        assert refused(content) == field


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (CaseType.DETAINED, "detention"),
        (CaseType.HOTLINE_FOLLOWUP, "hotline"),
        (CaseType.SUSPECTED_TRAFFICKING, "trafficking"),
        (CaseType.SCAM_COMPOUND, "trafficking"),
        (CaseType.MISSING_PERSON, "last_contact"),
        (CaseType.KIDNAP, "last_place"),
    ],
)
def test_a_case_needs_the_block_of_its_type(kind: CaseType, missing: str) -> None:
    whole = replace(REFERRAL, case_type=kind, evacuation=None, asks=REFERRAL.asks[:1])
    check_case(whole, "body")
    assert refused(replace(whole, **{missing: None})) == missing


def test_a_referral_is_about_somebody_unless_people_at_an_assembly_point_are_only_counted() -> None:
    counted = replace(REFERRAL, persons=(REPORTER,))
    check_case(counted, "body")
    assert refused(replace(counted, case_type=CaseType.MEDICAL, evacuation=None)) == "persons"
    adult = replace(REFERRAL, case_type=CaseType.MINOR_AT_RISK, evacuation=None)
    assert refused(adult) == "persons"
    check_case(changed(adult, "persons[0].minor", MinorState.DISPUTED), "body")


def test_time_of_last_contact_is_known_or_words_say_what_is() -> None:
    unknown = changed(REFERRAL, "last_contact.time_ms", None)
    check_case(unknown, "body")
    assert refused(changed(unknown, "last_contact.words", ())) == "last_contact.words"


@pytest.mark.parametrize(
    ("path", "new", "field"),
    [
        ("requesting.name", " ", "requesting.name"),
        ("contact.telephone", "", None),
        ("duty_contact.telephone", "", "duty_contact"),
        ("contact", replace(REQUEST.contact, telephone="", email=""), "contact.telephone"),
        ("duty_contact.round_the_clock", YesNo.UNKNOWN, "duty_contact"),
        ("subject", (), "subject"),
        ("facts", (), "facts"),
        ("evidence_link", (), "evidence_link"),
        ("purpose_of_use", (), "purpose_of_use"),
        ("offences", (), "offences"),
        ("offences[0].legal_text", (), "offences[0].legal_text"),
        ("offences[0].offence_class", 12, "offences[0].offence_class"),
        ("measures", (), "measures"),
        ("measures[1].measure_id", "m1", "measures[1].measure_id"),
        ("due_reason", "", "due_reason"),
        ("due_ms", None, "due_time"),
        ("confidentiality.reason", "", "confidentiality.reason"),
        ("dual_criminality.words", (), "dual_criminality.words"),
        ("prior_judgment.words", (), "prior_judgment.words"),
        ("earlier[0].reference", "", "earlier[0].reference"),
        ("data_terms.review_ms", NOW + 1801 * DAY, "data_terms.review_time"),
        ("victims_touched", YesNo.NO, "victims_touched"),
        ("persons[0].minor", MinorState.YES, "minors_touched"),
        ("approvals[0].time_ms", NOW + 1, "approvals"),
        ("approvals[1].act", ApprovalAct.DRAFTED, "approvals"),
        ("measures[0].measure_type", MeasureType.SUBSCRIBER_DATA, "measures[0].measure_type"),
        ("measures[0].particulars.selectors", (), "measures[0].preservation.selectors"),
        ("measures[0].particulars.follow_up_ms", None, "measures[0].preservation.follow_up_time"),
        ("measures[0].particulars.follow_up_ms", NOW + 91 * DAY, "measures[0].preservation.follow_up_time"),
        ("measures[0].particulars.extends", "x", "measures[0].preservation.extends"),
        ("measures[1].particulars.extends", "", "measures[1].preservation.extends"),
        ("measures[2].particulars.data_classes", (DataClass.CONTENT,), "measures[2].disclosure.data_classes[0]"),
        ("measures[2].measure_type", MeasureType.SUBSCRIBER_DATA, "measures[2].disclosure.data_classes[0]"),
        ("measures[2].particulars.real_time", YesNo.UNKNOWN, "measures[2].disclosure.real_time"),
        (
            "measures[2]",
            changed(
                changed(REQUEST.measures[2], "measure_type", MeasureType.PARTIAL_TRAFFIC_DISCLOSURE),
                "particulars.real_time",
                YesNo.YES,
            ),
            "measures[2].disclosure.real_time",
        ),
        ("measures[3].particulars.accounts", (), "measures[3].assets.accounts"),
        ("measures[3].particulars.accounts[0].number", "1", "measures[3].assets.accounts[0]"),
        ("measures[3].particulars.accounts[0].iban", "", "measures[3].assets.accounts[0]"),
        (
            "measures[3].particulars.accounts[0].iban",
            "GB82WEST12345698765433",
            "measures[3].assets.accounts[0].iban",
        ),
        ("measures[3].particulars.accounts[1].institution", "", "measures[3].assets.accounts[1].institution"),
        ("measures[3].particulars.accounts[2].wallet_network", "", "measures[3].assets.accounts[2].wallet_network"),
        ("measures[3].particulars.amount", None, "measures[3].assets.amount"),
        ("measures[3].particulars.traced", (), "measures[3].assets.traced"),
        ("measures[3].particulars.victims", ("p9",), "measures[3].assets.victims[0]"),
        ("measures[3].particulars.until_ms", NOW - DAY, "measures[3].assets.until_time"),
        ("measures[4].particulars.addressee", "p9", "measures[4].service.addressee"),
        ("measures[4].particulars.documents", (bytes(32),), "measures[4].service.documents[0]"),
        ("measures[5].particulars.persons", ("p9",), "measures[5].testimony.persons[0]"),
        ("measures[5].particulars.link", " ", "measures[5].testimony.link"),
        ("measures[5].particulars.from_ms", None, "measures[5].testimony.from_time"),
        ("measures[6].particulars.person", "p9", "measures[6].search.person"),
        ("measures[7].particulars.area", Place(), "measures[7].operation.area"),
        ("measures[8].particulars.persons", ("p1", "p9"), "measures[8].transfer.persons[1]"),
        ("measures[9].particulars.selectors[0].value", "*.example", "measures[9].block.selectors[0].value"),
    ],
)
def test_broken_request_is_refused_by_field(path: str, new: Any, field: str | None) -> None:
    content = changed(REQUEST, path, new)
    if field is None:
        check_case(content, "body")
    else:
        assert refused(content) == field


@pytest.mark.parametrize(
    ("kind", "missing", "field"),
    [
        (MeasureType.RETURN_ASSETS_TO_VICTIMS, "victims", "victims"),
        (MeasureType.TRACE_ASSETS, "from_ms", "from_time"),
        (MeasureType.TRACE_ASSETS, "until_ms", "until_time"),
    ],
)
def test_measures_on_assets_need_what_they_work_with(kind: MeasureType, missing: str, field: str) -> None:
    whole = changed(REQUEST, "measures[3].measure_type", kind)
    check_case(whole, "body")
    empty = () if missing == "victims" else None
    assert refused(changed(whole, f"measures[3].particulars.{missing}", empty)) == f"measures[3].assets.{field}"


def test_serving_documents_needs_no_facts_and_information_no_offence() -> None:
    serve = replace(REQUEST, measures=REQUEST.measures[4:5], facts=(), evidence_link=())
    check_case(serve, "body")
    assert refused(replace(serve, offences=())) == "offences"
    check_case(replace(serve, measures=REQUEST.measures[10:11], offences=()), "body")


def selector(kind: SelectorType, value: str, **times: int) -> Any:
    window = {"from_ms": NOW - DAY, "until_ms": NOW} | times
    only = Selector(selector_type=kind, value=value, **window)
    return changed(REQUEST, "measures[9].particulars.selectors", (only,))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SelectorType.EMAIL, "a@b"),
        (SelectorType.EMAIL, "*@mail.example"),
        (SelectorType.EMAIL, "a@mail.example, b@mail.example"),
        (SelectorType.TELEPHONE, "0812345678"),
        (SelectorType.TELEPHONE, "+0812345678"),
        (SelectorType.TELEPHONE, "+6681"),
        (SelectorType.ACCOUNT, ""),
        (SelectorType.ACCOUNT, "user%"),
        (SelectorType.ACCOUNT, "user\u200b"),
        (SelectorType.IP_ADDRESS, "10.0.0.0/8"),
        (SelectorType.IP_ADDRESS, "0.0.0.0"),
        (SelectorType.IP_ADDRESS, "010.0.0.1"),
        (SelectorType.IP_ADDRESS, "host.example"),
        (SelectorType.IP_ADDRESS, "2001:db8:0:0:0:0:0:7"),
        (SelectorType.DOMAIN, "*.scam.example"),
        (SelectorType.DOMAIN, "com"),
        (SelectorType.DOMAIN, "Scam.example"),
        (SelectorType.DOMAIN, "scam.example."),
        (SelectorType.DOMAIN, "sсam.example"),
        (SelectorType.URL, "javascript:alert(1)"),
        (SelectorType.URL, "https://user:pw@scam.example/"),
        (SelectorType.URL, "https://scam.example/*"),
        (SelectorType.IMEI, "490154203237519"),
        (SelectorType.IMEI, "49015420323751"),
        (SelectorType.IMSI, "52001"),
        (SelectorType.IBAN, "GB82 WEST 1234 5698 7654 32"),
        (SelectorType.IBAN, "GB28WEST12345698765432"),
        (SelectorType.BANK_ACCOUNT, "123--4"),
        (SelectorType.WALLET, "0x12"),
    ],
)
def test_a_selector_that_is_open_or_none_is_refused(kind: SelectorType, value: str) -> None:
    assert refused(selector(kind, value)) == "measures[9].block.selectors[0].value"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SelectorType.EMAIL, "a.b+c@mail.example"),
        (SelectorType.ACCOUNT, "ผู้ใช้_7"),
        (SelectorType.IP_ADDRESS, "203.0.113.7"),
        (SelectorType.IP_ADDRESS, "2001:DB8::7"),
        (SelectorType.DOMAIN, "xn--pgbs0dh.example"),
        (SelectorType.URL, "https://scam.example/pay?id=7&x=%20"),
        (SelectorType.IMEI, "490154203237518"),
        (SelectorType.IMSI, "520031234567890"),
        (SelectorType.IBAN, "GB82WEST12345698765432"),
        (SelectorType.BANK_ACCOUNT, "123-4-56789-0"),
        (SelectorType.WALLET, "0x52908400098527886E0F7030069857D2E4169EE7"),
    ],
)
def test_one_closed_selector_is_taken(kind: SelectorType, value: str) -> None:
    check_case(selector(kind, value), "body")


def test_selectors_have_a_window_and_stand_there_once() -> None:
    open_ended = selector(SelectorType.DOMAIN, "pay.example", until_ms=NOW - DAY)
    assert refused(open_ended) == "measures[9].block.selectors[0].until_time"
    one = REQUEST.measures[9].particulars.selectors[0]
    twice = changed(REQUEST, "measures[9].particulars.selectors", (one, one))
    assert refused(twice) == "measures[9].block.selectors[1].value"
    account = REQUEST.measures[3].particulars.accounts[0]
    twice = changed(REQUEST, "measures[3].particulars.accounts", (account, account))
    assert refused(twice) == "measures[3].assets.accounts[1]"


OWED = {
    Verdict.REFUSE: ("grounds", "disclosed"),
    Verdict.ACCEPT_WITH_CONDITIONS: ("conditions",),
    Verdict.ASK: ("questions",),
    Verdict.REDIRECT: ("redirect_to",),
    Verdict.CONSULT: ("disclosed",),
    Verdict.POSTPONE: ("disclosed", "until_ms"),
}


def test_every_decision_has_what_it_owes_and_nothing_of_another() -> None:
    assert {item.verdict for item in DECISIONS} == set(Verdict)
    foreign = {
        "grounds": (Ground.FORM_DEFECT,),
        "conditions": DECISION.conditions,
        "questions": words(),
        "redirect_to": "la/police",
        "until_ms": NOW,
    }
    for decision in DECISIONS:
        for name in OWED.get(decision.verdict, ()):
            empty = {"redirect_to": "", "until_ms": None}.get(name, ())
            field = "until_time" if name == "until_ms" else name
            assert refused(replace(decision, **{name: empty})) == field
        for name, value in foreign.items():
            if not getattr(decision, name) and not (
                name == "grounds" and decision.verdict in {Verdict.CONSULT, Verdict.POSTPONE}
            ):
                field = "until_time" if name == "until_ms" else name
                assert refused(replace(decision, **{name: value})) == field


@pytest.mark.parametrize(
    ("content", "path", "new", "field"),
    [
        (REFUSAL, "grounds", (Ground.FORM_DEFECT, Ground.ONGOING_CASE), "grounds[1]"),
        (DECISION, "conditions", DECISION.conditions * 2, "conditions[1].condition_id"),
        (ANSWER, "part", 0, "part"),
        (ANSWER, "outcome", CaseOutcome.RESCUED, "outcome"),
        (ANSWER, "results", (), "outcome"),
        (ANSWER, "results", ANSWER.results * 2, "results[1].measure_id"),
        (ANSWER, "results[0].preserved_until_ms", None, "results[0].preserved_until_time"),
        (ANSWER, "results[0].outcome", MeasureOutcome.DONE, "results[0].preserved_until_time"),
        (ANSWER, "results[0].evidence", (bytes(32),), "results[0].evidence[0]"),
        (ANSWER, "places[0]", Place(), "places[0]"),
        (ANSWER, "persons[0].nationalities", ("QQQ",), "persons[0].nationalities[0]"),
        (OUTCOME, "outcome", CaseOutcome.FOUND_SAFE_NO_CONTACT_WANTED, "text"),
        (WITHDRAWAL, "reason", (), "reason"),
        (USE_REPORT, "uses", (), "uses"),
        (USE_REPORT, "uses", USE_REPORT.uses * 2, "uses[1].measure_id"),
        (RECALL, "reason", (), "reason"),
        (RECALL, "content_commitment", b"", "content_commitment"),
        (RECALL, "correction", None, "correction"),
        (RECALL, "action", RecallAction.DESTROY, "correction"),
        (RECALL, "correction.message_id", RECALL.message_id, "correction.message_id"),
        (CONFIRMATION, "words", (), "words"),
        (CONFIRMATION, "content_commitment", b"", "content_commitment"),
        (CONFIRMATION, "onward", CONFIRMATION.onward * 2, "onward[1].partner"),
        (CONFIRMATION, "result", RecallResult.DESTROYED, None),
        (UPDATE, "related", UPDATE.related * 2, "related[1].message_id"),
        (UPDATE, "places[0]", Place(), "places[0]"),
        (OPERATIONS[0], "entry.members[0].roles", (MemberRole.COMMAND,), "opening.members"),
        (OPERATIONS[0], "entry.members[1].roles", (MemberRole.OWNER,), "opening.members"),
        (OPERATIONS[0], "entry.members[1].partner", TH, "opening.members[1].partner"),
        (OPERATIONS[0], "entry.members[1].roles", (), "opening.members[1].roles"),
        (OPERATIONS[0], "entry.members[0].contact.time_zone", "UTC+7", "opening.members[0].contact.time_zone"),
        (OPERATIONS[0], "entry.area", Place(), "opening.area"),
        (OPERATIONS[1], "entry.roles", (), "membership.roles"),
        (OPERATIONS[1], "entry.roles", (MemberRole.OWNER,), "membership.roles"),
        (OPERATIONS[1], "entry.change", MembershipChange.LEAVE, "membership.roles"),
        (OPERATIONS[5], "entry.reason", (), "turn.reason"),
        (UPDATE, "event", "", "event"),
        (CONFIRMATION, "result", RecallResult.PASSED_ON, None),
        (OPERATIONS[2], "entry.place", Place(), "situation.place"),
        (OPERATIONS[2], "entry.counts[0].nationality", "QQQ", "situation.counts[0].nationality"),
        (OPERATIONS[3], "entry.messages", OPERATIONS[3].entry.messages * 2, "links.messages[1].message_id"),
        (OPERATIONS[4], "entry.counts", OPERATIONS[4].entry.counts * 2, "closing.counts[2]"),
        (OPERATIONS[2], "entry.time_ms", MAX_TIME_MS + 1, "situation.time"),
    ],
)
def test_what_follows_a_case_is_refused_by_field(content: Any, path: str, new: Any, field: str | None) -> None:
    content = changed(content, path, new)
    if field is None:
        check_case(content, "body")
    else:
        assert refused(content) == field


def test_what_says_nothing_is_refused() -> None:
    empty = replace(
        UPDATE, event="", measures=(), text=(), questions=(), persons=(), places=(), attachments=(), related=()
    )
    assert refused(empty) == ""
    check_case(replace(empty, event="start"), "body")
    assert refused(Answer(part=1, final=False)) == "text"
    for change in (
        MembershipChange.REFUSE, MembershipChange.DECLINE, MembershipChange.LEAVE, MembershipChange.REMOVE,
    ):  # fmt: skip
        going = changed(changed(OPERATIONS[1], "entry.change", change), "entry.roles", ())
        check_case(going, "body")
        assert refused(changed(going, "entry.reason", ())) == "membership.reason"
    released = changed(changed(OPERATIONS[1], "entry.change", MembershipChange.RELEASE), "entry.roles", ())
    check_case(changed(released, "entry.reason", ()), "body")
    not_done = replace(ANSWER.results[0], outcome=MeasureOutcome.NOT_DONE, preserved_until_ms=None, words=())
    assert refused(replace(ANSWER, results=(not_done,))) == "results[0].words"


def test_whoever_wants_no_contact_is_answered_by_nothing_that_leads_to_them() -> None:
    bare = replace(OUTCOME, outcome=CaseOutcome.FOUND_SAFE_NO_CONTACT_WANTED, text=())
    check_case(bare, "body")
    for name in ("persons", "places", "attachments", "text"):
        assert refused(replace(bare, **{name: getattr(ANSWER, name)})) == name


@pytest.mark.parametrize(
    ("content", "changes", "field"),
    [
        (UPDATE, {"thread_id": None}, "thread_id"),
        (RECALL, {"thread_id": None}, "thread_id"),
        (OPERATIONS[2], {"thread_id": None, "in_reply_to": None}, "thread_id"),
        (OUTCOME, {"in_reply_to": None}, "in_reply_to"),
        (DECISION, {"in_reply_to": None}, "in_reply_to"),
        (CONFIRMATION, {"in_reply_to": None}, "in_reply_to"),
        (REFERRAL, {"urgency": Urgency.U2}, "urgency"),
        (REFERRAL, {"urgency": Urgency.U3}, "urgency"),
        (
            replace(REFERRAL, case_type=CaseType.MEDICAL, evacuation=None, danger_now=YesNo.UNKNOWN),
            {"urgency": Urgency.U0},
            "urgency",
        ),
        (replace(REQUEST, urgency_reason=" "), {}, "body.request.urgency_reason"),
        (OPERATIONS[0], {"recipients": (LA, VN)}, "recipients[1]"),
        (
            changed(OPERATIONS[0], "entry.members", (replace(OPENING.members[0], partner=VN), *OPENING.members[1:])),
            {"recipients": (LA,)},
            "body.operation.opening.members",
        ),
        (replace(REFERRAL, last_place=POINT), {"recipients": (LA, CN)}, "body.referral.last_place.point"),
        (
            changed(REFERRAL, "persons[0].places[0]", POINT),
            {"recipients": (LA, CN)},
            "body.referral.persons[0].places[0].point",
        ),
        (changed(REFERRAL, "detention.place", POINT), {"recipients": (LA, CN)}, "body.referral.detention.place.point"),
        (
            changed(REFERRAL, "trafficking.exploitation_place", POINT),
            {"recipients": (LA, CN)},
            "body.referral.trafficking.exploitation_place.point",
        ),
        (replace(UPDATE, places=(POINT,)), {"recipients": (LA, CN)}, "body.update.places[0].point"),
        (replace(ANSWER, places=(POINT,)), {"recipients": (LA, CN)}, "body.answer.places[0].point"),
        (
            changed(
                REFERRAL,
                "persons[0].birth_date",
                PartialDate(calendar=Calendar.BUDDHIST, year=2690, month=1, day=1),
            ),
            {},
            "body.referral.persons[0].birth_date",
        ),
        (changed(REFERRAL, "persons[0].minor", MinorState.YES), {}, "body.referral.persons[0].minor"),
        (
            changed(REFERRAL, "persons[0].consent.give_ms", NOW + 600_000),
            {},
            "body.referral.persons[0].consent.give_time",
        ),
        (changed(REFERRAL, "last_contact.time_ms", NOW + 600_000), {}, "body.referral.last_contact.time"),
        (
            changed(REFERRAL, "attachments[0].custody[1].time_ms", NOW + 600_000),
            {},
            "body.referral.attachments[0].custody[1].time",
        ),
        (changed(OPERATIONS[2], "entry.time_ms", NOW + 600_000), {}, "body.operation.situation.time"),
        (replace(REQUEST, due_ms=NOW), {}, "body.request.due_time"),
        (replace(RECALL, confirm_ms=NOW - 1), {}, "body.recall.confirm_time"),
        (
            changed(REQUEST, "persons[0].birth_date", PartialDate(calendar=Calendar.GREGORIAN, year=2015)),
            {},
            "body.request.persons[0].minor",
        ),
    ],
)
def test_a_draft_owes_its_content_thread_urgency_and_coarseness(content: Any, changes: Any, field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        check_draft(draft(content, **changes), NOW)
    assert caught.value.field == field


def test_a_request_rests_on_a_law_and_a_referral_need_not() -> None:
    plain = draft(REQUEST)
    with pytest.raises(FieldInvalid) as caught:
        check_draft(replace(plain, body=replace(plain.body, legal_basis=())), NOW)
    assert caught.value.field == "body.legal_basis"
    plain = draft(REFERRAL, thread_id=None, in_reply_to=None)
    check_draft(replace(plain, body=replace(plain.body, legal_basis=())), NOW)


def test_a_case_says_what_may_be_done_with_it_and_is_never_public() -> None:
    plain = draft(REFERRAL)
    for name, value in (
        ("tlp", Tlp.UNSPECIFIED), ("tlp", Tlp.CLEAR), ("tlp", Tlp.GREEN), ("onward", Onward.UNSPECIFIED),
    ):  # fmt: skip
        with pytest.raises(FieldInvalid) as caught:
            check_draft(changed(plain, f"body.handling.{name}", value), NOW)
        assert caught.value.field == f"body.handling.{name}"


def test_a_point_is_for_one_partner_and_an_operation_shares_its_own_ground() -> None:
    check_draft(draft(replace(REFERRAL, last_place=POINT)), NOW)
    check_draft(draft(OPERATIONS[0], thread_id=None, in_reply_to=None, recipients=(LA, CN)), NOW)
    check_draft(draft(REFERRAL, recipients=(LA, CN)), NOW)


def test_flash_needs_danger_or_a_case_that_is_danger() -> None:
    check_draft(draft(REFERRAL, urgency=Urgency.U0, mode=Mode.ACTUAL), NOW)
    check_draft(draft(replace(REFERRAL, danger_now=YesNo.UNKNOWN), urgency=Urgency.U0), NOW)


def test_a_suspect_needs_no_consent_in_a_request() -> None:
    suspect = replace(SUBJECT, role=PersonRole.SUSPECT, consent=None, vital_interest=None, reference="s")
    check_case(replace(REQUEST, persons=(*REQUEST.persons, suspect)), "body")


def test_texts_of_a_list_are_in_a_language_each() -> None:
    assert refused(replace(WITHDRAWAL, reason=(LocalizedText("", "x"),))) == "reason[0].language"
    assert refused(replace(WITHDRAWAL, message_id=MessageId(bytes(16)), reason=(LocalizedText("en", ""),))) == (
        "reason[0].text"
    )
