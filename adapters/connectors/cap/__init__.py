"""The CAP connector: takes in alerts of the Common Alerting Protocol 1.0, 1.1 and 1.2 (docs/reference/cap.md)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from adapters.connectors.cap.check import CapCheck, check_all, check_cap
from adapters.connectors.cap.document import MAX_ORIGINAL_BYTES
from adapters.connectors.cap.read import CapReading, read_cap

if TYPE_CHECKING:
    from gateway.ids import AuthorityId
    from gateway.ports import Connector, Desk

__all__ = ["MAX_ORIGINAL_BYTES", "CapCheck", "CapConnector", "CapReading", "check_all", "check_cap", "read_cap"]


class CapConnector:
    """Reads CAP files for whoever finds it by its entry point."""

    name: ClassVar[str] = "cap"

    def read(self, data: bytes) -> CapReading:
        """Read one CAP document.

        Raises:
            MessageMalformed: Not XML, hostile XML, or not a CAP alert.
            MessageTooLarge: More than can be carried verbatim.
            FieldInvalid: An element without which an alert is none is missing or unusable.
        """
        return read_cap(data)

    def check(self, data: bytes) -> CapCheck:
        """Return the verdict on one file."""
        return check_cap(data)

    def check_all(self, data: bytes) -> tuple[tuple[str, CapCheck], ...]:
        """Return the verdict on every alert in a file: itself, or those in a feed or an EDXL distribution."""
        return check_all(data)

    def options(self, data: Mapping[str, object], folder: str, authorities: "frozenset[AuthorityId]") -> object:
        """Check the options of one [[connector]] table; see ports.ConnectorKind.

        Raises:
            pydantic.ValidationError: They cannot be used.
        """
        # What runs is imported only by who runs it: `concord alert check` answers at once.
        from adapters.connectors.cap.options import CapOptions  # noqa: PLC0415

        return CapOptions.model_validate(data, context={"folder": folder, "authorities": authorities})

    def open(self, options: object, desk: "Desk") -> "Connector":
        """Make a running connector from checked options."""
        from adapters.connectors.cap.options import CapOptions  # noqa: PLC0415
        from adapters.connectors.cap.running import RunningCap  # noqa: PLC0415

        if not isinstance(options, CapOptions):
            raise TypeError(type(options).__name__)
        return RunningCap(options, desk)
