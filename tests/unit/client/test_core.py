import uuid

import grpc
import pytest
from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import message_pb2
from google.rpc import status_pb2

from gateway.client import AccessToken, Credentials, RetryPolicy, TimedOut, Unreachable, alert_draft, explain, told
from gateway.client.core import FRAME_REQUESTS, WINDOW_FRAMES, SubmitWindow, WatchPosition, error_of_detail
from gateway.client.errors import InternalFault, NotUnderstood, error_of_call, error_of_status
from gateway.errors import ConfigInvalid, CursorExpired, FieldInvalid, PolicyDenied, QuotaExceeded
from gateway.rpc.status import CODES, code_of, error_detail, internal_status, to_status
from tests.rules.test_errors import leaves

DRAFT = message_pb2.Draft(recipients=["th"])
ACCEPTED = pb.SubmitMessageResponse(message_id=b"m" * 16, thread_id=b"t" * 16)


def accepted(frame, *which):
    chosen = [frame.requests[index] for index in which] if which else frame.requests
    return pb.SubmitMessagesResponse(
        results=[pb.SubmitResult(request_id=item.request_id, accepted=ACCEPTED) for item in chosen]
    )


def sample(kind):
    error = kind.__new__(kind)
    error.args = ("what happened",)
    filled = {"field": "draft.mode", "problem": "bad", "max_bytes": 7, "rule_ids": ("a", "b"), "partner": "th"}
    for name, value in (filled | {"retry_after_ms": 1500}).items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_error_comes_back_as_the_class_that_was_raised(kind):
    sent = sample(kind)
    back = error_of_status(to_status(sent), code_of(sent))
    assert type(back) is kind
    assert back.text == "what happened"
    assert (told(back).code, back.retryable) == (CODES[kind].name, sent.retryable)
    assert f"code  {kind.reason}" in explain(back)
    inside = error_of_detail(error_detail(sent))
    assert (type(inside), inside.text) == (kind, "what happened")
    if kind is PolicyDenied:
        assert back.rule_ids == inside.rule_ids == ("a", "b")
        assert "rules a, b" in explain(back)
    if kind is QuotaExceeded:
        assert (back.retry_after_ms, told(back).retry_after_ms) == (1500, 1500)
    if kind is FieldInvalid:
        assert (back.field, back.problem) == ("draft.mode", "bad")


def test_a_defect_brings_its_incident_id():
    back = error_of_status(internal_status("abc"), grpc.StatusCode.INTERNAL)
    assert isinstance(back, InternalFault)
    assert not back.retryable
    assert told(back).incident_id == "abc"
    assert "id    abc" in explain(back)


class Failed(grpc.RpcError):
    def __init__(self, code, metadata=(), text="Socket closed"):
        self.code, self.details, self.trailing_metadata = (lambda: code), (lambda: text), (lambda: metadata)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unreachable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, TimedOut),
        (grpc.StatusCode.PERMISSION_DENIED, NotUnderstood),
        (grpc.StatusCode.OK, NotUnderstood),
    ],
)
def test_what_does_not_speak_in_our_words_is_not_taken_for_ours(code, kind):
    foreign = to_status(PolicyDenied((), "no"))
    foreign.details[0].value = foreign.details[0].value.replace(b"concord.v1", b"another.v1")
    unknown = to_status(PolicyDenied((), "no"))
    unknown.details[0].value = unknown.details[0].value.replace(b"POLICY_DENIED", b"POLICY_DENIEX")
    broken = status_pb2.Status(details=[{"type_url": foreign.details[0].type_url, "value": b"\xff\xff"}])
    for data in (b"", b"\xff", foreign.SerializeToString(), unknown.SerializeToString(), broken.SerializeToString()):
        error = error_of_call(Failed(code, [("grpc-status-details-bin", data)], "x" * 10_000))
        assert type(error) is kind
        assert len(error.text) < 3000
    assert type(error_of_call(Failed(code, None, None))) is kind


def test_a_status_lost_under_a_write_is_a_stream_to_open_again():
    error = error_of_call(Failed(grpc.StatusCode.INTERNAL, None, "Internal error from Core"))
    assert type(error) is Unreachable
    assert error.retryable
    assert told(error).maybe_done


def test_only_what_is_nobodys_fault_is_tried_again_with_growing_pauses():
    policy = RetryPolicy(attempts=4, first_ms=100, most_ms=300)
    assert [policy.delay_ms(n, Unreachable("x"), lambda: 1.0) for n in (1, 2, 3, 4)] == [100, 200, 300, None]
    assert policy.delay_ms(1, Unreachable("x"), lambda: 0.0) == 50
    assert policy.delay_ms(1, QuotaExceeded(2000), lambda: 1.0) == 2100
    assert policy.delay_ms(1, QuotaExceeded(3_600_000)) is None
    assert policy.wait_ms(10_000, Unreachable("x"), lambda: 1.0) == 300
    for refusal in (PolicyDenied((), "no"), InternalFault("x"), NotUnderstood("x")):
        assert policy.delay_ms(1, refusal) is None


