"""Concurrent submissions share batches, and a full queue says so."""

import asyncio
from types import SimpleNamespace

import pytest

from gateway.errors import QuotaExceeded, StoreUnavailable
from gateway.exchange.observer import Unobserved
from gateway.model.header import Urgency
from gateway.workers.coalesce import BATCH, BATCH_BYTES, CoalescedSubmit


def submission(urgency=Urgency.U3, size=10):
    return SimpleNamespace(draft=SimpleNamespace(urgency=urgency, body_bytes=b"x" * size))


class SlowService:
    """Answers each submission with itself once it is let go."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def submit(self, submissions):
        self.batches.append(len(submissions))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return list(submissions)


async def test_what_arrives_behind_a_batch_under_way_becomes_one_batch() -> None:
    service = SlowService()
    coalesced = CoalescedSubmit(service, 1 << 20)
    first = asyncio.create_task(coalesced.submit([submission()]))
    await asyncio.sleep(0)
    rest = [asyncio.create_task(coalesced.submit([submission()])) for _ in range(20)]
    await asyncio.sleep(0)
    service.gate.set()
    await asyncio.gather(first, *rest)
    assert service.batches == [1, 20]


async def test_answers_go_to_whom_they_belong_and_batches_are_bounded() -> None:
    service = SlowService()
    service.gate.set()
    coalesced = CoalescedSubmit(service, 1 << 20)
    wanted = [[submission() for _ in range(n)] for n in (3, BATCH, 2 * BATCH + 1)]
    answers = await asyncio.gather(*(coalesced.submit(items) for items in wanted))
    assert answers == wanted
    assert max(service.batches) <= BATCH


async def test_a_full_queue_tells_all_but_flash_to_come_back() -> None:
    service = SlowService()
    coalesced = CoalescedSubmit(service, 100)
    running = asyncio.create_task(coalesced.submit([submission()]))
    await asyncio.sleep(0)
    queued = asyncio.create_task(coalesced.submit([submission(size=100)]))
    await asyncio.sleep(0)
    refused, flash = submission(), submission(Urgency.U0)
    both = asyncio.create_task(coalesced.submit([refused, flash]))
    await asyncio.sleep(0)
    service.gate.set()
    answers = await both
    assert isinstance(answers[0], QuotaExceeded)
    assert answers[1] is flash
    await asyncio.gather(running, queued)
    assert await coalesced.submit([refused]) == [refused]


async def test_a_store_that_cannot_now_is_an_answer_and_a_bug_reaches_the_caller() -> None:
    service = SlowService()
    service.gate.set()
    coalesced = CoalescedSubmit(service, 1 << 20)
    service.error = StoreUnavailable("the disk is full")
    (answer,) = await coalesced.submit([submission()])
    assert isinstance(answer, StoreUnavailable)
    service.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await coalesced.submit([submission()])


async def test_a_flash_message_neither_waits_for_the_batch_under_way_nor_behind_routine() -> None:
    service = SlowService()
    coalesced = CoalescedSubmit(service, 1 << 20)
    routine = [asyncio.create_task(coalesced.submit([submission() for _ in range(BATCH)])) for _ in range(9)]
    await asyncio.sleep(0.01)
    assert len(service.batches) == 3
    taken = []
    plain = service.submit

    async def remembering(submissions):
        taken.append(list(submissions))
        return await plain(submissions)

    service.submit = remembering
    flash = submission(Urgency.U0)
    waiting = asyncio.create_task(coalesced.submit([flash]))
    await asyncio.sleep(0)
    service.gate.set()
    assert await waiting == [flash]
    assert taken[0][0] is flash
    await asyncio.gather(*routine)

    service.gate.clear()
    small = asyncio.create_task(coalesced.submit([submission()]))
    await asyncio.sleep(0)
    alone = asyncio.create_task(coalesced.submit([flash]))
    await asyncio.sleep(0.01)
    assert taken[-1] == [flash]
    service.gate.set()
    await asyncio.gather(small, alone)


async def test_a_batch_is_bounded_in_bytes_but_one_large_draft_is_taken() -> None:
    service = SlowService()
    service.gate.set()
    coalesced = CoalescedSubmit(service, 1 << 30)
    large = [submission(size=BATCH_BYTES // 2) for _ in range(4)]
    assert await coalesced.submit([submission(size=BATCH_BYTES + 1), *large]) != []
    assert service.batches == [1, 2, 2]


class Counting(Unobserved):
    def __init__(self) -> None:
        self.told: list[tuple[int, set[str]]] = []

    def submitted(self, began, submissions, answers) -> None:
        self.told.append((len(submissions), {answer.reason for answer in answers}))


async def test_what_no_batch_took_is_told_to_whoever_counts() -> None:
    service, counting = SlowService(), Counting()
    coalesced = CoalescedSubmit(service, 100, counting)
    service.error = StoreUnavailable("the disk is full")
    running = asyncio.create_task(coalesced.submit([submission(size=100)]))
    await asyncio.sleep(0)
    queued = asyncio.create_task(coalesced.submit([submission(size=100)]))
    await asyncio.sleep(0)
    await coalesced.submit([submission(), submission()])
    service.gate.set()
    await asyncio.gather(running, queued)
    assert sorted(counting.told, key=str) == [
        (1, {"STORE_UNAVAILABLE"}), (1, {"STORE_UNAVAILABLE"}), (2, {"QUOTA_EXCEEDED"}),
    ]  # fmt: skip
