"""Sealed files on disk: a file each, named by the id of the attachment, in a directory of their own.

What is not whole yet ends in .part. A whole file gets its name only after its bytes are on disk, so that a name always
stands for a whole file, whatever dies in between. Nothing of a file's own name ever reaches the disk.
"""

import os
import re
from pathlib import Path
from typing import Final

from gateway.errors import StoreUnavailable

_ID: Final = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
PART: Final = ".part"


class DirectoryFiles:
    """Files in one directory, which only this user may read. Replicas share it as they share the database."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _path(self, attachment_id: bytes) -> Path:
        name = attachment_id.hex()
        if not _ID.match(name):
            raise ValueError("an attachment_id has 32 bytes")
        return self._directory / name

    def _part(self, attachment_id: bytes) -> Path:
        return self._path(attachment_id).with_suffix(PART)

    def free_bytes(self) -> int:
        """Return how much room the disk has for us.

        Raises:
            StoreUnavailable: The directory cannot be made or looked at.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = os.statvfs(self._directory)
        except OSError as error:
            raise _unavailable(error) from None
        return found.f_bavail * found.f_frsize

    def stored_bytes(self, attachment_id: bytes) -> int:
        """Return the size of a file, whole or in part; 0 when there is none."""
        for path in (self._path(attachment_id), self._part(attachment_id)):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return 0

    def read(self, attachment_id: bytes, offset: int, length: int) -> bytes:
        """Return bytes of a file, fewer at its end, none when there is no such file.

        Raises:
            StoreUnavailable: The disk does not give them.
        """
        for path in (self._path(attachment_id), self._part(attachment_id)):
            try:
                with path.open("rb", buffering=0) as file:
                    file.seek(offset)
                    return _read_all(file.fileno(), length)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unavailable(error) from None
        return b""

    def append(self, attachment_id: bytes, offset: int, data: bytes) -> None:
        """Write at an offset of a partial file that is not beyond its end; what was behind it is gone.

        Raises:
            StoreUnavailable: The disk does not take it.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(
                self._part(attachment_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                if os.fstat(descriptor).st_size < offset:
                    raise StoreUnavailable("a file lies on the disk that is shorter than what was written of it")
                os.ftruncate(descriptor, offset)
                os.lseek(descriptor, offset, os.SEEK_SET)
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unavailable(error) from None

    def finish(self, attachment_id: bytes) -> None:
        """Have a partial file on disk for good, and whole from now on.

        Raises:
            StoreUnavailable: The disk does not take it.
        """
        part, path = self._part(attachment_id), self._path(attachment_id)
        try:
            # Made whole before, and what came of it was not recorded.
            if not part.exists() and path.exists():
                return
            _sync(part)
            part.rename(path)
            _sync(self._directory)
        except OSError as error:
            raise _unavailable(error) from None

    def remove(self, attachment_id: bytes) -> None:
        """Remove a file, whole or partial, if there is one.

        Raises:
            StoreUnavailable: The disk does not let it.
        """
        try:
            for path in (self._part(attachment_id), self._path(attachment_id)):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(error) from None


def _read_all(descriptor: int, length: int) -> bytes:
    """Read until length or the end: one read may return less."""
    parts: list[bytes] = []
    while length > 0:
        part = os.read(descriptor, length)
        if not part:
            break
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unavailable(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"the directory of attachments: {error.strerror or 'does not answer'}")
