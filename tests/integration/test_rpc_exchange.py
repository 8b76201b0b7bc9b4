import hashlib
import uuid

import grpc
import pytest
from concord.v1 import exchange_service_pb2 as pb
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from structlog.testing import capture_logs

from gateway.errors import PolicyDenied, QuotaExceeded, RequestIdReused
from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
from gateway.model.envelope import MerklePath, Outcome, ReceiptProof
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.message import Body, Draft, Handling, Onward, Ping, Tlp
from gateway.policy.decision import Deny, Hold
from gateway.ports import Delivery, EventRow, MessageRow, StoredMessage
from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.message import draft_to_proto
from gateway.rpc.methods import DRAFT_BYTES, METHODS, SMALL_BYTES, CallerKind, Listener
from gateway.rpc.status import INTERNAL_TEXT, from_status
from gateway.workflow.alert import AlertEvent
from tests.integration.called import met
from tests.integration.rpc_setup import (
    EARLY_WARNING,
    HOTLINE,
    LA,
    TH,
    VN,
    channel,
    exchange,
    identity_of,
    state,
    system_identity,
    until,
)

TH_STATE, VN_STATE = state(TH), state(VN)
ROOT = TH_STATE.authority[1]
SYSTEM = system_identity(TH_STATE, "early-warning")
OTHER_SYSTEM = system_identity(TH_STATE, "hotline")

BODY = Body(
    authority=AuthorityId("th/early-warning"),
    handling=Handling(tlp=Tlp.CLEAR, purpose="public_warning", onward=Onward.NONE),
    legal_basis=(),
    content=Ping(b"n" * 16),
)
BODY_BYTES = WireCodec().encode_body(BODY)
DRAFT = draft_to_proto(
    Draft(
        body=BODY,
        body_bytes=BODY_BYTES,
        recipients=(VN,),
        mode=Mode.EXERCISE,
        urgency=Urgency.U1,
        expire_ms=None,
        thread_id=None,
        in_reply_to=None,
        supersedes=None,
    )
)


def request(number: int = 1, draft=DRAFT) -> pb.SubmitMessageRequest:
    return pb.SubmitMessageRequest(request_id=str(uuid.UUID(int=number)), draft=draft)


def stored(sender: PartnerId, number: int, *, authority: str = "th/early-warning", submitter: str = "") -> tuple:
    row = MessageRow(
        sent=sender == TH,
        sender=sender,
        message_id=MessageId(number.to_bytes(16, "big")),
        kind=Kind.PING,
        mode=Mode.EXERCISE,
        urgency=Urgency.U1,
        thread_id=ThreadId(b"t" * 16),
        create_ms=1000,
        expire_ms=2000,
        content_commitment=b"c" * 32,
        authority=authority,
        state="received",
        gap=True,
        submitter=submitter,
    )
    proof = ReceiptProof(
        issuer=VN, signing_key_id=b"k" * 8, receipt=b"r", path=MerklePath(0, 1, b""), signature=b"s" * 64
    )
    delivery = Delivery(partner=VN, state="received", time_ms=1500, reason="", proof=proof)
    message = StoredMessage(
        row=row,
        header=b"h",
        digest=b"d" * 32,
        content_sealed=b"c",
        key_id=b"k" * 16,
        wrapped_message_key=b"w",
        deliveries=(delivery,) if sender == TH else (),
    )
    return message, BODY_BYTES


def keep(memory, *items) -> None:
    for item in items:
        memory.stored[item[0].row.sender, item[0].row.message_id] = item


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    return caught.value.code(), (from_status(status) if status is not None else None)


def stub(identity, port: int) -> ExchangeServiceStub:
    return ExchangeServiceStub(channel(identity, ROOT, port))


async def test_a_draft_is_accepted_for_the_system_that_calls():
    async with exchange(TH_STATE) as th:
        answer = await stub(SYSTEM, th.port).SubmitMessage(request(7), timeout=5)
        (submission,) = th.memory.submissions
        assert submission.submitter == EARLY_WARNING
        assert submission.request_id == (7).to_bytes(16, "big")
        assert submission.request_digest == hashlib.sha256(DRAFT.SerializeToString(deterministic=True)).digest()
        assert submission.draft.body == BODY
        assert submission.draft.body_bytes == BODY_BYTES
        assert answer.message_id == (7).to_bytes(16, "big")
        assert (answer.create_time.seconds, answer.expire_time.seconds) == (1, 2)


