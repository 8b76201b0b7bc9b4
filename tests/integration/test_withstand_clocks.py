"""Gateways whose clocks differ: minutes are borne, more than five minutes ahead is refused and told."""

import pytest

from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import check_exchange, settled
from tests.fixtures.load import System, requests
from tests.fixtures.quick_gateways import QuickGateway, introduce, quick_gateways

MINUTE_MS = 60_000


def set_clock(gateway: QuickGateway, minutes: int) -> None:
    """Let the gateway's clock be so far ahead from its next start on."""
    gateway.environment["CONCORD_CLOCK_OFFSET_MS"] = str(minutes * MINUTE_MS)


@pytest.fixture
def apart(tmp_path, request):
    """Two gateways made and started with clocks as many minutes ahead as the parameters say."""
    processes = [QuickGateway(code, tmp_path / code) for code in ("cn", "th")]
    try:
        for gateway, minutes in zip(processes, request.param, strict=True):
            set_clock(gateway, minutes)
        introduce(processes)
        yield processes
    finally:
        for gateway in processes:
            gateway.kill()


@pytest.mark.parametrize("apart", [(4, 0), (-4, 0), (-6, 0)], indirect=True, ids=["ahead4", "behind4", "behind6"])
async def test_a_sender_up_to_five_minutes_ahead_or_behind_by_any_exchanges_as_usual(apart):
    cn, th = apart
    async with System(cn) as sender, System(th) as receiver:
        submitted = requests(5, "th")
        await sender.submit_all(submitted)
        await settled(sender)
        await check_exchange(sender, receiver, submitted)


@pytest.mark.parametrize("apart", [(6, 0)], indirect=True)
async def test_a_sender_six_minutes_ahead_is_told_that_its_clock_is_wrong(apart):
    cn, th = apart
    async with System(cn) as sender, sender.following() as feed, System(th) as receiver:
        submitted = requests(3, "th")
        await sender.submit_all(submitted)
        await eventually(lambda: len(feed.events) >= 3)
        assert {(event.type, event.partner, event.reason) for event in feed.events} == {
            ("delivery.refused", "th", "CLOCK_SKEWED")
        }
        view = await sender.get(feed.events[0].message_id)
        assert [(item.state, item.reason) for item in view.deliveries] == [("refused", "CLOCK_SKEWED")]
        assert view.deliveries[0].proof.issuer == "th"
        assert not (await receiver.replay()).events


async def test_a_clock_that_is_set_back_does_not_stop_the_gateway_it_belongs_to(tmp_path):
    with quick_gateways(tmp_path, "cn", "th") as (cn, th):
        async with System(cn) as sender, System(th) as receiver:
            before = requests(3, "th")
            await sender.submit_all(before)
            await settled(sender)
            for gateway in (cn, th):
                gateway.kill()
                set_clock(gateway, -10)
                gateway.start()
            after = requests(3, "th", first=3)
            await sender.submit_all(after)
            await settled(sender)
            await check_exchange(sender, receiver, before + after)
