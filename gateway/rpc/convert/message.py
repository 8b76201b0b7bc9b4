"""Bodies and drafts: proto to model and back.

A draft's body is encoded once, here; those bytes are what is committed to, sealed and opened.
"""

from typing import Final

from concord.v1 import message_pb2 as pb

from gateway.errors import FieldInvalid, MessageTooLarge
from gateway.ids import MessageId, ThreadId
from gateway.model.alert import Alert
from gateway.model.header import Mode, Urgency
from gateway.model.message import (
    Body,
    Content,
    Draft,
    Handling,
    LegalBasis,
    Onward,
    Ping,
    Tlp,
)
from gateway.rpc.convert.alert import alert_from_proto, alert_to_proto
from gateway.rpc.convert.case import case_from_proto, case_to_proto
from gateway.rpc.convert.envelope import supersedes_from_proto
from gateway.rpc.convert.field import (
    authority_from_text,
    check_known,
    check_rules,
    parse_exactly,
    partner_from_text,
    set_time,
    sized,
    time_from_proto,
)

MAX_BODY_BYTES: Final = 2_000_000
"""Salt, length, padding and tag on top stay within Envelope.ciphertext (2 MiB)."""
SCHEMA_VERSION: Final = 1
"""message.proto, Body.schema_version."""

# A look-up costs a third of calling the enumeration; the declared rules have let only known numbers through.
_TLP: Final[dict[int, Tlp]] = {item.value: item for item in Tlp}
_ONWARD: Final[dict[int, Onward]] = {item.value: item for item in Onward}
_MODES: Final[dict[int, Mode]] = {item.value: item for item in Mode}
_URGENCIES: Final[dict[int, Urgency]] = {item.value: item for item in Urgency}


def _handling_from_proto(handling: pb.Handling) -> Handling:
    return Handling(
        tlp=_TLP[handling.tlp],
        purpose=handling.purpose,
        onward=_ONWARD[handling.onward],
        onward_partners=tuple(
            [partner_from_text(item, "body.handling.onward_partners") for item in handling.onward_partners]
        ),
        retain_until_ms=time_from_proto(handling.retain_until, "body.handling.retain_until")
        if handling.HasField("retain_until")
        else None,
        review_ms=time_from_proto(handling.review_time, "body.handling.review_time")
        if handling.HasField("review_time")
        else None,
    )


def _handling_to_proto(handling: Handling) -> pb.Handling:
    message = pb.Handling(
        tlp=handling.tlp.value,  # type: ignore[arg-type]
        purpose=handling.purpose,
        onward=handling.onward.value,  # type: ignore[arg-type]
        onward_partners=[item.code for item in handling.onward_partners],
    )
    if handling.retain_until_ms is not None:
        set_time(message.retain_until, handling.retain_until_ms)
    if handling.review_ms is not None:
        set_time(message.review_time, handling.review_ms)
    return message


def _content_from_proto(body: pb.Body) -> Content:
    match body.WhichOneof("content"):
        case "alert":
            return alert_from_proto(body.alert, "body.alert")
        case "ping":
            return Ping(body.ping.nonce)
        case None:
            raise FieldInvalid("body.content", "is required")
        case name:
            return case_from_proto(name, getattr(body, name), f"body.{name}")


def body_from_proto(body: pb.Body) -> Body:
    """Return the body; the declared rules have been checked.

    Raises:
        FieldInvalid: A field breaks a rule.
    """
    return Body(
        authority=authority_from_text(body.authority, "body.authority"),
        handling=_handling_from_proto(body.handling),
        legal_basis=tuple([LegalBasis(item.instrument, item.article) for item in body.legal_basis]),
        content=_content_from_proto(body),
    )


def body_to_proto(body: Body) -> pb.Body:
    """Return the body as it travels."""
    message = pb.Body(
        schema_version=SCHEMA_VERSION,
        authority=body.authority.name,
        handling=_handling_to_proto(body.handling),
        legal_basis=[pb.LegalBasis(instrument=item.instrument, article=item.article) for item in body.legal_basis],
    )
    match body.content:
        case Alert():
            message.alert.CopyFrom(alert_to_proto(body.content))
        case Ping():
            message.ping.nonce = body.content.nonce
        case content:
            name, part = case_to_proto(content)
            getattr(message, name).CopyFrom(part)
    return message


def encode_body(body: Body) -> bytes:
    """Return the body's bytes, made once at the edge.

    Raises:
        FieldInvalid: A field breaks a rule of the wire, so that no receiver would take it.
        MessageTooLarge: More than MAX_BODY_BYTES.
    """
    message = body_to_proto(body)
    check_rules(message, "body")
    return _bounded(message)


def decode_body(data: bytes) -> Body:
    """Return the body.

    Raises:
        MessageMalformed: Not a body.
        FieldInvalid: A field breaks a rule.
    """
    return body_from_proto(parse_exactly(pb.Body, data, "body", MAX_BODY_BYTES))


def _bounded(body: pb.Body) -> bytes:
    data = body.SerializeToString(deterministic=True)
    if len(data) > MAX_BODY_BYTES:
        raise MessageTooLarge("the body", len(data), MAX_BODY_BYTES)
    return data


def draft_from_proto(draft: pb.Draft) -> Draft:
    """Return the draft with its body encoded once.

    Raises:
        MessageMalformed: A field that this version does not know.
        FieldInvalid: A field breaks a rule.
        MessageTooLarge: The body has more than MAX_BODY_BYTES.
    """
    check_known(draft, "draft")
    check_rules(draft)
    body_bytes = _bounded(draft.body)
    thread = sized(draft.thread_id, 16, "thread_id")
    reply = sized(draft.in_reply_to, 16, "in_reply_to")
    return Draft(
        body=body_from_proto(draft.body),
        body_bytes=body_bytes,
        recipients=tuple([partner_from_text(item, "recipients") for item in draft.recipients]),
        mode=_MODES[draft.mode],
        urgency=_URGENCIES[draft.urgency],
        expire_ms=time_from_proto(draft.expire_time, "expire_time") if draft.HasField("expire_time") else None,
        thread_id=ThreadId(thread) if thread else None,
        in_reply_to=MessageId(reply) if reply else None,
        supersedes=supersedes_from_proto(draft.supersedes_id, draft.supersedes_commitment),
    )


def draft_to_proto(draft: Draft) -> pb.Draft:
    """Return the draft as it travels; for the command line and tests."""
    message = pb.Draft(
        body=pb.Body.FromString(draft.body_bytes),
        recipients=[item.code for item in draft.recipients],
        mode=draft.mode.value,  # type: ignore[arg-type]
        urgency=draft.urgency.value,  # type: ignore[arg-type]
        thread_id=draft.thread_id.raw if draft.thread_id is not None else b"",
        in_reply_to=draft.in_reply_to.raw if draft.in_reply_to is not None else b"",
    )
    if draft.expire_ms is not None:
        set_time(message.expire_time, draft.expire_ms)
    if draft.supersedes is not None:
        message.supersedes_id = draft.supersedes.message_id.raw
        message.supersedes_commitment = draft.supersedes.content_commitment
    return message