async def test_the_digest_of_a_request_is_that_of_the_whole_draft():
    async with exchange(TH_STATE) as th:
        call = stub(SYSTEM, th.port).SubmitMessage
        other = type(DRAFT).FromString(DRAFT.SerializeToString())
        other.urgency = 4
        for item in (request(1), request(1), request(1, other)):
            await call(item, timeout=5)
        first, again, changed = (item.request_digest for item in th.memory.submissions)
        assert first == again != changed


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (pb.SubmitMessageRequest(request_id="no", draft=DRAFT), "request_id"),
        (pb.SubmitMessageRequest(request_id="{" + str(uuid.UUID(int=1)) + "}", draft=DRAFT), "request_id"),
        (pb.SubmitMessageRequest(request_id=str(uuid.UUID(int=1))), "draft"),
        (request(draft=type(DRAFT)(recipients=["vn"], mode=1, urgency=1)), "body"),
    ],
)
async def test_a_bad_field_is_named(bad, field):
    async with exchange(TH_STATE) as th:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub(SYSTEM, th.port).SubmitMessage(bad, timeout=5)
        status = rpc_status.from_call(caught.value)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert from_status(status).field == field
        detail = error_details_pb2.BadRequest()
        assert status.details[1].Unpack(detail)
        assert detail.field_violations[0].field == field
        assert th.memory.submissions == []


async def test_an_error_of_the_service_reaches_the_caller_with_its_details():
    async with exchange(TH_STATE) as th:
        call = stub(SYSTEM, th.port).SubmitMessage
        th.memory.refuse = lambda _: PolicyDenied(("agreement.kind",), "no agreement with 'vn' covers pings")
        code, told = await refusal(call(request(), timeout=5))
        assert (code, told.reason, told.rule_ids) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "POLICY_DENIED",
            ("agreement.kind",),
        )
        th.memory.refuse = lambda _: QuotaExceeded(1500)
        code, told = await refusal(call(request(), timeout=5))
        assert (code, told.retry_after_ms) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1500)


async def test_streamed_drafts_are_answered_each_and_a_refused_one_ends_nothing():
    async with exchange(TH_STATE) as th:
        bad = request(3)
        bad.draft.mode = 0
        unparted = pb.SubmitMessageRequest(request_id="x" * 500, draft=DRAFT)
        th.memory.refuse = lambda item: RequestIdReused() if item.request_id[-1] == 4 else None
        call = stub(SYSTEM, th.port).SubmitMessages()
        await call.write(pb.SubmitMessagesRequest(requests=[request(1), bad, unparted, request(4), request(5)]))
        await call.write(pb.SubmitMessagesRequest(requests=[request(6)]))
        await call.done_writing()
        results = [result async for response in call for result in response.results]
        assert await call.code() is grpc.StatusCode.OK
        assert [result.WhichOneof("result") for result in results] == [
            "accepted",
            "error",
            "error",
            "error",
            "accepted",
            "accepted",
        ]
        assert results[0].accepted.message_id == (1).to_bytes(16, "big")
        assert [(item.error.reason, item.error.field) for item in results[1:4]] == [
            ("FIELD_INVALID", "mode"),
            ("FIELD_INVALID", "request_id"),
            ("REQUEST_ID_REUSED", ""),
        ]
        assert [item.request_id[-1] for item in results if item.HasField("accepted")] == ["1", "5", "6"]
        assert len(results[2].request_id) == 64
        assert th.memory.batches == [3, 1]


async def test_frames_of_a_stream_are_worked_on_at_once_and_answered_in_order():
    async with exchange(TH_STATE) as th:
        call = stub(SYSTEM, th.port).SubmitMessages()
        for number in range(1, 41):
            await call.write(pb.SubmitMessagesRequest(requests=[request(number)]))
        await call.done_writing()
        results = [result.request_id async for response in call for result in response.results]
        assert results == [str(uuid.UUID(int=number)) for number in range(1, 41)]


