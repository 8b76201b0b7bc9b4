"""What the gateway answers, as plain data for --json. Keys are stable; instants are RFC 3339 in UTC."""

import base64
import uuid
from typing import TYPE_CHECKING, Any

from gateway.cli.content import case_name, content_data, heading
from gateway.clock import format_utc, to_datetime

if TYPE_CHECKING:
    from concord.v1.alert_pb2 import Alert
    from concord.v1.exchange_service_pb2 import DeliveryState, MessageView
    from google.protobuf.message import Message

KINDS = ("unspecified", "alert", "referral", "request", "update", "answer", "recall", "ping", "operation")
MODES = ("unspecified", "actual", "exercise", "test")
URGENCIES = ("unspecified", "U0", "U1", "U2", "U3")
_LEVELS = {
    "urgency": ("", "Immediate", "Expected", "Future", "Past", "Unknown"),
    "severity": ("", "Extreme", "Severe", "Moderate", "Minor", "Unknown"),
    "certainty": ("", "Observed", "Likely", "Possible", "Unlikely", "Unknown"),
}
"""Words of CAP 1.2, in the order of alert.proto."""


def word(words: tuple[str, ...], number: int) -> str:
    """Return the word for an enum's number; a number of a newer gateway stays a number."""
    return words[number] if 0 <= number < len(words) else str(number)


def instant(message: "Message", field: str) -> str | None:
    """Return a timestamp field as text, or None when absent."""
    value = instant_ms(message, field)
    return None if value is None else to_datetime(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(message: "Message", field: str) -> str:
    """Return a timestamp field as people read it, or nothing when absent."""
    value = instant_ms(message, field)
    return "" if value is None else format_utc(value)


def instant_ms(message: "Message", field: str) -> int | None:
    """Return a timestamp field in milliseconds since 1970, or None when absent."""
    if not message.HasField(field):
        return None
    time = getattr(message, field)
    return int(time.seconds) * 1000 + int(time.nanos) // 1_000_000


def id_text(raw: bytes) -> str:
    """Return an id as a UUID, or as hexadecimal when it is none."""
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else raw.hex()


def message_data(view: "MessageView", *, with_body: bool) -> dict[str, Any]:
    """Return a message; with_body adds an alert's texts and original, or the content of a case."""
    data: dict[str, Any] = {
        "message_id": id_text(view.message_id),
        "direction": word(("unspecified", "sent", "received"), view.direction),
        "sender": view.sender,
        "kind": word(KINDS, view.kind),
        "mode": word(MODES, view.mode),
        "urgency": word(URGENCIES, view.urgency),
        "state": view.state,
        "gap": view.gap,
        "alert_state": view.alert_state,
        "alert_reason": view.alert_reason,
        "predecessor": id_text(view.predecessor) if view.predecessor else None,
        "successor": id_text(view.successor) if view.successor else None,
        "thread_id": id_text(view.thread_id),
        "create_time": instant(view, "create_time"),
        "expire_time": instant(view, "expire_time"),
        "content_commitment": view.content_commitment.hex(),
        "deliveries": [delivery_data(item) for item in view.deliveries],
    }
    if view.HasField("body"):
        data["authority"] = view.body.authority
        if view.body.HasField("alert"):
            data["headlines"] = {info.language: info.headline or info.event for info in view.body.alert.infos}
            if with_body:
                data["alert"] = alert_data(view.body.alert)
        elif name := case_name(view.body):
            data["heading"] = heading(view.body)
            if with_body:
                data["content"] = {name: content_data(getattr(view.body, name))}
    return data


def delivery_data(state: "DeliveryState") -> dict[str, Any]:
    """Return one recipient's progress."""
    return {
        "partner": state.partner,
        "state": state.state,
        "time": instant(state, "time"),
        "reason": state.reason,
        "receipt": state.HasField("proof"),
        "issuer": state.proof.issuer if state.HasField("proof") else "",
    }


def alert_data(alert: "Alert") -> dict[str, Any]:
    """Return an alert's substance and its original bytes in base64."""
    return {
        "identifier": alert.identifier,
        "source_sender": alert.source_sender,
        "sent_time": instant(alert.sent_time, "time"),
        "type": word(("unspecified", "Alert", "Update", "Cancel", "Ack", "Error"), alert.alert_type),
        "scope": alert.scope,
        "infos": [
            {
                "language": info.language,
                "event": info.event,
                "categories": list(info.categories),
                **{name: word(words, getattr(info, name)) for name, words in _LEVELS.items()},
                "headline": info.headline,
                "description": info.description,
                "instruction": info.instruction,
                "areas": [area.description for area in info.areas],
            }
            for info in alert.infos
        ],
        "original_media_type": alert.provenance.media_type,
        "original_base64": base64.b64encode(alert.provenance.original).decode("ascii"),
        "signature": alert.provenance.signature,
        "findings": [
            {"code": item.code, "path": item.path, "detail": item.detail} for item in alert.provenance.findings
        ],
    }


def age(then_ms: int | None, now_ms: int) -> str:
    """Return how long ago an instant was, or how long it is off, in words a person reads at once."""
    if then_ms is None:
        return ""
    distance_s = abs(now_ms - then_ms) // 1000
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if distance_s >= 2 * unit_s:
            return f"{distance_s // unit_s} {unit}"
    return f"{distance_s} s"
