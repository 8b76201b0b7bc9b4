"""Referrals, requests and what follows them between real gateways: sealed, opened equal, shown in words."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.client import Client, Credentials, RetryPolicy, new_request_id
from gateway.clock import to_datetime
from gateway.errors import FieldInvalid, PolicyDenied, StateConflict
from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
from gateway.model.assistance import PriorJudgment
from gateway.model.case import CaseDecision, Update, Verdict, Withdrawal
from gateway.model.header import Mode, Urgency
from gateway.model.measure import MeasureType
from gateway.model.message import Body, Draft, Handling, LegalBasis, Onward, Tlp
from gateway.model.person import YesNo
from gateway.rpc.convert.message import body_from_proto, draft_to_proto, encode_body
from tests.fixtures.cases import (
    ANSWER,
    CONFIRMATION,
    CONSENT,
    NOW,
    OPERATIONS,
    OUTCOME,
    RECALL,
    REFERRAL,
    REFUSAL,
    REQUEST,
    SUBJECT,
    UPDATE,
    USE_REPORT,
    words,
)
from tests.fixtures.changing import changed
from tests.fixtures.quick_gateways import QuickGateway, start_all

ROOT = Path(__file__).resolve().parents[2]
AGREEMENT = """
[[agreement]]
id = "cases-under-test"
partners = ["{other}"]
kinds = ["referral", "request", "update", "answer", "recall", "operation"]
authorities = ["{own}/foreign-affairs"]
purposes = ["consular_protection"]
legal_bases = ["UNTOC"]
modes = ["exercise", "test"]
default_lifetime_hours = 24
retention_days = 30
release = "system"
[agreement.terms.request]
measures = ["preserve", "extend_preservation", "trace_assets"]
"""
# What holds for officers (gateway/policy/safeguards/holds.cedar) is left out: here nobody decides.
PLAIN = changed(REFERRAL, "persons[0].exposures", ())
ASKING = replace(
    REQUEST,
    persons=(replace(SUBJECT, exposures=()),),
    measures=(*REQUEST.measures[:2], replace(REQUEST.measures[3], measure_type=MeasureType.TRACE_ASSETS)),
    offences=tuple(replace(item, death_penalty=YesNo.NO) for item in REQUEST.offences),
    prior_judgment=PriorJudgment(exists=YesNo.NO),
)
ACCEPTED = CaseDecision(verdict=Verdict.ACCEPT)
REASON = words()
PATIENT = RetryPolicy(attempts=60, most_ms=500)


def client(gateway: QuickGateway) -> Client:
    certs = gateway.home / "certs"
    shown = Credentials.from_files(
        roots=certs / "authority.pem", chain=certs / "system-national.pem", key=certs / "system-national.key.pem"
    )
    return Client(f"localhost:{gateway.exchange_port}", shown, retry=PATIENT, timeout_s=30)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    base = tmp_path_factory.mktemp("cases")
    shutil.copytree(ROOT / "partners", base / "partners")
    for own, other in (("th", "la"), ("la", "th")):
        with (base / "partners" / f"{own}.toml").open("a", encoding="utf-8") as profile:
            profile.write(AGREEMENT.format(own=own, other=other))
    # The files that these bodies name were never uploaded.
    files = {"CONCORD_ATTACHMENTS__BY_OTHER_MEANS": "true"}
    th, la = (
        QuickGateway(code, base / code, settings='partners_dir = "../partners"', environment=files)
        for code in ("th", "la")
    )
    try:
        th.init()
        la.init()
        start_all(th, la)
        th.befriend(la)
        la.befriend(th)
        with client(th) as at_th, client(la) as at_la:
            yield (th, at_th), (la, at_la)
    finally:
        th.kill()
        la.kill()


def body(sender: str, content, purpose: str = "consular_protection") -> Body:
    return Body(
        authority=AuthorityId(f"{sender}/foreign-affairs"),
        handling=Handling(tlp=Tlp.AMBER_STRICT, purpose=purpose, onward=Onward.NONE, retain_until_ms=NOW + 86_400_000),
        legal_basis=(LegalBasis("UNTOC", "18"),),
        content=content,
    )


def draft(whole: Body, to: str, thread: bytes = b"", reply: bytes = b"", urgency: Urgency = Urgency.U1):
    return draft_to_proto(
        Draft(
            body=whole,
            body_bytes=encode_body(whole),
            recipients=(PartnerId(to),),
            mode=Mode.EXERCISE,
            urgency=urgency,
            expire_ms=None,
            thread_id=ThreadId(thread) if thread else None,
            in_reply_to=MessageId(reply) if reply else None,
            supersedes=None,
        )
    )


def exchanged(sender, receiver, content, thread: bytes = b"", reply: bytes = b""):
    """Send a content; return its message once it came out equal on the other side."""
    (source, at_source), (target, at_target) = sender, receiver
    whole = body(source.code, content)
    accepted = at_source.submit(draft(whole, target.code, thread, reply), new_request_id())
    arrived = next(item for item in at_target.watch() if item.message_id == accepted.message_id)
    assert body_from_proto(arrived.event.message.body) == whole
    return accepted


@pytest.mark.timeout(240)
def test_a_case_goes_back_and_forth_and_is_opened_as_it_was_written(pair):
    th, la = pair
    first = exchanged(th, la, PLAIN)
    thread, referral = first.thread_id.raw, first.message_id.raw
    decided = exchanged(la, th, ACCEPTED, thread, referral)
    exchanged(la, th, Update(event="start", text=UPDATE.text, attachments=UPDATE.attachments), thread)
    answered = exchanged(la, th, OUTCOME, thread, referral)
    recall = replace(RECALL, message_id=answered.message_id, content_commitment=answered.content_commitment)
    recalled = exchanged(la, th, recall, thread)
    confirmed = replace(CONFIRMATION, message_id=answered.message_id)
    exchanged(th, la, confirmed, thread, recalled.message_id.raw)
    assert len({first.message_id, decided.message_id, answered.message_id}) == 3
    request = exchanged(th, la, ASKING)
    thread = request.thread_id.raw
    exchanged(la, th, ACCEPTED, thread, request.message_id.raw)
    exchanged(la, th, changed(ANSWER, "persons[0].exposures", ()), thread, request.message_id.raw)
    exchanged(th, la, Withdrawal(message_id=request.message_id, measures=("m1", "m2", "m4"), reason=REASON), thread)
    exchanged(th, la, USE_REPORT, thread)
    opened = exchanged(th, la, OPERATIONS[0])
    for entry in OPERATIONS[1:]:
        exchanged(th, la, entry, opened.thread_id.raw)


def test_a_decision_that_the_case_does_not_allow_is_refused_with_what_is_possible(pair):
    (_, at_th), (_, at_la) = pair
    first = exchanged(pair[0], pair[1], PLAIN)
    thread, referral = first.thread_id.raw, first.message_id.raw
    with pytest.raises(StateConflict, match=r"possible is .*withdraw"):
        at_th.submit(draft(body("th", ACCEPTED), "la", thread, referral), new_request_id())
    exchanged(
        pair[1], pair[0], CaseDecision(verdict=Verdict.REDIRECT, redirect_to="la/public-security"), thread, referral
    )
    with pytest.raises(StateConflict, match="possible is nothing"):
        at_la.submit(draft(body("la", ACCEPTED), "th", thread, referral), new_request_id())
    told = [item.event.type for item in _until(at_th, "case.changed")]
    assert told[-1] == "case.changed"


def _until(client, kind):
    found = []
    for item in client.watch():
        found.append(item)
        if item.event.type == kind:
            return found
    return found


def test_content_lies_nowhere_in_clear(pair):
    th, la = pair
    exchanged(th, la, PLAIN)
    secrets = [SUBJECT.names[0].full.encode(), b"AA1234567", SUBJECT.telephones[0].number.encode()]
    looked_at = 0
    for gateway, _ in pair:
        for path in gateway.home.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                looked_at += len(data)
                assert [path.name for secret in secrets if secret in data] == []
    assert looked_at > 100_000


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (changed(REFERRAL, "persons[0].names[0].full", "สมชาย\u202e"), "body.referral.persons[0].names[0].full"),
        (
            changed(changed(REFERRAL, "persons[0].consent", None), "persons[0].vital_interest", None),
            "body.referral.persons[0].consent",
        ),
        (replace(REQUEST, offences=()), "body.request.offences"),
        (REFUSAL, "thread_id"),
    ],
)
def test_a_broken_case_is_refused_with_its_field_before_it_leaves(pair, content, field):
    (_, at_th), _ = pair
    with pytest.raises(FieldInvalid) as caught:
        at_th.submit(draft(body("th", content), "la"), new_request_id())
    assert caught.value.field.removeprefix("draft.") == field


def test_a_case_leaves_only_under_an_agreement_that_covers_it(pair):
    (_, at_th), _ = pair
    for whole in (body("th", PLAIN, purpose="tourism"), body("th", PLAIN, purpose="")):
        with pytest.raises(PolicyDenied):
            at_th.submit(draft(whole, "la"), new_request_id())


def test_the_inbox_tells_cases_in_words_and_keeps_keys_to_itself(pair):
    th, (la, _) = pair
    referral = exchanged(th, pair[1], PLAIN)
    request = exchanged(th, pair[1], ASKING)
    key = REFERRAL.attachments[0].key.hex()
    shown = la.run("inbox", "show", str(referral.message_id)).stdout
    for told in (
        "referral: evacuation, rescue, repatriation, consular access",
        "danger now: yes",
        "full: สมชาย แซ่ตั้ง",
        "key: (not shown)",
        f"give time: {to_datetime(CONSENT.give_ms):%Y-%m-%d}",
    ):
        assert told in shown
    assert key not in shown
    listed = la.run("inbox", "list", "--limit", "100").stdout
    assert "request: preserve, extend preservation, trace assets" in listed
    assert "สมชาย" not in listed
    found = json.loads(la.run("inbox", "show", str(request.message_id), "--json").stdout)
    assert found["kind"] == "request"
    content = found["content"]["request"]
    assert content["measures"][2]["assets"]["amount"] == {"amount": "1250000.50", "unit": "USDT"}
    assert content["victims_touched"] == "yes"
    assert content["attachments"][0]["key"] == "(not shown)"
    assert "AA1234567" in json.dumps(content)
