"""The connectors that the settings name: found by entry point, their options checked, their cursor kept in the home.

CONCORD_HOME/connectors/<name>.cursor    how far a connector has followed the stream of events
"""

import asyncio
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from gateway.config import CONFIG_FILE, Config, problem_at
from gateway.errors import ConfigInvalid
from gateway.exchange.submission import Submitter
from gateway.installation.private_files import write_private
from gateway.ports import ConnectorKind

GROUP: Final = "concord.connectors"
CURSORS: Final = "connectors"
MAX_CURSOR_BYTES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedConnector:
    """A connector of the settings, checked and ready to be opened."""

    name: str
    kind_name: str
    kind: ConnectorKind
    options: object
    submitter: Submitter


def plan_connectors(home: Path, config: Config) -> tuple[PlannedConnector, ...]:
    """Return the connectors that the settings name.

    Raises:
        ConfigInvalid: A kind is not installed, or its options cannot be used; names file, line and key.
    """
    return tuple(_plan(home, config, index) for index in range(len(config.connector)))


def _plan(home: Path, config: Config, index: int) -> PlannedConnector:
    section = config.connector[index]
    kind = _kind(section.kind, home)
    try:
        options = kind.options(section.model_extra or {}, str(home.absolute()), frozenset(section.authorities))
    except ValidationError as error:
        path = home / CONFIG_FILE
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        problems = [problem_at(path, text, ("connector", index, *item["loc"]), item) for item in error.errors()]
        raise ConfigInvalid("; ".join(problems)) from None
    principal = f"connector/{section.name}"
    return PlannedConnector(
        name=section.name,
        kind_name=section.kind,
        kind=kind,
        options=options,
        submitter=Submitter(principal=principal, authorities=frozenset(section.authorities)),
    )


def _kind(name: str, home: Path) -> ConnectorKind:
    found = entry_points(group=GROUP, name=name)
    installed = ", ".join(sorted(entry.name for entry in entry_points(group=GROUP))) or "none"
    if not found:
        raise ConfigInvalid(
            f"{home / CONFIG_FILE}: connector.kind: no connector '{name}' is installed; installed: {installed}"
        )
    try:
        kind: ConnectorKind = next(iter(found)).load()()
    except Exception as error:
        # Somebody's package: it may fail in any way, and the operator must learn which one did.
        raise ConfigInvalid(f"the connector '{name}' cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(getattr(kind, "options", None)) or not callable(getattr(kind, "open", None)):
        raise ConfigInvalid(f"the connector '{name}' reads files only; it cannot run in a gateway")
    return kind


class CursorFile:
    """A connector's place in the stream of events, written whole or not at all."""

    def __init__(self, home: Path, name: str) -> None:
        self._path = home / CURSORS / f"{name}.cursor"

    async def load(self) -> str:
        """Return the cursor; empty when there is none yet."""
        return await asyncio.to_thread(self._load)

    def _load(self) -> str:
        try:
            with self._path.open("rb") as file:
                # What is no cursor is refused by its reader, which then starts anew.
                return file.read(MAX_CURSOR_BYTES).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return ""

    async def save(self, cursor: str) -> None:
        """Keep the cursor. Once it returns, a crash does not undo it."""
        await asyncio.to_thread(self._save, cursor)

    def _save(self, cursor: str) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(self._path, cursor.encode())
