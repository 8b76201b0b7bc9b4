"""concord send referral and concord send request: a case from a file, with a file to begin with."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import ExitCode, usage

if TYPE_CHECKING:
    from gateway.model.header import Urgency
    from gateway.model.message import CaseContent, Draft

URGENCY_NAMES: Final = ("U0", "U1", "U2", "U3")
PURPOSES: Final = {"referral": "consular_protection", "request": "criminal_investigation"}

FileArgument = Annotated[
    Path | None,
    typer.Argument(help="JSON or TOML with the fields of the body; - reads stdin.", show_default=False),
]
ToOption = Annotated[str, typer.Option("--to", help="Partner: la. Several only for referrals.", show_default=False)]
AsOption = Annotated[
    str,
    typer.Option(
        "--as", help="Authority that speaks. [default: default_authority of the settings]", show_default=False
    ),
]
UrgencyOption = Annotated[
    str, typer.Option(help="U0 flash to U3 routine. [default: U1 in danger, else U2]", show_default=False)
]
ModeOption = Annotated[
    str, typer.Option(help="actual, exercise or test. [default: the gateway's mode]", show_default=False)
]
PurposeOption = Annotated[
    str, typer.Option(help="Purpose, of the agreement's list. [default: what is usual]", show_default=False)
]
ExpiresOption = Annotated[
    str,
    typer.Option(
        help="When it stops mattering: 90min, 6h, 3d or 2026-11-23T12:00Z. [default: the agreement's]",
        show_default=False,
    ),
]
TemplateOption = Annotated[bool, typer.Option("--template", help="Print a file to begin with, and send nothing.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would leave, to whom, under which rules, and who must decide.")
]
RequestIdOption = Annotated[
    str, typer.Option(help="UUID. Repeating a command with the same one never sends twice.", show_default=False)
]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `send`."""

    @command(group, "referral")
    def referral(
        call: Call,
        file: FileArgument = None,
        to: ToOption = "",
        as_: AsOption = "",
        urgency: UrgencyOption = "",
        mode: ModeOption = "",
        purpose: PurposeOption = "",
        expires: ExpiresOption = "",
        template: TemplateOption = False,
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Ask a partner to help a person: opens a case.

        Answered when the message is on disk here. Where officers release it first, the answer says who must decide.
        """
        wishes = Wishes("referral", to, as_, urgency, mode, purpose, expires)
        return send(call, file, wishes, template=template, dry_run=dry_run, request_id=request_id)

    @command(group, "request")
    def request(
        call: Call,
        file: FileArgument = None,
        to: ToOption = "",
        as_: AsOption = "",
        urgency: UrgencyOption = "",
        mode: ModeOption = "",
        purpose: PurposeOption = "",
        expires: ExpiresOption = "",
        template: TemplateOption = False,
        dry_run: DryRunOption = False,
        request_id: RequestIdOption = "",
    ) -> ExitCode | None:
        """Ask a partner for a measure of coercive power: opens a case that is decided measure by measure.

        Answered when the message is on disk here. Where officers release it first, the answer says who must decide.
        """
        wishes = Wishes("request", to, as_, urgency, mode, purpose, expires)
        return send(call, file, wishes, template=template, dry_run=dry_run, request_id=request_id)


class Wishes:
    """What the command line says beside the file; empty means not said."""

    def __init__(self, name: str, to: str, authority: str, urgency: str, mode: str, purpose: str, expires: str) -> None:
        self.name = name
        self.to = to
        self.authority = authority
        self.urgency = urgency.upper()
        self.mode = mode.lower()
        self.purpose = purpose or PURPOSES[name]
        self.expires = expires


def send(
    call: Call, file: Path | None, wishes: Wishes, *, template: bool, dry_run: bool, request_id: str
) -> ExitCode | None:
    """Send the case in a file, say what would leave, or print a file to begin with."""
    from gateway.cli import case_templates
    from gateway.cli.case_file import content_table, read_content
    from gateway.cli.send import show_accepted, show_validation, submit, validate
    from gateway.cli.views import id_text

    if template:
        content = case_templates.referral() if wishes.name == "referral" else case_templates.request()
        table = content_table(content)
        call.output.record(table)
        call.output.text(json.dumps(table, ensure_ascii=False, indent=2))
        return None
    if file is None or not wishes.to:
        raise usage(
            "what is sent, or to whom, is not said",
            advice=f"name a file and --to, or print a file to begin with: `concord send {wishes.name} --template`",
        )
    draft = make_draft(call, read_content(file, wishes.name), wishes)
    with call.admin() as admin:
        if dry_run:
            return show_validation(call, draft, validate(admin, draft))
        accepted, used = submit(admin, draft, request_id, spans_from_now=bool(wishes.expires))
        show_accepted(call, accepted, used, draft, done=True)
    call.output.text(f"Follow the case: {call.command(f'case show {id_text(accepted.thread_id)}')}")
    return None


def make_draft(call: Call, content: "CaseContent", wishes: Wishes) -> "Draft":
    """Return the draft that opens a case, completed from the settings and the agreement.

    Raises:
        Failure, GatewayError: Something is missing or wrong.
    """
    from gateway.cli.send import covering_agreement
    from gateway.cli.when import parse_when
    from gateway.clock import SystemClock
    from gateway.config import load_config
    from gateway.ids import AuthorityId, PartnerId
    from gateway.model.header import Kind, Mode
    from gateway.model.message import KIND_OF, Body, Draft, Handling, LegalBasis, Onward, Tlp
    from gateway.rpc.convert.message import encode_body

    config = load_config(call.home)
    recipients = tuple(PartnerId.parse(part.strip(), "to") for part in wishes.to.split(","))
    if len(set(recipients)) != len(recipients):
        raise usage("a partner is named twice in --to")
    if wishes.mode and wishes.mode.upper() not in Mode.__members__:
        raise usage(f"'{wishes.mode}' is no mode", advice="name actual, exercise or test")
    authority = AuthorityId.parse(wishes.authority, "as") if wishes.authority else config.default_authority
    if authority is None:
        raise usage("for whom it speaks is not said", advice="add --as, or set default_authority in concord.toml")
    kind: Kind = KIND_OF[type(content)]
    agreement = covering_agreement(config.partners_dir, authority, recipients, kind)
    terms = dict(agreement.terms).get(kind) if agreement is not None else None
    bases = sorted(terms.legal_bases) if terms is not None else list(agreement.legal_bases) if agreement else []
    body = Body(
        authority=authority,
        handling=Handling(tlp=Tlp.AMBER_STRICT, purpose=wishes.purpose, onward=Onward.NONE),
        legal_basis=tuple(LegalBasis(item, "") for item in bases),
        content=content,
    )
    now_ms = SystemClock(config.clock_offset_ms).now_ms()
    return Draft(
        body=body,
        body_bytes=encode_body(body),
        recipients=recipients,
        mode=Mode[wishes.mode.upper()] if wishes.mode else config.mode,
        urgency=_urgency(content, wishes.urgency),
        expire_ms=parse_when(wishes.expires, now_ms, "expires") if wishes.expires else None,
        thread_id=None,
        in_reply_to=None,
        supersedes=None,
    )


def _urgency(content: "CaseContent", wish: str) -> "Urgency":
    from gateway.model.header import Urgency
    from gateway.model.person import YesNo
    from gateway.model.referral import Referral

    if wish:
        if wish not in URGENCY_NAMES:
            raise usage(f"'{wish}' is no urgency", advice="name U0, U1, U2 or U3")
        return Urgency[wish]
    danger = isinstance(content, Referral) and content.danger_now is YesNo.YES
    return Urgency.U1 if danger else Urgency.U2
