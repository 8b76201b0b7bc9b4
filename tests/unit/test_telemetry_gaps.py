"""What is late, what never became a draft, how far the log is, what a frame came to, and whom a collector must be."""

import asyncio
import contextlib
import itertools
from types import SimpleNamespace

import pytest
from concord.v1 import exchange_service_pb2 as pb

from gateway.clock import SystemClock
from gateway.crypto.certificates import create_authority, issue_gateway
from gateway.crypto.keyring import Keyring
from gateway.errors import CallerUnknown, ConfigInvalid, FieldInvalid, StoreCorrupt, StoreUnavailable
from gateway.exchange.judged import Judged
from gateway.exchange.submission import Submitter
from gateway.ids import AuthorityId, PartnerId
from gateway.installation.otlp_roots import MAX_BYTES, read_roots
from gateway.model.header import Urgency
from gateway.ports import Deferral, Unacknowledged
from gateway.rpc.exchange_servicer import ExchangeServicer
from gateway.telemetry import catalogue
from gateway.telemetry.calls import Calls
from gateway.telemetry.service import Telemetry, TelemetrySettings
from gateway.workers import gauges, targets
from gateway.workers.gauges import Gauges, LogLag
from gateway.workers.targets import MAX_SPAN_MS, TargetWatch
from tests.fixtures.collector import collector
from tests.fixtures.gateways import eventually
from tests.unit.test_metering import metered

__all__ = ["metered"]

TH, LA = PartnerId("th"), PartnerId("la")
NOW = 1_800_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ms = NOW

    def now_ms(self) -> int:
        return self.ms


