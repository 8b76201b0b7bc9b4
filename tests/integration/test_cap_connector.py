"""The CAP connector in real gateways: files and a national feed go in, another state's feed and folder show them."""

import asyncio
import gzip
import json
import os
import socket
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from lxml import etree

from adapters.connectors.cap import read_cap
from gateway.cli.admin import AdminClient
from tests.fixtures.feed_server import FeedServer, feed_server
from tests.fixtures.gateways import free_port
from tests.fixtures.quick_gateways import QuickGateway, start_all
from tests.integration.test_cap_corpus import CORPUS, XSD

EXAMPLES = Path(__file__).parents[2] / "examples" / "alerts"
ATOM = "{http://www.w3.org/2005/Atom}"
SOURCE = 'authority = "th/disaster-prevention"\nto = ["cn"]\nmode = "exercise"\n'


def alert(identifier: str, *, status: str = "Exercise", kind: str = "Alert", references: str = "") -> bytes:
    text = (EXAMPLES / "dam-release.xml").read_text(encoding="utf-8")
    text = text.replace("concord-example-dam-2026-001", identifier)
    text = text.replace("<status>Actual<", f"<status>{status}<").replace("<msgType>Alert<", f"<msgType>{kind}<")
    assert f">{status}<" in text
    assert f">{kind}<" in text
    if references:
        text = text.replace("</scope>", f"</scope><references>{references}</references>")
    return text.encode()


def until(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def status(gateway: QuickGateway):
    with AdminClient(gateway.home) as admin:
        return admin.status()


def problems(gateway: QuickGateway) -> str:
    return "\n".join(problem for item in status(gateway).connectors for problem in item.problems)


class World:
    """th takes in, cn shows."""

    def __init__(self, folder: Path, feeds: FeedServer) -> None:
        self.folder = folder
        self.feeds = feeds
        self.th = QuickGateway("th", folder / "th")
        self.cn = QuickGateway("cn", folder / "cn")
        self.port = free_port()
        self.inbox = folder / "in"
        self.outbox = folder / "out"
        self.sources: list[str] = []

    def feed(self, name: str, path: str, more: str = "") -> None:
        self.sources.append(
            f'[[connector.feed]]\nname = "{name}"\nurl = "{self.feeds.url}{path}"\nplain_http = true\n'
            f"interval_s = 0.2\n{more}{SOURCE}"
        )

    def settings(self, gateway: QuickGateway, text: str) -> None:
        path = gateway.home / "concord.toml"
        head = path.read_text(encoding="utf-8").split("# connectors of the test")[0]
        path.write_text(f"{head}\n# connectors of the test\n{text}", encoding="utf-8")

    def configure(self) -> None:
        self.settings(
            self.th,
            '[[connector]]\nname = "meteo"\nkind = "cap"\nauthorities = ["th/disaster-prevention"]\n'
            f'[[connector.watch]]\nname = "folder"\nfolder = "{self.inbox}"\nsettle_s = 0.1\n{SOURCE}'
            + "".join(self.sources),
        )
        self.settings(
            self.cn,
            '[[connector]]\nname = "public"\nkind = "cap"\nauthorities = ["cn/emergency-management"]\n'
            f'[connector.serve]\nlisten = "127.0.0.1:{self.port}"\nexercises = true\npage_size = 2\nburst = 100000\n'
            f'[connector.write]\nfolder = "{self.outbox}"\nexercises = true\nacknowledge = true\n',
        )

    def drop(self, name: str, data: bytes) -> None:
        (self.inbox / f".{name}").write_bytes(data)
        (self.inbox / f".{name}").rename(self.inbox / name)

    def restart_th(self, kill_at: tuple[str, int] | None = None) -> None:
        self.th.stop()
        self.configure()
        self.th.kill_at = kill_at
        self.th.launch()
        self.th.wait_ready()

    def identifiers_out(self) -> list[str]:
        return sorted(
            read_cap(path.read_bytes()).alert.identifier for path in self.outbox.glob("*.cap") if path.exists()
        )

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=named)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def served(self) -> list[tuple[str, str]]:
        """Return titles' links of all pages, newest first."""
        found: list[tuple[str, str]] = []
        path = "/feed.atom"
        while path:
            code, _, data = self.get(path)
            assert code == 200
            root = etree.fromstring(data)
            for entry in root.iter(f"{ATOM}entry"):
                link = entry.find(f"{ATOM}link").get("href")
                found.append((entry.findtext(f"{ATOM}id"), link.removeprefix(f"http://127.0.0.1:{self.port}")))
            following = root.find(f"{ATOM}link[@rel='next']")
            path = following.get("href").partition(str(self.port))[2] if following is not None else ""
        return found

    def deliveries(self, entry_id: str):
        with AdminClient(self.th.home) as admin:
            return admin.delivery(uuid.UUID(entry_id.removeprefix("urn:uuid:")).bytes).message.deliveries

    def states(self, entry_id: str) -> list[str]:
        message_id = uuid.UUID(entry_id.removeprefix("urn:uuid:")).bytes
        with AdminClient(self.cn.home) as admin:
            return [view.alert_state for view in admin.inbox(100).messages if view.message_id == message_id]

    def identifiers_served(self) -> list[str]:
        return [read_cap(self.get(path)[2]).alert.identifier for _, path in self.served()]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("w")
    with feed_server() as feeds:
        world = World(folder, feeds)
        world.inbox.mkdir()
        for gateway in (world.th, world.cn):
            gateway.init()
        world.configure()
        try:
            start_all(world.th, world.cn)
            world.th.befriend(world.cn)
            world.cn.befriend(world.th)
            yield world
        finally:
            world.th.kill()
            world.cn.kill()


