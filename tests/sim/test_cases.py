"""Cases between nations: what a partner's changed gateway sends against the rules is refused where it arrives."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import FieldInvalid, PolicyDenied
from gateway.ids import AuthorityId, MessageId, ThreadId
from gateway.model.assistance import OffenceCharacter, Request
from gateway.model.envelope import Outcome
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.message import Body, Handling, LegalBasis, Onward, Tlp
from gateway.model.referral import Referral
from gateway.policy.exchanges import ExchangePolicy
from gateway.profiles import load_profiles
from tests.fixtures.cases import CONFIRMATION, CONTENTS, DECISION, OPERATIONS, RECALL, REFERRAL, REQUEST, UPDATE
from tests.fixtures.changing import changed
from tests.sim.nations import CODEC, Nation, Network
from tests.sim.test_threads import TAKEN, give, refused

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def pair(tmp_path: Path):
    network = Network()
    cn, th = [await Nation.start(code, tmp_path, network) for code in ("cn", "th")]
    await cn.befriend(th)
    await th.befriend(cn)
    yield cn, th
    await cn.stop()
    await th.stop()


def sealed(content, **changes) -> dict[str, object]:
    whole = Body(
        authority=AuthorityId("cn/foreign-affairs"),
        handling=Handling(tlp=Tlp.AMBER, purpose="consular_protection", onward=Onward.NONE),
        legal_basis=(LegalBasis("UNTOC", "18"),),
        content=content,
    )
    whole = replace(
        whole, **{key: changes.pop(key) for key in ("handling", "legal_basis", "authority") if key in changes}
    )
    return {"body_bytes": CODEC.encode_body(whole), "kind": whole.kind, "urgency": Urgency.U1, **changes}


THREAD = {"thread_id": ThreadId(b"t" * 16)}


async def test_cases_are_taken_where_they_belong(pair) -> None:
    cn, th = pair
    assert await give(cn, th, sealed(REFERRAL)) == [TAKEN]
    assert await give(cn, th, sealed(REQUEST)) == [TAKEN]
    assert await give(cn, th, sealed(UPDATE, **THREAD)) == [TAKEN]
    assert await give(cn, th, sealed(OPERATIONS[0])) == [TAKEN]


@pytest.mark.parametrize(
    "item",
    [
        sealed(REFERRAL, kind=Kind.REQUEST),
        sealed(REQUEST, kind=Kind.REFERRAL),
        sealed(DECISION, kind=Kind.ANSWER, **THREAD),
        sealed(UPDATE),
        sealed(RECALL),
        sealed(OPERATIONS[1]),
        sealed(DECISION, **THREAD),
        sealed(CONFIRMATION, **THREAD),
        sealed(REFERRAL, urgency=Urgency.U3),
        sealed(replace(REQUEST, urgency_reason="")),
        sealed(REQUEST, legal_basis=()),
        sealed(REFERRAL, handling=Handling(tlp=Tlp.GREEN, purpose="", onward=Onward.NONE)),
        sealed(changed(REFERRAL, "persons[0].names[0].full", "\u0e2a\u202e")),
        sealed(changed(changed(REFERRAL, "persons[0].consent", None), "persons[0].vital_interest", None)),
    ],
    ids=range(14),
)
async def test_a_case_against_the_rules_is_refused_on_arrival(pair, item) -> None:
    cn, th = pair
    assert await give(cn, th, item) == [refused(FieldInvalid)]


async def test_every_content_is_opened_as_it_was_written(pair) -> None:
    cn, th = pair
    for number, content in enumerate(CONTENTS):
        first = isinstance(content, (Referral, Request)) or content is OPERATIONS[0]
        place = {} if first else {"thread_id": ThreadId(bytes([number]) * 16), "in_reply_to": MessageId(b"i" * 16)}
        item = sealed(content, **place)
        assert await give(cn, th, item) == [TAKEN]
        (row, *_), _ = await th.reader.list(sent=False, page_size=1, page_token="")
        opened = await th.reader.open(cn.partner, row.message_id)
        assert opened.body_bytes == item["body_bytes"]
        assert CODEC.decode_body(opened.body_bytes).content == content


async def test_a_political_request_of_a_changed_gateway_is_refused_on_arrival_with_no_rule_named(pair) -> None:
    cn, th = pair
    profiles = load_profiles(ROOT / "partners")
    th.receive._policy = ExchangePolicy(th.partner, profiles, Mode.EXERCISE, th.clock)
    whole = {
        "handling": Handling(tlp=Tlp.AMBER_STRICT, purpose="criminal_investigation", onward=Onward.NONE),
        "legal_basis": (LegalBasis("UNTOC", "18"),),
        "authority": AuthorityId("cn/public-security"),
    }
    request = replace(REQUEST, measures=REQUEST.measures[:1], offences=REQUEST.offences[:1])
    plain = changed(request, "offences[0].character", OffenceCharacter.ORDINARY)
    political = changed(request, "offences[0].character", OffenceCharacter.POLITICAL)
    assert await give(cn, th, sealed(plain, **whole)) == [TAKEN]
    assert await give(cn, th, sealed(political, **whole)) == [refused(PolicyDenied)]


async def test_one_broken_case_of_a_frame_leaves_the_others_alone(pair) -> None:
    cn, th = pair
    stated = await give(cn, th, sealed(REFERRAL), sealed(UPDATE), sealed(REFERRAL))
    assert [outcome for outcome, _ in stated] == [Outcome.RECEIVED, Outcome.REFUSED, Outcome.RECEIVED]
