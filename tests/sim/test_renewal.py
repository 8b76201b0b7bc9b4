"""What happens when a partner ends a link in good order, as it does with every stream after a time."""

import pytest
from structlog.testing import capture_logs

from gateway.exchange.schedule import LinkState
from gateway.ids import PartnerId
from tests.sim.nations import Nation, Network, until

TH = PartnerId("th")


@pytest.fixture
async def pair(tmp_path):
    network = Network()
    cn, th = [await Nation.start(code, tmp_path, network) for code in ("cn", "th")]
    await cn.befriend(th)
    await th.befriend(cn)
    cn.run()
    try:
        yield network, cn
    finally:
        for nation in (cn, th):
            await nation.stop()


async def holds(condition: bool) -> bool:
    return condition


def connected(cn: Nation) -> bool:
    worker = cn.links.worker(TH)
    return worker is not None and worker.state is LinkState.CONNECTED


async def test_link_that_has_stood_is_renewed_at_once_and_is_no_failure(pair, monkeypatch):
    network, cn = pair
    monkeypatch.setattr("gateway.workers.open_link.LIVED_S", 0.0)
    with capture_logs() as logs:
        await until(lambda: holds(connected(cn)))
        network.links[-1].end()
        await until(lambda: holds(len(network.links) == 2 and connected(cn)))
        sent = await cn.send("th")
        await until(lambda: holds(bool(network.frames)))
    assert [line["event"] for line in logs if line["event"].startswith("link.")] == [
        "link.connected", "link.renewed", "link.connected",
    ]  # fmt: skip
    assert cn.links.worker(TH).schedule.failures == 0
    assert sent.message_id


async def test_link_that_is_ended_before_it_stood_is_a_failure_with_its_cause(pair):
    network, cn = pair
    with capture_logs() as logs:
        await until(lambda: holds(connected(cn)))
        network.links[-1].end()
        await until(lambda: holds(any(line["event"] == "link.failed" for line in logs)))
    (failed,) = [line for line in logs if line["event"] == "link.failed"][:1]
    assert (failed["reason"], failed["why"]) == ("PARTNER_UNREACHABLE", "the partner closed the link")
    assert failed["retry_ms"] > 0
