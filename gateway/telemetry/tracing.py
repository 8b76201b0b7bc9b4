"""Traces that join across gateways: which calls are sampled, and the spans drawn of them.

Who decides: our own systems, by the sampled flag of their `traceparent`, else chance; both within a bounded rate. A
partner's context says only into which trace our part is drawn, and no partner gets more drawn than its own rate.
What is not sampled makes no object and sets no variable. Contexts of queued messages are in memory only: after a
restart, or when more than MAX_FOLLOWED wait, the rest of a trace is missing and nothing else.
"""

import random
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, set_span_in_context

from gateway.clock import Clock
from gateway.errors import QuotaExceeded
from gateway.exchange.quota import Quota
from gateway.ids import MessageId, PartnerId
from gateway.model.header import Urgency
from gateway.telemetry import catalogue
from gateway.telemetry.context import parse_traceparent, read_context, to_context

OWN_PER_S: Final = 50
"""Sampled calls of our own side; a batch of spans a second is what one exporter carries without losing any."""
MAX_FOLLOWED: Final = 4096
MAX_CONTEXTS: Final = 16
"""Different traces drawn of one frame."""


class Tracing:
    """Samples and draws.

    Args:
        ratio: Share of our own calls without a `traceparent` that are sampled.
        partner_per_s: Traces a second that one partner may have drawn here.
    """

    def __init__(
        self, processors: Sequence[SpanProcessor], resource: Resource, clock: Clock, *, ratio: float, partner_per_s: int
    ) -> None:
        # Every span that is made is wanted: whether there is one is decided here, before anything is made.
        self.provider = TracerProvider(
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attributes=16, max_events=0, max_links=0),
        )
        for processor in processors:
            self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("concord")
        self._clock = clock
        self._ratio = ratio
        self._own = Quota(OWN_PER_S, 2 * OWN_PER_S)
        self._partners = Quota(partner_per_s, 2 * partner_per_s) if partner_per_s else None
        self._followed: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()
        """Trace context and commit by message id."""
        self._offset_ns = clock.now_ms() * 1_000_000 - time.perf_counter_ns()

    def now_ns(self) -> int:
        """Return the instant as spans have it, finer than the clock's milliseconds."""
        return time.perf_counter_ns() + self._offset_ns

    # --- our own calls ---------------------------------------------------------------------------------------------

    def call(self, method: str, traceparent: object) -> tuple[Span, bytes] | None:
        """Return the span of a call and its context when the call is sampled."""
        parsed = parse_traceparent(traceparent)
        wanted = parsed[1] if parsed is not None else self._ratio > 0 and random.random() < self._ratio  # noqa: S311 no secret
        if not wanted or not _has(self._own, "own", self._clock.now_ms()):
            return None
        span = self._start(
            catalogue.CALL_SPAN,
            parsed[0] if parsed is not None else b"",
            SpanKind.SERVER,
            {"rpc.system": "grpc", "rpc.method": method},
        )
        context = span.get_span_context()
        return span, to_context(context.trace_id, context.span_id)

    def committed(self, began_ns: int, traces: Mapping[bytes, int]) -> None:
        """Draw the batch for each trace that has drafts in it."""
        for trace, count in traces.items():
            self._draw(catalogue.COMMIT_SPAN, trace, began_ns, {"concord.count": count})

    def follow(self, message_id: MessageId, trace: bytes) -> None:
        """Remember the trace of a message that will be sent."""
        self._followed[message_id.raw] = (trace, self.now_ns())
        if len(self._followed) > MAX_FOLLOWED:
            self._followed.popitem(last=False)

    def contexts(self, message_ids: Sequence[MessageId]) -> tuple[bytes, ...]:
        """Return the contexts of what is about to be sent; nothing when none of it is followed."""
        if not self._followed:
            return ()
        found = tuple(self._followed.get(item.raw, (b"", 0))[0] for item in message_ids)
        return found if any(found) else ()

    def delivered(self, partner: PartnerId, answers: Sequence[tuple[MessageId, Urgency, str, str]]) -> None:
        """Draw what was answered: message, urgency, outcome and reason."""
        if not self._followed:
            return
        drawn: Counter[tuple[bytes, int, str, str, str]] = Counter()
        for message_id, urgency, outcome, reason in answers:
            followed = self._followed.get(message_id.raw)
            if followed is not None:
                drawn[(*followed, urgency.name, outcome, reason)] += 1
        for (trace, began_ns, urgency_name, outcome, reason), count in drawn.items():
            attributes: dict[str, str | int] = {
                "concord.partner": partner.code,
                "concord.urgency": urgency_name,
                "concord.outcome": outcome,
                "concord.reason": reason,
                "concord.count": count,
            }
            self._draw(catalogue.DELIVER_SPAN, trace, began_ns, attributes, SpanKind.PRODUCER)

    # --- partners' frames ------------------------------------------------------------------------------------------

    def taken_in(self, began_ns: int, partner: PartnerId, contexts: Sequence[bytes]) -> None:
        """Draw a partner's frame into the traces it names, as far as its rate goes."""
        if self._partners is None:
            return
        named = Counter(filter(None, map(read_context, contexts)))
        for trace, count in named.most_common(MAX_CONTEXTS):
            if not _has(self._partners, partner.code, self._clock.now_ms()):
                return
            attributes: dict[str, str | int] = {"concord.partner": partner.code, "concord.count": count}
            self._draw(catalogue.TAKE_IN_SPAN, trace, began_ns, attributes, SpanKind.CONSUMER)

    # --- spans -----------------------------------------------------------------------------------------------------

    def _draw(
        self,
        name: str,
        trace: bytes,
        began_ns: int,
        attributes: Mapping[str, str | int],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self._start(name, trace, kind, attributes, began_ns).end(self.now_ns())

    def _start(
        self, name: str, trace: bytes, kind: SpanKind, attributes: Mapping[str, str | int], began_ns: int | None = None
    ) -> Span:
        allowed = catalogue.SPANS[name][0]
        return self._tracer.start_span(
            name,
            context=_parent(trace),
            kind=kind,
            attributes={key: value for key, value in attributes.items() if key in allowed},
            start_time=self.now_ns() if began_ns is None else began_ns,
        )


def _parent(trace: bytes) -> Context:
    if not trace:
        return Context()
    context = SpanContext(
        trace_id=int.from_bytes(trace[:16], "big"),
        span_id=int.from_bytes(trace[16:24], "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def _has(quota: Quota, whose: str, now_ms: int) -> bool:
    try:
        quota.take(whose, Urgency.U3, now_ms)
    except QuotaExceeded:
        return False
    return True
