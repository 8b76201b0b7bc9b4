"""Take back: what one officer sent by the fast lane, and no second one confirmed, is withdrawn at the partners.

The withdrawal and the decision that it follows from are one commit: nothing is refused here that stands abroad.
Where no agreement lets an update through, the decision is kept all the same, and the log says that nobody was told.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.crypto.release import new_salt
from gateway.errors import ConcurrentUpdate, GatewayError, NotFound, Rejected, StoreCorrupt
from gateway.exchange.hold import HoldService, OpenedDraft, entry_about
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.sealed_rows import Release
from gateway.exchange.steps import GATEWAY
from gateway.exchange.submission import Policy, Submission, Submitter
from gateway.ids import MessageId
from gateway.model.case import Withdrawal
from gateway.model.message import Body, Draft
from gateway.model.text import LocalizedText
from gateway.policy.decision import Decided
from gateway.ports import (
    ChangeHeld,
    Codec,
    DecisionAct,
    DecisionRow,
    DueHeld,
    FindHeld,
    HeldDraft,
    LogEntry,
    Released,
    Store,
    SubmissionResult,
)
from gateway.translog.entry import EventType
from gateway.workflow.approval import MACHINE, ApprovalEvent, ApprovalState
from gateway.workflow.table import Cause

LAPSE_ROWS: Final = 100
UNTOLD: Final = "NO_AGREEMENT_FOR_WITHDRAWAL"
_LABEL: Final = b"concord/withdrawal-request/v1"
_REASON: Final = "Sent by one officer in an emergency, and not confirmed by a second one."


class Submitting(Protocol):
    """What is needed of workers.coalesce.CoalescedSubmit."""

    async def submit(self, submissions: Sequence[Submission]) -> list[SubmissionResult | GatewayError]: ...


class TakeBackService:
    """Withdraws what was sent alone, and lets lapse what nobody decided on."""

    def __init__(
        self,
        *,
        store: Store,
        holding: HoldService,
        policy: Policy,
        codec: Codec,
        clock: Clock,
        pool: KeyPool,
        submitting: Submitting,
    ) -> None:
        self._store = store
        self._holding = holding
        self._policy = policy
        self._codec = codec
        self._clock = clock
        self._pool = pool
        self._submitting = submitting

    async def take_back(
        self, opened: OpenedDraft, row: DecisionRow, state: ApprovalState, log: LogEntry, *, actor: str
    ) -> None:
        """Store a decision against what has left, together with its withdrawal.

        A withdrawal that is refused, because policy, the case or a frozen partner stands against it, does not stand in
        the way of the decision: that the partner was not told is in the log.

        Raises:
            ConcurrentUpdate: Somebody else has done something to it in between.
            GatewayError: The withdrawal cannot be sent now; nothing is decided.
        """
        held = opened.stored.draft
        released = Released(
            proposal_id=held.proposal_id, version=held.version, state=state, decision=row, due_ms=held.due_ms, log=log
        )
        try:
            submission = self._withdrawal(opened, released, actor)
            (answer,) = await self._submitting.submit([submission])
        except Rejected as error:
            answer = error
        if isinstance(answer, Rejected):
            untold = entry_about(held, EventType.APPROVAL_WITHDRAWN, self._clock.now_ms(), actor=actor, reason=UNTOLD)
            await self._only_decide(held, row, state, untold)
        elif isinstance(answer, GatewayError):
            raise answer

    async def lapse_due(self) -> int:
        """Let lapse what nobody decided on in time; return how many were due."""
        due = await self._store.read(DueHeld(now_ms=self._clock.now_ms(), max_rows=LAPSE_ROWS))
        for held in due:
            await self._lapse(held)
        return len(due)

    async def _lapse(self, held: HeldDraft) -> None:
        now_ms = self._clock.now_ms()
        state = MACHINE.step(held.state, ApprovalEvent.LAPSE, Cause.CLOCK)
        row = DecisionRow(
            number=held.version,
            act=DecisionAct.LAPSED,
            officer="",
            roles=frozenset(),
            rules=frozenset(),
            ground="",
            digest=held.digest,
            time_ms=now_ms,
            words_sealed=b"",
        )
        log = entry_about(held, EventType.APPROVAL_LAPSED, now_ms, actor=GATEWAY)
        # Whoever was quicker has decided: then it is not due any more.
        try:
            stored = await self._store.read(FindHeld(proposal_id=held.proposal_id))
            if held.state is ApprovalState.SENT_ALONE and stored is not None and stored.draft.version == held.version:
                await self.take_back(self._holding.open(stored), row, state, log, actor=GATEWAY)
            else:
                await self._only_decide(held, row, state, log)
        except (NotFound, StoreCorrupt):
            # Erased or damaged: there is nothing left to name in a withdrawal, and the others must not wait for it.
            await self._only_decide(held, row, state, log)
        except ConcurrentUpdate:
            return

    async def _only_decide(self, held: HeldDraft, row: DecisionRow, state: ApprovalState, log: LogEntry) -> None:
        operation = ChangeHeld(proposal_id=held.proposal_id, version=held.version, state=state, decision=row, log=log)
        if not await self._store.write(operation):
            raise ConcurrentUpdate("somebody else has done something to it in between")

    def _withdrawal(self, opened: OpenedDraft, released: Released, actor: str) -> Submission:
        now_ms = self._clock.now_ms()
        held, sent = opened.stored.draft, opened.draft
        body = Body(
            authority=sent.body.authority,
            handling=sent.body.handling,
            legal_basis=sent.body.legal_basis,
            content=Withdrawal(message_id=held.proposal_id, reason=(LocalizedText("en", _REASON),)),
        )
        draft = Draft(
            body=body,
            body_bytes=self._codec.encode_body(body),
            recipients=held.recipients,
            mode=held.mode,
            urgency=held.urgency,
            expire_ms=None,
            thread_id=held.thread_id,
            in_reply_to=held.proposal_id,
            supersedes=None,
        )
        digest = hashlib.sha256(_LABEL + held.proposal_id.raw).digest()
        return Submission(
            submitter=Submitter(principal=GATEWAY, authorities=frozenset({body.authority})),
            request_id=digest[:16],
            request_digest=digest,
            draft=draft,
            release=Release(
                message_id=MessageId.new(now_ms),
                salt=new_salt(),
                key=self._pool.take(),
                actor=actor,
                decided=Decided((), alone=True),
                released=released,
            ),
        )
