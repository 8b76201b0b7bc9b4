"""Four eyes: who may decide what, and that no way leads around it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import FieldInvalid, StateConflict
from gateway.ids import OfficerId
from gateway.workflow import approval, claim
from gateway.workflow.approval import Approval, ApprovalState, Approved, Draft, Ended, Lane, Need, Needed, Proposal

DIGEST, OTHER = b"\x01" * 32, b"\x02" * 32
DUE = 10_000
DRAFTER, EDITOR, PROPOSER, FIRST, SECOND, THIRD = (OfficerId(f"o-{number}") for number in range(6))
APPROVER, LEAD = frozenset({"approver"}), frozenset({"duty_lead"})


ONE = approval.ORDINARY
TWO = Needed((Need("release", approval.DECIDES, 2),))
RULES = frozenset({"release"})


def proposed(needed=ONE, authors=(DRAFTER, EDITOR)):
    return approval.propose(Draft(DIGEST, frozenset(authors)), PROPOSER, needed, due_ms=DUE, claim=None, now_ms=0)


def approve(of, officer, roles=APPROVER, digest=DIGEST, now_ms=1, held=None, rules=RULES):
    return approval.approve(of, officer, roles, rules=rules, digest=digest, claim=held, now_ms=now_ms)


def test_another_officer_approves_exactly_what_was_proposed():
    done = approve(proposed(), FIRST)
    assert isinstance(done, Approved)
    assert (done.digest, done.decide_ms) == (DIGEST, 1)


@pytest.mark.parametrize("officer", [DRAFTER, EDITOR, PROPOSER])
def test_whoever_had_a_hand_in_it_cannot_approve_or_refuse_it(officer):
    with pytest.raises(StateConflict, match="possible for another"):
        approve(proposed(), officer)
    with pytest.raises(StateConflict, match="possible is to withdraw"):
        approval.refuse(proposed(), officer, APPROVER, ground="FORM_DEFECT", claim=None, now_ms=1)


def test_the_same_officer_does_not_count_twice():
    half = approve(proposed(TWO), FIRST)
    assert isinstance(half, Proposal)
    with pytest.raises(StateConflict):
        approve(half, FIRST)
    assert isinstance(approve(half, SECOND), Approved)


def test_no_value_exists_in_which_somebody_approves_their_own():
    for officer in (DRAFTER, EDITOR, PROPOSER):
        with pytest.raises(StateConflict):
            replace(proposed(), approvals=(Approval(officer, APPROVER, RULES, 1),))
    with pytest.raises(StateConflict):
        replace(proposed(TWO), approvals=(Approval(FIRST, APPROVER, RULES, 1),) * 2)
    for few in (proposed(), replace(proposed(TWO), approvals=(Approval(FIRST, APPROVER, RULES, 1),))):
        with pytest.raises(StateConflict, match="approvals are missing"):
            Approved(few)
    with pytest.raises(FieldInvalid):
        Needed(())
    for moment in (-1, DUE):
        with pytest.raises(StateConflict, match="propose it anew"):
            replace(proposed(), approvals=(Approval(FIRST, APPROVER, RULES, moment),))


def test_an_edit_voids_the_proposal_and_makes_the_editor_an_author():
    half = approve(proposed(TWO), FIRST)
    ended, draft = approval.void(half, SECOND, OTHER, 2)
    assert (ended.state, ended.officer) == (ApprovalState.VOIDED, SECOND)
    assert draft == Draft(OTHER, frozenset({DRAFTER, EDITOR, SECOND}))
    again = approval.propose(draft, PROPOSER, ONE, due_ms=DUE, claim=None, now_ms=3)
    with pytest.raises(StateConflict):
        approve(again, SECOND, digest=OTHER, now_ms=4)
    # Who approved the old text had no hand in the new one.
    assert isinstance(approve(again, FIRST, digest=OTHER, now_ms=4), Approved)


def test_what_was_shown_is_what_is_approved():
    with pytest.raises(StateConflict, match="look at it again"):
        approve(proposed(), FIRST, digest=OTHER)
    for digest in (b"", b"\x01" * 31, b"\x01" * 33):
        with pytest.raises(FieldInvalid):
            Draft(digest, frozenset())


def test_a_draft_of_a_system_takes_two_officers_all_the_same():
    of = proposed(authors=())
    with pytest.raises(StateConflict):
        approve(of, PROPOSER)
    assert isinstance(approve(of, FIRST), Approved)


@pytest.mark.parametrize("roles", [set(), {"drafter"}, {"auditor"}, {"auditor", "approver"}, {"operator"}, {"system"}])
def test_who_does_not_decide_neither_approves_nor_refuses(roles):
    with pytest.raises(StateConflict, match="do not decide on it: possible for approver, duty_lead"):
        approve(proposed(), FIRST, frozenset(roles))
    with pytest.raises(StateConflict, match="do not decide on it: possible for approver, duty_lead"):
        approval.refuse(proposed(), FIRST, frozenset(roles), ground="FORM_DEFECT", claim=None, now_ms=1)


HELD = Needed((
    Need("release", approval.DECIDES, 1),
    Need("H1", LEAD, 1),
    Need("H7", frozenset({"prosecutor", "duty_lead"}), 2),
))  # fmt: skip


def test_every_rule_that_holds_it_is_decided_by_those_whom_the_policy_names():
    of = approve(proposed(HELD), FIRST, APPROVER)
    assert [need.rule for need in of.missing] == ["H1", "H7"]
    with pytest.raises(StateConflict, match=r"possible for duty_lead$"):
        approve(of, SECOND, APPROVER, rules=frozenset({"H1"}))
    with pytest.raises(StateConflict, match="possible for duty_lead, prosecutor"):
        approve(of, SECOND, APPROVER, rules=frozenset({"H7"}))
    of = approve(of, SECOND, LEAD, rules=frozenset({"H1", "H7"}))
    assert [need.rule for need in of.missing] == ["H7"]
    # Two different officers, and the same one does not count twice for a rule.
    with pytest.raises(StateConflict):
        approve(of, SECOND, LEAD, rules=frozenset({"H7"}))
    done = approve(of, THIRD, frozenset({"prosecutor"}), rules=frozenset({"H7"}))
    assert isinstance(done, Approved)


def test_one_officer_may_decide_on_several_rules_and_on_nothing_else():
    two_rules = Needed((Need("release", approval.DECIDES, 1), Need("H1", LEAD, 1)))
    both = frozenset({"release", "H1"})
    assert isinstance(approve(proposed(two_rules), FIRST, LEAD, rules=both), Approved)
    for rules in (frozenset(), frozenset({"H2"})):
        with pytest.raises(StateConflict, match="possible is H1, release"):
            approve(proposed(two_rules), FIRST, LEAD, rules=rules)
    with pytest.raises(StateConflict, match="'H2' is not to be decided"):
        approve(proposed(two_rules), FIRST, LEAD, rules=both | {"H2"})
    half = approve(proposed(two_rules), FIRST, LEAD)
    with pytest.raises(StateConflict, match=r"possible is H1$"):
        approve(half, SECOND, LEAD)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Need("release", LEAD, 0),
        lambda: Need("release", LEAD, 9),
        lambda: Need("release", frozenset(), 1),
        lambda: Need("", LEAD, 1),
        lambda: Need("a b", LEAD, 1),
        lambda: Need("x" * 129, LEAD, 1),
        *[
            lambda role=role: Need("release", LEAD | {role}, 1)
            for role in ("auditor", "operator", "system", "", "Approver", "approver\n", "a" * 33)
        ],
        lambda: Needed((Need("H1", LEAD, 1), Need("H1", APPROVER, 1))),
        lambda: Needed(tuple(Need(f"H{number}", LEAD, 1) for number in range(65))),
    ],
)
def test_what_a_decision_takes_is_checked(make):
    with pytest.raises(FieldInvalid):
        make()


def test_time_ends_a_proposal_even_if_nobody_has_read_the_clock():
    of = proposed()
    assert approval.lapse(of, DUE - 1) is None
    ended = approval.lapse(of, DUE + 5)
    assert (ended.state, ended.end_ms, ended.officer) == (ApprovalState.LAPSED, DUE, None)
    for act in (
        lambda: approve(of, FIRST, now_ms=DUE),
        lambda: approval.refuse(of, FIRST, APPROVER, ground="FORM_DEFECT", claim=None, now_ms=DUE),
        lambda: approval.withdraw(of, PROPOSER, DUE),
        lambda: approval.void(of, EDITOR, OTHER, DUE),
    ):
        with pytest.raises(StateConflict, match="lapsed: possible is nothing; propose it anew"):
            act()
    with pytest.raises(FieldInvalid):
        approval.propose(of.draft, PROPOSER, ONE, due_ms=5, claim=None, now_ms=5)


def test_one_refusal_with_a_coded_ground_ends_it():
    half = approve(proposed(TWO), FIRST)
    ended = approval.refuse(half, SECOND, APPROVER, ground="DUAL_CRIMINALITY", claim=None, now_ms=2)
    assert ended == Ended(ApprovalState.REFUSED, half.draft, SECOND, "DUAL_CRIMINALITY", 2)
    for ground in ("", "because", "DUAL CRIMINALITY", "X" * 65, "A\n"):
        with pytest.raises(FieldInvalid):
            approval.refuse(half, SECOND, APPROVER, ground=ground, claim=None, now_ms=2)


def test_whoever_has_part_in_it_withdraws_it_and_nobody_else():
    for officer in (DRAFTER, EDITOR, PROPOSER):
        assert approval.withdraw(proposed(), officer, 1).state is ApprovalState.WITHDRAWN
    with pytest.raises(StateConflict, match="possible is to refuse"):
        approval.withdraw(proposed(), FIRST, 1)
    with pytest.raises(StateConflict):
        approval.withdraw(Draft(DIGEST, frozenset({DRAFTER})), FIRST, 1)
    assert approval.withdraw(Draft(DIGEST, frozenset()), FIRST, 1).state is ApprovalState.WITHDRAWN


def test_who_carries_it_out_is_somebody_else_again():
    done = approve(proposed(), FIRST)
    for officer in (DRAFTER, EDITOR, PROPOSER, FIRST):
        with pytest.raises(StateConflict, match="carry it out"):
            approval.check_executor(done, officer)
    approval.check_executor(done, SECOND)


def test_what_has_left_is_not_edited():
    with pytest.raises(StateConflict, match="send an update"):
        approval.void(replace(proposed(), lane=Lane.FAST, due_ms=86_400_000), EDITOR, OTHER, 1)
    # It has a day and neither less nor more, whoever builds the value.
    for due_ms in (DUE, 86_400_001):
        with pytest.raises(FieldInvalid):
            replace(proposed(), lane=Lane.FAST, due_ms=due_ms)


def test_while_one_officer_works_on_it_others_wait():
    held = claim.take(None, FIRST, 0)
    assert held.until_ms == claim.LEASE_MS
    for act in (
        lambda: claim.take(held, SECOND, 1),
        lambda: claim.give_back(held, SECOND, 1),
        lambda: claim.hand_over(held, SECOND, THIRD, 1, lead=False),
        lambda: approve(proposed(), SECOND, held=held),
        lambda: approval.propose(Draft(DIGEST, frozenset()), SECOND, ONE, due_ms=DUE, claim=held, now_ms=1),
    ):
        with pytest.raises(StateConflict, match="o-3 works on it for at most 15 more min"):
            act()
    assert isinstance(approve(proposed(), FIRST, held=held), Approved)
    assert claim.take(held, FIRST, 5).until_ms == 5 + claim.LEASE_MS
    assert claim.take(held, SECOND, held.until_ms).officer == SECOND
    claim.give_back(held, FIRST, 1)


def test_a_claim_is_handed_over_by_its_holder_or_taken_by_the_lead():
    held = claim.take(None, FIRST, 0)
    assert claim.hand_over(held, FIRST, SECOND, 1, lead=False).officer == SECOND
    assert claim.hand_over(held, THIRD, SECOND, 1, lead=True).officer == SECOND
    for nothing, now in ((None, 0), (held, held.until_ms)):
        with pytest.raises(StateConflict, match="possible is to claim it"):
            claim.hand_over(nothing, FIRST, SECOND, now, lead=False)


def test_handing_over_makes_nobody_an_approver_of_their_own():
    held = claim.hand_over(claim.take(None, FIRST, 0), FIRST, PROPOSER, 1, lead=False)
    with pytest.raises(StateConflict):
        approve(proposed(), PROPOSER, held=held)


OFFICERS = st.sampled_from([DRAFTER, EDITOR, PROPOSER, FIRST, SECOND, THIRD])
ACTS = st.tuples(st.sampled_from(["edit", "propose", "approve", "refuse", "withdraw", "void"]), OFFICERS, OFFICERS)
ROLES = st.sampled_from([APPROVER, LEAD, APPROVER | LEAD, frozenset({"drafter"}), frozenset({"auditor"})])


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    acts=st.lists(st.tuples(ACTS, ROLES), max_size=25),
    needed=st.sampled_from([ONE, TWO, HELD]),
)
def test_whatever_officers_try_what_is_approved_had_other_eyes(acts, needed):
    of, hands, now, count = Draft(DIGEST, frozenset({DRAFTER})), {DRAFTER}, 0, 0
    for (what, officer, _), roles in acts:
        now += 1
        try:
            if what == "edit" and isinstance(of, Draft):
                of = approval.edit(of, officer, bytes([now]) * 32)
                hands.add(officer)
            elif what == "void" and isinstance(of, Proposal):
                _, of = approval.void(of, officer, bytes([now]) * 32, now)
                hands.add(officer)
                count = 0
            elif what == "propose" and isinstance(of, Draft):
                of = approval.propose(of, officer, needed, due_ms=DUE, claim=None, now_ms=now)
            elif what == "approve" and isinstance(of, Proposal):
                mine = frozenset(need.rule for need in needed.needs if roles & need.roles)
                of = approve(of, officer, roles, digest=of.draft.digest, now_ms=now, rules=mine)
                count += 1
            elif what == "refuse" and isinstance(of, Proposal):
                of = approval.refuse(of, officer, roles, ground="FORM_DEFECT", claim=None, now_ms=now)
            elif what == "withdraw" and isinstance(of, Draft | Proposal):
                of = approval.withdraw(of, officer, now)
        except StateConflict:
            continue
        if isinstance(of, Approved):
            approvers = {item.officer for item in of.proposal.approvals}
            assert not approvers & (hands | {of.proposal.proposer})
            assert len(approvers) == count == len(of.proposal.approvals)
            for need in needed.needs:
                able = [item for item in of.proposal.approvals if need.rule in item.rules]
                assert len(able) >= need.number
                assert all(item.roles & need.roles for item in able)
            assert not any("auditor" in item.roles for item in of.proposal.approvals)
            return
