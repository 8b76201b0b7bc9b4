"""Counts by batch, labels that a partner cannot widen, gauges absent rather than wrong, senders that do not wait."""

import asyncio
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from gateway.errors import ConfigInvalid, PolicyDenied, QuotaExceeded, StoreUnavailable
from gateway.exchange.observer import Answered
from gateway.ids import MessageId, PartnerId
from gateway.installation.otlp_headers import MAX_BYTES, read_headers
from gateway.model.envelope import Outcome
from gateway.model.header import Urgency
from gateway.ports import SubmissionStatus
from gateway.telemetry import catalogue
from gateway.telemetry.meters import Meters
from gateway.telemetry.reasons import OTHER
from gateway.telemetry.scrape import ScrapePage
from gateway.telemetry.service import Telemetry, TelemetrySettings
from gateway.telemetry.watcher import Watcher
from gateway.workers import store_watch
from gateway.workers.store_watch import StoreWatch
from tests.fixtures.gateways import eventually, free_port
from tests.fixtures.promql import Series

TH = PartnerId("th")
NOW = 1_800_000_000_000
CLOCK = SimpleNamespace(now_ms=lambda: NOW)


@pytest.fixture
def metered():
    reader = InMemoryMetricReader()
    meters = Meters([reader], Resource({}), CLOCK)

    def read():
        data = reader.get_metrics_data()
        if data is None:
            return {}
        return {
            (metric.name, *(f"{key}={value}" for key, value in sorted(point.attributes.items()))): point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    return meters, read


def submission(urgency=Urgency.U2):
    return SimpleNamespace(draft=SimpleNamespace(urgency=urgency), trace=b"")


def test_a_batch_is_counted_by_outcome_reason_and_urgency(metered):
    meters, read = metered
    new, repeated = (SimpleNamespace(status=status) for status in (SubmissionStatus.NEW, SubmissionStatus.REPEATED))
    answers = [new, new, repeated, PolicyDenied(("r",), "no"), QuotaExceeded(5), new]
    Watcher(meters, None).submitted(0, [*[submission()] * 5, submission(Urgency.U0)], answers)
    assert {key[1:]: point.value for key, point in read().items()} == {
        ("outcome=accepted", "reason=", "urgency=U2"): 2,
        ("outcome=accepted", "reason=", "urgency=U0"): 1,
        ("outcome=repeated", "reason=", "urgency=U2"): 1,
        ("outcome=refused", "reason=POLICY_DENIED", "urgency=U2"): 1,
        ("outcome=refused", "reason=QUOTA_EXCEEDED", "urgency=U2"): 1,
    }


def test_a_partners_words_make_no_series(metered):
    meters, read = metered
    watcher = Watcher(meters, None)
    for number in range(500):
        watcher.taken_in(0, TH, (), {("deferred", f"WORD_{number}"): 1, ("refused", "SUITE_UNKNOWN"): 1})
    points = {key[1:]: point.value for key, point in read().items() if key[0] == "concord.received"}
    assert points == {
        ("outcome=deferred", "partner=th", f"reason={OTHER}"): 500,
        ("outcome=refused", "partner=th", "reason=SUITE_UNKNOWN"): 500,
    }


@pytest.mark.parametrize("urgency", list(Urgency))
def test_a_receipt_later_than_the_target_is_a_breach_and_one_in_time_is_none(metered, urgency):
    meters, read = metered
    watcher, target_ms = Watcher(meters, None), catalogue.RECEIPT_TARGET_S[urgency] * 1000
    for waited_ms, outcome in ((target_ms, Outcome.RECEIVED), (target_ms + 1, Outcome.RECEIVED), (-5, Outcome.REFUSED)):
        # Ids of one process rise even when the clock does not; these come of one each.
        raw = (NOW - waited_ms).to_bytes(6, "big") + b"\x70" * 10
        item = SimpleNamespace(urgency=urgency, message_id=MessageId(raw))
        watcher.settled(TH, [Answered(item, outcome, "")], NOW)
    assert read()["concord.clock.breaches", "partner=th", f"urgency={urgency.name}"].value == 1
    points = {point.attributes["outcome"]: point for point in meters.delivery.read().data.data_points}
    assert (points["received"].count, points["received"].sum) == (2, (2 * target_ms + 1) / 1000)
    assert (points["refused"].count, points["refused"].sum) == (1, 0)
    # A target is a bound: what came in time and what came late are in different buckets.
    at = catalogue.DELIVERY.buckets.index(target_ms / 1000)
    assert points["received"].bucket_counts[at : at + 2] == (1, 1)


def test_every_metric_has_the_name_and_labels_that_the_catalogue_says():
    page = ScrapePage("127.0.0.1:0")
    meters = Meters([page.reader], Resource({}), CLOCK)
    for metric in catalogue.METRICS:
        values = [f"v{place}" for place in range(len(metric.labels))]
        match metric.form:
            case catalogue.Form.COUNTER:
                meters.add(metric, 3, *values)
            case catalogue.Form.HISTOGRAM if metric is catalogue.DELIVERY:
                meters.delivery.record([0.3, 0.0, 1e6], *values)
            case catalogue.Form.HISTOGRAM:
                meters.record(metric, 0.3, *values)
            case catalogue.Form.GAUGE:
                labels = dict(zip(metric.labels, values, strict=True)) | {"headline": "secret"}
                meters.watch(metric, lambda labels=labels: [(labels, 3)])
    from prometheus_client import generate_latest

    first, second = (generate_latest(page._registry).decode() for _ in range(2))
    assert "secret" not in first
    series, again = Series.parse(first), Series.parse(second)
    for metric in catalogue.METRICS:
        name = metric.prometheus + ("_count" if metric.form is catalogue.Form.HISTOGRAM else "")
        ((labels, _),) = series[name]
        assert set(labels) == set(metric.labels), metric
        if metric.buckets:
            bounds = [float(have["le"]) for have, _ in series[f"{metric.prometheus}_bucket"]]
            assert bounds == [*metric.buckets, float("inf")]
    assert again.keys() == series.keys()
    with pytest.raises(ValueError, match="zip"):
        meters.add(catalogue.FRAMES, 1, "th")


def test_a_gauge_of_which_nothing_is_known_is_absent(metered):
    _, read = metered
    assert read() == {}


async def test_the_page_is_the_only_one_and_an_address_in_use_is_told():
    import aiohttp

    page = ScrapePage("127.0.0.1:0")
    Meters([page.reader], Resource({}), CLOCK)
    await page.start()
    taken = ScrapePage(f"127.0.0.1:{page.port}")
    with pytest.raises(ConfigInvalid, match=r"telemetry\.prometheus"):
        await taken.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{page.port}") as client:
        answers = [await client.get("/metrics"), await client.post("/metrics"), await client.get("/")]
        many = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
    assert [answer.status for answer in answers] == [200, 405, 404]
    assert {answer.status for answer in many} == {200}
    await page.stop()


async def test_a_collector_that_is_away_costs_nothing_and_holds_up_no_stop(capsys):
    settings = TelemetrySettings(
        partner="th", mode="test", version="1", otlp=f"http://127.0.0.1:{free_port()}", trace_ratio=1.0,
        headers=(("x-token", "secret-of-the-collector"),),
    )  # fmt: skip
    assert "secret" not in repr(settings)
    telemetry = Telemetry(settings, CLOCK)
    await telemetry.start()
    trace = b"t" * 16 + b"s" * 8 + b"\1"
    for _ in range(20_000):
        telemetry.tracing.committed(telemetry.tracing.now_ns(), {trace: 1})
    # Nobody waits for it: the SDK alone would try for half a minute.
    async with asyncio.timeout(20):
        await telemetry.stop()
    told = capsys.readouterr()
    assert "secret" not in told.out + told.err


class FailingStore:
    def __init__(self) -> None:
        self.error = None
        self.hangs = False

    async def write(self, operation):
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


async def test_availability_follows_what_writes_do(monkeypatch):
    for name in ("EVERY_S", "WHILE_DOWN_S", "PATIENCE_S"):
        monkeypatch.setattr(store_watch, name, 0.01)
    store = FailingStore()
    watch = StoreWatch(store, TH, CLOCK)
    running = asyncio.create_task(watch.run())
    for setting in ("error", "hangs"):
        changed = asyncio.create_task(watch.changed())
        setattr(store, setting, StoreUnavailable("full") if setting == "error" else True)
        await asyncio.wait_for(changed, 20)
        assert not watch.available
        setattr(store, setting, None)
        await eventually(lambda: watch.available)
    running.cancel()


def headers_file(tmp_path, data, mode=0o600):
    path = tmp_path / "headers"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_headers_are_read_line_by_line(tmp_path):
    data = b"# comment\n\nauthorization: Bearer a:b c\r\nx-scope:1\n"
    assert read_headers(headers_file(tmp_path, data)) == (("authorization", "Bearer a:b c"), ("x-scope", "1"))


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (b"authorization: secret\n", 0o644), (b"Authorization: secret\n", 0o600), (b"secret\n", 0o600),
        (b"x: \n", 0o600), (b"x-bin: secret\n", 0o600), (b"grpc-timeout: secret\n", 0o600),
        ("x: secret\u00e9\n".encode(), 0o600), (b"x: sec\x00ret\n", 0o600), (b"x: secret\n" * 17, 0o600),
        (b"x" * (MAX_BYTES + 1), 0o600),
    ],
)  # fmt: skip
def test_headers_that_cannot_be_are_refused_without_being_quoted(tmp_path, data, mode):
    with pytest.raises(ConfigInvalid) as caught:
        read_headers(headers_file(tmp_path, data, mode))
    assert "secret" not in str(caught.value)
