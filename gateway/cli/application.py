"""Puts the commands together and runs one.

Nothing heavy is imported here or at the top of a command's file: `concord --help` must answer at once on a slow
machine, so gRPC, protobuf, the crypto and the settings are imported inside the functions that use them.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from gateway.cli import (
    alert,
    attachment,
    backup,
    case,
    client,
    decide,
    demo,
    inbox,
    init,
    log,
    outbox,
    partner,
    policy,
    send,
    settings,
    status,
    system,
    up,
)
from gateway.cli.call import HomeOption, JsonOption, Root
from gateway.cli.failure import ExitCode, Failure
from gateway.cli.output import Output

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 the command or its input is wrong; 2 the gateway or partner cannot be reached, or not now; "
    "3 refused, not verified or damaged; 4 only part of it worked."
)
PROGRAM: Final = "concord"


def build() -> typer.Typer:
    """Return the whole command."""
    application = typer.Typer(
        name=PROGRAM, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, epilog=EXIT_CODES
    )

    @application.callback()
    def root(
        context: typer.Context,
        home: HomeOption = None,
        as_json: JsonOption = False,
        version: Annotated[  # noqa: ARG001 its callback does the work
            bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=show_version)
        ] = False,
    ) -> None:
        """Run a gateway on which partner states exchange alerts, and ask it things.

        --home and --json may stand before the command or after it.
        """
        context.obj = Root(home, as_json)

    nouns = (
        *(init, up, status, demo, send, case, inbox, outbox, decide, partner, system, alert, attachment, log),
        *(backup, client, policy, settings),
    )
    for noun in nouns:
        noun.register(application)
    return application


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        sys.stdout.write(f"{PROGRAM} {installed_version()}\n")
        raise typer.Exit(0)


def installed_version() -> str:
    """Return the version of the distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("concord-gateway")
    except PackageNotFoundError:
        return "unknown"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show Lao must not stop the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = build()(given, prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        return _misused(error, given)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:  # noqa: BLE001 the outermost place: whatever it is, it has an exit code
        if os.environ.get("CONCORD_TRACEBACK"):
            traceback.print_exc()
        failure = Failure(
            f"a defect in concord: {type(error).__name__}",
            why="this was not foreseen; nothing is known to be lost",
            advice="run it again with CONCORD_TRACEBACK=1 and report what it prints; take content of messages out",
            reason="INTERNAL",
            code=ExitCode.REFUSED,
        )
        Output("--json" in given).failure(failure)
        return int(failure.code)
    return result if isinstance(result, int) else 0


def _misused(error: typer.TyperException, given: Sequence[str]) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(error.format_message() + "\n")
        return int(ExitCode.USAGE)
    path = context.command_path if context is not None else PROGRAM
    failure = Failure(error.format_message(), advice=f"see `{path} --help`", reason="USAGE", code=ExitCode.USAGE)
    Output("--json" in given).failure(failure)
    return int(failure.code)