@pytest.mark.parametrize("count", [0, 257])
async def test_a_frame_with_too_many_drafts_or_none_ends_the_stream(count):
    async with exchange(TH_STATE) as th:
        call = stub(SYSTEM, th.port).SubmitMessages()
        await call.write(pb.SubmitMessagesRequest(requests=[request(1)] * count))
        code, told = await refusal(call.read())
        assert (code, told.reason, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", "requests")


async def test_validation_says_what_would_happen():
    async with exchange(TH_STATE) as th:
        call = stub(SYSTEM, th.port).ValidateMessage
        allowed = await call(pb.ValidateMessageRequest(draft=DRAFT), timeout=5)
        assert (allowed.verdict, allowed.body_bytes) == (
            pb.ValidateMessageResponse.VERDICT_ALLOW,
            len(BODY_BYTES),
        )
        assert (list(allowed.recipients), allowed.expire_time.seconds) == (["vn"], 2)
        th.memory.decision = Hold(rule_ids=("four.eyes",), explanation="officers")
        assert (
            await call(pb.ValidateMessageRequest(draft=DRAFT), timeout=5)
        ).verdict == pb.ValidateMessageResponse.VERDICT_HOLD
        th.memory.decision = Deny(rule_ids=("a", "b"), explanation="no")
        denied = await call(pb.ValidateMessageRequest(draft=DRAFT), timeout=5)
        assert (denied.verdict, list(denied.rule_ids)) == (pb.ValidateMessageResponse.VERDICT_DENY, ["a", "b"])
        assert denied.explanation == "no"
        assert th.memory.submissions == []


async def test_a_received_message_is_shown_with_its_body_and_a_sent_one_with_its_receipts():
    async with exchange(TH_STATE) as th:
        keep(th.memory, stored(VN, 1), stored(TH, 2))
        call = stub(SYSTEM, th.port).GetMessage
        received = (
            await call(pb.GetMessageRequest(message_id=(1).to_bytes(16, "big"), sender="vn"), timeout=5)
        ).message
        assert received.body.SerializeToString(deterministic=True) == BODY_BYTES
        assert (received.direction, received.sender, received.gap) == (pb.DIRECTION_RECEIVED, "vn", True)
        sent = (await call(pb.GetMessageRequest(message_id=(2).to_bytes(16, "big")), timeout=5)).message
        assert not sent.HasField("body")
        assert (sent.deliveries[0].state, sent.deliveries[0].proof.receipt) == ("received", b"r")


async def test_an_erased_message_is_shown_without_a_body():
    async with exchange(TH_STATE) as th:
        keep(th.memory, (stored(VN, 1)[0], None))
        ask = pb.GetMessageRequest(message_id=(1).to_bytes(16, "big"), sender="vn")
        answer = await stub(SYSTEM, th.port).GetMessage(ask, timeout=5)
        assert not answer.message.HasField("body")


async def test_a_system_does_not_see_what_another_authority_sent():
    async with exchange(TH_STATE) as th:
        keep(
            th.memory,
            stored(TH, 1, authority="th/early-warning"),
            stored(TH, 2, authority="th/hotline"),
            stored(TH, 3, authority="th/other", submitter="system/early-warning"),
            stored(VN, 4),
        )
        th.memory.events = [event("delivery.received", TH, 1), event("delivery.received", TH, 2), event("x", TH, 9)]
        mine = stub(SYSTEM, th.port)
        for number, seen in ((1, True), (2, False), (3, True)):
            ask = pb.GetMessageRequest(message_id=number.to_bytes(16, "big"))
            if seen:
                await mine.GetMessage(ask, timeout=5)
            else:
                assert (await refusal(mine.GetMessage(ask, timeout=5)))[1].reason == "NOT_FOUND"
        listed = await mine.ListMessages(pb.ListMessagesRequest(page_size=5, page_token="t"), timeout=5)
        assert [item.message_id[-1] for item in listed.messages] == [1, 3, 4]
        assert listed.next_page_token == "after 5 t"
        theirs = await stub(OTHER_SYSTEM, th.port).ListMessages(
            pb.ListMessagesRequest(direction=pb.DIRECTION_SENT), timeout=5
        )
        assert [item.message_id[-1] for item in theirs.messages] == [2]
        watch = mine.WatchMessages(pb.WatchMessagesRequest())
        response = await watch.read()
        assert [item.message_id[-1] for item in response.events] == [1]
        watch.cancel()


def event(kind: str, sender: PartnerId, number: int) -> EventRow:
    return EventRow(
        position=number,
        type=kind,
        time_ms=1234,
        sender=sender,
        message_id=MessageId(number.to_bytes(16, "big")),
        partner=VN,
        reason="",
    )


async def test_watching_tells_events_with_received_messages_and_ends_with_the_caller():
    async with exchange(TH_STATE) as th:
        keep(th.memory, stored(VN, 1), stored(TH, 2))
        th.memory.events = [
            event("message.received", VN, 1),
            event("delivery.received", TH, 2),
            event("message.received", LA, 3),
        ]
        watch = stub(SYSTEM, th.port).WatchMessages(pb.WatchMessagesRequest(since_cursor="c"))
        response = await watch.read()
        assert response.cursor == "c+3"
        first, second, erased = response.events
        assert first.message.body.SerializeToString(deterministic=True) == BODY_BYTES
        assert (first.type, first.partner, first.time.seconds) == ("message.received", "vn", 1)
        assert not second.HasField("message")
        assert not erased.HasField("message")
        assert th.memory.watching == 1
        watch.cancel()
        await until(lambda: th.memory.watching == 0 and th.listener.guard.open_streams == 0)


async def test_watching_ends_cleanly_at_its_age():
    async with exchange(TH_STATE, max_stream_age_s=0.05) as th:
        watch = stub(SYSTEM, th.port).WatchMessages(pb.WatchMessagesRequest())
        assert [response.cursor async for response in watch] == ["+0"]
        assert await watch.code() is grpc.StatusCode.OK
        assert th.memory.watching == 0


async def test_a_received_message_is_acknowledged():
    async with exchange(TH_STATE) as th:
        ask = pb.AcknowledgeMessageRequest(message_id=b"m" * 16, sender="vn")
        answer = await stub(SYSTEM, th.port).AcknowledgeMessage(ask, timeout=5)
        assert answer.acknowledge_time.seconds == 3
        assert th.memory.acknowledged == [(VN, MessageId(b"m" * 16), Outcome.ACKNOWLEDGED_BY_SYSTEM)]
        for bad in (
            pb.AcknowledgeMessageRequest(message_id=b"m" * 15, sender="vn"),
            pb.AcknowledgeMessageRequest(message_id=b"m" * 16, sender="v\u202en"),
        ):
            assert (await refusal(stub(SYSTEM, th.port).AcknowledgeMessage(bad, timeout=5)))[1].reason == (
                "FIELD_INVALID"
            )


async def test_a_received_alert_is_marked_and_nothing_that_is_no_mark_is_taken():
    async with exchange(TH_STATE) as th:
        marks = (pb.ALERT_MARK_RELAYED, pb.ALERT_MARK_NOTED, pb.ALERT_MARK_DECLINED)
        for mark in marks:
            ask = pb.MarkAlertRequest(message_id=b"m" * 16, sender="vn", mark=mark)
            answer = await stub(SYSTEM, th.port).MarkAlert(ask, timeout=5)
            assert answer.alert_state == "noted"
        events = (AlertEvent.RELAY, AlertEvent.NOTE, AlertEvent.DECLINE)
        assert [(item[0], item[2]) for item in th.memory.marked] == [(VN, event) for event in events]
        assert th.memory.marked[0][3].startswith("system/")
        for bad in (
            {"message_id": b"m" * 15},
            {"sender": "v\u202en"},
            {"sender": ""},
            {"mark": pb.ALERT_MARK_UNSPECIFIED},
            {"mark": 99},
        ):
            fields = {"message_id": b"m" * 16, "sender": "vn", "mark": pb.ALERT_MARK_NOTED, **bad}
            call = stub(SYSTEM, th.port).MarkAlert(pb.MarkAlertRequest(**fields), timeout=5)
            assert (await refusal(call))[1].reason == "FIELD_INVALID"
        assert len(th.memory.marked) == len(marks)


# --- who, how large, how long ----------------------------------------------------------------------------------

CALLERS = {
    "registered system": (SYSTEM, None),
    "other registered system": (OTHER_SYSTEM, None),
    "unregistered system": (system_identity(TH_STATE, "unregistered"), "CALLER_UNKNOWN"),
    "own gateway": (TH_STATE.identity, "CALLER_UNKNOWN"),
    "own authority naming another state": (identity_of(TH_STATE.authority, VN), "CALLER_UNKNOWN"),
    "another state's system": (system_identity(VN_STATE, "early-warning"), "tls"),
    "partner gateway": (VN_STATE.identity, "tls"),
    "no certificate": (None, "tls"),
}


@pytest.mark.parametrize("who", CALLERS)
async def test_only_registered_systems_of_this_state_may_call_any_method(who):
    identity, expected_of_all = CALLERS[who]
    async with exchange(TH_STATE) as th, channel(identity, ROOT, th.port) as raw:
        for name, row in METHODS.items():
            if Listener.EXCHANGE not in row.listeners:
                continue
            expected = expected_of_all
            if expected is None and CallerKind.SYSTEM not in row.callers:
                expected = "METHOD_NOT_ALLOWED"
            code, reason = await met(raw, name)
            got = None if code is grpc.StatusCode.OK else reason or "tls"
            if expected is None:
                # Whatever an empty request earns, it is not for who the caller is.
                assert got not in {"CALLER_UNKNOWN", "METHOD_NOT_ALLOWED", "tls"}, name
                assert (got == "METHOD_UNIMPLEMENTED") is not row.offered, name
            else:
                assert got == expected, name
        reasons = {item.reason for item in th.rejected.latest()}
        assert reasons == {"tls": set(), None: {"METHOD_NOT_ALLOWED"}}.get(expected_of_all, {expected_of_all})


async def test_what_is_too_large_is_refused_with_the_limit():
    async with exchange(TH_STATE) as th, channel(SYSTEM, ROOT, th.port) as raw:
        for path, limit in (("SubmitMessage", DRAFT_BYTES), ("ListMessages", SMALL_BYTES)):
            code, told = await refusal(
                raw.unary_unary(f"/concord.v1.ExchangeService/{path}")(b"\x0a" * (limit + 1), timeout=5)
            )
            assert (code, told.reason, told.max_bytes) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "MESSAGE_TOO_LARGE",
                limit,
            )


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05abc", b"\x0a\x02\xff\xfe", b"\x08\x01" * 3 + b"\x80"])
async def test_bytes_that_are_no_request_are_refused_without_an_echo(data):
    async with exchange(TH_STATE) as th, channel(SYSTEM, ROOT, th.port) as raw:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw.unary_unary("/concord.v1.ExchangeService/SubmitMessage")(data, timeout=5)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert from_status(rpc_status.from_call(caught.value)).reason in {"MESSAGE_MALFORMED", "FIELD_INVALID"}


