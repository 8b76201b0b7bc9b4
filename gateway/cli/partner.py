"""concord partner: cards and trust between gateways."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import recover, rejected, remove
from gateway.cli.call import Call, command, confirm
from gateway.cli.card_file import MAX_FILE_BYTES, parse_card_file, show_card
from gateway.cli.connectors import unreadable
from gateway.cli.failure import ExitCode, Failure, failure_of, usage
from gateway.cli.views import instant, moment

if TYPE_CHECKING:
    from concord.v1.admin_service_pb2 import PartnerView
    from concord.v1.partner_pb2 import SignedCard

    from gateway.crypto.cards import VerifiedCard

ROTATABLE = ("seal", "envelope", "receipt", "identity", "tls")
PartnerArgument = Annotated[str, typer.Argument(help="Partner id, for example th.")]


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Cards and trust: who the partners are and how links to them do.")
    application.add_typer(group, name="partner")

    @command(group, "card")
    def card(call: Call) -> None:
        """Print this gateway's card as a file to send to partners. The fingerprint is read to them by voice."""
        with call.admin() as admin:
            answer = admin.own_card()
        show_card(call, answer.card, answer.fingerprint)

    @command(group, "add")
    def add(
        call: Call,
        file: Annotated[Path, typer.Argument(help="The partner's card file; - reads stdin.")],
        fingerprint: Annotated[
            str, typer.Option(help="As the partner has read it out; blanks and dashes are ignored.")
        ] = "",
    ) -> None:
        """Add a partner, or renew its card, after comparing the fingerprint by voice.

        Without --fingerprint nothing is added: the card's fingerprint is shown, with what to do; the exit code is 3.
        """
        from concord.v1 import admin_service_pb2 as pb

        signed, verified = read_card(file)
        shown = fingerprint_of(verified)
        if not fingerprint:
            raise fingerprint_not_compared(call, file, str(verified.card.partner), shown)
        with call.admin() as admin:
            answer = admin.add_partner(pb.AddPartnerRequest(card=signed, fingerprint=fingerprint))
        call.output.record(partner_data(answer.partner))
        call.output.text(f"Added '{answer.partner.partner}' with card {answer.partner.card_sequence}.")
        if not answer.partner.agreement:
            call.output.note(
                f"warning: no agreement with '{answer.partner.partner}' is in force: only pings will be exchanged"
            )
        call.output.text(f"When it has added yours: {call.command(f'partner test {answer.partner.partner}')}")

    @command(group, "list")
    def list_partners(call: Call) -> None:
        """List the partners, their cards and links. JSON: one object a line."""
        with call.admin() as admin:
            partners = admin.partners().partners
        for view in partners:
            call.output.record(partner_data(view))
        rows = [
            [
                view.partner,
                view.name,
                str(view.card_sequence),
                "FROZEN" if view.frozen else view.link_state.replace("_", " "),
                view.endpoint,
                "yes" if view.agreement else "NO",
                moment(view, "last_success_time") or "never",
                moment(view, "seal_key_end_time"),
            ]
            for view in partners
        ]
        columns = ["partner", "name", "card", "link", "endpoint", "agreement", "last heard", "key until"]
        call.output.table(columns, rows, "No partner yet: `concord partner add FILE --fingerprint ...`")

    @command(group, "show")
    def show(call: Call, partner: PartnerArgument) -> None:
        """Show one partner, with its fingerprint to compare by voice."""
        with call.admin() as admin:
            found = [view for view in admin.partners().partners if view.partner == partner]
        if not found:
            raise unknown_partner(partner)
        data = partner_data(found[0])
        call.output.record(data)
        call.output.fields((name.replace("_", " "), shown_value(value)) for name, value in data.items())

    @command(group, "rotate")
    def rotate(
        call: Call,
        purpose: Annotated[str, typer.Argument(help="Which key: seal, envelope, receipt, identity or tls.")],
        revoke: Annotated[
            bool, typer.Option("--revoke", help="The old key is worthless from now on: use it after a loss.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Make new keys of this gateway and a new card, signed so that partners take it without new pairing."""
        if purpose not in ROTATABLE:
            raise usage(f"'{purpose}' is no key of a gateway", advice=f"name one of: {', '.join(ROTATABLE)}")
        if revoke and not yes:
            confirm(f"Messages on their way that need the old {purpose} key will be lost. Revoke it?")
        with call.admin() as admin:
            answer = admin.rotate(purpose, revoke)
        show_card(call, answer.card, answer.fingerprint)

    recover.register(group)
    rejected.register(group)

    @command(group, "freeze")
    def freeze(
        call: Call,
        partner: PartnerArgument,
        thaw: Annotated[bool, typer.Option("--thaw", help="Resume instead.")] = False,
    ) -> None:
        """Stop all exchange with a partner within a second; --thaw resumes it. Nothing that waits is lost."""
        with call.admin() as admin:
            answer = admin.freeze(partner, frozen=not thaw)
        call.output.record(partner_data(answer.partner))
        word = "resumed" if thaw else "frozen"
        call.output.text(f"Exchange with '{partner}' is {word}.")
        if not thaw:
            call.output.text("What waits for it is kept; new messages to it are refused.")
            call.output.text(f"Resume with: {call.command(f'partner freeze {partner} --thaw')}")

    remove.register(group)

    @command(group, "test")
    def test(call: Call, partner: PartnerArgument) -> ExitCode | None:
        """Prove the link to a partner step by step, up to a sealed ping and its signed receipt."""
        with call.admin() as admin, call.output.progress(f"testing the link to {partner}", None):
            steps = list(admin.test(partner).steps)
        passed = bool(steps) and all(step.passed for step in steps)
        advice = [call.output.runnable(step.advice) for step in steps]
        data = [
            {"name": s.name, "passed": s.passed, "detail": s.detail, "advice": todo}
            for s, todo in zip(steps, advice, strict=True)
        ]
        call.output.record({"partner": partner, "passed": passed, "steps": data})
        rows = [
            ["ok" if s.passed else "FAILED", s.name, s.detail, "" if s.passed else todo]
            for s, todo in zip(steps, advice, strict=True)
        ]
        call.output.table(["", "step", "detail", "what to do"], rows, "The gateway tested nothing.")
        return None if passed else ExitCode.UNREACHABLE


def read_card(file: Path) -> "tuple[SignedCard, VerifiedCard]":
    """Read a card file and check that it signs itself, so that its fingerprint means something.

    Raises:
        Failure: The file cannot be read.
        GatewayError: It holds no card, or one that does not verify.
    """
    import sys

    from concord.v1.partner_pb2 import SignedCard
    from google.protobuf.message import DecodeError

    from gateway.crypto.cards import verify_first_card
    from gateway.errors import FieldInvalid
    from gateway.rpc.convert import WireCodec
    from gateway.rpc.convert.partner import signed_card_from_proto

    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise unreadable(file, error) from None
    try:
        signed = SignedCard.FromString(parse_card_file(data))
    except DecodeError:
        raise FieldInvalid("card", "the file holds something else than a card") from None
    except FieldInvalid as error:
        raise failure_of(error, f"{file} is not a card file") from None
    return signed, verify_first_card(signed_card_from_proto(signed), WireCodec())


def fingerprint_of(verified: "VerifiedCard") -> str:
    """Return the fingerprint of the identity key of a card."""
    from gateway.crypto.cards import fingerprint
    from gateway.model.partner import KeyPurpose

    return fingerprint(verified.card.keys_for(KeyPurpose.IDENTITY)[0].public_key)


def fingerprint_not_compared(call: Call, file: Path, partner: str, shown: str) -> Failure:
    """Return the failure that says how to compare."""
    return Failure(
        f"nothing was added: the fingerprint of '{partner}' has not been compared",
        why=f"the card in {file} has the fingerprint {shown}, but anybody could have made that file",
        advice=f"call the duty desk of '{partner}' on a number you already had, let them read their fingerprint aloud, "
        f"and only if every group agrees run: {call.command(f'partner add {shlex.quote(str(file))}')} "
        f'--fingerprint "{shown}"',
        reason="FINGERPRINT_NOT_COMPARED",
        code=ExitCode.REFUSED,
        details={"partner": partner, "fingerprint": shown},
    )


def partner_data(view: "PartnerView") -> dict[str, Any]:
    """Return a partner as plain data."""
    return {
        "partner": view.partner,
        "name": view.name,
        "card_sequence": view.card_sequence,
        "fingerprint": view.fingerprint,
        "frozen": view.frozen,
        "endpoint": view.endpoint,
        "link_state": view.link_state,
        "agreement": view.agreement,
        "seal_key_end_time": instant(view, "seal_key_end_time"),
        "last_success_time": instant(view, "last_success_time"),
    }


def shown_value(value: Any) -> str:
    """Return a value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "never" if value is None else str(value)


def unknown_partner(partner: str) -> Failure:
    """Return the failure for a partner that is not known here."""
    from gateway.errors import PartnerUnknown

    return failure_of(PartnerUnknown(partner))
