"""concord send: hands a draft to the gateway, as an authority of this state."""

import shlex
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import delivery, send_case
from gateway.cli.call import Call, command
from gateway.cli.content import content_data
from gateway.cli.failure import ExitCode, Failure, exit_code_of, failure_of, usage
from gateway.cli.output import visible
from gateway.cli.views import delivery_data, id_text, instant, instant_ms, moment

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import SubmitMessageResponse, ValidateMessageResponse

    from gateway.cli.admin import AdminClient
    from gateway.cli.connectors import Reading
    from gateway.ids import AuthorityId, PartnerId
    from gateway.model.header import Kind
    from gateway.model.message import Draft
    from gateway.model.partner import Agreement

PURPOSE: Final = "public_warning"
VERDICTS: Final = ("unspecified", "allow", "hold", "deny")
URGENCY_NAMES: Final = ("U0", "U1", "U2", "U3")
EXPIRY_MARGIN_MS: Final = 60_000
"""A lifetime of exactly the most allowed would be too long by the milliseconds until it is checked."""


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Send something to partners.")
    application.add_typer(group, name="send")
    send_case.register(group)

    @command(group, "alert")
    def alert(
        call: Call,
        file: Annotated[Path, typer.Argument(help="A CAP 1.0, 1.1 or 1.2 file; - reads stdin.")],
        to: Annotated[str, typer.Option(help="Partners, comma between: th,la.")],
        as_: Annotated[
            str,
            typer.Option(
                "--as", help="Authority that speaks. [default: default_authority of the settings]", show_default=False
            ),
        ] = "",
        urgency: Annotated[
            str,
            typer.Option(help="U0 flash to U3 routine. [default: what the alert's own levels say]", show_default=False),
        ] = "",
        expires: Annotated[
            str,
            typer.Option(
                help="When it stops mattering: 90min, 6h, 3d or 2026-11-23T12:00Z. [default: the alert's own expiry]",
                show_default=False,
            ),
        ] = "",
        purpose: Annotated[str, typer.Option(help="Purpose, of the agreement's list.")] = PURPOSE,
        request_id: Annotated[
            str, typer.Option(help="UUID. Repeating a command with the same one never sends twice.", show_default=False)
        ] = "",
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Say what would leave, to whom, under which rules.")
        ] = False,
        wait: Annotated[
            bool,
            typer.Option("--wait", "--watch", help="Show each rung of evidence until all recipients have answered."),
        ] = False,
        timeout: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds that --wait waits.")] = 60,
        connector: Annotated[str, typer.Option(help="Which connector reads the file.")] = "cap",
    ) -> ExitCode | None:
        """Send an alert file to partners; its original bytes travel with it.

        Answered when the message is on disk here: from then on it is not lost. With --wait the exit code is 0 when all
        have received it, 4 when some have, 3 when all refused, 2 when nobody has answered in time.
        """
        from gateway.cli.connectors import load_connector, read_input
        from gateway.clock import SystemClock

        data = read_input(file)
        try:
            reading = load_connector(connector).read(data, SystemClock().now_ms())
        except Exception as error:  # noqa: BLE001 a connector is somebody's code
            raise _unusable(file, error) from None
        draft = make_draft(
            call, reading, Wishes(to=to, authority=as_, urgency=urgency, expires=expires, purpose=purpose)
        )
        with call.admin() as admin:
            if dry_run:
                return show_validation(call, draft, validate(admin, draft))
            accepted, request = submit(admin, draft, request_id)
            show_accepted(call, accepted, request, draft, done=not wait)
            if accepted.HasField("held"):
                return None
            if reading.alert.references:
                view = admin.delivery(accepted.message_id).message
                if view.predecessor:
                    call.output.text(f"It takes the place of {id_text(view.predecessor)}, in its thread.")
            return watch(call, admin, accepted, request, timeout) if wait else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line says beside the file; empty means not said."""

    to: str
    authority: str = ""
    urgency: str = ""
    expires: str = ""
    purpose: str = PURPOSE


def make_draft(call: Call, reading: "Reading", wishes: Wishes) -> "Draft":
    """Return the draft for an alert, completed from the settings and the agreement.

    Raises:
        Failure, GatewayError: Something is missing or wrong.
    """
    from gateway.clock import SystemClock
    from gateway.config import load_config
    from gateway.ids import AuthorityId, PartnerId
    from gateway.model.header import Kind, Urgency
    from gateway.model.message import Body, Draft, Handling, LegalBasis, Onward, Tlp
    from gateway.rpc.convert.message import encode_body

    recipients = tuple(PartnerId.parse(part.strip(), "to") for part in wishes.to.split(","))
    if len(set(recipients)) != len(recipients):
        raise usage("a partner is named twice in --to")
    if wishes.urgency and wishes.urgency.upper() not in URGENCY_NAMES:
        raise usage(f"'{wishes.urgency}' is no urgency", advice="name U0, U1, U2 or U3")
    if reading.mode is None:
        raise Failure(
            f"an alert of status {reading.status or 'unknown'} is not for sending",
            why="only Actual, Exercise and Test say in which mode an alert travels",
            advice="let its issuer set the status",
            reason="FIELD_INVALID",
            code=ExitCode.USAGE,
        )
    config = load_config(call.home)
    authority = AuthorityId.parse(wishes.authority, "as") if wishes.authority else config.default_authority
    if authority is None:
        raise usage(
            "for whom the alert speaks is not said", advice="add --as, or set default_authority in concord.toml"
        )
    now_ms = SystemClock(config.clock_offset_ms).now_ms()
    agreement = covering_agreement(config.partners_dir, authority, recipients, Kind.ALERT)
    scope = reading.alert.scope
    body = Body(
        authority=authority,
        handling=Handling(
            tlp={"Public": Tlp.CLEAR, "Restricted": Tlp.AMBER}.get(scope, Tlp.AMBER_STRICT),
            purpose=wishes.purpose,
            # A public warning may go on with our consent; what is not public may not go on at all.
            onward=Onward.ASK if scope == "Public" else Onward.NONE,
        ),
        legal_basis=tuple(LegalBasis(item, "") for item in agreement.legal_bases) if agreement else (),
        content=reading.alert,
    )
    return Draft(
        body=body,
        body_bytes=encode_body(body),
        recipients=recipients,
        mode=reading.mode,
        urgency=Urgency[wishes.urgency.upper()] if wishes.urgency else reading.urgency,
        expire_ms=expiry(call, reading, wishes.expires, now_ms),
        thread_id=None,
        in_reply_to=None,
        supersedes=None,
    )


def expiry(call: Call, reading: "Reading", wish: str, now_ms: int) -> int | None:
    """Return when the message expires; None leaves it to the agreement.

    Raises:
        Failure: The alert is over.
        FieldInvalid: The wish is no instant.
    """
    from gateway.cli.when import parse_when
    from gateway.clock import format_utc
    from gateway.model.header import MAX_LIFETIME_MS

    if wish:
        return parse_when(wish, now_ms, "expires")
    if reading.expire_ms is None:
        return None
    if reading.expire_ms <= now_ms:
        raise Failure(
            "the alert is over",
            why=f"it expired at {format_utc(reading.expire_ms)}",
            advice="send the current version of the alert; --expires 1h sends this one all the same",
            reason="EXPIRED",
            code=ExitCode.USAGE,
        )
    longest = now_ms + MAX_LIFETIME_MS - EXPIRY_MARGIN_MS
    if reading.expire_ms > longest:
        call.output.note("note: the alert lasts longer than the 30 days a message may; the message expires before it")
    return min(reading.expire_ms, longest)


def covering_agreement(
    directory: Path, authority: "AuthorityId", recipients: tuple["PartnerId", ...], kind: "Kind"
) -> "Agreement | None":
    """Return an own agreement on a kind that names the authority and all recipients, for its legal bases.

    Whether it is in force is for the gateway to say.
    """
    from gateway.errors import ConfigInvalid
    from gateway.profiles import load_profiles

    try:
        profile = load_profiles(directory).get(authority.partner)
    except ConfigInvalid:
        return None
    for agreement in profile.agreements if profile else ():
        if kind in agreement.kinds and authority in agreement.authorities and agreement.partners >= set(recipients):
            return agreement
    return None


def new_request_id() -> str:
    """Return a fresh request id."""
    from gateway.clock import SystemClock
    from gateway.ids import uuid7

    return str(uuid.UUID(bytes=uuid7(SystemClock().now_ms())))


def submit(
    admin: "AdminClient", draft: "Draft", request_id: str, *, spans_from_now: bool = True
) -> "tuple[SubmitMessageResponse, str]":
    """Submit the draft; return the answer and the request id used.

    Args:
        spans_from_now: The command would make another expiry when repeated, unless told this one.

    Raises:
        Failure: Refused or not answered.
    """
    from concord.v1 import admin_service_pb2 as pb
    from concord.v1.exchange_service_pb2 import SubmitMessageRequest

    from gateway.clock import to_datetime
    from gateway.rpc.convert.message import draft_to_proto

    used = request_id or new_request_id()
    request = pb.SubmitLocalRequest(submit=SubmitMessageRequest(request_id=used, draft=draft_to_proto(draft)))
    try:
        return admin.submit(request).accepted, used
    except Failure as failure:
        if failure.code is ExitCode.UNREACHABLE:
            # The answer may have been lost after the commit: only the same id with the same draft makes a second try
            # safe, and a span from now would make it another draft.
            fixed = draft.expire_ms if spans_from_now else None
            expires = f" --expires {to_datetime(fixed).isoformat()}" if fixed is not None else ""
            failure.advice = f"{failure.advice}; repeat with --request-id {used}{expires}: so it cannot be sent twice"
            failure.details["request_id"] = used
        raise


def validate(admin: "AdminClient", draft: "Draft") -> "ValidateMessageResponse":
    """Ask what would happen to the draft."""
    from concord.v1 import admin_service_pb2 as pb
    from concord.v1.exchange_service_pb2 import SubmitMessageRequest

    from gateway.rpc.convert.message import draft_to_proto

    request = SubmitMessageRequest(request_id=new_request_id(), draft=draft_to_proto(draft))
    return admin.submit(pb.SubmitLocalRequest(submit=request, validate_only=True)).validation


def show_validation(call: Call, draft: "Draft", validation: "ValidateMessageResponse") -> ExitCode | None:
    """Print what would leave."""
    verdict = VERDICTS[validation.verdict] if validation.verdict < len(VERDICTS) else str(validation.verdict)
    basis = [item.instrument for item in draft.body.legal_basis]
    data: dict[str, Any] = {
        "dry_run": True,
        "verdict": verdict,
        "rule_ids": list(validation.rule_ids),
        "explanation": validation.explanation,
        "recipients": list(validation.recipients),
        "authority": str(draft.body.authority),
        "mode": draft.mode.name.lower(),
        "urgency": draft.urgency.name,
        "purpose": draft.body.handling.purpose,
        "tlp": draft.body.handling.tlp.name.lower(),
        "legal_basis": basis,
        "body_bytes": validation.body_bytes,
        "supersedes": id_text(validation.supersedes_id) if validation.supersedes_id else None,
        "expire_time": instant(validation, "expire_time"),
    }
    call.output.record(data)
    call.output.fields(
        [
            ("verdict", f"{verdict.upper()}   rules {', '.join(validation.rule_ids) or 'none'}"),
            ("because", validation.explanation or "no reason was given"),
            ("would leave", f"{validation.body_bytes} bytes, sealed for {' '.join(validation.recipients)}"),
            ("speaks", str(draft.body.authority)),
            ("mode", draft.mode.name),
            ("urgency", draft.urgency.name),
            ("purpose", f"{draft.body.handling.purpose}   TLP:{draft.body.handling.tlp.name}"),
            ("basis", ", ".join(basis) or "none stated"),
            ("expires", moment(validation, "expire_time")),
            *([("replaces", id_text(validation.supersedes_id))] if validation.supersedes_id else []),
        ]
    )
    call.output.text("Nothing was sent.")
    return None if verdict == "allow" else ExitCode.REFUSED


def show_accepted(call: Call, accepted: "SubmitMessageResponse", request: str, draft: "Draft", *, done: bool) -> None:
    """Print that the message is on disk."""
    if done or accepted.HasField("held"):
        call.output.record(accepted_data(accepted, request, draft.recipients))
    if accepted.HasField("held"):
        call.output.text(f"{id_text(accepted.message_id)}  kept for officers: nothing has left")
        for need in accepted.held.needs:
            call.output.text(f"  {need.number} of {', '.join(need.roles)} must decide on {need.rule_id}")
        return
    call.output.text(
        f"{id_text(accepted.message_id)}  submitted, released and sealed for {_listed(draft)}: it is not lost any more"
    )
    if done:
        call.output.text(f"See where it stands: {call.command('outbox')}")


def accepted_data(accepted: "SubmitMessageResponse", request_id: str, to: "tuple[PartnerId, ...]") -> dict[str, Any]:
    """Return what was accepted as plain data."""
    return {
        "message_id": id_text(accepted.message_id),
        "thread_id": id_text(accepted.thread_id),
        "request_id": request_id,
        "recipients": [str(partner) for partner in to],
        "content_commitment": accepted.content_commitment.hex(),
        "create_time": instant(accepted, "create_time"),
        "expire_time": instant(accepted, "expire_time"),
        **({"held": content_data(accepted.held)["needs"]} if accepted.HasField("held") else {}),
    }


def watch(
    call: Call, admin: "AdminClient", accepted: "SubmitMessageResponse", request_id: str, timeout_s: float
) -> ExitCode:
    """Show each rung as it comes, then sum up."""
    states: dict[str, str] = {}
    deliveries: dict[str, dict[str, Any]] = {}
    created_ms = instant_ms(accepted, "create_time")
    with call.output.progress("waiting for receipts", None) as tick:
        for rung in delivery.follow(admin, accepted.message_id, timeout_s=timeout_s):
            item = rung.delivery
            states[item.partner] = item.state
            stated_ms = instant_ms(item, "time")
            took_ms = stated_ms - created_ms if stated_ms is not None and created_ms is not None else None
            deliveries[item.partner] = {**delivery_data(item), "stated_after_ms": took_ms}
            why = f" ({item.reason})" if item.reason else ""
            meaning = delivery.MEANINGS.get(item.state, item.state)
            call.output.text(visible(f"  +{rung.elapsed_s:6.2f} s  {item.partner}  {meaning}{why}"))
            tick(len([state for state in states.values() if state != "waiting"]))
    code = delivery.exit_code_of_states(states)
    call.output.record(
        {
            "message_id": id_text(accepted.message_id),
            "request_id": request_id,
            "content_commitment": accepted.content_commitment.hex(),
            "complete": code is ExitCode.OK,
            "deliveries": list(deliveries.values()),
        }
    )
    if code is not ExitCode.OK:
        missing = sorted(partner for partner, state in states.items() if state not in delivery.ARRIVED)
        call.output.text(
            f"Not received yet or refused: {' '.join(missing)}. What waits is kept: {call.command('outbox')}"
        )
    return code


def _listed(draft: "Draft") -> str:
    return " ".join(str(partner) for partner in draft.recipients)


def _unusable(file: Path, error: Exception) -> Failure:
    from gateway.errors import GatewayError

    if isinstance(error, Failure):
        return error
    if isinstance(error, GatewayError):
        failure = failure_of(error, f"{file} cannot be sent")
        failure.advice = f"`concord alert check {shlex.quote(str(file))}` tells more"
        failure.code = exit_code_of(error.reason, error.retryable)
        return failure
    return usage(f"{file} cannot be read as an alert", why=f"the connector failed: {type(error).__name__}")
