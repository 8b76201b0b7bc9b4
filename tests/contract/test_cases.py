"""Where cases stand, on both engines: moved by the commit that brings the message."""

from dataclasses import replace

from gateway.ids import MessageId, ThreadId
from gateway.model.header import Kind
from gateway.ports import (
    AssignPositions,
    CaseEntry,
    CaseHistory,
    EventsSince,
    FindCases,
    FreeHeld,
    ListCases,
    PassTime,
    ReceivedMessage,
    SubmissionStatus,
)
from gateway.workflow.case import WHOLE, CaseKind, Deed, Opening, pass_time
from gateway.workflow.measure import Course, MeasureEvent
from gateway.workflow.referral import ReferralEvent
from gateway.workflow.table import Cause, Side
from tests.contract.samples import CN, LA, NOW, TH, log_entry, receive, submit

REFERRAL = CaseEntry(opening=Opening(kind=CaseKind.REFERRAL))
M1, M2 = b"1" * 16, b"2" * 16
REQUEST = CaseEntry(opening=Opening(kind=CaseKind.REQUEST, measures=((M1, Course.PRESERVE), (M2, Course.ANSWER))))


def saying(word, *measures, until_ms=None):
    return CaseEntry(deeds=(Deed(word=word, measures=measures, until_ms=until_ms),))


def case_message(message, entry, kind=Kind.UPDATE):
    if isinstance(message, ReceivedMessage):
        return replace(message, case=entry, header=replace(message.header, kind=kind))
    return replace(message, case=entry, kind=kind)


async def row_of(store, thread, partner=TH):
    found = await store.read(FindCases(threads=(thread,)))
    return next((row for row in found if row.partner == partner), None)


async def told(store):
    # On PostgreSQL events get their positions apart.
    await store.write(AssignPositions(max_rows=100))
    rows = await store.read(EventsSince(position=0, max_rows=100))
    return [(row.type, row.reason) for row in rows if row.type.startswith("case.")]


async def test_what_we_send_opens_a_case_with_each_recipient_and_their_words_move_it(store, make):
    first = case_message(make.sealed(TH, LA), REFERRAL, Kind.REFERRAL)
    await store.write(submit(first))
    thread = first.thread_id
    accept = case_message(make.received(TH, thread=thread), saying("accept"))
    await store.write(receive(accept, now_ms=NOW + 5))
    theirs, other = await row_of(store, thread), await row_of(store, thread, LA)
    assert (theirs.case.word, theirs.case.side, theirs.word_ms) == ("accepted", Side.SENDER, NOW + 5)
    assert (other.case.word, other.word_ms) == ("sent", None)
    assert (theirs.message_id, theirs.authority) == (first.message_id, "cn/emergency")
    lines = await store.read(CaseHistory(thread_id=thread, partner=TH))
    assert [(line.cause, line.turn.event) for line in lines] == [
        (Cause.OFFICER, "open"), (Cause.PARTNER, "acknowledge"), (Cause.PARTNER, "accept"),
    ]  # fmt: skip
    assert [line.message_id for line in lines[1:]] == [accept.header.message_id] * 2


async def test_what_does_not_fit_is_kept_as_a_finding_and_moves_nothing(store, make):
    opening = case_message(make.received(TH), REFERRAL, Kind.REFERRAL)
    thread = opening.header.thread_id
    stray = case_message(make.received(LA, thread=thread), saying("withdraw"))
    await store.write(receive(opening))
    await store.write(receive(case_message(make.received(TH, thread=thread), saying("confirm"))))
    await store.write(receive(stray, sender=LA))
    row = await row_of(store, thread)
    assert row.case.word == "received"
    last = (await store.read(CaseHistory(thread_id=thread, partner=TH)))[-1]
    assert last.turn is None
    assert last.finding.startswith("cannot confirm a referral that is received")
    # Another partner that knows the thread's id has no case in it.
    assert await row_of(store, thread, LA) is None
    kinds = [kind for kind, _ in await told(store)]
    assert kinds == ["case.opened", "case.finding", "case.finding"]


async def test_what_we_send_is_judged_in_the_commit_and_refused_whole(store, make):
    opening = case_message(make.received(TH), REFERRAL, Kind.REFERRAL)
    thread = opening.header.thread_id
    await store.write(receive(opening))
    accept = case_message(make.sealed(TH, thread=thread), saying("accept"))
    ((answer,),) = (await store.write(submit(accept)),)
    assert answer.status is SubmissionStatus.NEW
    again = case_message(make.sealed(TH, thread=thread), saying("accept"))
    ((answer,),) = (await store.write(submit(again)),)
    assert answer.status is SubmissionStatus.HEAD_MOVED
    assert (await row_of(store, thread)).case.word == "accepted"
    assert len(await store.read(CaseHistory(thread_id=thread, partner=TH))) == 3