class LateStore:
    """Answers with one late message of each partner for every second of a span; remembers the spans."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.hangs = False
        self.spans: dict[Urgency, list[tuple[int, int]]] = {urgency: [] for urgency in Urgency}

    async def read(self, query):
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.spans[query.urgency].append((query.after_ms, query.until_ms))
        count = (query.until_ms - query.after_ms) // 1000
        return Unacknowledged(sent={TH: count}, received={LA: 2 * count} if query.urgency is Urgency.U0 else {})


def counted(read, metric=catalogue.UNACKNOWLEDGED):
    return {key[1:]: point.value for key, point in read().items() if key[0] == metric.name}


async def test_each_message_is_counted_once_when_its_time_is_over(metered, monkeypatch):
    meters, read = metered
    store, clock = LateStore(), Clock()
    watch = TargetWatch(meters=meters, store=store, clock=clock)
    await watch.look()
    assert counted(read) == {}
    clock.ms += 15_000
    await watch.look()
    assert counted(read) == {
        **{("direction=sent", "partner=th", f"urgency={urgency.name}"): 15 for urgency in Urgency},
        ("direction=received", "partner=la", "urgency=U0"): 30,
    }
    # While the store is away nothing is counted, and afterwards nothing is missing; a clock set back counts nothing.
    for error in (StoreUnavailable("away"), StoreCorrupt("broken")):
        store.error = error
        clock.ms += 5_000
        await watch.look()
    store.error, store.hangs = None, True
    monkeypatch.setattr(targets, "PATIENCE_S", 0.01)
    await watch.look()
    store.hangs = False
    clock.ms -= 60_000
    await watch.look()
    assert store.spans[Urgency.U1] == [(NOW - 3_600_000, NOW - 3_600_000 + 15_000)]
    clock.ms += 60_000
    monkeypatch.setattr(targets, "PATIENCE_S", 5.0)
    await watch.look()
    assert counted(read)["direction=sent", "partner=th", "urgency=U0"] == 25
    # After a long absence it is looked through an hour at a time, without a hole.
    clock.ms += 5 * MAX_SPAN_MS // 2
    for _ in range(5):
        await watch.look()
    for urgency, spans in store.spans.items():
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans)), urgency
        assert max(until - after for after, until in spans) == MAX_SPAN_MS
        assert spans[-1][1] == clock.ms - catalogue.ACKNOWLEDGE_TARGET_S[urgency] * 1000


def test_who_must_act_has_more_time_than_a_machine():
    for urgency in Urgency:
        assert catalogue.ACKNOWLEDGE_TARGET_S[urgency] > catalogue.RECEIPT_TARGET_S[urgency]
    assert list(catalogue.ACKNOWLEDGE_TARGET_S.values()) == sorted(catalogue.ACKNOWLEDGE_TARGET_S.values())


def servicer(meters) -> ExchangeServicer:
    class Nobody:
        async def submit(self, submissions):
            raise AssertionError(submissions)

    submitter = Submitter(principal="system/s", authorities=frozenset({AuthorityId("th/police")}))
    return ExchangeServicer(
        own=TH,
        submitting=Nobody(),
        reading=None,
        acknowledging=None,
        marking=None,
        submitters={"system/s": submitter},
        calls=Calls(meters),
    )


async def test_drafts_that_never_become_one_are_counted_alone_and_in_a_stream(metered):
    meters, read = metered
    service, caller = servicer(meters), SimpleNamespace(principal="system/s")
    uuid = "019acf7e-1a2b-7c3d-8e4f-5a6b7c8d9e0f"
    bad = [
        pb.SubmitMessageRequest(request_id="no id", draft={"urgency": 1}),
        pb.SubmitMessageRequest(request_id=uuid),
        pb.SubmitMessageRequest(request_id=uuid, draft={"urgency": 4}),
        pb.SubmitMessageRequest(request_id=uuid, draft={"urgency": 99}),
    ]

    async def frames():
        yield pb.SubmitMessagesRequest(requests=bad)

    (answer,) = [answer async for answer in service.submit_messages(frames(), caller)]
    assert [item.error.reason for item in answer.results] == ["FIELD_INVALID"] * 4
    for request in bad:
        with pytest.raises(FieldInvalid):
            await service.submit_message(request, caller)
    assert counted(read, catalogue.SUBMISSIONS) == {
        ("outcome=refused", "reason=FIELD_INVALID", "urgency=U0"): 2,
        ("outcome=refused", "reason=FIELD_INVALID", "urgency=U3"): 2,
        ("outcome=refused", "reason=FIELD_INVALID", "urgency="): 4,
    }
    # A stranger's are not: it has handed in nothing.
    with pytest.raises(CallerUnknown):
        await service.submit_message(bad[0], SimpleNamespace(principal="system/other"))
    assert sum(counted(read, catalogue.SUBMISSIONS).values()) == 8


@pytest.fixture
def log_gauges(metered, monkeypatch):
    """Gauges of a gateway without partners; what the log says is the test's to set."""
    meters, read = metered
    monkeypatch.setattr(gauges, "REFRESH_S", 0.0)
    monkeypatch.setattr(gauges, "PATIENCE_S", 0.05)
    keyring, clock = Keyring.generate(TH, SystemClock().now_ms()), Clock()

    class Store:
        async def read(self, query):
            return (), {}

    class Lag:
        value: object = None
        asked = 0

        async def __call__(self):
            self.asked += 1
            if self.value is None:
                await asyncio.Event().wait()
            if isinstance(self.value, Exception):
                raise self.value
            return self.value

    lag = Lag()
    made = Gauges(
        meters=meters,
        store=Store(),
        directory=SimpleNamespace(partners=lambda: ()),
        links=None,
        keyring=lambda: keyring,
        clock=clock,
        watch=SimpleNamespace(available=True),
        log_lag=lag,
    )

    async def seen(value):
        lag.value = value
        asked = lag.asked
        await eventually(lambda: _true(lag.asked >= asked + 3))
        points = {key[0]: point.value for key, point in read().items()}
        return points.get("concord.log.pending"), points.get("concord.log.checkpoint.age")

    return made, clock, seen


