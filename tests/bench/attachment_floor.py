"""The floor for files: the same bytes over a bare gRPC stream with mutual TLS, written and synced, and nothing else."""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc

from tests.bench.processes import now_ns, serve

METHOD: Final = "/bench.Floor/Fetch"
PIECE_BYTES: Final = 256 << 10
"""As gateway.exchange.read_attachment sends them."""


async def run_server(folder: Path) -> None:
    """Give a file to whoever asks, until the input ends."""

    async def fetch(_: bytes, context: Any) -> AsyncIterator[bytes]:
        with (folder / "source").open("rb", buffering=0) as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(fetch)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Floor", {"Fetch": handler}),))
    credentials = grpc.ssl_server_credentials(
        [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())],
        root_certificates=(folder / "roots.pem").read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    await serve({"port": port}, {})
    await server.stop(0)


async def fetched_s(folder: Path, port: int) -> float:
    """Fetch the file, write it and have it on disk; return how long it took."""
    credentials = grpc.ssl_channel_credentials(
        *((folder / name).read_bytes() for name in ("roots.pem", "client.key", "client.pem"))
    )
    began = now_ns()
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        with (folder / "target").open("wb", buffering=0) as file:
            async for piece in channel.unary_stream(METHOD)(b""):
                await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(os.fsync, file.fileno())
    return (now_ns() - began) / 1e9


def main() -> None:
    """Run the serving end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    asyncio.run(run_server(parser.parse_args().folder))


if __name__ == "__main__":
    main()
