"""The shipped profiles, and what the loader refuses."""

import json
import zoneinfo
from pathlib import Path

import pytest

from gateway.errors import ConfigInvalid
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.partner import Clock, Notification, Regime
from gateway.profiles import MAX_FILE_BYTES, json_schema, load_profiles

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "partners"
LANGUAGES = {"zh", "en", "th", "lo", "my", "km", "vi", "ru", "fr", "ar"}

GOOD = """
partner = "th"
time_zone = "Asia/Bangkok"
languages = ["th", "en"]
[names]
th = "ไทย"
en = "Thailand"
[[authority]]
id = "th/royal-police"
names = { en = "Royal Thai Police" }
[[desk]]
id = "th/royal-police/desk"
telephone = ""
languages = ["th"]
names = { en = "Duty desk" }
[[agreement]]
id = "early-warning"
partners = ["la"]
kinds = ["alert"]
authorities = ["th/royal-police"]
purposes = ["public_warning"]
legal_bases = ["voluntary"]
modes = ["exercise"]
default_lifetime_hours = 24
retention_days = 365
release = "system"
"""


def load(directory: Path, text: str | bytes, name: str = "th.toml"):
    (directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_profiles(directory)


def refusal(directory: Path, text: str | bytes, name: str = "th.toml") -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(directory, text, name)
    assert "\n" not in caught.value.text or "is not TOML" in caught.value.text
    return caught.value.text


# --- shipped data ----------------------------------------------------------------------------------------------


def test_six_states_ship_with_names_in_ten_languages():
    profiles = load_profiles(SHIPPED)
    assert {partner.code for partner in profiles} == {"cn", "th", "la", "mm", "kh", "vn"}
    for profile in profiles.values():
        assert {item.language for item in profile.names} == LANGUAGES
        assert profile.languages[0] in LANGUAGES
        assert 2 <= len(profile.authorities) <= 3
        assert {desk.id.rpartition("/")[0] for desk in profile.desks} == {str(item.id) for item in profile.authorities}


@pytest.mark.parametrize(
    ("code", "zone", "english"),
    [
        ("cn", "Asia/Shanghai", "China"),
        ("th", "Asia/Bangkok", "Thailand"),
        ("la", "Asia/Vientiane", "Laos"),
        ("mm", "Asia/Yangon", "Myanmar"),
        ("kh", "Asia/Phnom_Penh", "Cambodia"),
        ("vn", "Asia/Ho_Chi_Minh", "Viet Nam"),
    ],
)
def test_shipped_states_have_their_own_zone(code: str, zone: str, english: str):
    profile = load_profiles(SHIPPED)[PartnerId(code)]
    assert profile.time_zone == zone
    assert zoneinfo.ZoneInfo(zone)
    assert profile.name() == english
    assert profile.name("xx") == english


def test_shipped_early_warning_agreement_is_mutual_between_all_six():
    profiles = load_profiles(SHIPPED)
    for partner, profile in profiles.items():
        agreement = profile.agreements[0]
        assert agreement.id == "lm-early-warning"
        assert agreement.partners == frozenset(profiles) - {partner}
        assert agreement.kinds == {Kind.ALERT}
        assert agreement.modes == {Mode.ACTUAL, Mode.EXERCISE, Mode.TEST}
        assert agreement.purposes == {"public_warning", "consular_protection"}
        assert agreement.default_lifetime_ms == 24 * 3_600_000
        assert agreement.retention_days == 365
        assert agreement.release == "system"
        assert all(authority.partner == partner for authority in agreement.authorities)


def test_shipped_case_agreements_keep_help_and_coercion_apart_and_in_the_hands_of_officers():
    profiles = load_profiles(SHIPPED)
    for partner, profile in profiles.items():
        _, consular, assistance = profile.agreements
        assert (consular.id, assistance.id) == ("lm-consular", "lm-assistance")
        assert Kind.REQUEST not in consular.kinds
        assert Kind.REFERRAL not in assistance.kinds
        for agreement in (consular, assistance):
            assert agreement.partners == frozenset(profiles) - {partner}
            assert agreement.release == "officers"
        (request,) = (terms for kind, terms in assistance.terms if kind is Kind.REQUEST)
        assert "preserve" in request.measures
        assert "transfer_of_proceedings" not in request.measures


def test_shipped_telephone_numbers_belong_to_the_country_that_publishes_them():
    # A wrong number on a duty desk costs time in an emergency: those not known for certain are empty.
    prefixes = {"cn": "+86", "th": "+66", "la": "+856", "mm": "+95", "kh": "+855", "vn": "+84"}
    numbers = {
        desk.id: desk.telephone
        for profile in load_profiles(SHIPPED).values()
        for desk in profile.desks
        if desk.telephone
    }
    assert numbers == {
        "cn/foreign-affairs/hotline": "+861012308",
        "th/foreign-affairs/call-centre": "+6625728442",
        "vn/foreign-affairs/hotline": "+84981848484",
    }
    assert all(number.startswith(prefixes[desk[:2]]) for desk, number in numbers.items())


def test_schema_file_is_fresh():
    kept = (SHIPPED / "schema.json").read_text(encoding="utf-8")
    assert kept == json.dumps(json_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


# --- what is read ------------------------------------------------------------------------------------------------


def test_profile_is_read_into_model_values(tmp_path: Path):
    profile = load(tmp_path, GOOD)[PartnerId("th")]
    (agreement,) = profile.agreements
    assert agreement.authorities == {AuthorityId("th/royal-police")}
    assert agreement.partners == {PartnerId("la")}
    assert agreement.default_lifetime_ms == 86_400_000
    assert profile.name("th") == "ไทย"
    assert profile.desks[0].time_zone == "Asia/Bangkok"


def test_desk_may_lie_in_another_zone(tmp_path: Path):
    text = GOOD.replace('telephone = ""', 'telephone = "+6621234567"\ntime_zone = "Asia/Yangon"')
    (desk,) = load(tmp_path, text)[PartnerId("th")].desks
    assert (desk.telephone, desk.time_zone) == ("+6621234567", "Asia/Yangon")


def test_other_files_beside_the_profiles_are_left_alone(tmp_path: Path):
    (tmp_path / "README.md").write_text("no profile")
    assert list(load(tmp_path, GOOD)) == [PartnerId("th")]


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('partner = "th"', 'partner = "th"\nnation = "th"', "th.toml: nation: unknown key"),
        ('release = "system"', 'release = "system"\nrelaese = "officers"', "agreement[0].relaese: unknown key"),
        ('partner = "th"', 'partner = "TH"', "partner"),
        ('partner = "th"', "", "partner"),
        ('partner = "th"', 'partner = "la"', "authority"),
        ('partner = "th"', "partner = 66", "partner"),
        ('"Asia/Bangkok"', '"Asia/Atlantis"', "time_zone"),
        ('"Asia/Bangkok"', '"Asia"', "time_zone"),
        ('"Asia/Bangkok"', '"../../etc/passwd"', "time_zone"),
        ('languages = ["th", "en"]', "languages = []", "languages"),
        ('languages = ["th", "en"]', 'languages = ["th", "th"]', "languages"),
        ('languages = ["th", "en"]', 'languages = ["Thai language"]', "languages[0]"),
        ('en = "Thailand"', 'fr = "Thaïlande"', "names"),
        ('en = "Thailand"', 'en = ""', "names.en"),
        ('en = "Thailand"', 'en = " Thailand"', "names.en"),
        ('en = "Thailand"', 'en = "Thai\\nland"', "names.en"),
        ('en = "Thailand"', 'en = "Thai\\u202Eland"', "names.en"),
        ('en = "Thailand"', 'en = "Thai\\u0000land"', "names.en"),
        ('en = "Thailand"', 'en = "Thailande\\u0301"', "names.en"),
        ('en = "Thailand"', f'en = "{"x" * 257}"', "names.en"),
        ('id = "th/royal-police"', 'id = "la/royal-police"', "authority"),
        ('id = "th/royal-police"', 'id = "th/Royal Police"', "authority[0].id"),
        ('id = "th/royal-police/desk"', 'id = "th/navy/desk"', "desk"),
        ('id = "th/royal-police/desk"', 'id = "desk"', "desk[0].id"),
        ('telephone = ""', 'telephone = "191"', "desk[0].telephone"),
        ('telephone = ""', 'telephone = "+66 2 123 4567"', "desk[0].telephone"),
        ('partners = ["la"]', 'partners = ["la", "th"]', "agreement 'early-warning': partners"),
        ('partners = ["la"]', 'partners = ["la", "la"]', "agreement[0]: partners"),
        ('partners = ["la"]', "partners = []", "agreement[0].partners"),
        ('partners = ["la"]', 'partners = "la"', "agreement[0].partners"),
        ('kinds = ["alert"]', 'kinds = ["everything"]', "agreement[0].kinds[0]"),
        ('kinds = ["alert"]', 'kinds = ["ping"]', "agreement[0].kinds[0]"),
        ('modes = ["exercise"]', 'modes = ["drill"]', "agreement[0].modes[0]"),
        ('authorities = ["th/royal-police"]', 'authorities = ["th/navy"]', "agreement 'early-warning': authorities"),
        ("default_lifetime_hours = 24", "default_lifetime_hours = 0", "agreement[0].default_lifetime_hours"),
        ("default_lifetime_hours = 24", "default_lifetime_hours = 721", "agreement[0].default_lifetime_hours"),
        ("default_lifetime_hours = 24", 'default_lifetime_hours = "24"', "agreement[0].default_lifetime_hours"),
        ("default_lifetime_hours = 24", "default_lifetime_hours = 24.0", "agreement[0].default_lifetime_hours"),
        ("default_lifetime_hours = 24", "default_lifetime_hours = true", "agreement[0].default_lifetime_hours"),
        ("retention_days = 365", "retention_days = 100000", "agreement[0].retention_days"),
        ('release = "system"', 'release = "nobody"', "agreement[0].release"),
        ('release = "system"', "", "agreement[0].release"),
        ('id = "early-warning"', 'id = "early warning"', "agreement[0].id"),
    ],
)
def test_refusal_names_the_file_and_the_key(tmp_path: Path, old: str, new: str, key: str):
    assert old in GOOD
    text = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert text.startswith("th.toml")
    assert key in text


