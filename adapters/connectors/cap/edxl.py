"""Unwraps CAP alerts out of EDXL-DE 1.0 and 2.0, and whole alerts out of any other element."""

from collections.abc import Iterator
from typing import Final

from lxml import etree

from adapters.connectors.cap.document import VERSIONS, read_tree
from adapters.connectors.cap.findings import Findings, Refusal, Refused
from gateway.errors import MessageMalformed, MessageTooLarge

MAX_ALERTS: Final = 1_000
"""Contained in one document. The largest real file has 59."""
MAX_UNWRAPPED_BYTES: Final = 16_000_000
"""Of all alerts together. Each repeats the namespaces declared around it, so many small ones could become huge."""
_COPIES: Final = "keyXMLContent"
"""EDXL's place for fragments copied out of the content, so not a second alert."""


class Allowance:
    """What may still be unwrapped of one document: one running total, however many parts it has."""

    def __init__(self) -> None:
        self._alerts = 0
        self._bytes = 0

    def spend(self, size: int) -> None:
        """Count one alert.

        Raises:
            Refused: There are too many, or they are too large together.
        """
        self._alerts += 1
        self._bytes += size
        if self._alerts > MAX_ALERTS:
            problem = MessageMalformed(f"the document holds more than {MAX_ALERTS} alerts")
            raise Refused(Refusal.TOO_MANY_NODES, problem)
        if self._bytes > MAX_UNWRAPPED_BYTES:
            problem_size = MessageTooLarge("what the document holds", self._bytes, MAX_UNWRAPPED_BYTES)
            raise Refused(Refusal.TOO_LARGE, problem_size)


def read_edxl(data: bytes) -> tuple[bytes, ...]:
    """Return the CAP alerts of an EDXL distribution, each a document of its own; unread and unchecked.

    Raises:
        MessageMalformed: Not XML, hostile, not EDXL-DE, or too many alerts.
        MessageTooLarge: The document, or all that it holds, is too large.
    """
    try:
        root, _ = read_tree(data, Findings())
        if etree.QName(root).localname != "EDXLDistribution":
            raise MessageMalformed("the document is not an EDXL distribution")
        return unwrap_edxl(root, Allowance())
    except Refused as refused:
        raise refused.error from None


def unwrap_edxl(root: etree._Element, allowance: Allowance) -> tuple[bytes, ...]:
    """Return the alerts that a distribution carries as XML content: xmlContent in DE 1.0, contentXML in DE 2.0.

    Raises:
        Refused: There are too many, or they are too large together.
    """
    alerts: list[bytes] = []
    # DE 2.0 puts its content objects into one element more.
    for content in (*root.iterchildren("{*}contentObject"), *root.iterfind("{*}content/{*}contentObject")):
        for holder in content.iterchildren("{*}xmlContent", "{*}contentXML"):
            alerts.extend(unwrap(holder, allowance))
    return tuple(alerts)


def unwrap(element: etree._Element, allowance: Allowance) -> tuple[bytes, ...]:
    """Return the outermost CAP alerts below an element.

    Raises:
        Refused: There are too many, or they are too large together.
    """
    return tuple(cut_out(found, allowance) for found in _outermost(element))


def cut_out(alert: etree._Element, allowance: Allowance) -> bytes:
    """Return one element as a document of its own.

    Raises:
        Refused: It is one too many, or too large with the others.
    """
    data = etree.tostring(alert, encoding="UTF-8", with_tail=False)
    allowance.spend(len(data))
    return data


def _outermost(element: etree._Element) -> Iterator[etree._Element]:
    waiting = list(reversed(element))
    while waiting:
        child = waiting.pop()
        name = etree.QName(child)
        if name.localname == "alert" and name.namespace in VERSIONS:
            yield child
        elif name.localname != _COPIES:
            waiting.extend(reversed(child))
