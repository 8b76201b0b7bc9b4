"""Works on several frames of a stream at once and answers them in their order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def answer_in_order(
    frames: AsyncIterator[A], answer: Callable[[A], Awaitable[B]], window: int
) -> AsyncIterator[B]:
    """Yield the answers to frames in the frames' order, working on up to `window` frames at once.

    A frame counts until its answer is taken, so that a peer that does not read its answers is not read from either.
    An error of a frame comes in its place, after the answers before it; the work behind it is cancelled.
    """
    room = asyncio.Semaphore(window)
    started: asyncio.Queue[asyncio.Future[B] | None] = asyncio.Queue()
    working: set[asyncio.Future[B]] = set()

    async def start() -> None:
        try:
            await room.acquire()
            async for frame in frames:
                task = asyncio.ensure_future(answer(frame))
                working.add(task)
                task.add_done_callback(working.discard)
                started.put_nowait(task)
                await room.acquire()
        finally:
            started.put_nowait(None)

    starting = asyncio.create_task(start())
    try:
        while (task := await started.get()) is not None:
            yield await task
            room.release()
        # Raises what ended the reading, if it was an error.
        await starting
    finally:
        leftover: list[asyncio.Future[Any]] = [starting, *working]
        for item in leftover:
            item.cancel()
        # Only the first error is told; what it cut off has no caller any more. Our own cancellation still counts.
        await asyncio.gather(*leftover, return_exceptions=True)
