"""One officer alone, in an emergency: the fast lane, and behind broken glass.

Both are closed lists of acts of help. Content data, freezing, arrest and handing somebody over are on neither, whatever
the urgency, and what is not listed is not allowed. The fast lane (domain notes 1.6) sends at once and lapses unless a
second officer approves within 24 hours: a refusal or a lapse withdraws at the partner what has left. What was done
behind broken glass stands, and is reviewed within 24 hours by somebody else.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.errors import FieldInvalid, StateConflict
from gateway.ids import OfficerId
from gateway.model.header import Urgency
from gateway.workflow.approval import (
    MACHINE,
    ORDINARY,
    SECOND_APPROVAL_MS,
    ApprovalEvent,
    ApprovalState,
    Draft,
    Lane,
    Needed,
    Proposal,
    check_decides,
)
from gateway.workflow.claim import Claim, check_claim
from gateway.workflow.clocks import DAY_MS
from gateway.workflow.roster import OnDuty
from gateway.workflow.table import Cause

REVIEW_MS: Final = DAY_MS
MAX_REASON_CHARACTERS: Final = 2000
MAX_ACTS: Final = 16


class LoneAct(StrEnum):
    """What one officer may do alone, in the words of measures and of what referrals ask."""

    PRESERVE = "preserve"
    WELFARE_CHECK = "welfare_check"
    RESCUE = "rescue"
    SHELTER = "shelter"
    CONSULAR_ACCESS = "consular_access"
    ACCEPT_REFERRAL = "accept_referral"
    ISSUE_ALERT = "issue_alert"
    CANCEL_ALERT = "cancel_alert"


FAST: Final = frozenset({LoneAct.PRESERVE, LoneAct.WELFARE_CHECK, LoneAct.RESCUE})
"""By the fast lane."""
GLASS: Final = frozenset(LoneAct)
"""Behind broken glass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGlass:
    """Something that an officer did alone in an emergency, and that somebody else has to review."""

    draft: Draft
    officer: OfficerId
    acts: frozenset[LoneAct]
    reason: str
    act_ms: int

    def __post_init__(self) -> None:
        if not self.reason.strip() or len(self.reason) > MAX_REASON_CHARACTERS:
            raise FieldInvalid("reason", f"must be said, in at most {MAX_REASON_CHARACTERS} characters")

    @property
    def review_due_ms(self) -> int:
        """By when it has to be reviewed."""
        return self.act_ms + REVIEW_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """What somebody else found about it."""

    glass: BrokenGlass
    reviewer: OfficerId
    state: ApprovalState
    """UPHELD or FAULTED."""
    review_ms: int

    def __post_init__(self) -> None:
        # As with approvals: no value exists in which somebody reviews what is their own.
        if self.reviewer in {self.glass.officer, *self.glass.draft.authors}:
            raise StateConflict("whoever drafted or did it cannot review it: possible for another officer")


def fast_lane(
    draft: Draft,
    duty: OnDuty,
    roles: frozenset[str],
    *,
    acts: frozenset[str],
    urgency: Urgency,
    needed: Needed,
    claim: Claim | None,
    now_ms: int,
) -> Proposal:
    """Send at once what the officer on duty drafted; it lapses unless it is approved within 24 hours.

    Args:
        draft: What leaves.
        duty: Who is on duty now.
        roles: The roles that this officer holds.
        acts: Every act that the draft asks for.
        urgency: Of the draft.
        needed: The approvals that it takes afterwards.
        claim: Who works on it.
        now_ms: The time.

    Raises:
        StateConflict: It is not urgent enough, not all of its acts may be done alone, or not by this officer.
    """
    if urgency > Urgency.U1:
        raise StateConflict(f"the fast lane is for U0 and U1, not {urgency.name}: possible is to propose it")
    _check_alone(duty, roles, needed, claim, now_ms)
    _parse_acts(acts, FAST, "by the fast lane")
    MACHINE.step(ApprovalState.DRAFT, ApprovalEvent.SEND_ALONE, Cause.OFFICER)
    return Proposal(
        draft=draft,
        proposer=duty.officer,
        propose_ms=now_ms,
        due_ms=now_ms + SECOND_APPROVAL_MS,
        needed=needed,
        lane=Lane.FAST,
    )


def break_glass(
    draft: Draft,
    duty: OnDuty,
    roles: frozenset[str],
    *,
    acts: frozenset[str],
    urgency: Urgency,
    reason: str,
    claim: Claim | None,
    now_ms: int,
) -> BrokenGlass:
    """Do at once, alone and with a reason, what cannot wait for a second officer.

    Raises:
        StateConflict: Nobody's life is at risk, not all of its acts may be done alone, or not by this officer.
        FieldInvalid: No reason, or too long a one.
    """
    if urgency is not Urgency.U0:
        raise StateConflict(f"glass is broken for U0 only, not {urgency.name}: possible is to propose it")
    _check_alone(duty, roles, ORDINARY, claim, now_ms)
    parsed = _parse_acts(acts, GLASS, "behind broken glass")
    MACHINE.step(ApprovalState.DRAFT, ApprovalEvent.BREAK_GLASS, Cause.OFFICER)
    return BrokenGlass(draft=draft, officer=duty.officer, acts=parsed, reason=reason, act_ms=now_ms)


def review(glass: BrokenGlass, reviewer: OfficerId, roles: frozenset[str], *, upheld: bool, now_ms: int) -> Reviewed:
    """Review what was done alone. A review that is late is a review; that it was late is read off `review_due_ms`.

    Raises:
        StateConflict: The officer did it, drafted it, or does not decide.
    """
    check_decides(roles, ORDINARY)
    event = ApprovalEvent.UPHOLD if upheld else ApprovalEvent.FAULT
    state = MACHINE.step(ApprovalState.REVIEW_DUE, event, Cause.OFFICER)
    return Reviewed(glass=glass, reviewer=reviewer, state=state, review_ms=now_ms)


def _check_alone(duty: OnDuty, roles: frozenset[str], needed: Needed, claim: Claim | None, now_ms: int) -> None:
    if not duty.at_ms <= now_ms < duty.until_ms:
        raise StateConflict("only the officer on duty acts alone, and this watch is not now: possible is to propose it")
    check_decides(roles, needed)
    check_claim(claim, duty.officer, now_ms)


def _parse_acts(acts: frozenset[str], allowed: frozenset[LoneAct], how: str) -> frozenset[LoneAct]:
    """Return the acts.

    Raises:
        StateConflict: None, too many, or one that is not on the list.
    """
    words = {str(act): act for act in allowed}
    if not 1 <= len(acts) <= MAX_ACTS or not acts <= set(words):
        listed = ", ".join(sorted(words))
        raise StateConflict(f"not everything that is asked may be done alone: possible {how} is {listed}")
    return frozenset(words[act] for act in acts)
