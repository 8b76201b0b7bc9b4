"""The decisions of a client, without IO: when to call again, what of a stream is still unanswered, where watching is.

Two shells act on them, gateway.client.blocking and gateway.client.aio, so that both behave alike.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import message_pb2

from gateway.client.errors import FieldViolation, NotUnderstood, Told, Unreachable, keep, make_error, told
from gateway.client.values import Accepted, Submitted, Watched, accepted_of, new_request_id
from gateway.errors import GatewayError, MessageTooLarge, QuotaExceeded

FRAME_REQUESTS: Final = 32
"""As many as the gateway coalesces well; exchange_service.proto allows 256."""
FRAME_BYTES: Final = 3_500_000
"""Below the 4 MiB of a frame (gateway.rpc.methods.FRAME_BYTES) with room for what frames add."""
WINDOW_FRAMES: Final = 8
"""Frames on their way at once: the gateway works on as many of one stream."""
MAX_DRAFT_BYTES: Final = 2_100_000
"""gateway.rpc.methods.DRAFT_BYTES. One that is larger would end the stream for those after it."""
Handed = message_pb2.Draft | tuple[str, message_pb2.Draft]
"""A draft, alone or with the request_id that its owner keeps with it."""
_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a call that may be repeated is repeated."""

    attempts: int = 5
    """Of one call, the first included."""
    first_ms: int = 100
    most_ms: int = 5_000
    longest_wait_ms: int = 60_000
    """A gateway that asks for more patience than this is reported instead of waited for."""

    def delay_ms(self, failures: int, error: GatewayError, draw: Callable[[], float] = random.random) -> int | None:
        """Return how long to wait before the next try; None when there is none.

        Only what is nobody's fault is tried again: a refusal would be refused again, and a defect is for people.

        Args:
            failures: Tries that failed in a row, this one included.
            error: Of the last.
            draw: A number from 0 to 1, so that clients of one failed gateway do not come back in one moment.
        """
        if not error.retryable or failures >= self.attempts:
            return None
        return self.wait_ms(failures, error, draw)

    def wait_ms(self, failures: int, error: GatewayError, draw: Callable[[], float] = random.random) -> int | None:
        """Return the wait before the next try, however many there were; None when the gateway asks for too long."""
        asked_ms = told(error).retry_after_ms
        if asked_ms is None and isinstance(error, QuotaExceeded):
            asked_ms = error.retry_after_ms
        if asked_ms is not None and asked_ms > self.longest_wait_ms:
            return None
        ceiling_ms = min(self.most_ms, self.first_ms << min(max(failures, 1) - 1, _DOUBLINGS))
        jittered_ms = int(ceiling_ms * (0.5 + draw() / 2))
        return (asked_ms or 0) + jittered_ms


@dataclass(slots=True)
class _Pending:
    index: int
    request: pb.SubmitMessageRequest
    failures: int = 0


