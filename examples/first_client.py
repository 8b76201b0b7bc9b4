"""A national system: hands an alert to its gateway and waits for receipts, or takes over what partners sent.

Usage: python first_client.py send CERTIFICATES ADDRESS AUTHORITY RECIPIENT...
       python first_client.py take CERTIFICATES ADDRESS
"""

# ruff: noqa: INP001, T201 - a program of its own, in nobody's house

import sys
from pathlib import Path

from gateway.client import Client, Credentials, alert_draft, explain
from gateway.errors import GatewayError


def connect(certificates: Path, address: str) -> Client:
    """Return a line to the gateway: our certificate and key, and the only root we believe it under."""
    credentials = Credentials.from_files(
        roots=certificates / "authority.pem",
        chain=certificates / "system-national.pem",
        key=certificates / "system-national.key.pem",
    )
    return Client(address, credentials)


def send(gateway: Client, authority: str, recipients: list[str]) -> None:
    """Hand in an alert, then wait until every recipient has signed for it."""
    draft = alert_draft(
        authority=authority,
        recipients=recipients,
        event="Flood",
        headlines={
            "en": "[EXERCISE] River above alarm level",
            "th": "[ฝึกซ้อม] ระดับน้ำสูงกว่าระดับเตือนภัย",
        },
    )
    accepted = gateway.submit(draft)
    print("on disk", accepted.message_id)

    waiting = set(recipients)
    for watched in gateway.watch():
        event = watched.event
        if watched.message_id == accepted.message_id and event.partner in waiting:
            print(event.type, "by", event.partner)
            waiting.discard(event.partner)
        if not waiting:
            return


def take(gateway: Client) -> None:
    """Read the next alert that nobody has taken over yet, and tell its sender that it is in our hands."""
    for watched in gateway.watch():
        message = watched.event.message
        if message.state == "received" and message.body.HasField("alert"):
            for info in message.body.alert.infos:
                print(message.sender, info.language, info.headline)
            gateway.acknowledge(watched.message_id, message.sender)
            print("acknowledged", watched.message_id)
            return


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["send", certificates, address, authority, *recipients] if recipients:
            todo = lambda gateway: send(gateway, authority, recipients)  # noqa: E731
        case ["take", certificates, address]:
            todo = take
        case _:
            sys.exit(__doc__)
    try:
        with connect(Path(certificates), address) as line:
            todo(line)
    except GatewayError as error:
        sys.exit(explain(error))
