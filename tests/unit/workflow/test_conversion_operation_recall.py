"""Conversions, memberships and recalls, beyond their tables."""

import itertools

import pytest

from gateway.errors import FieldInvalid, StateConflict
from gateway.ids import OfficerId, PartnerId
from gateway.workflow import approval, conversion
from gateway.workflow.approval import ORDINARY, Draft
from gateway.workflow.conversion import CONVERTIBLE, ORIGINATOR, ConversionEvent, ConversionState
from gateway.workflow.operation import MemberEvent, MemberState, OperationState, recipients, step_member
from gateway.workflow.recall import RecallState, standing
from gateway.workflow.referral import ReferralState
from gateway.workflow.table import Cause, Side

DIGEST, OTHER = b"\x01" * 32, b"\x02" * 32
TH, LA, KH, MM = (PartnerId(code) for code in ("th", "la", "kh", "mm"))


def approved(digest=DIGEST):
    made = approval.propose(
        Draft(digest, frozenset({OfficerId("o-1")})), OfficerId("o-2"), ORDINARY, due_ms=9, claim=None, now_ms=0
    )
    return approval.approve(
        made,
        OfficerId("o-3"),
        frozenset({"approver"}),
        rules=frozenset({"release"}),
        digest=digest,
        claim=None,
        now_ms=1,
    )


def begun(from_partner=True):
    return conversion.propose(ReferralState.IN_PROGRESS, DIGEST, frozenset({"p1", "p2"}), from_partner=from_partner)


def consented(from_partner=True):
    made = begun(from_partner)
    for who in sorted(made.needed):
        made = conversion.consent(made, who, Cause.PARTNER if who == ORIGINATOR else Cause.OFFICER)
    return made


@pytest.mark.parametrize("state", ReferralState)
def test_only_a_referral_that_somebody_works_on_becomes_a_request(state):
    if state in CONVERTIBLE:
        assert conversion.propose(state, DIGEST, frozenset({"p1"}), from_partner=False).missing == {"p1"}
        return
    with pytest.raises(StateConflict, match="possible while it is"):
        conversion.propose(state, DIGEST, frozenset({"p1"}), from_partner=False)


def test_no_event_of_a_referral_makes_it_a_request():
    from gateway.workflow.referral import MACHINES

    states = {after.word for machine in MACHINES.values() for row in machine.rows.values() for after in row.values()}
    assert not {word for word in states if "request" in word or "convert" in word}


def test_everybody_consents_and_officers_approve_anew():
    made = consented()
    assert made.state is ConversionState.CONSENTED
    made = conversion.approve(made, approved())
    assert conversion.step(made, ConversionEvent.CONVERT, Cause.SYSTEM).state is ConversionState.CONVERTED


def test_without_one_consent_nothing_is_approved_or_converted():
    for left_out in begun().needed:
        made = begun()
        for who in made.needed - {left_out}:
            made = conversion.consent(made, who, Cause.PARTNER if who == ORIGINATOR else Cause.OFFICER)
        assert made.missing == {left_out}
        with pytest.raises(StateConflict, match="consent of everybody"):
            conversion.approve(made, approved())
        with pytest.raises(StateConflict):
            conversion.step(made, ConversionEvent.CONVERT, Cause.SYSTEM)


def test_the_release_of_the_referral_does_not_serve_as_approval():
    with pytest.raises(StateConflict, match="approve it anew"):
        conversion.approve(consented(), approved(OTHER))
    with pytest.raises(StateConflict):
        conversion.step(consented(), ConversionEvent.CONVERT, Cause.SYSTEM)
    for event in set(ConversionEvent) - {ConversionEvent.CONVERT, ConversionEvent.REFUSE, ConversionEvent.WITHDRAW}:
        with pytest.raises(StateConflict, match="possible with what it takes"):
            conversion.step(consented(), event, Cause.OFFICER)


def test_consent_can_be_taken_back_until_it_is_converted():
    for made in (consented(), conversion.approve(consented(), approved())):
        back = conversion.revoke(made, "p1", Cause.OFFICER)
        assert (back.state, back.missing) == (ConversionState.PROPOSED, {"p1"})
        assert conversion.consent(back, "p1", Cause.OFFICER).state is ConversionState.CONSENTED
    assert conversion.revoke(begun(), "p1", Cause.OFFICER).state is ConversionState.PROPOSED
    done = conversion.step(conversion.approve(consented(), approved()), ConversionEvent.CONVERT, Cause.SYSTEM)
    with pytest.raises(StateConflict, match="withdraw the request"):
        conversion.revoke(done, "p1", Cause.OFFICER)


