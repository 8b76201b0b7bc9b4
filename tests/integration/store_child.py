"""A process that works on a store until a fault ends it. It prints one line for everything it was promised.

python -m tests.integration.store_child kill HOME POINT COUNT    dies at the COUNTth passing of a commit point
python -m tests.integration.store_child full HOME                meets a full disk, then a disk with room again
python -m tests.integration.store_child hold HOME                holds the home until stdin ends
"""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.ports import EraseMessage
from gateway.store import open_sqlite
from tests.contract.samples import CN, TH, Maker, log_entry, receipt, receipts, receive, submit


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def kill(home: Path, point: str, count: int) -> None:
    left = count

    def at_commit_point(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    store = await open_sqlite(home, at_commit_point=at_commit_point)
    make = Maker()
    for round_number in range(100):
        message, second, received = make.sealed(TH), make.sealed(TH), make.received(TH)
        say("trying", message.request_id.hex(), message.request_digest.hex(), message.message_id.raw.hex())
        await store.write(submit(message))
        say("sent", message.message_id.raw.hex())
        await store.write(receive(received))
        say("received", received.header.message_id.raw.hex())
        await asyncio.gather(store.write(submit(second)), store.write(receipts(receipt(message.digest))))
        say("sent", second.message_id.raw.hex())
        say("receipted", message.message_id.raw.hex())
        if round_number % 2:
            say("erasing", received.header.message_id.raw.hex())
            await store.write(EraseMessage(sender=TH, message_id=received.header.message_id, log=log_entry()))
            say("erased", received.header.message_id.raw.hex())


async def full(home: Path) -> None:
    store = await open_sqlite(home)
    make = Maker()
    for _ in range(3):
        message = make.sealed(TH)
        await store.write(submit(message))
        say("sent", message.message_id.raw.hex())
    largest = max(entry.stat().st_size for entry in os.scandir(home))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 20_000, hard))
    refused = []
    for _ in range(200):
        message = make.sealed(TH)
        try:
            await store.write(submit(message))
        except StoreUnavailable as error:
            refused.append(message)
            say("unavailable", error.reason)
            if len(refused) == 5:
                break
        else:
            say("sent", message.message_id.raw.hex())
    group = [make.sealed(TH, CN) for _ in range(20)]
    for outcome in await asyncio.gather(*(store.write(submit(message)) for message in group), return_exceptions=True):
        say("group", type(outcome).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for message in (*refused, *group):
        (result,) = await store.write(submit(message))
        say("again", result.status.name)
        say("sent", message.message_id.raw.hex())
    await store.close()


async def hold(home: Path) -> None:
    store = await open_sqlite(home)
    say("open")
    await asyncio.to_thread(sys.stdin.read)
    await store.close()


if __name__ == "__main__":
    what, place, *rest = sys.argv[1:]
    match what:
        case "kill":
            asyncio.run(kill(Path(place), rest[0], int(rest[1])))
        case "full":
            asyncio.run(full(Path(place)))
        case "hold":
            asyncio.run(hold(Path(place)))
