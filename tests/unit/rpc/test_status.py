import re

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from gateway import errors
from gateway.errors import GatewayError
from gateway.rpc.status import (
    CODES,
    DOMAIN,
    INTERNAL_TEXT,
    REASONS,
    ToldError,
    code_of,
    error_detail,
    from_status,
    internal_status,
    to_status,
)

SAMPLES = {
    errors.FieldInvalid: errors.FieldInvalid("draft.body", "is odd"),
    errors.MessageTooLarge: errors.MessageTooLarge("the body", 9, 8),
    errors.EnvelopeRejected: errors.EnvelopeRejected("signature"),
    errors.PolicyDenied: errors.PolicyDenied(("agreement.kind", "safeguard.personal"), "no agreement"),
    errors.ApprovalRequired: errors.ApprovalRequired(("hold.minor",), "a minor is named"),
    errors.PartnerUnknown: errors.PartnerUnknown("vn"),
    errors.PartnerFrozen: errors.PartnerFrozen("vn"),
    errors.MessagesWait: errors.MessagesWait("vn", 3),
    errors.QuotaExceeded: errors.QuotaExceeded(2500),
    errors.LogInconsistent: errors.LogInconsistent("tile 0/3", "is another"),
}


def leaves(kind: type[GatewayError] = GatewayError) -> list[type[GatewayError]]:
    below = [leaf for child in kind.__subclasses__() if child.__module__ == errors.__name__ for leaf in leaves(child)]
    return below or [kind]


def sample(kind: type[GatewayError]) -> GatewayError:
    return SAMPLES.get(kind) or kind("it went wrong")


def test_every_error_has_exactly_one_row_and_every_row_an_error():
    assert set(CODES) == set(leaves())
    assert len(REASONS) == len(CODES)


def test_reasons_have_the_form_of_aip_193():
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+[A-Z0-9]", reason) and len(reason) <= 63 for reason in REASONS)


def test_busy_errors_have_codes_that_clients_may_retry_and_rejections_do_not():
    again = {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    for kind, code in CODES.items():
        if issubclass(kind, errors.Broken):
            continue
        assert (code in again) is kind.retryable, kind


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_what_is_told_comes_back_equal(kind):
    error = sample(kind)
    status = to_status(error)
    assert grpc.StatusCode.OK.value[0] != status.code == code_of(error).value[0]
    assert from_status(status_pb2.Status.FromString(status.SerializeToString())) == ToldError(
        reason=kind.reason,
        text=f"{error.text} ({error.advice})",
        field=getattr(error, "field", ""),
        rule_ids=getattr(error, "rule_ids", ()),
        retry_after_ms=getattr(error, "retry_after_ms", None),
        max_bytes=getattr(error, "max_bytes", None),
        partner=getattr(error, "partner", ""),
    )
    assert from_status(status).retryable is kind.retryable


def test_a_field_error_names_the_field_for_standard_clients():
    status = to_status(SAMPLES[errors.FieldInvalid])
    request = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(request)
    assert (request.field_violations[0].field, request.field_violations[0].description) == ("draft.body", "is odd")


def test_a_busy_error_says_when_to_come_again():
    retry = error_details_pb2.RetryInfo()
    assert to_status(errors.QuotaExceeded(2500)).details[1].Unpack(retry)
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (2, 500_000_000)


def test_which_check_of_an_envelope_failed_is_not_told():
    assert b"signature" not in to_status(errors.EnvelopeRejected("signature")).SerializeToString()


@pytest.mark.parametrize("kind", [errors.PolicyDenied, errors.ApprovalRequired])
def test_a_partner_does_not_learn_which_rule_forbids(kind):
    data = to_status(SAMPLES[kind], to_partner=True).SerializeToString()
    for secret in (*SAMPLES[kind].rule_ids, SAMPLES[kind].text):
        assert secret.encode() not in data
    assert from_status(status_pb2.Status.FromString(data)).reason == kind.reason


def test_details_fit_into_trailing_metadata_whatever_the_error_holds():
    long = "กข" * 5000
    for error in (
        errors.FieldInvalid(long, long),
        errors.PolicyDenied(tuple(f"rule.{index}.{long}" for index in range(500)), long),
        errors.PartnerUnknown(long),
    ):
        assert to_status(error).ByteSize() < 16_384
        assert error_detail(error).ByteSize() < 16_384


def test_words_of_another_domain_or_an_unknown_reason_are_not_believed():
    for info in (
        error_details_pb2.ErrorInfo(domain="evil.example", reason="NOT_FOUND"),
        error_details_pb2.ErrorInfo(domain=DOMAIN, reason="SEND_MONEY"),
    ):
        status = status_pb2.Status(code=5, message="x")
        status.details.add().Pack(info)
        assert from_status(status) is None
    assert from_status(status_pb2.Status(code=5)) is None


def test_numbers_that_are_none_are_not_believed():
    info = error_details_pb2.ErrorInfo(domain=DOMAIN, reason="QUOTA_EXCEEDED", metadata={"retryAfterMs": "-1"})
    status = status_pb2.Status(code=8)
    status.details.add().Pack(info)
    told = from_status(status)
    assert told is not None
    assert told.retry_after_ms is None


def test_a_bug_is_told_by_its_incident_alone():
    status = internal_status("019acf7e")
    assert (status.code, status.message) == (grpc.StatusCode.INTERNAL.value[0], INTERNAL_TEXT)
    told = from_status(status)
    assert told is not None
    assert told.incident_id == "019acf7e"
    assert not told.retryable


def test_an_error_inside_a_stream_says_what_a_status_would():
    detail = error_detail(SAMPLES[errors.PolicyDenied])
    assert (detail.reason, list(detail.rule_ids), detail.retryable) == (
        "POLICY_DENIED",
        ["agreement.kind", "safeguard.personal"],
        False,
    )
    assert error_detail(SAMPLES[errors.FieldInvalid]).field == "draft.body"
    assert error_detail(errors.StoreUnavailable()).retryable
