"""Hands in many alerts at once, with an event loop.

Usage: python many_alerts.py CERTIFICATES ADDRESS AUTHORITY RECIPIENT
"""

# ruff: noqa: INP001, T201 - a program of its own, in nobody's house

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from concord.v1.message_pb2 import Draft

from gateway.client import AsyncClient, Credentials, alert_draft, new_request_id


def drafts(authority: str, recipient: str) -> Iterator[tuple[str, Draft]]:
    """Yield drafts with the ids that are kept with them: after a crash, the same pairs are handed in again."""
    for gauge in range(100):
        draft = alert_draft(
            authority=authority, recipients=[recipient], event="Flood", headlines={"en": f"[EXERCISE] Gauge {gauge}"}
        )
        yield new_request_id(), draft


async def main(certificates: Path, address: str, authority: str, recipient: str) -> None:
    """Hand in all, count what was taken, tell what was not."""
    credentials = Credentials.from_files(
        roots=certificates / "authority.pem",
        chain=certificates / "system-national.pem",
        key=certificates / "system-national.key.pem",
    )
    taken = 0
    async with AsyncClient(address, credentials) as gateway:
        async for result in gateway.submit_many(drafts(authority, recipient)):
            if result.error is not None:
                print(result.request_id, result.error.reason, result.error.text)
            else:
                taken += 1
    print(taken, "are on disk")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:5]))
