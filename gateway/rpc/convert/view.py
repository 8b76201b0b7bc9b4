"""What a gateway shows of its messages: model and port values to proto."""

import hashlib
import re
from typing import Final, assert_never

from concord.v1 import approval_service_pb2 as approval_pb
from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import message_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import FieldInvalid
from gateway.exchange.reader import OpenedMessage
from gateway.exchange.submission import Validation
from gateway.policy.decision import Allow, Decision, Deny, Hold
from gateway.ports import Delivery, EventRow, MessageRow, StoredMessage, SubmissionResult
from gateway.rpc.convert.envelope import receipt_proof_to_proto
from gateway.rpc.convert.field import set_time
from gateway.workflow.alert import AlertEvent
from gateway.workflow.approval import Need

_MARKS = {
    pb.ALERT_MARK_RELAYED: AlertEvent.RELAY,
    pb.ALERT_MARK_NOTED: AlertEvent.NOTE,
    pb.ALERT_MARK_DECLINED: AlertEvent.DECLINE,
}

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE | re.ASCII)

LISTED_CHARACTERS: Final = 200
"""Of a text in a list; CAP 1.2 wants headlines of 160."""
LISTED_INFOS: Final = 40
"""So a page of the 1,000 worst alerts still fits in an answer, and no partner can stop the listing."""


def request_id_from_text(text: str) -> bytes:
    """Return the 16 bytes of a request id.

    Raises:
        FieldInvalid: Not a UUID in the usual hyphenated form.
    """
    # Not uuid.UUID, which takes braces, URNs and misplaced hyphens too and four times as long: one id, one text.
    if not _UUID.match(text):
        raise FieldInvalid("request_id", "must be a UUID, as in 019acf7e-1a2b-7c3d-8e4f-5a6b7c8d9e0f")
    return bytes.fromhex(text.replace("-", ""))


def mark_from_proto(mark: pb.AlertMark.ValueType) -> AlertEvent:
    """Return what a mark does to an alert.

    Raises:
        FieldInvalid: It is none that is known here.
    """
    try:
        return _MARKS[mark]
    except KeyError:
        raise FieldInvalid("mark", "must be RELAYED, NOTED or DECLINED") from None


def request_digest(draft: message_pb2.Draft) -> bytes:
    """Return what tells a repeated draft from another one under the same request id."""
    return hashlib.sha256(draft.SerializeToString(deterministic=True)).digest()


def time_to_proto(instant_ms: int | None) -> Timestamp | None:
    """Return a timestamp, or None for an absent one."""
    if instant_ms is None:
        return None
    time = Timestamp()
    set_time(time, instant_ms)
    return time


def accepted_to_proto(result: SubmissionResult) -> pb.SubmitMessageResponse:
    """Return the answer to an accepted draft."""
    message = pb.SubmitMessageResponse(
        message_id=result.message_id.raw,
        thread_id=result.thread_id.raw,
        content_commitment=result.content_commitment,
    )
    set_time(message.create_time, result.create_ms)
    set_time(message.expire_time, result.expire_ms)
    if result.held is not None:
        message.held.needs.extend(need_to_proto(need) for need in result.held.needs)
        message.held.SetInParent()
    return message


def need_to_proto(need: Need) -> approval_pb.OfficerNeed:
    """Return who must decide on a rule."""
    return approval_pb.OfficerNeed(rule_id=need.rule, roles=sorted(need.roles), number=need.number)


def _verdict(decision: Decision) -> pb.ValidateMessageResponse.Verdict.ValueType:
    match decision:
        case Allow():
            return pb.ValidateMessageResponse.VERDICT_ALLOW
        case Hold():
            return pb.ValidateMessageResponse.VERDICT_HOLD
        case Deny():
            return pb.ValidateMessageResponse.VERDICT_DENY
        case _:
            assert_never(decision)


def validation_to_proto(validation: Validation) -> pb.ValidateMessageResponse:
    """Return what would happen to a draft."""
    return pb.ValidateMessageResponse(
        verdict=_verdict(validation.decision),
        rule_ids=validation.decision.rule_ids,
        body_bytes=validation.body_bytes,
        recipients=[item.code for item in validation.recipients],
        expire_time=time_to_proto(validation.expire_ms),
        explanation=validation.decision.explanation,
        supersedes_id=validation.supersedes.raw if validation.supersedes is not None else b"",
    )


