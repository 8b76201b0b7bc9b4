"""ApprovalService: what officers' tools call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from concord.v1 import approval_service_pb2 as pb

from gateway.clock import Clock
from gateway.errors import CallerUnknown, FieldInvalid, MessageTooLarge
from gateway.exchange.alone import LoneService
from gateway.exchange.claims import ClaimService
from gateway.exchange.decide import DecisionService
from gateway.exchange.edit_draft import EditService
from gateway.exchange.held_acts import Act, may_see
from gateway.exchange.held_cases import MAX_WORDS, Words
from gateway.exchange.held_lists import HeldLists
from gateway.exchange.officers import Officer
from gateway.exchange.submission import Submitter
from gateway.ids import MessageId, OfficerId
from gateway.ports import HeldDraft, StoredHeld
from gateway.rpc.callers import Caller
from gateway.rpc.convert.approval import proposal_to_proto, shown_to_proto, version_from_etag
from gateway.rpc.convert.field import exactly
from gateway.rpc.convert.message import draft_from_proto
from gateway.rpc.convert.view import time_to_proto
from gateway.rpc.methods import DRAFT_BYTES, CallerKind

ID_BYTES: Final = 16


class Register(Protocol):
    """What is needed of installation.registry.Registry."""

    def officer(self, principal: str) -> Officer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What officers do, part by part."""

    claims: ClaimService
    deciding: DecisionService
    editing: EditService
    alone: LoneService
    lists: HeldLists