async def test_messages_of_one_commit_count_one_after_the_other(store, make):
    opening = case_message(make.sealed(TH), REQUEST, Kind.REQUEST)
    thread = opening.thread_id
    await store.write(submit(opening))
    words = [saying("accept"), saying("preserve", M1, until_ms=NOW + 90), saying("part", M2)]
    await store.write(receive(*(case_message(make.received(TH, thread=thread), entry) for entry in words)))
    row = await row_of(store, thread)
    assert row.case.word == "partly_answered"
    assert row.case.until_ms == (NOW + 90, None)
    assert [item.disclosed for item in row.case.state.measures] == [False, True]


async def test_a_held_message_counts_when_it_is_shown_in_the_order_of_its_thread(store, make):
    opening = case_message(make.sealed(TH), REFERRAL, Kind.REFERRAL)
    thread = opening.thread_id
    await store.write(submit(opening))
    accept = case_message(make.received(TH, thread=thread), saying("accept"))
    start = case_message(make.received(TH, thread=thread, previous=accept.digest), saying("start"))
    lost = case_message(make.received(TH, thread=thread, previous=b"x" * 32), saying("resolve"))
    await store.write(receive(start))
    assert (await row_of(store, thread)).case.word == "sent"
    await store.write(receive(accept))
    assert (await row_of(store, thread)).case.word == "in_progress"
    await store.write(receive(lost))
    assert (await row_of(store, thread)).case.word == "in_progress"
    await store.write(FreeHeld(now_ms=NOW + 120_000))
    assert (await row_of(store, thread)).case.word == "resolved"


async def test_lists_are_paged_without_loss_and_leave_out_what_is_over(store, make):
    threads = []
    for number in range(5):
        message = case_message(make.sealed(TH, LA), REFERRAL, Kind.REFERRAL)
        await store.write(submit(message))
        threads.append(message.thread_id)
        if number == 0:
            await store.write(submit(case_message(make.sealed(TH, thread=message.thread_id), saying("withdraw"))))
    seen, after = [], None
    while page := await store.read(ListCases(live=True, after=after, max_rows=2)):
        seen += [(row.thread_id, row.partner) for row in page]
        after = page[-1]
    assert len(seen) == len(set(seen)) == 9
    assert (threads[0], TH) not in seen
    assert len(await store.read(ListCases(live=False, after=None, max_rows=100))) == 10


async def test_time_moves_a_case_once_and_not_when_it_has_changed(store, make):
    opening = case_message(make.received(TH), REFERRAL, Kind.REFERRAL)
    thread = opening.header.thread_id
    await store.write(receive(opening))
    for word in ("accept", "resolve"):
        await store.write(submit(case_message(make.sealed(TH, thread=thread), saying(word))))
    row = await row_of(store, thread)
    case, turns = pass_time(row.case, WHOLE, ReferralEvent.SILENCE)
    operation = PassTime(
        thread_id=thread, partner=TH, sender=TH, steps=row.steps, case=case, turns=turns, now_ms=NOW + 9,
        log=log_entry(),
    )  # fmt: skip
    assert await store.write(operation)
    assert not await store.write(operation)
    assert (await row_of(store, thread)).case.word == "closed"
    last = (await store.read(CaseHistory(thread_id=thread, partner=TH)))[-1]
    assert (last.cause, last.message_id, last.turn.event) == (Cause.CLOCK, None, "silence")
    assert not await store.write(replace(operation, thread_id=ThreadId(b"n" * 16)))


async def test_states_survive_reopening_with_measures_and_instants(engine, make):
    store = await engine.open()
    opening = case_message(make.received(TH), REQUEST, Kind.REQUEST)
    thread = opening.header.thread_id
    await store.write(receive(opening))
    for entry in (saying("accept"), saying("preserve", M1, until_ms=NOW + 5)):
        await store.write(submit(case_message(make.sealed(TH, thread=thread), entry)))
    before = await row_of(store, thread)
    await store.close()
    store = await engine.open()
    row = await row_of(store, thread)
    assert row == before
    assert row.case.keys == (M1, M2)
    assert pass_time(row.case, 0, MeasureEvent.LAPSE)[0].state.measures[0].state.word == "lapsed"
    assert row.partner != CN
    assert isinstance(row.message_id, MessageId)
