"""The page of telemetry, and the rules that its names keep."""

import re

from gateway.telemetry import catalogue
from gateway.telemetry.catalogue import Form
from tests.rules.tree import ROOT
from tools.telemetry_reference import text

LABELS = {
    "partner", "urgency", "outcome", "reason", "direction", "state", "listener", "method", "code", "purpose",
}  # fmt: skip
"""Each has few values, all of them ours. A new one must be one of those, too: no ids, no names, no texts."""


def test_page_is_fresh():
    # When this fails: python tools/telemetry_reference.py docs/reference/telemetry.md
    assert (ROOT / "docs/reference/telemetry.md").read_text(encoding="utf-8") == text()


def test_metrics_have_names_units_and_labels_as_agreed():
    names = [metric.name for metric in catalogue.METRICS]
    assert len(names) == len(set(names))
    for metric in catalogue.METRICS:
        assert re.fullmatch(r"(concord|process)(\.[a-z_]+)+", metric.name)
        assert set(metric.labels) <= LABELS, metric
        assert metric.unit in {"s", "By", "1"} or re.fullmatch(r"\{[a-z]+\}", metric.unit)
        assert bool(metric.buckets) is (metric.form is Form.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_buckets_of_delivery_hold_every_target():
    assert set(catalogue.RECEIPT_TARGET_S.values()) <= set(catalogue.DELIVERY.buckets)