class ApprovalServicer:
    """Lets officers decide, and systems see what became of their drafts.

    Args:
        register: Who is an officer.
        submitters: For whom systems speak, by principal.
    """

    def __init__(self, *, desk: Desk, register: Register, submitters: Mapping[str, Submitter], clock: Clock) -> None:
        self._desk = desk
        self._register = register
        self._submitters = submitters
        self._clock = clock

    async def list_proposals(self, request: pb.ListProposalsRequest, caller: Caller) -> pb.ListProposalsResponse:
        """Return a page without content."""
        if caller.kind is CallerKind.OFFICER:
            officer = self._register.officer(caller.principal)
            actor = officer.principal

            def seen(held: HeldDraft) -> bool:
                return may_see(officer, held)
        else:
            if caller.principal not in self._submitters:
                raise CallerUnknown(f"'{caller.principal}' is not registered here")
            actor = caller.principal

            def seen(held: HeldDraft) -> bool:
                return held.submitter == actor

        rows, token = await self._desk.lists.list(
            actor=actor,
            may_see=seen,
            open_only=not request.include_ended,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        now_ms = self._clock.now_ms()
        proposals = [proposal_to_proto(held, claim, now_ms) for held, claim in rows]
        return pb.ListProposalsResponse(proposals=proposals, next_page_token=token)

    async def get_proposal(self, request: pb.GetProposalRequest, caller: Caller) -> pb.GetProposalResponse:
        """Return exactly what would leave."""
        officer = self._register.officer(caller.principal)
        shown = await self._desk.deciding.show(officer, MessageId(request.proposal_id))
        return shown_to_proto(shown, self._clock.now_ms())

    # --- claims ----------------------------------------------------------------------------------------------

    async def claim_proposal(self, request: pb.ClaimProposalRequest, caller: Caller) -> pb.ClaimProposalResponse:
        """Claim or renew."""
        officer = self._register.officer(caller.principal)
        claim = await self._desk.claims.claim(officer, MessageId(request.proposal_id))
        return pb.ClaimProposalResponse(claim_time=time_to_proto(claim.until_ms))

    async def release_claim(self, request: pb.ReleaseClaimRequest, caller: Caller) -> pb.ReleaseClaimResponse:
        """Give a claim back."""
        officer = self._register.officer(caller.principal)
        await self._desk.claims.give_back(officer, MessageId(request.proposal_id))
        return pb.ReleaseClaimResponse()

    async def hand_over_claim(self, request: pb.HandOverClaimRequest, caller: Caller) -> pb.HandOverClaimResponse:
        """Hand a claim to a colleague."""
        officer = self._register.officer(caller.principal)
        claim = await self._desk.claims.hand_over(
            officer, MessageId(request.proposal_id), OfficerId.parse(request.officer)
        )
        return pb.HandOverClaimResponse(claim_time=time_to_proto(claim.until_ms))

    # --- decisions -------------------------------------------------------------------------------------------

    async def propose_draft(self, request: pb.ProposeDraftRequest, caller: Caller) -> pb.ProposeDraftResponse:
        """Propose a draft as it is."""
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.note))
        return pb.ProposeDraftResponse(proposal=self._proposal(await self._desk.deciding.propose(act)))

    async def edit_draft(self, request: pb.EditDraftRequest, caller: Caller) -> pb.EditDraftResponse:
        """Put another draft in the place of one."""
        exactly(request.proposal_id, ID_BYTES, "proposal_id")
        if not request.HasField("draft"):
            raise FieldInvalid("draft", "is required")
        if (size := request.draft.ByteSize()) > DRAFT_BYTES:
            raise MessageTooLarge("the draft", size, DRAFT_BYTES)
        if len(request.note) > MAX_WORDS:
            raise FieldInvalid("note", f"must be at most {MAX_WORDS} characters")
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.note))
        edited = await self._desk.editing.edit(act, draft_from_proto(request.draft))
        return pb.EditDraftResponse(proposal=self._proposal(edited))

    async def approve_proposal(self, request: pb.ApproveProposalRequest, caller: Caller) -> pb.ApproveProposalResponse:
        """Approve what was shown."""
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.note))
        approved = await self._desk.deciding.approve(act, digest=request.digest, rules=frozenset(request.rule_ids))
        return pb.ApproveProposalResponse(proposal=self._proposal(approved))

    async def refuse_proposal(self, request: pb.RefuseProposalRequest, caller: Caller) -> pb.RefuseProposalResponse:
        """Refuse with a coded ground."""
        words = Words(disclosed=request.disclosed, internal=request.internal)
        act = self._act(caller, request.proposal_id, request.etag, words)
        refused = await self._desk.deciding.refuse(act, ground=request.ground)
        return pb.RefuseProposalResponse(proposal=self._proposal(refused))

    async def withdraw_proposal(
        self, request: pb.WithdrawProposalRequest, caller: Caller
    ) -> pb.WithdrawProposalResponse:
        """Withdraw one's own."""
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.note))
        return pb.WithdrawProposalResponse(proposal=self._proposal(await self._desk.deciding.withdraw(act)))

    async def ask_about_proposal(
        self, request: pb.AskAboutProposalRequest, caller: Caller
    ) -> pb.AskAboutProposalResponse:
        """Put a question on record."""
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.question))
        return pb.AskAboutProposalResponse(proposal=self._proposal(await self._desk.deciding.ask(act)))

    async def send_alone(self, request: pb.SendAloneRequest, caller: Caller) -> pb.SendAloneResponse:
        """Send by the fast lane."""
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.note))
        return pb.SendAloneResponse(proposal=self._proposal(await self._desk.alone.send(act)))

    async def break_glass(self, request: pb.BreakGlassRequest, caller: Caller) -> pb.BreakGlassResponse:
        """Send at once and for good."""
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.reason))
        return pb.BreakGlassResponse(proposal=self._proposal(await self._desk.alone.break_glass(act)))

    async def review_broken_glass(
        self, request: pb.ReviewBrokenGlassRequest, caller: Caller
    ) -> pb.ReviewBrokenGlassResponse:
        """Say whether it was right."""
        act = self._act(caller, request.proposal_id, request.etag, Words(internal=request.note))
        reviewed = await self._desk.alone.review(act, upheld=request.upheld)
        return pb.ReviewBrokenGlassResponse(proposal=self._proposal(reviewed))

    def _act(self, caller: Caller, proposal_id: bytes, etag: str, words: Words) -> Act:
        return Act(
            officer=self._register.officer(caller.principal),
            proposal_id=MessageId(proposal_id),
            version=version_from_etag(etag),
            words=words,
        )

    def _proposal(self, stored: StoredHeld) -> pb.Proposal:
        return proposal_to_proto(stored.draft, stored.claim, self._clock.now_ms())
