"""concord client: what the programmers of a national system need at a prompt."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import ExitCode
from gateway.cli.output import visible


def register(application: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="For programmers of systems that call a gateway.")
    application.add_typer(group, name="client")

    # A callback keeps the group a group while it has one command.
    @group.callback()
    def root() -> None:
        pass

    @command(group, "check")
    def check(
        call: Call,
        target: Annotated[str, typer.Option(help="host:port of the gateway's exchange listener.")],
        roots: Annotated[Path, typer.Option(help="PEM file of the gateway's authority.")],
        chain: Annotated[Path | None, typer.Option(help="PEM file of our certificate.")] = None,
        key_file: Annotated[Path | None, typer.Option("--key", help="PEM file of its key.")] = None,
        timeout: Annotated[float, typer.Option(help="Seconds for each step.", min=0.1, max=60)] = 5.0,
    ) -> ExitCode:
        """Try a connection step by step and say where it stops. Exit code 2 when it does. Needs no gateway here."""
        from gateway.client import preflight

        report = preflight(target, roots=roots, chain=chain, key=key_file, timeout_s=timeout)
        call.output.record(
            {
                "target": report.target,
                "fault": report.fault.value if report.fault else None,
                "steps": [
                    {
                        "name": step.name,
                        "what": step.what,
                        "fault": step.fault.value if step.fault else None,
                        "why": step.why,
                        "fix": step.fix,
                    }
                    for step in report.steps
                ],
            }
        )
        for line in str(report).splitlines():
            call.output.text(visible(line))
        return ExitCode.OK if report.fault is None else ExitCode.UNREACHABLE
