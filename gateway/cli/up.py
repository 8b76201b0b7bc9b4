"""concord up: runs the gateway until it is told to stop."""

import asyncio
import os
from typing import TYPE_CHECKING

import typer

from gateway.cli.call import Call, command
from gateway.cli.passphrase import PassphraseFileOption, obtain

if TYPE_CHECKING:
    from gateway.app import RunningInfo


def register(application: typer.Typer) -> None:
    """Add the command."""

    @command(application, "up")
    def up(call: Call, passphrase_file: PassphraseFileOption = None) -> None:
        """Run the gateway in the foreground until SIGTERM or Ctrl-C; its log goes to stderr.

        Prints one line on stdout when it takes calls.
        """
        # gRPC's own lines name no partner and no remedy; what matters is logged as link.failed and caller.rejected.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from gateway.config import load_config, unknown_variables
        from gateway.hardening import forbid_core_dumps
        from gateway.installation import open_home

        forbid_core_dumps()
        # Settings first: nobody should type a passphrase to learn of a misspelt key.
        load_config(call.home)
        for name in unknown_variables():
            call.output.note(f"warning: environment variable {name} is not a setting and is ignored")
        opened = open_home(call.home, obtain(passphrase_file))
        from gateway import app

        def ready(info: "RunningInfo") -> None:
            call.output.record(
                {
                    "event": "ready",
                    "partner": str(opened.config.partner),
                    "mode": opened.config.mode.name.lower(),
                    "federation": info.federation,
                    "exchange": info.exchange,
                    "home": str(call.home),
                }
            )
            call.output.text(
                f"{opened.config.partner} is up in mode {opened.config.mode.name.lower()}: "
                f"partners {info.federation}, own systems {info.exchange}. Stop with Ctrl-C."
            )

        asyncio.run(app.run(opened, ready=ready))
