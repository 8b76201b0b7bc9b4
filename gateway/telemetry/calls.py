"""What is counted and drawn of each call; made and told by gateway.rpc.guard."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry.trace import Span

from gateway.model.header import Urgency
from gateway.telemetry import catalogue
from gateway.telemetry.current import TRACE
from gateway.telemetry.meters import Meters
from gateway.telemetry.reasons import known_reason
from gateway.telemetry.tracing import Tracing

SUBMITTING: Final = frozenset(
    {"concord.v1.ExchangeService.SubmitMessage", "concord.v1.AdminService.SubmitLocal"}
)  # fmt: skip
"""Calls that begin a trace. Streams of submissions begin one for each frame, see Calls.frame."""
STREAM: Final = "concord.v1.ExchangeService.SubmitMessages"
_PARENT: Final[ContextVar[str]] = ContextVar("concord_traceparent", default="")
"""The traceparent with which a stream of submissions was opened."""


class WatchedCall:
    """One call while it runs. This one is not watched."""

    __slots__ = ()

    def admitted(self, metadata: Callable[[], Any]) -> None:
        """The caller is one of our own side and may call the method; it may ask for a trace."""

    def turned_away(self, reason: str) -> None:
        """The caller was refused at the door."""

    def refused(self, reason: str) -> None:
        """The call ends with an error."""

    def ended(self, code: str) -> None:
        """The call is over."""


class _Watched(WatchedCall):
    __slots__ = ("_began_s", "_calls", "_listener", "_method", "_span")

    def __init__(self, calls: "Calls", listener: str, method: str) -> None:
        self._calls = calls
        self._listener = listener
        self._method = method
        self._span: Span | None = None
        self._began_s = time.perf_counter()

    def admitted(self, metadata: Callable[[], Any]) -> None:
        tracing = self._calls.tracing
        if tracing is None or (self._method not in SUBMITTING and self._method != STREAM):
            return
        traceparent = next((value for key, value in metadata() or () if key == "traceparent"), None)
        if self._method == STREAM:
            if isinstance(traceparent, str):
                _PARENT.set(traceparent)
            return
        sampled = tracing.call(self._method, traceparent)
        if sampled is not None:
            # Each call is handled in a task of its own, so nobody else sees it and it need not be taken back.
            self._span, trace = sampled
            TRACE.set(trace)

    def turned_away(self, reason: str) -> None:
        if self._calls.meters is not None:
            self._calls.meters.add(catalogue.REFUSED_CALLERS, 1, self._listener, reason)

    def refused(self, reason: str) -> None:
        if self._calls.meters is not None:
            self._calls.meters.add(catalogue.REFUSED_CALLS, 1, self._listener, self._method, reason)
        if self._span is not None:
            self._span.set_attribute("concord.reason", reason)

    def ended(self, code: str) -> None:
        if self._calls.meters is not None:
            lasted_s = time.perf_counter() - self._began_s
            self._calls.meters.record(catalogue.CALLS, lasted_s, self._listener, self._method, code)
        if self._span is not None and self._calls.tracing is not None:
            self._span.end(self._calls.tracing.now_ns())


_NOT_WATCHED: Final = WatchedCall()


class Calls:
    """Watches calls, when anything is to be counted or drawn."""

    def __init__(self, meters: Meters | None = None, tracing: Tracing | None = None) -> None:
        self.meters = meters
        self.tracing = tracing
        self._watching = meters is not None or tracing is not None

    def begin(self, listener: str, method: str) -> WatchedCall:
        """Begin to watch a call."""
        return _Watched(self, listener, method) if self._watching else _NOT_WATCHED

    def unreadable(self, urgency: int, reason: str) -> None:
        """Count a draft that was refused before it became one: nobody further in hears of it."""
        if self.meters is not None:
            name = Urgency(urgency).name if urgency in set(Urgency) else ""
            self.meters.add(catalogue.SUBMISSIONS, 1, "refused", known_reason(reason), name)

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Draw one frame of a stream of submissions like a call, when it is sampled."""
        sampled = None if self.tracing is None else self.tracing.call(STREAM, _PARENT.get() or None)
        if sampled is None or self.tracing is None:
            yield
            return
        span, trace = sampled
        token = TRACE.set(trace)
        try:
            yield
        finally:
            TRACE.reset(token)
            span.end(self.tracing.now_ns())


UNWATCHED: Final = Calls()
