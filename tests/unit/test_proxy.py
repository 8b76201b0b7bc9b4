"""The fault tool must itself be beyond doubt: each condition does what it says and nothing else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.fixtures.proxy import Proxy


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as running:
        yield running
    server.close()
    await server.wait_closed()
    # One turn for the echo server's connections, which the proxy's end has just closed.
    await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def dial(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to the proxy, and leave nothing open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    """Send bytes and read as many back."""
    writer.write(data)
    await writer.drain()
    return await asyncio.wait_for(reader.readexactly(len(data)), 5)


async def test_bytes_pass_unchanged_and_in_order(proxy: Proxy) -> None:
    async with dial(proxy) as (reader, writer):
        data = bytes(range(256)) * 2000
        assert await call(reader, writer, data) == data
        assert (proxy.accepted, proxy.open_connections) == (1, 1)
        assert proxy.forwarded_bytes == 2 * len(data)


async def test_an_orderly_end_passes_through(proxy: Proxy) -> None:
    async with dial(proxy) as (reader, writer):
        writer.write(b"last words")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"last words"


async def test_cut_resets_open_connections_and_lets_new_ones_in(proxy: Proxy) -> None:
    async with dial(proxy) as (reader, writer):
        assert await call(reader, writer, b"before") == b"before"
        await proxy.cut()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
    assert proxy.open_connections == 0
    async with dial(proxy) as (reader, writer):
        assert await call(reader, writer, b"after") == b"after"


async def test_refuse_turns_new_connections_away_and_keeps_the_open_one(proxy: Proxy) -> None:
    async with dial(proxy) as (reader, writer):
        assert await call(reader, writer, b"one") == b"one"
        proxy.conditions.refuse = True
        async with dial(proxy) as (refused, _):
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(refused.readexactly(1), 5)
        assert await call(reader, writer, b"two") == b"two"
        assert proxy.accepted == 1


async def test_delay_holds_each_way_back_without_lowering_the_rate(proxy: Proxy) -> None:
    async with dial(proxy) as (reader, writer):
        proxy.conditions.delay_s = 0.03
        started = time.monotonic()
        data = bytes(500_000)
        assert await call(reader, writer, data) == data
        took = time.monotonic() - started
        # Thirty chunks each way: were the delay paid for each in turn, this would take two seconds.
        assert 0.06 <= took < 1.0


async def test_throttle_bounds_bytes_per_second(proxy: Proxy) -> None:
    async with dial(proxy) as (reader, writer):
        proxy.conditions.bytes_per_s = 400_000
        started = time.monotonic()
        data = bytes(32_000)
        assert await call(reader, writer, data) == data
        assert time.monotonic() - started >= 32_000 / 400_000


async def test_half_open_is_silent_and_loses_nothing_when_it_ends(proxy: Proxy) -> None:
    async with dial(proxy) as (reader, writer):
        assert await call(reader, writer, b"heard") == b"heard"
        proxy.conditions.half_open = True
        writer.write(b"unheard")
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        proxy.conditions.half_open = False
        assert await asyncio.wait_for(reader.readexactly(7), 5) == b"unheard"


async def test_a_silent_line_holds_a_bounded_number_of_bytes(proxy: Proxy) -> None:
    async with dial(proxy) as (_, writer):
        proxy.conditions.half_open = True
        writer.write(bytes(64 << 20))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.05)


async def test_a_dead_target_looks_like_a_reset() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Proxy("127.0.0.1", port) as running, dial(running) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
