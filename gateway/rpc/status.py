"""Errors to google.rpc.Status and back: one row for each error class, and nothing else ever reaches a caller.

What is not a GatewayError is answered with a fixed text and the id of an incident; what happened stays in our log.
"""

from dataclasses import dataclass
from typing import Final

import grpc
from concord.v1 import exchange_service_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from gateway import errors
from gateway.errors import GatewayError

DOMAIN: Final = "concord.v1"
INTERNAL_REASON: Final = "INTERNAL"
INTERNAL_TEXT: Final = "an internal error happened; give the operator the incident id"
DETAILS_KEY: Final = "grpc-status-details-bin"

_MAX_TEXT: Final = 512
_MAX_VALUE: Final = 256
_MAX_RULES: Final = 16
"""All details together stay below the 8 KiB that gRPC allows for trailing metadata."""
_RETRY_MS: Final = 1000
"""Told to callers of a Busy error that names no time itself."""

Code = grpc.StatusCode

CODES: Final[dict[type[GatewayError], grpc.StatusCode]] = {
    errors.MessageMalformed: Code.INVALID_ARGUMENT,
    errors.FrameMalformed: Code.INVALID_ARGUMENT,
    errors.FieldInvalid: Code.INVALID_ARGUMENT,
    errors.MessageTooLarge: Code.INVALID_ARGUMENT,
    errors.EnvelopeRejected: Code.INVALID_ARGUMENT,
    errors.SuiteUnknown: Code.INVALID_ARGUMENT,
    errors.KeyRetired: Code.FAILED_PRECONDITION,
    errors.EnvelopeExpired: Code.FAILED_PRECONDITION,
    errors.ClockSkewed: Code.FAILED_PRECONDITION,
    errors.MessageIdReused: Code.ALREADY_EXISTS,
    errors.ModeDiffers: Code.FAILED_PRECONDITION,
    errors.SupersedesInvalid: Code.FAILED_PRECONDITION,
    errors.RequestIdReused: Code.ALREADY_EXISTS,
    errors.PolicyDenied: Code.PERMISSION_DENIED,
    errors.ApprovalRequired: Code.FAILED_PRECONDITION,
    errors.CallerUnknown: Code.UNAUTHENTICATED,
    errors.TokenRejected: Code.UNAUTHENTICATED,
    errors.MethodNotAllowed: Code.PERMISSION_DENIED,
    errors.MethodUnimplemented: Code.UNIMPLEMENTED,
    errors.AuthorityNotYours: Code.PERMISSION_DENIED,
    errors.PartnerUnknown: Code.NOT_FOUND,
    errors.PartnerFrozen: Code.FAILED_PRECONDITION,
    errors.MessagesWait: Code.FAILED_PRECONDITION,
    errors.CardRejected: Code.INVALID_ARGUMENT,
    errors.FingerprintMismatch: Code.INVALID_ARGUMENT,
    errors.FingerprintMistyped: Code.INVALID_ARGUMENT,
    errors.NotFound: Code.NOT_FOUND,
    errors.AttachmentRejected: Code.INVALID_ARGUMENT,
    errors.AttachmentPending: Code.UNAVAILABLE,
    errors.AttachmentRefused: Code.FAILED_PRECONDITION,
    errors.StateConflict: Code.FAILED_PRECONDITION,
    errors.CursorInvalid: Code.INVALID_ARGUMENT,
    errors.CursorExpired: Code.OUT_OF_RANGE,
    errors.PageTokenInvalid: Code.INVALID_ARGUMENT,
    errors.ConfigInvalid: Code.FAILED_PRECONDITION,
    errors.PolicyNotApplied: Code.FAILED_PRECONDITION,
    errors.PassphraseWrong: Code.FAILED_PRECONDITION,
    errors.ProofRejected: Code.INVALID_ARGUMENT,
    errors.QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    errors.ConcurrentUpdate: Code.ABORTED,
    errors.StoreUnavailable: Code.UNAVAILABLE,
    errors.PartnerUnreachable: Code.UNAVAILABLE,
    errors.GatewayUnreachable: Code.UNAVAILABLE,
    errors.DeadlineTooShort: Code.DEADLINE_EXCEEDED,
    errors.StoreCorrupt: Code.DATA_LOSS,
    errors.LogInconsistent: Code.DATA_LOSS,
    errors.SchemaTooNew: Code.DATA_LOSS,
    errors.LeaseLost: Code.ABORTED,
    errors.FileUnusable: Code.INVALID_ARGUMENT,
    errors.FindingsRefused: Code.INVALID_ARGUMENT,
    errors.LogRolledBack: Code.FAILED_PRECONDITION,
    errors.LogForked: Code.FAILED_PRECONDITION,
    errors.PartnerLogWentBack: Code.FAILED_PRECONDITION,
}
"""Total: a test compares it with the classes of gateway.errors, both ways."""

