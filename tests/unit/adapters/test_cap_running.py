"""Parts of the running CAP connector that need no gateway: options, unpacking, writing, rates."""

from pathlib import Path

import pytest

from adapters.connectors.cap import read_cap
from adapters.connectors.cap.fetch import MAX_RETRY_AFTER_S, Fetcher
from adapters.connectors.cap.options import CapOptions
from adapters.connectors.cap.render import cap_document
from adapters.connectors.cap.serve import MAX_CALLERS, Rates
from adapters.connectors.cap.unpack import MAX_ALERTS, read_feed, unpack
from gateway.config import load_config
from gateway.errors import ConfigInvalid, MessageMalformed, MessageTooLarge
from gateway.installation.connectors import plan_connectors
from gateway.model.header import Mode

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "alerts"
HEAD = (
    'partner = "th"\nmode = "exercise"\n[[connector]]\nname = "a"\nkind = "cap"\n'
    'authorities = ["th/disaster-prevention"]\n'
)
WATCH = (
    '[[connector.watch]]\nname = "w"\nfolder = "in"\nauthority = "th/disaster-prevention"\nto = ["cn"]\nmode = "test"\n'
)
FEED = (
    '[[connector.feed]]\nname = "f"\nurl = "https://x.example/f"\nauthority = "th/disaster-prevention"\n'
    'to = "all"\nmode = "test"\n'
)


def plan(home: Path, text: str):
    (home / "concord.toml").write_text(text, encoding="utf-8")
    return plan_connectors(home, load_config(home))


def test_a_good_table_is_taken_and_paths_count_from_the_home(tmp_path):
    (planned,) = plan(tmp_path, HEAD + WATCH + FEED)
    assert planned.submitter.principal == "connector/a"
    assert isinstance(planned.options, CapOptions)
    assert planned.options.watch[0].folder == tmp_path / "in"
    assert planned.options.feed[0].recipients is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "at least one of watch, feed, serve and write"),
        (HEAD + WATCH + "sttle_s = 1\n", "concord.toml:13: connector.watch.sttle_s: unknown key"),
        (HEAD + WATCH + WATCH.replace('"w"', '"v"').replace('"in"', '"b"') + 'urgency = "U9"\n', "concord.toml:19: "),
        (HEAD + WATCH + FEED.replace('"f"', '"w"'), "'w' is given to two sources"),
        (HEAD + WATCH + '[connector.write]\nfolder = "in/out"\n', "used twice or holds another"),
        (HEAD + WATCH + '[connector.write]\nfolder = "in"\n', "used twice or holds another"),
        (HEAD + FEED.replace("https:", "http:"), "plain_http must be true"),
        (HEAD + FEED.replace("https://", "https://u:p@"), "must be a URL"),
        (HEAD + FEED.replace("https://x", "file://x"), "must be a URL"),
        (HEAD + FEED.replace("https://x.example/f", "https://[::1"), "must be a URL"),
        (HEAD + FEED.replace('"all"', "[]"), "must be 'all' or name partners"),
        (HEAD + FEED.replace('"all"', '["cn", "cn"]'), "must be 'all' or name partners"),
        (HEAD + '[connector.serve]\nlisten = "127.0.0.1:99999"\n', "must be host:port"),
        (HEAD + '[connector.serve]\nlisten = "127.0.0.1:1"\nkey = "k"\n', "state both or none"),
        (HEAD.replace('"cap"', '"nothing"') + WATCH, "no connector 'nothing' is installed; installed: cap"),
        (HEAD.replace('"th/d', '"la/d') + WATCH, "is not an authority of 'th'"),
        (HEAD + WATCH + HEAD.partition("[[")[1] + HEAD.partition("[[")[2] + WATCH, "connector: 'a' is listed twice"),
        (HEAD + WATCH.replace('authority = "th/dis', 'authority = "th/fish'), "connector may not speak for"),
    ],
)
def test_a_bad_table_is_refused_with_its_place(tmp_path, text, said):
    with pytest.raises(ConfigInvalid) as caught:
        plan(tmp_path, text)
    assert said in caught.value.text


def edxl(*alerts: bytes) -> bytes:
    inside = b"".join(alert.partition(b"?>")[2] for alert in alerts)
    return b'<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:1.0">' + inside + b"</EDXLDistribution>"


