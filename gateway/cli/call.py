"""What every command shares: --home, --json, and the one place where errors become output and an exit code."""

import inspect
import os
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.failure import ExitCode, Failure, failure_of, usage
from gateway.cli.output import Output
from gateway.cli.runnable import on_home
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.cli.admin import AdminClient

DEFAULT_HOME: Final = "~/.concord"

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help=f"Home of the gateway [default: $CONCORD_HOME, else {DEFAULT_HOME}].", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON: one object, or one a line for lists.")]


@dataclass(slots=True)
class Root:
    """Options given before the command."""

    home: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command."""

    home: Path
    output: Output

    def command(self, words: str) -> str:
        """Return the command line that runs these words on this home."""
        return on_home(words, self.home)

    def admin(self) -> "AdminClient":
        """Return a client of the gateway that runs on this home.

        Raises:
            GatewayUnreachable: None runs.
        """
        from gateway.cli.admin import AdminClient

        return AdminClient(self.home)


def default_home(explicit: Path | None) -> Path:
    """Return the home to use."""
    return (explicit or Path(os.environ.get("CONCORD_HOME") or DEFAULT_HOME)).expanduser()


def is_interactive() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> None:
    """Ask before what cannot be taken back.

    Raises:
        Failure: Nobody is there, or the answer is no.
    """
    if not is_interactive():
        raise usage("this cannot be taken back and nobody can be asked", advice="add --yes if it is meant")
    if not typer.confirm(question, default=False, err=True):
        raise usage("nothing was done", reason="DECLINED")


def confirm_by_typing(expected: str, given: str, warning: str) -> None:
    """Let a person type a name before what hits the wrong one if it is mistyped; given is the answer when not empty.

    Raises:
        Failure: Nobody is there, or what was typed or given is something else.
    """
    if not given:
        if not is_interactive():
            raise usage(
                "this cannot be taken back and nobody can be asked", advice=f"add --yes {expected} if it is meant"
            )
        given = typer.prompt(f"{warning} Type {expected} to go on", default="", show_default=False, err=True).strip()
    if given != expected:
        raise usage("nothing was done", why=f"'{given}' is not '{expected}'", reason="DECLINED")


Command = Callable[..., ExitCode | None]


def command(group: typer.Typer, name: str, *, default: bool = False) -> Callable[[Command], Command]:
    """Register a function whose first parameter is the Call; --home and --json are added to the rest.

    With default, it is what the group does when no command of its own is named.
    """

    def register(function: Command) -> Command:
        hints = typing.get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[1:]
        parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
        for option, annotation, value in (("home", HomeOption, None), ("as_json", JsonOption, False)):
            parameters.append(
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation)
            )
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        def invoke(*, context: typer.Context, home: Path | None, as_json: bool, **arguments: Any) -> None:
            root = context.find_object(Root) or Root()
            given = Root(home or root.home, as_json or root.as_json)
            if default and context.invoked_subcommand is not None:
                context.obj = given
                return
            output = Output(given.as_json, home=given.home)
            try:
                code = function(Call(default_home(given.home), output), **arguments)
            except GatewayError as error:
                failure = failure_of(error)
            except Failure as error:
                failure = error
            else:
                raise typer.Exit(int(code or ExitCode.OK))
            output.failure(failure)
            raise typer.Exit(int(failure.code))

        parameters.append(context)
        invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        invoke.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        invoke.__name__ = function.__name__
        invoke.__doc__ = function.__doc__
        if default:
            group.callback(invoke_without_command=True)(invoke)
        else:
            group.command(name)(invoke)
        return function

    return register
