"""Feeds and EDXL distributions: real ones get a verdict, hostile ones a typed refusal."""

from collections.abc import Callable

import pytest

from adapters.connectors.cap import check_cap
from adapters.connectors.cap.edxl import MAX_ALERTS, read_edxl
from adapters.connectors.cap.feed import MAX_ENTRIES, read_feed
from gateway.errors import MessageMalformed, MessageTooLarge
from tests.integration.test_cap_corpus import CORPUS, files

ALERT = '<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"/>'
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus here; name its folder in CONCORD_CORPUS")


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
        f"<EDXLDistribution>{ALERT * (MAX_ALERTS + 1)}</EDXLDistribution>".encode(),
    ):
        with pytest.raises(MessageMalformed):
            read(data)
    wide = f'<feed xmlns:x="urn:{"x" * 100_000}"><entry>{ALERT * 900}</entry></feed>'
    for data in (b"x" * 2_000_000, wide.encode(), wide.replace("feed", "EDXLDistribution").encode()):
        with pytest.raises((MessageTooLarge, MessageMalformed)):
            read(data)
