"""A national system: hands one alert to its gateway, then watches until every recipient has signed for it.

Usage: python first_client.py CERTIFICATES ADDRESS AUTHORITY RECIPIENT...
"""

# ruff: noqa: INP001, T201, TID251 - a program of its own, in nobody's house

import asyncio
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from concord.v1 import alert_pb2, envelope_pb2, exchange_service_pb2, message_pb2
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub


def credentials(certificates: Path) -> grpc.ChannelCredentials:
    """Return what proves us to the gateway, and the only root we believe it under."""
    return grpc.ssl_channel_credentials(
        root_certificates=(certificates / "authority.pem").read_bytes(),
        private_key=(certificates / "system-national.key.pem").read_bytes(),
        certificate_chain=(certificates / "system-national.pem").read_bytes(),
    )


def draft(authority: str, recipients: list[str]) -> message_pb2.Draft:
    """Return an alert in two languages, for six hours."""
    now = datetime.now(UTC)
    alert = alert_pb2.Alert(
        identifier=f"first-client-{now:%Y%m%dT%H%M%S}",
        source_sender="warnings@example.org",
        alert_type=alert_pb2.ALERT_TYPE_ALERT,
        scope="Public",
        infos=[
            alert_pb2.AlertInfo(language="en", event="Flood", headline="[EXERCISE] River above alarm level"),
            alert_pb2.AlertInfo(language="th", event="น้ำท่วม", headline="[ฝึกซ้อม] ระดับน้ำสูงกว่าระดับเตือนภัย"),
        ],
    )
    alert.sent_time.time.FromDatetime(now)
    made = message_pb2.Draft(
        body=message_pb2.Body(
            schema_version=1,
            authority=authority,
            handling=message_pb2.Handling(
                tlp=message_pb2.TLP_CLEAR, purpose="public_warning", onward=message_pb2.ONWARD_ASK
            ),
            alert=alert,
        ),
        recipients=recipients,
        mode=envelope_pb2.MODE_EXERCISE,
        urgency=envelope_pb2.URGENCY_U1,
    )
    made.expire_time.FromDatetime(now + timedelta(hours=6))
    return made


async def main(certificates: Path, address: str, authority: str, recipients: list[str]) -> None:
    """Submit, then watch."""
    async with grpc.aio.secure_channel(address, credentials(certificates)) as channel:
        gateway = ExchangeServiceStub(channel)
        request = exchange_service_pb2.SubmitMessageRequest(
            # Keep this id with the draft: after a time-out the same id and draft may be sent again, and count once.
            request_id=str(uuid.uuid4()),
            draft=draft(authority, recipients),
        )
        accepted = await gateway.SubmitMessage(request, timeout=10)
        print("on disk", uuid.UUID(bytes=accepted.message_id))

        waiting = set(recipients)
        # A real system keeps the cursor of every answer and begins there after a restart.
        async for answer in gateway.WatchMessages(exchange_service_pb2.WatchMessagesRequest(), timeout=60):
            for event in answer.events:
                if event.message_id == accepted.message_id and event.partner in waiting:
                    print(event.type, "by", event.partner, event.reason)
                    waiting.discard(event.partner)
            if not waiting:
                return


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
    except grpc.aio.AioRpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
