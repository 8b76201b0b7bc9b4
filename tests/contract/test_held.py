"""Drafts that wait for officers, on both engines: once for a request, and one change for a version."""

import asyncio
from dataclasses import replace

from gateway.ids import MessageId, OfficerId, PartnerId, ThreadId, uuid7
from gateway.model.header import Kind, Mode, Supersedes, Urgency
from gateway.ports import (
    ChangeHeld,
    ClaimHeld,
    CountMessages,
    DecisionAct,
    DecisionRow,
    DueHeld,
    EraseMessage,
    FindHeld,
    FindRequest,
    HeldDraft,
    HoldDraft,
    ListHeld,
    Released,
    SubmissionStatus,
)
from gateway.translog.entry import EventType
from gateway.workflow.approval import ApprovalState, Need
from gateway.workflow.claim import Claim
from tests.contract.samples import CN, LA, NOW, TH, blob, log_entry, submit

NEW, REPEATED, REUSED, DECIDED_OTHERWISE = (
    SubmissionStatus.NEW,
    SubmissionStatus.REPEATED,
    SubmissionStatus.REUSED,
    SubmissionStatus.DECIDED_OTHERWISE,
)
NEEDS = (
    Need("agreement/release-officers", frozenset({"approver", "duty_lead"}), 2),
    Need("safeguard/h3-minor", frozenset({"duty_lead"}), 1),
)
FAR = (1 << 63) - 1


def held(number: int = 1, **changes: object) -> HeldDraft:
    raw = uuid7(NOW + number)
    plain = HeldDraft(
        proposal_id=MessageId(raw), thread_id=ThreadId(raw), new_thread=True, kind=Kind.REFERRAL, mode=Mode.EXERCISE,
        urgency=Urgency.U1, in_reply_to=None, supersedes=None, recipients=(TH, LA), create_ms=NOW + number,
        expire_ms=NOW + 3_600_000, content_commitment=blob(("commitment", raw)), digest=blob(("release", raw)),
        authority="cn/foreign-affairs", submitter="system/hotline", request_id=blob(("request", raw), 16),
        request_digest=blob(("draft", raw)), key_id=blob(("key id", raw), 16), body_sealed=blob(("body", raw), 900),
        needs=NEEDS, state=ApprovalState.DRAFT, version=1, authors=frozenset(), proposer=None, propose_ms=0,
        due_ms=NOW + 3_600_000,
    )  # fmt: skip
    return replace(plain, **changes)


def holding(draft: HeldDraft) -> HoldDraft:
    log = log_entry(EventType.APPROVAL_HELD, draft.proposal_id.raw)
    return HoldDraft(draft=draft, wrapped_message_key=blob(("key", draft.key_id), 72), log=log)


def acted(draft: HeldDraft, act: DecisionAct, officer: str = "o-1") -> DecisionRow:
    return DecisionRow(
        number=draft.version, act=act, officer=officer, roles=frozenset({"approver", "drafter"}),
        rules=frozenset({"agreement/release-officers"}), ground="", digest=draft.digest, time_ms=NOW + 5,
        words_sealed=b"words",
    )  # fmt: skip


def changing(draft: HeldDraft, state: ApprovalState, after: HeldDraft | None = None) -> ChangeHeld:
    return ChangeHeld(
        proposal_id=draft.proposal_id, version=draft.version, state=state,
        decision=acted(draft, DecisionAct.PROPOSED),
        log=log_entry(EventType.APPROVAL_PROPOSED, draft.proposal_id.raw), draft=after,
    )  # fmt: skip


def releasing(draft: HeldDraft) -> Released:
    return Released(
        proposal_id=draft.proposal_id, version=draft.version, state=ApprovalState.APPROVED,
        decision=acted(draft, DecisionAct.APPROVED, "o-2"), due_ms=0,
        log=log_entry(EventType.APPROVAL_APPROVED, draft.proposal_id.raw),
    )  # fmt: skip


def message_of(make, draft: HeldDraft):
    sealed = make.sealed(
        TH, LA, message_id=draft.proposal_id, submitter=draft.submitter, request_id=draft.request_id,
        request_digest=draft.request_digest,
    )  # fmt: skip
    return replace(sealed, key_id=draft.key_id, wrapped_message_key=None, release=releasing(draft))


