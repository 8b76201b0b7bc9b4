"""Safeguards, holds and warnings, one by one and against everything an agreement can say."""

import threading
from dataclasses import fields, replace

import pytest

from gateway.errors import ConfigInvalid
from gateway.ids import AuthorityId
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.partner import Clock, Notification, Regime
from gateway.policy import cedar
from gateway.policy.agreements import AgreementPolicy
from gateway.policy.cases import FACTS_MISSING, CasePolicy
from gateway.policy.cedar import RuleSet, Undecided, safeguards
from gateway.policy.decision import RELEASE, Allow, Decision, Deny, Hold, Need
from gateway.policy.facts import NOTHING_KNOWN, Facts, Person, context, missing, not_applicable
from gateway.policy.pacts import DEFAULT_CLOCKS
from tests.fixtures.facts import (
    CN,
    LA,
    MEASURES,
    MM,
    TH,
    approvals,
    case_agreement,
    changed,
    facts,
    measure,
    person,
    profiles,
    terms,
)
from tests.fixtures.safeguard_cases import CASES, Case, alert, came_in

POLICY = CasePolicy(TH, profiles())


def fired(value: Facts) -> set[str]:
    seen = context(value, retention_default_days=730)
    return {rule.id for rule in safeguards().fired(value.direction, value.sender.code, seen)}


def decide(value: Facts, **agreements) -> Decision:
    return (CasePolicy(TH, profiles(**agreements)) if agreements else POLICY).decide(value)


# --- every rule ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_fires_where_it_must_and_only_there(case: Case):
    assert (case.rule in fired(case.facts)) is case.fires
    decision = decide(case.facts)
    match case.rule.partition("/")[0], case.fires:
        case "safeguard", True:
            assert isinstance(decision, Deny)
            assert case.rule in decision.rule_ids
        case "hold", True:
            assert isinstance(decision, Hold)
            assert case.rule in {need.rule_id for need in decision.needs}
        case "warning", True:
            assert isinstance(decision, Allow)
            assert decision.warnings == (case.rule,)
        case _:
            assert case.rule not in decision.rule_ids


def test_every_rule_has_facts_on_which_it_fires_and_facts_on_which_it_does_not():
    rules = {f"{kind}/{kind[0] if kind != 'safeguard' else 'b'}{number}" for kind, number in numbered()}
    assert {rule.partition("-")[0] for rule in safeguards().rules} == rules
    for fires in (True, False):
        assert {case.rule for case in CASES if case.fires is fires} == set(safeguards().rules)
    assert len({case.id for case in CASES}) == len(CASES)


def numbered() -> list[tuple[str, int]]:
    kinds = (("safeguard", 9), ("hold", 12), ("warning", 5))
    return [(kind, number) for kind, last in kinds for number in range(1, last + 1)]


def test_ordinary_facts_fire_nothing():
    assert fired(facts()) == set()
    assert decide(facts()) == Allow(("agreement/in-force",), "covered by cases")


# --- holds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule", [rule for rule in safeguards().rules.values() if rule.outcome == "hold"], ids=lambda rule: rule.id
)
def test_a_hold_ends_when_enough_officers_in_its_roles_have_decided_it(rule):
    held = next(case.facts for case in CASES if case.rule == rule.id and case.fires)
    officers = tuple(f"o{number}" for number in range(rule.number))

    def with_officers(count: int, role: str, *rules: str) -> Decision:
        return decide(changed(held, approvals=approvals(*rules, officers=officers[:count], role=role)))

    role = min(rule.roles)
    fewer = with_officers(rule.number - 1, role, rule.id, RELEASE)
    assert isinstance(fewer, Hold)
    need = next(need for need in fewer.needs if need.rule_id == rule.id)
    assert need == Need(rule.id, rule.roles, rule.number, rule.number - 1)
    assert isinstance(with_officers(rule.number, "drafter", rule.id, RELEASE), Hold)
    assert isinstance(with_officers(rule.number, role, RELEASE), Hold)
    assert rule.id not in with_officers(rule.number, role, rule.id, RELEASE).rule_ids


