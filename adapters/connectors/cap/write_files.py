"""Writes alerts as files into a folder, for systems that cannot call.

A file appears whole or not at all, and is on disk before its event counts as done: after a crash the same file is
written once more, under the same name.
"""

import asyncio
import os
from pathlib import Path

from adapters.connectors.cap.options import WriteOptions
from adapters.connectors.cap.render import cap_document
from adapters.connectors.cap.shown import may_show, shown_alert
from gateway.errors import NotFound, Rejected
from gateway.ids import MessageId, PartnerId
from gateway.ports import Desk, EventRow


class FileWriter:
    """Follows the gateway's events and writes what may be shown."""

    def __init__(self, desk: Desk, options: WriteOptions) -> None:
        self._desk = desk
        self._options = options

    async def run(self) -> None:
        """Write until cancelled.

        Raises:
            OSError: The folder takes no more files; what was not written comes again.
        """
        async for events in self._desk.events():
            # A batch tells of one message several times, once for each recipient.
            for sender, message_id in dict.fromkeys((event.sender, event.message_id) for event in events if _of(event)):
                await self._write(sender, message_id)

    async def _write(self, sender: PartnerId, message_id: MessageId) -> None:
        try:
            message = await self._desk.message(sender, message_id)
        except NotFound:
            return
        alert = shown_alert(self._options, message.body) if may_show(self._options, message.row) else None
        if alert is None:
            return
        try:
            data = await asyncio.to_thread(cap_document, alert, message.row.mode)
        except Rejected as error:
            # One alert that CAP cannot carry must not stop all that come after it.
            self._desk.note(f"write {sender}/{message_id}", error.text)
            return
        await asyncio.to_thread(_put, self._options.folder, f"{sender}-{message_id}.cap", data)
        if self._options.acknowledge and not message.row.sent:
            await self._desk.acknowledge(sender, message_id)
        await self._desk.handed_on(message.row)


def _of(event: EventRow) -> bool:
    """Own messages show when a partner has received them; nothing tells earlier."""
    return event.type in {"message.received", "delivery.received", "alert.validated"}


def _put(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.new"
    temporary.unlink(missing_ok=True)
    # 0644: the reader is another program, often under another account.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