def test_a_file_in_one_folder_comes_out_of_the_other_states_feed_and_folder(world):
    original = (EXAMPLES / "mekong-typhoon.xml").read_bytes()
    world.drop("typhoon.xml", original)
    until((world.inbox / "done" / "typhoon.xml").exists, "the file was not moved")
    until(world.identifiers_out, "no file came out")
    (path,) = world.outbox.glob("*.cap")
    assert path.read_bytes() == original
    until(world.served, "the feed stayed empty")
    ((entry_id, link),) = world.served()
    code, headers, data = world.get(link)
    assert (code, data) == (200, original)
    assert headers["Content-Type"] == "application/cap+xml"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert entry_id.removeprefix("urn:uuid:") in path.name
    assert len(read_cap(data).alert.infos) == len(read_cap(original).alert.infos) > 1
    if XSD.is_file():
        etree.XMLSchema(etree.parse(str(XSD))).assertValid(etree.fromstring(data))
    # The receiving system's take-over came back as a signed receipt.
    until(
        lambda: [item.state for item in world.deliveries(entry_id)] == ["acknowledged"],
        "no acknowledgement came back",
    )
    until(lambda: world.states(entry_id) == ["relayed"], "what was handed on is not marked so")


def test_conditional_requests_are_answered_with_304_until_something_changes(world):
    until(lambda: world.get("/feed.atom")[1].get("Last-Modified"), "no Last-Modified")
    _, headers, _ = world.get("/feed.atom")
    tag, modified = headers["ETag"], headers["Last-Modified"]
    code, _, body = world.get("/feed.atom", If_None_Match=f'"other", W/{tag}')
    assert (code, body) == (304, b"")
    assert world.get("/feed.atom", If_Modified_Since=modified)[0] == 304
    # The tag counts, the date does not, when both are there.
    assert world.get("/feed.atom", If_None_Match='"other"', If_Modified_Since=modified)[0] == 200
    world.drop("second.xml", alert("second"))
    until(lambda: world.get("/feed.atom", If_None_Match=tag)[0] == 200, "the change does not show")
    assert world.get("/feed.atom", If_Modified_Since=modified)[0] == 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", 404),
        ("/feed.atom?page=0", 404),
        ("/feed.atom?page=99", 404),
        ("/feed.atom?page=%D9%A1", 404),
        ("/alerts/th/019acf7e-1a2b-7c3d-8e4f-5a6b7c8d9e0f.cap", 404),
        ("/alerts/TH/x.cap", 404),
        ("/alerts/..%2f..%2fconcord.toml/x.cap", 404),
    ],
)
def test_what_is_not_there_is_not_found(world, path, code):
    answered, headers, body = world.get(path)
    assert (answered, body) == (code, b"not found\n")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_cancelled_alert_leaves_the_feed_but_stays_reachable(world):
    world.drop("c1.xml", alert("to-cancel"))
    until(lambda: "to-cancel" in world.identifiers_served(), "not served")
    links = {read_cap(world.get(path)[2]).alert.identifier: path for _, path in world.served()}
    reading = read_cap(alert("to-cancel")).alert
    sent = etree.fromstring(alert("x")).findtext("{*}sent")
    world.drop("c2.xml", alert("the-cancel", kind="Cancel", references=f"{reading.source_sender},to-cancel,{sent}"))
    until(lambda: "the-cancel" in world.identifiers_served(), "the cancellation is not served")
    served = world.identifiers_served()
    assert "to-cancel" not in served
    assert served[0] == "the-cancel"
    assert world.get(links["to-cancel"])[0] == 200