def test_same_agreement_listed_twice_is_refused(tmp_path: Path):
    agreement = GOOD[GOOD.index("[[agreement]]") :]
    assert "agreement: names 'early-warning' twice" in refusal(tmp_path, GOOD + agreement)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"partner = ",
        b"\xff\xfe\x00",
        b"partner = 'th'\npartner = 'la'",
        b"x = " + b"[" * 100_000,
        b"x = " + b"9" * 10_000,
        b"\x00" * 100,
    ],
    ids=["empty", "cut", "not-utf8", "key-twice", "deep", "long-number", "zeros"],
)
def test_hostile_bytes_are_refused_by_name(tmp_path: Path, data: bytes):
    assert refusal(tmp_path, data).startswith("th.toml: ")


def test_file_over_the_size_limit_is_refused_and_one_at_the_limit_is_read(tmp_path: Path):
    padding = MAX_FILE_BYTES - len(GOOD.encode()) - 1
    assert PartnerId("th") in load(tmp_path, GOOD + "#" + "x" * padding)
    assert "bytes" in refusal(tmp_path, GOOD + "#" + "x" * (padding + 1))


def test_file_named_for_another_state_is_refused(tmp_path: Path):
    assert "named for 'la'" in refusal(tmp_path, GOOD, name="la.toml")


