"""Opens files that hold alerts instead of being one: feeds, EDXL distributions and lists. Fetches nothing."""

from dataclasses import dataclass

from lxml import etree

from adapters.connectors.cap.document import read_tree
from adapters.connectors.cap.edxl import Allowance, cut_out, unwrap, unwrap_edxl
from adapters.connectors.cap.feed import entries_of
from adapters.connectors.cap.findings import Findings


@dataclass(frozen=True, slots=True)
class Contents:
    """What a container holds."""

    alerts: tuple[bytes, ...]
    """Each a document of its own; unread and unchecked."""
    summary: str
    """In words, for a container without any alert."""


def open_container(data: bytes) -> Contents:
    """Return what a feed, a distribution or a list of alerts holds.

    Raises:
        Refused: Not XML, hostile, or more than is unwrapped of one file.
    """
    root, _ = read_tree(data, Findings())
    name = etree.QName(root).localname
    if name == "EDXLDistribution":
        return Contents(unwrap_edxl(root, Allowance()), "an EDXL distribution without a CAP alert in XML content")
    if name == "alerts":
        # An aggregator's list: what stands in it is called an alert, so each gets a verdict whatever its namespace.
        allowance = Allowance()
        alerts = tuple(cut_out(child, allowance) for child in root.iterchildren("{*}alert"))
        return Contents(alerts, "a list without alerts")
    entries = entries_of(root, Allowance())
    # Some feeds have alerts beside their entries.
    alerts = unwrap(root, Allowance())
    links = sum(len(entry.links) for entry in entries)
    inside = f"entries: {len(entries)}, links: {links}"
    return Contents(alerts, f"a feed without an alert inside ({inside}); links are not followed")
