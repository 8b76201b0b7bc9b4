"""concord status: who runs here and how it does."""

from typing import TYPE_CHECKING

import typer

from gateway.cli.call import Call, command
from gateway.cli.output import visible
from gateway.cli.views import age, instant, instant_ms, moment
from gateway.clock import SystemClock

if TYPE_CHECKING:
    from concord.v1.admin_service_pb2 import GetStatusResponse


def register(application: typer.Typer) -> None:
    """Add the command."""

    @command(application, "status")
    def status(call: Call) -> None:
        """Show the gateway that runs on this home: mode, listeners, counts, warnings."""
        with call.admin() as admin:
            answer = admin.status()
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
                "telemetry": list(answer.telemetry),
                "warnings": list(answer.warnings),
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
                *(("connector", visible(f"{item.name}   {item.kind} {item.state}")) for item in answer.connectors),
                *(
                    ("problem", visible(f"{item.name}: {problem}"))
                    for item in answer.connectors
                    for problem in item.problems
                ),
                ("log", f"{answer.log_size} entries, {_signed(answer)}"),
                *((("problem", f"exchange log: {answer.log_problem}"),) if answer.log_problem else ()),
                *(("problem", visible(finding)) for finding in answer.log_findings),
                *(("telemetry", item) for item in answer.telemetry),
                *(("warning", warning) for warning in answer.warnings),
            ]
        )
        quiet = not answer.warnings and not answer.log_problem and not answer.log_findings
        if quiet and not any(item.problems for item in answer.connectors):
            call.output.text("all well")


def _signed(answer: "GetStatusResponse") -> str:
    signed_ms = instant_ms(answer, "log_checkpoint_time")
    if signed_ms is None:
        return "no checkpoint yet"
    return f"newest checkpoint {age(signed_ms, SystemClock().now_ms())} old"
