"""Files that hold secrets: read only when nobody else could have, written whole or not at all."""

import os
import stat
from pathlib import Path

from gateway.errors import ConfigInvalid


def read_private(path: Path, max_bytes: int, *, missing: str) -> bytes:
    """Return the content of a file that only its owner can read.

    Raises:
        ConfigInvalid: Missing, too large, no plain file, or open to others.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise ConfigInvalid(f"{path}: is not a plain file")
            if state.st_mode & 0o177:
                # Whoever else could read it may have done so already.
                mode = stat.S_IMODE(state.st_mode)
                raise ConfigInvalid(
                    f"{path}: has mode {mode:04o}; it must be 0600 or 0400; if others could read it, change its content"
                )
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: {missing}") from None
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigInvalid(f"{path}: is no name of a file") from None
    if len(data) > max_bytes:
        raise ConfigInvalid(f"{path}: larger than {max_bytes} bytes")
    return data


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all, readable by its owner only unless another mode is given."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # If we die before this line, the old content stands.
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_new_private(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600.

    Raises:
        ConfigInvalid: The file exists or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigInvalid(f"{path}: cannot be written: {error.strerror}") from None


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file, whoever may read it.

    Raises:
        ConfigInvalid: It cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigInvalid(f"{path}: is no name of a file") from None
    if len(data) > max_bytes:
        raise ConfigInvalid(f"{path}: larger than {max_bytes} bytes")
    return data


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
