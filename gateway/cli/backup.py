"""concord backup: the three copies of which a gateway can be restored, so that they belong together."""

import os
import shutil
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import ExitCode, Failure, usage

MESSAGES: Final = "messages"
KEYS: Final = "keys"
KEYRING: Final = "keyring"


def register(application: typer.Typer) -> None:
    """Add the command."""

    @command(application, "backup")
    def backup(
        call: Call,
        directory: Annotated[Path, typer.Argument(help="A new or empty directory, outside the home.")],
    ) -> None:
        """Copy messages, message keys and keyring into three directories, while the gateway runs or not.

        They belong together and are kept apart: whoever has all three has everything. Needs no passphrase; the keyring
        stays locked.
        """
        from gateway.config import DATABASE_DIRECTORY, load_config
        from gateway.store.backup import copy_store

        home = call.home
        if not load_config(home).store.startswith("sqlite:"):
            raise Failure(
                "the messages of this gateway are not in its home",
                why="its store is a PostgreSQL database",
                advice="copy that with pg_dump, the schema of the message keys into a file of its own",
                reason="STORE_ELSEWHERE",
                code=ExitCode.USAGE,
            )
        if directory.absolute().is_relative_to(home.absolute()):
            raise usage(f"{directory} lies in the home that is copied")
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise usage(f"{directory} is not an empty directory")
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            parts = {name: directory / name for name in (MESSAGES, KEYS, KEYRING)}
            for part in parts.values():
                part.mkdir(mode=0o700)
            with call.output.progress("files", None) as tick:
                done = 0

                def copied(name: str) -> None:
                    nonlocal done
                    done += 1
                    tick(done, name)

                copy_store(home / DATABASE_DIRECTORY, parts[MESSAGES], parts[KEYS], copied)
                # Last: a keyring opens what was sealed for younger keys, and within their grace for older ones.
                names = _copy_home(home, parts[KEYRING])
        except OSError as error:
            raise usage(f"{directory} cannot be written", why=error.strerror or "", reason="FILE_UNWRITABLE") from None
        sizes = {name: _bytes_in(part) for name, part in parts.items()}
        call.output.record({"directory": str(directory), "home_files": names, "bytes": sizes})
        call.output.fields([
            ("messages", f"{parts[MESSAGES]}   {sizes[MESSAGES]} bytes; keep it as long as your rules say"),
            ("message keys", f"{parts[KEYS]}   {sizes[KEYS]} bytes; to another place, for days"),
            ("keyring", f"{parts[KEYRING]}   {', '.join(names)}; to a third place, without the passphrase"),
        ])  # fmt: skip


def _copy_home(home: Path, to: Path) -> list[str]:
    """Copy what a home holds besides its store; return the names."""
    from gateway.config import CONFIG_FILE
    from gateway.installation.applied import FOLDER, OPERATORS_FILE
    from gateway.installation.connectors import CURSORS
    from gateway.installation.home import CERTIFICATES, KEYRING_FILE
    from gateway.installation.registry import REGISTRY_FILE

    names = []
    for name in (KEYRING_FILE, CONFIG_FILE, REGISTRY_FILE, CERTIFICATES, CURSORS, OPERATORS_FILE, FOLDER):
        source = home / name
        if source.is_dir():
            shutil.copytree(source, to / name)
        elif source.is_file():
            shutil.copy2(source, to / name)
        else:
            continue
        names.append(name)
    for path in [*to.rglob("*"), to]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return names


def _bytes_in(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