def test_directory_without_profiles_is_refused(tmp_path: Path):
    with pytest.raises(ConfigInvalid):
        load_profiles(tmp_path)
    with pytest.raises(ConfigInvalid):
        load_profiles(tmp_path / "missing")


def test_profile_that_is_a_directory_is_refused_by_name(tmp_path: Path):
    (tmp_path / "th.toml").mkdir()
    with pytest.raises(ConfigInvalid) as caught:
        load_profiles(tmp_path)
    assert caught.value.text.startswith("th.toml: ")


def test_one_bad_file_refuses_the_whole_directory(tmp_path: Path):
    (tmp_path / "th.toml").write_text(GOOD)
    assert refusal(tmp_path, "partner = 'la'", name="la.toml").startswith("la.toml")


# --- terms and conditions of cases ---------------------------------------------------------------------------------

CASES = GOOD.replace('kinds = ["alert"]', 'kinds = ["referral", "request"]').replace(
    'purposes = ["public_warning"]', 'purposes = ["protection", "investigation"]'
)
TERMS = """
[agreement.terms.request]
measures = ["preserve", "freeze_assets"]
purposes = ["investigation"]
legal_bases = ["voluntary"]
approvals = 2
retention_days = 30
notification = { regime = "mandatory_bilateral", hours = 96 }
[agreement.terms.request.clocks.U0]
receipt_minutes = 1
acknowledge_minutes = 10
decide_minutes = 30
status_minutes = 60
[agreement.terms.referral]
"""