async def test_what_is_held_is_found_as_it_was_given(store):
    superseded = Supersedes(message_id=MessageId(blob("s", 16)), content_commitment=blob("sc"))
    draft = held(
        in_reply_to=MessageId(blob("r", 16)), supersedes=superseded, new_thread=False,
        authors=frozenset({OfficerId("o-9"), OfficerId("o-1")}),
    )  # fmt: skip
    result = await store.write(holding(draft))
    assert (result.status, result.message_id, result.thread_id) == (NEW, draft.proposal_id, draft.thread_id)
    assert result.held is not None
    assert result.held.needs == NEEDS
    found = await store.read(FindHeld(proposal_id=draft.proposal_id))
    assert found is not None
    assert (found.draft, found.claim, found.decisions) == (draft, None, ())
    assert found.wrapped_message_key == blob(("key", draft.key_id), 72)
    assert await store.read(FindHeld(proposal_id=MessageId(blob("other", 16)))) is None
    assert (await store.read(CountMessages())).sent == 0


async def test_a_request_is_held_once_and_never_sent_by_a_repeat(store, make):
    draft = held()
    first = await store.write(holding(draft))
    again = await store.write(holding(held(2, request_id=draft.request_id, request_digest=draft.request_digest)))
    assert (again.status, again.message_id, again.held) == (REPEATED, first.message_id, first.held)
    other = await store.write(holding(held(3, request_id=draft.request_id)))
    assert (other.status, other.message_id) == (REUSED, first.message_id)
    same = {"submitter": draft.submitter, "request_id": draft.request_id}
    sent = make.sealed(TH, request_digest=draft.request_digest, **same)
    (answer,) = await store.write(submit(sent))
    assert (answer.status, answer.message_id) == (REPEATED, first.message_id)
    (answer,) = await store.write(submit(make.sealed(TH, **same)))
    assert answer.status is REUSED
    assert (await store.read(CountMessages())).sent == 0
    found = await store.read(FindRequest(request_digest=draft.request_digest, **same))
    assert (found.status, found.held) == (REPEATED, first.held)


async def test_what_was_sent_is_not_held_by_a_repeat(store, make):
    sent = make.sealed(TH)
    await store.write(submit(sent))
    draft = held(submitter=sent.submitter, request_id=sent.request_id, request_digest=sent.request_digest)
    answer = await store.write(holding(draft))
    assert (answer.status, answer.message_id, answer.held) == (REPEATED, sent.message_id, None)
    assert await store.read(FindHeld(proposal_id=draft.proposal_id)) is None


async def test_racing_holds_of_one_request_keep_one(engine):
    stores = [await engine.open()]
    if engine.name == "postgresql":
        stores.append(await engine.open())
    drafts = [held(number, request_id=blob("race", 16), request_digest=blob("d")) for number in range(1, 9)]
    results = await asyncio.gather(
        *(stores[place % len(stores)].write(holding(draft)) for place, draft in enumerate(drafts))
    )
    assert sorted(result.status for result in results) == [NEW] + [REPEATED] * 7
    assert len({result.message_id for result in results}) == 1


async def test_a_version_is_changed_once(store):
    draft = held()
    await store.write(holding(draft))
    after = replace(
        draft, state=ApprovalState.PROPOSED, proposer=OfficerId("o-1"), propose_ms=NOW + 5, due_ms=NOW + 9,
        authors=frozenset({OfficerId("o-3")}), recipients=(TH,), urgency=Urgency.U0, digest=blob("other"),
        body_sealed=blob("other body", 400), content_commitment=blob("other commitment"), expire_ms=NOW + 9,
        needs=NEEDS[:1],
    )  # fmt: skip
    outcomes = await asyncio.gather(*(store.write(changing(draft, after.state, after)) for _ in range(3)))
    assert sorted(outcomes) == [False, False, True]
    found = await store.read(FindHeld(proposal_id=draft.proposal_id))
    assert found.draft == replace(after, version=2)
    assert found.decisions == (acted(draft, DecisionAct.PROPOSED),)


