"""Counts, as OpenTelemetry instruments made from the catalogue, and the snapshot that gauges are read from.

Readers collect in threads of their own, so gauges give what the event loop has put into the snapshot last; a gauge of
which nothing is known is absent instead of wrong.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource

from gateway.clock import Clock
from gateway.telemetry import catalogue
from gateway.telemetry.bulk import BulkHistogram, PageReader, SendingReader
from gateway.telemetry.catalogue import Form, Metric

SCOPE: Final = "concord"
Values = Sequence[tuple[Mapping[str, str], float]]
"""Label values and what is measured."""


class Meters:
    """All instruments of a gateway."""

    def __init__(self, readers: Sequence[MetricReader], resource: Resource, clock: Clock) -> None:
        # Exemplars would look for a span at every count.
        self.provider = MeterProvider(
            readers, resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        meter = self.provider.get_meter(SCOPE)
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Callable[[], Values]] = {}
        self.delivery = BulkHistogram(catalogue.DELIVERY, clock)
        for reader in readers:
            if isinstance(reader, PageReader | SendingReader):
                reader.histograms = (self.delivery,)
        for metric in catalogue.METRICS:
            if metric is catalogue.DELIVERY:
                continue
            match metric.form:
                case Form.COUNTER:
                    self._counters[metric.name] = meter.create_counter(metric.name, metric.unit, metric.text)
                case Form.HISTOGRAM:
                    self._histograms[metric.name] = meter.create_histogram(
                        metric.name, metric.unit, metric.text, explicit_bucket_boundaries_advisory=metric.buckets
                    )
                case Form.GAUGE:
                    meter.create_observable_gauge(metric.name, [self._reads(metric)], metric.unit, metric.text)

    def add(self, metric: Metric, count: int, *values: str) -> None:
        """Count; values are those of the metric's labels, in their order."""
        self._counters[metric.name].add(count, _labelled(metric, values))

    def record(self, metric: Metric, value: float, *values: str) -> None:
        """Put a value into a histogram; values are those of the metric's labels, in their order."""
        self._histograms[metric.name].record(value, _labelled(metric, values))

    def committed(self, operations: int, seconds: float) -> None:
        """Count one commit of the store; from any thread."""
        self.record(catalogue.COMMIT, seconds)
        self.record(catalogue.COMMIT_GROUP, operations)

    def watch(self, metric: Metric, read: Callable[[], Values]) -> None:
        """Say where a gauge's values come from. Read is called in a reader's thread and must not wait."""
        self._gauges[metric.name] = read

    def _reads(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            values = self._gauges.get(metric.name)
            if values is None:
                return ()
            return [
                Observation(value, {name: labels[name] for name in metric.labels if name in labels})
                for labels, value in values()
            ]

        return read


def _labelled(metric: Metric, values: Sequence[str]) -> dict[str, Any]:
    return dict(zip(metric.labels, values, strict=True))