@dataclass(slots=True)
class SubmitWindow:
    """Drafts of a stream that are not answered yet, and their answers in the order of the drafts.

    A draft keeps its request_id through every try, so that a line which breaks between a commit and its answer costs
    a repeated answer and never a second message.
    """

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    draw: Callable[[], float] = random.random
    _made: int = 0
    _next: int = 0
    _unsent: deque[_Pending] = field(default_factory=deque)
    _sent: dict[str, _Pending] = field(default_factory=dict)
    _answered: dict[int, Submitted] = field(default_factory=dict)
    _failures: int = 0
    wait_ms: int = 0
    """What the gateway asked for before the next frame."""

    @property
    def has_room(self) -> bool:
        """Whether another draft may be taken in. Answers that wait for an earlier one count too: memory is bounded."""
        return self._made - self._next < FRAME_REQUESTS * WINDOW_FRAMES

    @property
    def awaits(self) -> bool:
        """Whether answers are due."""
        return bool(self._sent)

    @property
    def unsent(self) -> int:
        """Drafts to be sent, for the first time or again."""
        return len(self._unsent)

    def add(self, item: Handed) -> None:
        """Take a draft in."""
        request_id, draft = item if isinstance(item, tuple) else (new_request_id(), item)
        index, self._made = self._made, self._made + 1
        request = pb.SubmitMessageRequest(request_id=request_id, draft=draft)
        if (size := request.ByteSize()) > MAX_DRAFT_BYTES:
            error = MessageTooLarge("the draft", size, MAX_DRAFT_BYTES)
            self._answered[index] = Submitted(index=index, request_id=request_id, error=error)
        else:
            self._unsent.append(_Pending(index, request))

    def frame(self) -> pb.SubmitMessagesRequest | None:
        """Return the next frame to send; None when nothing is left to send."""
        frame, size = pb.SubmitMessagesRequest(), 0
        later: list[_Pending] = []
        while self._unsent and len(frame.requests) < FRAME_REQUESTS:
            item = self._unsent[0]
            size += item.request.ByteSize() + 8
            if frame.requests and size > FRAME_BYTES:
                break
            self._unsent.popleft()
            if item.request.request_id in self._sent:
                # The caller gave an id twice: the answers could not be told apart, so one waits for the other.
                later.append(item)
                continue
            frame.requests.append(item.request)
            self._sent[item.request.request_id] = item
        self._unsent.extendleft(reversed(later))
        return frame if frame.requests else None

    def answer(self, response: pb.SubmitMessagesResponse) -> None:
        """Take answers; those to nothing that was asked are ignored."""
        for result in response.results:
            item = self._sent.pop(result.request_id, None)
            if item is None:
                continue
            self._failures = 0
            if result.HasField("accepted"):
                accepted = accepted_of(result.request_id, result.accepted)
                self._settle(item, accepted=accepted)
                continue
            error = error_of_detail(result.error)
            item.failures += 1
            delay_ms = self.policy.delay_ms(item.failures, error, self.draw)
            if delay_ms is None:
                self._settle(item, error=error)
            else:
                self.wait_ms = max(self.wait_ms, delay_ms)
                self._unsent.append(item)

    def _settle(self, item: _Pending, accepted: Accepted | None = None, error: GatewayError | None = None) -> None:
        request_id = item.request.request_id
        self._answered[item.index] = Submitted(index=item.index, request_id=request_id, accepted=accepted, error=error)

    def broke(self, error: GatewayError | None) -> int:
        """Note that the stream ended, with an error or at its age; return how long to wait before the next, in ms.

        Raises:
            GatewayError: The one given, when it is a refusal or has come too often without progress.
        """
        self._unsent = deque(sorted((*self._sent.values(), *self._unsent), key=lambda item: item.index))
        self._sent.clear()
        self._failures += 1
        if error is None:
            # Streams end at their age; one that always ends without an answer is no stream.
            error = Unreachable("the gateway ended the stream")
        delay_ms = self.policy.delay_ms(self._failures, error, self.draw)
        if delay_ms is None:
            raise error
        return delay_ms

    def take_wait_ms(self) -> int:
        """Return what is to be waited now, once."""
        wait_ms, self.wait_ms = self.wait_ms, 0
        return wait_ms

    def results(self) -> Iterator[Submitted]:
        """Yield what can be told in order."""
        while (found := self._answered.pop(self._next, None)) is not None:
            self._next += 1
            yield found


def error_of_detail(detail: pb.ErrorDetail) -> GatewayError:
    """Return the typed error of an answer inside a stream."""
    violations = (FieldViolation(field=detail.field, problem=detail.message),) if detail.field else ()
    said = Told(text=detail.message, field_violations=violations, rule_ids=tuple(detail.rule_ids))
    known = make_error(detail.reason, said)
    return known or keep(NotUnderstood(f"unknown reason '{detail.reason[:64]}'"), said)


@dataclass(slots=True)
class WatchPosition:
    """Where watching is, over every stream that was needed for it."""

    cursor: str = ""
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    draw: Callable[[], float] = random.random
    _failures: int = 0

    def request(self) -> pb.WatchMessagesRequest:
        """Return the request that goes on from here."""
        return pb.WatchMessagesRequest(since_cursor=self.cursor)

    def take(self, response: pb.WatchMessagesResponse) -> Iterator[Watched]:
        """Yield the events of an answer; one that ends where we already are is a repeat and yields nothing."""
        self._failures = 0
        if response.cursor == self.cursor:
            return
        before, last = self.cursor, len(response.events) - 1
        # At once: events without any for us move on too, and a line that breaks now must not bring these again.
        self.cursor = response.cursor
        for number, event in enumerate(response.events):
            yield Watched(event=event, cursor=response.cursor if number == last else before)

    def broke(self, error: GatewayError | None, *, by_age: bool = False) -> int:
        """Note that a stream ended; return how long to wait before the next, in ms. Watching never gives up by itself.

        Args:
            error: Why; None at the stream's age.
            by_age: Our own limit on a stream's age was reached.

        Raises:
            GatewayError: The one given, when it is a refusal, CURSOR_EXPIRED among them.
        """
        if error is None or by_age:
            # Still a little wait: a gateway that ends every stream at once must not be called without pause.
            return self.policy.first_ms
        self._failures += 1
        delay_ms = self.policy.wait_ms(self._failures, error, self.draw) if error.retryable else None
        if delay_ms is None:
            raise error
        return delay_ms
