"""What officers are shown of held drafts: values to proto."""

from concord.v1 import approval_service_pb2 as pb

from gateway.errors import FieldInvalid
from gateway.exchange.decide import Said, Shown
from gateway.ports import HeldDraft
from gateway.rpc.convert.message import draft_to_proto
from gateway.rpc.convert.view import need_to_proto, time_to_proto
from gateway.workflow.claim import Claim


def proposal_to_proto(held: HeldDraft, claim: Claim | None, now_ms: int) -> pb.Proposal:
    """Return a held draft without its content. A claim that has run out is none."""
    running = claim if claim is not None and now_ms < claim.until_ms else None
    return pb.Proposal(
        proposal_id=held.proposal_id.raw,
        state=held.state.word,
        etag=str(held.version),
        kind=held.kind.value,  # type: ignore[arg-type]
        mode=held.mode.value,  # type: ignore[arg-type]
        urgency=held.urgency.value,  # type: ignore[arg-type]
        authority=held.authority,
        recipients=[partner.code for partner in held.recipients],
        thread_id=held.thread_id.raw,
        in_reply_to=held.in_reply_to.raw if held.in_reply_to is not None else b"",
        create_time=time_to_proto(held.create_ms),
        expire_time=time_to_proto(held.expire_ms),
        due_time=time_to_proto(held.due_ms),
        submitter=held.submitter,
        needs=[need_to_proto(need) for need in held.needs],
        authors=sorted(officer.name for officer in held.authors),
        proposer=held.proposer.name if held.proposer is not None else "",
        claimed_by=running.officer.name if running is not None else "",
        claim_time=time_to_proto(running.until_ms if running is not None else None),
        digest=held.digest,
        content_commitment=held.content_commitment,
    )


def shown_to_proto(shown: Shown, now_ms: int) -> pb.GetProposalResponse:
    """Return a held draft with its content and history."""
    return pb.GetProposalResponse(
        proposal=proposal_to_proto(shown.stored.draft, shown.stored.claim, now_ms),
        draft=draft_to_proto(shown.draft) if shown.draft is not None else None,
        history=[_act(item) for item in shown.history],
    )


def _act(item: Said) -> pb.OfficerAct:
    row = item.row
    return pb.OfficerAct(
        act=row.act.name.lower(),
        officer=row.officer,
        roles=sorted(row.roles),
        rule_ids=sorted(row.rules),
        ground=row.ground,
        time=time_to_proto(row.time_ms),
        digest=row.digest,
        disclosed=item.words.disclosed,
        internal=item.words.internal,
    )


def version_from_etag(etag: str) -> int:
    """Return the version that a caller has seen.

    Raises:
        FieldInvalid: Not an etag of ours.
    """
    if not (etag.isascii() and etag.isdecimal() and len(etag) <= 9):
        raise FieldInvalid("etag", "must be the etag of the proposal as it was shown")
    return int(etag)
