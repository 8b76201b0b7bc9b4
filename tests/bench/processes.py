"""Processes of the bench and the lines they exchange: a JSON object in, a JSON object out.

Instants are nanoseconds of CLOCK_MONOTONIC, which on Linux is one clock for the whole machine, so instants of
different processes can be subtracted.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0


class Worker:
    """A process that answers commands on its standard streams."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=None if environment is None else dict(environment),
        )
        self.ready: dict[str, Any] = self._read()

    @property
    def pid(self) -> int:
        """The process id, for those who measure memory or time."""
        return self._process.pid

    def tell(self, command: str, **arguments: Any) -> None:
        """Send a command whose answer is fetched later with `answer`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the answer to the oldest command not answered yet."""
        return self._read()

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its answer.

        Raises:
            RuntimeError: The process ended instead.
        """
        self.tell(command, **arguments)
        return self._read()

    def close(self) -> None:
        """Close its input, which asks it to finish, and wait until it has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process.stdout.close()
        if code:
            raise RuntimeError(f"a process of the bench ended with code {code}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the bench ended early with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


async def serve(ready: Mapping[str, Any], commands: Mapping[str, Callable[..., Awaitable[Mapping[str, Any]]]]) -> None:
    """Say that the process is ready, then answer commands in turn until the input is closed."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps(ready), flush=True)
    while line := await reader.readline():
        arguments = json.loads(line)
        result = await commands[arguments.pop("command")](**arguments)
        print(json.dumps(result), flush=True)


def now_ns() -> int:
    """Return the machine's monotonic clock in nanoseconds, comparable among processes."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
