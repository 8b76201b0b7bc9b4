"""Drafts that wait for officers, between two nations under the agreements of the tree: what leaves, when, by whom."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.errors import (
    ApprovalRequired,
    ConcurrentUpdate,
    FieldInvalid,
    GatewayError,
    NotFound,
    PolicyDenied,
    RequestIdReused,
    StateConflict,
    StoreCorrupt,
)
from gateway.exchange.alone import LoneService
from gateway.exchange.edit_draft import EditService
from gateway.exchange.held_acts import Act, may_see
from gateway.exchange.held_cases import Words, approvals_of
from gateway.exchange.held_lists import HeldLists
from gateway.exchange.steps import step
from gateway.exchange.submission import Submission, Submitter
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.model.case import CaseDecision, Verdict, Withdrawal
from gateway.model.header import Mode, Urgency
from gateway.model.person import YesNo
from gateway.model.referral import Ask
from gateway.policy.decision import DECIDING_ROLES, RELEASE, Allow, Deny, Hold, Need
from gateway.policy.exchanges import ExchangePolicy
from gateway.ports import (
    CountMessages,
    DecisionAct,
    DecisionRow,
    EraseMessage,
    FindHeld,
    IntegrateLog,
    ListMessages,
    LogFilter,
    SearchLog,
    SubmissionStatus,
)
from gateway.profiles import load_profiles
from gateway.store.sqlite import open_sqlite
from gateway.translog.entry import EventType
from gateway.translog.merkle import MAX_SIZE
from gateway.workflow.approval import ApprovalState
from gateway.workflow.claim import LEASE_MS
from tests.fixtures.officers import FIRST, LEAD, OFFICERS, SECOND, STRANGER, WRITER, referral
from tests.rules.tree import ROOT
from tests.sim.nations import CODEC, Nation, Network, until

CN, TH = PartnerId("cn"), PartnerId("th")
DAY_MS = 86_400_000


class MovedClock(SystemClock):
    """A clock that is set forward by hand."""

    def forward(self, duration_ms: int) -> None:
        self._offset_ms += duration_ms


class Agreed(ExchangePolicy):
    """The agreements of the tree; a test may have another decision instead."""

    instead: Allow | Hold | Deny | None = None

    def outgoing(self, draft):
        return self.instead or super().outgoing(draft)


def policy(code: str) -> Agreed:
    return Agreed(PartnerId(code), load_profiles(ROOT / "partners"), Mode.EXERCISE, SystemClock())


@pytest.fixture
async def pair(tmp_path: Path):
    network = Network()
    clock = MovedClock()
    nations = [await Nation.start(code, tmp_path, network, policy=policy(code), clock=clock) for code in ("cn", "th")]
    cn, th = nations
    await cn.befriend(th)
    await th.befriend(cn)
    cn.desk = OFFICERS
    for nation in nations:
        nation.run()
    yield cn, th
    for nation in nations:
        await nation.stop()


def handed(draft, principal: str = "system/hotline", request_id: bytes = b"r" * 16) -> Submission:
    submitter = Submitter(principal=principal, authorities=frozenset({draft.body.authority}))
    return Submission(submitter=submitter, request_id=request_id, request_digest=b"d" * 32, draft=draft)


async def hold(nation: Nation, draft=None, **kw):
    (answer,) = await nation.submit.submit([handed(draft or referral(CODEC), **kw)])
    assert not isinstance(answer, GatewayError), answer
    assert answer.held is not None
    return answer


async def held(nation: Nation, proposal_id: MessageId):
    stored = await nation.store.read(FindHeld(proposal_id=proposal_id))
    assert stored is not None
    return stored


async def act(nation: Nation, officer, proposal_id: MessageId, **words) -> Act:
    """An act on the version that is there now."""
    version = (await held(nation, proposal_id)).draft.version
    return Act(officer=officer, proposal_id=proposal_id, version=version, words=Words(**words))


async def propose(nation: Nation, officer, proposal_id: MessageId):
    return await nation.deciding.propose(await act(nation, officer, proposal_id))


async def approve(nation: Nation, officer, proposal_id: MessageId, digest: bytes | None = None, rules=frozenset()):
    shown = (await held(nation, proposal_id)).draft.digest if digest is None else digest
    return await nation.deciding.approve(await act(nation, officer, proposal_id), digest=shown, rules=rules)


async def entries(nation: Nation, proposal_id: MessageId) -> list[EventType]:
    """What the log says of a draft, once all of it is in the tree."""
    while await nation.store.write(IntegrateLog(1000)):
        pass
    found = await nation.store.read(
        SearchLog(filter=LogFilter(subject=proposal_id.raw), before=MAX_SIZE, max_rows=100, counted=False)
    )
    return [record.event.type for record in reversed(found.records)]


async def arrived(nation: Nation, message_id: MessageId, sender: PartnerId = CN) -> bool:
    return await nation.found(sender, message_id) is not None


# --- holding -----------------------------------------------------------------------------------------------------


async def test_nothing_of_a_held_draft_leaves_before_two_officers_have_released_it(pair) -> None:
    cn, th = pair
    answer = await hold(cn)
    assert [(need.rule, need.number) for need in answer.held.needs] == [(RELEASE, 1)]
    assert (await cn.store.read(CountMessages())).sent == 0
    proposal_id = answer.message_id
    await propose(cn, FIRST, proposal_id)
    assert (await cn.store.read(CountMessages())).sent == 0
    stored = await approve(cn, SECOND, proposal_id)
    assert stored.draft.state is ApprovalState.APPROVED
    await until(lambda: arrived(th, proposal_id))
    got = await th.reader.open(CN, proposal_id)
    assert got.body_bytes == referral(CODEC).body_bytes
    # What officers saw a commitment to is what was sent and what was opened.
    assert got.stored.row.content_commitment == answer.content_commitment == stored.draft.content_commitment
    assert got.stored.row.thread_id == answer.thread_id
    assert [row.act for row in stored.decisions] == [DecisionAct.PROPOSED, DecisionAct.APPROVED]
    assert [row.officer for row in stored.decisions] == ["o-first", "o-second"]
    assert (await entries(cn, proposal_id))[:4] == [
        EventType.APPROVAL_HELD,
        EventType.APPROVAL_PROPOSED,
        EventType.APPROVAL_APPROVED,
        EventType.MESSAGE_RELEASED,
    ]


async def test_a_repeat_gets_the_same_answer_before_and_after_the_release(pair) -> None:
    cn, _ = pair
    first = await hold(cn)
    again = await hold(cn)
    assert (again.status, again.message_id) == (SubmissionStatus.REPEATED, first.message_id)
    await propose(cn, FIRST, first.message_id)
    await approve(cn, SECOND, first.message_id)
    for instead in (None, Deny((), "")):
        cn.policy.instead = instead
        later = await hold(cn)
        assert (later.status, later.message_id, later.held) == (
            SubmissionStatus.REPEATED,
            first.message_id,
            first.held,
        )
    assert (await cn.store.read(CountMessages())).sent == 1


async def test_what_was_held_is_not_sent_by_a_repeat_once_nobody_needs_to_decide(pair) -> None:
    cn, _ = pair
    first = await hold(cn)
    cn.policy.instead = Allow((), "")
    again = await hold(cn)
    assert (again.status, again.message_id) == (SubmissionStatus.REPEATED, first.message_id)
    assert (await cn.store.read(CountMessages())).sent == 0
    # What waits is not let out by it either: officers were to decide, and do.
    stored = await propose(cn, FIRST, first.message_id)
    assert [need.rule for need in stored.draft.needs] == [RELEASE]
    await approve(cn, SECOND, first.message_id)
    assert (await cn.store.read(CountMessages())).sent == 1


async def test_a_request_id_of_another_held_draft_is_refused(pair) -> None:
    cn, _ = pair
    await hold(cn)
    (answer,) = await cn.submit.submit([replace(handed(referral(CODEC)), request_digest=b"e" * 32)])
    assert isinstance(answer, RequestIdReused)


async def test_what_is_wrong_is_refused_and_not_held(pair) -> None:
    cn, _ = pair
    wrong = replace(referral(CODEC), urgency=Urgency.U3)
    (answer,) = await cn.submit.submit([handed(wrong)])
    assert isinstance(answer, FieldInvalid)
    assert not (await listed(cn, LEAD))[0]


async def test_content_lies_under_the_drafts_own_key_and_goes_with_it(pair, tmp_path) -> None:
    cn, _ = pair
    answer = await hold(cn)
    text = "ถูกกักในอาคารหลอกลวง".encode()
    await propose(cn, FIRST, answer.message_id)
    for file in (tmp_path / "cn").rglob("*"):
        assert not file.is_file() or text not in file.read_bytes()
    log = step(EventType.MESSAGE_ERASED, cn.clock.now_ms(), actor="operator", subject=answer.message_id.raw)
    assert not await cn.store.write(EraseMessage(sender=TH, message_id=answer.message_id, log=log))
    assert await cn.store.write(EraseMessage(sender=CN, message_id=answer.message_id, log=log))
    shown = await cn.deciding.show(FIRST, answer.message_id)
    assert shown.draft is None
    assert [item.row.act for item in shown.history] == [DecisionAct.PROPOSED]
    with pytest.raises(NotFound):
        await approve(cn, SECOND, answer.message_id)


async def test_what_waits_survives_a_restart(pair, tmp_path) -> None:
    cn, th = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    await cn.stop()
    again = await Nation.start("cn", tmp_path, cn.network, cn.secrets, policy=policy("cn"), clock=cn.clock)
    again.desk = OFFICERS
    again.run()
    try:
        await approve(again, SECOND, answer.message_id)
        await until(lambda: arrived(th, answer.message_id))
    finally:
        await again.stop()
        cn.store = await open_sqlite(cn.home)


# --- four eyes -----------------------------------------------------------------------------------------------------


async def test_nobody_approves_what_is_their_own(pair) -> None:
    cn, _ = pair
    written = await hold(cn, principal="officer/o-lead")
    await propose(cn, FIRST, written.message_id)
    for officer in (FIRST, LEAD):
        with pytest.raises(StateConflict):
            await approve(cn, officer, written.message_id)
    attempts = await entries(cn, written.message_id)
    assert attempts.count(EventType.APPROVAL_ATTEMPT_REFUSED) == 2
    await approve(cn, SECOND, written.message_id)


async def test_roles_that_do_not_decide_are_refused(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    with pytest.raises(StateConflict):
        await approve(cn, WRITER, answer.message_id)
    with pytest.raises(StateConflict):
        await cn.deciding.refuse(await act(cn, WRITER, answer.message_id), ground="FORM_DEFECT")


async def test_officers_of_another_authority_see_nothing(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    with pytest.raises(NotFound):
        await cn.deciding.show(STRANGER, answer.message_id)
    with pytest.raises(NotFound):
        await propose(cn, STRANGER, answer.message_id)
    assert not (await listed(cn, STRANGER))[0]
    assert len((await listed(cn, FIRST))[0]) == 1


async def test_an_approval_is_of_what_was_shown(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    with pytest.raises(StateConflict):
        await approve(cn, SECOND, answer.message_id, digest=b"x" * 32)
    with pytest.raises(StateConflict):
        await approve(cn, SECOND, answer.message_id, rules=frozenset({"safeguard/other"}))
    assert (await cn.store.read(CountMessages())).sent == 0


async def test_an_edit_voids_the_proposal_and_makes_an_author(pair) -> None:
    cn, th = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    before = await held(cn, answer.message_id)
    seen = await act(cn, SECOND, answer.message_id)
    editing = EditService(cn.acts)
    changed = referral(CODEC, Ask.WELFARE_CHECK)
    stored = await editing.edit(await act(cn, LEAD, answer.message_id), changed)
    assert stored.draft.state is ApprovalState.DRAFT
    assert stored.draft.digest != before.draft.digest
    # Approved a moment too late, by somebody who has seen the old one.
    with pytest.raises(ConcurrentUpdate):
        await cn.deciding.approve(seen, digest=before.draft.digest, rules=frozenset())
    await propose(cn, SECOND, answer.message_id)
    with pytest.raises(StateConflict):
        await approve(cn, LEAD, answer.message_id)
    with pytest.raises(StateConflict):
        await approve(cn, FIRST, answer.message_id, digest=before.draft.digest)
    await approve(cn, FIRST, answer.message_id)
    await until(lambda: arrived(th, answer.message_id))
    assert (await th.reader.open(CN, answer.message_id)).body_bytes == changed.body_bytes


@pytest.mark.parametrize("field", ["mode", "kind", "authority", "reply"])
async def test_what_a_draft_is_cannot_be_edited(pair, field) -> None:
    cn, _ = pair
    answer = await hold(cn)
    draft = referral(CODEC)
    other = {
        "mode": replace(draft, mode=Mode.TEST),
        "kind": replace(draft, body=cn.draft("th").body),
        "authority": replace(draft, body=replace(draft.body, authority=next(iter(STRANGER.authorities)))),
        "reply": replace(draft, in_reply_to=MessageId(b"m" * 16)),
    }[field]
    with pytest.raises(FieldInvalid):
        await EditService(cn.acts).edit(await act(cn, LEAD, answer.message_id), other)
    assert (await held(cn, answer.message_id)).draft.version == 1


async def test_of_two_officers_at_once_one_decides_and_the_other_looks_again(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    digest = (await held(cn, answer.message_id)).draft.digest
    one, other = [await act(cn, officer, answer.message_id) for officer in (SECOND, LEAD)]
    results = await asyncio.gather(
        cn.deciding.approve(one, digest=digest, rules=frozenset()),
        cn.deciding.refuse(other, ground="DISPROPORTIONATE"),
        return_exceptions=True,
    )
    failed = [item for item in results if isinstance(item, BaseException)]
    assert [type(item) for item in failed] == [ConcurrentUpdate]
    state = (await held(cn, answer.message_id)).draft.state
    sent = (await cn.store.read(CountMessages())).sent
    assert (state, sent) in {(ApprovalState.APPROVED, 1), (ApprovalState.REFUSED, 0)}


async def test_two_approvals_at_once_send_once(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    results = await asyncio.gather(
        *(approve(cn, officer, answer.message_id) for officer in (SECOND, LEAD)), return_exceptions=True
    )
    assert sum(isinstance(item, ConcurrentUpdate | StateConflict) for item in results) == 1
    assert (await cn.store.read(CountMessages())).sent == 1


async def test_every_need_is_met_by_officers_of_its_roles(pair) -> None:
    cn, th = pair
    minor = Need("safeguard/h3-minor", frozenset({"duty_lead"}), 1, 0)
    cn.policy.instead = Hold((RELEASE, minor.rule_id), "two rules", (Need(RELEASE, DECIDING_ROLES, 2, 0), minor))
    answer = await hold(cn)
    await propose(cn, WRITER, answer.message_id)
    stored = await approve(cn, FIRST, answer.message_id)
    assert stored.draft.state is ApprovalState.PROPOSED
    with pytest.raises(StateConflict):
        await approve(cn, FIRST, answer.message_id)
    stored = await approve(cn, SECOND, answer.message_id)
    assert stored.draft.state is ApprovalState.PROPOSED
    stored = await approve(cn, LEAD, answer.message_id)
    assert stored.draft.state is ApprovalState.APPROVED
    await until(lambda: arrived(th, answer.message_id))


async def test_policy_is_asked_again_at_the_last_moment(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    more = (Need(RELEASE, DECIDING_ROLES, 2, 0),)
    for instead, error in (
        (Deny(("agreement/none",), "ended"), PolicyDenied),
        (Hold((RELEASE,), "", more), ApprovalRequired),
    ):
        cn.policy.instead = instead
        with pytest.raises(error):
            await approve(cn, SECOND, answer.message_id)
    stored = await held(cn, answer.message_id)
    assert (stored.draft.state, [row.act for row in stored.decisions]) == (
        ApprovalState.PROPOSED,
        [DecisionAct.PROPOSED],
    )
    assert (await cn.store.read(CountMessages())).sent == 0
    cn.policy.instead = None
    await approve(cn, SECOND, answer.message_id)


async def test_somebody_with_the_database_cannot_swap_what_is_approved(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    other = await hold(cn, referral(CODEC, Ask.WELFARE_CHECK), request_id=b"s" * 16)
    await propose(cn, FIRST, answer.message_id)
    bad = (await held(cn, other.message_id)).draft
    forged = replace((await held(cn, answer.message_id)), draft=replace(bad, recipients=(PartnerId("vn"),)))
    with pytest.raises(GatewayError):
        cn.holding.open(forged)


# --- other ends ----------------------------------------------------------------------------------------------------


async def test_a_refusal_keeps_two_texts_apart_and_ends_it(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    with pytest.raises(FieldInvalid):
        await cn.deciding.refuse(await act(cn, SECOND, answer.message_id), ground="no code")
    with pytest.raises(StateConflict):
        await cn.deciding.refuse(await act(cn, FIRST, answer.message_id), ground="FORM_DEFECT")
    words = {"disclosed": "the form is wrong", "internal": "ask the hotline"}
    await cn.deciding.refuse(await act(cn, SECOND, answer.message_id, **words), ground="FORM_DEFECT")
    shown = await cn.deciding.show(LEAD, answer.message_id)
    last = shown.history[-1]
    assert (last.row.ground, last.words) == ("FORM_DEFECT", Words(**words))
    for late in (propose(cn, LEAD, answer.message_id), approve(cn, LEAD, answer.message_id)):
        with pytest.raises(StateConflict):
            await late
    with pytest.raises(StateConflict):
        await cn.claims.claim(LEAD, answer.message_id)


async def test_whoever_has_a_part_withdraws_and_nobody_else(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    with pytest.raises(StateConflict):
        await cn.deciding.withdraw(await act(cn, SECOND, answer.message_id))
    stored = await cn.deciding.withdraw(await act(cn, FIRST, answer.message_id))
    assert stored.draft.state is ApprovalState.WITHDRAWN


async def test_questions_are_on_record_and_decide_nothing(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    with pytest.raises(FieldInvalid):
        await cn.deciding.ask(await act(cn, SECOND, answer.message_id, internal=" "))
    await cn.deciding.ask(await act(cn, SECOND, answer.message_id, internal="who is the sister?"))
    shown = await cn.deciding.show(FIRST, answer.message_id)
    assert (shown.stored.draft.state, shown.history[0].words.internal) == (ApprovalState.DRAFT, "who is the sister?")
    assert EventType.APPROVAL_SHOWN in await entries(cn, answer.message_id)


async def test_a_claim_keeps_others_away_until_it_ends(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    proposal_id = answer.message_id
    await cn.claims.claim(FIRST, proposal_id)
    with pytest.raises(StateConflict):
        await cn.claims.claim(SECOND, proposal_id)
    with pytest.raises(StateConflict):
        await propose(cn, SECOND, proposal_id)
    with pytest.raises(StateConflict):
        await cn.claims.give_back(SECOND, proposal_id)
    with pytest.raises(NotFound):
        await cn.claims.hand_over(FIRST, proposal_id, STRANGER.officer_id)
    assert (await cn.claims.hand_over(FIRST, proposal_id, SECOND.officer_id)).officer == SECOND.officer_id
    await cn.claims.hand_over(LEAD, proposal_id, FIRST.officer_id)
    await cn.claims.give_back(FIRST, proposal_id)
    await cn.claims.claim(SECOND, proposal_id)
    cn.clock.forward(LEASE_MS)
    await propose(cn, FIRST, proposal_id)


async def test_what_nobody_decides_on_lapses(pair) -> None:
    cn, _ = pair
    waiting = await hold(cn)
    proposed = await hold(cn, request_id=b"s" * 16)
    await propose(cn, FIRST, proposed.message_id)
    assert await cn.taking_back.lapse_due() == 0
    cn.clock.forward(4 * DAY_MS)
    with pytest.raises(StateConflict):
        await approve(cn, SECOND, proposed.message_id)
    assert await cn.taking_back.lapse_due() == 2
    assert await cn.taking_back.lapse_due() == 0
    for answer in (waiting, proposed):
        stored = await held(cn, answer.message_id)
        assert (stored.draft.state, stored.decisions[-1].officer) == (ApprovalState.LAPSED, "")
        assert (await entries(cn, answer.message_id))[-1] is EventType.APPROVAL_LAPSED


# --- alone -----------------------------------------------------------------------------------------------------------


async def alone(nation: Nation, officer, proposal_id: MessageId):
    return await LoneService(nation.acts).send(await act(nation, officer, proposal_id))


async def withdrawal(nation: Nation) -> Withdrawal | None:
    rows = await nation.store.read(ListMessages(sent=False, before_ms=MAX_SIZE, before_id=b"\xff" * 16, max_rows=9))
    for row in rows:
        content = CODEC.decode_body((await nation.reader.open(row.sender, row.message_id)).body_bytes).content
        if isinstance(content, Withdrawal):
            return content
    return None


async def test_the_fast_lane_sends_at_once_and_a_second_officer_confirms(pair) -> None:
    cn, th = pair
    answer = await hold(cn, referral(CODEC, Ask.RESCUE, urgency=Urgency.U0))
    with pytest.raises(StateConflict):
        await alone(cn, FIRST, answer.message_id)
    await alone(cn, LEAD, answer.message_id)
    await until(lambda: arrived(th, answer.message_id))
    with pytest.raises(StateConflict):
        await approve(cn, LEAD, answer.message_id)
    with pytest.raises(StateConflict):
        await EditService(cn.acts).edit(await act(cn, SECOND, answer.message_id), referral(CODEC))
    stored = await approve(cn, SECOND, answer.message_id)
    assert stored.draft.state is ApprovalState.APPROVED
    cn.clock.forward(2 * DAY_MS)
    assert await cn.taking_back.lapse_due() == 0


@pytest.mark.parametrize("how", ["lapse", "refuse", "withdraw"])
async def test_what_nobody_confirms_is_withdrawn_at_the_partner(pair, how) -> None:
    cn, th = pair
    answer = await hold(cn, referral(CODEC, Ask.WELFARE_CHECK))
    await alone(cn, LEAD, answer.message_id)
    await until(lambda: arrived(th, answer.message_id))
    if how == "lapse":
        cn.clock.forward(DAY_MS)
        assert await cn.taking_back.lapse_due() == 1
    elif how == "refuse":
        await cn.deciding.refuse(await act(cn, SECOND, answer.message_id), ground="DISPROPORTIONATE")
    else:
        await cn.deciding.withdraw(await act(cn, LEAD, answer.message_id))
    told = {"lapse": ApprovalState.LAPSED, "refuse": ApprovalState.REFUSED, "withdraw": ApprovalState.WITHDRAWN}
    assert (await held(cn, answer.message_id)).draft.state is told[how]

    async def withdrawn() -> bool:
        return await withdrawal(th) is not None

    await until(withdrawn)
    found = await withdrawal(th)
    assert found is not None
    assert found.message_id == answer.message_id


async def test_where_no_agreement_lets_a_withdrawal_through_the_decision_stands(pair) -> None:
    cn, _ = pair
    answer = await hold(cn, referral(CODEC, Ask.WELFARE_CHECK))
    await alone(cn, LEAD, answer.message_id)
    cn.policy.instead = Deny(("agreement/none",), "ended")
    await cn.deciding.refuse(await act(cn, SECOND, answer.message_id), ground="DISPROPORTIONATE")
    assert (await held(cn, answer.message_id)).draft.state is ApprovalState.REFUSED
    assert EventType.APPROVAL_WITHDRAWN in await entries(cn, answer.message_id)


@pytest.mark.parametrize(
    ("asks", "urgency"),
    [((Ask.RESCUE, Ask.REPATRIATION), Urgency.U0), ((Ask.SHELTER,), Urgency.U0), ((Ask.RESCUE,), Urgency.U2)],
)
async def test_the_fast_lane_is_a_closed_list(pair, asks, urgency) -> None:
    cn, _ = pair
    calm = {} if urgency is Urgency.U0 else {"danger_now": YesNo.NO, "danger": ()}
    answer = await hold(cn, referral(CODEC, *asks, urgency=urgency, **calm))
    with pytest.raises(StateConflict):
        await alone(cn, LEAD, answer.message_id)
    assert (await cn.store.read(CountMessages())).sent == 0


async def test_no_other_rule_is_passed_over_however_urgent_it_is(pair) -> None:
    cn, _ = pair
    minor = Need("safeguard/h3-minor", frozenset({"duty_lead"}), 1, 0)
    cn.policy.instead = Hold((RELEASE, minor.rule_id), "", (Need(RELEASE, DECIDING_ROLES, 1, 0), minor))
    answer = await hold(cn, referral(CODEC, Ask.RESCUE, urgency=Urgency.U0))
    for way in (LoneService(cn.acts).send, LoneService(cn.acts).break_glass):
        with pytest.raises(ApprovalRequired):
            await way(await act(cn, LEAD, answer.message_id, internal="he is dying"))
    assert (await cn.store.read(CountMessages())).sent == 0


async def test_broken_glass_stands_and_somebody_else_reviews_it(pair) -> None:
    cn, th = pair
    lone = LoneService(cn.acts)
    answer = await hold(cn, referral(CODEC, Ask.RESCUE, Ask.SHELTER, urgency=Urgency.U0))
    with pytest.raises(FieldInvalid):
        await lone.break_glass(await act(cn, LEAD, answer.message_id))
    await lone.break_glass(await act(cn, LEAD, answer.message_id, internal="he is dying"))
    await until(lambda: arrived(th, answer.message_id))
    with pytest.raises(StateConflict):
        await lone.review(await act(cn, LEAD, answer.message_id), upheld=True)
    cn.clock.forward(3 * DAY_MS)
    assert await cn.taking_back.lapse_due() == 0
    stored = await lone.review(await act(cn, SECOND, answer.message_id), upheld=False)
    assert stored.draft.state is ApprovalState.FAULTED
    with pytest.raises(StateConflict):
        await lone.review(await act(cn, SECOND, answer.message_id), upheld=True)


# --- what others learn -----------------------------------------------------------------------------------------------


async def test_who_wants_to_know_is_told_once_of_what_is_held_and_of_what_is_released(pair) -> None:
    cn, _ = pair
    told: list[tuple[str, MessageId]] = []
    cn.holding.on_held(lambda draft: told.append(("held", draft.proposal_id)))
    cn.holding.on_released(lambda submission, result: told.append((submission.submitter.principal, result.message_id)))
    answer = await hold(cn)
    await hold(cn)
    cn.policy.instead = Allow((), "")
    assert not isinstance((await cn.submit.submit([handed(referral(CODEC), request_id=b"o" * 16)]))[0], GatewayError)
    await propose(cn, FIRST, answer.message_id)
    await approve(cn, SECOND, answer.message_id)
    assert told == [("held", answer.message_id), ("system/hotline", answer.message_id)]


async def test_a_decision_about_a_received_case_waits_for_officers_as_any_draft_does(pair) -> None:
    cn, th = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    await approve(cn, SECOND, answer.message_id)
    await until(lambda: arrived(th, answer.message_id))
    ours = AuthorityId("th/foreign-affairs")
    th.desk = tuple(replace(officer, authorities=frozenset({ours})) for officer in (FIRST, SECOND))
    draft = referral(CODEC)
    body = replace(draft.body, authority=ours, content=CaseDecision(verdict=Verdict.ACCEPT))
    decision = replace(
        draft, body=body, body_bytes=CODEC.encode_body(body), recipients=(CN,), thread_id=answer.thread_id,
        in_reply_to=answer.message_id,
    )  # fmt: skip
    (waits,) = await th.submit.submit([handed(decision, principal="system/desk")])
    assert not isinstance(waits, GatewayError)
    assert waits.held is not None
    await propose(th, th.desk[0], waits.message_id)
    await approve(th, th.desk[1], waits.message_id)
    await until(lambda: arrived(cn, waits.message_id, TH))
    got = await cn.reader.open(TH, waits.message_id)
    assert got.body_bytes is not None
    assert CODEC.decode_body(got.body_bytes).content == body.content
    assert got.stored.row.thread_id == answer.thread_id


# --- lists -----------------------------------------------------------------------------------------------------------


async def listed(nation: Nation, officer, *, open_only: bool = True, size: int = 0, token: str = ""):
    lists = HeldLists(store=nation.store, clock=nation.clock)
    return await lists.list(
        actor=officer.principal, may_see=lambda item: may_see(officer, item), open_only=open_only, page_size=size,
        page_token=token,
    )  # fmt: skip


async def test_lists_are_paged_newest_first_and_leave_out_what_has_ended(pair) -> None:
    cn, _ = pair
    ids = [(await hold(cn, request_id=bytes([number] * 16))).message_id for number in range(5)]
    await cn.deciding.withdraw(await act(cn, LEAD, ids[2]))
    found, token = [], ""
    while True:
        rows, token = await listed(cn, FIRST, size=2, token=token)
        found += [row.proposal_id for row, _ in rows]
        if not token:
            break
    assert found == [ids[4], ids[3], ids[1], ids[0]]
    assert len((await listed(cn, FIRST, open_only=False))[0]) == 5
    for bad in ("x", "1", f"{1 << 64}.{'0' * 32}", "1.zz"):
        with pytest.raises(GatewayError) as caught:
            await listed(cn, FIRST, token=bad)
        assert caught.value.reason == "PAGE_TOKEN_INVALID"


async def test_an_unfinished_release_is_nothing(pair) -> None:
    cn, _ = pair
    answer = await hold(cn)
    await propose(cn, FIRST, answer.message_id)
    await cn.directory.freeze(TH, frozen=True)
    with pytest.raises(GatewayError):
        await approve(cn, SECOND, answer.message_id)
    stored = await held(cn, answer.message_id)
    assert (stored.draft.state, len(stored.decisions)) == (ApprovalState.PROPOSED, 1)
    await cn.directory.freeze(TH, frozen=False)
    await approve(cn, SECOND, answer.message_id)


async def test_what_cannot_be_withdrawn_lapses_all_the_same_and_holds_nobody_up(pair) -> None:
    cn, th = pair
    answer = await hold(cn, referral(CODEC, Ask.WELFARE_CHECK))
    await alone(cn, LEAD, answer.message_id)
    await until(lambda: arrived(th, answer.message_id))
    await cn.directory.freeze(PartnerId("th"), frozen=True)
    cn.clock.forward(DAY_MS)
    assert await cn.taking_back.lapse_due() == 1
    assert (await held(cn, answer.message_id)).draft.state is ApprovalState.LAPSED
    assert await cn.taking_back.lapse_due() == 0


async def test_an_approval_of_something_else_counts_for_nothing(pair) -> None:
    cn, _ = pair
    answer = await hold(cn, referral(CODEC))
    stored = await held(cn, answer.message_id)
    row = DecisionRow(
        number=1, act=DecisionAct.PROPOSED, officer="o-first", roles=frozenset(), rules=frozenset(), ground="",
        digest=stored.draft.digest, time_ms=1, words_sealed=b"",
    )  # fmt: skip
    approved = replace(row, number=2, act=DecisionAct.APPROVED, officer="o-second")
    assert len(approvals_of(replace(stored, decisions=(row, approved)))) == 1
    for changed in ((replace(row, digest=bytes(32)), approved), (row, replace(approved, digest=bytes(32)))):
        with pytest.raises(StoreCorrupt):
            approvals_of(replace(stored, decisions=changed))
