"""concord alert list, show, note, decline, cancel: alerts that were sent and received, and where they stand."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.call import Call, command
from gateway.cli.chain import standing
from gateway.cli.failure import usage
from gateway.cli.inbox import LanguageOption, describe, find, headline, received
from gateway.cli.output import visible
from gateway.cli.views import id_text, message_data, moment, word

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import AlertMark, MessageView

    from gateway.model.alert import SourceTime
    from gateway.model.message import Draft

MessageArgument = Annotated[
    str, typer.Argument(help="As the list shows it; its beginning is enough when unique.", metavar="MESSAGE_ID")
]


def add(group: typer.Typer) -> None:
    """Add the commands to the group."""

    @command(group, "list")
    def list_alerts(
        call: Call,
        limit: Annotated[int, typer.Option(min=1, max=100_000, help="Of at most so many messages.")] = 20,
        language: LanguageOption = "en",
    ) -> None:
        """List alerts sent and received, newest first, with where they stand. JSON: one object a line."""
        with call.admin() as admin:
            views = [view for view in received(admin, limit, include_sent=True) if view.alert_state]
        for view in views:
            call.output.record(message_data(view, with_body=False))
        call.output.table(
            ["message", "from", "mode", "created", "alert", "headline"],
            [
                [
                    id_text(view.message_id),
                    view.sender,
                    "" if view.mode == 1 else word(("", "", "EXERCISE", "TEST"), view.mode),
                    moment(view, "create_time"),
                    standing(view),
                    headline(view, language),
                ]
                for view in views
            ],
            "There are no alerts.",
        )

    @command(group, "show")
    def show(call: Call, message_id: MessageArgument, language: LanguageOption = "en") -> None:
        """Show one alert, sent or received, with its chain from the first to the last."""
        with call.admin() as admin:
            view = find(admin, message_id, include_sent=True)
            everything = list(received(admin, 100_000, include_sent=True))
        chain = chain_of(view, everything)
        call.output.record(
            {**message_data(view, with_body=True), "chain": [id_text(item.message_id) for item in chain]}
        )
        describe(call, view, language)
        if len(chain) > 1:
            call.output.text()
            for item in chain:
                pointer = ">" if item.message_id == view.message_id else " "
                line = f"{pointer} {id_text(item.message_id)}  {moment(item, 'create_time')}  {standing(item)}"
                call.output.text(visible(line))

    @command(group, "note")
    def note(call: Call, message_id: MessageArgument) -> None:
        """Record that a received alert was seen and is not to be handed on."""
        from concord.v1.exchange_service_pb2 import ALERT_MARK_NOTED

        mark(call, message_id, ALERT_MARK_NOTED)

    @command(group, "decline")
    def decline(call: Call, message_id: MessageArgument) -> None:
        """Record that a received alert is not taken on. One in quarantine is dismissed, which is final."""
        from concord.v1.exchange_service_pb2 import ALERT_MARK_DECLINED

        mark(call, message_id, ALERT_MARK_DECLINED)

    @command(group, "cancel")
    def cancel(
        call: Call,
        message_id: MessageArgument,
        note: Annotated[str, typer.Option(help="Why, for the recipients' desks.")] = "",
        request_id: Annotated[
            str,
            typer.Option(
                help="As a command that got no answer named it: repeating it with the same one never sends twice.",
                show_default=False,
            ),
        ] = "",
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Say what would leave, to whom, under which rules.")
        ] = False,
    ) -> None:
        """Cancel an alert that was sent from here, at all its recipients. Takes the same approval as issuing it."""
        from gateway.cli.send import new_request_id, show_accepted, show_validation, submit, validate

        used = request_id or new_request_id()
        with call.admin() as admin:
            view = find(admin, message_id, include_sent=True)
            draft = cancellation(view, note, used)
            if dry_run:
                show_validation(call, draft, validate(admin, draft))
                return
            accepted, request = submit(admin, draft, used, spans_from_now=False)
            show_accepted(call, accepted, request, draft, done=True)
            will = "It will cancel" if accepted.HasField("held") else "It cancels"
            call.output.text(f"{will} {id_text(view.message_id)}.")


def mark(call: Call, message_id: str, kind: "AlertMark.ValueType") -> None:
    """Mark a received alert and say where it stands.

    Raises:
        Failure: None, or several, are meant.
        GatewayError: Its state does not allow it.
    """
    with call.admin() as admin:
        view = find(admin, message_id)
        state = admin.mark_alert(view, kind).alert_state
    call.output.record({"message_id": id_text(view.message_id), "sender": view.sender, "alert_state": state})
    call.output.text(visible(f"{id_text(view.message_id)} from {view.sender} is {state}."))


def chain_of(view: "MessageView", views: "list[MessageView]") -> "list[MessageView]":
    """Return the alerts before and after one, oldest first, as far as they are among those given."""
    known = {(item.sender, item.message_id): item for item in views}
    chain, seen = [view], {view.message_id}
    for first, field in ((True, "predecessor"), (False, "successor")):
        while True:
            end = chain[0] if first else chain[-1]
            found = known.get((view.sender, getattr(end, field)))
            if found is None or found.message_id in seen:
                break
            seen.add(found.message_id)
            chain.insert(0 if first else len(chain), found)
    return chain


def request_time_ms(request_id: str) -> int:
    """Return when a request id was made: it is in UUIDv7.

    Raises:
        Failure: It is none.
    """
    import uuid

    try:
        made = uuid.UUID(request_id)
    except ValueError:
        made = None
    if made is None or made.version != 7:
        raise usage("the request id is no UUID of version 7", advice="leave it out, or take the one that was named")
    return made.int >> 80


def cancellation(view: "MessageView", note: str, request_id: str) -> "Draft":
    """Return the draft that cancels an alert of ours: for one request id the same one, so that it can be repeated.

    Raises:
        Failure: It is not ours, or no alert, or erased; or the request id is none of ours.
    """
    from dataclasses import replace

    from gateway.ids import MessageId, PartnerId, ThreadId
    from gateway.model.alert import Alert, AlertInfo, AlertReference, AlertType, AlertUrgency, SourceTime
    from gateway.model.header import Mode, Supersedes, Urgency
    from gateway.model.message import Draft
    from gateway.rpc.convert import WireCodec

    codec = WireCodec()
    if not view.deliveries:
        raise usage("only an alert sent from here can be cancelled here", advice="ask its issuer's desk")
    if not view.body.HasField("alert"):
        raise usage("the message is no alert, or erased", reason="NOT_FOUND")
    body = codec.decode_body(view.body.SerializeToString())
    old = body.content
    if not isinstance(old, Alert):
        raise usage("the message is no alert", reason="NOT_FOUND")
    sent_ms = request_time_ms(request_id) // 1000 * 1000
    content = Alert(
        identifier=request_id.lower().replace("-", ""),
        source_sender=old.source_sender,
        sent_time=SourceTime(sent_ms, 0),
        alert_type=AlertType.CANCEL,
        scope=old.scope,
        source=old.source,
        restriction=old.restriction,
        addresses=old.addresses,
        note=note,
        references=(AlertReference(old.source_sender, old.identifier, _cap_time(old.sent_time)),),
        incidents=old.incidents,
        infos=tuple(
            AlertInfo(
                language=info.language,
                categories=info.categories,
                event=info.event,
                urgency=AlertUrgency.PAST,
                severity=info.severity,
                certainty=info.certainty,
                headline=info.headline,
                areas=info.areas,
            )
            for info in old.infos
        ),
    )
    body = replace(body, content=content)
    return Draft(
        body=body,
        body_bytes=codec.encode_body(body),
        recipients=tuple(PartnerId(item.partner) for item in view.deliveries),
        mode=Mode(view.mode),
        urgency=Urgency(view.urgency),
        expire_ms=view.expire_time.ToMilliseconds(),
        thread_id=ThreadId(view.thread_id),
        in_reply_to=None,
        supersedes=Supersedes(message_id=MessageId(view.message_id), content_commitment=view.content_commitment),
    )


def _cap_time(time: "SourceTime") -> str:
    from datetime import UTC, datetime, timedelta, timezone

    zone = timezone(timedelta(minutes=time.offset_minutes or 0))
    return datetime.fromtimestamp(time.time_ms // 1000, UTC).astimezone(zone).isoformat(timespec="seconds")
