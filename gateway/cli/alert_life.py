"""concord alert list, show, cancel: alerts that were sent and received, and where they stand."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.call import Call, command
from gateway.cli.chain import standing
from gateway.cli.failure import usage
from gateway.cli.inbox import LanguageOption, describe, find, headline, received
from gateway.cli.views import id_text, message_data, moment, word

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import MessageView

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
                mark = ">" if item.message_id == view.message_id else " "
                call.output.text(f"{mark} {id_text(item.message_id)}  {moment(item, 'create_time')}  {standing(item)}")

    @command(group, "cancel")
    def cancel(
        call: Call,
        message_id: MessageArgument,
        note: Annotated[str, typer.Option(help="Why, for the recipients' desks.")] = "",
        request_id: Annotated[
            str, typer.Option(help="UUID. Repeating a command with the same one never sends twice.", show_default=False)
        ] = "",
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Say what would leave, to whom, under which rules.")
        ] = False,
    ) -> None:
        """Cancel an alert that was sent from here, at all its recipients. Takes the same approval as issuing it."""
        from gateway.cli.send import show_accepted, show_validation, submit, validate

        with call.admin() as admin:
            view = find(admin, message_id, include_sent=True)
            draft = cancellation(view, note)
            if dry_run:
                show_validation(call, draft, validate(admin, draft))
                return
            accepted, request = submit(admin, draft, request_id)
            show_accepted(call, accepted, request, draft, done=True)
            call.output.text(f"It cancels {id_text(view.message_id)}.")


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


def cancellation(view: "MessageView", note: str) -> "Draft":
    """Return the draft that cancels an alert of ours.

    Raises:
        Failure: It is not ours, or no alert, or erased.
    """
    from dataclasses import replace

    from gateway.clock import SystemClock
    from gateway.ids import MessageId, PartnerId, ThreadId, uuid7
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
    now_s = SystemClock().now_ms() // 1000
    content = Alert(
        identifier=uuid7(now_s * 1000).hex(),
        source_sender=old.source_sender,
        sent_time=SourceTime(now_s * 1000, 0),
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
