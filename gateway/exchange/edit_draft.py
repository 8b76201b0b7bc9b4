"""Edit: an officer changes a held draft. What was proposed is void, and the officer is one of its authors for good."""

from dataclasses import replace

from gateway.crypto.at_rest import seal_held
from gateway.crypto.release import content_commitment, new_salt, release_digest
from gateway.errors import FieldInvalid
from gateway.exchange.held_acts import Act, HeldActs
from gateway.exchange.held_cases import draft_of, proposal_of
from gateway.exchange.hold import needs_now
from gateway.exchange.submission import Submitter
from gateway.model.message import Draft
from gateway.ports import DecisionAct, HeldDraft, StoredHeld
from gateway.translog.entry import EventType
from gateway.workflow import approval
from gateway.workflow.approval import ApprovalState
from gateway.workflow.claim import check_claim
from gateway.workflow.table import Cause


class EditService:
    """Lets officers change held drafts."""

    def __init__(self, acts: HeldActs) -> None:
        self._acts = acts

    async def edit(self, act: Act, draft: Draft) -> StoredHeld:
        """Put another draft in the place of one: content, recipients, urgency and expiry may differ, nothing else.

        Raises:
            NotFound: There is no such draft.
            StateConflict: It has left or ended, or another officer's claim runs.
            ConcurrentUpdate: It is another version by now.
            FieldInvalid: Something differs that a new draft is needed for.
            GatewayError: As SubmitService.examined.
        """
        acts = self._acts
        async with acts.acting(act) as opened:
            stored, now_ms = opened.stored, acts.clock.now_ms()
            held, officer = stored.draft, act.officer
            approval.MACHINE.step(held.state, approval.ApprovalEvent.EDIT, Cause.OFFICER)
            check_claim(stored.claim, officer.officer_id, now_ms)
            draft = replace(draft, thread_id=opened.draft.thread_id, expire_ms=draft.expire_ms or held.expire_ms)
            _check_same(opened.draft, draft)
            submitter = Submitter(principal=officer.principal, authorities=officer.authorities)
            draft, expire_ms = await acts.submitting.examined(submitter, draft)
            # What an update is about is found only there: another one, and what is kept would not be what was edited.
            _check_same(opened.draft, draft)
            needs = needs_now(acts.policy, draft)
            # A fresh salt: nobody who knows the old content and its commitment can test a guess at the new one.
            salt = new_salt()
            commitment = content_commitment(salt, draft.body_bytes)
            digest = release_digest(
                draft,
                message_id=held.proposal_id,
                thread_id=held.thread_id,
                expire_ms=expire_ms,
                content_commitment=commitment,
            )
            if held.state is ApprovalState.PROPOSED:
                _, written = approval.void(proposal_of(stored), officer.officer_id, digest, now_ms)
            else:
                written = approval.edit(draft_of(stored), officer.officer_id, digest)
            after: HeldDraft = replace(
                held,
                urgency=draft.urgency,
                recipients=draft.recipients,
                expire_ms=expire_ms,
                content_commitment=commitment,
                digest=written.digest,
                body_sealed=seal_held(opened.key, salt, draft.body_bytes),
                needs=needs,
                state=ApprovalState.DRAFT,
                authors=written.authors,
                proposer=None,
                propose_ms=0,
                due_ms=expire_ms,
            )
            row = acts.row(act, opened, DecisionAct.EDITED, now_ms)
            return await acts.change(act, stored, row, EventType.APPROVAL_VOIDED, after)


def _check_same(before: Draft, after: Draft) -> None:
    for field, same in (
        ("draft.body.authority", before.body.authority == after.body.authority),
        ("draft.body", before.body.kind == after.body.kind),
        ("draft.mode", before.mode == after.mode),
        ("draft.in_reply_to", before.in_reply_to == after.in_reply_to),
        ("draft.supersedes_id", before.supersedes == after.supersedes),
        ("draft.thread_id", before.thread_id == after.thread_id),
    ):
        if not same:
            raise FieldInvalid(field, "cannot differ from what is held: withdraw it, and hand in a new draft")
