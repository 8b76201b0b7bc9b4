"""Takes alerts out of what they come wrapped in: Atom and RSS feeds, EDXL distributions, plain CAP.

Hostile XML is refused in the same way as in a CAP document, because it is the same parser.
"""

import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from lxml import etree

from adapters.connectors.cap.document import VERSIONS, read_tree
from adapters.connectors.cap.findings import Findings, Refused
from gateway.errors import MessageMalformed, MessageTooLarge

MAX_ALERTS: Final = 200
"""In one EDXL distribution; national ones hold one or two."""
MAX_ENTRIES: Final = 5_000
"""In one feed; the largest national feed of the corpus has some hundreds."""
_CAP_TYPES: Final = ("application/cap+xml", "application/common-alerting-protocol+xml")
_XML_TYPES: Final = (*_CAP_TYPES, "application/xml", "text/xml", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a feed: an alert inside it, or an address where it is."""

    key: str
    """Changes when the entry does, so that each version is fetched once."""
    inline: tuple[bytes, ...]
    link: str
    """Absolute; empty when the alert is inline or there is none."""


def unpack(data: bytes) -> tuple[bytes, ...]:
    """Return the CAP documents in a document: itself, or those in an EDXL distribution.

    Raises:
        MessageMalformed: Not XML, hostile XML, or a distribution without alerts.
        MessageTooLarge: Too many alerts.
    """
    if b"EDXLDistribution" not in data[:4096]:
        return (data,)
    return alerts_inside(_tree(data, len(data)))


def read_feed(data: bytes, url: str, max_bytes: int) -> tuple[Entry, ...]:
    """Return the entries of a feed in its order; a CAP document or a distribution counts as one entry.

    Args:
        url: Where it came from; relative links count from it.

    Raises:
        MessageMalformed: Not XML, hostile XML, or neither feed nor alert.
        MessageTooLarge: More bytes or entries than are taken.
    """
    root = _tree(data, max_bytes)
    name = etree.QName(root).localname
    if name == "alert":
        return (Entry(key="", inline=(data,), link=""),)
    if name == "EDXLDistribution":
        return (Entry(key="", inline=alerts_inside(root), link=""),)
    if name not in {"feed", "rss", "RDF", "rdf"}:
        raise MessageMalformed("the document is neither a feed nor an alert")
    elements = list(root.iter("{*}entry" if name == "feed" else "{*}item"))
    if len(elements) > MAX_ENTRIES:
        raise MessageTooLarge("the feed, counted in entries,", len(elements), MAX_ENTRIES)
    return tuple(_entry(element, url) for element in elements)


def read_container(data: bytes, max_bytes: int) -> tuple[Entry, ...]:
    """Return the entries of a feed, a distribution, or any other document with CAP alerts in it.

    Raises:
        MessageMalformed: Not XML, hostile XML, or no alert and no feed.
        MessageTooLarge: More bytes or entries than are taken.
    """
    try:
        return read_feed(data, "", max_bytes)
    except MessageMalformed:
        # Some agencies serve a plain list of alerts.
        return (Entry(key="", inline=alerts_inside(_tree(data, max_bytes)), link=""),)


def alerts_inside(root: etree._Element) -> tuple[bytes, ...]:
    """Return the alerts below an element, each as a document of its own.

    Raises:
        MessageMalformed: There is none.
        MessageTooLarge: There are too many.
    """
    found = list(_alerts(root))
    if not found:
        raise MessageMalformed("the distribution holds no CAP alert")
    if len(found) > MAX_ALERTS:
        raise MessageTooLarge("the distribution, counted in alerts,", len(found), MAX_ALERTS)
    return tuple(_document(alert) for alert in found)


def _alerts(root: etree._Element) -> Iterator[etree._Element]:
    for element in root.iter("{*}alert"):
        # What stands in keyXMLContent repeats pieces of the content.
        repeated = next(element.iterancestors("{*}keyXMLContent"), None) is not None
        if etree.QName(element).namespace in VERSIONS and not repeated:
            yield element


def _document(alert: etree._Element) -> bytes:
    # Exclusive canonical form: what stands around the alert leaves no trace, so that the same alert in the next
    # edition of a feed is the same bytes, and thus a repeat.
    alone = copy.deepcopy(alert)
    alone.tail = None
    return etree.tostring(alone, method="c14n", exclusive=True)


def _entry(element: etree._Element, url: str) -> Entry:
    inline = tuple(_document(alert) for alert in _alerts(element))[:MAX_ALERTS]
    if inline:
        return Entry(key=hashlib.sha256(b"".join(inline)).hexdigest(), inline=inline, link="")
    link = _link(element, url)
    parts = (_child(element, "id") or _child(element, "guid"), _child(element, "updated"), _child(element, "pubDate"))
    return Entry(key="\n".join((*parts, link)), inline=(), link=link)


def _child(element: etree._Element, name: str) -> str:
    found = element.find(f"{{*}}{name}")
    return (found.text or "").strip()[:2048] if found is not None else ""


def _link(element: etree._Element, url: str) -> str:
    """Return the address of the alert: what says it is CAP, else what may be."""
    best, rank = "", len(_XML_TYPES)
    for link in (*element.iterfind("{*}link"), *element.iterfind("{*}enclosure")):
        address = (link.get("href") or link.get("url") or link.text or "").strip()
        kind = (link.get("type") or "").partition(";")[0].strip().lower()
        if not address or link.get("rel", "alternate") not in {"alternate", "enclosure"} or kind not in _XML_TYPES:
            continue
        if _XML_TYPES.index(kind) < rank:
            best, rank = address, _XML_TYPES.index(kind)
    try:
        return urljoin(url, best)[:2048] if best else ""
    except ValueError:
        return ""


def _tree(data: bytes, max_bytes: int) -> etree._Element:
    try:
        root, _ = read_tree(data, Findings(), max_bytes)
    except Refused as refused:
        raise refused.error from None
    return root