async def test_a_call_without_a_deadline_is_refused():
    async with exchange(TH_STATE) as th:
        code, told = await refusal(stub(SYSTEM, th.port).SubmitMessage(request()))
        assert (code, told.reason, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", "deadline")
        assert th.memory.submissions == []


async def test_a_bug_answers_an_incident_and_no_detail():
    async with exchange(TH_STATE) as th:

        def fail(_):
            raise KeyError("name of a person")

        th.memory.refuse = fail
        with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub(SYSTEM, th.port).SubmitMessage(request(), timeout=5)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INTERNAL, INTERNAL_TEXT)
        told = from_status(rpc_status.from_call(caught.value))
        (logged,) = logs
        assert (logged["incident_id"], logged["error_type"]) == (told.incident_id, "KeyError")
        assert "person" not in str(logs) + repr(caught.value.trailing_metadata())


async def test_an_error_that_is_in_no_catalogue_is_a_bug():
    async with exchange(TH_STATE) as th:

        class Unlisted(PolicyDenied):
            reason = "UNLISTED"

        th.memory.refuse = lambda _: Unlisted((), "secret")
        with capture_logs():
            code, told = await refusal(stub(SYSTEM, th.port).SubmitMessage(request(), timeout=5))
        assert (code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")


async def test_health_and_reflection_are_offered_to_systems():
    async with exchange(TH_STATE) as th, channel(SYSTEM, ROOT, th.port) as raw:
        health = health_pb2_grpc.HealthStub(raw)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="concord.v1.ExchangeService"), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert (await refusal(health.Check(health_pb2.HealthCheckRequest(service="x"), timeout=5)))[0] is (
            grpc.StatusCode.NOT_FOUND
        )
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(raw).ServerReflectionInfo()
        await reflection.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = {item.name for item in (await reflection.read()).list_services_response.service}
        assert "concord.v1.ExchangeService" in listed
        assert "concord.v1.AdminService" not in listed
        reflection.cancel()
        await th.listener.stop(2)
        assert await watch.code() is grpc.StatusCode.OK


def test_the_two_systems_of_these_tests_speak_for_different_authorities():
    assert not EARLY_WARNING.authorities & HOTLINE.authorities
