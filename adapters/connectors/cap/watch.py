"""Watches a folder into which a national system puts alerts.

    <folder>/alert.xml              waits
    <folder>/done/alert.xml         handed in
    <folder>/refused/alert.xml      refused, with alert.xml.reason.json beside it

The folder is looked at once a second instead of being watched by the kernel: inotify says nothing about what another
machine writes to a network share, which is how most national systems would hand files over, and the look also is
what tells that a file has stopped changing. A crash between handing in and moving hands the file in once more, and
the desk knows the repeat by its content.
"""

import asyncio
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.connectors.cap.document import MAX_ORIGINAL_BYTES
from adapters.connectors.cap.intake import Intake, Settled
from adapters.connectors.cap.options import WatchOptions
from gateway.errors import Busy, FileUnusable, Rejected
from gateway.ports import Desk

DONE: Final = "done"
REFUSED: Final = "refused"
REASON_SUFFIX: Final = ".reason.json"
BATCH: Final = 16
"""Files read into memory together: at most 30 MB."""
MAX_SEEN: Final = 100_000
"""Files in the folder that are looked at; what lies beyond comes into view as others are moved."""
MAX_FILE_BYTES: Final = 2 * MAX_ORIGINAL_BYTES
"""A distribution may wrap an alert of the largest size."""
RETRY_S: Final = 2.0
_UNFINISHED: Final = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What tells one state of a file from another."""

    name: str
    inode: int
    size: int
    modified_ns: int
    mode: int


class Watcher:
    """Hands in what appears in one folder."""

    def __init__(self, desk: Desk, options: WatchOptions) -> None:
        self._desk = desk
        self._options = options
        self._intake = Intake(desk, options)
        self._label = f"watch {options.name}"
        self._before: frozenset[_Seen] = frozenset()
        self._stuck: set[_Seen] = set()
        """Settled, but cannot be moved away."""

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                settled = await self.look()
            except Busy as error:
                self._desk.note(self._label, f"waits: {error.text}")
                await asyncio.sleep(RETRY_S)
                continue
            except OSError as error:
                self._desk.note(self._label, f"{self._options.folder}: {error.strerror or type(error).__name__}")
                await asyncio.sleep(RETRY_S)
                continue
            self._desk.note(self._label, f"{len(self._stuck)} file(s) cannot be moved away" if self._stuck else "")
            # While there is more the next look follows at once; it costs one listing.
            await asyncio.sleep(0 if settled >= BATCH else self._options.settle_s)

    async def look(self) -> int:
        """Hand in every file that has not changed since the look before; return how many were settled.

        Raises:
            Busy: The gateway takes nothing now; the files stay.
            OSError: The folder cannot be listed or written to.
        """
        seen = await asyncio.to_thread(_list, self._options.folder)
        now = frozenset(seen)
        ready = [item for item in seen if item in self._before and item not in self._stuck]
        self._before = now
        self._stuck &= now
        for start in range(0, len(ready), BATCH):
            batch = ready[start : start + BATCH]
            contents = await asyncio.to_thread(self._read_all, batch)
            # Together, so that they share one commit.
            outcomes = await asyncio.gather(
                *(self._settle(item, content) for item, content in zip(batch, contents, strict=True)),
                return_exceptions=True,
            )
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
        return len(ready)

    async def _settle(self, item: _Seen, content: "bytes | Rejected | None") -> None:
        if content is None:
            return
        if isinstance(content, Rejected):
            settled: tuple[Settled, ...] = (Settled(identifier="", result=None, error=content),)
        else:
            try:
                settled = await self._intake.hand_in(content)
            except Rejected as error:
                settled = (Settled(identifier="", result=None, error=error),)
        refused = [one for one in settled if one.error is not None]
        digest = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else ""
        reason = _reason(item.name, settled, digest, self._desk.now_ms()) if refused else None
        if not await asyncio.to_thread(self._move, item, reason):
            self._stuck.add(item)

    def _read_all(self, items: list[_Seen]) -> "list[bytes | Rejected | None]":
        return [self._read(item) for item in items]

    def _read(self, item: _Seen) -> bytes | Rejected | None:
        """Return the content, why it cannot be, or None: it changed, so it is for the next look."""
        if stat.S_ISLNK(item.mode):
            # A link could lead to a file that only the gateway can read, and out of the country with it.
            return FileUnusable("the file is a link; links are not followed")
        if not stat.S_ISREG(item.mode):
            return FileUnusable("this is no plain file")
        if item.size > MAX_FILE_BYTES:
            return FileUnusable(f"the file has {item.size} bytes; at most {MAX_FILE_BYTES} are taken")
        try:
            # NONBLOCK: if a pipe took the file's place, opening it must not wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(self._options.folder / item.name, flags), "rb") as file:
                if _seen(item.name, os.fstat(file.fileno())) != item:
                    return None
                return file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:
                return None
            return FileUnusable(f"the file cannot be read: {error.strerror}")

    def _move(self, item: _Seen, reason: dict[str, Any] | None) -> bool:
        """Move a file to where settled ones are; return False when it cannot be moved."""
        source = self._options.folder / item.name
        target = self._options.folder / (DONE if reason is None else REFUSED)
        target.mkdir(exist_ok=True)
        try:
            if _seen(item.name, os.lstat(source)) != item:
                # Changed after it was read: its new content has not been handed in.
                return True
            place = target / item.name
            if os.path.lexists(place):
                place = target / f"{self._desk.now_ms()}-{item.inode}-{item.name}"[-200:]
            if reason is not None:
                # The reason first: a refused file without one would leave its sender guessing.
                text = json.dumps(reason, ensure_ascii=False, indent=2) + "\n"
                place.with_name(place.name + REASON_SUFFIX).write_text(text, encoding="utf-8", errors="replace")
            source.rename(place)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


def _list(folder: Path) -> list[_Seen]:
    """Return what lies in a folder, oldest first, so that an update does not overtake its alert."""
    return sorted(_entries(folder), key=lambda item: (item.modified_ns, item.name))


def _entries(folder: Path) -> Iterator[_Seen]:
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_SEEN:
                return
            if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
                continue
            try:
                state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(state.st_mode):
                yield _seen(entry.name, state)


def _seen(name: str, state: os.stat_result) -> _Seen:
    return _Seen(name, state.st_ino, state.st_size, state.st_mtime_ns, state.st_mode)


def _reason(name: str, settled: tuple[Settled, ...], digest: str, now_ms: int) -> dict[str, Any]:
    return {
        "file": name,
        "sha256": digest,
        "time_ms": now_ms,
        "alerts": [
            {"identifier": one.identifier, "verdict": "accepted", "message_id": str(one.result.message_id)}
            if one.result is not None
            else {
                "identifier": one.identifier,
                "verdict": "refused",
                "reason": one.error.reason if one.error is not None else "",
                "message": one.error.text if one.error is not None else "",
                "advice": one.error.advice if one.error is not None else "",
            }
            for one in settled
        ],
    }
