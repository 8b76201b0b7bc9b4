"""All connectors: each runs apart, is started again after a failure, and never takes the gateway down."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.exchange.desk import ConnectorDesk
from gateway.ports import Connector

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""A repaired source is tried again within a minute without anybody doing anything."""
STEADY_MS: Final = 120_000
"""After so long without a failure the next pause is short again."""
PATIENCE_S: Final = 10.0
"""For a connector to end when the gateway stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorStatus:
    """How a connector does."""

    name: str
    kind: str
    state: str
    """starting, running or failing."""
    failures: int
    """Since the gateway started."""
    problems: tuple[str, ...]
    """What does not work now, in words; empty when all is well."""


@dataclass(slots=True, kw_only=True)
class Supervised:
    """One connector and how it did so far."""

    name: str
    kind: str
    desk: ConnectorDesk
    open: Callable[[], Connector]
    state: str = "starting"
    failures: int = 0
    problem: str = ""
    since_ms: int = field(default=0)


class Connectors:
    """The gateway's connectors."""

    def __init__(self, items: tuple[Supervised, ...], clock: Clock, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._items = items
        self._clock = clock
        self._first_pause_s = first_pause_s

    def status(self) -> tuple[ConnectorStatus, ...]:
        """Return how each connector does."""
        return tuple(
            ConnectorStatus(
                name=item.name,
                kind=item.kind,
                state=item.state,
                failures=item.failures,
                problems=(
                    *((item.problem,) if item.problem else ()),
                    *(f"{what}: {problem}" for what, problem in sorted(item.desk.notes.items())),
                ),
            )
            for item in self._items
        )

    async def run(self) -> None:
        """Run all until cancelled."""
        tasks = [asyncio.create_task(self._keep(item), name=f"connector/{item.name}") for item in self._items]
        try:
            await asyncio.Event().wait()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                # Somebody's code may not end when told to; the gateway does not wait for it for ever.
                await asyncio.wait(tasks, timeout=PATIENCE_S)

    async def _keep(self, item: Supervised) -> None:
        pause_s = self._first_pause_s
        while True:
            item.since_ms = self._clock.now_ms()
            try:
                connector = item.open()
                item.state, item.problem = "running", ""
                log.info("connector.started", connector=item.name, kind=item.kind)
                await connector.run()
                item.problem = "it ended by itself"
            except GatewayError as error:
                item.problem = error.text
            except Exception as error:
                # The text may quote what it read; the type does not.
                item.problem = f"{type(error).__name__}{_errno(error)}"
                log.warning("connector.defect", connector=item.name, exc_info=error)
            item.state = "failing"
            item.failures += 1
            if self._clock.now_ms() - item.since_ms >= STEADY_MS:
                pause_s = self._first_pause_s
            log.warning("connector.failed", connector=item.name, problem=item.problem, pause_s=pause_s)
            # Jitter: several that failed for one reason do not all come back at once.
            await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))  # noqa: S311 no secret
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _errno(error: Exception) -> str:
    return f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
