"""What the client itself adds to the protocol's messages: ids that are no bare bytes, and a short way to an alert.

Everything else at the edge is the protocol's own message (`concord.v1`): one vocabulary with the .proto files and with
clients in other languages, no field missing, and types that an editor completes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from concord.v1 import alert_pb2, envelope_pb2, exchange_service_pb2, message_pb2

from gateway.clock import Clock, SystemClock, to_datetime
from gateway.errors import FieldInvalid, GatewayError
from gateway.ids import MessageId, ThreadId, uuid7

DEFAULT_LIFETIME: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A draft that is on the gateway's disk and will go out, or waits for officers."""

    request_id: str
    message_id: MessageId
    thread_id: ThreadId
    content_commitment: bytes
    create_time: datetime
    expire_time: datetime
    held: bool = False
    """Officers must decide first: nothing has left, and message_id is the proposal's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of one draft of many: exactly one of accepted and error is set."""

    index: int
    """Which one it was, from 0."""
    request_id: str
    accepted: Accepted | None = None
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An event, and the cursor to keep once it has been dealt with."""

    event: exchange_service_pb2.Event
    cursor: str
    """Watching from here misses nothing. Until the last event of an answer it is the cursor before that answer, so a
    program that ends between two of its events sees them again."""

    @property
    def message_id(self) -> MessageId:
        """The message that the event is about."""
        return MessageId(self.event.message_id)


def new_request_id(clock: Clock | None = None) -> str:
    """Return an id for one draft. Keep it with the draft: sent again, both together count once, for 30 days."""
    return str(UUID(bytes=uuid7((clock or SystemClock()).now_ms())))


def message_id_of(value: MessageId | str | bytes) -> MessageId:
    """Return a message id from any of its forms.

    Raises:
        FieldInvalid: It is none.
    """
    if isinstance(value, MessageId):
        return value
    return MessageId.parse(value, "message_id") if isinstance(value, str) else MessageId(value)


def accepted_of(request_id: str, answer: exchange_service_pb2.SubmitMessageResponse) -> Accepted:
    """Return what a gateway's answer says.

    Raises:
        FieldInvalid: Ids are not 16 bytes.
    """
    return Accepted(
        request_id=request_id,
        message_id=MessageId(answer.message_id),
        thread_id=ThreadId(answer.thread_id),
        content_commitment=answer.content_commitment,
        create_time=to_datetime(answer.create_time.ToMilliseconds()),
        expire_time=to_datetime(answer.expire_time.ToMilliseconds()),
        held=answer.HasField("held"),
    )


def alert_draft(
    *,
    authority: str,
    recipients: Iterable[str],
    headlines: Mapping[str, str],
    event: str,
    purpose: str = "public_warning",
    urgency: envelope_pb2.Urgency.ValueType = envelope_pb2.URGENCY_U1,
    mode: envelope_pb2.Mode.ValueType = envelope_pb2.MODE_EXERCISE,
    identifier: str = "",
    source_sender: str = "",
    lifetime: timedelta = DEFAULT_LIFETIME,
    clock: Clock | None = None,
) -> message_pb2.Draft:
    """Return the draft of an alert that is new: anything further is set on what is returned.

    Args:
        authority: Who speaks, for example "th/early-warning"; the calling system must be registered for it.
        recipients: Partner ids.
        headlines: By language (BCP 47), in the order to be shown.
        event: What happens, for example "Flood".
        purpose: One that the agreement with the recipients lists.
        urgency: How fast it must get there, URGENCY_U0 to URGENCY_U3.
        mode: Marked for good. An exercise unless said otherwise: a program under test must not raise a real alarm.
        identifier: The issuer's own; made from the time when empty.
        source_sender: The issuer's address; the authority's name when empty.
        lifetime: Until it expires.
        clock: Says what time it is.

    Raises:
        FieldInvalid: No headline.
    """
    if not headlines:
        raise FieldInvalid("headlines", "must name at least one language")
    now = to_datetime((clock or SystemClock()).now_ms())
    alert = alert_pb2.Alert(
        identifier=identifier or new_request_id(clock),
        source_sender=source_sender or authority,
        alert_type=alert_pb2.ALERT_TYPE_ALERT,
        scope="Public",
        infos=[
            alert_pb2.AlertInfo(language=language, event=event, headline=text) for language, text in headlines.items()
        ],
    )
    alert.sent_time.time.FromDatetime(now)
    draft = message_pb2.Draft(
        body=message_pb2.Body(
            schema_version=1,
            authority=authority,
            handling=message_pb2.Handling(tlp=message_pb2.TLP_CLEAR, purpose=purpose, onward=message_pb2.ONWARD_ASK),
            alert=alert,
        ),
        recipients=list(recipients),
        mode=mode,
        urgency=urgency,
    )
    draft.expire_time.FromDatetime(now + lifetime)
    return draft
