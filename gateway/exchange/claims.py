"""Claims: who works on a held draft for a while, kept by swapping the claim that was seen for another."""

from gateway.errors import ConcurrentUpdate, NotFound, StateConflict
from gateway.exchange.held_acts import HeldActs, may_see
from gateway.exchange.officers import Officer, Officers
from gateway.ids import MessageId, OfficerId
from gateway.ports import ClaimHeld, StoredHeld
from gateway.translog.entry import EventType
from gateway.workflow.approval import MACHINE
from gateway.workflow.claim import Claim, give_back, hand_over, take


class ClaimService:
    """Lets officers say what they work on.

    Args:
        officers: Who is an officer now.
    """

    def __init__(self, acts: HeldActs, officers: Officers) -> None:
        self._acts = acts
        self._officers = officers

    async def claim(self, officer: Officer, proposal_id: MessageId) -> Claim:
        """Claim, or renew one's claim.

        Raises:
            NotFound: There is no such proposal.
            StateConflict: Somebody else's claim runs.
            ConcurrentUpdate: Somebody claimed in this moment.
        """
        stored = await self._acts.find(officer, proposal_id)
        async with self._acts.attempt(officer, stored):
            if not MACHINE.rows[stored.draft.state]:
                raise StateConflict(f"it is {stored.draft.state.word}: possible is nothing")
            after = take(stored.claim, officer.officer_id, self._acts.clock.now_ms())
            await self._set_claim(officer, stored, after, EventType.APPROVAL_CLAIMED)
            return after

    async def give_back(self, officer: Officer, proposal_id: MessageId) -> None:
        """End one's claim.

        Raises:
            NotFound: There is no such proposal.
            StateConflict: Somebody else's claim runs.
            ConcurrentUpdate: Somebody claimed in this moment.
        """
        stored = await self._acts.find(officer, proposal_id)
        async with self._acts.attempt(officer, stored):
            give_back(stored.claim, officer.officer_id, self._acts.clock.now_ms())
            if stored.claim is not None:
                await self._set_claim(officer, stored, None, EventType.APPROVAL_RELEASED_CLAIM)

    async def hand_over(self, officer: Officer, proposal_id: MessageId, receiver: OfficerId) -> Claim:
        """Hand one's claim to a colleague; a duty lead hands over anybody's.

        Raises:
            NotFound: There is no such proposal, or no such officer who acts for its authority.
            StateConflict: It is not the officer's to hand over.
            ConcurrentUpdate: Somebody claimed in this moment.
        """
        stored = await self._acts.find(officer, proposal_id)
        async with self._acts.attempt(officer, stored):
            colleague = self._officers.officers().get(receiver)
            if colleague is None or not may_see(colleague, stored.draft):
                raise NotFound("no such officer of this authority")
            lead = "duty_lead" in officer.roles
            after = hand_over(stored.claim, officer.officer_id, receiver, self._acts.clock.now_ms(), lead=lead)
            await self._set_claim(officer, stored, after, EventType.APPROVAL_HANDED_OVER)
            return after

    async def _set_claim(self, officer: Officer, stored: StoredHeld, after: Claim | None, kind: EventType) -> None:
        log = self._acts.step(kind, officer, stored.draft)
        operation = ClaimHeld(proposal_id=stored.draft.proposal_id, before=stored.claim, after=after, log=log)
        if not await self._acts.store.write(operation):
            raise ConcurrentUpdate("somebody else claimed it in this moment")
