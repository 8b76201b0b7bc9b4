"""Facts of real bodies, and what policy makes of them on the way out and in."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from gateway.clock import SystemClock
from gateway.ids import AuthorityId, EnvelopeId, MessageId, PartnerId, ThreadId
from gateway.model.assistance import OffenceCharacter
from gateway.model.case import CaseOutcome, Update
from gateway.model.header import Header, Kind, Mode, Urgency
from gateway.model.measure import MeasureType
from gateway.model.message import Body, Draft, Handling, LegalBasis, Onward, Tlp
from gateway.model.person import Exposure, MinorState, PersonRole, Protection, YesNo
from gateway.policy import case_facts as module
from gateway.policy import facts as words
from gateway.policy.case_facts import Officers, Way, case_facts
from gateway.policy.decision import Allow, Deny, Hold
from gateway.policy.exchanges import ExchangePolicy
from gateway.policy.facts import Approval, missing
from gateway.profiles import load_profiles
from tests.fixtures.cases import CONTENTS, DAY, NOW, OUTCOME, REFERRAL, REQUEST, SUBJECT, TRAFFICKING
from tests.fixtures.changing import changed

ROOT = Path(__file__).resolve().parents[3]
TH, LA = PartnerId("th"), PartnerId("la")
PROFILES = load_profiles(ROOT / "partners")
POLICY = ExchangePolicy(TH, PROFILES, Mode.ACTUAL, SystemClock())
PLAIN_PERSON = replace(SUBJECT, exposures=(), protection=Protection.NONE)
PLAIN_REFERRAL = replace(REFERRAL, persons=(PLAIN_PERSON,), reporter=replace(REFERRAL.reporter, person=""))
PLAIN_REQUEST = replace(
    REQUEST,
    measures=REQUEST.measures[:1],
    persons=(),
    offences=tuple(
        replace(item, character=OffenceCharacter.ORDINARY, death_penalty=YesNo.NO) for item in REQUEST.offences
    ),
    prior_judgment=replace(REQUEST.prior_judgment, exists=YesNo.NO, words=()),
    victims_touched=YesNo.NO,
)
WAY = Way(
    direction="outgoing", sender=TH, recipients=frozenset({LA}), mode=Mode.ACTUAL, operating_mode=Mode.ACTUAL,
    urgency=Urgency.U1, now_ms=NOW,
)  # fmt: skip


def body(content, *, authority="th/royal-police", purpose=None, basis=None) -> Body:
    is_request = type(content).__name__ == "Request"
    return Body(
        authority=AuthorityId(authority),
        handling=Handling(
            tlp=Tlp.AMBER_STRICT,
            purpose=purpose or ("criminal_investigation" if is_request else "consular_protection"),
            onward=Onward.NONE,
        ),
        legal_basis=(LegalBasis(basis or ("UNTOC" if is_request else "VCCR"), "18"),),
        content=content,
    )


def draft(whole: Body, mode: Mode = Mode.ACTUAL) -> Draft:
    return Draft(
        body=whole, body_bytes=b"x", recipients=(LA,), mode=mode, urgency=Urgency.U1, expire_ms=None, thread_id=None,
        in_reply_to=None, supersedes=None,
    )  # fmt: skip


def header(kind: Kind, mode: Mode = Mode.ACTUAL) -> Header:
    return Header(
        suite=1, envelope_id=EnvelopeId(b"e" * 16), message_id=MessageId(b"m" * 16), sender=LA,
        signing_key_id=b"k" * 16, kind=kind, thread_id=ThreadId(b"m" * 16), in_reply_to=None, supersedes=None,
        mode=mode, urgency=Urgency.U1, create_ms=NOW, expire_ms=NOW + DAY,
        content_commitment=b"c" * 32, key_commitment=b"k" * 32,
    )  # fmt: skip


def facts(content, **changes):
    return case_facts(body(content), WAY, **changes)


def test_words_of_the_model_and_of_the_rules_are_the_same():
    for kind, literal in (
        (OffenceCharacter, words.Matter),
        (PersonRole, words.Role),
        (MeasureType, words.MeasureType),
    ):
        assert {item.name.lower() for item in kind} == set(get_args(literal))
    assert {item.name.lower() for item in Exposure} - {"immunity"} == set(get_args(words.Occupation)) - {"none"}
    assert set(module._MINORS) == set(MinorState)
    assert set(module._CLAIMS) == set(Protection)


@pytest.mark.parametrize("content", CONTENTS, ids=lambda item: type(item).__name__)
def test_no_fact_of_any_content_is_missing(content):
    assert missing(facts(content)) == ()


def test_measures_are_counted_with_their_selectors_and_windows():
    measures = facts(REQUEST).measures
    assert measures is not None
    assert [item.measure_type for item in measures] == [item.measure_type.name.lower() for item in REQUEST.measures]
    assert (measures[0].selectors, measures[0].window_days) == (2, 30)
    assert (measures[3].selectors, measures[3].window_days) == (3, None)
    real_time = changed(REQUEST, "measures[2].particulars.real_time", YesNo.UNKNOWN)
    assert facts(real_time).measures[2].real_time


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ({"protection": Protection.WITNESS}, "protected", True),
        ({"protection": Protection.UNKNOWN}, "asylum_claim", "unknown"),
        ({"minor": MinorState.UNKNOWN}, "minor", "disputed"),
        ({"minor": MinorState.UNKNOWN, "role": PersonRole.REPORTER}, "minor", "no"),
        ({"consent": None}, "consent", False),
        ({"consent": replace(SUBJECT.consent, withdraw_ms=NOW)}, "consent", False),
        ({"vital_interest": None}, "vital_interest", False),
        ({"places": ()}, "located", False),
        ({"documents": ()}, "identity_verified", False),
        ({"exposures": (Exposure.IMMUNITY, Exposure.LAWYER)}, "immunity", True),
        ({"exposures": (Exposure.IMMUNITY, Exposure.LAWYER)}, "occupation", "lawyer"),
        ({"nationalities": ("THA", "XXA", "LAO")}, "nationalities", frozenset({TH, LA})),
        ({"feared_states": ("MMR",)}, "persecuted_by", frozenset({PartnerId("mm")})),
    ],
)
def test_what_is_not_known_of_a_person_counts_as_what_protects_more(change, name, value):
    person = replace(SUBJECT, **change)
    (found,) = facts(replace(REFERRAL, persons=(person,))).persons
    assert getattr(found, name) == value


def test_dual_criminality_is_only_ever_stated_and_doubt_counts():
    stated = facts(REQUEST)
    assert stated.dual_criminality in {"stated", "unstated"}
    doubtful = changed(PLAIN_REQUEST, "offences[0].death_penalty", YesNo.UNKNOWN)
    assert facts(doubtful).death_penalty_possible
    assert facts(changed(PLAIN_REQUEST, "prior_judgment.exists", YesNo.UNKNOWN)).prior_judgment
    assert facts(changed(PLAIN_REQUEST, "torture_suspected", YesNo.YES)).evidence_flags == {"torture_suspected"}


def test_being_brought_home_unwillingly_is_told():
    unwilling = replace(PLAIN_PERSON, consent=None)
    assert facts(replace(PLAIN_REFERRAL, persons=(unwilling,))).forced_return
    assert not facts(PLAIN_REFERRAL).forced_return
    assert facts(replace(OUTCOME, outcome=CaseOutcome.DEPORTED)).forced_return


def test_a_suspect_with_indicators_counts_as_screened_only_when_somebody_has_looked():
    suspect = replace(PLAIN_PERSON, role=PersonRole.SUSPECT)
    (found,) = facts(replace(REFERRAL, persons=(suspect,), trafficking=TRAFFICKING)).persons
    assert found.trafficking_indicators
    assert found.screened


def test_how_long_it_is_kept_is_rounded_up_to_days():
    whole = body(PLAIN_REFERRAL)
    kept = replace(whole, handling=replace(whole.handling, retain_until_ms=NOW + DAY + 1))
    assert case_facts(kept, WAY).retention_days == 2
    assert case_facts(whole, WAY).retention_days == 0


# --- decisions under the agreements that ship ------------------------------------------------------------------------


def test_a_case_waits_for_an_officer_and_leaves_when_one_has_approved():
    for content in (PLAIN_REFERRAL, PLAIN_REQUEST):
        held = POLICY.outgoing(draft(body(content)))
        assert isinstance(held, Hold)
        assert held.rule_ids == ("agreement/release-officers",)
        assert held.needs[0].number == 1
        officers = Officers(
            drafters=frozenset({"o1"}),
            approvals=(Approval(officer="o2", role="approver", rules=frozenset(held.rule_ids)),),
        )
        assert isinstance(POLICY.outgoing(draft(body(content)), officers), Allow)
        alone = replace(officers, drafters=frozenset({"o2"}))
        assert isinstance(POLICY.outgoing(draft(body(content)), alone), Deny)


@pytest.mark.parametrize("character", ["POLITICAL", "MILITARY", "RELIGIOUS", "RACIAL"])
def test_excluded_matter_is_refused_on_the_way_out_and_on_the_way_in(character):
    content = changed(PLAIN_REQUEST, "offences[0].character", OffenceCharacter[character])
    out = POLICY.outgoing(draft(body(content)))
    came = POLICY.incoming(header(Kind.REQUEST), body(content, authority="la/public-security"))
    for decision in (out, came):
        assert isinstance(decision, Deny)
        assert decision.rule_ids == ("safeguard/b1-excluded-matter",)


def test_what_is_held_on_the_way_in_is_taken_in():
    content = changed(PLAIN_REQUEST, "offences[0].death_penalty", YesNo.YES)
    content = replace(content, death_penalty_assurance=())
    came = POLICY.incoming(header(Kind.REQUEST), body(content, authority="la/public-security"))
    assert isinstance(came, Hold)
    assert came.rule_ids == ("hold/h1-death-penalty",)


def test_data_about_a_protected_person_do_not_go_to_the_state_of_which_they_are():
    person = replace(PLAIN_PERSON, protection=Protection.ASYLUM, nationalities=("LAO",))
    told = POLICY.outgoing(draft(body(Update(event="", text=REFERRAL.summary, persons=(person,)))))
    assert isinstance(told, Deny)
    assert "safeguard/b2-protected-person" in told.rule_ids


def test_measures_and_laws_outside_the_agreement_are_refused_both_ways():
    outside = replace(PLAIN_REQUEST, measures=REQUEST.measures[8:9])
    for content, basis, rule in (
        (outside, "UNTOC", "agreement/measure"),
        (PLAIN_REQUEST, "treaty-of-nowhere", "agreement/legal-basis"),
    ):
        assert POLICY.outgoing(draft(body(content, basis=basis))).rule_ids == (rule,)
        whole = body(content, basis=basis, authority="la/public-security")
        assert POLICY.incoming(header(Kind.REQUEST), whole).rule_ids == (rule,)


def test_an_exercise_is_run_by_systems_alone_only_where_the_sender_has_it_so():
    quick = {
        partner: replace(profile, agreements=tuple(replace(item, release="system") for item in profile.agreements))
        for partner, profile in PROFILES.items()
    }
    policy = ExchangePolicy(TH, quick, Mode.ACTUAL, SystemClock())
    assert isinstance(policy.outgoing(draft(body(PLAIN_REFERRAL), Mode.EXERCISE)), Allow)
    assert isinstance(policy.outgoing(draft(body(PLAIN_REFERRAL), Mode.ACTUAL)), Hold)
    assert isinstance(POLICY.outgoing(draft(body(PLAIN_REFERRAL), Mode.EXERCISE)), Hold)
