"""The floor: the least that moves the same bytes with the same promises, as a yardstick for the gateway.

Bare grpc.aio over mTLS, a signature and a hybrid encapsulation per message, frames of many messages, a durable
commit before every answer, and nothing else: no policy, no agreement, no check of replay or commitments, no
encryption at rest, no queue on disk, no events. It shares no code with gateway/.

    client --SubmitMessages or SubmitMessage--> sender --Link--> receiver
                                                  ^----receipts----'

`python -m tests.bench.floor sender|receiver` runs one end; `Floor` starts both and a client, and measures.
"""

import argparse
import asyncio
import functools
import hashlib
import itertools
import shutil
import sqlite3
import statistics
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import grpc
from concord.v1 import (
    exchange_service_pb2,
    exchange_service_pb2_grpc,
    federation_service_pb2,
    federation_service_pb2_grpc,
)
from nacl.signing import VerifyKey

from tests.bench.certificates import make_certificates
from tests.bench.floor_crypto import Opener, Sealed, Sealer, make_keys
from tests.bench.floor_store import BUSY_ROWS, LINGER_S, GroupWriter
from tests.bench.processes import ROOT, Worker, now_ns, serve

FRAME = 64
"""Most envelopes in a frame of the link."""
FRAMES_OPEN = 8
"""Most frames on the link without an answer."""
AHEAD = 32
"""Most frames taken from a stream and not yet answered."""
OPTIONS = [("grpc.max_receive_message_length", 4 << 20)]
SENDER, RECEIVER, AUTHORITY = "cn", "th", "cn/emergency-management"

SENDER_SCHEMA = """
create table message (number integer primary key, message_id blob not null, envelope blob not null);
create table receipt (number integer primary key, proof blob not null);
"""
RECEIVER_SCHEMA = """
create table message
(number integer primary key, digest blob not null, envelope blob not null, body blob not null, proof blob not null);
"""


