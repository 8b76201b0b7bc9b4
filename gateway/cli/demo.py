"""concord demo: three gateways on this machine exchange a real alert, and everything is verified."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.call import Call, command
from gateway.cli.demo_gateways import Deadline, Nation, incomplete, stop_all
from gateway.cli.demo_scenario import DEADLINE_S, Scenario
from gateway.cli.failure import ExitCode, Failure, failure_of
from gateway.cli.output import Output
from gateway.errors import GatewayError


def register(application: typer.Typer) -> None:
    """Add the command."""

    @command(application, "demo")
    def demo(
        call: Call,
        once: Annotated[bool, typer.Option("--once", help="Stop when done; the last line is a JSON summary.")] = False,
        directory: Annotated[
            Path | None,
            typer.Option(
                "--dir", help="Where the homes are made. [default: a temporary directory]", show_default=False
            ),
        ] = None,
    ) -> ExitCode | None:
        """Start the gateways of China, Thailand and Laos here, send an exercise alert from one to two, verify it.

        Everything is on loopback and marked EXERCISE. Stays up to be tried out until Ctrl-C; with --once it ends and
        the exit code is 0 only if all was verified.
        """
        from gateway.config import setting_variables

        for name in setting_variables():
            # Meant for another gateway; here it would hit all three alike.
            del os.environ[name]
        # A polite kill must clean up too.
        before = signal.signal(signal.SIGTERM, _interrupt)
        temporary = directory is None
        place = Path(tempfile.mkdtemp(prefix="concord-demo-")) if directory is None else directory
        scenario = Scenario(call.output, place, Deadline(DEADLINE_S))
        try:
            scenario.play()
            if once:
                return finish(call.output, scenario)
            scenario.say_what_next()
            stay(scenario.nations)
        except KeyboardInterrupt:
            call.output.note("stopping the gateways")
            return ExitCode.REFUSED if once else None
        except BaseException as error:
            tell_logs(call.output, scenario.nations)
            failure = failure_of(error) if isinstance(error, GatewayError) else error
            if once and isinstance(failure, Failure):
                summarise(call.output, {**scenario.summary(), "ok": False, "error": failure.as_json()})
            raise
        finally:
            stop_all(scenario.nations)
            signal.signal(signal.SIGTERM, before)
            if temporary:
                shutil.rmtree(place, ignore_errors=True)
        return None


def finish(output: Output, scenario: Scenario) -> ExitCode | None:
    """Print the summary as the last line, after the gateways have stopped."""
    before = time.monotonic()
    stop_all(scenario.nations)
    scenario.measured["stop_s"] = round(time.monotonic() - before, 3)
    ended = {n.code: n.process.returncode for n in scenario.nations if n.process is not None}
    clean = not any(ended.values())
    if not clean:
        # Told, but no ground to doubt what was verified before.
        tell_logs(output, scenario.nations)
        output.note(f"note: not every gateway stopped by itself: {ended}")
    summarise(output, {**scenario.summary(), "stopped_cleanly": clean})
    return None if scenario.ok else ExitCode.REFUSED


def summarise(output: Output, data: dict[str, Any]) -> None:
    """Print one JSON line, whether --json is given or not."""
    Output(as_json=True, stdout=output.stdout).record(data)


def stay(nations: Sequence[Nation]) -> None:
    """Wait for Ctrl-C, or for a gateway to end by itself.

    Raises:
        Failure: One ended.
    """
    forever = threading.Event()
    while not forever.wait(0.5):
        for nation in nations:
            if nation.process is not None and nation.process.poll() is not None:
                raise incomplete(f"the gateway of '{nation.code}' ended with code {nation.process.returncode}")


def tell_logs(output: Output, nations: Sequence[Nation]) -> None:
    """Print the end of each gateway's log on stderr."""
    for nation in nations:
        tail = nation.log_tail()
        if tail:
            output.note(f"--- end of {nation.log}")
            for line in tail.splitlines():
                output.note(line)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