def test_terms_are_read_and_what_is_left_out_is_as_in_the_agreement(tmp_path: Path):
    (agreement,) = load(tmp_path, CASES + TERMS)[PartnerId("th")].agreements
    terms = dict(agreement.terms)
    request, referral = terms[Kind.REQUEST], terms[Kind.REFERRAL]
    assert request.measures == {"preserve", "freeze_assets"}
    assert request.purposes == {"investigation"}
    assert (request.approvals, request.retention_days) == (2, 30)
    assert request.notification == Notification(Regime.MANDATORY_BILATERAL, 96)
    clock = Clock(receipt_ms=60_000, acknowledge_ms=600_000, decide_ms=1_800_000, status_ms=3_600_000)
    assert request.clocks == ((Urgency.U0, clock),)
    assert referral.purposes == {"protection", "investigation"}
    assert (referral.approvals, referral.retention_days, referral.measures) == (1, 365, frozenset())
    assert referral.notification == Notification(Regime.ON_REQUEST, 0)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('measures = ["preserve", "freeze_assets"]', "", "measures"),
        ('"freeze_assets"', '"freeze_asset"', "measures"),
        ('"freeze_assets"', '"preserve"', "twice"),
        ("[agreement.terms.referral]", '[agreement.terms.referral]\nmeasures = ["preserve"]', "belong to requests"),
        ("[agreement.terms.referral]", "[agreement.terms.answer]", "not among the kinds"),
        ("[agreement.terms.referral]", "[agreement.terms.alert]", "terms"),
        ('purposes = ["investigation"]', 'purposes = ["curiosity"]', "not among those of the agreement"),
        ('legal_bases = ["voluntary"]\napprovals', 'legal_bases = ["UNTOC"]\napprovals', "not among those"),
        ("approvals = 2", "approvals = 0", "approvals"),
        ("approvals = 2", "approvals = 6", "approvals"),
        ("approvals = 2", "approval = 2", "unknown key"),
        ("retention_days = 30", "retention_days = 9999", "retention_days"),
        (", hours = 96", "", "hours"),
        ("hours = 96", "hours = 0", "hours"),
        ('"mandatory_bilateral"', '"on_request"', "hours"),
        ('"mandatory_bilateral"', '"sometimes"', "regime"),
        ("clocks.U0", "clocks.U9", "clocks"),
        ("decide_minutes = 30", "decide_minutes = 0", "decide_minutes"),
        ("decide_minutes = 30", "", "decide_minutes"),
    ],
)
def test_terms_that_mean_nothing_are_refused_by_name(tmp_path: Path, old: str, new: str, told: str):
    assert old in TERMS
    text = refusal(tmp_path, CASES + TERMS.replace(old, new))
    assert text.startswith("th.toml: ")
    assert told in text


def test_requests_without_a_list_of_measures_are_refused(tmp_path: Path):
    assert "terms.request" in refusal(tmp_path, CASES)


def test_conditions_are_read_and_refused_with_what_cedar_says(tmp_path: Path):
    good = "conditions = '''@id(\"a\") forbid (principal, action, resource) when { context.sources < 2 };'''"
    (agreement,) = load(tmp_path, CASES + good + TERMS)[PartnerId("th")].agreements
    assert "context.sources" in agreement.conditions
    text = refusal(tmp_path, CASES + good.replace("sources", "source") + TERMS)
    assert "conditions" in text
    assert "source" in text
    assert "permits" in refusal(tmp_path, CASES + good.replace("forbid", "permit") + TERMS)
    assert "about alerts" in refusal(tmp_path, GOOD + good)