async def test_a_release_is_one_commit_with_its_message(store, make):
    draft = held()
    await store.write(holding(draft))
    (answer,) = await store.write(submit(message_of(make, draft)))
    assert (answer.status, answer.message_id) == (NEW, draft.proposal_id)
    found = await store.read(FindHeld(proposal_id=draft.proposal_id))
    assert (found.draft.state, found.draft.version) == (ApprovalState.APPROVED, 2)
    assert [row.officer for row in found.decisions] == ["o-2"]
    assert (await store.read(CountMessages())).sent == 1
    make.heads.clear()
    repeat = replace(
        message_of(make, draft), message_id=MessageId(blob("again", 16)), thread_id=ThreadId(blob("t", 16))
    )
    (answer,) = await store.write(submit(repeat))
    assert answer.status is DECIDED_OTHERWISE
    assert (await store.read(CountMessages())).sent == 1


async def test_a_release_that_comes_late_leaves_nothing(store, make):
    draft = held()
    await store.write(holding(draft))
    await store.write(changing(draft, ApprovalState.WITHDRAWN))
    (answer,) = await store.write(submit(message_of(make, draft)))
    assert answer.status is DECIDED_OTHERWISE
    assert (await store.read(CountMessages())).sent == 0


async def test_a_claim_is_swapped_for_the_one_that_was_seen(store):
    draft = held()
    await store.write(holding(draft))
    log = log_entry(EventType.APPROVAL_CLAIMED, draft.proposal_id.raw)

    async def swap(before: Claim | None, after: Claim | None) -> bool:
        return await store.write(ClaimHeld(proposal_id=draft.proposal_id, before=before, after=after, log=log))

    mine, theirs = Claim(OfficerId("o-1"), NOW + 1), Claim(OfficerId("o-2"), NOW + 2)
    assert sorted(await asyncio.gather(swap(None, mine), swap(None, mine))) == [False, True]
    assert not await swap(theirs, mine)
    assert await swap(mine, theirs)
    assert (await store.read(FindHeld(proposal_id=draft.proposal_id))).claim == theirs
    ((row, claim),) = await store.read(ListHeld(open_only=True, before_ms=FAR, before_id=b"\xff" * 16, max_rows=9))
    assert (row.proposal_id, claim) == (draft.proposal_id, theirs)
    assert await swap(theirs, None)
    assert await swap(None, theirs)
    # What ends takes its claim along.
    await store.write(changing(draft, ApprovalState.REFUSED))
    assert (await store.read(FindHeld(proposal_id=draft.proposal_id))).claim is None
    unknown = ClaimHeld(proposal_id=MessageId(blob("other", 16)), before=None, after=mine, log=log)
    assert not await store.write(unknown)


async def test_lists_have_the_newest_first_and_what_is_due_the_oldest(store):
    drafts = [held(number, due_ms=NOW + 10 * number) for number in range(1, 6)]
    for draft in drafts:
        await store.write(holding(draft))
    await store.write(changing(drafts[0], ApprovalState.WITHDRAWN))
    await store.write(changing(drafts[1], ApprovalState.REVIEW_DUE))

    async def listed(*, open_only: bool, before_ms: int = FAR, before_id: bytes = b"\xff" * 16, rows: int = 9):
        found = await store.read(ListHeld(open_only=open_only, before_ms=before_ms, before_id=before_id, max_rows=rows))
        return [row.proposal_id for row, _ in found]

    ids = [draft.proposal_id for draft in drafts]
    assert await listed(open_only=False) == ids[::-1]
    assert await listed(open_only=True) == ids[:0:-1]
    assert await listed(open_only=False, rows=2) == [ids[4], ids[3]]
    assert await listed(open_only=False, before_ms=drafts[3].create_ms, before_id=ids[3].raw) == ids[2::-1]
    due = await store.read(DueHeld(now_ms=NOW + 40, max_rows=9))
    assert [item.proposal_id for item in due] == ids[2:4]
    assert [item.body_sealed for item in due] == [b"", b""]


async def test_an_erased_draft_has_no_key_and_keeps_its_history(store):
    draft = held()
    await store.write(holding(draft))
    await store.write(changing(draft, ApprovalState.PROPOSED))
    log = log_entry(EventType.MESSAGE_ERASED, draft.proposal_id.raw)
    assert not await store.write(EraseMessage(sender=PartnerId("th"), message_id=draft.proposal_id, log=log))
    assert await store.write(EraseMessage(sender=CN, message_id=draft.proposal_id, log=log))
    found = await store.read(FindHeld(proposal_id=draft.proposal_id))
    assert (found.wrapped_message_key, len(found.decisions)) == (b"", 1)
