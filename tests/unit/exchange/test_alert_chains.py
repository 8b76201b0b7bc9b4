"""Which of our alerts a draft is about, when time, length of the chain or others stand against it."""

import itertools
from dataclasses import replace

import pytest

from gateway.errors import StateConflict
from gateway.exchange.alert_chains import AlertChains
from gateway.ids import MessageId, PartnerId, ThreadId, uuid7
from gateway.model.alert import AlertType
from gateway.model.header import Mode, Supersedes, Urgency
from gateway.model.message import Draft
from gateway.ports import AlertEntry
from gateway.workflow.alert import AlertState
from gateway.workflow.alert_chain import MAX_OWN_CHAIN, KnownAlert
from tests.sim.nations import CODEC, alert_body

CN, TH = PartnerId("cn"), PartnerId("th")
NOW = 1_790_000_000_000
KEY = b"k" * 16


class Clock:
    def now_ms(self) -> int:
        return NOW


class Store:
    def __init__(self, *known: KnownAlert) -> None:
        self.known = known

    async def read(self, query):
        return self.known


def known(**changes) -> KnownAlert:
    base = KnownAlert(
        partner=CN,
        key=KEY,
        message_id=MessageId(uuid7(NOW - 1000)),
        thread_id=ThreadId(uuid7(NOW - 1000)),
        alert_type=AlertType.ALERT,
        mode=Mode.EXERCISE,
        state=AlertState.ISSUED,
        create_ms=NOW - 1000,
        expire_ms=NOW + 1000,
        content_commitment=b"c" * 32,
        successor_id=None,
    )
    return replace(base, **changes)


async def continued(*alerts: KnownAlert, kind=AlertType.CANCEL, supersedes=None):
    body = alert_body(CN, "x", NOW)
    draft = Draft(
        body=body,
        body_bytes=CODEC.encode_body(body),
        recipients=(TH,),
        mode=Mode.EXERCISE,
        urgency=Urgency.U2,
        expire_ms=None,
        thread_id=None,
        in_reply_to=None,
        supersedes=supersedes,
    )
    entry = AlertEntry(key=b"x" * 16, alert_type=kind, references=(KEY,), self_reference=False)
    chains = AlertChains(store=Store(*alerts), own=CN, clock=Clock())
    (answer,) = await chains.continued([(draft, entry)])
    return answer


def chain(length: int) -> list[KnownAlert]:
    alerts = [known(key=KEY if place == 0 else bytes(16)) for place in range(length)]
    return [
        replace(item, state=AlertState.SUPERSEDED, successor_id=after.message_id)
        for item, after in itertools.pairwise(alerts)
    ] + alerts[-1:]


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (known(expire_ms=NOW), "its time is over"),
        (known(state=AlertState.CANCELLED), "cancelled already"),
        (known(partner=TH), "another state"),
        (known(alert_type=AlertType.CANCEL), "itself no alert"),
        (known(state=AlertState.SUPERSEDED, successor_id=MessageId(uuid7(NOW))), "replaced too often"),
    ],
)
@pytest.mark.parametrize("kind", [AlertType.CANCEL, AlertType.UPDATE])
async def test_what_cannot_be_ended_is_refused_and_says_what_helps(alert, why, kind):
    answer = await continued(alert, kind=kind)
    assert isinstance(answer, StateConflict)
    assert why in answer.text
    assert ";" in answer.text


@pytest.mark.parametrize("length", [1, 2, 65, MAX_OWN_CHAIN])
async def test_the_last_of_the_chain_is_named_and_its_thread_taken(length):
    alerts = chain(length)
    last = alerts[-1]
    named = Supersedes(message_id=last.message_id, content_commitment=last.content_commitment)
    by_name = await continued(*alerts)
    assert (by_name.supersedes, by_name.thread_id) == (named, last.thread_id)
    first = Supersedes(message_id=alerts[0].message_id, content_commitment=alerts[0].content_commitment)
    assert (await continued(*alerts, supersedes=first)).supersedes == named


async def test_a_chain_that_is_too_long_is_refused_instead_of_ended_in_its_middle():
    answer = await continued(*chain(MAX_OWN_CHAIN + 2))
    assert isinstance(answer, StateConflict)
    assert "name the last of them" in answer.text


async def test_a_circle_of_successors_ends_in_a_refusal():
    # Nothing makes one; a damaged table must not hang a gateway.
    one, two = known(), known(key=bytes(16))
    one = replace(one, state=AlertState.SUPERSEDED, successor_id=two.message_id)
    two = replace(two, state=AlertState.SUPERSEDED, successor_id=one.message_id)
    assert isinstance(await continued(one, two), StateConflict)
