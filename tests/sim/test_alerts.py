"""The life of an alert between nations: issued, updated, cancelled, and what is not believed."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ModeDiffers, NotFound, StateConflict
from gateway.ids import PartnerId, ThreadId
from gateway.model.alert import AlertReference, AlertType, SourceTime
from gateway.model.header import Mode, Supersedes
from gateway.ports import EventsSince
from gateway.workflow.alert import AlertEvent, AlertState
from tests.sim.nations import CODEC, Nation, Network, alert_body, until
from tests.sim.test_threads import TAKEN, answer_to, give

CN, TH = PartnerId("cn"), PartnerId("th")
SENT_MS = 1_790_000_000_000
UPDATE, CANCEL = AlertType.UPDATE, AlertType.CANCEL


@pytest.fixture
async def pair(tmp_path: Path):
    """Two nations that know each other; each test says what is carried."""
    network = Network()
    cn, th = [await Nation.start(code, tmp_path, network) for code in ("cn", "th")]
    await cn.befriend(th)
    await th.befriend(cn)
    yield cn, th
    await cn.stop()
    await th.stop()


def reference(number: int, sender: str = "desk@example.org") -> AlertReference:
    # The same instant in another zone is the same alert.
    sent = "2026-09-21T21:13:20+07:00" if number % 2 else "2026-09-21T14:13:20-00:00"
    return AlertReference(sender, f"alert-{number}", sent)


def body_of(nation: Nation, number: int, kind: AlertType = AlertType.ALERT, *about: AlertReference, **changes):
    body = alert_body(nation.partner, f"alert {number}", nation.clock.now_ms())
    content = replace(
        body.content,
        identifier=f"alert-{number}",
        sent_time=SourceTime(SENT_MS, 420),
        alert_type=kind,
        references=about,
        **changes,
    )
    return replace(body, content=content)


def given(nation: Nation, number: int, kind: AlertType = AlertType.ALERT, *about: AlertReference, **changes):
    body = body_of(nation, number, kind, *about, **changes)
    return {"body": body, "body_bytes": CODEC.encode_body(body)}


async def issue(nation: Nation, to: str, number: int, kind: AlertType = AlertType.ALERT, *about: AlertReference):
    return await nation.send(to, **given(nation, number, kind, *about))


async def row(nation: Nation, sender: PartnerId, message_id):
    return (await nation.reader.open(sender, message_id)).stored.row


async def states(nation: Nation, sender: PartnerId, *results) -> list[str]:
    return [(await row(nation, sender, item.message_id)).alert_state for item in results]


async def told(nation: Nation) -> list[tuple[str, str]]:
    rows = await nation.store.read(EventsSince(position=0, max_rows=1000))
    return [(item.type, str(item.message_id)) for item in rows if item.type.startswith("alert.")]


async def arrived(nation: Nation, sender: PartnerId, *results) -> None:
    async def all_here() -> bool:
        return all([await nation.found(sender, item.message_id) is not None for item in results])

    await until(all_here)


async def test_issue_update_cancel_on_both_sides(pair) -> None:
    cn, th = pair
    cn.run()
    first = await issue(cn, "th", 1)
    await arrived(th, CN, first)
    assert (await states(cn, CN, first), await states(th, CN, first)) == (["issued"], ["validated"])
    update = await issue(cn, "th", 2, UPDATE, reference(1))
    assert update.thread_id == first.thread_id
    # Names the first only: what took its place since is what it cancels.
    cancel = await issue(cn, "th", 3, CANCEL, reference(1))
    assert cancel.thread_id == first.thread_id
    await arrived(th, CN, update, cancel)
    assert await states(cn, CN, first, update, cancel) == ["superseded", "cancelled", "issued"]
    assert await states(th, CN, first, update, cancel) == ["superseded", "cancelled", "validated"]
    for nation in pair:
        middle = await row(nation, CN, update.message_id)
        assert (middle.predecessor, middle.successor) == (first.message_id, cancel.message_id)
        assert set(await told(nation)) == {
            ("alert.superseded", str(first.message_id)), ("alert.cancelled", str(update.message_id)),
        }  # fmt: skip
        listed, _ = await nation.reader.list(sent=None, page_size=10, page_token="")
        assert {item.alert_state for item in listed} == {"superseded", "cancelled", "issued", "validated"} - {
            "validated" if nation is cn else "issued"
        }


async def test_what_may_not_be_updated_does_not_leave_and_the_refusal_says_what_helps(pair) -> None:
    cn, _ = pair
    await issue(cn, "th", 1)
    await issue(cn, "th", 2, CANCEL, reference(1))
    for number, kind, about in (
        (3, UPDATE, reference(9)),
        (3, CANCEL, reference(3)),
        (3, UPDATE, reference(1)),
        (3, CANCEL, reference(1, "other@example.org")),
        (3, UPDATE, AlertReference("desk@example.org", "alert-1", "no instant")),
    ):
        answer = await answer_to(cn, **given(cn, number, kind, about))
        assert isinstance(answer, StateConflict), (number, kind, about)
        assert "; " in answer.text
        draft = cn.draft("th", **given(cn, number, kind, about))
        with pytest.raises(StateConflict):
            await cn.submit.validate(cn.submission(draft).submitter, draft)


async def test_an_exercise_cannot_cancel_what_is_actual(pair) -> None:
    cn, _ = pair
    await cn.send("th", **given(cn, 1), mode=Mode.ACTUAL)
    assert isinstance(await answer_to(cn, **given(cn, 2, CANCEL, reference(1)), mode=Mode.EXERCISE), ModeDiffers)


async def test_a_repeated_cancellation_gets_its_first_answer(pair) -> None:
    cn, _ = pair
    await issue(cn, "th", 1)
    draft = cn.draft("th", **given(cn, 2, CANCEL, reference(1)))
    answers = [(await cn.submit.submit([cn.submission(draft, b"r" * 16)]))[0] for _ in range(2)]
    assert answers[0].message_id == answers[1].message_id


async def test_another_states_alert_cannot_be_cancelled(pair) -> None:
    cn, th = pair
    cn_alert = await issue(cn, "th", 1)
    body = body_of(th, 2, CANCEL, reference(1))
    assert await give(th, cn, {"body_bytes": CODEC.encode_body(body)}) == [TAKEN]
    assert await states(cn, CN, cn_alert) == ["issued"]
    (hostile,), _ = await cn.reader.list(sent=False, page_size=10, page_token="")
    assert (hostile.alert_state, hostile.alert_reason) == ("quarantined", "predecessor_foreign")
    assert ("alert.quarantined", str(hostile.message_id)) in await told(cn)


@pytest.mark.parametrize("by_id", [False, True])
async def test_what_comes_before_its_predecessor_waits_in_quarantine(pair, by_id: bool) -> None:
    cn, th = pair
    now = cn.clock.now_ms()
    first = await issue(cn, "th", 1)
    about = () if by_id else (reference(1),)
    supersedes = Supersedes(message_id=first.message_id, content_commitment=first.content_commitment)
    cancel = {
        "body_bytes": CODEC.encode_body(body_of(cn, 2, CANCEL, *about)),
        "create_ms": now + 1,
        "thread_id": ThreadId(first.thread_id.raw),
        **({"supersedes": supersedes} if by_id else {}),
    }
    assert await give(cn, th, cancel) == [TAKEN]
    (early,), _ = await th.reader.list(sent=False, page_size=10, page_token="")
    assert (early.alert_state, early.alert_reason) == ("quarantined", "predecessor_unknown")
    cn.run()
    await arrived(th, CN, first)
    assert await states(th, CN, first) == ["cancelled"]
    early = await row(th, CN, early.message_id)
    assert (early.alert_state, early.alert_reason, early.predecessor) == ("validated", "", first.message_id)
    assert [kind for kind, _ in await told(th)] == ["alert.quarantined", "alert.validated", "alert.cancelled"]


async def test_a_chain_that_arrives_backwards_is_put_in_order(pair) -> None:
    cn, th = pair
    bodies = [body_of(cn, 1), body_of(cn, 2, UPDATE, reference(1)), body_of(cn, 3, CANCEL, reference(2))]
    now = cn.clock.now_ms()
    for place in (2, 1, 0):
        item = {"body_bytes": CODEC.encode_body(bodies[place]), "create_ms": now + place}
        assert await give(cn, th, item) == [TAKEN]
    listed, _ = await th.reader.list(sent=False, page_size=10, page_token="")
    assert [item.alert_state for item in listed] == ["validated", "cancelled", "superseded"]


async def test_one_cancelled_already_is_not_cancelled_again_and_names_nothing_is_in_doubt(pair) -> None:
    cn, th = pair
    now = cn.clock.now_ms()
    bodies = [
        body_of(cn, 1),
        body_of(cn, 2, CANCEL, reference(1)),
        body_of(cn, 3, CANCEL, reference(1)),
        body_of(cn, 4, UPDATE, reference(4)),
        body_of(cn, 5, CANCEL),
        body_of(cn, 6, CANCEL, reference(2)),
    ]
    items = [{"body_bytes": CODEC.encode_body(body), "create_ms": now + n} for n, body in enumerate(bodies)]
    assert await give(cn, th, *items) == [TAKEN] * len(items)
    listed, _ = await th.reader.list(sent=False, page_size=10, page_token="")
    assert [(item.alert_state, item.alert_reason) for item in reversed(listed)] == [
        ("cancelled", ""),
        ("validated", ""),
        ("quarantined", "predecessor_cancelled"),
        ("quarantined", "predecessor_self"),
        ("quarantined", "predecessor_not_named"),
        ("quarantined", "predecessor_no_alert"),
    ]


async def test_duplicates_change_nothing(pair) -> None:
    cn, th = pair
    cn.network.duplicate = True
    cn.run()
    first = await issue(cn, "th", 1)
    cancel = await issue(cn, "th", 2, CANCEL, reference(1))
    await arrived(th, CN, first, cancel)
    assert await states(th, CN, first, cancel) == ["cancelled", "validated"]
    assert await told(th) == [("alert.cancelled", str(first.message_id))]


async def test_alerts_that_are_about_nothing_earlier_cost_no_look_up(pair) -> None:
    cn, _ = pair
    asked = []
    plain = cn.store.read

    async def read(query):
        asked.append(type(query).__name__)
        return await plain(query)

    cn.store.read = read
    await issue(cn, "th", 1)
    assert "FindAlerts" not in asked
    await issue(cn, "th", 2, UPDATE, reference(1))
    assert asked.count("FindAlerts") == 1


async def test_our_side_marks_what_it_does_until_its_issuer_ends_it(pair) -> None:
    cn, th = pair
    cn.run()
    first, second = await issue(cn, "th", 1), await issue(cn, "th", 2)
    await arrived(th, CN, first, second)

    async def mark(event: AlertEvent, item, *, by: Nation = th, sender: PartnerId = CN) -> str:
        return (await by.marker.mark(sender, item.message_id, event, actor="system/desk")).word

    # Repeating says again where it stands, and leaves no second entry.
    assert [await mark(AlertEvent.NOTE, first) for _ in range(2)] == ["noted", "noted"]
    with pytest.raises(StateConflict, match="possible is relay"):
        await mark(AlertEvent.DECLINE, first)
    assert await mark(AlertEvent.RELAY, first) == "relayed"
    assert await mark(AlertEvent.DECLINE, second) == "declined"
    update = await issue(cn, "th", 3, UPDATE, reference(1))
    await arrived(th, CN, update)
    assert await states(th, CN, first) == ["superseded"]
    with pytest.raises(StateConflict, match="took its place"):
        await mark(AlertEvent.NOTE, first)
    with pytest.raises(StateConflict, match="recipients"):
        await mark(AlertEvent.NOTE, first, by=cn)
    with pytest.raises(NotFound):
        await mark(AlertEvent.NOTE, first, sender=PartnerId("la"))


async def test_what_is_in_doubt_is_not_noted_and_declining_it_is_final(pair) -> None:
    cn, th = pair
    body = body_of(cn, 2, CANCEL, reference(1))
    assert await give(cn, th, {"body_bytes": CODEC.encode_body(body)}) == [TAKEN]
    (doubtful,), _ = await th.reader.list(sent=False, page_size=10, page_token="")
    for event in (AlertEvent.NOTE, AlertEvent.RELAY):
        with pytest.raises(StateConflict, match="in doubt"):
            await th.marker.mark(CN, doubtful.message_id, event, actor="operator")
    state = await th.marker.mark(CN, doubtful.message_id, AlertEvent.DECLINE, actor="operator")
    assert state is AlertState.DISMISSED
    cn.run()
    first = await issue(cn, "th", 1)
    await arrived(th, CN, first)
    assert await states(th, CN, first, doubtful) == ["validated", "dismissed"]


async def test_an_update_names_the_last_of_its_chain_whichever_it_was_told(pair) -> None:
    cn, _ = pair
    first = await issue(cn, "th", 1)
    update = await issue(cn, "th", 2, UPDATE, reference(1))
    named = Supersedes(message_id=first.message_id, content_commitment=first.content_commitment)
    cancel = await cn.send("th", **given(cn, 3, CANCEL), supersedes=named)
    assert (await row(cn, CN, cancel.message_id)).predecessor == update.message_id
    assert await states(cn, CN, first, update, cancel) == ["superseded", "cancelled", "issued"]
    # Two officers who press the button at once: one of them is told.
    await issue(cn, "th", 4)
    answers = [await answer_to(cn, **given(cn, 5 + n, CANCEL, reference(4))) for n in range(2)]
    assert [isinstance(item, StateConflict) for item in answers] == [False, True]
