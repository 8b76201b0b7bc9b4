"""No text of an agreement switches a safeguard off, whatever it says."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import FieldInvalid, GatewayError
from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Kind, Mode, Urgency
from gateway.policy import facts as vocabulary
from gateway.policy.cases import CasePolicy
from gateway.policy.cedar import MAX_BRACKETS, MAX_TEXT_BYTES, parse_conditions, safeguards
from gateway.policy.decision import Allow, Deny, Hold
from gateway.policy.facts import Approval, Facts, Measure, Person, context
from tests.fixtures.facts import CN, TH, case_agreement, facts, profiles
from tests.fixtures.safeguard_cases import CASES

BLOCKED = tuple(case for case in CASES if case.fires and case.rule.startswith("safeguard/"))
PLAIN = CasePolicy(TH, profiles())
FORBID = '@id("mine") forbid (principal, action, resource)'
NARROWING = (
    f"{FORBID};",
    f"{FORBID} when {{ false }};",
    f'{FORBID} unless {{ context.purpose == "protection" }};',
    f'{FORBID} when {{ context.recipients.contains("cn") && context.urgency > 1 }};',
    f'{FORBID} when {{ context.measures.containsAny(["freeze_assets"]) || context.persons > 3 }};',
    '@id("h") @outcome("hold") @roles("duty_lead") @number("2") forbid (principal, action, resource);',
    '@id("w") @outcome("warn") @why("see the protocol of 2024") forbid (principal, action, resource);',
    '@id("b1-excluded-matter") forbid (principal, action, resource) when { false };',
    '@id("a") forbid (principal == Concord::Partner::"th", action, resource); // permit (principal, action, resource);',
    '@id("sum") forbid (principal, action, resource) when { context.sources * 9223372036854775807 > 3 };',
)
REFUSED = (
    "permit (principal, action, resource);",
    '@id("a") permit (principal, action, resource);',
    f"{FORBID}; permit (principal, action, resource);",
    '@id("a") @outcome("allow") forbid (principal, action, resource);',
    '@id("a") @outcome forbid (principal, action, resource);',
    '@id("a") @override("safeguard/b1-excluded-matter") forbid (principal, action, resource);',
    '@id("a") permit (principal, action, resource) when { false };',
    "permit (principal == ?principal, action, resource);",
    '@id("a") forbid (principal == ?principal, action, resource);',
    '@id("safeguard/b1-excluded-matter") forbid (principal, action, resource) when { false };',
    '@id("../safeguard") forbid (principal, action, resource);',
    '@id("concord/permission") forbid (principal, action, resource);',
    '@id("") forbid (principal, action, resource);',
    "@id forbid (principal, action, resource);",
    "forbid (principal, action, resource);",
    f"{FORBID}; {FORBID};",
    '@id("a") @id("b") forbid (principal, action, resource);',
    f"{FORBID} when {{ context.recipient }};",
    f"{FORBID} when {{ context.sources }};",
    f'{FORBID} when {{ context.kind == 3 && principal.name == "x" }};',
    '@id("a") forbid (principal, action == Concord::Action::"delete", resource);',
    '@id("a") forbid (principal == Other::Partner::"th", action, resource);',
    '@id("a") @roles("operator") @outcome("hold") forbid (principal, action, resource);',
    '@id("a") @roles("approver") forbid (principal, action, resource);',
    '@id("a") @outcome("hold") @number("0") forbid (principal, action, resource);',
    '@id("a") @outcome("hold") @number("99") forbid (principal, action, resource);',
    f'@id("a") @why("{"x" * 600}") forbid (principal, action, resource);',
    "namespace Concord { action send; }",
    "/* never closed",
    f"{FORBID};\x00",
    f"{FORBID} when {{ context has a ;",
    "[[agreement]]",
    f"// {'x' * MAX_TEXT_BYTES}\n{FORBID};",
    f"{FORBID} when {{ {'(' * MAX_BRACKETS}true{')' * MAX_BRACKETS} }};",
    f"{FORBID} when {{ {'[' * 150}1{']' * 150}.isEmpty() }};",
    f"{FORBID} when {{ {' && '.join(['true'] * 300)} }};",
    f"{FORBID} when {{ {'if true then ' * 200}true{' else true' * 200} }};",
    f"{FORBID} when {{ {'!' * 50}true }};",
)


def parsed(text: str) -> bool:
    try:
        parse_conditions("cases", text)
    except FieldInvalid as error:
        assert error.field == "conditions"
        return False
    return True


def with_text(text: str) -> CasePolicy:
    """Both sides have written it."""
    return CasePolicy(TH, profiles(**{code.code: (case_agreement(code, conditions=text),) for code in (TH, CN)}))


@pytest.mark.parametrize("text", NARROWING)
def test_conditions_are_taken(text):
    assert parsed(text)


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_widens_or_means_nothing_is_refused(text):
    assert not parsed(text)
    with pytest.raises(FieldInvalid):
        with_text(text)


def test_no_conditions_are_no_rules():
    assert parse_conditions("cases", "// nothing\n").rules == {}


@pytest.mark.parametrize("text", NARROWING)
@pytest.mark.parametrize("case", BLOCKED, ids=lambda case: case.id)
def test_a_block_fires_beside_every_text(case, text):
    decision = with_text(text).decide(case.facts)
    assert isinstance(decision, Deny)
    assert decision == PLAIN.decide(case.facts)


def test_conditions_deny_hold_and_warn_under_names_of_their_own():
    assert with_text(NARROWING[0]).decide(facts()).rule_ids == ("agreement/cases/mine",)
    why = FORBID.replace(" forbid", ' @why("see the protocol") forbid')
    told = with_text(f"{why};").decide(facts())
    assert told.explanation == "forbidden by agreement/cases/mine (see the protocol)"
    held = with_text(NARROWING[5]).decide(facts())
    assert isinstance(held, Hold)
    assert [(need.rule_id, need.number) for need in held.needs] == [("agreement/cases/h", 2)]
    warned = with_text(NARROWING[6]).decide(facts())
    assert isinstance(warned, Allow)
    assert warned.warnings == ("agreement/cases/w",)
    # A name that sounds like a safeguard is only a name.
    named = parse_conditions("cases", NARROWING[7])
    assert set(named.rules) == {"agreement/cases/b1-excluded-matter"}


def test_a_text_of_one_side_counts():
    for code in (TH, CN):
        one = CasePolicy(TH, profiles(**{code.code: (case_agreement(code, conditions=NARROWING[0]),)}))
        assert isinstance(one.decide(facts()), Deny)


# --- any text, any facts -------------------------------------------------------------------------------------------


def words(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(getattr(vocabulary, name).__args__)


PARTNERS = st.sampled_from([PartnerId(code) for code in ("cn", "th", "la", "mm", "xx")])
FLAGS = st.booleans()
PERSONS = st.builds(
    Person, role=words("Role"), protected=FLAGS, nationalities=st.frozensets(PARTNERS, max_size=2),
    persecuted_by=st.frozensets(PARTNERS, max_size=2), minor=words("Minor"), consent=FLAGS, vital_interest=FLAGS,
    located=FLAGS, best_interest_note=FLAGS, guardian_conflict=FLAGS, trafficking_indicators=FLAGS, screened=FLAGS,
    occupation=words("Occupation"), immunity=FLAGS, asylum_claim=words("AsylumClaim"), identity_verified=FLAGS,
)  # fmt: skip
MEASURE = st.builds(
    Measure, measure_type=words("MeasureType"), selectors=st.integers(0, 70), open_ended=FLAGS,
    window_days=st.none() | st.integers(0, 400), real_time=FLAGS,
)  # fmt: skip
OFFICERS = st.sampled_from(["o1", "o2", "o3", "d1"])
APPROVALS = st.builds(
    Approval, officer=OFFICERS, role=words("OfficerRole"),
    rules=st.frozensets(st.sampled_from(sorted(safeguards().rules))),
)  # fmt: skip
FACTS = st.builds(
    Facts, direction=words("Direction"), kind=st.sampled_from(Kind), mode=st.sampled_from(Mode),
    operating_mode=st.sampled_from(Mode), operational_queue=FLAGS, urgency=st.sampled_from(Urgency),
    sender=st.sampled_from([TH, CN]), recipients=st.frozensets(st.sampled_from([TH, CN, PartnerId("la")]), max_size=2),
    authority=st.sampled_from([AuthorityId("th/police"), AuthorityId("cn/police")]),
    purpose=st.sampled_from(["investigation", "protection"]), legal_bases=st.just(frozenset({"UNTOC 18"})),
    bound_purposes=st.frozensets(st.sampled_from(["investigation", "protection"])),
    originators=st.frozensets(PARTNERS, max_size=2), originator_consents=st.frozensets(PARTNERS, max_size=2),
    personal_data=FLAGS, persons=st.lists(PERSONS, max_size=2).map(tuple),
    measures=st.lists(MEASURE, max_size=2).map(tuple),
    offence_matters=st.frozensets(words("Matter"), max_size=2), death_penalty_possible=FLAGS, assurance=FLAGS,
    country_flags=st.frozensets(words("CountryFlag"), max_size=1), dual_criminality=words("DualCriminality"),
    prior_judgment=FLAGS, forced_return=FLAGS, victim_plan=FLAGS,
    evidence_flags=st.frozensets(words("EvidenceFlag"), max_size=1), drafters=st.frozensets(OFFICERS, max_size=1),
    executors=st.frozensets(OFFICERS, max_size=1), approvals=st.lists(APPROVALS, max_size=3).map(tuple),
    sources=st.integers(0, 3), translation=words("Translation"), foreign_signature=words("ForeignSignature"),
    retention_days=st.integers(1, 4000),
)  # fmt: skip

TERM = st.sampled_from(
    [
        'context.kind == "request"', "context.persons > 0", 'context.recipients.contains("cn")', "true", "false",
        'context.offence_matters.contains("political")', "context.urgency < 2", "context.open_ended",
        'context.measures.containsAny(["content_data"])', "context.sources * 9223372036854775807 > 0",
        "context.approvers == context.drafters", "context.nothing", "resource.nothing",
    ]
)  # fmt: skip
EXPRESSION = st.recursive(
    TERM,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" && ", " || "]), inner).map("".join),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner, inner).map(lambda three: f"(if {three[0]} then {three[1]} else {three[2]})"),
    ),
    max_leaves=6,
)
NAME = st.sampled_from(
    ["a", "b1-excluded-matter", "safeguard/b1-excluded-matter", "concord/permission", "hold/h1-death-penalty", "", "A"]
)
RULE = st.builds(
    "{} {} (principal{}, action{}, resource) {} {{ {} }};".format,
    st.one_of(
        NAME.map(lambda name: f'@id("{name}")'),
        st.tuples(NAME, st.sampled_from(["deny", "hold", "warn", "allow"])).map(
            lambda both: f'@id("{both[0]}") @outcome("{both[1]}")'
        ),
        st.just(""),
    ),
    st.sampled_from(["forbid", "forbid", "forbid", "permit"]),
    st.sampled_from(["", ' == Concord::Partner::"th"', " == ?principal"]),
    st.sampled_from(["", ' == Concord::Action::"send"']),
    st.sampled_from(["when", "unless"]),
    EXPRESSION,
)
TRICKS = st.sampled_from(["//", "/*", "*/", "\n", ";", "}", "{", "(", ")", '"', "\\", "\x00", "\u202e", "\ufeff", "é"])
TEXTS = st.one_of(
    st.lists(RULE, min_size=1, max_size=3).map("\n".join),
    st.tuples(RULE, TRICKS, RULE).map("".join),
    st.text(max_size=200),
)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, value=FACTS)
@example(text="permit (principal, action, resource);", value=BLOCKED[0].facts)
def test_no_text_switches_a_block_off(text, value):
    try:
        policy = with_text(text)
    except FieldInvalid:
        return  # refused when it is loaded, so it never counts
    decision, plain = policy.decide(value), PLAIN.decide(value)
    seen = context(value, retention_default_days=730)
    blocks = [
        rule.id for rule in safeguards().fired(value.direction, value.sender.code, seen) if rule.outcome == "deny"
    ]
    if blocks:
        assert isinstance(decision, Deny)
        assert decision.rule_ids == tuple(blocks)
    # And it widens nothing at all: what was denied is denied, what was held is not allowed.
    order = (Allow, Hold, Deny)
    assert order.index(type(decision)) >= order.index(type(plain))
    if isinstance(plain, Hold) and isinstance(decision, Hold):
        assert set(plain.needs) <= set(decision.needs)


@settings(max_examples=150, deadline=None)
@given(value=FACTS)
def test_rules_in_cedar_say_what_the_notes_say(value):
    """The nine blocks once more, in Python, straight from domain.md 4."""
    sends = value.direction == "outgoing"
    data = {"preserve", "extend_preservation", "partial_traffic_disclosure", "subscriber_data", "traffic_data"}
    data |= {"content_data"}
    windowed = data - {"subscriber_data", "extend_preservation"}
    officers = {approval.officer for approval in value.approvals}
    expected = {
        "b1": bool(value.offence_matters & {"political", "military", "religious", "racial"}),
        "b2": sends
        and any(
            not threats or value.recipients & threats
            for one in value.persons
            if one.protected
            for threats in [one.nationalities | one.persecuted_by]
        ),
        "b3": any(purpose != value.purpose for purpose in value.bound_purposes),
        "b4": sends and bool(value.originators - value.originator_consents),
        "b5": value.kind is Kind.ALERT and bool(value.personal_data or value.persons),
        "b6": (value.mode is not Mode.ACTUAL and value.operational_queue)
        or (value.mode is Mode.ACTUAL and value.operating_mode is not Mode.ACTUAL),
        "b7": bool(officers & (value.drafters | value.executors)),
        "b8": sum(one.selectors for one in value.measures) > 64
        or any(
            one.open_ended
            or (one.measure_type in data and not one.selectors)
            or (one.measure_type in windowed and one.window_days is None)
            for one in value.measures
        ),
        "b9": bool(value.evidence_flags),
    }  # fmt: skip
    seen = context(value, retention_default_days=730)
    fired = {rule.id for rule in safeguards().fired(value.direction, value.sender.code, seen)}
    assert {rule.partition("/")[2][:2] for rule in fired if rule.startswith("safeguard/")} == {
        name for name, holds in expected.items() if holds
    }


@settings(max_examples=100, deadline=None)
@given(text=st.one_of(TEXTS, st.text(max_size=3000), st.binary(max_size=300).map(lambda data: data.decode("latin-1"))))
def test_any_text_is_read_or_refused(text):
    try:
        rules = parse_conditions("cases", text).rules
    except GatewayError as error:
        assert isinstance(error, FieldInvalid)
        return
    assert all(name.startswith("agreement/cases/") for name in rules)
