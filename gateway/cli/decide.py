"""concord decide: what officers do to drafts that wait for them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.call import Call, command
from gateway.cli.content import case_name, content_data, content_lines
from gateway.cli.failure import usage
from gateway.cli.views import KINDS, MODES, URGENCIES, id_text, instant, moment, word

if TYPE_CHECKING:
    from concord.v1 import approval_service_pb2 as pb
    from google.protobuf.message import Message

    from gateway.cli.officer_client import OfficerClient

NOTHING_DONE: Final = "Nothing was decided."
Target = Annotated[
    str, typer.Option(envvar="CONCORD_OFFICER_TARGET", help="host:port of the gateway's exchange listener.")
]
Roots = Annotated[Path, typer.Option(envvar="CONCORD_OFFICER_ROOTS", help="PEM file of the gateway's authority.")]
Chain = Annotated[Path, typer.Option(envvar="CONCORD_OFFICER_CHAIN", help="PEM file of the officer's certificate.")]
Key = Annotated[Path, typer.Option("--key", envvar="CONCORD_OFFICER_KEY", help="PEM file of its key.")]
Id = Annotated[str, typer.Argument(help="Id of the proposal, or the beginning of it.")]
Note = Annotated[str, typer.Option(help="For colleagues; stays here, encrypted.")]
Digest = Annotated[
    str,
    typer.Option(
        help="First 16 digits or more of the digest that was shown: what is approved is what was read.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it is about, and do nothing.")]


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="For officers: release, refuse or ask about drafts that are held.")
    application.add_typer(group, name="decide")

    @command(group, "list")
    def list_held(
        call: Call,
        target: Target,
        roots: Roots,
        chain: Chain,
        key_file: Key,
        ended: Annotated[bool, typer.Option("--all", help="Also those on which everything is decided.")] = False,
    ) -> None:
        """List what is held for the authorities of this officer. JSON: one object a line."""
        with _client(target, roots, chain, key_file) as client:
            found = list(client.list(include_ended=ended))
        for item in found:
            call.output.record(_data(item))
        rows = [
            [
                id_text(item.proposal_id),
                item.state.replace("_", " "),
                f"{word(KINDS, item.kind)} {word(URGENCIES, item.urgency)}",
                " ".join(item.recipients),
                moment(item, "due_time"),
                item.claimed_by,
            ]
            for item in found
        ]
        call.output.table(["proposal", "state", "what", "to", "due", "claimed by"], rows, "Nothing waits for officers.")

    @command(group, "show")
    def show(call: Call, proposal: Id, target: Target, roots: Roots, chain: Chain, key_file: Key) -> None:
        """Show exactly what would leave, and all that was done to it. That it was shown is recorded."""
        with _client(target, roots, chain, key_file) as client:
            _show(call, client.show(client.find(proposal)))

    @command(group, "claim")
    def claim(call: Call, proposal: Id, target: Target, roots: Roots, chain: Chain, key_file: Key) -> None:
        """Work on it for 15 minutes, or for 15 more: colleagues see it and keep their hands off."""
        from concord.v1 import approval_service_pb2 as pb

        with _client(target, roots, chain, key_file) as client:
            raw = client.find(proposal)
            answer = client.call("ClaimProposal", pb.ClaimProposalRequest(proposal_id=raw), "claim it")
        call.output.record({"proposal_id": id_text(raw), "claim_time": instant(answer, "claim_time")})
        call.output.text(f"{id_text(raw)} is yours until {moment(answer, 'claim_time')}.")

    @command(group, "release")
    def release(call: Call, proposal: Id, target: Target, roots: Roots, chain: Chain, key_file: Key) -> None:
        """Give the claim back. Nothing is decided by it."""
        from concord.v1 import approval_service_pb2 as pb

        with _client(target, roots, chain, key_file) as client:
            raw = client.find(proposal)
            client.call("ReleaseClaim", pb.ReleaseClaimRequest(proposal_id=raw), "give the claim back")
        call.output.record({"proposal_id": id_text(raw), "claim_time": None})
        call.output.text(f"{id_text(raw)} is free for others.")

    @command(group, "propose")
    def propose(
        call: Call,
        proposal: Id,
        target: Target,
        roots: Roots,
        chain: Chain,
        key_file: Key,
        note: Note = "",
        dry_run: DryRun = False,
    ) -> None:
        """Propose the draft as it is; another officer approves it."""
        from concord.v1 import approval_service_pb2 as pb

        with _client(target, roots, chain, key_file) as client:
            shown = client.show(client.find(proposal))
            if dry_run:
                _show(call, shown)
                call.output.text(NOTHING_DONE)
                return
            request = pb.ProposeDraftRequest(
                proposal_id=shown.proposal.proposal_id, etag=shown.proposal.etag, note=note
            )
            _done(call, client.call("ProposeDraft", request, "propose it").proposal)

    @command(group, "approve")
    def approve(
        call: Call,
        proposal: Id,
        target: Target,
        roots: Roots,
        chain: Chain,
        key_file: Key,
        digest: Digest = "",
        rule: Annotated[
            list[str] | None,
            typer.Option(help="Decide on this rule only; repeat for several. [default: all that the roles may]"),
        ] = None,
        note: Note = "",
        dry_run: DryRun = False,
    ) -> None:
        """Approve what `concord decide show` has shown. The last approval that is needed lets it leave at once."""
        from concord.v1 import approval_service_pb2 as pb

        with _client(target, roots, chain, key_file) as client:
            shown = client.show(client.find(proposal))
            if dry_run:
                _show(call, shown)
                call.output.text(NOTHING_DONE)
                return
            if len(digest) < MIN_DIGEST or not shown.proposal.digest.hex().startswith(digest.lower()):
                raise usage(
                    "the digest is not that of what would leave",
                    why="nothing was approved",
                    advice=f"read `concord decide show {id_text(shown.proposal.proposal_id)}`, and give its digest",
                    reason="DIGEST_DIFFERS",
                )
            request = pb.ApproveProposalRequest(
                proposal_id=shown.proposal.proposal_id,
                etag=shown.proposal.etag,
                digest=shown.proposal.digest,
                rule_ids=rule or (),
                note=note,
            )
            _done(call, client.call("ApproveProposal", request, "approve it").proposal)

    _register_others(group)


MIN_DIGEST: Final = 16
"""64 bits: nobody makes another draft that begins so while officers wait."""


def _register_others(group: typer.Typer) -> None:
    @command(group, "refuse")
    def refuse(
        call: Call,
        proposal: Id,
        target: Target,
        roots: Roots,
        chain: Chain,
        key_file: Key,
        ground: Annotated[str, typer.Option(help="Code, as in DUAL_CRIMINALITY.")],
        disclosed: Annotated[str, typer.Option(help="What whoever asked may be told.")] = "",
        internal: Annotated[str, typer.Option(help="What stays among officers.")] = "",
    ) -> None:
        """Refuse it; one refusal suffices."""
        from concord.v1 import approval_service_pb2 as pb

        with _client(target, roots, chain, key_file) as client:
            shown = client.show(client.find(proposal)).proposal
            request = pb.RefuseProposalRequest(
                proposal_id=shown.proposal_id, etag=shown.etag, ground=ground, disclosed=disclosed, internal=internal
            )
            _done(call, client.call("RefuseProposal", request, "refuse it").proposal)

    @command(group, "withdraw")
    def withdraw(
        call: Call, proposal: Id, target: Target, roots: Roots, chain: Chain, key_file: Key, note: Note = ""
    ) -> None:
        """Withdraw what you drafted, edited or proposed."""
        from concord.v1 import approval_service_pb2 as pb

        with _client(target, roots, chain, key_file) as client:
            shown = client.show(client.find(proposal)).proposal
            request = pb.WithdrawProposalRequest(proposal_id=shown.proposal_id, etag=shown.etag, note=note)
            _done(call, client.call("WithdrawProposal", request, "withdraw it").proposal)

    @command(group, "ask")
    def ask(
        call: Call,
        proposal: Id,
        question: Annotated[str, typer.Argument(help="For whoever drafted or proposed it.")],
        target: Target,
        roots: Roots,
        chain: Chain,
        key_file: Key,
    ) -> None:
        """Put a question on record. Nothing is decided by it."""
        from concord.v1 import approval_service_pb2 as pb

        with _client(target, roots, chain, key_file) as client:
            shown = client.show(client.find(proposal)).proposal
            request = pb.AskAboutProposalRequest(proposal_id=shown.proposal_id, etag=shown.etag, question=question)
            _done(call, client.call("AskAboutProposal", request, "ask about it").proposal)


def _client(target: str, roots: Path, chain: Path, key_file: Path) -> "OfficerClient":
    from gateway.cli.officer_client import Door, OfficerClient

    return OfficerClient(Door(target=target, roots=roots, chain=chain, key=key_file))


def _show(call: Call, shown: "pb.GetProposalResponse") -> None:
    item, draft = shown.proposal, shown.draft
    name = case_name(draft.body) or draft.body.WhichOneof("content") or ""
    content: Message | None = getattr(draft.body, name) if name else None
    call.output.record(
        {
            **_data(item),
            "content": {name: content_data(content)} if content is not None else None,
            "history": [_act_data(act) for act in shown.history],
        }
    )
    call.output.fields(
        [
            ("proposal", id_text(item.proposal_id)),
            ("state", item.state.replace("_", " ")),
            ("would leave", f"{word(KINDS, item.kind)} {word(MODES, item.mode)} {word(URGENCIES, item.urgency)}"),
            ("speaks", item.authority),
            ("to", " ".join(item.recipients)),
            ("purpose", draft.body.handling.purpose),
            ("expires", moment(item, "expire_time")),
            ("due", moment(item, "due_time")),
            ("handed in by", item.submitter),
            ("drafted by", " ".join(item.authors)),
            ("proposed by", item.proposer),
            ("claimed by", item.claimed_by),
            *[("needs", f"{need.number} of {', '.join(need.roles)} for {need.rule_id}") for need in item.needs],
            ("digest", item.digest.hex()),
        ]
    )
    if content is None:
        call.output.text("Its content was erased.")
    else:
        call.output.text()
        call.output.fields((f"{'  ' * depth}{label}", value) for depth, label, value in content_lines(content, "en"))
    for act in shown.history:
        words = "; ".join(text for text in (act.disclosed, act.internal) if text)
        call.output.fields([(act.act.replace("_", " "), f"{act.officer or 'the clock'} {moment(act, 'time')} {words}")])


def _done(call: Call, item: "pb.Proposal") -> None:
    call.output.record(_data(item))
    call.output.text(f"{id_text(item.proposal_id)} is {item.state.replace('_', ' ')}.")


def _data(item: "pb.Proposal") -> dict[str, Any]:
    return {
        "proposal_id": id_text(item.proposal_id),
        "state": item.state,
        "etag": item.etag,
        "kind": word(KINDS, item.kind),
        "mode": word(MODES, item.mode),
        "urgency": word(URGENCIES, item.urgency),
        "authority": item.authority,
        "recipients": list(item.recipients),
        "submitter": item.submitter,
        "needs": [{"rule_id": need.rule_id, "roles": list(need.roles), "number": need.number} for need in item.needs],
        "authors": list(item.authors),
        "proposer": item.proposer or None,
        "claimed_by": item.claimed_by or None,
        "create_time": instant(item, "create_time"),
        "expire_time": instant(item, "expire_time"),
        "due_time": instant(item, "due_time"),
        "digest": item.digest.hex(),
        "content_commitment": item.content_commitment.hex(),
    }


def _act_data(act: "pb.OfficerAct") -> dict[str, Any]:
    return {
        "act": act.act,
        "officer": act.officer or None,
        "roles": list(act.roles),
        "rule_ids": list(act.rule_ids),
        "ground": act.ground or None,
        "time": instant(act, "time"),
        "digest": act.digest.hex(),
        "disclosed": act.disclosed,
        "internal": act.internal,
    }
