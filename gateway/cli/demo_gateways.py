"""The gateways of the demo: their homes, their processes, and how all of it is taken away again."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.cli.failure import ExitCode, Failure

if TYPE_CHECKING:
    from gateway.cli.admin import AdminClient

T = TypeVar("T")
POLL_S: Final = 0.02
LOG_TAIL_LINES: Final = 25
STOP_S: Final = 20.0
"""How long a gateway may take to finish before it is killed: three listeners with 5 s of grace each, and some."""
_PR_SET_PDEATHSIG: Final = 1


class Deadline:
    """The time by which the whole demo must be done."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._start = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def left_s(self) -> float:
        """Seconds left; never negative."""
        return max(self._seconds - self.elapsed_s, 0.0)

    def wait_for(self, missing: str, look: Callable[[], T | None]) -> T:
        """Return what look returns once it is not None.

        Raises:
            Failure: The time is up; says what was missing.
        """
        while True:
            found = look()
            if found is not None:
                return found
            if not self.left_s:
                raise incomplete(f"still missing after {self._seconds:.0f} s: {missing}")
            time.sleep(POLL_S)


def incomplete(why: str) -> Failure:
    """Return the failure of a demo that did not come to its end."""
    return Failure(
        "the demo did not work",
        why=why,
        advice="the ends of the gateways' logs are above; report them if they do not explain it",
        reason="DEMO_INCOMPLETE",
        code=ExitCode.REFUSED,
    )


@dataclass(slots=True)
class Nation:
    """One gateway of the demo."""

    code: str
    language: str
    """Whose text of the alert its people read."""
    home: Path
    fingerprint: str = ""
    federation: str = ""
    exchange: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    clients: "list[AdminClient]" = field(default_factory=list)

    @property
    def passphrase_file(self) -> Path:
        """Beside the home, not in it, as it should be."""
        return self.home.with_name(f"{self.code}.passphrase")

    @property
    def card_file(self) -> Path:
        """The card as it would be sent to partners."""
        return self.home.with_name(f"{self.code}.card")

    @property
    def log(self) -> Path:
        """What the gateway says."""
        return self.home.with_name(f"{self.code}.log")

    @property
    def admin(self) -> "AdminClient":
        """A client of the running gateway."""
        if not self.clients:
            from gateway.cli.admin import AdminClient

            self.clients.append(AdminClient(self.home))
        return self.clients[0]

    def make(self, now_ms: int) -> None:
        """Make the home."""
        from gateway.installation import Plan, create_home
        from gateway.installation.passphrases import generate_passphrase_file

        self.federation, self.exchange = (f"127.0.0.1:{port}" for port in free_ports(2))
        plan = Plan.parse(
            partner=self.code,
            mode="exercise",
            federation=self.federation,
            exchange=self.exchange,
            endpoints=[],
            systems=[],
            authority="",
        )
        self.fingerprint = create_home(
            self.home, plan, generate_passphrase_file(self.passphrase_file), now_ms
        ).fingerprint
        self.apply_policy(now_ms)

    def apply_policy(self, now_ms: int) -> None:
        """Let the demo's own two operators apply what it ships with; their keys are thrown away."""
        from gateway.config import load_config
        from gateway.crypto.operators import OperatorKey
        from gateway.installation.applied import apply, name_operator
        from gateway.policy.applied import Operator

        keys = [OperatorKey.generate(f"demo-{number}") for number in (1, 2)]
        for key in keys:
            name_operator(self.home, Operator(key.name, key.public))
        config = load_config(self.home)
        for key in keys:
            apply(self.home, config, key, now_ms)

    def start(self) -> None:
        """Start the gateway as a process of its own."""
        # A credential is some other gateway's. The demo's content is public, so what breaks may say where.
        environment = {**os.environ, "CONCORD_TRACEBACK": "1"}
        environment.pop("CREDENTIALS_DIRECTORY", None)
        command = [sys.executable, "-m", "gateway.cli", "--home", str(self.home), "--json", "up"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [*command, "--passphrase-file", str(self.passphrase_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C is for the demo, which then stops the gateways in good order.
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )

    def is_up(self) -> bool | None:
        """Return True once the gateway answers, None until then.

        Raises:
            Failure: It has ended instead.
        """
        if self.process is not None and self.process.poll() is not None:
            raise incomplete(f"the gateway of '{self.code}' ended with code {self.process.returncode}")
        try:
            self.admin.status(timeout_s=1.0)
        except Failure:
            return None
        return True

    def stop(self) -> None:
        """Ask the gateway to stop."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def end(self, by: float) -> None:
        """Wait until it has stopped, and kill it when the time is up."""
        if self.process is None:
            return
        try:
            self.process.wait(max(by - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:])
        return ""


def stop_all(nations: Sequence[Nation]) -> None:
    """Stop all gateways at once."""
    for nation in nations:
        nation.stop()
    by = time.monotonic() + STOP_S
    for nation in nations:
        nation.end(by)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that are free now."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


def _end_with_parent() -> None:
    # Runs between fork and exec. A demo that is killed leaves no gateways behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