class SenderGateway(exchange_service_pb2_grpc.ExchangeServiceServicer):
    """Takes submissions, commits, sends, and commits the receipts that come back."""

    def __init__(self, sealer: Sealer, verify: VerifyKey, writer: GroupWriter) -> None:
        self._sealer, self._verify, self._writer = sealer, verify, writer
        self._numbers = itertools.count(1)
        self._committed: asyncio.Queue[tuple[int, Sealed]] = asyncio.Queue()
        self._frames: dict[int, list[int]] = {}
        self._room = asyncio.Semaphore(FRAMES_OPEN)
        self._receipts = 0
        self._receipt_instants: list[tuple[int, int]] = []
        self._news = asyncio.Event()

    async def SubmitMessage(self, request: Any, context: Any) -> exchange_service_pb2.SubmitMessageResponse:
        """Answer one draft once it is on disk."""
        sealed = self._seal(request)
        await self._commit([sealed])
        return _accepted(sealed)

    async def SubmitMessages(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[exchange_service_pb2.SubmitMessagesResponse]:
        """Answer frames of drafts in order, each once it is on disk, while later ones are being read."""
        taken: asyncio.Queue[tuple[list[str], list[Sealed], asyncio.Task[None]] | None] = asyncio.Queue(AHEAD)

        async def take() -> None:
            async for frame in request_iterator:
                sealed = [self._seal(request) for request in frame.requests]
                ids = [request.request_id for request in frame.requests]
                await taken.put((ids, sealed, asyncio.create_task(self._commit(sealed))))
            await taken.put(None)

        taking = asyncio.create_task(take())
        while (item := await taken.get()) is not None:
            ids, sealed, committed = item
            await committed
            yield exchange_service_pb2.SubmitMessagesResponse(
                results=[
                    exchange_service_pb2.SubmitResult(request_id=request_id, accepted=_accepted(one))
                    for request_id, one in zip(ids, sealed, strict=True)
                ]
            )
        await taking

    async def link(self, stub: Any) -> None:
        """Send what is committed, as many to a frame as wait, and take the receipts."""
        call = stub.Link()
        answers = asyncio.create_task(self._take_receipts(call))
        try:
            sequence = 0
            batch: list[tuple[int, Sealed]] = []
            while True:
                busy = len(batch) >= BUSY_ROWS
                batch = [await self._committed.get()]
                await self._room.acquire()
                if busy and self._committed.qsize() < FRAME:
                    await asyncio.sleep(LINGER_S)
                while len(batch) < FRAME and not self._committed.empty():
                    batch.append(self._committed.get_nowait())
                sequence += 1
                self._frames[sequence] = [number for number, _ in batch]
                frame = federation_service_pb2.LinkRequest(
                    sequence=sequence, envelopes=[sealed.envelope for _, sealed in batch]
                )
                await call.write(frame)
        finally:
            answers.cancel()
            call.cancel()

    async def committed(self, count: int) -> dict[str, Any]:
        """Return the instant at which as many receipts had been committed, waiting for it."""
        while self._receipts < count:
            self._news.clear()
            await self._news.wait()
        instants = [ns for number, ns in self._receipt_instants for _ in range(number)]
        return {"done_ns": instants[count - 1], "all_ns": instants[:count]}

    async def forget(self) -> dict[str, Any]:
        """Count receipts from nothing again."""
        self._receipts = 0
        self._receipt_instants.clear()
        return {}

    def _seal(self, request: Any) -> Sealed:
        draft = request.draft
        return self._sealer.seal(draft.body.SerializeToString(), draft.mode, draft.urgency)

    async def _commit(self, sealed: list[Sealed]) -> None:
        numbered = list(zip(self._numbers, sealed, strict=False))
        await self._writer.insert(
            "message",
            [(number, one.message_id, one.envelope_bytes) for number, one in numbered],
        )
        for item in numbered:
            self._committed.put_nowait(item)

    async def _take_receipts(self, call: Any) -> None:
        async for response in call:
            batch = self._frames.pop(response.sequence)
            self._room.release()
            rows = []
            for number, proof in zip(batch, response.repeats, strict=True):
                self._verify.verify(proof.receipt, proof.signature)
                rows.append((number, proof.SerializeToString()))
            written = self._writer.insert("receipt", rows)
            written.add_done_callback(functools.partial(self._count, len(rows)))

    def _count(self, number: int, _: asyncio.Future[None]) -> None:
        self._receipts += number
        self._receipt_instants.append((number, now_ns()))
        self._news.set()


class ReceiverGateway(federation_service_pb2_grpc.FederationServiceServicer):
    """Takes frames in, commits what they carry and answers with signed receipts."""

    def __init__(self, opener: Opener, writer: GroupWriter) -> None:
        self._opener, self._writer = opener, writer
        self._numbers = itertools.count(1)

    async def Link(self, request_iterator: Any, context: Any) -> AsyncIterator[federation_service_pb2.LinkResponse]:
        """Answer frames in order, each once it is on disk, while later ones are being read."""
        taken: asyncio.Queue[tuple[federation_service_pb2.LinkResponse, asyncio.Future[None]] | None]
        taken = asyncio.Queue(AHEAD)

        async def take() -> None:
            async for frame in request_iterator:
                response = federation_service_pb2.LinkResponse(sequence=frame.sequence)
                rows = []
                for envelope in frame.envelopes:
                    body, proof = self._opener.open(envelope)
                    proof_bytes = proof.SerializeToString()
                    digest = hashlib.sha256(proof.receipt).digest()
                    rows.append((next(self._numbers), digest, envelope.SerializeToString(), body, proof_bytes))
                    response.repeats.append(proof)
                written = self._writer.insert("message", rows)
                await taken.put((response, written))
            await taken.put(None)

        taking = asyncio.create_task(take())
        try:
            while (item := await taken.get()) is not None:
                response, written = item
                await written
                yield response
        finally:
            taking.cancel()


def _accepted(sealed: Sealed) -> exchange_service_pb2.SubmitMessageResponse:
    response = exchange_service_pb2.SubmitMessageResponse(
        message_id=sealed.message_id, thread_id=sealed.message_id, content_commitment=sealed.content_commitment
    )
    response.create_time.FromNanoseconds(sealed.create_ns)
    response.expire_time.FromNanoseconds(sealed.create_ns + 3_600_000_000_000)
    return response


async def run_receiver(folder: Path) -> None:
    """Be the receiving gateway until the input ends."""
    writer = GroupWriter(folder / "receiver.db", RECEIVER_SCHEMA)
    opener = Opener(
        RECEIVER,
        (folder / "sender.verify").read_bytes(),
        (folder / "receiver.open").read_bytes(),
        (folder / "receiver.sign").read_bytes(),
    )
    server = grpc.aio.server(options=OPTIONS)
    federation_service_pb2_grpc.add_FederationServiceServicer_to_server(ReceiverGateway(opener, writer), server)
    port = await _listen(server, folder, "receiver")
    await serve({"port": port}, {})
    await server.stop(0)
    writer.close()


async def run_sender(folder: Path, link_port: int) -> None:
    """Be the sending gateway until the input ends."""
    writer = GroupWriter(folder / "sender.db", SENDER_SCHEMA)
    sealer = Sealer(SENDER, RECEIVER, (folder / "sender.sign").read_bytes(), (folder / "receiver.seal").read_bytes())
    gateway = SenderGateway(sealer, VerifyKey((folder / "receiver.verify").read_bytes()), writer)
    credentials = grpc.ssl_channel_credentials(
        *((folder / name).read_bytes() for name in ("roots.pem", "sender.key", "sender.pem"))
    )
    server = grpc.aio.server(options=OPTIONS)
    exchange_service_pb2_grpc.add_ExchangeServiceServicer_to_server(gateway, server)
    port = await _listen(server, folder, "sender")
    async with grpc.aio.secure_channel(f"localhost:{link_port}", credentials, options=OPTIONS) as channel:
        await asyncio.wait_for(channel.channel_ready(), 30)
        linking = asyncio.create_task(gateway.link(federation_service_pb2_grpc.FederationServiceStub(channel)))
        await serve({"port": port}, {"committed": gateway.committed, "forget": gateway.forget})
        linking.cancel()
        await asyncio.gather(linking, return_exceptions=True)
    await server.stop(0)
    writer.close()


async def _listen(server: grpc.aio.Server, folder: Path, name: str) -> int:
    credentials = grpc.ssl_server_credentials(
        [((folder / f"{name}.key").read_bytes(), (folder / f"{name}.pem").read_bytes())],
        root_certificates=(folder / "roots.pem").read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    return port


class Floor:
    """Two processes of the floor and a client process, ready to be measured."""

    def __init__(self) -> None:
        # Beside the build output and not under /tmp, which may be memory: a durable commit must reach a disk.
        (ROOT / "build").mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="floor-", dir=ROOT / "build"))
        make_certificates(self.folder, ("sender", "receiver", "client"))
        make_keys(self.folder)
        folder = str(self.folder)
        self._receiver = Worker("tests.bench.floor", "receiver", "--folder", folder)
        self._sender = Worker(
            "tests.bench.floor", "sender", "--folder", folder, "--link-port", str(self._receiver.ready["port"])
        )
        self._client = Worker(
            "tests.bench.client",
            *("--target", f"localhost:{self._sender.ready['port']}", "--authority", AUTHORITY),
            *("--roots", f"{folder}/roots.pem", "--chain", f"{folder}/client.pem", "--key", f"{folder}/client.key"),
        )
        self.streamed(FRAME * 4)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by role, for a profiler."""
        return {"sender": self._sender.pid, "receiver": self._receiver.pid, "client": self._client.pid}

    def streamed(self, count: int) -> float:
        """Return messages per second from the first streamed submit to the last committed receipt."""
        return self._rate("streamed", count)

    def unary(self, count: int) -> float:
        """Return messages per second from the first unary submit to the last committed receipt."""
        return self._rate("unary", count)

    def latencies_ms(self, count: int, pause_s: float = 0.02) -> list[float]:
        """Return, one message at a time, milliseconds from submit to committed receipt."""
        self._sender.ask("forget")
        self._client.ask("prepare", count=count, recipients=[RECEIVER])
        submitted = self._client.ask("paced", pause_s=pause_s)["submitted_ns"]
        committed = self._sender.ask("committed", count=count)["all_ns"]
        return [(end - start) / 1e6 for start, end in zip(submitted, committed, strict=True)]

    def stored(self) -> tuple[int, int]:
        """Return how many messages the sender has a receipt for, and how many the receiver keeps."""
        counts = []
        for name, table in (("sender", "receipt"), ("receiver", "message")):
            connection = sqlite3.connect(self.folder / f"{name}.db")
            counts.append(connection.execute(f"select count(*) from {table}").fetchone()[0])
            connection.close()
        return counts[0], counts[1]

    def close(self) -> None:
        """End the processes and remove what they wrote."""
        for process in (self._client, self._sender, self._receiver):
            process.close()
        shutil.rmtree(self.folder)

    def _rate(self, manner: str, count: int) -> float:
        self._sender.ask("forget")
        self._client.ask("prepare", count=count, recipients=[RECEIVER])
        first_ns = self._client.ask(manner)["first_ns"]
        done_ns = self._sender.ask("committed", count=count)["done_ns"]
        return count / (done_ns - first_ns) * 1e9


def main() -> None:
    """Run one end of the floor, or measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["sender", "receiver", "measure"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--link-port", type=int)
    options = parser.parse_args()
    if options.role == "receiver":
        asyncio.run(run_receiver(options.folder))
    elif options.role == "sender":
        asyncio.run(run_sender(options.folder, options.link_port))
    else:
        with Floor() as floor:
            print("streamed msg/s", [round(floor.streamed(10_000)) for _ in range(3)])
            print("unary msg/s", [round(floor.unary(4_000)) for _ in range(3)])
            latencies = sorted(floor.latencies_ms(200))
            print("idle p50 ms", round(statistics.median(latencies), 2), "p99", round(latencies[197], 2))


if __name__ == "__main__":
    main()
