"""What national systems may see: only what is known to be for them, and only what is current."""

from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from adapters.connectors.cap import read_cap
from adapters.connectors.cap.options import CapOptions
from adapters.connectors.cap.serve import Server
from adapters.connectors.cap.shown import Shelf, may_show, shown_alert
from gateway.errors import NotFound, StoreUnavailable
from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
from gateway.model.alert import AlertReference, AlertType
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.message import Body, Handling, Onward, Ping, Tlp
from gateway.ports import DeskMessage, MessageRow

EXAMPLE = Path(__file__).parents[3] / "examples" / "alerts" / "mekong-typhoon.xml"
ALERT = read_cap(EXAMPLE.read_bytes()).alert
NOW_MS = 1_795_653_865_182
ROW = MessageRow(
    sent=False,
    sender=PartnerId("th"),
    message_id=MessageId(bytes(16)),
    kind=Kind.ALERT,
    mode=Mode.ACTUAL,
    urgency=Urgency.U1,
    thread_id=ThreadId(bytes(16)),
    create_ms=NOW_MS - 10_000,
    expire_ms=NOW_MS + 60_000,
    content_commitment=bytes(32),
    authority="th/disaster-prevention",
    state="received",
    gap=False,
    submitter="",
    alert_state="validated",
)


def options(**change):
    return CapOptions.model_validate({"serve": {"listen": "127.0.0.1:1", **change}}).serve


def body(alert=ALERT, tlp=Tlp.CLEAR, authority="th/disaster-prevention"):
    handling = Handling(tlp=tlp, purpose="public_warning", onward=Onward.NONE)
    return Body(authority=AuthorityId(authority), handling=handling, legal_basis=(), content=alert)


class MemoryDesk:
    """A desk whose messages a test lays down."""

    def __init__(self) -> None:
        self.messages: dict[MessageId, DeskMessage] = {}
        self.reads = 0
        self.given: list[tuple[str, MessageId]] = []
        self.down = False

    def lay(self, number: int, alert=ALERT, **change) -> None:
        row = replace(ROW, message_id=MessageId(bytes([number]) * 16), create_ms=ROW.create_ms + number, **change)
        self.messages[row.message_id] = DeskMessage(row=row, body=body(alert, authority=row.authority))

    def now_ms(self) -> int:
        return NOW_MS

    def note(self, what, problem) -> None:
        """Nobody asks."""

    async def handed_on(self, row) -> None:
        self.given.append((row.alert_state, row.message_id))

    async def page(self, token, size):
        if self.down:
            raise StoreUnavailable("not now")
        rows = sorted((item.row for item in self.messages.values()), key=lambda row: -row.create_ms)
        start = int(token or 0)
        return tuple(rows[start : start + size]), str(start + size) if start + size < len(rows) else ""

    async def message(self, sender, message_id):
        self.reads += 1
        if message_id not in self.messages or self.messages[message_id].row.sender != sender:
            raise NotFound("no such message")
        return self.messages[message_id]


@pytest.mark.parametrize("state", ["quarantined", "held", "refused", "expired", "", "a state to come"])
def test_a_state_that_is_not_known_to_be_good_is_not_shown(state):
    assert may_show(options(), ROW)
    assert not may_show(options(), replace(ROW, state=state))


@pytest.mark.parametrize("state", ["quarantined", "dismissed", "declined", "", "a state to come"])
async def test_an_alert_in_doubt_is_not_shown_nor_ends_another(state):
    assert not may_show(options(), replace(ROW, alert_state=state))
    desk = MemoryDesk()
    desk.lay(1)
    doubtful = replace(
        ALERT,
        identifier="doubtful",
        alert_type=AlertType.CANCEL,
        references=(AlertReference(ALERT.source_sender, ALERT.identifier, "2026-11-23T18:00:00+08:00"),),
    )
    desk.lay(2, doubtful, alert_state=state)
    assert [item.identifier for item in await Shelf(desk, options(), 100).current()] == [ALERT.identifier]