def test_files_that_cannot_be_taken_are_refused_with_a_reason(world):
    inbox, refused = world.inbox, world.inbox / "refused"
    (inbox / "secret").mkdir()
    (inbox / "secret" / "key.xml").write_bytes(alert("through-a-link"))
    (inbox / "link.xml").symlink_to(inbox / "secret" / "key.xml")
    (inbox / "dangling.xml").symlink_to("/nowhere")
    os.mkfifo(inbox / "pipe.xml")
    with (inbox / "huge.xml").open("wb") as file:
        file.truncate(1 << 32)
    world.drop("empty.xml", b"")
    world.drop("entity.xml", (EXAMPLES / "hostile-entity.xml").read_bytes())
    world.drop("actual.xml", alert("actual", status="Actual"))
    world.drop("draft.xml", alert("draft", status="Draft"))
    world.drop("json.xml", b'{"a": 1}')
    world.drop("half.tmp", alert("never-looked-at"))
    wanted = {
        "link.xml": "link", "dangling.xml": "link", "pipe.xml": "no plain file", "huge.xml": "at most",
        "empty.xml": "empty", "entity.xml": "DTD", "actual.xml": "Exercise only", "draft.xml": "Exercise only",
        "json.xml": "JSON",
    }  # fmt: skip
    until(lambda: all(os.path.lexists(refused / name) for name in wanted), "not all were refused")
    for name, words in wanted.items():
        reason = json.loads((refused / f"{name}.reason.json").read_text())
        (verdict,) = reason["alerts"]
        assert verdict["verdict"] == "refused"
        assert words in verdict["message"], verdict
        assert verdict["reason"]
        assert verdict["advice"]
    assert (inbox / "half.tmp").exists()
    assert (inbox / "secret" / "key.xml").exists()
    served = world.identifiers_served()
    assert not {"through-a-link", "actual", "draft", "never-looked-at"} & set(served)


