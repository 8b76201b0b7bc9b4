"""The client of the bench: a national system's end of ExchangeService. The floor and the gateway get the same one.

Runs as a process of its own (`python -m tests.bench.client`) and takes commands, see `processes.serve`.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from concord.v1 import exchange_service_pb2, exchange_service_pb2_grpc

from tests.bench import workload
from tests.bench.processes import now_ns, serve

FRAME = 64
"""Drafts in a frame of the stream."""
WINDOW = 2048
"""Drafts on the stream without an answer."""
CALLS = 64
"""Unary calls at once."""
DEADLINE_S = 60.0


class Client:
    """Submits alerts in the three manners of the bench."""

    def __init__(self, channel: grpc.aio.Channel, authority: str) -> None:
        self._stub: Any = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
        self._authority = authority
        self._requests: list[exchange_service_pb2.SubmitMessageRequest] = []

    async def prepare(self, count: int, recipients: Sequence[str]) -> dict[str, Any]:
        """Make what will be sent, so that making it costs nothing while the clock runs."""
        self._requests = workload.submissions(count, authority=self._authority, recipients=recipients)
        return {"prepared": count}

    async def streamed(self) -> dict[str, Any]:
        """Submit everything over one stream, several drafts to a frame; return when it began and was answered."""
        frames = [
            exchange_service_pb2.SubmitMessagesRequest(requests=self._requests[start : start + FRAME])
            for start in range(0, len(self._requests), FRAME)
        ]
        room = asyncio.Semaphore(WINDOW // FRAME)
        call = self._stub.SubmitMessages()

        async def write() -> None:
            for frame in frames:
                await room.acquire()
                await call.write(frame)
            await call.done_writing()

        first_ns = now_ns()
        writing = asyncio.create_task(write())
        answered = returned = 0
        async for response in call:
            for result in response.results:
                if result.WhichOneof("result") != "accepted":
                    raise RuntimeError(f"a draft of the bench was refused: {result.error.reason}")
            answered += len(response.results)
            while returned < answered // FRAME:
                room.release()
                returned += 1
        await writing
        return {"first_ns": first_ns, "answered_ns": now_ns(), "answered": answered}

    async def unary(self) -> dict[str, Any]:
        """Submit everything by unary calls, CALLS at once; return when it began and was answered."""
        waiting = iter(self._requests)

        async def caller() -> None:
            for request in waiting:
                await self._stub.SubmitMessage(request, timeout=DEADLINE_S)

        first_ns = now_ns()
        await asyncio.gather(*(caller() for _ in range(CALLS)))
        return {"first_ns": first_ns, "answered_ns": now_ns(), "answered": len(self._requests)}

    async def paced(self, pause_s: float) -> dict[str, Any]:
        """Submit one at a time by unary calls with a pause after each; return the instants of submission."""
        instants = []
        answers = []
        ids = []
        for request in self._requests:
            instants.append(now_ns())
            response = await self._stub.SubmitMessage(request, timeout=DEADLINE_S)
            answers.append(now_ns())
            ids.append(response.message_id.hex())
            await asyncio.sleep(pause_s)
        return {"submitted_ns": instants, "answered_ns": answers, "message_ids": ids}


async def run(target: str, roots: bytes, chain: bytes, key: bytes, authority: str) -> None:
    """Connect and take commands until the input ends."""
    credentials = grpc.ssl_channel_credentials(roots, key, chain)
    async with grpc.aio.secure_channel(target, credentials) as channel:
        await asyncio.wait_for(channel.channel_ready(), 30)
        client = Client(channel, authority)
        commands = {
            "prepare": client.prepare,
            "streamed": client.streamed,
            "unary": client.unary,
            "paced": client.paced,
        }
        await serve({"ready": True}, commands)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--authority", required=True)
    for name in ("roots", "chain", "key"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    options = parser.parse_args()
    asyncio.run(
        run(
            options.target,
            options.roots.read_bytes(),
            options.chain.read_bytes(),
            options.key.read_bytes(),
            options.authority,
        )
    )


if __name__ == "__main__":
    main()
