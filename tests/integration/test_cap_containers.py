"""Feeds and EDXL distributions: real ones get a verdict, hostile ones a typed refusal."""

import os
from collections.abc import Callable

import pytest

from adapters.connectors.cap import check_cap, check_file
from adapters.connectors.cap.edxl import MAX_ALERTS, read_edxl
from adapters.connectors.cap.feed import MAX_ENTRIES, read_feed
from gateway.errors import MessageMalformed, MessageTooLarge
from tests.integration.test_cap_corpus import CORPUS, files

ALERT = '<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"/>'
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir() and "CI" not in os.environ, reason="no corpus here; name its folder in CONCORD_CORPUS"
)


def distribution(inside: str) -> bytes:
    content = f"<contentObject><xmlContent>{inside}</xmlContent></contentObject>"
    return f"<EDXLDistribution>{content}</EDXLDistribution>".encode()


@needs_corpus
@pytest.mark.corpus
def test_alerts_of_every_real_distribution_are_read() -> None:
    counts = sorted(len(read_edxl(path.read_bytes())) for path in files("edxl-de"))
    assert counts == [1, 7, 7, 59]
    for path in files("edxl-de"):
        assert all(check_cap(alert).version == "1.2" for alert in read_edxl(path.read_bytes())), path.name


@needs_corpus
@pytest.mark.corpus
def test_every_real_feed_is_read_or_refused_by_type() -> None:
    refused = set()
    for path in files("cap-feed"):
        try:
            entries = read_feed(path.read_bytes())
        except MessageMalformed:
            refused.add(path.name)
            continue
        for entry in entries:
            assert all(check_cap(alert).verdict for alert in entry.alerts)
    assert refused == {"xee.atom", "pelmorex.atom", "smhi.se.alerts.cap"}


def test_entries_keep_safe_links_and_alerts() -> None:
    feed = f'<feed><entry><id>a</id><link href="javascript:x"/><link href="https://x.test/1"/>{ALERT}</entry></feed>'
    (entry,) = read_feed(feed.encode())
    assert (entry.id, entry.links, len(entry.alerts)) == ("a", ("https://x.test/1",), 1)
    (item,) = read_feed(b"<rss><channel><item><guid>g</guid><link>http://x.test/2</link></item></channel></rss>")
    assert (item.id, item.links, item.alerts) == ("g", ("http://x.test/2",), ())


@pytest.mark.parametrize("read", [read_feed, read_edxl])
def test_hostile_and_other_documents_are_refused(read: Callable[[bytes], object]) -> None:
    for data in (
        b"",
        b"{}",
        b"<other/>",
        b"<feed>",
        b'<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed>&x;</feed>',
        b"<feed>" + b"<a>" * 100_000,
        b"<feed>" + b"<entry/>" * (MAX_ENTRIES + 1) + b"</feed>",
        distribution(ALERT * (MAX_ALERTS + 1)),
    ):
        with pytest.raises(MessageMalformed):
            read(data)
    wide = f'<x xmlns:x="urn:{"x" * 100_000}">{ALERT * 900}</x>'
    for data in (b"x" * 2_000_000, f"<feed><entry>{wide}</entry></feed>".encode(), distribution(wide)):
        with pytest.raises((MessageTooLarge, MessageMalformed)):
            read(data)


def test_what_all_entries_hold_counts_together() -> None:
    # Each entry alone is far below the bound; the namespace declared on the feed is repeated in every alert.
    entries = f"<entry>{ALERT * 9}</entry>" * 20
    feed = f'<feed xmlns:x="urn:{"x" * 100_000}">{entries}</feed>'.encode()
    with pytest.raises(MessageTooLarge):
        read_feed(feed)
    (check,) = check_file(feed)
    assert (check.verdict, check.reason) == ("refused", "cap.too_large")
    many = f"<feed>{f'<entry>{ALERT * 10}</entry>' * 101}</feed>".encode()
    with pytest.raises(MessageMalformed):
        read_feed(many)
    assert check_file(many)[0].reason == "cap.too_many_nodes"


def alert(identifier: str, namespace: str = "urn:oasis:names:tc:emergency:cap:1.2") -> str:
    return (
        f'<alert xmlns="{namespace}"><identifier>{identifier}</identifier><sender>s</sender>'
        "<sent>2026-11-23T10:00:00+07:00</sent><status>Test</status><msgType>Alert</msgType><scope>Public</scope></alert>"
    )


@pytest.mark.parametrize(
    ("version", "before", "holder", "after"),
    [("1.0", "", "xmlContent", ""), ("2.0", "<content>", "contentXML", "</content>")],
)
def test_distributions_give_their_xml_content_and_nothing_else(
    version: str, before: str, holder: str, after: str
) -> None:
    data = (
        f'<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:{version}"><distributionID>d</distributionID>'
        f"{alert('stray')}{before}"
        f"<contentObject><{holder}><keyXMLContent>{alert('copy')}</keyXMLContent>"
        f"<embeddedXMLContent>{alert('one')}</embeddedXMLContent>"
        f"<embeddedXMLContent>{alert('two')}</embeddedXMLContent></{holder}></contentObject>"
        f"<contentObject><nonXMLContent>{alert('other')}</nonXMLContent></contentObject>"
        f"<contentObject><{holder}><embeddedXMLContent>{alert('three')}</embeddedXMLContent></{holder}></contentObject>"
        f"{after}</EDXLDistribution>"
    ).encode()
    assert [check.identifier for check in check_file(data)] == ["one", "two", "three"]
    assert len(read_edxl(data)) == 3


def test_lists_of_alerts_are_containers() -> None:
    checks = check_file(f"<alerts>{alert('a')}{alert('b', 'urn:other')}<x/>{alert('c')}</alerts>".encode())
    assert [(check.number, check.identifier, check.reason) for check in checks] == [
        (1, "a", ""),
        (2, "", "cap.namespace_unknown"),
        (3, "c", ""),
    ]


@pytest.mark.parametrize(
    "data",
    [b"<alerts/>", b"<feed><entry><link href='https://x.test/'/></entry></feed>", b"<rss/>", b"<EDXLDistribution/>"],
)
def test_a_container_without_alerts_says_so(data: bytes) -> None:
    (check,) = check_file(data)
    assert (check.verdict, check.reason, check.number) == ("no_alerts", "", 0)
    assert "without" in check.detail
