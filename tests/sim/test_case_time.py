"""Cases between nations as time goes by: what is due, who is told, and what time itself brings about."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.errors import StateConflict
from gateway.exchange.case_clock import CaseClock
from gateway.exchange.case_reader import CaseReader
from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
from gateway.model.case import (
    Answer,
    CaseDecision,
    CaseOutcome,
    MeasureOutcome,
    MeasureResult,
    Update,
    Verdict,
    Withdrawal,
)
from gateway.model.header import Urgency
from gateway.model.message import Body, Handling, LegalBasis, Onward, Tlp
from gateway.model.person import YesNo
from gateway.ports import FindCases
from gateway.workflow.clocks import DAY_MS, HOUR_MS
from tests.fixtures.cases import OUTCOME, REFERRAL, REQUEST, words
from tests.sim.nations import CODEC, Nation, Network, until

ACCEPT = CaseDecision(verdict=Verdict.ACCEPT)


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s

    def forward(self, ms: int) -> None:
        self.now_s += ms / 1000

    def now_ms(self) -> int:
        return int(self.now_s * 1000)


class Desk:
    """A nation with its cases."""

    def __init__(self, nation: Nation) -> None:
        self.nation = nation
        self.reader = CaseReader(
            own=nation.partner,
            store=nation.store,
            codec=CODEC,
            clock=nation.clock,
            reading=nation.reader,
            terms=lambda partner, kind, *, sending: None,
            zones={PartnerId("cn"): "Asia/Shanghai", PartnerId("th"): "Asia/Bangkok"},
        )
        self.clock = CaseClock(own=nation.partner, store=nation.store, clock=nation.clock, reader=self.reader)

    async def say(self, to: "Desk", content, thread: ThreadId | None = None, reply: MessageId | None = None):
        whole = Body(
            authority=AuthorityId(f"{self.nation.partner}/foreign-affairs"),
            handling=Handling(tlp=Tlp.AMBER, purpose="consular_protection", onward=Onward.NONE),
            legal_basis=(LegalBasis("UNTOC", "18"),),
            content=content,
        )
        return await self.nation.send(
            to.nation.partner.code,
            body=whole,
            body_bytes=CODEC.encode_body(whole),
            urgency=Urgency.U1,
            thread_id=thread,
            in_reply_to=reply,
        )

    async def view(self, thread: ThreadId):
        (row,) = await self.nation.store.read(FindCases(threads=(thread,)))
        return await self.reader.show(row, actor="operator")

    async def is_at(self, thread: ThreadId, state: str) -> bool:
        rows = await self.nation.store.read(FindCases(threads=(thread,)))
        return bool(rows) and (await self.view(thread)).state == state


@pytest.fixture
async def desks(tmp_path: Path):
    hands = Hands()
    network = Network()
    nations = [await Nation.start(code, tmp_path, network, clock=SystemClock(read=hands)) for code in ("cn", "th")]
    cn, th = nations
    await cn.befriend(th)
    await th.befriend(cn)
    for nation in nations:
        nation.run()
    yield Desk(cn), Desk(th), hands, network
    for nation in nations:
        await nation.stop()


async def test_receipts_tell_and_what_is_late_is_named_on_both_sides(desks) -> None:
    cn, th, hands, _ = desks
    sent = await cn.say(th, REFERRAL)
    thread = sent.thread_id
    await until(lambda: cn.is_at(thread, "received"))
    for desk, by_us in ((cn, False), (th, True)):
        view = await desk.view(thread)
        owed = [(item.what, item.by_us, item.overdue) for item in view.dues]
        assert owed == [("acknowledgement", by_us, False), ("decision", by_us, False)]
        assert view.turn == ("us" if by_us else "them")
        assert await desk.reader.overdue() == ()
    hands.forward(2 * HOUR_MS)
    for desk in (cn, th):
        (late,) = await desk.reader.overdue()
        assert [item.what for item in late.dues if item.overdue] == ["acknowledgement"]
    await th.say(cn, ACCEPT, thread, sent.message_id)
    await until(lambda: cn.is_at(thread, "accepted"))
    assert await cn.reader.overdue() == await th.reader.overdue() == ()
    assert [item.what for item in (await cn.view(thread)).dues] == ["news"]


async def test_silence_closes_what_was_heard_and_nothing_else(desks) -> None:
    cn, th, hands, network = desks
    heard = await cn.say(th, REFERRAL)
    unheard = await cn.say(th, REFERRAL)
    for sent in (heard, unheard):
        await until(lambda thread=sent.thread_id: th.is_at(thread, "received"))
        await th.say(cn, ACCEPT, sent.thread_id, sent.message_id)
    await th.say(cn, OUTCOME, heard.thread_id, heard.message_id)
    await until(lambda: cn.is_at(heard.thread_id, "resolved"))
    # Our receipt for it must be back, or nobody is silent.
    row = (await th.nation.store.read(FindCases(threads=(heard.thread_id,))))[0]
    told = (await th.reader.history(row))[-1]
    await until(lambda: _received(th, told.message_id))
    network.down.add(cn.nation.partner)
    await th.say(cn, OUTCOME, unheard.thread_id, unheard.message_id)
    hands.forward(14 * DAY_MS - HOUR_MS)
    assert await th.clock.tick() == await cn.clock.tick() == 0
    hands.forward(2 * HOUR_MS)
    assert await th.clock.tick() == 1
    assert await cn.clock.tick() == 1
    for desk in (cn, th):
        view = await desk.view(heard.thread_id)
        assert (view.state, view.history[-1].turn.event, view.dues) == ("closed", "silence", ())
    assert (await th.view(unheard.thread_id)).state == "resolved"
    assert await th.clock.tick() == await cn.clock.tick() == 0


async def _received(desk: Desk, message_id: MessageId) -> bool:
    return await desk.nation.state_at(message_id, "cn") == "received"


async def test_data_are_let_go_at_the_instant_that_was_promised(desks) -> None:
    cn, th, hands, _ = desks
    sent = await cn.say(th, replace(REQUEST, measures=REQUEST.measures[:1]))
    thread = sent.thread_id
    await until(lambda: th.is_at(thread, "received"))
    await th.say(cn, ACCEPT, thread, sent.message_id)
    kept = MeasureResult(
        measure_id="m1",
        outcome=MeasureOutcome.PRESERVED,
        preserved_until_ms=hands.now_ms() + 20 * DAY_MS,
        torture_suspected=YesNo.NO,
    )
    await th.say(cn, Answer(part=1, final=True, results=(kept,)), thread, sent.message_id)
    await until(lambda: cn.is_at(thread, "preserved"))
    view = await cn.view(thread)
    assert [(item.measure_id, item.measure_type, item.until_ms) for item in view.measures] == [
        ("m1", "preserve", kept.preserved_until_ms)
    ]
    hands.forward(19 * DAY_MS)
    assert await cn.clock.tick() == await th.clock.tick() == 0
    hands.forward(2 * DAY_MS)
    assert await cn.clock.tick() == await th.clock.tick() == 1
    assert (await cn.view(thread)).state == (await th.view(thread)).state == "lapsed"


async def test_what_never_arrives_is_undelivered(desks) -> None:
    cn, th, hands, network = desks
    network.down.add(th.nation.partner)
    sent = await cn.say(th, REFERRAL)
    assert (await cn.view(sent.thread_id)).state == "sent"
    hands.forward(31 * DAY_MS)
    assert await cn.clock.tick() == 1
    assert (await cn.view(sent.thread_id)).state == "undelivered"


async def test_acts_that_cross_end_in_the_same_state_and_nothing_is_a_finding(desks) -> None:
    cn, th, hands, network = desks
    sent = await cn.say(th, REFERRAL)
    thread = sent.thread_id
    await until(lambda: th.is_at(thread, "received"))
    await until(lambda: cn.is_at(thread, "received"))
    network.down |= {cn.nation.partner, th.nation.partner}
    await th.say(cn, ACCEPT, thread, sent.message_id)
    await th.say(cn, Update(event="start", text=words()), thread)
    await cn.say(th, Withdrawal(message_id=sent.message_id, reason=words()), thread)
    with pytest.raises(StateConflict):
        await cn.say(th, Withdrawal(message_id=sent.message_id, reason=words()), thread)
    network.down.clear()

    async def settled() -> bool:
        # Back-off runs on the clock too.
        hands.forward(1000)
        return await th.is_at(thread, "withdrawn") and len((await cn.view(thread)).history) == 4

    await until(settled, timeout_s=60)
    for desk in (cn, th):
        view = await desk.view(thread)
        assert view.state == "withdrawn"
        assert [line.finding for line in view.history if line.finding] == []
    assert [line.turn.late for line in (await cn.view(thread)).history if line.turn][-2:] == [True, True]


async def test_an_outcome_that_is_told_says_how_it_ended(desks) -> None:
    cn, th, _, _ = desks
    sent = await cn.say(th, REFERRAL)
    await until(lambda: th.is_at(sent.thread_id, "received"))
    await th.say(
        cn, CaseDecision(verdict=Verdict.REDIRECT, redirect_to="th/royal-police"), sent.thread_id, sent.message_id
    )
    await until(lambda: cn.is_at(sent.thread_id, "redirected"))
    assert not (await cn.view(sent.thread_id)).row.case.open
    with pytest.raises(StateConflict, match="possible is nothing"):
        await th.say(cn, Answer(part=1, final=True, outcome=CaseOutcome.RESCUED), sent.thread_id, sent.message_id)
