"""Reads Atom and RSS feeds: what each entry is, where it links to, and the alerts it holds. Fetches nothing."""

from dataclasses import dataclass
from typing import Final

from lxml import etree

from adapters.connectors.cap.document import read_tree
from adapters.connectors.cap.edxl import unwrap
from adapters.connectors.cap.findings import Findings, Refused
from gateway.errors import FieldInvalid, MessageMalformed
from gateway.model.text import check_uri

MAX_ENTRIES: Final = 5_000
_MAX_LINKS: Final = 32
_MAX_TEXT: Final = 4096
_ROOTS: Final = frozenset({"feed", "rss", "RDF", "entry"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One entry or item."""

    id: str
    """As written, cut to 4,096 characters; empty when there is none."""
    updated: str
    """As written: feeds mislabel their zones, so it says that something changed, not when."""
    links: tuple[str, ...]
    """Addresses that may be links; others are left out."""
    alerts: tuple[bytes, ...]
    """Alerts inside the entry, each a document of its own; unread and unchecked."""


def read_feed(data: bytes) -> tuple[FeedEntry, ...]:
    """Return the entries of a feed in its order.

    Raises:
        MessageMalformed: Not XML, hostile, not a feed, or too many entries or alerts.
        MessageTooLarge: The feed, or what an entry holds, is too large.
    """
    try:
        root, _ = read_tree(data, Findings())
    except Refused as refused:
        raise refused.error from None
    name = etree.QName(root).localname
    if name not in _ROOTS:
        raise MessageMalformed("the document is not an Atom or RSS feed")
    found = [root] if name == "entry" else [*root.iterchildren("{*}entry", "{*}item")]
    for channel in root.iterchildren("{*}channel"):
        found.extend(channel.iterchildren("{*}item"))
    if len(found) > MAX_ENTRIES:
        raise MessageMalformed(f"the feed has more than {MAX_ENTRIES} entries")
    return tuple(map(_entry, found))


def _entry(element: etree._Element) -> FeedEntry:
    links: list[str] = []
    for link in element.iterchildren("{*}link"):
        address = (link.get("href") or link.text or "").strip()
        if address and len(address) <= _MAX_TEXT and len(links) < _MAX_LINKS and _is_link(address):
            links.append(address)
    return FeedEntry(
        id=_text(element, "id", "guid"),
        updated=_text(element, "updated", "pubDate", "date"),
        links=tuple(links),
        alerts=unwrap(element),
    )


def _text(element: etree._Element, *names: str) -> str:
    for name in names:
        for child in element.iterchildren(f"{{*}}{name}"):
            if text := (child.text or "").strip():
                return text[:_MAX_TEXT]
    return ""


def _is_link(address: str) -> bool:
    try:
        check_uri(address, "link")
    except FieldInvalid:
        return False
    return True
