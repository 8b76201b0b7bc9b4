"""Two replicas of one gateway on one PostgreSQL: either takes calls, one carries a link, and the other takes over."""

import asyncio
import shutil
import uuid

import pytest
from concord.v1 import exchange_service_pb2 as pb
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub

from tests.bench.workload import submissions
from tests.fixtures.gateways import GatewayProcess, eventually
from tests.fixtures.postgres import postgres_server  # noqa: F401 - a fixture

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]
AUTHORITY = "th/disaster-prevention"


def replica_of(first: GatewayProcess, base) -> GatewayProcess:
    """Return a second process with the same keys, settings and database, on ports of its own."""
    second = GatewayProcess(first.code, base / "second")
    second.environment = {
        **first.environment,
        "CONCORD_LISTEN__FEDERATION": f"127.0.0.1:{second.federation_port}",
        "CONCORD_LISTEN__EXCHANGE": f"127.0.0.1:{second.exchange_port}",
        # Both say the same of themselves: there is one card.
        "CONCORD_PUBLIC__ENDPOINTS": f'["127.0.0.1:{first.federation_port}"]',
    }
    shutil.copytree(first.home, second.home, ignore=shutil.ignore_patterns("admin.sock"))
    return second


async def submit(gateway: GatewayProcess, authority: str) -> bytes:
    async with gateway.channel() as channel:
        (request,) = submissions(1, authority=authority, recipients=["cn"])
        answer = await ExchangeServiceStub(channel).SubmitMessage(request, timeout=10)
        return answer.message_id


async def state(gateway: GatewayProcess, message_id: bytes) -> str:
    async with gateway.channel() as channel:
        answer = await ExchangeServiceStub(channel).GetMessage(pb.GetMessageRequest(message_id=message_id), timeout=10)
        return answer.message.deliveries[0].state


async def test_replicas_share_a_queue_and_one_takes_over_from_the_other(tmp_path, postgres_server) -> None:  # noqa: F811
    url = postgres_server.create_database()
    cn = GatewayProcess("cn", tmp_path / "cn")
    first = GatewayProcess("th", tmp_path / "th", environment={"CONCORD_STORE": url})
    processes = [cn, first]
    try:
        for gateway in processes:
            gateway.init()
            gateway.start()
        first.befriend(cn)
        cn.befriend(first)
        second = replica_of(first, tmp_path)
        processes.append(second)
        second.start()
        authority = first.ask("config", "show")["default_authority"]
        sent = [await submit(first, authority), await submit(second, authority)]
        for gateway in (first, second):
            for message_id in sent:
                await eventually(lambda g=gateway, m=message_id: _is(g, m, "received"))
        links = [_queues(gateway)[0]["link_state"] for gateway in (first, second)]
        assert sorted(links) == ["connected", "leased_elsewhere"]
        carrying, other = (first, second) if links[0] == "connected" else (second, first)
        carrying.kill()
        late = await submit(other, authority)
        # The dead one's lease runs out first.
        await eventually(lambda: _is(other, late, "received"), 40)
        assert len(cn.run("inbox", "--json").stdout.splitlines()) == 3
        assert uuid.UUID(bytes=late)
    finally:
        for gateway in processes:
            gateway.kill()


def _queues(gateway: GatewayProcess) -> list[dict]:
    value = gateway.ask("outbox")
    return value if isinstance(value, list) else [value]


async def _is(gateway: GatewayProcess, message_id: bytes, wanted: str) -> bool:
    await asyncio.sleep(0.05)
    return await state(gateway, message_id) == wanted
