import asyncio

import pytest

from gateway.rpc.pipeline import answer_in_order


async def taken(answers, into):
    async for item in answers:
        into.append(item)


async def numbers(count, seen=None):
    for number in range(count):
        if seen is not None:
            seen.append(number)
        yield number


async def test_answers_keep_the_order_of_frames_whatever_finishes_first():
    finished = []

    async def answer(number):
        for _ in range(20 - number):
            await asyncio.sleep(0)
        finished.append(number)
        return number

    assert [item async for item in answer_in_order(numbers(10), answer, 4)] == list(range(10))
    assert finished != sorted(finished)


async def test_no_more_frames_are_read_than_the_window_holds():
    seen = []
    gate = asyncio.Event()

    async def answer(number):
        await gate.wait()
        return number

    answers = answer_in_order(numbers(100, seen), answer, 4)
    first = asyncio.ensure_future(anext(answers))
    for _ in range(50):
        await asyncio.sleep(0)
    assert seen == [0, 1, 2, 3]
    gate.set()
    assert await first == 0
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(seen) <= 5  # answers not taken hold their place
    assert [item async for item in answers] == list(range(1, 100))


async def test_an_error_comes_in_its_place_and_cancels_what_is_behind():
    cancelled = []

    async def answer(number):
        if number == 2:
            raise ValueError(number)
        try:
            if number > 2:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    got = []
    with pytest.raises(ValueError, match="2"):
        await taken(answer_in_order(numbers(10), answer, 4), got)
    assert got == [0, 1]
    assert cancelled == sorted(cancelled)
    assert cancelled[0] == 3


async def test_an_error_of_reading_comes_after_the_answers_before_it():
    async def frames():
        yield 1
        yield 2
        raise KeyError("broken")

    async def answer(number):
        await asyncio.sleep(0)
        return number

    got = []
    with pytest.raises(KeyError):
        await taken(answer_in_order(frames(), answer, 4), got)
    assert got == [1, 2]


async def test_leaving_early_cancels_the_work():
    running = set()

    async def answer(number):
        running.add(number)
        try:
            await asyncio.sleep(0 if number == 0 else 60)
        finally:
            running.discard(number)
        return number

    answers = answer_in_order(numbers(10), answer, 4)
    assert await anext(answers) == 0
    await answers.aclose()
    assert not running
