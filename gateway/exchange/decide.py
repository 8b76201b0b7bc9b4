"""Decide: what officers do to held drafts. Who may is the workflow's word; this keeps it, durably and on record.

Every approval names the digest that was shown. With the last one that is needed the message leaves, in the same commit.
"""

from dataclasses import replace
from typing import Protocol

from gateway.errors import FieldInvalid, StateConflict
from gateway.exchange.held_acts import Act, HeldActs
from gateway.exchange.held_cases import NOTHING, Words, decided_by, draft_of, proposal_of, unseal
from gateway.exchange.hold import OpenedDraft, needs_now
from gateway.exchange.officers import Officer
from gateway.ids import MessageId
from gateway.model.message import Draft
from gateway.ports import DecisionAct, DecisionRow, HeldDraft, LogEntry, StoredHeld
from gateway.translog.entry import EventType
from gateway.values import dataclass
from gateway.workflow import approval
from gateway.workflow.approval import ApprovalState, Approved, Needed
from gateway.workflow.table import Cause


class TakingBack(Protocol):
    """What is needed of exchange.take_back.TakeBackService."""

    async def take_back(
        self, opened: OpenedDraft, row: DecisionRow, state: ApprovalState, log: LogEntry, *, actor: str
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One act with what was said."""

    row: DecisionRow
    words: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A held draft as an officer sees it: exactly what would leave, and all that was done to it."""

    stored: StoredHeld
    draft: Draft | None
    """None once erased."""
    history: tuple[Said, ...]


class DecisionService:
    """Lets officers decide.

    Args:
        taking_back: Withdraws at the partners what one officer has sent alone.
    """

    def __init__(self, acts: HeldActs, taking_back: TakingBack) -> None:
        self._acts = acts
        self._taking_back = taking_back

    async def show(self, officer: Officer, proposal_id: MessageId) -> Shown:
        """Return a held draft with its content; that it was shown is on record before it is.

        Raises:
            NotFound: There is none, or it is another authority's.
        """
        stored = await self._acts.find(officer, proposal_id)
        await self._acts.record(EventType.APPROVAL_SHOWN, officer, stored.draft)
        if not stored.wrapped_message_key:
            said = tuple(Said(row=row, words=NOTHING) for row in stored.decisions)
            return Shown(stored=stored, draft=None, history=said)
        opened = self._acts.holding.open(stored)
        said = tuple(Said(row=row, words=unseal(row, opened.key)) for row in stored.decisions)
        return Shown(stored=stored, draft=opened.draft, history=said)

    async def propose(self, act: Act) -> StoredHeld:
        """Propose a draft as it is.

        Raises:
            NotFound: There is no such draft.
            StateConflict: It is proposed already or has ended, or another officer's claim runs.
            ConcurrentUpdate: It is another version by now.
            PolicyDenied: It may not leave any more.
        """
        async with self._acts.acting(act) as opened:
            stored, now_ms = opened.stored, self._acts.clock.now_ms()
            held = stored.draft
            approval.MACHINE.step(held.state, approval.ApprovalEvent.PROPOSE, Cause.OFFICER)
            needs = needs_now(self._acts.policy, opened.draft)
            made = approval.propose(
                draft_of(stored),
                act.officer.officer_id,
                Needed(needs),
                due_ms=held.expire_ms,
                claim=stored.claim,
                now_ms=now_ms,
            )
            after = replace(
                held,
                state=ApprovalState.PROPOSED,
                needs=needs,
                proposer=made.proposer,
                propose_ms=now_ms,
                due_ms=made.due_ms,
            )
            row = self._acts.row(act, opened, DecisionAct.PROPOSED, now_ms)
            return await self._acts.change(act, stored, row, EventType.APPROVAL_PROPOSED, after)

    async def approve(self, act: Act, *, digest: bytes, rules: frozenset[str]) -> StoredHeld:
        """Approve what was shown; with the last approval that is needed it leaves, in the same commit.

        Args:
            act: Who, and what was seen.
            digest: The release digest that was shown.
            rules: What the officer decides on; empty: all that the officer's roles may.

        Raises:
            NotFound: There is no such proposal.
            StateConflict: The officer may not, the time is over, or it is not what was shown.
            ConcurrentUpdate: It is another version by now.
            PolicyDenied: It may not leave any more.
            ApprovalRequired: By now it takes more than was proposed.
        """
        async with self._acts.acting(act) as opened:
            stored, now_ms = opened.stored, self._acts.clock.now_ms()
            proposal = proposal_of(stored)
            officer = act.officer
            missing = {need.rule for need in proposal.missing if need.roles & officer.roles}
            after = approval.approve(
                proposal,
                officer.officer_id,
                officer.roles,
                rules=rules or frozenset(missing),
                digest=digest,
                claim=stored.claim,
                now_ms=now_ms,
            )
            latest = after.proposal if isinstance(after, Approved) else after
            row = self._acts.row(act, opened, DecisionAct.APPROVED, now_ms, rules=latest.approvals[-1].rules)
            kind = EventType.APPROVAL_APPROVED
            if not isinstance(after, Approved):
                return await self._acts.change(act, stored, row, kind, stored.draft)
            if stored.draft.state is ApprovalState.SENT_ALONE:
                return await self._acts.change(
                    act, stored, row, kind, replace(stored.draft, state=ApprovalState.APPROVED)
                )
            await self._acts.release(
                act, opened, row, kind, state=ApprovalState.APPROVED, decided=decided_by(latest.approvals)
            )
            return await self._acts.find(officer, act.proposal_id)

    async def refuse(self, act: Act, *, ground: str) -> StoredHeld:
        """Refuse a proposal. What the fast lane has sent is withdrawn with the same commit: see `exchange.take_back`.

        Raises:
            NotFound: There is no such proposal.
            StateConflict: The officer may not, or the time is over.
            ConcurrentUpdate: It is another version by now.
            FieldInvalid: The ground is no code.
        """
        async with self._acts.acting(act) as opened:
            stored, now_ms = opened.stored, self._acts.clock.now_ms()
            approval.refuse(
                proposal_of(stored),
                act.officer.officer_id,
                act.officer.roles,
                ground=ground,
                claim=stored.claim,
                now_ms=now_ms,
            )
            row = self._acts.row(act, opened, DecisionAct.REFUSED, now_ms, ground=ground)
            after = replace(stored.draft, state=ApprovalState.REFUSED)
            return await self._end(act, opened, row, EventType.APPROVAL_REFUSED, after)

    async def withdraw(self, act: Act) -> StoredHeld:
        """Withdraw a draft or proposal of one's own.

        Raises:
            NotFound: There is no such proposal.
            StateConflict: The officer has no part in it, or it has ended.
            ConcurrentUpdate: It is another version by now.
        """
        async with self._acts.acting(act) as opened:
            stored, now_ms = opened.stored, self._acts.clock.now_ms()
            approval.MACHINE.step(stored.draft.state, approval.ApprovalEvent.WITHDRAW, Cause.OFFICER)
            of = draft_of(stored) if stored.draft.state is ApprovalState.DRAFT else proposal_of(stored)
            approval.withdraw(of, act.officer.officer_id, now_ms)
            row = self._acts.row(act, opened, DecisionAct.WITHDRAWN, now_ms)
            after = replace(stored.draft, state=ApprovalState.WITHDRAWN)
            return await self._end(act, opened, row, EventType.APPROVAL_WITHDRAWN, after)

    async def ask(self, act: Act) -> StoredHeld:
        """Ask whoever wrote or proposed it something, on record.

        Raises:
            NotFound: There is no such proposal.
            StateConflict: It has ended.
            ConcurrentUpdate: It is another version by now.
            FieldInvalid: Nothing is asked.
        """
        if not act.words.internal.strip():
            raise FieldInvalid("question", "must be said")
        async with self._acts.acting(act) as opened:
            stored = opened.stored
            if not approval.MACHINE.rows[stored.draft.state]:
                raise StateConflict(f"it is {stored.draft.state.word}: possible is nothing")
            row = self._acts.row(act, opened, DecisionAct.ASKED, self._acts.clock.now_ms())
            return await self._acts.change(act, stored, row, EventType.APPROVAL_ASKED, stored.draft)

    async def _end(
        self, act: Act, opened: OpenedDraft, row: DecisionRow, kind: EventType, after: HeldDraft
    ) -> StoredHeld:
        """Store an act after which a draft never leaves, or is taken back where it has left."""
        stored = opened.stored
        if stored.draft.state is not ApprovalState.SENT_ALONE:
            return await self._acts.change(act, stored, row, kind, after)
        log = self._acts.step(kind, act.officer, stored.draft, reason=row.ground)
        await self._taking_back.take_back(opened, row, after.state, log, actor=act.officer.principal)
        return await self._acts.find(act.officer, act.proposal_id)