def test_one_officer_twice_is_one_officer():
    twice = approvals("hold/h1-death-penalty", RELEASE, officers=("o1", "o1"))
    decision = decide(facts(death_penalty_possible=True, approvals=twice))
    assert isinstance(decision, Hold)
    assert decision.needs[0].decided == 1


def test_what_leaves_waits_for_as_many_officers_as_the_side_that_wants_more():
    more = terms(measures=MEASURES, approvals=2)
    cn = (case_agreement(CN, terms=((Kind.REQUEST, more),)),)
    one = approvals(RELEASE, officers=("o1",))
    assert isinstance(decide(facts(approvals=one)), Allow)
    decision = decide(facts(approvals=one), cn=cn)
    assert isinstance(decision, Hold)
    assert decision.needs == (Need(RELEASE, frozenset({"approver", "duty_lead"}), 2, 1),)
    assert isinstance(decide(facts(approvals=approvals(RELEASE)), cn=cn), Allow)


def test_no_agreement_takes_a_case_out_of_the_hands_of_officers():
    agreements = {code.code: (case_agreement(code, release="system"),) for code in (TH, CN)}
    assert isinstance(decide(facts(approvals=()), **agreements), Hold)


def test_a_hold_carries_warnings_along():
    decision = decide(facts(prior_judgment=True, sources=1))
    assert isinstance(decision, Hold)
    assert decision.warnings == ("warning/w3-single-source",)


def test_a_block_comes_before_holds_and_before_agreements():
    value = facts(offence_matters=frozenset({"political"}), prior_judgment=True, recipients=frozenset({MM}))
    assert decide(value).rule_ids == ("safeguard/b1-excluded-matter",)
    both = facts(offence_matters=frozenset({"racial"}), evidence_flags=frozenset({"torture_marked"}))
    assert decide(both).rule_ids == ("safeguard/b1-excluded-matter", "safeguard/b9-torture-evidence")


# --- what is missing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NOTHING_KNOWN))
def test_a_missing_fact_is_refused_by_name_and_by_cedar_itself(name):
    value = facts(**{name: None})
    decision = decide(value)
    assert isinstance(decision, Deny)
    assert decision.rule_ids == (FACTS_MISSING,)
    assert name in decision.explanation
    with pytest.raises(Undecided):
        safeguards().fired("outgoing", "th", context(value, retention_default_days=730))


def test_what_may_be_missing_is_what_has_to_be_looked_into():
    known = {field.name for field in fields(Facts)} - NOTHING_KNOWN.keys()
    assert known == {
        "direction", "kind", "mode", "operating_mode", "urgency", "sender", "recipients", "authority", "purpose",
        "legal_bases", "drafters", "executors", "approvals",
    }  # fmt: skip
    assert missing(replace(facts(), **NOTHING_KNOWN)) == tuple(sorted(NOTHING_KNOWN))


@pytest.mark.parametrize("kind", list(Kind))
def test_what_cannot_be_said_of_a_kind_fires_nothing(kind):
    assert fired(facts(kind=kind, **({} if kind is Kind.REQUEST else not_applicable(kind)))) == set()


def test_a_context_that_says_more_than_the_schema_knows_is_undecided():
    seen = context(facts(), retention_default_days=730)
    for wrong in ({**seen, "new": True}, {**seen, "sources": "two"}, {**seen, "recipients": "cn"}, {}):
        with pytest.raises(Undecided):
            safeguards().fired("outgoing", "th", wrong)


def test_a_rule_that_fails_is_undecided_and_denied():
    # Cedar leaves a rule out whose arithmetic overflows; nothing may pass because of it.
    text = '@id("sum") forbid (principal, action, resource) when { context.sources * 9223372036854775807 > 3 };'
    th = (case_agreement(TH, conditions=text),)
    assert decide(facts(sources=2), th=th).rule_ids == ("safeguard/undecided",)
    with pytest.raises(Undecided):
        cedar.parse_conditions("x", text).fired("outgoing", "th", context(facts(), retention_default_days=730))