@pytest.mark.parametrize("state", ["superseded", "cancelled"])
async def test_what_its_issuer_has_ended_leaves_the_feed(state):
    desk = MemoryDesk()
    desk.lay(1)
    shelf = Shelf(desk, options(), 100)
    assert len(await shelf.current()) == 1
    desk.lay(1, alert_state=state)
    assert await shelf.current() == ()


def test_exercises_are_shown_when_asked_for_tests_never_and_other_kinds_never():
    assert not may_show(options(), replace(ROW, mode=Mode.EXERCISE))
    assert may_show(options(exercises=True), replace(ROW, mode=Mode.EXERCISE))
    assert not may_show(options(exercises=True), replace(ROW, mode=Mode.TEST))
    assert [kind for kind in Kind if may_show(options(), replace(ROW, kind=kind))] == [Kind.ALERT]
    assert not may_show(options(own=False), replace(ROW, sent=True, state="released"))


def test_markings_are_kept():
    shown = {
        limit: {tlp.name for tlp in Tlp if shown_alert(options(tlp=limit), body(tlp=tlp)) is not None}
        for limit in ("clear", "green", "amber")
    }
    assert shown == {
        "clear": {"CLEAR"},
        "green": {"CLEAR", "GREEN"},
        "amber": {"CLEAR", "GREEN", "AMBER", "AMBER_STRICT"},
    }
    assert shown_alert(options(), None) is None
    assert shown_alert(options(), body(Ping(bytes(16)))) is None


async def test_only_its_own_source_takes_an_alert_back_and_expired_ones_leave():
    desk = MemoryDesk()
    cancel = replace(
        ALERT,
        identifier="c",
        alert_type=AlertType.CANCEL,
        references=(AlertReference(ALERT.source_sender, ALERT.identifier, "x"),),
    )
    desk.lay(1)
    desk.lay(2, replace(cancel, source_sender="somebody@else"))
    desk.lay(3, cancel, authority="th/foreign-affairs")
    desk.lay(4, replace(ALERT, identifier="over"), expire_ms=NOW_MS)
    desk.lay(5, replace(ALERT, identifier="quarantined"), state="quarantined")
    shelf = Shelf(desk, options(), 100)
    assert [item.identifier for item in await shelf.current()] == ["c", "c", ALERT.identifier]
    desk.lay(6, cancel)
    assert [item.identifier for item in await shelf.current()] == ["c", "c", "c"]
    # What is known is not read again.
    reads = desk.reads
    await shelf.current()
    assert desk.reads == reads


async def test_the_server_bounds_callers_and_hides_what_is_not_shown():
    desk = MemoryDesk()
    desk.lay(1)
    desk.lay(2, state="quarantined")
    desk.lay(3, mode=Mode.EXERCISE)
    server = Server(desk, options(burst=9, per_s=0.001))
    application = web.Application(middlewares=[server._guard])
    application.router.add_get("/feed.atom", server._feed)
    application.router.add_get("/alerts/{sender}/{name}", server._alert)
    async with TestServer(application) as listening, ClientSession() as session:

        async def get(path: str, method: str = "GET") -> tuple[int, bytes]:
            async with session.request(method, listening.make_url(path)) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                return answer.status, await answer.read()

        codes = [(await get(f"/alerts/th/{MessageId(bytes([n]) * 16)}.cap"))[0] for n in (1, 2, 3)]
        assert codes == [200, 404, 404]
        # What was let out, and nothing else, counts as handed on; a look at its head does not.
        assert desk.given == [("validated", MessageId(bytes([1]) * 16))]
        assert (await get(f"/alerts/th/{MessageId(bytes([1]) * 16)}.cap", "HEAD"))[0] == 200
        assert len(desk.given) == 1
        assert (await get(f"/alerts/cn/{MessageId(bytes([1]) * 16)}.cap"))[0] == 404
        assert (await get("/feed.atom", "POST"))[0] == 405
        status, data = await get("/feed.atom")
        assert (status, data.count(b"<entry>")) == (200, 1)
        desk.down = True
        assert (await get("/feed.atom"))[0] == 503
        desk.down = False
        assert (await get("/feed.atom"))[0] == 200
        assert (await get("/feed.atom"))[0] == 429
