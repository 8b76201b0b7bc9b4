"""Finds the connector of a file format. Connectors are found by entry point, so that others can ship their own."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from gateway.cli.failure import Failure, usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.model.alert import Alert, Finding
    from gateway.model.header import Mode, Urgency

GROUP: Final = "concord.connectors"
READ_BYTES: Final = 20 << 20
"""More than any connector takes: what is longer is refused by the connector, which says its own limit."""


class Reading(Protocol):
    """What a file said."""

    @property
    def alert(self) -> "Alert": ...
    @property
    def status(self) -> str: ...
    @property
    def mode(self) -> "Mode | None": ...
    @property
    def urgency(self) -> "Urgency": ...
    @property
    def expire_ms(self) -> int | None: ...


class Check(Protocol):
    """The verdict on an alert, or on a file that holds none."""

    @property
    def verdict(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def findings(self) -> "Sequence[Finding]": ...
    @property
    def identifier(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def sent(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def number(self) -> int: ...


class AlertConnector(Protocol):
    """Reads files of one format."""

    def read(self, data: bytes, now_ms: int) -> Reading: ...
    def check_all(self, data: bytes, now_ms: int) -> "Sequence[tuple[str, Check]]": ...


def load_connector(name: str) -> AlertConnector:
    """Return the connector installed under a name.

    Raises:
        Failure: None is.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        installed = ", ".join(sorted(entry.name for entry in entry_points(group=GROUP))) or "none"
        raise usage(
            f"no connector reads '{name}' files",
            why=f"installed: {installed}",
            advice=f"install a package that offers the entry point {GROUP}: {name}",
            reason="CONNECTOR_MISSING",
        )
    connector: AlertConnector = next(iter(found)).load()()
    return connector


def read_input(path: Path) -> bytes:
    """Return the bytes of a file or, for -, of stdin; never more than READ_BYTES and one.

    Raises:
        Failure: It cannot be read.
    """
    import sys

    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(READ_BYTES + 1)
        with path.open("rb") as file:
            return file.read(READ_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> Failure:
    """Return the failure for a file that cannot be read."""
    return usage(
        f"cannot read {path}",
        why=error.strerror or type(error).__name__,
        advice="check the path, which is meant from the current directory, and the file's permissions",
        reason="FILE_UNREADABLE",
    )
