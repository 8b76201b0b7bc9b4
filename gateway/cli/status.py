"""concord status: who runs here and how it does."""

import typer

from gateway.cli.call import Call, command
from gateway.cli.output import visible
from gateway.cli.views import instant, moment


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
                *(("telemetry", item) for item in answer.telemetry),
                *(("warning", warning) for warning in answer.warnings),
            ]
        )
        if not answer.warnings and not any(item.problems for item in answer.connectors):
            call.output.text("all well")
