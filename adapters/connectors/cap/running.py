"""The CAP connector as a running part: its sources, its server and its files, side by side."""

import asyncio

from adapters.connectors.cap.options import CapOptions
from adapters.connectors.cap.poll import Poller
from adapters.connectors.cap.serve import Server
from adapters.connectors.cap.watch import Watcher
from adapters.connectors.cap.write_files import FileWriter
from gateway.ports import Desk


class RunningCap:
    """One [[connector]] table of kind cap."""

    def __init__(self, options: CapOptions, desk: Desk) -> None:
        self._parts: list[Watcher | Poller | Server | FileWriter] = [
            *(Watcher(desk, source) for source in options.watch),
            *(Poller(desk, source) for source in options.feed),
        ]
        if options.serve is not None:
            self._parts.append(Server(desk, options.serve))
        if options.write is not None:
            self._parts.append(FileWriter(desk, options.write))

    async def run(self) -> None:
        """Run until cancelled; when one part fails all stop, to be started again together."""
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts:
                    group.create_task(part.run())
        except* Exception as failed:  # noqa: BLE001 raised again
            # The first one says what happened; the others were stopped because of it.
            raise _first(failed) from None


def _first(group: ExceptionGroup[Exception]) -> Exception:
    first: Exception = group
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first
