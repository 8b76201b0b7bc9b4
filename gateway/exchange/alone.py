"""Alone: the fast lane and broken glass, and the review of what was done behind it.

What leaves so is on record before it is on its way, as everything is; who had to be asked besides is asked afterwards.
No other rule is passed over: what a safeguard holds for is decided first, however urgent it is.
"""

from dataclasses import replace
from typing import Final

from gateway.errors import StateConflict
from gateway.exchange.held_acts import Act, HeldActs
from gateway.exchange.held_cases import draft_of, glass_of, unseal
from gateway.exchange.hold import needs_now
from gateway.exchange.lone_acts import acts_of, standing_duty
from gateway.exchange.officers import Officer
from gateway.policy.decision import RELEASE, Decided
from gateway.ports import DecisionAct, StoredHeld
from gateway.translog.entry import EventType
from gateway.workflow import alone
from gateway.workflow.approval import MACHINE, ApprovalEvent, ApprovalState, Need, Needed
from gateway.workflow.roster import OnDuty
from gateway.workflow.table import Cause

_ALONE: Final = Decided((), alone=True)


class LoneService:
    """Lets one officer act alone, within the closed lists of `workflow.alone`."""

    def __init__(self, acts: HeldActs) -> None:
        self._acts = acts

    async def send(self, act: Act) -> StoredHeld:
        """Send a draft at once; it is taken back unless a second officer approves within 24 hours.

        Raises:
            NotFound: There is no such draft.
            StateConflict: Not urgent enough, not of those acts, or not by this officer.
            ConcurrentUpdate: It is another version by now.
            PolicyDenied: It may not leave.
            ApprovalRequired: Another rule than the release wants officers first.
        """
        acts = self._acts
        async with acts.acting(act) as opened:
            stored, now_ms = opened.stored, acts.clock.now_ms()
            held = stored.draft
            MACHINE.step(held.state, ApprovalEvent.SEND_ALONE, Cause.OFFICER)
            made = alone.fast_lane(
                draft_of(stored),
                _duty(act.officer, now_ms),
                act.officer.roles,
                acts=acts_of(opened.draft.body.content),
                urgency=held.urgency,
                needed=Needed(_release(needs_now(acts.policy, opened.draft))),
                claim=stored.claim,
                now_ms=now_ms,
            )
            row = acts.row(act, opened, DecisionAct.SENT_ALONE, now_ms)
            await acts.release(
                act,
                opened,
                row,
                EventType.APPROVAL_SENT_ALONE,
                state=ApprovalState.SENT_ALONE,
                decided=_ALONE,
                due_ms=made.due_ms,
                proposer=act.officer.officer_id,
            )
            return await acts.find(act.officer, act.proposal_id)

    async def break_glass(self, act: Act) -> StoredHeld:
        """Do at once and for good what cannot wait; somebody else reviews it within 24 hours.

        Raises:
            NotFound: There is no such draft.
            StateConflict: Nobody's life is at risk, not of those acts, or not by this officer.
            ConcurrentUpdate: It is another version by now.
            FieldInvalid: No reason is given.
            PolicyDenied: It may not leave.
            ApprovalRequired: Another rule than the release wants officers first.
        """
        acts = self._acts
        async with acts.acting(act) as opened:
            stored, now_ms = opened.stored, acts.clock.now_ms()
            held = stored.draft
            MACHINE.step(held.state, ApprovalEvent.BREAK_GLASS, Cause.OFFICER)
            glass = alone.break_glass(
                draft_of(stored),
                _duty(act.officer, now_ms),
                act.officer.roles,
                acts=acts_of(opened.draft.body.content),
                urgency=held.urgency,
                reason=act.words.internal,
                claim=stored.claim,
                now_ms=now_ms,
            )
            row = acts.row(act, opened, DecisionAct.BROKE_GLASS, now_ms)
            await acts.release(
                act,
                opened,
                row,
                EventType.APPROVAL_GLASS_BROKEN,
                state=ApprovalState.REVIEW_DUE,
                decided=_ALONE,
                due_ms=glass.review_due_ms,
                proposer=act.officer.officer_id,
            )
            return await acts.find(act.officer, act.proposal_id)

    async def review(self, act: Act, *, upheld: bool) -> StoredHeld:
        """Review what was done behind broken glass.

        Raises:
            NotFound: There is no such draft.
            StateConflict: It does not wait for a review, or the officer has a part in it.
            ConcurrentUpdate: It is another version by now.
        """
        acts = self._acts
        async with acts.acting(act) as opened:
            stored, now_ms = opened.stored, acts.clock.now_ms()
            broke = next((row for row in stored.decisions if row.act is DecisionAct.BROKE_GLASS), None)
            reason = unseal(broke, opened.key).internal if broke is not None else ""
            listed = frozenset(alone.LoneAct(act_name) for act_name in acts_of(opened.draft.body.content) & _GLASS)
            reviewed = alone.review(
                glass_of(stored, reason, listed),
                act.officer.officer_id,
                act.officer.roles,
                upheld=upheld,
                now_ms=now_ms,
            )
            row = acts.row(act, opened, DecisionAct.UPHELD if upheld else DecisionAct.FAULTED, now_ms)
            after = replace(stored.draft, state=reviewed.state)
            return await acts.change(act, stored, row, EventType.APPROVAL_REVIEWED, after)


_GLASS: Final = frozenset(str(act) for act in alone.GLASS)


def _duty(officer: Officer, now_ms: int) -> OnDuty:
    duty = standing_duty(officer, now_ms)
    if duty is None:
        raise StateConflict("only the duty lead acts alone: possible is to propose it")
    return duty


def _release(needs: tuple[Need, ...]) -> tuple[Need, ...]:
    """Return what is still decided afterwards: the release. Whatever else a rule holds for is not passed over."""
    return tuple(need for need in needs if need.rule == RELEASE) or needs
