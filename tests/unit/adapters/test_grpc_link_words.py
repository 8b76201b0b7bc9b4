"""What a hostile partner says when it refuses, before it reaches logs and screens."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from adapters.carriers.grpc_link import cause_of


def refusal(status: bytes) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(("grpc-status-details-bin", status)),
        details="Connection refused",
    )


def told(reason: str, message: str, *, value: bytes | None = None) -> bytes:
    status = status_pb2.Status(code=14, message=message)
    detail = status.details.add()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="concord.v1"))
    if value is not None:
        detail.value = value
    return status.SerializeToString()


@pytest.mark.parametrize("words", ["\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\u202egnirts\u2066", "a\nforged line\r\x00"])
def test_a_partners_words_steer_no_terminal(words):
    for status in (told(words, "plain"), told("QUOTA_EXCEEDED", words)):
        shown = cause_of(refusal(status))
        assert shown.startswith("it answers")
        assert shown.isprintable()


def test_a_partners_words_are_bounded():
    assert len(cause_of(refusal(told("R" * 5000, "m" * 5000)))) < 300


@pytest.mark.parametrize(
    "status", [b"\xff\xff", told("A", "b", value=b"\xff\xff"), b""], ids=["status", "detail", "empty"]
)
def test_details_that_cannot_be_read_are_passed_over(status):
    assert "nothing listens there" in cause_of(refusal(status))