def test_an_alert_is_the_same_bytes_whatever_stands_around_it():
    data = (EXAMPLES / "mekong-typhoon.xml").read_bytes()
    (first,) = unpack(edxl(data))
    wrapped = b'<x:feed xmlns:x="http://www.w3.org/2005/Atom" xmlns:y="urn:y"><x:entry>\n'
    (entry,) = read_feed(wrapped + data.partition(b"?>")[2] + b"\n</x:entry></x:feed>", "https://x/", 1 << 20)
    assert entry.inline == (first,)
    assert read_cap(first).alert.infos == read_cap(data).alert.infos


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", MessageMalformed),
        (b"<html/>", MessageMalformed),
        (b"<feed", MessageMalformed),
        (b'<!DOCTYPE rss SYSTEM "http://x/rss.dtd"><rss/>', MessageMalformed),
        (b"<feed>" + b"<a>" * 200 + b"</a>" * 200 + b"</feed>", MessageMalformed),
        (b"<feed>" + b"<entry/>" * 5001 + b"</feed>", MessageTooLarge),
        (b"<feed>" + b" " * (1 << 20) + b"</feed>", MessageTooLarge),
        (edxl(), MessageMalformed),
        (edxl(*[b'?><alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"/>'] * (MAX_ALERTS + 1)), MessageTooLarge),
    ],
)
def test_what_is_no_feed_is_refused(data, error):
    with pytest.raises(error):
        read_feed(data, "https://x/", 1 << 20)


def test_links_prefer_what_says_it_is_cap():
    feed = (
        b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><link href="page.html" type="text/html"/>'
        b'<link href="a.xml"/><link href="a.cap" type="application/cap+xml; charset=utf-8"/></entry>'
        b"<entry><id>2</id><link rel='self' href='self'/></entry></feed>"
    )
    first, second = read_feed(feed, "https://x.example/dir/feed", 1 << 20)
    assert first.link == "https://x.example/dir/a.cap"
    assert second.link == ""
    (item,) = read_feed(b"<rss><channel><item><link>/b</link></item></channel></rss>", "https://x.example/r", 1 << 20)
    assert item.link == "https://x.example/b"


def options(**change):
    data = {"name": "f", "url": "https://x.example/f", "authority": "th/a", "to": "all", "mode": "test", **change}
    return CapOptions.model_validate({"feed": [data]}).feed[0]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://x.example/other", True),
        ("https://y.example/", True),
        ("http://x.example/", False),
        ("https://x.example:8443/", False),
        ("https://y.example:22/", False),
        ("https://x.example@evil.example/", False),
        ("https://x.example.evil.example/", False),
        ("https://127.0.0.1/", False),
        ("file:///etc/passwd", False),
        ("", False),
        ("https://[", False),
    ],
)
def test_only_listed_hosts_are_called(url, allowed):
    assert Fetcher(options(hosts=["y.example"]), lambda: 0).allowed(url) is allowed


def test_retry_after_is_seconds_or_a_date_and_never_for_ever():
    fetcher = Fetcher(options(), lambda: 784_111_777_000)
    assert fetcher._retry_after("120") == 120
    assert fetcher._retry_after("Sun, 06 Nov 1994 08:50:37 GMT") == 60
    assert fetcher._retry_after("Sun, 06 Nov 1994 08:00:00 GMT") == 0
    assert fetcher._retry_after("9" * 5000) == MAX_RETRY_AFTER_S
    for odd in ("", "soon", "-1", "\u0661"):
        assert fetcher._retry_after(odd) is None


def test_a_caller_has_its_rate_and_memory_stays_bounded():
    now = [0]
    rates = Rates(2.0, 2, lambda: now[0])
    assert [rates.take("a"), rates.take("a")] == [0, 0]
    assert rates.take("a") == pytest.approx(0.5)
    assert rates.take("b") == 0
    now[0] = 500
    assert rates.take("a") == 0
    for number in range(MAX_CALLERS + 10):
        rates.take(str(number))
    assert len(rates._buckets) == MAX_CALLERS


def test_an_original_leaves_as_it_came_only_when_it_tells_the_truth():
    data = (EXAMPLES / "mekong-typhoon.xml").read_bytes()
    alert = read_cap(data).alert
    assert cap_document(alert, Mode.EXERCISE) == data
    rewritten = cap_document(alert, Mode.ACTUAL)
    assert rewritten != data
    assert read_cap(rewritten).status == "Actual"
    assert read_cap(rewritten).alert.infos == alert.infos


def test_alerts_that_only_repeat_the_content_are_left_out():
    one = (EXAMPLES / "dam-release.xml").read_text().partition("?>")[2]
    for version, content in (("1.0", "xmlContent"), ("2.0", "contentXML")):
        text = (
            f'<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:{version}"><contentObject><{content}>'
            f"<keyXMLContent>{one}</keyXMLContent><embeddedXMLContent>{one}</embeddedXMLContent>"
            f"</{content}></contentObject></EDXLDistribution>"
        )
        assert len(unpack(text.encode())) == 1