def test_an_empty_set_of_rules_decides():
    assert RuleSet({}, {}).fired("use", "th", context(facts(), retention_default_days=730)) == ()


def test_rules_are_asked_from_other_threads():
    found: list[set[str]] = []
    value = facts(prior_judgment=True)
    threads = [threading.Thread(target=lambda: found.append(fired(value))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"hold/h8-prior-judgment"}] * 4


# --- agreements ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"recipients": frozenset({MM})}, "agreement/none"),
        ({"recipients": frozenset({CN, MM})}, "agreement/none"),
        ({"recipients": frozenset()}, "agreement/none"),
        ({"sender": LA, "authority": AuthorityId("la/police")}, "agreement/none"),
        ({"direction": "incoming"}, "agreement/none"),
        ({"authority": AuthorityId("th/weather")}, "agreement/authority"),
        ({"authority": AuthorityId("cn/police")}, "agreement/authority"),
        ({"purpose": "curiosity"}, "agreement/purpose"),
        ({"legal_bases": frozenset()}, "agreement/legal-basis"),
        ({"legal_bases": frozenset({"UNTOC 18", "decree"})}, "agreement/legal-basis"),
        ({"measures": (measure("video_hearing"),)}, "agreement/measure"),
        ({"kind": Kind.PING}, "agreement/kind"),
        ({"kind": Kind.ALERT}, "agreement/kind"),
    ],
)
def test_what_no_agreement_covers_is_denied(changes, rule):
    decision = decide(facts(**changes))
    assert isinstance(decision, Deny)
    assert decision.rule_ids == (rule,)


def test_terms_count_only_where_both_sides_list_them():
    def listing(own, **changes):
        return (case_agreement(own, terms=((Kind.REQUEST, terms(measures=MEASURES, **changes)),)),)

    narrower = {"purposes": frozenset({"protection"})}
    assert decide(facts(), cn=listing(CN, **narrower)).rule_ids == ("agreement/purpose",)
    assert decide(facts(legal_bases=frozenset({"voluntary"})), th=listing(TH, legal_bases=frozenset({"UNTOC 18"}))) == (
        Deny(("agreement/legal-basis",), "cn: cases does not list every legal basis named, or none is named")
    )
    fewer = case_agreement(CN, terms=((Kind.REQUEST, terms(measures=frozenset({"preserve"}))),))
    assert decide(facts(), cn=(fewer,)).rule_ids == ("agreement/measure",)
    assert decide(facts(), cn=(case_agreement(CN, terms=()),)).rule_ids == ("agreement/measure",)


def test_retention_is_the_shorter_of_two():
    week = (case_agreement(CN, terms=((Kind.REQUEST, terms(measures=MEASURES, retention_days=7)),)),)
    assert decide(facts(retention_days=8), cn=week).warnings == ("warning/w4-retention",)
    assert decide(facts(retention_days=7), cn=week).warnings == ()


def test_an_answer_is_covered_for_the_measures_of_requests():
    assert isinstance(decide(facts(kind=Kind.ANSWER, personal_data=False, measures=(measure(),))), Allow)
    answered = decide(facts(kind=Kind.ANSWER, measures=(measure("video_hearing"),)))
    assert answered.rule_ids == ("agreement/measure",)


def test_what_came_in_is_covered_by_what_the_sender_lists():
    assert isinstance(decide(facts(**came_in())), Allow)
    decision = decide(facts(**came_in(authority=AuthorityId("cn/weather"))))
    assert decision.rule_ids == ("agreement/authority",)


def test_use_at_home_needs_no_agreement_but_safeguards():
    assert isinstance(decide(facts(direction="use", sender=MM, recipients=frozenset())), Allow)


