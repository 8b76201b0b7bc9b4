"""Real gateways that are watched: one trace through both, every query of the dashboard, and no content anywhere."""

import asyncio
import json
import re
import secrets
import urllib.request
from pathlib import Path

import grpc
import pytest
from concord.v1 import envelope_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.cli.admin import told_error
from gateway.telemetry import catalogue
from tests.fixtures.canary import Canary
from tests.fixtures.collector import collector
from tests.fixtures.gateways import eventually, free_port
from tests.fixtures.ledger import settled
from tests.fixtures.load import System, requests
from tests.fixtures.promql import Series, problems, queries_of_dashboard, queries_of_rules
from tests.fixtures.quick_gateways import NO_LIMITS, QuickGateway, introduce, quick_gateways

GRAFANA = Path(__file__).resolve().parents[2] / "examples" / "grafana"
FAST = {
    "gateway.workers.gauges:REFRESH_S": 0.1,
    "gateway.workers.log:CHECKPOINT_S": 0.2,
    "gateway.workers.store_watch:EVERY_S": 0.1,
    "gateway.workers.store_watch:WHILE_DOWN_S": 0.1,
    "gateway.telemetry.export:SPAN_EVERY_MS": 50,
    "gateway.telemetry.export:EXPORT_EVERY_MS": 100,
}


def watched(tmp_path, code, endpoint, **more):
    port = free_port()
    environment = {
        **NO_LIMITS,
        "CONCORD_TELEMETRY__PROMETHEUS": f"127.0.0.1:{port}",
        "CONCORD_TELEMETRY__OTLP": endpoint,
        "CONCORD_TELEMETRY__OTLP_HEADERS_FILE": str(tmp_path / "headers"),
        "CONCORD_TELEMETRY__TRACE_RATIO": "0",
        **more,
    }
    return QuickGateway(code, tmp_path / code, environment=environment, constants=FAST), port


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def log_lines(gateway):
    return [json.loads(line) for line in gateway.log.read_text().splitlines() if line.startswith("{")]


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), told_error(caught.value)


async def test_an_exchange_is_seen_on_both_sides_in_one_trace_and_every_query_finds_its_metric(tmp_path):
    (tmp_path / "headers").touch(mode=0o600)
    (tmp_path / "headers").write_text("# of the collector\nx-token: secret-of-the-collector\n")
    canary, trace_id, caller_id = Canary(), secrets.token_hex(16), secrets.token_hex(8)
    with collector() as got:
        (cn, cn_port), (th, th_port) = (watched(tmp_path, code, got.endpoint) for code in ("cn", "th"))
        try:
            introduce([cn, th])
            async with System(cn) as sender:
                traced = canary.request("th")
                answer = await sender.stub.SubmitMessage(
                    traced, timeout=10, metadata=[("traceparent", f"00-{trace_id}-{caller_id}-01")]
                )
                sender.answers[traced.request_id] = answer
                unsampled = secrets.token_hex(16)
                for wrong in (f"00-{unsampled}-{caller_id}-00", "00-zz-1-01", "x" * 5000, "ff-" + "1" * 49):
                    (request,) = requests(1, "th", urgency=envelope_pb2.URGENCY_U0)
                    sender.answers[request.request_id] = await sender.stub.SubmitMessage(
                        request, timeout=10, metadata=[("traceparent", wrong)]
                    )
                await settled(sender)
                spoilt = canary.request("th")
                spoilt.draft.recipients[:] = ["vn"]
                code, told = await refused(sender.stub.SubmitMessage(spoilt, timeout=10))
                assert (code, told.reason) == (grpc.StatusCode.NOT_FOUND, "PARTNER_UNKNOWN")
                denied = secrets.token_hex(16)
                foreign = canary.request("th")
                foreign.draft.body.alert.infos[0].headline = f"{canary.text}\x07"
                code, sampled_told = await refused(
                    sender.stub.SubmitMessage(
                        foreign, timeout=10, metadata=[("traceparent", f"00-{denied}-{caller_id}-01")]
                    )
                )
                with pytest.raises(grpc.aio.AioRpcError):
                    async with grpc.aio.secure_channel(
                        f"localhost:{cn.federation_port}", cn.credentials()
                    ) as wrong_door:
                        await wrong_door.unary_unary("/concord.v1.FederationService/Probe")(b"", timeout=10)

            names = {"concord.call", "concord.commit", "concord.deliver", "concord.take_in"}
            await eventually(lambda: {span.name for span in got.of(trace_id)} == names)
            spans = {span.name: span for span in got.of(trace_id)}
            call = spans["concord.call"]
            assert call.parent_id == caller_id
            assert {span.parent_id for name, span in spans.items() if name != "concord.call"} == {call.span_id}
            assert {name: span.gateway for name, span in spans.items()} == {
                "concord.call": "cn", "concord.commit": "cn", "concord.deliver": "cn", "concord.take_in": "th",
            }  # fmt: skip
            assert spans["concord.deliver"].attributes == {
                "concord.partner": "th", "concord.urgency": "U1", "concord.outcome": "received", "concord.count": 1,
                "concord.reason": 0,  # empty
            }  # fmt: skip
            assert all(span.start_ns <= span.end_ns for span in spans.values())
            await eventually(lambda: got.of(denied))
            # Only the two calls that asked were drawn, with allowed attributes.
            assert {span.trace_id for span in got.spans} == {trace_id, denied}
            for span in got.spans:
                assert set(span.attributes) <= set(catalogue.SPANS[span.name][0])
            assert all(headers["x-token"] == "secret-of-the-collector" for headers in got.headers)
            assert "secret-of-the-collector" not in cn.run("config", "show").stdout

            lines = log_lines(cn)
            (line,) = [line for line in lines if line.get("request_id") == told.request_id]
            assert (line["event"], line["reason"], line["caller"]) == (
                "call.refused", "PARTNER_UNKNOWN", "system/national",
            )  # fmt: skip
            (line,) = [line for line in lines if line.get("request_id") == sampled_told.request_id]
            assert line["trace_id"] == denied

            texts = {}
            for gateway, port in ((cn, cn_port), (th, th_port)):
                await eventually(
                    lambda port=port: (
                        Series.parse(scrape(port)).value("concord_link_frames_total", direction="sent")
                        + Series.parse(scrape(port)).value("concord_link_frames_total", direction="received")
                        > 0
                    )
                )
                await eventually(lambda port=port: "concord_log_checkpoint_age_seconds" in Series.parse(scrape(port)))
                texts[gateway.code] = scrape(port)
            series = Series.parse(texts["cn"])
            both = Series(series)
            for name, samples in Series.parse(texts["th"]).items():
                both[name] = [*both.get(name, ()), *samples]
            assert series.value("concord_submissions_total", outcome="accepted") == 5
            assert series.value("concord_delivery_duration_seconds_count", outcome="received") == 5
            assert series.value("concord_callers_refused_total", listener="federation") == 1
            assert both.value("concord_received_total", partner="cn", outcome="received") == 5
            assert series.value("concord_queue_length", partner="th") == 0
            assert series.value("concord_link_state", partner="th", state="connected") == 1
            assert series.value("concord_store_available") == 1
            assert series.value("process_memory_usage_bytes") > 10_000_000
            assert 0 < series.value("concord_key_expiry_seconds", partner="th", purpose="seal") < 31 * 86_400
            # Nothing was late, and a counter that never counted is not there.
            may_lack = {"concord_clock_breaches_total", "concord_clock_unacknowledged_total"}
            wrong = {
                f"{title}: {problem}"
                for title, query in (
                    *queries_of_dashboard(GRAFANA / "concord-dashboard.json"),
                    *queries_of_rules(GRAFANA / "concord-alerts.yml"),
                )
                for problem in problems(query, both, may_lack)
            }
            assert wrong == set()
            known = {metric.prometheus: metric for metric in catalogue.METRICS}
            for name, samples in both.items():
                if name == "target_info":
                    continue
                metric = known.get(name) or known[re.sub(r"_(bucket|sum|count)$", "", name)]
                assert all(set(labels) <= {*metric.labels, "le"} for labels, _ in samples), name
            await eventually(lambda: {"concord.submissions", "concord.delivery.duration"} <= got.metrics)

            status = cn.ask("status")
            assert [item.partition(" ")[0] for item in status["telemetry"]] == ["metrics", "metrics", "traces"]
            assert str(cn_port) in status["telemetry"][0]
            for gateway in (cn, th):
                assert gateway.stop() == 0
            seen = b"\n".join([*got.raw, *(text.encode() for text in texts.values())])
            assert canary.found_in(seen) == []
            assert canary.found_in(cn.log.read_bytes() + th.log.read_bytes()) == []
        finally:
            for gateway in (cn, th):
                gateway.kill()


