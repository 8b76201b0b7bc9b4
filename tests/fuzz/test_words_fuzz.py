"""Texts from outside into everything that reads one: ids, cursors, page tokens, fingerprints, instants, contexts.

Those that a store is asked with are asked of a real one.
"""

import asyncio
import base64
import contextlib

import pytest
from concord.v1 import audit_service_pb2 as audit
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.failure import Failure
from gateway.cli.log import message_bytes
from gateway.cli.when import parse_when
from gateway.client.values import message_id_of
from gateway.config_values import check_host_port, check_otlp_endpoint, check_system_name, parse_mode
from gateway.crypto.cards import same_fingerprint
from gateway.errors import CursorInvalid, PageTokenInvalid
from gateway.exchange.read_log import LogReader
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.model.text import check_identifier, check_text
from gateway.rpc.audit_servicer import AuditServicer
from gateway.rpc.callers import Caller
from gateway.rpc.convert.view import request_id_from_text
from gateway.rpc.methods import CallerKind
from gateway.telemetry.context import CONTEXT_BYTES, parse_traceparent, read_context
from tests.fuzz.changes import FUZZ, WILD_TEXTS, neighbours, taken, taken_async
from tests.sim.nations import Nation, Network

AUDITOR = Caller(kind=CallerKind.AUDITOR, principal="auditor/court")
UUID = "019acf7e-1a2b-7c3d-8e4f-5a6b7c8d9e0f"


def partner(text):
    assert str(PartnerId.parse(text)) == text


def authority(text):
    assert str(AuthorityId.parse(text)) == text


def message_id(text):
    assert str(MessageId.parse(text)) == text
    assert message_id_of(text) == MessageId.parse(text)


def request_id(text):
    assert str(MessageId(request_id_from_text(text))) == text.lower()


def of_command_line(text):
    with contextlib.suppress(Failure):
        assert len(message_bytes(text)) == 16


def when(text):
    assert isinstance(parse_when(text, 1_795_000_000_000, "until"), int)


def mode(text):
    assert parse_mode(text).name.lower() == text


def host_port(text):
    assert check_host_port(text) == text


def otlp(text):
    assert check_otlp_endpoint(text) == text


def system_name(text):
    assert check_system_name(text) == text


def trace(text):
    found = parse_traceparent(text)
    assert found is None or len(found[0]) == CONTEXT_BYTES
    assert len(read_context(text.encode("utf-8", "surrogatepass"))) in {0, CONTEXT_BYTES}


def identifier(text):
    check_identifier(text, "field")


def plain_text(text):
    check_text(text, "field")


def fingerprints(text):
    assert same_fingerprint(text, text) or not same_fingerprint(text, "12345" * 8)


SEEDS = {
    partner: "th",
    authority: "th/early-warning",
    message_id: UUID,
    request_id: UUID,
    of_command_line: UUID,
    when: "2026-11-23T12:00:00.5+07:00",
    mode: "exercise",
    host_port: "[2001:db8::1]:7443",
    otlp: "https://collector.example:4317",
    system_name: "early-warning",
    trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    identifier: "ASEAN-TIP 14",
    plain_text: "น้ำท่วม",
    fingerprints: "12345 67890 " * 4,
}
PARSERS = pytest.mark.parametrize("parse", SEEDS, ids=lambda parse: parse.__name__)


@PARSERS
def test_every_byte_of_a_word(parse):
    assert taken(parse, SEEDS[parse])
    for data in neighbours(SEEDS[parse].encode()):
        taken(parse, data.decode("latin-1"))
        taken(parse, data.decode("utf-8", "surrogateescape"))


@PARSERS
@FUZZ(max_examples=100)
@given(text=st.one_of(st.text(max_size=80), st.sampled_from(WILD_TEXTS), st.from_regex(r"[0-9T:+.Zdhmin -]{1,30}")))
def test_any_text_as_a_word(parse, text):
    for whole in (text, SEEDS[parse] + text, text + SEEDS[parse]):
        taken(parse, whole)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "0001-01-01T00:00Z", "9999-12-31T23:59Z",
        "999999d", "2026-11-23T24:00Z", "2026-W01-1T00:00Z", "20261123T120000Z", "2026-11-23T12:00+23:59:59.999999",
    ],
)  # fmt: skip
def test_instants_at_the_ends_of_time(text):
    taken(when, text)


# --- asked of a store --------------------------------------------------------------------------------------------


