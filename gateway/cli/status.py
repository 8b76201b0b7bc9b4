"""concord status: who runs here and how it does."""

from typing import TYPE_CHECKING, Any, Final

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import ExitCode
from gateway.cli.views import age, instant, instant_ms, moment
from gateway.clock import SystemClock

if TYPE_CHECKING:
    from concord.v1.admin_service_pb2 import GetStatusResponse, PartnerQueue

SLOW_MS: Final = 60_000
"""A good link takes milliseconds, one that begins anew seconds."""


def register(application: typer.Typer) -> None:
    """Add the command."""

    @command(application, "status")
    def status(call: Call) -> ExitCode | None:
        """Show the gateway that runs on this home: mode, listeners, counts, what does not work and what to do.

        Exit code 0 when nothing stands in the way, 4 when part of it does not work now: a partner cannot be reached,
        something waits, something in a case is overdue, a connector or the exchange log has a problem.
        """
        with call.admin() as admin:
            answer = admin.status()
            queues = admin.outbox().queues
        now_ms = SystemClock().now_ms()
        stuck = [queue for queue in queues if is_stuck(queue, now_ms)]
        connector_problems = [f"{item.name}: {problem}" for item in answer.connectors for problem in item.problems]
        warnings = [call.output.runnable(warning) for warning in answer.warnings]
        works = not (stuck or connector_problems or answer.log_problem or answer.log_findings or answer.cases_overdue)
        call.output.record(
            {
                "partner": answer.partner,
                "mode": answer.mode,
                "version": answer.version,
                "start_time": instant(answer, "start_time"),
                "federation": answer.federation_endpoint,
                "exchange": answer.exchange_endpoint,
                "store": answer.store,
                "partners": answer.partners,
                "messages_sent": answer.messages_sent,
                "messages_received": answer.messages_received,
                "waiting": answer.waiting,
                "connectors": [
                    {
                        "name": item.name,
                        "kind": item.kind,
                        "state": item.state,
                        "failures": item.failures,
                        "problems": list(item.problems),
                    }
                    for item in answer.connectors
                ],
                "log_size": answer.log_size,
                "log_checkpoint_time": instant(answer, "log_checkpoint_time"),
                "log_problem": answer.log_problem,
                "log_findings": list(answer.log_findings),
                "cases_overdue": list(answer.cases_overdue),
                "telemetry": list(answer.telemetry),
                "stuck": [stuck_data(call, queue) for queue in stuck],
                "warnings": warnings,
                "works": works,
            }
        )
        call.output.fields(
            [
                ("partner", f"{answer.partner}   mode {answer.mode.upper()}"),
                ("version", answer.version),
                ("up since", moment(answer, "start_time")),
                ("federation", answer.federation_endpoint),
                ("exchange", answer.exchange_endpoint),
                ("store", answer.store),
                ("partners", str(answer.partners)),
                ("sent", str(answer.messages_sent)),
                ("received", str(answer.messages_received)),
                ("waiting", str(answer.waiting)),
                *(("connector", f"{item.name}   {item.kind} {item.state}") for item in answer.connectors),
                *(("problem", problem) for problem in connector_problems),
                ("log", f"{answer.log_size} entries, {_signed(answer)}"),
                *((("problem", f"exchange log: {answer.log_problem}"),) if answer.log_problem else ()),
                *(("problem", finding) for finding in answer.log_findings),
                *(("overdue", late) for late in answer.cases_overdue),
                *(("telemetry", item) for item in answer.telemetry),
                *(row for queue in stuck for row in stuck_rows(call, queue, now_ms)),
                *(("warning", warning) for warning in warnings),
            ]
        )
        if works and not warnings:
            call.output.text("all well")
        return None if works else ExitCode.PARTIAL


def is_stuck(queue: "PartnerQueue", now_ms: int) -> bool:
    """Whether a partner cannot be reached, or something has waited for it longer than a good link takes."""
    if queue.link_state == "backing_off":
        return True
    oldest_ms = instant_ms(queue, "oldest_time")
    return bool(queue.waiting) and (
        queue.link_state == "frozen" or (oldest_ms is not None and now_ms - oldest_ms > SLOW_MS)
    )


def stuck_data(call: Call, queue: "PartnerQueue") -> dict[str, Any]:
    """Return what waits for a partner, since when, why, whose turn it is and the next step."""
    return {
        "partner": queue.partner,
        "waiting": queue.waiting,
        "oldest_time": instant(queue, "oldest_time"),
        "urgency": queue.urgency,
        "link_state": queue.link_state,
        "reason": queue.reason,
        "turn": queue.turn,
        "advice": next_step(call, queue),
    }


def stuck_rows(call: Call, queue: "PartnerQueue", now_ms: int) -> list[tuple[str, str]]:
    """Return the same for people."""
    why = queue.reason or queue.link_state.replace("_", " ")
    if not queue.waiting:
        first = f"'{queue.partner}' cannot be reached ({why}); nothing waits for it"
    else:
        many = "1 message waits" if queue.waiting == 1 else f"{queue.waiting} messages wait"
        since = age(instant_ms(queue, "oldest_time"), now_ms)
        first = f"{many} for '{queue.partner}' since {since}, the most urgent is {queue.urgency}: {why}"
    turn = {"us": "; it is our turn", "them": "; it is their turn"}.get(queue.turn, "")
    return [("problem", first + turn), ("next step", next_step(call, queue))]


def next_step(call: Call, queue: "PartnerQueue") -> str:
    """Return what to do about a partner's queue."""
    return call.output.runnable(queue.advice or f"find out where it stops: `concord partner test {queue.partner}`")


def _signed(answer: "GetStatusResponse") -> str:
    signed_ms = instant_ms(answer, "log_checkpoint_time")
    if signed_ms is None:
        return "no checkpoint yet"
    return f"newest checkpoint {age(signed_ms, SystemClock().now_ms())} old"
