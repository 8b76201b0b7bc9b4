"""What a gateway answered, as the errors of gateway.errors: the same classes, reasons and advice on both sides.

What an answer said beyond its class is kept beside the error; `told` returns it and `explain` puts it in words. An
answer that does not speak in Concord's words is never taken for one that does.
"""

from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from gateway import errors
from gateway.errors import Broken, Busy, GatewayError

DOMAIN: Final = "concord.v1"
DETAILS_KEY: Final = "grpc-status-details-bin"
INTERNAL_REASON: Final = "INTERNAL"
LOST_STATUS: Final = "Internal error from Core"
"""What grpc.aio says of a stream that ended under a write: the failed write replaces the status that the gateway sent.
Only another call shows what the gateway decided."""
MAX_TEXT: Final = 2048
MAX_VALUE: Final = 256
MAX_LISTED: Final = 64
"""A gateway sends less; who claims to be one may not fill our memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """A field that breaks a rule."""

    field: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer said beyond the class of its error."""

    code: str = ""
    """gRPC's name of the status, for example PERMISSION_DENIED; empty inside a stream."""
    text: str = ""
    """The gateway's sentence with its advice, as it came."""
    field_violations: tuple[FieldViolation, ...] = ()
    rule_ids: tuple[str, ...] = ()
    retry_after_ms: int | None = None
    incident_id: str = ""
    """Names the gateway's log lines about a defect of its own."""
    maybe_done: bool = False
    """Nothing answered, so a submission may have been accepted; the same request_id settles it."""


class Unreachable(Busy):
    """The gateway does not answer."""

    # That of gateway.errors.GatewayUnreachable, whose advice is for those at the gateway's own machine.
    reason = "GATEWAY_UNREACHABLE"
    advice = "Try again; if it stays so, run gateway.client.preflight, which says where the connection stops."


class TimedOut(Busy):
    """No answer came in time."""

    reason = "TIMED_OUT"
    advice = "It is not known whether the call was carried out: repeat it with the same request_id, which counts once."


class InternalFault(Broken):
    """The gateway met a defect of its own."""

    reason = INTERNAL_REASON
    advice = "Give the gateway's operator the incident id: it finds the log lines."


class NotUnderstood(Broken):
    """The answer is none of a Concord gateway."""

    reason = "ANSWER_NOT_UNDERSTOOD"
    advice = "Check that the address is the gateway's exchange listener and that no proxy answers in its place."


REASONS: Final[dict[str, type[GatewayError]]] = {
    kind.reason: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, GatewayError) and kind.reason
}
"""Every class of gateway.errors by its reason."""


def told(error: GatewayError) -> Told:
    """Return what the answer said; an empty one for an error that came from no answer."""
    kept = getattr(error, "_told", None)
    return kept if isinstance(kept, Told) else Told()


def explain(error: GatewayError) -> str:
    """Return what happened, why and what to do, in words for people, a line each."""
    said = told(error)
    lines = [f"what  {(type(error).__doc__ or error.text).splitlines()[0]}"]
    if error.text and error.text not in lines[0]:
        lines.append(f"why   {error.text}")
    lines += [f"field {item.field}: {item.problem}" for item in said.field_violations]
    if said.rule_ids:
        lines.append(f"rules {', '.join(said.rule_ids)}")
    if said.retry_after_ms is not None:
        lines.append(f"wait  {said.retry_after_ms} ms")
    if said.incident_id:
        lines.append(f"id    {said.incident_id}")
    lines += [f"do    {error.advice}", f"code  {error.reason}"]
    return "\n".join(lines)


def error_of_call(error: grpc.RpcError) -> GatewayError:
    """Return the typed error of a failed call."""
    call: Any = error
    code: grpc.StatusCode = call.code()
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                break
            known = error_of_status(status, code)
            if known is not None:
                return known
    return _untold(code, _cut(call.details() or "", MAX_TEXT))


def error_of_status(status: status_pb2.Status, code: grpc.StatusCode) -> GatewayError | None:
    """Return the typed error of a status; None when it does not speak in our words."""
    info, request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    details: tuple[Message, ...] = (info, request, retry)
    try:
        for packed in status.details:
            for detail in details:
                if packed.Is(detail.DESCRIPTOR):
                    packed.Unpack(detail)
    except DecodeError:
        return None
    if info.domain != DOMAIN:
        return None
    after_ms = _number(info.metadata.get("retryAfterMs", ""))
    if after_ms is None and retry.HasField("retry_delay"):
        after_ms = max(0, retry.retry_delay.ToMilliseconds())
    rules = info.metadata.get("ruleIds", "")
    violations = tuple(
        FieldViolation(field=_cut(item.field), problem=_cut(item.description))
        for item in request.field_violations[:MAX_LISTED]
    )
    said = Told(
        code=code.name,
        text=_cut(status.message, MAX_TEXT),
        field_violations=violations,
        rule_ids=tuple(_cut(item) for item in rules.split(",")[:MAX_LISTED]) if rules else (),
        retry_after_ms=after_ms,
        incident_id=_cut(info.metadata.get("incidentId", "")),
    )
    return make_error(info.reason, said, info.metadata)


def make_error(reason: str, said: Told, metadata: Any = None) -> GatewayError | None:
    """Return the error of a reason with its public attributes; None for a reason nobody knows."""
    kind = InternalFault if reason == INTERNAL_REASON else REASONS.get(reason)
    if kind is None:
        return None
    # Not through the constructors: they build texts from values of which only the finished text travels.
    error = kind.__new__(kind)
    # The advice is the error's own; the gateway appends it for clients that have none.
    error.args = (said.text.removesuffix(f" ({kind.advice})"),)
    data = metadata or {}
    first = said.field_violations[0] if said.field_violations else None
    match error:
        case errors.FieldInvalid():
            error.field = first.field if first else _cut(data.get("field", ""))
            error.problem = first.problem if first else error.text
        case errors.MessageTooLarge():
            error.max_bytes = _number(data.get("maxBytes", "")) or 0
        case errors.PolicyDenied() | errors.ApprovalRequired():
            error.rule_ids = said.rule_ids
        case errors.PartnerUnknown() | errors.PartnerFrozen():
            error.partner = _cut(data.get("partner", ""))
        case errors.QuotaExceeded():
            error.retry_after_ms = said.retry_after_ms or 0
        case errors.EnvelopeRejected() | errors.AttachmentRejected():
            error.step = ""
        case _:
            pass
    return keep(error, said)


def keep(error: GatewayError, said: Told) -> GatewayError:
    """Keep what was said beside an error."""
    error.__dict__["_told"] = said
    return error


def _untold(code: grpc.StatusCode, text: str) -> GatewayError:
    """Return the error of a status that carries none of our details: the line or something on it answered."""
    kind: type[GatewayError]
    if code is grpc.StatusCode.INTERNAL and text.startswith(LOST_STATUS):
        code, text = grpc.StatusCode.UNAVAILABLE, "the gateway ended the stream while it was written to"
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            kind = Unreachable
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            kind = TimedOut
        case _:
            kind = NotUnderstood
    unknown = code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    return keep(kind(f"{code.name}: {text}"), Told(code=code.name, text=text, maybe_done=unknown))


def _cut(text: str, most: int = MAX_VALUE) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
