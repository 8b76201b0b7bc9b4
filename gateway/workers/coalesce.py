"""Turns concurrent single calls into batches: nothing waits to be batched, what is queued is the batch.

The most urgent go first, so that a flash message does not stand in line behind everybody's routine.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from gateway.errors import GatewayError, QuotaExceeded
from gateway.exchange.observer import UNOBSERVED, Observer
from gateway.exchange.submission import Submission, Submitter, Validation
from gateway.exchange.submit import SubmitService
from gateway.model.header import Urgency
from gateway.model.message import Draft
from gateway.ports import SubmissionResult

BATCH: Final = 128
"""Larger batches gain little: one signature and one encapsulation are already spread over 128."""
BATCH_BYTES: Final = 4 << 20
"""A batch is sealed in one piece: more would keep the event loop, or a thread of it, for too long."""
CONCURRENT: Final = 3
"""While one batch is being committed the next is sealed, and their commits fall together; more gain nothing."""
WORTH_STARTING: Final = 64
"""Beside a batch under way another starts only when so many wait: each pays a signature and an encapsulation."""

LINGER_S: Final = 0.003
"""Under load only: when one batch is done and others wait already (docs/decisions/0004-speed.md)."""
RETRY_AFTER_MS: Final = 500
"""A full queue of 64 MiB drains in about so long."""

Answer = SubmissionResult | GatewayError


class _Call:
    """What one caller handed in together: one future for all, because each costs the event loop a turn."""

    def __init__(self, count: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: list[Answer | None] = [None] * count
        self._missing = count

    def answer(self, place: int, answer: Answer) -> None:
        """Keep an answer; the last one lets the caller go on."""
        self.answers[place] = answer
        self._missing -= 1
        if not self._missing and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Raise at the caller, whatever else is answered."""
        if not self.done.done():
            self.done.set_exception(error)


_Waiting = tuple[Submission, _Call, int]


class CoalescedSubmit:
    """The submit service as callers see it: same calls, shared batches.

    Args:
        max_queued_bytes: Bodies that may wait in memory. Beyond it callers are told to come back, except for U0.
    """

    def __init__(self, service: SubmitService, max_queued_bytes: int, observer: Observer = UNOBSERVED) -> None:
        self._observer = observer
        self._service = service
        self._max_queued_bytes = max_queued_bytes
        self._queued_bytes = 0
        self._queues: dict[Urgency, deque[_Waiting]] = {urgency: deque() for urgency in Urgency}
        self._queued = 0
        self._running: set[asyncio.Task[None]] = set()
        self._lingering: asyncio.TimerHandle | None = None

    async def submit(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Accept what may leave; see SubmitService.submit."""
        if not submissions:
            return []
        call = _Call(len(submissions))
        put_off: list[Submission] = []
        for place, submission in enumerate(submissions):
            draft = submission.draft
            if self._queued_bytes >= self._max_queued_bytes and draft.urgency is not Urgency.U0:
                call.answer(place, QuotaExceeded(RETRY_AFTER_MS))
                put_off.append(submission)
                continue
            self._queued += 1
            self._queued_bytes += len(draft.body_bytes)
            self._queues[draft.urgency].append((submission, call, place))
        if put_off:
            self._observer.submitted(0, put_off, [QuotaExceeded(RETRY_AFTER_MS)] * len(put_off))
        self._start()
        await call.done
        return [answer for answer in call.answers if answer is not None]

    async def validate(self, submitter: Submitter, draft: Draft) -> Validation:
        """Run every check and keep nothing; see SubmitService.validate."""
        return await self._service.validate(submitter, draft)

    async def examined(self, submitter: Submitter, draft: Draft) -> tuple[Draft, int]:
        """Run every check but policy; see SubmitService.examined."""
        return await self._service.examined(submitter, draft)

    def _start(self) -> None:
        while self._queued and len(self._running) < CONCURRENT:
            busy = self._running or self._lingering is not None
            if busy and self._queued < WORTH_STARTING and not self._queues[Urgency.U0]:
                return
            task = asyncio.create_task(self._run(self._next_batch()))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _next_batch(self) -> list[_Waiting]:
        """Take the most urgent out of the queue; one always, however large."""
        batch: list[_Waiting] = []
        size_bytes = 0
        for queue in self._queues.values():
            while queue and len(batch) < BATCH:
                body_bytes = len(queue[0][0].draft.body_bytes)
                if batch and size_bytes + body_bytes > BATCH_BYTES:
                    return batch
                batch.append(queue.popleft())
                size_bytes += body_bytes
                self._queued -= 1
                self._queued_bytes -= body_bytes
        return batch

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._queued and not self._running and self._lingering is None:
            # Those just answered come back at once with their next call: a batch with them in it costs hardly more.
            self._lingering = asyncio.get_running_loop().call_later(LINGER_S, self._lingered)
        self._start()

    def _lingered(self) -> None:
        self._lingering = None
        self._start()

    async def _run(self, batch: list[_Waiting]) -> None:
        try:
            answers = await self._service.submit([submission for submission, _, _ in batch])
        except GatewayError as error:
            answers = [error] * len(batch)
            self._observer.submitted(0, [submission for submission, _, _ in batch], answers)
        except BaseException as error:
            # A bug must reach every caller, and the guard at the edge turns it into INTERNAL.
            for _, call, _ in batch:
                call.fail(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, call, place), answer in zip(batch, answers, strict=True):
            call.answer(place, answer)