def test_an_alert_is_judged_by_the_same_blocks():
    agreement = case_agreement(TH, kinds=frozenset({Kind.ALERT}), release="system", terms=())
    theirs = replace(agreement, partners=frozenset({TH}), authorities=frozenset({AuthorityId("cn/police")}))
    both = {"th": (agreement,), "cn": (theirs,)}
    assert isinstance(decide(facts(**alert(approvals=())), **both), Allow)
    officers = {**both, "th": (replace(agreement, release="officers"),)}
    assert isinstance(decide(facts(**alert(approvals=())), **officers), Hold)
    exercise = facts(**alert(operating_mode=Mode.EXERCISE))
    assert decide(exercise, **both).rule_ids == ("safeguard/b6-mode",)


@pytest.mark.parametrize("operating", list(Mode))
@pytest.mark.parametrize("mode", list(Mode))
def test_the_quick_way_of_alerts_says_the_same_of_modes(mode, operating):
    quick = AgreementPolicy(TH, profiles(), operating)
    came = quick.incoming(CN, AuthorityId("cn/police"), Kind.REFERRAL, mode, "protection")
    value = facts(
        **came_in(kind=Kind.REFERRAL, mode=mode, operating_mode=operating, operational_queue=mode is Mode.ACTUAL)
    )
    decided = decide(changed(value, purpose="protection"))
    assert isinstance(came, Deny) is isinstance(decided, Deny)
    assert not isinstance(came, Deny) or came.rule_ids == decided.rule_ids == ("safeguard/b6-mode",)


def test_notification_is_mandatory_only_where_both_sides_agree_and_the_longer_time_counts():
    def listing(own, regime, hours):
        listed = terms(measures=MEASURES, notification=Notification(regime, hours))
        return (case_agreement(own, terms=((Kind.REQUEST, listed),)),)

    def between(**agreements):
        return CasePolicy(TH, profiles(**agreements)).terms(facts())[CN].notification

    th = listing(TH, Regime.MANDATORY_BILATERAL, 96)
    assert between(th=th) == Notification(Regime.ON_REQUEST, 0)
    cn = listing(CN, Regime.MANDATORY_BILATERAL, 72)
    assert between(th=th, cn=cn) == Notification(Regime.MANDATORY_BILATERAL, 96)


def test_clocks_are_the_common_ones_unless_a_side_wants_longer():
    quick = Clock(receipt_ms=1, acknowledge_ms=1, decide_ms=1, status_ms=10**12)
    request = terms(measures=MEASURES, clocks=((Urgency.U0, quick),))
    held = CasePolicy(TH, profiles(th=(case_agreement(TH, terms=((Kind.REQUEST, request),)),))).terms(facts())[CN]
    common = DEFAULT_CLOCKS[Urgency.U0]
    assert held.clock(Urgency.U0) == replace(common, status_ms=10**12)
    assert held.clock(Urgency.U3) == DEFAULT_CLOCKS[Urgency.U3]
    both = {code.code: (case_agreement(code, terms=((Kind.REQUEST, request),)),) for code in (TH, CN)}
    assert CasePolicy(TH, profiles(**both)).terms(facts())[CN].clock(Urgency.U0) == quick


def test_terms_are_told_for_each_partner_that_is_covered():
    assert set(POLICY.terms(facts(recipients=frozenset({CN, LA, MM})))) == {CN, LA}
    assert set(POLICY.terms(facts(**came_in()))) == {CN}
    assert POLICY.terms(facts(direction="use")) == {}
    assert POLICY.terms(facts(kind=Kind.PING)) == {}


def test_own_profile_is_needed():
    with pytest.raises(ConfigInvalid):
        CasePolicy(MM, {TH: profiles()[TH]})


def test_persons_stay_out_of_what_rules_see():
    assert {field.name for field in fields(Person)}.isdisjoint({"name", "names", "birth", "document", "telephone"})
    assert "o1" in context(facts(), retention_default_days=1)["approvers"]
    assert context(facts(persons=(person(),) * 3), retention_default_days=1)["persons"] == 3