def delivery_to_proto(delivery: Delivery) -> pb.DeliveryState:
    """Return one recipient's progress with the receipt behind it."""
    return pb.DeliveryState(
        partner=delivery.partner.code,
        state=delivery.state,
        time=time_to_proto(delivery.time_ms),
        reason=delivery.reason,
        proof=receipt_proof_to_proto(delivery.proof) if delivery.proof is not None else None,
    )


def row_to_proto(row: MessageRow) -> pb.MessageView:
    """Return a message without its content."""
    return pb.MessageView(
        message_id=row.message_id.raw,
        direction=pb.DIRECTION_SENT if row.sent else pb.DIRECTION_RECEIVED,
        sender=row.sender.code,
        kind=row.kind.value,  # type: ignore[arg-type]
        mode=row.mode.value,  # type: ignore[arg-type]
        urgency=row.urgency.value,  # type: ignore[arg-type]
        thread_id=row.thread_id.raw,
        create_time=time_to_proto(row.create_ms),
        expire_time=time_to_proto(row.expire_ms),
        content_commitment=row.content_commitment,
        gap=row.gap,
        state=row.state,
        alert_state=row.alert_state,
        alert_reason=row.alert_reason,
        predecessor=row.predecessor.raw if row.predecessor is not None else b"",
        successor=row.successor.raw if row.successor is not None else b"",
    )


def stored_to_proto(stored: StoredMessage) -> pb.MessageView:
    """Return a message with where it stands, without its content."""
    message = row_to_proto(stored.row)
    message.deliveries.extend(delivery_to_proto(item) for item in stored.deliveries)
    return message


def opened_to_proto(opened: OpenedMessage, *, own_body: bool = False) -> pb.MessageView:
    """Return a message; received ones with their body, unless it was erased, and sent ones if so asked."""
    message = stored_to_proto(opened.stored)
    if opened.body_bytes is not None and (own_body or not opened.stored.row.sent):
        # The very bytes that were sealed: parsed, never rebuilt from the model.
        message.body.CopyFrom(message_pb2.Body.FromString(opened.body_bytes))
    return message


_LISTED: Final = {
    "referral": ("case_type", "asks"),
    "decision": ("verdict",),
    "answer": ("outcome",),
    "update": ("event",),
    "recall": ("action",),
    "recall_confirmation": ("result",),
}
"""What lists tell of a case's content."""


def listed_to_proto(opened: OpenedMessage) -> pb.MessageView:
    """Return a message as a list shows it: of its body who speaks and the headlines, and nothing that is read alone."""
    message = stored_to_proto(opened.stored)
    if opened.body_bytes is not None:
        body = message_pb2.Body.FromString(opened.body_bytes)
        message.body.authority = body.authority
        if body.HasField("alert"):
            message.body.alert.alert_type = body.alert.alert_type
            for info in body.alert.infos[:LISTED_INFOS]:
                message.body.alert.infos.add(
                    language=info.language,
                    event=info.event[:LISTED_CHARACTERS],
                    headline=info.headline[:LISTED_CHARACTERS],
                )
        else:
            _list_case(body, message.body)
    return message


def _list_case(body: message_pb2.Body, listed: message_pb2.Body) -> None:
    """Copy what a case's content is, in codes, and nothing about anybody."""
    name = body.WhichOneof("content")
    if name is None or name == "ping":
        return
    content, shown = getattr(body, name), getattr(listed, name)
    shown.SetInParent()
    if name == "request":
        for measure in content.measures:
            shown.measures.add(measure_type=measure.measure_type)
    if name == "operation" and (entry := content.WhichOneof("entry")) is not None:
        getattr(shown, entry).SetInParent()
    for field in _LISTED.get(name, ()):
        value = getattr(content, field)
        if field == "asks":
            shown.asks.extend(value)
        else:
            setattr(shown, field, value)


def event_to_proto(event: EventRow, message: pb.MessageView | None) -> pb.Event:
    """Return an event, with the message it is about when one was received."""
    return pb.Event(
        type=event.type,
        time=time_to_proto(event.time_ms),
        message_id=event.message_id.raw,
        partner=event.partner.code,
        reason=event.reason,
        message=message,
    )
