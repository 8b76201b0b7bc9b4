"""Structured logs with an allow-list of attributes: what is not on the list does not leave the process.

A log line is a copy for operators, never the record, and never carries content of a message or data about a person.
"""

import contextlib
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO, cast

import structlog

from gateway.telemetry.context import ids_of
from gateway.telemetry.current import current_trace

ALLOWED: Final = frozenset(
    {
        "event", "level", "timestamp", "logger",
        "partner", "reason", "retry_ms", "epoch", "worker", "method", "caller", "incident_id", "error_type", "frames",
        "message_id", "envelope_id", "kind", "mode", "urgency", "bytes", "count", "endpoint", "fingerprint", "step",
        "sequence", "store", "version", "duration_ms", "peer", "listener", "path", "signal", "attempt",
        "request_id", "trace_id", "span_id", "code", "connector", "pause_s", "why",
    }
)  # fmt: skip


def allow_listed(_: Any, __: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Drop every attribute that is not on the list, and say which, so that a forgotten one is noticed."""
    dropped = sorted(set(fields) - ALLOWED)
    kept: dict[str, Any] = {name: _plain(value) for name, value in fields.items() if name in ALLOWED}
    if dropped:
        kept["dropped"] = dropped
    return kept


def _plain(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= 512 else text[:512] + "..."


class _LossyStream:
    """Where lines go. A line that cannot be written, to a full disk or to nobody, is lost, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure_logging(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Write one JSON object a line to the stream (default: standard error)."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _error_type,
            _trace,
            allow_listed,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _LossyStream(stream or sys.stderr))),
        cache_logger_on_first_use=False,
    )


def _trace(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the trace, when the call that is being handled is sampled."""
    trace = current_trace()
    if trace:
        fields["trace_id"], fields["span_id"] = ids_of(trace)
    return fields


def _error_type(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep of an exception its type and nowhere its text or its frames' values: they may hold content."""
    info = fields.pop("exc_info", None)
    if info:
        error = info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else sys.exc_info()[1]
        if error is not None:
            fields["error_type"] = type(error).__name__
            fields["frames"] = _frames(error)
    return fields


def _frames(error: BaseException) -> str:
    trail = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        trail.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno}:{code.co_name}")
        step = step.tb_next
    return " > ".join(trail[-8:])
