"""Unwraps CAP alerts out of other XML: EDXL-DE 1.0 and 2.0, and whatever else holds whole alerts."""

from typing import Final

from lxml import etree

from adapters.connectors.cap.document import VERSIONS, read_tree
from adapters.connectors.cap.findings import Findings, Refused
from gateway.errors import MessageMalformed, MessageTooLarge

MAX_ALERTS: Final = 1_000
"""Contained in one document. The largest real file has 59."""
MAX_UNWRAPPED_BYTES: Final = 16_000_000
"""Of all alerts together. Each repeats the namespaces declared around it, so many small ones could become huge."""


def read_edxl(data: bytes) -> tuple[bytes, ...]:
    """Return the CAP alerts of an EDXL distribution, each a document of its own; unread and unchecked.

    Raises:
        MessageMalformed: Not XML, hostile, not EDXL-DE, or too many alerts.
        MessageTooLarge: The document, or all that it holds, is too large.
    """
    try:
        root, _ = read_tree(data, Findings())
    except Refused as refused:
        raise refused.error from None
    if etree.QName(root).localname != "EDXLDistribution":
        raise MessageMalformed("the document is not an EDXL distribution")
    return unwrap(root)


def unwrap(element: etree._Element) -> tuple[bytes, ...]:
    """Return the outermost CAP alerts below an element.

    Raises:
        MessageMalformed: There are too many.
        MessageTooLarge: They are too large together.
    """
    alerts: list[bytes] = []
    total = 0
    waiting = list(reversed(element))
    while waiting:
        child = waiting.pop()
        name = etree.QName(child)
        if name.localname != "alert" or name.namespace not in VERSIONS:
            waiting.extend(reversed(child))
            continue
        if len(alerts) == MAX_ALERTS:
            raise MessageMalformed(f"the document holds more than {MAX_ALERTS} alerts")
        alerts.append(etree.tostring(child, encoding="UTF-8", with_tail=False))
        total += len(alerts[-1])
        if total > MAX_UNWRAPPED_BYTES:
            raise MessageTooLarge("what the document holds", total, MAX_UNWRAPPED_BYTES)
    return tuple(alerts)
