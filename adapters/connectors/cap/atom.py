"""Writes Atom feeds (RFC 4287) of alerts, paged as RFC 5005 section 3 has it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from lxml import etree

from adapters.connectors.cap.shown import Listed
from gateway.model.text import FORBIDDEN_IN_TEXT

ATOM: Final = "http://www.w3.org/2005/Atom"
CAP_TYPE: Final = "application/cap+xml"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def alert_path(item: Listed) -> str:
    """Return the path under which an alert is served. Ids are unique for a sender only, so the sender stands in it."""
    return f"/alerts/{item.sender}/{item.message_id}.cap"


def feed(items: Sequence[Listed], *, base: str, title: str, page: int, pages: int) -> bytes:
    """Return one page of a feed.

    Args:
        base: What links begin with, without a slash at the end.
        page: Counts from 1.
    """
    root = etree.fromstring(f'<feed xmlns="{ATOM}"/>')
    _add(root, "id", f"{base}/feed.atom")
    _add(root, "title", title)
    _add(root, "updated", _time(max((item.time_ms for item in items), default=0)))
    _link(root, "self", _page(base, page), "application/atom+xml")
    for relation, number in (("first", 1), ("previous", page - 1), ("next", page + 1), ("last", pages)):
        if 1 <= number <= pages:
            _link(root, relation, _page(base, number), "application/atom+xml")
    for item in items:
        entry = etree.SubElement(root, f"{{{ATOM}}}entry")
        _add(entry, "id", f"urn:uuid:{item.message_id}")
        _add(entry, "title", item.title)
        _add(entry, "updated", _time(item.time_ms))
        _add(etree.SubElement(entry, f"{{{ATOM}}}author"), "name", item.author)
        _add(entry, "summary", item.summary or item.title)
        _link(entry, "alternate", base + alert_path(item), CAP_TYPE)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _page(base: str, page: int) -> str:
    return f"{base}/feed.atom" if page == 1 else f"{base}/feed.atom?page={page}"


def _time(time_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _link(parent: etree._Element, relation: str, address: str, kind: str) -> None:
    etree.SubElement(parent, f"{{{ATOM}}}link", rel=relation, type=kind, href=address)


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{ATOM}}}{name}").text = FORBIDDEN_IN_TEXT.sub("", text)
