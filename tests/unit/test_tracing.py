"""Whose wish draws what: contexts are claims, rates are bounded, and what is not sampled leaves no trace at all."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.exchange.observer import UNOBSERVED
from gateway.ids import MessageId, PartnerId
from gateway.model.header import Urgency
from gateway.telemetry.calls import SUBMITTING, UNWATCHED, Calls
from gateway.telemetry.context import parse_traceparent, read_context, to_context
from gateway.telemetry.current import TRACE
from gateway.telemetry.service import Telemetry, TelemetrySettings
from gateway.telemetry.tracing import MAX_CONTEXTS, MAX_FOLLOWED, OWN_PER_S, Tracing

TH = PartnerId("th")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SUBMIT = next(iter(SUBMITTING))


class StillClock:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.ms


def tracing(*, ratio: float = 0.0, partner_per_s: int = 10):
    spans, clock = InMemorySpanExporter(), StillClock()
    made = Tracing([SimpleSpanProcessor(spans)], Resource({}), clock, ratio=ratio, partner_per_s=partner_per_s)
    return made, spans, clock


def context(number: int) -> bytes:
    return to_context(number + 1, number + 1)


@pytest.mark.parametrize(
    "text",
    [
        "", "00", TRACEPARENT.upper(), TRACEPARENT + "-more", TRACEPARENT[:-1], " " + TRACEPARENT, TRACEPARENT + "\n",
        "ff" + TRACEPARENT[2:], "00-" + "0" * 32 + "-00f067aa0ba902b7-01", TRACEPARENT[:36] + "0" * 16 + "-01",
        "x" * 100_000, "01" + TRACEPARENT[2:] + "-" + "x" * 200, TRACEPARENT.replace("4", "\u0664"), None, 7, b"00",
    ],
)  # fmt: skip
def test_a_broken_traceparent_is_none(text):
    assert parse_traceparent(text) is None


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (TRACEPARENT, True), (TRACEPARENT[:-2] + "00", False), (TRACEPARENT[:-2] + "ff", True),
        ("cc" + TRACEPARENT[2:] + "-later", True),
    ],
)  # fmt: skip
def test_a_traceparent_says_trace_parent_and_whether_it_is_sampled(text, sampled):
    data, found = parse_traceparent(text)
    assert found is sampled
    assert (data[:16].hex(), data[16:24].hex()) == (TRACEPARENT[3:35], TRACEPARENT[36:52])


@given(st.binary(max_size=64) | st.binary(min_size=25, max_size=25))
def test_bytes_of_a_partner_are_a_context_or_nothing(data):
    found = read_context(data)
    assert found == b"" or (len(found) == len(data) == 25 and found[:24] == data[:24] and found[24] == 1)


def test_contexts_survive_the_way_and_zeros_and_unsampled_ones_do_not():
    assert read_context(context(7)) == context(7)
    for bad in (bytes(25), bytes(16) + b"s" * 8 + b"\1", b"t" * 16 + bytes(8) + b"\1", context(7)[:24] + b"\0"):
        assert read_context(bad) == b""


def test_our_own_callers_decide_and_chance_only_for_those_who_do_not_say():
    never, spans, _ = tracing(ratio=0.0)
    always, _, _ = tracing(ratio=1.0)
    assert never.call(SUBMIT, None) is None
    assert never.call(SUBMIT, "broken") is None
    assert always.call(SUBMIT, TRACEPARENT[:-2] + "00") is None
    assert always.call(SUBMIT, "broken") is not None
    span, trace = never.call(SUBMIT, TRACEPARENT)
    assert trace[:16].hex() == TRACEPARENT[3:35]
    span.end()
    (drawn,) = spans.get_finished_spans()
    assert f"{drawn.parent.span_id:016x}" == TRACEPARENT[36:52]


def test_even_our_own_callers_have_a_bounded_rate():
    made, _, clock = tracing()
    assert sum(made.call(SUBMIT, TRACEPARENT) is not None for _ in range(1000)) == 2 * OWN_PER_S
    clock.ms += 1000
    assert sum(made.call(SUBMIT, TRACEPARENT) is not None for _ in range(1000)) == OWN_PER_S


def test_a_partner_gets_no_more_drawn_than_its_rate_and_takes_none_from_others():
    made, spans, clock = tracing(partner_per_s=5)
    for frame in range(100):
        made.taken_in(made.now_ns(), TH, [context(frame * 256 + number) for number in range(256)])
    assert len(spans.get_finished_spans()) == 10
    made.taken_in(made.now_ns(), PartnerId("vn"), [context(1)])
    assert len(spans.get_finished_spans()) == 11
    clock.ms += 60_000
    made.taken_in(made.now_ns(), TH, [context(number) for number in range(256)])
    assert len(spans.get_finished_spans()) <= 11 + min(10, MAX_CONTEXTS)


def test_a_frame_is_drawn_once_for_each_trace_and_junk_is_not_drawn():
    made, spans, _ = tracing()
    made.taken_in(made.now_ns(), TH, [context(1), b"", context(2), context(1), os.urandom(24), b"x" * 4096, bytes(25)])
    drawn = {span.context.trace_id: dict(span.attributes) for span in spans.get_finished_spans()}
    assert drawn == {
        2: {"concord.partner": "th", "concord.count": 2}, 3: {"concord.partner": "th", "concord.count": 1},
    }  # fmt: skip


def test_a_rate_of_none_draws_nothing_for_partners():
    made, spans, _ = tracing(partner_per_s=0)
    made.taken_in(made.now_ns(), TH, [context(1)])
    assert spans.get_finished_spans() == ()


def test_what_is_followed_is_bounded_and_what_is_not_costs_no_tuple():
    made, spans, clock = tracing()
    ids = [MessageId.new(clock.ms) for _ in range(MAX_FOLLOWED + 10)]
    assert made.contexts(ids[:2]) == ()
    for number, message_id in enumerate(ids):
        made.follow(message_id, context(number))
    assert made.contexts(ids[:10]) == ()
    assert made.contexts([ids[0], ids[10]]) == (b"", context(10))
    made.delivered(TH, [(item, Urgency.U1, "received", "") for item in ids[:11]])
    (drawn,) = spans.get_finished_spans()
    assert (drawn.context.trace_id, drawn.attributes["concord.urgency"]) == (11, "U1")


def test_only_attributes_of_the_list_are_drawn():
    made, spans, _ = tracing()
    made._draw("concord.commit", context(1), made.now_ns(), {"concord.count": 1, "headline": "secret"})
    assert dict(spans.get_finished_spans()[0].attributes) == {"concord.count": 1}


def test_a_frame_of_a_stream_is_a_call_of_its_own_and_leaves_nothing_behind():
    made, spans, _ = tracing(ratio=1.0)
    calls = Calls(None, made)
    with calls.frame():
        first = TRACE.get()
    with calls.frame():
        assert TRACE.get() not in {b"", first}
    assert TRACE.get() == b""
    assert len(spans.get_finished_spans()) == 2


def test_by_default_nothing_is_made():
    telemetry = Telemetry(TelemetrySettings(partner="th", mode="test", version="1"), StillClock())
    assert (telemetry.observer, telemetry.calls, telemetry.state()) == (UNOBSERVED, UNWATCHED, ())
    assert telemetry.calls.begin("exchange", SUBMIT) is telemetry.calls.begin("federation", SUBMIT)
    with telemetry.calls.frame():
        assert TRACE.get() == b""
