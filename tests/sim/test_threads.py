"""Mode and kind of a thread between nations: what leaves and what is taken in."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.crypto.envelope import SealingItem, seal_batch
from gateway.errors import FieldInvalid, GatewayError, ModeDiffers, SupersedesInvalid
from gateway.exchange.sealed_rows import rows_of
from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
from gateway.model.envelope import Outcome
from gateway.model.header import Kind, Mode, Supersedes
from gateway.ports import KnownThreads, OutgoingFrame, SubmissionStatus
from tests.sim.nations import CODEC, Nation, Network, until

CN, TH = PartnerId("cn"), PartnerId("th")
ACTUAL, EXERCISE = Mode.ACTUAL, Mode.EXERCISE


@pytest.fixture
async def pair(tmp_path: Path):
    """Two nations that know each other; no worker runs, so that each test says what is carried."""
    network = Network()
    cn, th = [await Nation.start(code, tmp_path, network) for code in ("cn", "th")]
    await cn.befriend(th)
    await th.befriend(cn)
    yield cn, th
    await cn.stop()
    await th.stop()


async def answer_to(nation: Nation, **changes) -> object:
    (answer,) = await nation.submit.submit([nation.submission(nation.draft("th", **changes))])
    return answer


def replacing(result, **changes) -> dict[str, object]:
    supersedes = Supersedes(message_id=result.message_id, content_commitment=result.content_commitment)
    return {"supersedes": replace(supersedes, **changes)}


async def give(source: Nation, target: Nation, *items: dict[str, object]) -> list[tuple[Outcome, str]]:
    """Seal messages without asking our own rules, hand them over in one frame and return what is stated."""
    now = source.clock.now_ms()
    sealing = []
    drafts = []
    for item in items:
        draft = source.draft(target.partner.code)
        message_id = item.get("message_id") or MessageId.new(now)
        given = {
            "message_id": message_id, "kind": Kind.ALERT, "thread_id": ThreadId(message_id.raw), "in_reply_to": None,
            "supersedes": None, "mode": EXERCISE, "urgency": draft.urgency, "create_ms": now, "expire_ms": now + 60_000,
            "body_bytes": draft.body_bytes, "recipients": ((target.partner, b""),),
        }  # fmt: skip
        sealing.append(SealingItem(**given | item))
        drafts.append(draft)
    batch = seal_batch(
        sealing, sender=source.partner, sign_key=source.secrets.envelope, codec=CODEC, now_ms=now,
        seal_keys={target.partner: source.directory.seal_key(target.partner, now)},
    )  # fmt: skip
    _, ready = rows_of(batch, [(source.submission(draft), None) for draft in drafts], source.pool)
    frame = OutgoingFrame(sequence=1, envelopes=tuple(rows[0].envelope for rows in ready.envelopes), receipts=())
    answer = await target.receive.take_in(source.partner, frame)
    receipts = [CODEC.decode_receipt(data) for data in answer.receipts.receipts]
    return [(receipt.outcome, receipt.reason) for receipt in receipts]


TAKEN = (Outcome.RECEIVED, "")


def refused(error: type[GatewayError]) -> tuple[Outcome, str]:
    return (Outcome.REFUSED, error.reason)


async def test_an_exercise_does_not_leave_in_an_actual_thread_nor_the_other_way_round(pair) -> None:
    cn, _ = pair
    for mode, other in ((ACTUAL, EXERCISE), (EXERCISE, ACTUAL)):
        first = await cn.send("th", mode=mode)
        assert isinstance(await answer_to(cn, mode=other, thread_id=first.thread_id), ModeDiffers)
        assert isinstance(await answer_to(cn, mode=other, **replacing(first)), ModeDiffers)
        await cn.send("th", mode=mode, thread_id=first.thread_id, in_reply_to=first.message_id, **replacing(first))


async def test_a_thread_that_began_elsewhere_keeps_its_mode(pair) -> None:
    cn, _ = pair
    thread = ThreadId(os.urandom(16))
    await cn.send("th", thread_id=thread, mode=ACTUAL)
    assert isinstance(await answer_to(cn, thread_id=thread, mode=EXERCISE), ModeDiffers)


async def test_two_modes_in_one_batch_do_not_slip_into_a_thread_together(pair) -> None:
    cn, _ = pair
    thread = ThreadId(os.urandom(16))
    drafts = [cn.draft("th", thread_id=thread, mode=mode) for mode in (ACTUAL, EXERCISE, ACTUAL)]
    answers = await cn.submit.submit([cn.submission(draft) for draft in drafts])
    assert [isinstance(answer, ModeDiffers) for answer in answers] == [False, True, False]


async def test_a_reply_names_a_message_of_its_thread(pair) -> None:
    cn, _ = pair
    first, other = await cn.send("th"), await cn.send("th")
    for named in (MessageId(os.urandom(16)), other.message_id):
        answer = await answer_to(cn, thread_id=first.thread_id, in_reply_to=named)
        assert isinstance(answer, FieldInvalid)
        assert answer.field == "draft.in_reply_to"


async def test_only_the_same_authority_replaces_a_message(pair) -> None:
    cn, _ = pair
    first = await cn.send("th")
    body = replace(cn.draft("th").body, authority=AuthorityId("cn/health"))
    answer = await answer_to(cn, body=body, body_bytes=CODEC.encode_body(body), **replacing(first))
    assert isinstance(answer, SupersedesInvalid)
    answer = await answer_to(cn, **replacing(first, content_commitment=bytes(32)))
    assert isinstance(answer, FieldInvalid)


async def test_validating_says_of_a_thread_what_submitting_would(pair) -> None:
    cn, _ = pair
    first = await cn.send("th", mode=ACTUAL)
    draft = cn.draft("th", mode=EXERCISE, thread_id=first.thread_id)
    with pytest.raises(ModeDiffers):
        await cn.submit.validate(cn.submission(draft).submitter, draft)


async def test_a_repeat_gets_its_first_answer_though_it_would_not_agree_any_more(pair) -> None:
    cn, th = pair
    thread = ThreadId(os.urandom(16))
    draft = cn.draft("th", thread_id=thread)
    (first,) = await cn.submit.submit([cn.submission(draft, b"r" * 16)])
    assert await give(th, cn, {"message_id": MessageId(thread.raw), "mode": ACTUAL}) == [TAKEN]
    (again,) = await cn.submit.submit([cn.submission(replace(draft, mode=ACTUAL), b"r" * 16)])
    assert (again.status, again.message_id) == (SubmissionStatus.REPEATED, first.message_id)


async def test_a_partner_may_not_mix_modes_in_a_thread_known_here(pair) -> None:
    cn, th = pair
    ours = await cn.send("th", mode=ACTUAL)
    actual, exercise = {"mode": ACTUAL, "thread_id": ours.thread_id}, {"mode": EXERCISE, "thread_id": ours.thread_id}
    assert await give(th, cn, exercise, actual) == [refused(ModeDiffers), TAKEN]
    first = MessageId.new(th.clock.now_ms())
    begun = {"message_id": first, "mode": ACTUAL}
    follow = {"mode": EXERCISE, "thread_id": ThreadId(first.raw)}
    # In one frame with the message that begins the thread, and after it.
    assert await give(th, cn, begun, follow) == [TAKEN, refused(ModeDiffers)]
    assert await give(th, cn, follow) == [refused(ModeDiffers)]


async def test_a_partner_may_not_answer_or_replace_what_is_of_another_mode_or_not_its_own(pair) -> None:
    cn, th = pair
    ours = await cn.send("th", mode=ACTUAL)
    first = MessageId.new(th.clock.now_ms())
    assert await give(th, cn, {"message_id": first}) == [TAKEN]
    known = await cn.store.read(KnownThreads(partner=TH, threads=(), message_ids=(first,)))
    old = known.messages[0]
    fine = Supersedes(message_id=first, content_commitment=old.content_commitment)
    unknown = Supersedes(message_id=MessageId(os.urandom(16)), content_commitment=bytes(32))
    foreign = Supersedes(message_id=ours.message_id, content_commitment=ours.content_commitment)
    stated = await give(
        th,
        cn,
        {"mode": EXERCISE, "in_reply_to": ours.message_id},
        {"mode": ACTUAL, "in_reply_to": ours.message_id},
        {"mode": ACTUAL, "supersedes": fine},
        {"mode": EXERCISE, "supersedes": foreign},
        {"supersedes": replace(fine, content_commitment=bytes(32))},
        {"supersedes": fine},
        {"supersedes": unknown, "in_reply_to": unknown.message_id},
        {"mode": ACTUAL, "in_reply_to": ours.message_id, "thread_id": ours.thread_id},
    )
    assert stated == [
        refused(ModeDiffers),
        refused(FieldInvalid),
        refused(ModeDiffers),
        refused(SupersedesInvalid),
        refused(SupersedesInvalid),
        TAKEN,
        TAKEN,
        TAKEN,
    ]


async def test_messages_that_begin_a_thread_cost_no_look_up(pair) -> None:
    cn, th = pair
    asked = []
    for nation in pair:
        plain = nation.store.read

        async def read(query, plain=plain):
            asked.append(type(query))
            return await plain(query)

        nation.store.read = read
    await cn.send("th")
    await give(cn, th, {}, {})
    assert KnownThreads not in asked
    first = await cn.send("th")
    await cn.submit.submit([cn.submission(cn.draft("th", thread_id=first.thread_id)) for _ in range(5)])
    assert asked.count(KnownThreads) == 1


async def test_a_refused_message_comes_back_to_its_sender_with_the_reason(pair) -> None:
    cn, th = pair
    thread = ThreadId(os.urandom(16))
    assert await give(cn, th, {"thread_id": thread, "mode": ACTUAL}) == [TAKEN]
    cn.run()
    # Our own gateway knows nothing of that thread; the partner does.
    result = await cn.send("th", thread_id=thread, mode=EXERCISE)

    async def ended() -> bool:
        return await cn.state_at(result.message_id, "th") == "refused"

    await until(ended)
    stored = await cn.found(CN, result.message_id)
    assert stored.deliveries[0].reason == ModeDiffers.reason


async def test_frames_at_the_same_time_do_not_get_around_what_a_thread_is(pair) -> None:
    cn, th = pair
    for first, second in ((EXERCISE, ACTUAL), (ACTUAL, EXERCISE)):
        begun = MessageId.new(cn.clock.now_ms())
        follower = {"thread_id": ThreadId(begun.raw), "mode": second, "kind": Kind.ALERT}
        answers = await asyncio.gather(
            give(cn, th, {"message_id": begun, "mode": first}), *(give(cn, th, follower) for _ in range(3))
        )
        # The follower is judged behind what began its thread, whatever is under way at once.
        assert answers == [[TAKEN], *[[refused(ModeDiffers)]] * 3]