async def _true(value):
    return value


async def test_the_log_is_shown_as_far_as_it_is_known(log_gauges):
    made, clock, seen = log_gauges
    task = asyncio.create_task(made.run())
    try:
        # Nothing said yet, and no checkpoint yet: absent, not 0.
        assert await seen(None) == (None, None)
        assert await seen(LogLag(pending=3, unsigned=3, checkpoint_ms=None)) == (3, None)
        # What is all signed does not age; what is not is as old as its last checkpoint.
        assert await seen(LogLag(pending=0, unsigned=0, checkpoint_ms=NOW - 90_000)) == (0, 0)
        assert await seen(LogLag(pending=7, unsigned=9, checkpoint_ms=NOW - 90_000)) == (7, 90)
        # A log that fails or hangs keeps nothing else from being shown, and its age goes on.
        clock.ms += 10_000
        assert await seen(StoreUnavailable("away")) == (7, 100)
        assert await seen(StoreCorrupt("forked")) == (7, 100)
        assert await seen(None) == (7, 100)
        # A clock set back shows no negative age.
        clock.ms = NOW - 3_600_000
        assert await seen(LogLag(pending=0, unsigned=1, checkpoint_ms=NOW)) == (0, 0)
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_what_a_frame_came_to_is_counted_by_outcome_and_reason():
    assert sum(Judged().counts().values()) == 0
    judged = Judged(
        accepted=[(0, None, None), (1, None, None)],
        pings=[(2, None)],
        refused=[(3, b"", "SUITE_UNKNOWN", b""), (4, b"", "SUITE_UNKNOWN", b""), (5, b"", "POLICY_DENIED", b"")],
        repeats=[None, None, None],
        deferrals=[Deferral(index=9, reason="QUOTA_EXCEEDED")],
    )
    assert {key: count for key, count in judged.counts().items() if count} == {
        ("received", ""): 2,
        ("ping", ""): 1,
        ("repeated", ""): 3,
        ("refused", "SUITE_UNKNOWN"): 2,
        ("refused", "POLICY_DENIED"): 1,
        ("deferred", "QUOTA_EXCEEDED"): 1,
    }


async def test_a_collector_is_believed_under_the_authority_that_the_settings_name(tmp_path):
    now_ms = SystemClock().now_ms()
    authority, other = create_authority(TH, now_ms), create_authority(LA, now_ms)
    (tmp_path / "ca.pem").write_bytes(b"# the collector's\n" + authority[1] + other[1])
    (tmp_path / "other.pem").write_bytes(other[1])

    async def sends(made, name: str) -> bool:
        settings = TelemetrySettings(
            partner="th",
            mode="test",
            version="1",
            otlp=made.endpoint,
            trace_ratio=1.0,
            roots=read_roots(tmp_path / name),
        )
        telemetry = Telemetry(settings, SystemClock())
        before = len(made.spans)
        telemetry.tracing.committed(telemetry.tracing.now_ns(), {b"t" * 16 + b"s" * 8 + b"\1": 1})
        await telemetry.stop()
        return len(made.spans) > before

    with collector(issue_gateway(authority, TH, now_ms)) as made:
        assert not await sends(made, "other.pem")
        assert await sends(made, "ca.pem")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "no such file"), (b"", "no certificate"), (b"junk", "no certificate"), (b"\xff" * 10, "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"),
        (b"x" * (MAX_BYTES + 1), "larger"), (b"-----BEGIN EC " + b"PRIVATE KEY-----\nAAAA\n", "private key"),
    ],
)  # fmt: skip
def test_authorities_that_cannot_be_used_are_refused_at_the_start(tmp_path, data, why):
    path = tmp_path / "ca.pem"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigInvalid, match=why) as caught:
        read_roots(path)
    assert "AAAA" not in caught.value.text
    with pytest.raises(ConfigInvalid, match=r"cannot be read|plain file"):
        read_roots(tmp_path)