def test_a_window_answers_in_order_and_keeps_ids_through_a_broken_stream():
    window = SubmitWindow()
    while window.has_room:
        window.add(DRAFT)
    frames = []
    while (frame := window.frame()) is not None:
        frames.append(frame)
    assert [len(frame.requests) for frame in frames] == [FRAME_REQUESTS] * WINDOW_FRAMES
    window.answer(accepted(frames[1]))
    assert list(window.results()) == []
    window.answer(accepted(frames[0], 0, 1))
    assert [item.index for item in window.results()] == [0, 1]
    stranger = pb.SubmitResult(request_id=str(uuid.uuid4()), accepted=ACCEPTED)
    window.answer(pb.SubmitMessagesResponse(results=[stranger]))
    assert window.broke(Unreachable("x")) > 0
    again = window.frame()
    assert [item.request_id for item in again.requests][:30] == [item.request_id for item in frames[0].requests][2:]
    window.answer(accepted(again))
    assert [item.index for item in window.results()] == list(range(2, 66))
    with pytest.raises(PolicyDenied):
        window.broke(PolicyDenied((), "no"))


def test_a_stream_that_breaks_without_progress_is_given_up():
    window = SubmitWindow(RetryPolicy(attempts=3))
    window.add(DRAFT)
    window.broke(None)
    window.broke(Unreachable("x"))
    with pytest.raises(Unreachable):
        window.broke(None)


def test_a_busy_answer_is_asked_again_and_a_refusal_is_told():
    window = SubmitWindow(RetryPolicy(attempts=2))
    window.add(("one", DRAFT))
    window.add(("one", DRAFT))
    busy = pb.SubmitResult(request_id="one", error=error_detail(QuotaExceeded(10)))
    first = window.frame()
    assert len(first.requests) == 1
    assert window.frame() is None
    window.answer(pb.SubmitMessagesResponse(results=[busy]))
    assert window.take_wait_ms() > 0
    assert window.take_wait_ms() == 0
    assert window.frame().requests[0].request_id == "one"
    window.answer(pb.SubmitMessagesResponse(results=[busy]))
    window.frame()
    refused = pb.SubmitResult(request_id="one", error=error_detail(PolicyDenied(("a",), "no")))
    window.answer(pb.SubmitMessagesResponse(results=[refused]))
    window.answer(pb.SubmitMessagesResponse(results=[busy]))
    window.frame()
    window.answer(pb.SubmitMessagesResponse(results=[refused]))
    assert [item.error.reason for item in window.results()] == ["POLICY_DENIED", "POLICY_DENIED"]
    impatient = SubmitWindow(RetryPolicy(attempts=1))
    impatient.add(("one", DRAFT))
    impatient.frame()
    impatient.answer(pb.SubmitMessagesResponse(results=[busy]))
    assert [item.error.reason for item in impatient.results()] == ["QUOTA_EXCEEDED"]
    assert not window.awaits
    assert type(error_of_detail(pb.ErrorDetail(reason="NEW"))) is NotUnderstood


def test_watching_goes_on_where_it_was():
    position = WatchPosition("start")
    events = [pb.Event(type="a"), pb.Event(type="b")]
    got = list(position.take(pb.WatchMessagesResponse(events=events, cursor="c2")))
    assert [(item.event.type, item.cursor) for item in got] == [("a", "start"), ("b", "c2")]
    assert list(position.take(pb.WatchMessagesResponse(events=events, cursor="c2"))) == []
    assert list(position.take(pb.WatchMessagesResponse(cursor="c3"))) == []
    assert position.request().since_cursor == "c3"
    for _ in range(100):
        assert position.broke(Unreachable("x")) > 0
    assert position.broke(None) > 0
    assert position.broke(TimedOut("x"), by_age=True) > 0
    with pytest.raises(CursorExpired):
        position.broke(CursorExpired())


async def test_tokens_go_into_metadata_and_nothing_else_does(tmp_path):
    bearer = AccessToken(token=lambda: "abc")
    assert bearer.metadata("/x") == await bearer.metadata_async("/x") == (("authorization", "Bearer abc"),)

    async def later():
        return "abc"

    bound = AccessToken(token=later, proof=lambda path, token: f"{path}:{token}")
    assert await bound.metadata_async("/x") == (("authorization", "DPoP abc"), ("dpop", "/x:abc"))
    for bad in ("a\nb", "ü", None, b"abc"):
        with pytest.raises(ConfigInvalid):
            AccessToken(token=lambda bad=bad: bad).metadata("/x")
    with pytest.raises(ConfigInvalid):
        Credentials.from_files(roots=tmp_path / "a", chain=tmp_path / "b", key=tmp_path / "c")
    assert "secret" not in repr(Credentials(roots_pem=b"", chain_pem=b"", key_pem=b"secret"))


def test_a_draft_is_an_exercise_unless_it_says_otherwise():
    made = alert_draft(authority="cn/x", recipients=["th"], headlines={"en": "a", "lo": "b"}, event="Flood")
    assert made.mode == message_pb2.Draft(mode="MODE_EXERCISE").mode
    assert [item.language for item in made.body.alert.infos] == ["en", "lo"]
    with pytest.raises(FieldInvalid):
        alert_draft(authority="cn/x", recipients=["th"], headlines={}, event="Flood")