def test_people_consent_to_a_text():
    for made in (consented(), conversion.approve(consented(), approved())):
        after = conversion.edit(made, OTHER)
        assert (after.state, after.missing, after.digest) == (ConversionState.PROPOSED, after.needed, OTHER)
        with pytest.raises(StateConflict):
            conversion.approve(after, approved())


def test_each_consents_for_themselves():
    for who, cause in ((ORIGINATOR, Cause.OFFICER), ("p1", Cause.PARTNER), ("p1", Cause.SYSTEM)):
        for act in (conversion.consent, conversion.revoke):
            with pytest.raises(StateConflict, match="cannot record this consent"):
                act(begun(), who, cause)
    with pytest.raises(FieldInvalid):
        conversion.consent(begun(), "p3", Cause.OFFICER)
    with pytest.raises(FieldInvalid):
        conversion.consent(begun(from_partner=False), ORIGINATOR, Cause.PARTNER)
    with pytest.raises(StateConflict):
        conversion.consent(consented(), "p1", Cause.OFFICER)
    for persons in (frozenset(), frozenset({ORIGINATOR}), frozenset(f"p{n}" for n in range(513))):
        with pytest.raises(FieldInvalid):
            conversion.propose(ReferralState.ACCEPTED, DIGEST, persons, from_partner=False)


@pytest.mark.parametrize("side", Side)
def test_nobody_enters_an_operation_that_is_not_open_and_everybody_can_leave_one_that_is_not_closed(side):
    machine_cause = {
        event: Cause.OFFICER if (event in {MemberEvent.APPLY, MemberEvent.JOIN, MemberEvent.DECLINE, MemberEvent.LEAVE})
        == (side is Side.RECEIVER) else Cause.PARTNER
        for event in set(MemberEvent) - {MemberEvent.SILENCE}
    }  # fmt: skip
    entering = {
        (MemberState.NONE, MemberEvent.INVITE),
        (MemberState.NONE, MemberEvent.APPLY),
        (MemberState.APPLIED, MemberEvent.ADMIT),
        (MemberState.INVITED, MemberEvent.JOIN),
    }
    leaving = {
        (MemberState.JOINED, MemberEvent.LEAVE),
        (MemberState.JOINED, MemberEvent.REMOVE),
        (MemberState.LEAVING, MemberEvent.RELEASE),
        (MemberState.INVITED, MemberEvent.DECLINE),
        (MemberState.APPLIED, MemberEvent.REFUSE),
    }
    for operation, (member, event) in itertools.product(OperationState, entering | leaving):
        cause = machine_cause[event]
        allowed = operation is OperationState.OPEN or (
            operation is OperationState.SUSPENDED and (member, event) in leaving
        )
        if cause is Cause.PARTNER or allowed:
            assert step_member(side, operation, member, event, cause) is not member
        else:
            with pytest.raises(StateConflict, match="possible"):
                step_member(side, operation, member, event, cause)


def test_only_who_has_joined_is_told_and_nobody_once_it_is_over():
    members = dict(zip((TH, LA, KH, MM), (MemberState.JOINED, MemberState.LEAVING, MemberState.INVITED), strict=False))
    for state in OperationState:
        told = recipients(state, members)
        assert told == ({TH} if state in {OperationState.OPEN, OperationState.SUSPENDED} else set())
    for state in MemberState:
        assert recipients(OperationState.OPEN, {TH: state}) == ({TH} if state is MemberState.JOINED else set())


def test_a_recall_shows_who_confirmed_and_who_did_not():
    receivers = {
        TH: RecallState.CONFIRMED,
        LA: RecallState.ASKED,
        KH: RecallState.PASSED_ON,
        MM: RecallState.REFUSED,
    }
    before, after = standing(receivers, 100, 99), standing(receivers, 100, 100)
    assert (before.confirmed, before.refused, before.waiting, before.overdue) == ((TH,), (MM,), (KH, LA), ())
    assert (after.confirmed, after.refused, after.waiting, after.overdue) == ((TH,), (MM,), (), (KH, LA))
    assert not before.complete
    assert not after.complete
    assert standing(dict.fromkeys(receivers, RecallState.CONFIRMED), 100, 200).complete