REASONS: Final[dict[str, type[GatewayError]]] = {kind.reason: kind for kind in CODES}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldError:
    """What another gateway says went wrong. Its words, never raised as an error of ours."""

    reason: str
    text: str
    field: str = ""
    rule_ids: tuple[str, ...] = ()
    retry_after_ms: int | None = None
    max_bytes: int | None = None
    partner: str = ""
    incident_id: str = ""
    request_id: str = ""
    """Names the call in the other gateway's log."""

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        kind = REASONS.get(self.reason)
        return kind is not None and kind.retryable


def code_of(error: GatewayError) -> grpc.StatusCode:
    """Return the gRPC code of an error."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return Code.INTERNAL


def is_catalogued(error: BaseException) -> bool:
    """Return whether an error may reach a caller as it is."""
    return isinstance(error, GatewayError) and type(error) in CODES


def to_status(error: GatewayError, *, to_partner: bool = False) -> status_pb2.Status:
    """Return an error as it travels.

    Args:
        error: One of the catalogue.
        to_partner: The caller is another state: which of our rules forbids something is not for it to know (DESIGN 8).
    """
    text, metadata = _text(error, to_partner=to_partner), _metadata(error, to_partner=to_partner)
    status = status_pb2.Status(code=code_of(error).value[0], message=f"{text} ({error.advice})")
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    status.details.add().Pack(info)
    if isinstance(error, errors.FieldInvalid):
        request = error_details_pb2.BadRequest()
        request.field_violations.add(field=_cut(error.field), description=_cut(error.problem))
        status.details.add().Pack(request)
    if isinstance(error, errors.Busy):
        retry_ms = int(metadata.get("retryAfterMs", _RETRY_MS))
        delay = Duration(seconds=retry_ms // 1000, nanos=retry_ms % 1000 * 1_000_000)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def internal_status(incident_id: str) -> status_pb2.Status:
    """Return what a caller learns of a bug of ours: that there was one, and how to name it."""
    status = status_pb2.Status(code=Code.INTERNAL.value[0], message=INTERNAL_TEXT)
    metadata = {"incidentId": incident_id}
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=INTERNAL_REASON, domain=DOMAIN, metadata=metadata))
    return status


def error_detail(error: GatewayError) -> exchange_service_pb2.ErrorDetail:
    """Return an error as it travels inside a stream of answers."""
    return exchange_service_pb2.ErrorDetail(
        reason=error.reason,
        message=f"{_text(error, to_partner=False)} ({error.advice})",
        field=_cut(getattr(error, "field", "")),
        rule_ids=[_cut(item) for item in getattr(error, "rule_ids", ())[:_MAX_RULES]],
        retryable=error.retryable,
    )


def from_status(status: status_pb2.Status) -> ToldError | None:
    """Return what another gateway says went wrong; None when it does not speak in our words.

    Only our domain and known reasons are believed, and only numbers where numbers belong.
    """
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if not detail.Is(info.DESCRIPTOR):
            continue
        detail.Unpack(info)
        if info.domain != DOMAIN or (info.reason not in REASONS and info.reason != INTERNAL_REASON):
            return None
        data = info.metadata
        rules = data.get("ruleIds", "")
        return ToldError(
            reason=info.reason,
            text=_cut(status.message, _MAX_TEXT * 2),
            field=_cut(data.get("field", "")),
            rule_ids=tuple(rules.split(",")) if rules else (),
            retry_after_ms=_number(data.get("retryAfterMs")),
            max_bytes=_number(data.get("maxBytes")),
            partner=_cut(data.get("partner", "")),
            incident_id=_cut(data.get("incidentId", "")),
            request_id=_request_id(status),
        )
    return None


def _request_id(status: status_pb2.Status) -> str:
    named = error_details_pb2.RequestInfo()
    for detail in status.details:
        if detail.Unpack(named):
            return _cut(named.request_id)
    return ""


def _text(error: GatewayError, *, to_partner: bool) -> str:
    if to_partner and isinstance(error, errors.PolicyDenied | errors.ApprovalRequired):
        return type(error)((), "policy does not allow it").text
    return _cut(error.text, _MAX_TEXT)


def _metadata(error: GatewayError, *, to_partner: bool) -> dict[str, str]:
    """Return the public attributes of an error; what is not named here does not leave."""
    match error:
        case errors.FieldInvalid():
            return {"field": _cut(error.field)}
        case errors.MessageTooLarge():
            return {"maxBytes": str(error.max_bytes)}
        case errors.PolicyDenied() | errors.ApprovalRequired():
            if to_partner or not error.rule_ids:
                return {}
            return {"ruleIds": ",".join(_cut(item) for item in error.rule_ids[:_MAX_RULES])}
        case errors.PartnerUnknown() | errors.PartnerFrozen():
            return {"partner": _cut(error.partner)}
        case errors.QuotaExceeded():
            return {"retryAfterMs": str(error.retry_after_ms)}
        case _:
            return {}


def _cut(text: str, most: int = _MAX_VALUE) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None
