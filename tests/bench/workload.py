"""What the bench sends: alerts of about 1 kB, as a national system would hand them in."""

import uuid
from collections.abc import Sequence

from concord.v1 import alert_pb2, envelope_pb2, exchange_service_pb2, message_pb2

BODY_BYTES = 1000
"""Bytes of an encoded body; the figures of the design are for 1 kB messages."""


def alert_body(authority: str, number: int) -> message_pb2.Body:
    """Return a body that encodes to BODY_BYTES bytes, different for every number."""
    body = message_pb2.Body(
        schema_version=1,
        authority=authority,
        handling=message_pb2.Handling(
            tlp=message_pb2.TLP_GREEN, purpose="public_warning", onward=message_pb2.ONWARD_NONE
        ),
        legal_basis=[message_pb2.LegalBasis(instrument="voluntary")],
        alert=alert_pb2.Alert(
            identifier=f"bench-{number:08d}",
            source_sender="bench@early-warning.example",
            alert_type=alert_pb2.ALERT_TYPE_ALERT,
            scope="Public",
        ),
    )
    body.alert.sent_time.time.FromSeconds(1_790_000_000)
    body.alert.sent_time.offset_minutes = 420
    info = body.alert.infos.add(
        language="en-GB",
        categories=["Met"],
        event="Flash flood",
        response_types=["Evacuate"],
        urgency=alert_pb2.ALERT_URGENCY_IMMEDIATE,
        severity=alert_pb2.ALERT_SEVERITY_EXTREME,
        certainty=alert_pb2.ALERT_CERTAINTY_OBSERVED,
        headline="Water rises at the upper dam; leave the river banks now",
        instruction="Go to higher ground. Do not wait for belongings.",
    )
    info.areas.add(description="River banks below the upper dam").circles.add(
        center=alert_pb2.Point(latitude=19.888, longitude=102.135), radius_km=25
    )
    # The description takes what is missing: two bytes of framing for itself and one more for each enclosing length.
    missing = BODY_BYTES - body.ByteSize()
    info.description = "x" * max(0, missing - 8)
    info.description += "x" * (BODY_BYTES - body.ByteSize())
    return body


def submissions(
    count: int, *, authority: str, recipients: Sequence[str]
) -> list[exchange_service_pb2.SubmitMessageRequest]:
    """Return requests with fresh ids, made before the clock starts."""
    template = exchange_service_pb2.SubmitMessageRequest(
        draft=message_pb2.Draft(
            body=alert_body(authority, 0),
            recipients=recipients,
            mode=envelope_pb2.MODE_EXERCISE,
            urgency=envelope_pb2.URGENCY_U2,
        )
    )
    requests = []
    for number in range(count):
        request = exchange_service_pb2.SubmitMessageRequest()
        request.CopyFrom(template)
        request.request_id = str(uuid.uuid4())
        request.draft.body.alert.identifier = f"bench-{number:08d}"
        requests.append(request)
    return requests
