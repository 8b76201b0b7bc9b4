"""Sending metrics and traces to an OTLP collector.

Sending is done by threads of the SDK with bounded queues: what a collector does not take is dropped, and the gateway
neither waits nor notices. OTLP goes over gRPC, which is here anyway; OTLP over HTTP would bring another HTTP client.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

if TYPE_CHECKING:
    import grpc
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import SpanProcessor

log = structlog.get_logger(__name__)

Headers = tuple[tuple[str, str], ...]

EXPORT_EVERY_MS: Final = 15_000
SEND_TIMEOUT_S: Final = 5
SPAN_QUEUE: Final = 4096
SPAN_BATCH: Final = 512
SPAN_EVERY_MS: Final = 2_000
CLOSE_S: Final = 3.0
"""How long a stop waits for the last spans. A collector that is away must not hold the gateway."""
TELL_EVERY_S: Final = 60.0


def otlp_metrics(endpoint: str, headers: Headers, roots: bytes | None) -> "MetricReader":
    """Return what sends metrics to a collector."""
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - only then

    from gateway.telemetry.bulk import SendingReader  # noqa: PLC0415

    exporter = OTLPMetricExporter(
        endpoint=endpoint,
        insecure=_insecure(endpoint),
        credentials=_credentials(endpoint, roots),
        headers=headers,
        timeout=SEND_TIMEOUT_S,
    )
    return SendingReader(exporter, EXPORT_EVERY_MS, export_timeout_millis=SEND_TIMEOUT_S * 1000)


def otlp_spans(endpoint: str, headers: Headers, roots: bytes | None) -> "SpanProcessor":
    """Return what sends spans to a collector."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only then
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    exporter = OTLPSpanExporter(
        endpoint=endpoint,
        insecure=_insecure(endpoint),
        credentials=_credentials(endpoint, roots),
        headers=headers,
        timeout=SEND_TIMEOUT_S,
    )
    return BatchSpanProcessor(
        exporter,
        max_queue_size=SPAN_QUEUE,
        max_export_batch_size=SPAN_BATCH,
        schedule_delay_millis=SPAN_EVERY_MS,
        export_timeout_millis=SEND_TIMEOUT_S * 1000,
    )


def _credentials(endpoint: str, roots: bytes | None) -> "grpc.ChannelCredentials | None":
    """Return what a collector must show; never left to the SDK, which would read it from its own variables."""
    if _insecure(endpoint):
        return None
    import grpc  # noqa: PLC0415 - only then

    return grpc.ssl_channel_credentials(root_certificates=roots)


def _insecure(endpoint: str) -> bool:
    return urlsplit(endpoint).scheme == "http"


class _Complaints(logging.Handler):
    """Turns what the SDK says into a line a minute, without its words: they may quote what was to be sent."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next_s = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Say that something is not sent, now and then."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + TELL_EVERY_S
            log.warning("telemetry.not_sent", step=record.name.removeprefix("opentelemetry."))


def quiet_sdk() -> None:
    """Let the SDK's own log go to ours."""
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [_Complaints()]
    logger.propagate = False


async def close_in_time(*steps: Callable[[], object]) -> None:
    """Call each in a thread that nobody waits for longer than CLOSE_S."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def run() -> None:
        for step in steps:
            with contextlib.suppress(Exception):
                step()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="telemetry-close", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), CLOSE_S)
