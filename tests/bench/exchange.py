"""The full way, measured like the floor: two real gateway processes, the same client, the same alerts.

`python -m tests.bench.exchange` measures it alone.
"""

import argparse
import contextlib
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.bench.outbox import OutboxWatch
from tests.bench.processes import ROOT, Worker
from tests.fixtures.gateways import GatewayProcess, gateways

SENDER, RECEIVER, AUTHORITY = "cn", "th", "cn/emergency-management"
NO_LIMITS = {
    f"CONCORD_LIMITS__{name}": "1000000" for name in ("SUBMIT_PER_S", "SUBMIT_BURST", "PARTNER_PER_S", "PARTNER_BURST")
}
"""Quotas exist to slow one caller down; here one caller is all there is."""
TIMEOUT_S = 300.0
WARM = 256


def bench_folder(name: str) -> Path:
    """Return a new folder beside the build output: not /tmp, which may be memory, because commits must reach a disk."""
    (ROOT / "build").mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=ROOT / "build"))


def client_of(gateway: GatewayProcess) -> Worker:
    """Start a client that shows a national system's certificate to a gateway."""
    certificates = gateway.home / "certs"
    return Worker(
        "tests.bench.client",
        *("--target", f"localhost:{gateway.exchange_port}", "--authority", AUTHORITY),
        *("--roots", str(certificates / "authority.pem")),
        *("--chain", str(certificates / "system-national.pem")),
        *("--key", str(certificates / "system-national.key.pem")),
    )


class Exchange:
    """Two gateways that know each other and a client process, ready to be measured."""

    def __init__(self) -> None:
        self.folder = bench_folder("exchange")
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self.folder)
        try:
            self.sender, self.receiver = self._stack.enter_context(
                gateways(self.folder, SENDER, RECEIVER, environment=NO_LIMITS)
            )
            self._open()
            self.streamed(WARM)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by role, for a profiler."""
        assert self.sender.process is not None
        assert self.receiver.process is not None
        return {
            "sender": self.sender.process.pid,
            "receiver": self.receiver.process.pid,
            "client": self._client.pid,
        }

    def streamed(self, count: int) -> float:
        """Return messages per second from the first streamed submit to the last committed receipt."""
        return self._rate("streamed", count)

    def unary(self, count: int) -> float:
        """Return messages per second from the first unary submit to the last committed receipt."""
        return self._rate("unary", count)

    def latencies_ms(self, count: int, pause_s: float = 0.02) -> list[float]:
        """Return, one message at a time, milliseconds from submit to committed receipt."""
        last_id = self._watch.last_id()
        self._client.ask("prepare", count=count, recipients=[RECEIVER])
        self._client.tell("paced", pause_s=pause_s)
        committed = self._watch.each_received(last_id, count, TIMEOUT_S)
        submitted = self._client.answer()["submitted_ns"]
        return [(end - start) / 1e6 for start, end in zip(submitted, committed, strict=True)]

    def backlog_rss_mb(self, count: int) -> tuple[float, float, float]:
        """Let the receiver be away while messages pile up, then let it come back.

        Returns:
            The sender's resident memory in MB before, and its peak until the last receipt; and how many seconds after
            the receiver took calls again the first receipt came.
        """
        self.receiver.kill()
        _reset_peak(self.sender)
        before_mb = self.sender.rss_mb()
        last_id = self._watch.last_id()
        self._client.ask("prepare", count=count, recipients=[RECEIVER])
        self._client.ask("streamed")
        self.receiver.start()
        returned = time.monotonic()
        while self._watch.received(last_id) == 0:
            time.sleep(0.02)
        first_s = time.monotonic() - returned
        self._watch.wait_empty(TIMEOUT_S)
        self._check(last_id, count)
        return before_mb, _peak_mb(self.sender), first_s

    def stop(self) -> None:
        """Stop both gateways and the client, to let somebody at their files."""
        self._closing.close()
        self.sender.stop()
        self.receiver.stop()

    def restart(self) -> None:
        """Start both gateways and the client again."""
        self.sender.start()
        self.receiver.start()
        self._open()
        self.streamed(WARM)

    def close(self) -> None:
        """End the processes and remove what they wrote."""
        self._closing.close()
        self._stack.close()

    def _open(self) -> None:
        self._closing = contextlib.ExitStack()
        self._client = self._closing.enter_context(client_of(self.sender))
        self._watch = self._closing.enter_context(OutboxWatch(self.sender.home))

    def _rate(self, manner: str, count: int) -> float:
        last_id = self._watch.last_id()
        self._client.ask("prepare", count=count, recipients=[RECEIVER])
        first_ns = self._client.ask(manner)["first_ns"]
        done_ns = self._watch.wait_empty(TIMEOUT_S)
        self._check(last_id, count)
        return count / (done_ns - first_ns) * 1e9

    def _check(self, last_id: int, count: int) -> None:
        # A figure counts only when every single message has a verified receipt that says received.
        received = self._watch.received(last_id)
        if received != count:
            raise RuntimeError(f"{received} of {count} messages were received")


def _reset_peak(gateway: GatewayProcess) -> None:
    assert gateway.process is not None
    # proc(5): 5 sets the peak to what is resident now. Only root may: gateways are not open to other programs. Without
    # it the peak counts from the start of the process.
    with contextlib.suppress(PermissionError):
        Path(f"/proc/{gateway.process.pid}/clear_refs").write_text("5")


def _peak_mb(gateway: GatewayProcess) -> float:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Measure the full way alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pids", action="store_true", help="print process ids first, for a profiler")
    options = parser.parse_args()
    with Exchange() as exchange:
        if options.pids:
            print(exchange.pids, flush=True)
        print("streamed msg/s", [round(exchange.streamed(options.count)) for _ in range(options.rounds)])
        print("unary msg/s", [round(exchange.unary(options.count // 3)) for _ in range(options.rounds)])
        latencies = sorted(exchange.latencies_ms(200))
        print("idle p50 ms", round(statistics.median(latencies), 2), "p99", round(latencies[197], 2))


if __name__ == "__main__":
    main()