async def test_health_follows_the_store_and_an_incident_finds_its_line(tmp_path):
    broken = {"gateway.rpc.exchange_servicer:request_digest": None}
    with quick_gateways(tmp_path, "cn", constants={**FAST, **broken}) as (cn,):
        async with System(cn) as system, cn.channel() as channel:
            health = health_pb2_grpc.HealthStub(channel)
            seen = []

            async def watch():
                async for answer in health.Watch(health_pb2.HealthCheckRequest(service="concord.v1.ExchangeService")):
                    seen.append(answer.status)  # noqa: PERF401 - each is looked at when it comes

            async def state(service=""):
                return (await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)).status

            watching = asyncio.create_task(watch())
            up, down = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
            assert await state() == up
            cn.fill_disk(1)
            await eventually(lambda: seen == [up, down])
            assert (await state(), await state("grpc.health.v1.Health")) == (down, up)
            cn.free_disk()
            await eventually(lambda: seen == [up, down, up])
            assert await state("concord.v1.ExchangeService") == up

            (request,) = requests(1, "th")
            code, told = await refused(system.stub.SubmitMessage(request, timeout=10))
            assert (code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
            assert told.incident_id == told.request_id
            (line,) = [line for line in log_lines(cn) if told.incident_id in json.dumps(line)]
            assert (line["event"], line["error_type"], line["incident_id"]) == (
                "call.failed", "TypeError", told.incident_id,
            )  # fmt: skip
            # By default nothing is told, and nothing listens.
            assert cn.ask("status")["telemetry"] == []
            watching.cancel()


@pytest.mark.parametrize(("environment", "shows"), [({}, False), ({"CONCORD_LISTEN__REFLECTION": "true"}, True)])
async def test_reflection_is_off_in_mode_actual_unless_it_is_asked_for(tmp_path, environment, shows):
    gateway = QuickGateway("cn", tmp_path / "cn", mode="actual", environment=environment)
    try:
        gateway.init()
        gateway.start()
        async with gateway.channel() as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
            call = stub.ServerReflectionInfo(asked, timeout=10)
            if shows:
                answer = await anext(aiter(call))
                assert "concord.v1.ExchangeService" in {item.name for item in answer.list_services_response.service}
            else:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await anext(aiter(call))
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
                assert told_error(caught.value).request_id
    finally:
        gateway.kill()
