"""concord case: where cases stand, whose turn it is and what is due; the acts stand in case_acts."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli import case_acts
from gateway.cli.call import Call, command
from gateway.cli.failure import usage
from gateway.cli.views import MODES, URGENCIES, id_text, instant, instant_ms, moment, word

if TYPE_CHECKING:
    from concord.v1.admin_service_pb2 import CaseDue, CaseLine, CaseView

    from gateway.cli.admin import AdminClient

CaseArgument = Annotated[str, typer.Argument(help="As the list shows it; its beginning is enough when unique.")]
WithOption = Annotated[
    str,
    typer.Option("--with", help="The partner, where a thread has a case with several.", show_default=False),
]
_ACTS: Final = {
    "acknowledge": "case update ID --event acknowledge",
    "accept": "case accept ID",
    "decline": "case decline ID --reason WORDS",
    "start": "case update ID --event start",
    "ask": "case ask ID --text WORDS",
    "inform": "case update ID --event inform --text WORDS",
    "resolve": "case answer ID --outcome WORD",
    "confirm": "case close ID",
    "reopen": "case reopen ID --reason WORDS",
    "withdraw": "case withdraw ID --reason WORDS",
    "approve": "case accept ID",
    "consult": "case decline ID --consult --ground WORD --reason WORDS",
    "refuse": "case decline ID --ground WORD --reason WORDS",
    "answer": "case answer ID --result MEASURE=done",
    "preserve": "case answer ID --result MEASURE=preserved --until TIME",
    "clarify": "case update ID --event clarify --text WORDS",
    "reply": "case update ID --event reply --text WORDS",
    "release": "case update ID --event release --measure MEASURE",
    "close": "case close ID --text WORDS",
}
"""How each act is made here, in the order in which people think of them."""


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Cases: referrals and requests, theirs and ours.")
    application.add_typer(group, name="case")

    @command(group, "list")
    def listing(
        call: Call,
        ended: Annotated[bool, typer.Option("--all", help="Those too in which nothing is still to come.")] = False,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    ) -> None:
        """List cases, what changed last first: whose turn it is, and what is due when. JSON: one object a line."""
        with call.admin() as admin:
            cases = admin.cases(include_ended=ended, limit=limit).cases
        for case in cases:
            call.output.record(case_data(case, whole=False))
        rows = [
            [
                id_text(case.thread_id),
                case.kind,
                f"{case.sender} asks {case.partner}" if case.sender != case.partner else f"{case.partner} asks us",
                word(URGENCIES, case.urgency),
                "" if case.mode == 1 else word(MODES, case.mode).upper(),
                case.state.replace("_", " "),
                {"us": "we act", "them": f"{case.partner} acts"}.get(case.turn, ""),
                next_due(case),
            ]
            for case in cases
        ]
        call.output.table(["case", "kind", "who", "urgency", "mode", "state", "turn", "due"], rows, "No case is open.")

    @command(group, "show")
    def show(call: Call, case_id: CaseArgument, with_: WithOption = "") -> None:
        """Show where a case stands, what is due when (here, there and UTC), and what can be done now."""
        with call.admin() as admin:
            case = find(admin, case_id, with_)
        call.output.record(case_data(case, whole=True))
        describe(call, case)

    @command(group, "history")
    def history(call: Call, case_id: CaseArgument, with_: WithOption = "") -> None:
        """Show how a case came to where it stands: each step, who brought it about, and what did not count."""
        with call.admin() as admin:
            case = find(admin, case_id, with_)
        call.output.record(case_data(case, whole=True))
        rows = [
            [
                moment(line, "time"),
                "we" if line.cause == "our officers" else line.sender if line.cause == "the partner" else line.cause,
                f"measure {line.measure}" if line.measure else "",
                _told(line),
                line.after.replace("_", " ") if line.after != line.before else "",
            ]
            for line in case.history
        ]
        call.output.table(["when", "who", "about", "what", "then"], rows, "Nothing has happened.")

    case_acts.register(group)


def find(admin: "AdminClient", beginning: str, partner: str) -> "CaseView":
    """Return the one case whose id begins so, with its history.

    Raises:
        Failure: None, or several.
    """
    wanted = beginning.strip().lower()
    if not 6 <= len(wanted) <= 36 or not set(wanted) <= set("0123456789abcdef-"):
        raise usage(
            f"'{beginning}' is no id of a case, nor the beginning of one",
            advice="give at least six characters of an id that `concord case list` shows",
        )
    answer = admin.case(wanted, partner)
    if not answer.found:
        raise usage(f"no case has an id beginning {wanted}", advice="see `concord case list --all`", reason="NOT_FOUND")
    if not answer.HasField("case"):
        raise usage(
            f"{answer.found} cases have an id beginning {wanted}",
            advice="give more of the id, or --with the partner",
            reason="AMBIGUOUS",
        )
    return answer.case


def describe(call: Call, case: "CaseView") -> None:
    """Print one case for people: first what is to be done, by whom and until when."""
    ours = case.sender != case.partner
    call.output.fields(
        [
            ("case", f"{id_text(case.thread_id)}   {case.kind}"),
            ("who", f"{case.authority} asks {case.partner if ours else 'us'}"),
            ("state", case.state.replace("_", " ")),
            ("turn", {"us": "ours", "them": f"that of '{case.partner}'"}.get(case.turn, "nobody's")),
            *((_due_name(case, item), due_words(case, item)) for item in case.dues),
            ("urgency", word(URGENCIES, case.urgency)),
            ("mode", word(MODES, case.mode).upper()),
            ("opened", moment(case, "create_time")),
            ("changed", moment(case, "change_time")),
            *(
                (f"measure {item.measure_id or number}", _measure_words(item))
                for number, item in enumerate(case.measures, 1)
            ),
        ]
    )
    beginning = id_text(case.thread_id)
    words = [line.replace("ID", beginning, 1) for name, line in _ACTS.items() if name in case.possible]
    if words:
        call.output.text()
        call.output.text("What can be done now:")
        for line in words:
            call.output.text(f"  {call.command(line)}")


def case_data(case: "CaseView", *, whole: bool) -> dict[str, Any]:
    """Return a case as plain data."""
    data: dict[str, Any] = {
        "case_id": id_text(case.thread_id),
        "kind": case.kind,
        "partner": case.partner,
        "sender": case.sender,
        "message_id": id_text(case.message_id),
        "authority": case.authority,
        "mode": word(MODES, case.mode),
        "urgency": word(URGENCIES, case.urgency),
        "state": case.state,
        "live": case.live,
        "turn": case.turn,
        "create_time": instant(case, "create_time"),
        "change_time": instant(case, "change_time"),
        "due": [
            {
                "what": item.what,
                "by": "us" if item.by_us else "them",
                "time": instant(item, "due_time"),
                "left_ms": item.left_ms or None,
                "overdue": item.overdue,
                "measure": item.measure or None,
            }
            for item in case.dues
        ],
        "possible": list(case.possible),
        "measures": [
            {
                "measure_id": item.measure_id,
                "measure_type": item.measure_type,
                "state": item.state,
                "until_time": instant(item, "until_time"),
            }
            for item in case.measures
        ],
    }
    if whole:
        data |= {
            "own_zone": case.own_zone,
            "partner_zone": case.partner_zone,
            "history": [
                {
                    "time": instant(line, "time"),
                    "cause": line.cause,
                    "sender": line.sender,
                    "message_id": id_text(line.message_id) if line.message_id else None,
                    "measure": line.measure or None,
                    "event": line.event,
                    "before": line.before,
                    "after": line.after,
                    "late": line.late,
                    "finding": line.finding,
                }
                for line in case.history
            ],
        }
    return data


def next_due(case: "CaseView") -> str:
    """Return what is due first, in few words."""
    for item in case.dues:
        late = "OVERDUE " if item.overdue else ""
        when = moment(item, "due_time") or "stands still"
        return f"{late}{item.what} {when}"
    return ""


def due_words(case: "CaseView", item: "CaseDue") -> str:
    """Return by whom and by when something is owed: here, there and in UTC."""
    from gateway.workflow.zones import parse_zone, show

    who = "by us" if item.by_us else f"by '{case.partner}'"
    due_ms = instant_ms(item, "due_time")
    if due_ms is None:
        return f"{who}; the clock stands still with {item.left_ms // 60_000} minutes left"
    text = show(due_ms, parse_zone(case.own_zone), parse_zone(case.partner_zone))
    return f"{who}, {text}{'   OVERDUE' if item.overdue else ''}"


def _due_name(case: "CaseView", item: "CaseDue") -> str:
    named = case.measures[item.measure - 1].measure_id if item.measure else ""
    return f"{item.what} {named}".strip()


def _measure_words(item: Any) -> str:
    until = moment(item, "until_time")
    kind = item.measure_type.replace("_", " ")
    return f"{kind}   {item.state.replace('_', ' ')}{f' until {until}' if until else ''}".strip()


def _told(line: "CaseLine") -> str:
    if line.finding:
        return f"did not count: {line.finding}"
    late = " (too late to change anything)" if line.late else ""
    return (line.event.replace("_", " ") or "news") + late