def test_a_file_that_still_grows_is_not_read(world):
    data = alert("grown")
    with (world.inbox / "growing.xml").open("wb") as file:
        # Longer than it takes to settle, but never still for so long.
        for start in range(0, len(data), max(1, len(data) // 20)):
            file.write(data[start : start + max(1, len(data) // 20)])
            file.flush()
            time.sleep(0.02)
    until((world.inbox / "done" / "growing.xml").exists, "not taken")
    until(lambda: "grown" in world.identifiers_out(), "did not arrive")


def test_the_same_content_again_is_a_repeat_under_whatever_name(world):
    sent = status(world.th).messages_sent
    world.drop("again.xml", (EXAMPLES / "mekong-typhoon.xml").read_bytes())
    world.drop("typhoon.xml", (EXAMPLES / "mekong-typhoon.xml").read_bytes())
    until(lambda: len(list((world.inbox / "done").glob("*typhoon.xml"))) == 2, "not moved")
    until((world.inbox / "done" / "again.xml").exists, "not moved")
    assert status(world.th).messages_sent == sent


def test_hundreds_of_files_at_once_all_go_out_once(world):
    names = {f"many-{number:04d}" for number in range(300)}
    for name in names:
        world.drop(f"{name}.xml", alert(name))
    until(lambda: len(list((world.inbox / "done").glob("many-*.xml"))) == 300, "not all were taken", 110)
    until(lambda: names <= set(world.identifiers_out()), "not all came out", 110)
    out = world.identifiers_out()
    assert len(out) == len(set(out))


def test_killed_between_submitting_and_moving_the_file_goes_out_once(world):
    before = status(world.th).messages_sent
    world.restart_th(kill_at=("message-main-after", 1))
    world.drop("killed.xml", alert("killed"))
    assert world.th.wait_end() == -9
    assert (world.inbox / "killed.xml").exists()
    world.th.kill_at = None
    world.th.launch()
    world.th.wait_ready()
    until((world.inbox / "done" / "killed.xml").exists, "not moved")
    until(lambda: "killed" in world.identifiers_out(), "did not arrive")
    assert status(world.th).messages_sent == before + 1


def test_a_national_feed_in_all_its_moods(world):
    feeds = world.feeds
    calls: dict[str, int] = {}

    def count(name: str) -> int:
        calls[name] = calls.get(name, 0) + 1
        return calls[name]

    async def conditional(request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"':
            count("304")
            return web.Response(status=304)
        links = "".join(
            f'<entry><id>{name}</id><updated>1</updated><link type="application/cap+xml" href="{href}"/></entry>'
            for name, href in (
                ("b", "b.cap"),
                ("evil", "http://169.254.169.254/latest"),
                ("port", "http://127.0.0.1:1/x"),
                ("file", "file:///etc/passwd"),
                ("gone", "gone.cap"),
                ("a", "/good/a.cap"),
            )
        )
        inline = alert("inline").partition(b"?>")[2].decode()
        body = f'<feed xmlns="{ATOM[1:-1]}">{links}<entry><id>i</id><content>{inline}</content></entry></feed>'
        return web.Response(body=gzip.compress(body.encode()), headers={"ETag": '"v1"', "Content-Encoding": "gzip"})

    async def recovers(_: web.Request) -> web.StreamResponse:
        if count("500") <= 1:
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.Response(body=alert("after-503"))

    async def slow(_: web.Request) -> web.StreamResponse:
        count("slow")
        response = web.StreamResponse()
        await response.prepare(_)
        for _number in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.5)
        return response

    async def bomb(_: web.Request) -> web.StreamResponse:
        count("bomb")
        return web.Response(
            body=gzip.compress(gzip.compress(b"\0" * 10) + b"\0" * (64 << 20)), headers={"Content-Encoding": "gzip"}
        )

    async def loop(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/loop")

    async def moved(_: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/good/moved.cap")

    async def astray(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://localhost:1/secret")

    feeds.answers |= {
        "/good/feed.atom": conditional,
        "/good/a.cap": alert("linked-a"),
        "/good/b.cap": alert("linked-b"),
        "/good/moved.cap": alert("moved"),
        "/recovers": recovers,
        "/slow": slow,
        "/bomb": bomb,
        "/loop": loop,
        "/moved": moved,
        "/astray": astray,
        "/hostile": b'<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed>&x;</feed>',
    }
    world.feed("slow", "/slow", "timeout_s = 1.0\n")
    for name in ("recovers", "bomb", "loop", "moved", "astray", "hostile"):
        world.feed(name, f"/{name}")
    world.feed("good", "/good/feed.atom")
    world.feed("nobody", "/", 'hosts = ["elsewhere.example"]\n')
    world.restart_th()
    wanted = {"linked-a", "linked-b", "inline", "after-503", "moved"}
    until(lambda: wanted <= set(world.identifiers_out()), "an alert of a feed is missing")
    until(lambda: calls.get("304", 0) >= 2, "no conditional request was made")
    assert len(feeds.asked["/good/a.cap"]) == len(feeds.asked["/good/b.cap"]) == 1
    assert len(feeds.asked["/good/gone.cap"]) == 1
    for words in (
        "feed slow: no whole answer",
        "feed bomb: the answer has more than",
        "feed loop: more than 3 redirects",
        "feed astray: the address is not on an allowed host",
        "feed hostile: the document declares a document type",
        "feed nobody: the server answered 404",
        "feed good: an alert of the feed was given up",
    ):
        until(lambda words=words: words in problems(world.th), f"{words} is not in the status: {problems(world.th)}")
    # The connector as a whole runs, and so does the gateway.
    assert [(item.name, item.state, item.failures) for item in status(world.th).connectors] == [("meteo", "running", 0)]
    shown = world.th.run("status", expect=4).stdout
    assert "meteo   cap running" in shown
    assert "feed loop: more than 3 redirects" in shown
    # Restarted, everything is fetched once more and nothing goes out twice.
    sent = status(world.th).messages_sent
    world.restart_th()
    until(lambda: len(feeds.asked["/good/b.cap"]) == 2, "not fetched again")
    until(lambda: calls["304"] >= 4, "not settled again")
    assert status(world.th).messages_sent == sent


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir() and "CI" not in os.environ, reason="no corpus here")
def test_every_feed_of_the_corpus_is_read_and_none_stops_the_connector(world):
    world.sources.clear()
    paths = [
        path for folder in ("cap-feed", "edxl-de") for path in sorted((CORPUS / folder).rglob("*")) if path.is_file()
    ]
    assert paths
    for number, path in enumerate(paths):
        world.feeds.answers[f"/corpus/{number}"] = path.read_bytes()
        world.feed(f"corpus-{number}", f"/corpus/{number}")
    world.restart_th()
    # Asked twice: the first answer was worked through.
    until(
        lambda: all(len(world.feeds.asked[f"/corpus/{number}"]) >= 2 for number in range(len(paths))),
        "a feed was not asked again",
    )
    assert [(item.state, item.failures) for item in status(world.th).connectors] == [("running", 0)]


def test_an_address_in_use_is_told_and_tried_again_and_the_gateway_lives(world):
    world.cn.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", world.port))
        taken.listen()
        world.cn.launch()
        world.cn.wait_ready()
        until(lambda: status(world.cn).connectors[0].state == "failing", "no failure is told")
        assert "OSError" in problems(world.cn)
    until(lambda: status(world.cn).connectors[0].state == "running", "not started again")
    until(lambda: world.get("/feed.atom")[0] == 200, "not served again")