class Asked:
    """A gateway with a message and some log, and what answers from it."""

    def __init__(self, nation: Nation, loop: asyncio.AbstractEventLoop) -> None:
        self.reader = nation.reader
        self.loop = loop
        log = LogReader(store=nation.store, clock=nation.clock, keeper=nation.log)
        self.auditing = AuditServicer(store=nation.store, keeper=nation.log, reading=log, receipts=None)
        self.nation = nation

    def list(self, token: str) -> bool:
        return self.loop.run_until_complete(
            taken_async(lambda text: self.reader.list(sent=None, page_size=2, page_token=text), token)
        )

    def watch(self, cursor: str) -> bool:
        async def first(text):
            # What is taken waits for events; that it waits is enough to know.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01), contextlib.aclosing(self.reader.watch(text)) as events:
                    await anext(events)

        return self.loop.run_until_complete(taken_async(first, cursor))

    def search(self, **fields) -> bool:
        return self.loop.run_until_complete(
            taken_async(lambda request: self.auditing.search_entries(request, AUDITOR), request_of(fields))
        )


def request_of(fields):
    return audit.SearchEntriesRequest(**fields)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    loop = asyncio.new_event_loop()
    base = tmp_path_factory.mktemp("words")

    async def make():
        network = Network()
        cn, la = await Nation.start("cn", base, network), await Nation.start("la", base, network)
        await cn.befriend(la)
        for _ in range(5):
            await cn.send("la")
        await la.stop()
        return cn

    nation = loop.run_until_complete(make())
    yield Asked(nation, loop)
    loop.run_until_complete(nation.stop())
    loop.close()


def written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


NUMBERS = (0, 1, 2**31, 2**52 - 1, 2**52, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def test_every_byte_of_a_page_token(asked):
    _, token = asked.loop.run_until_complete(asked.reader.list(sent=None, page_size=2, page_token=""))
    assert asked.list(token)
    for data in neighbours(token.encode()):
        asked.list(data.decode("latin-1"))


@pytest.mark.parametrize("number", NUMBERS)
def test_page_tokens_of_any_number(asked, number):
    assert asked.list(written(b"p1" + number.to_bytes(8, "big") + bytes(16))) == (number <= 2**52)


@pytest.mark.parametrize("number", NUMBERS)
def test_cursors_of_any_number(asked, number):
    assert asked.watch(written(b"c1" + number.to_bytes(8, "big"))) == (number == 0)


def test_every_byte_of_a_cursor(asked):
    cursor = written(b"c1" + bytes(8))
    assert asked.watch(cursor)
    for data in neighbours(cursor.encode()):
        if data != cursor.encode() and data:
            assert not asked.watch(data.decode("latin-1")) or data.endswith(b"A")


def test_every_byte_of_a_page_token_of_the_log(asked):
    answer = asked.loop.run_until_complete(asked.auditing.search_entries(request_of({"page_size": 1}), AUDITOR))
    assert answer.entries or answer.size == 0
    for data in neighbours(b"l112345"):
        asked.search(page_token=data.decode("latin-1"))
    for number in NUMBERS:
        assert asked.search(page_token=f"l1{number}") == (number < 10**18)


@FUZZ(max_examples=100)
@given(text=st.one_of(st.text(max_size=60), st.sampled_from([text for text in WILD_TEXTS if text.isprintable()])))
def test_any_text_as_cursor_and_token(asked, text):
    with pytest.raises(CursorInvalid) if text else contextlib.nullcontext():
        asked.loop.run_until_complete(anext(asked.reader.watch(text))) if text else None
    if text:
        with pytest.raises(PageTokenInvalid):
            asked.loop.run_until_complete(asked.reader.list(sent=True, page_size=1, page_token=text))


@pytest.mark.parametrize("actor", ["\x00", "a\nb", "\u202e", "a" * 256])
def test_a_search_for_an_actor_that_no_entry_can_have_is_refused(asked, actor):
    assert not asked.search(actor=actor)
    assert asked.search(actor="system/early-warning")


@FUZZ(max_examples=80)
@given(data=st.data())
def test_searches_of_any_words(asked, data):
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    asked.search(
        types=data.draw(st.lists(st.one_of(st.just("message-released"), text), max_size=3)),
        partner=data.draw(st.one_of(st.just("la"), text)),
        actor=data.draw(st.one_of(st.just("\x00"), text)),
        message_id=data.draw(st.sampled_from((b"", bytes(16), b"short"))),
        page_size=data.draw(st.sampled_from((0, 1, 2**31 - 1))),
        since_time={"seconds": data.draw(st.sampled_from((-1, 0, 253_402_300_799, 2**62)))},
    )
