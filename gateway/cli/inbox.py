"""concord inbox: what partners have sent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.call import Call, command
from gateway.cli.chain import standing
from gateway.cli.content import case_name, content_lines, heading
from gateway.cli.failure import usage
from gateway.cli.output import visible
from gateway.cli.views import URGENCIES, id_text, message_data, moment, word

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import MessageView

    from gateway.cli.admin import AdminClient

PAGE = 1000
"""As many as a gateway gives at once: each page is an entry in its exchange log."""
LanguageOption = Annotated[
    str, typer.Option(help="Language to show, as BCP 47; others when the alert does not speak it.")
]


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="What partners have sent. Without a command: the list.")
    application.add_typer(group, name="inbox")

    @command(group, "inbox", default=True)
    def plain(call: Call) -> None:
        """Show what partners have sent, newest first. Without a command: the list."""
        show_list(call, 20, "en")

    @command(group, "list")
    def list_messages(
        call: Call,
        limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
        language: LanguageOption = "en",
    ) -> None:
        """List received messages, newest first. JSON: one object a line."""
        show_list(call, limit, language)

    @command(group, "show")
    def show(
        call: Call,
        message_id: Annotated[str, typer.Argument(help="As the list shows it; its beginning is enough when unique.")],
        language: LanguageOption = "en",
        original: Annotated[
            bool, typer.Option("--original", help="Print the original file as it came, byte for byte.")
        ] = False,
    ) -> None:
        """Show one received message, in the language asked for and with every other named."""
        with call.admin() as admin:
            view = find(admin, message_id)
        if original:
            write_original(view)
            return
        call.output.record(message_data(view, with_body=True))
        describe(call, view, language)


def show_list(call: Call, limit: int, language: str) -> None:
    """Print the newest messages."""
    views = []
    with call.admin() as admin:
        for view in received(admin, limit):
            call.output.record(message_data(view, with_body=False))
            views.append(view)
    rows = [
        [
            id_text(view.message_id),
            view.sender,
            word(URGENCIES, view.urgency),
            "" if view.mode == 1 else word(("", "", "EXERCISE", "TEST"), view.mode),
            moment(view, "create_time"),
            _state(view),
            headline(view, language),
        ]
        for view in views
    ]
    call.output.table(
        ["message", "from", "urgency", "mode", "created", "state", "headline"], rows, "Nothing has come in."
    )
    if len(views) == limit:
        call.output.text(f"The newest {limit} are shown; --limit shows more.")


def _state(view: "MessageView") -> str:
    """Return how a message stands; an alert as its issuer left it, unless it simply counts."""
    words = view.state + (" (gap before it)" if view.gap else "")
    return words if view.alert_state in {"", "validated"} else f"{words}, {view.alert_state.upper()}"


def received(admin: "AdminClient", limit: int, *, include_sent: bool = False) -> Iterator["MessageView"]:
    """Yield received messages with their headlines, newest first; if so asked, sent ones too."""
    token, left = "", limit
    while left > 0:
        page = admin.inbox(min(PAGE, left), token, include_sent=include_sent)
        yield from page.messages[:left]
        left -= len(page.messages)
        token = page.next_page_token
        if not token:
            return


def find(admin: "AdminClient", prefix: str, *, include_sent: bool = False) -> "MessageView":
    """Return the one message whose id begins so, with all that it says.

    Raises:
        Failure: None, or several.
    """
    wanted = prefix.strip().lower()
    if not 6 <= len(wanted) <= 36 or not set(wanted) <= set("0123456789abcdef-"):
        raise usage(
            f"'{prefix}' is no message id, nor the beginning of one",
            advice="give at least six characters of an id that `concord inbox list` shows",
        )
    answer = admin.show(wanted, include_sent=include_sent)
    kind = "message" if include_sent else "received message"
    if not answer.found:
        raise usage(f"no {kind} has an id beginning {wanted}", advice="see `concord inbox list`", reason="NOT_FOUND")
    if not answer.HasField("message"):
        # Ids are unique for a sender only, so even a whole id can name two.
        raise usage(
            f"{answer.found} {kind}s have an id beginning {wanted}",
            advice="give more of the id",
            reason="AMBIGUOUS",
            messages=[{"message_id": id_text(view.message_id), "sender": view.sender} for view in answer.candidates],
        )
    return answer.message


def headline(view: "MessageView", language: str) -> str:
    """Return the headline in a language, else in English, else in the first it has; of a case what it is."""
    if told := heading(view.body):
        return told
    infos = list(view.body.alert.infos)
    for wanted in (language.lower(), language.partition("-")[0].lower(), "en"):
        for info in infos:
            if info.language.lower() == wanted or info.language.lower().startswith(wanted + "-"):
                return info.headline or info.event
    return (infos[0].headline or infos[0].event) if infos else ""


def describe(call: Call, view: "MessageView", language: str) -> None:
    """Print one message for people."""
    alert = view.body.alert
    rows = [
        ("message", id_text(view.message_id)),
        ("from", f"{view.sender}   for {view.body.authority}"),
        ("mode", word(("", "ACTUAL", "EXERCISE", "TEST"), view.mode)),
        ("urgency", word(URGENCIES, view.urgency)),
        ("created", moment(view, "create_time")),
        ("expires", moment(view, "expire_time")),
        ("state", view.state + (" (the message before it is missing)" if view.gap else "")),
    ]
    if view.alert_state:
        rows += [("alert", standing(view))]
    if view.body.HasField("alert"):
        rows += [("identifier", alert.identifier), ("issued by", alert.source_sender)]
        if alert.provenance.signature:
            rows.append(
                ("signature", f"{alert.provenance.signature} (of the original, as the sender's gateway found it)")
            )
    if name := case_name(view.body):
        rows.append(("content", heading(view.body)))
    call.output.fields(rows)
    if name:
        call.output.text()
        for depth, label, value in content_lines(getattr(view.body, name), language):
            call.output.text(f"{'  ' * depth}{label}: {visible(value)}".rstrip())
        return
    first = headline(view, language)
    for info in sorted(alert.infos, key=lambda info: (info.headline or info.event) != first):
        call.output.text()
        call.output.text(f"[{visible(info.language)}] {visible(info.headline or info.event)}")
        for text in (info.description, info.instruction):
            if text and (info.headline or info.event) == first:
                call.output.paragraph(text)
    for finding in alert.provenance.findings:
        call.output.note(f"finding {finding.code} at {finding.path} {finding.detail}".rstrip())


def write_original(view: "MessageView") -> None:
    """Write the original bytes to stdout, unchanged."""
    import sys

    if not view.body.alert.provenance.original:
        raise usage("the message came without an original file", reason="NOT_FOUND")
    sys.stdout.buffer.write(view.body.alert.provenance.original)
    sys.stdout.buffer.flush()
