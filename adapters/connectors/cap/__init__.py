"""The CAP connector: takes in alerts of the Common Alerting Protocol 1.0, 1.1 and 1.2 (docs/reference/cap.md)."""

from typing import ClassVar

from adapters.connectors.cap.check import CapCheck, check_cap, check_file
from adapters.connectors.cap.document import MAX_ORIGINAL_BYTES
from adapters.connectors.cap.read import CapReading, read_cap

__all__ = ["MAX_ORIGINAL_BYTES", "CapCheck", "CapConnector", "CapReading", "check_cap", "check_file", "read_cap"]


class CapConnector:
    """Reads CAP files for whoever finds it by its entry point."""

    name: ClassVar[str] = "cap"

    def read(self, data: bytes, now_ms: int) -> CapReading:
        """Read one CAP document.

        Raises:
            MessageMalformed: Not XML, hostile XML, or not a CAP alert.
            MessageTooLarge: More than can be carried verbatim.
            FieldInvalid: An element without which an alert is none is missing or unusable.
        """
        return read_cap(data, now_ms)

    def check(self, data: bytes, now_ms: int) -> tuple[CapCheck, ...]:
        """Return the verdict on a file, or on each alert inside it."""
        return check_file(data, now_ms)
