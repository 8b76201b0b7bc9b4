"""concord log begin: another log in place of one that cannot go on."""

from typing import Annotated

import typer

from gateway.cli.call import Call, command, confirm_by_typing
from gateway.cli.failure import ExitCode, Failure


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "begin")
    def begin(
        call: Call,
        reason: Annotated[
            str, typer.Option(help="Why, in at most 100 characters. Partners and auditors are shown these words.")
        ],
        yes: Annotated[
            str, typer.Option("--yes", help="This gateway's partner id, instead of typing it when asked.")
        ] = "",
    ) -> None:
        """End the log, which cannot go on, and begin another one. The old one stays readable as far as it is here.

        Refused while the log can go on. Its first entry names the old log, how much of it was signed, how much is
        left, and why; partners are told with the next checkpoint.
        """
        with call.admin() as admin:
            head, partner = admin.log_head(), admin.status().partner
            if not head.problem:
                raise Failure(
                    "the log goes on",
                    why="nothing is wrong with it, and a log that can go on is not ended",
                    advice="look at `concord log head`",
                    reason="STATE_CONFLICT",
                    code=ExitCode.REFUSED,
                )
            call.output.note(f"{head.origin}: {head.problem}")
            confirm_by_typing(
                partner,
                yes,
                "If there is a newer copy of this gateway, restore that instead. A log that has ended cannot go on.",
            )
            begun = admin.begin_log(head.origin, reason)
        call.output.record({"ended": head.origin, "origin": begun.origin})
        call.output.fields(
            [
                ("ended", f"{head.origin}, {head.size} entries are here"),
                ("begun", begun.origin),
                ("read the old one", f"concord log head --log {head.number} --home {call.home}"),
            ]
        )
