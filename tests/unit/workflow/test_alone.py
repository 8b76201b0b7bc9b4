"""What one officer may do alone, and what never."""

from dataclasses import replace

import pytest

from gateway.errors import FieldInvalid, StateConflict
from gateway.ids import OfficerId
from gateway.model.header import Urgency
from gateway.workflow import alone, approval
from gateway.workflow.alone import FAST, GLASS, LoneAct
from gateway.workflow.approval import ORDINARY, ApprovalState, Approved, Draft, Lane
from gateway.workflow.claim import Claim
from gateway.workflow.roster import OnDuty

DUTY, OTHER, DRAFTER = OfficerId("o-duty"), OfficerId("o-other"), OfficerId("o-drafter")
DIGEST = b"\x07" * 32
DAY = 86_400_000
NOW = 1_000
APPROVER = frozenset({"approver"})
WATCH = OnDuty(desk="th/royal-police/desk", at_ms=NOW, officer=DUTY, post="bangkok", until_ms=NOW + DAY, order=(DUTY,))
NEVER = ("content_data", "freeze_assets", "arrest", "hand_over")


def send(acts=("preserve",), urgency=Urgency.U0, duty=WATCH, roles=APPROVER, now_ms=NOW, claim=None):
    return alone.fast_lane(
        Draft(DIGEST, frozenset({DUTY})),
        duty,
        roles,
        acts=frozenset(acts),
        urgency=urgency,
        needed=ORDINARY,
        claim=claim,
        now_ms=now_ms,
    )


def smash(acts=("shelter",), urgency=Urgency.U0, duty=WATCH, roles=APPROVER, now_ms=NOW, reason="nobody answers"):
    return alone.break_glass(
        Draft(DIGEST, frozenset({DRAFTER})),
        duty,
        roles,
        acts=frozenset(acts),
        urgency=urgency,
        reason=reason,
        claim=None,
        now_ms=now_ms,
    )


def approve(of, officer, now_ms):
    return approval.approve(
        of, officer, APPROVER, rules=frozenset({"release"}), digest=DIGEST, claim=None, now_ms=now_ms
    )


@pytest.mark.parametrize("act", sorted(FAST))
@pytest.mark.parametrize("urgency", [Urgency.U0, Urgency.U1])
def test_the_officer_on_duty_sends_acts_of_help_alone_and_another_approves_within_a_day(act, urgency):
    sent = send([act], urgency)
    assert (sent.lane, sent.proposer, sent.due_ms) == (Lane.FAST, DUTY, NOW + DAY)
    assert isinstance(approve(sent, OTHER, NOW + DAY - 1), Approved)


def test_without_the_second_approval_it_lapses():
    sent = send()
    assert approval.lapse(sent, NOW + DAY - 1) is None
    assert approval.lapse(sent, NOW + DAY).state is ApprovalState.LAPSED
    with pytest.raises(StateConflict, match="lapsed"):
        approve(sent, OTHER, NOW + DAY)


def test_who_sent_it_alone_does_not_approve_it():
    with pytest.raises(StateConflict):
        approve(send(), DUTY, NOW + 1)


@pytest.mark.parametrize("urgency", [Urgency.U2, Urgency.U3])
def test_what_is_not_urgent_takes_four_eyes_first(urgency):
    with pytest.raises(StateConflict, match="possible is to propose"):
        send(urgency=urgency)


@pytest.mark.parametrize("urgency", [Urgency.U1, Urgency.U2, Urgency.U3])
def test_glass_is_broken_for_life_at_risk_only(urgency):
    with pytest.raises(StateConflict, match="possible is to propose"):
        smash(urgency=urgency)


@pytest.mark.parametrize("how", [send, smash])
@pytest.mark.parametrize("act", [*NEVER, "locate_person", "Preserve", "preserve ", "", "anything"])
def test_coercion_and_whatever_is_not_listed_is_never_done_alone(how, act):
    for acts in ([act], [act, "preserve"], [act, *FAST]):
        with pytest.raises(StateConflict, match="not everything that is asked may be done alone: possible"):
            how(acts)


@pytest.mark.parametrize("how", [send, smash])
def test_nothing_and_too_much_are_refused(how):
    for acts in ([], [f"act-{number}" for number in range(alone.MAX_ACTS + 1)]):
        with pytest.raises(StateConflict):
            how(acts)


def test_the_lists_hold_no_coercion():
    assert not {str(act) for act in LoneAct} & set(NEVER)
    assert FAST < GLASS
    assert {str(act) for act in FAST} == {"preserve", "welfare_check", "rescue"}
    for act in GLASS - FAST:
        with pytest.raises(StateConflict):
            send([act])


@pytest.mark.parametrize("how", [send, smash])
def test_only_who_is_on_duty_now_and_decides_acts_alone(how):
    for now in (NOW - 1, WATCH.until_ms):
        with pytest.raises(StateConflict, match="this watch is not now"):
            how(now_ms=now)
    for roles in (frozenset(), frozenset({"drafter"}), frozenset({"auditor"}), APPROVER | {"operator"}):
        with pytest.raises(StateConflict, match="do not decide"):
            how(roles=roles)


def test_what_a_colleague_works_on_is_left_alone():
    with pytest.raises(StateConflict, match="works on it"):
        send(claim=Claim(OTHER, NOW + 1))


def test_behind_broken_glass_somebody_else_reviews():
    glass = smash()
    assert glass.review_due_ms == NOW + DAY
    for officer in (DUTY, DRAFTER):
        with pytest.raises(StateConflict, match="possible for another officer"):
            alone.review(glass, officer, APPROVER, upheld=True, now_ms=NOW + 1)
    with pytest.raises(StateConflict):
        alone.review(glass, OTHER, frozenset({"auditor"}), upheld=True, now_ms=NOW + 1)
    # Late is better than never, and shows.
    for upheld, state in ((True, ApprovalState.UPHELD), (False, ApprovalState.FAULTED)):
        done = alone.review(glass, OTHER, APPROVER, upheld=upheld, now_ms=NOW + 2 * DAY)
        assert (done.state, done.review_ms > glass.review_due_ms) == (state, True)
    with pytest.raises(StateConflict):
        replace(done, reviewer=DUTY)


def test_a_reason_is_given():
    for reason in ("", "  \n", "x" * 2001):
        with pytest.raises(FieldInvalid):
            smash(reason=reason)
