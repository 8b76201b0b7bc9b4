"""What every act of an officer on a held draft has in common: finding it, one version, a row, an entry, the commit.

Every act names the version that its officer has seen, so that of two at once one is told to look again. What is refused
is on record too: somebody tried.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import ConcurrentUpdate, GatewayError, NotFound, Rejected, StoreCorrupt
from gateway.exchange.held_cases import NOTHING, Words, seal
from gateway.exchange.hold import HoldService, OpenedDraft, entry_about
from gateway.exchange.key_pool import FreshKey
from gateway.exchange.officers import Officer
from gateway.exchange.sealed_rows import Release
from gateway.exchange.submission import Policy, Submission, Submitter
from gateway.ids import AuthorityId, MessageId, OfficerId
from gateway.model.message import Draft
from gateway.policy.decision import Decided
from gateway.ports import (
    AppendLog,
    ChangeHeld,
    DecisionAct,
    DecisionRow,
    FindHeld,
    HeldDraft,
    LogEntry,
    Released,
    Store,
    StoredHeld,
    SubmissionResult,
)
from gateway.translog.entry import EventType
from gateway.values import dataclass
from gateway.workflow.approval import ApprovalState


class Submitting(Protocol):
    """What is needed of workers.coalesce.CoalescedSubmit."""

    async def submit(self, submissions: Sequence[Submission]) -> list[SubmissionResult | GatewayError]: ...
    async def examined(self, submitter: Submitter, draft: Draft) -> tuple[Draft, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An officer's act on one version of a held draft."""

    officer: Officer
    proposal_id: MessageId
    version: int
    """That the officer has seen."""
    words: Words = NOTHING


class HeldActs:
    """Keeps acts on held drafts.

    Args:
        submitting: Where released drafts go out.
    """

    def __init__(
        self, *, store: Store, holding: HoldService, policy: Policy, clock: Clock, submitting: Submitting
    ) -> None:
        self.store = store
        self.holding = holding
        self.policy = policy
        self.clock = clock
        self.submitting = submitting

    async def find(self, officer: Officer, proposal_id: MessageId) -> StoredHeld:
        """Return a held draft of an authority that the officer acts for.

        Raises:
            NotFound: There is none, or it is another authority's.
        """
        stored = await self.store.read(FindHeld(proposal_id=proposal_id))
        if stored is None or not may_see(officer, stored.draft):
            raise NotFound("no such proposal")
        return stored

    @contextlib.asynccontextmanager
    async def acting(self, act: Act) -> AsyncIterator[OpenedDraft]:
        """Give the draft that an officer acts on; an attempt that is refused is on record.

        Raises:
            NotFound: There is none, or it was erased.
            ConcurrentUpdate: It is another version than the officer has seen.
        """
        stored = await self.find(act.officer, act.proposal_id)
        async with self.attempt(act.officer, stored):
            if stored.draft.version != act.version:
                raise ConcurrentUpdate(f"it is version {stored.draft.version} by now, not {act.version}: look again")
            yield self.holding.open(stored)

    @contextlib.asynccontextmanager
    async def attempt(self, officer: Officer, stored: StoredHeld) -> AsyncIterator[None]:
        """Have it on record when what follows is refused."""
        try:
            yield
        except (Rejected, ConcurrentUpdate) as error:
            await self.record(EventType.APPROVAL_ATTEMPT_REFUSED, officer, stored.draft, reason=error.reason)
            raise

    def row(
        self,
        act: Act,
        opened: OpenedDraft,
        kind: DecisionAct,
        now_ms: int,
        *,
        rules: frozenset[str] = frozenset(),
        ground: str = "",
    ) -> DecisionRow:
        """Return an act as it is stored."""
        held = opened.stored.draft
        return DecisionRow(
            number=held.version,
            act=kind,
            officer=act.officer.officer_id.name,
            roles=act.officer.roles,
            rules=rules,
            ground=ground,
            digest=held.digest,
            time_ms=now_ms,
            words_sealed=seal(act.words, opened.key, held.version),
        )

    async def change(
        self, act: Act, stored: StoredHeld, row: DecisionRow, kind: EventType, after: HeldDraft
    ) -> StoredHeld:
        """Store an act that lets nothing leave.

        Raises:
            ConcurrentUpdate: Somebody was quicker.
        """
        operation = ChangeHeld(
            proposal_id=stored.draft.proposal_id,
            version=stored.draft.version,
            state=after.state,
            decision=row,
            log=self.step(kind, act.officer, stored.draft, reason=row.ground),
            draft=after,
        )
        if not await self.store.write(operation):
            raise ConcurrentUpdate("somebody else has done something to it in between")
        return await self.find(act.officer, act.proposal_id)

    async def release(
        self,
        act: Act,
        opened: OpenedDraft,
        row: DecisionRow,
        kind: EventType,
        *,
        state: ApprovalState,
        decided: Decided,
        due_ms: int = 0,
        proposer: OfficerId | None = None,
    ) -> None:
        """Let a draft leave: message, envelopes, decision and log are one commit.

        Raises:
            GatewayError: As SubmitService.submit answers; nothing has left, and nothing is decided.
        """
        stored = opened.stored
        held = stored.draft
        submission = Submission(
            submitter=Submitter(principal=held.submitter, authorities=frozenset({AuthorityId.parse(held.authority)})),
            request_id=held.request_id,
            request_digest=held.request_digest,
            draft=opened.draft,
            release=Release(
                message_id=held.proposal_id,
                salt=opened.salt,
                key=FreshKey(opened.key, held.key_id, None),
                actor=act.officer.principal,
                decided=decided,
                released=Released(
                    proposal_id=held.proposal_id,
                    version=held.version,
                    state=state,
                    decision=row,
                    due_ms=due_ms,
                    log=self.step(kind, act.officer, held),
                    proposer=proposer,
                ),
            ),
        )
        (answer,) = await self.submitting.submit([submission])
        if isinstance(answer, GatewayError):
            raise answer
        if answer.content_commitment != held.content_commitment:
            raise StoreCorrupt("what left is not what was approved")

    def step(self, kind: EventType, officer: Officer, held: HeldDraft, *, reason: str = "") -> LogEntry:
        """Return an entry for the exchange log about a held draft."""
        return entry_about(held, kind, self.clock.now_ms(), actor=officer.principal, reason=reason)

    async def record(self, kind: EventType, officer: Officer, held: HeldDraft, *, reason: str = "") -> None:
        """Put an entry in the exchange log, durably."""
        await self.store.write(AppendLog((self.step(kind, officer, held, reason=reason),)))


def may_see(officer: Officer, held: HeldDraft) -> bool:
    """Say whether an officer acts for the authority that a draft speaks for."""
    return any(authority.name == held.authority for authority in officer.authorities)
