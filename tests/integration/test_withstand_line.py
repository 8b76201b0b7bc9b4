"""A bad line between two gateways: cut, slow, narrow, silent. What was accepted arrives; what is urgent goes first."""

import asyncio
import time

import pytest
from concord.v1 import envelope_pb2

from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import check_exchange, settled
from tests.fixtures.line import over_a_line
from tests.fixtures.load import requests, waiting

QUICK_TIMEOUTS = {
    "gateway.workers.open_link:ANSWER_TIMEOUT_MS": 1_000,
    "gateway.workers.open_link:SLOWEST_BYTES_PER_MS": 50,
    "gateway.workers.open_link:RENEW_S": 0.5,
    "adapters.carriers.grpc_link:CONNECT_TIMEOUT_S": 1.0,
}
"""A silent line is noticed after 30 s and more; a test cannot wait for that. The soak does."""


async def test_a_line_that_is_cut_again_and_again_loses_nothing_and_doubles_nothing(tmp_path):
    async with over_a_line(tmp_path) as (line, sender, receiver), receiver.following() as feed:
        submitted = requests(150, "th", urgency=envelope_pb2.URGENCY_U1)
        loading = asyncio.create_task(sender.submit_all(submitted, callers=1, pause_s=0.01))
        cuts = 0
        while not loading.done():
            await asyncio.sleep(0.2)
            await line.cut()
            cuts += 1
        await loading
        await settled(sender)
        await eventually(lambda: len(feed.events) >= len(submitted))
        assert cuts >= 4
        assert line.accepted > 4
        await check_exchange(sender, receiver, submitted, followed=feed)


async def test_a_long_line_delays_messages_by_its_length_but_does_not_make_them_queue(tmp_path):
    async with over_a_line(tmp_path) as (line, sender, receiver):
        await sender.submit_all(requests(1, "th"))
        await settled(sender)
        line.conditions.delay_s = 0.2
        submitted = requests(400, "th", first=1)
        began = time.perf_counter()
        await sender.stream_all(submitted)
        await settled(sender)
        took_s = time.perf_counter() - began
        # One after another they would take 400 round trips of 400 ms.
        assert 0.4 < took_s < 8
        line.conditions.delay_s = 0


async def test_a_narrow_line_carries_everything_and_lets_what_is_urgent_overtake(tmp_path):
    async with over_a_line(tmp_path) as (line, sender, receiver), receiver.following() as feed:
        line.conditions.bytes_per_s = 500_000
        routine = requests(1500, "th", urgency=envelope_pb2.URGENCY_U3)
        await sender.stream_all(routine)
        (flash,) = requests(1, "th", urgency=envelope_pb2.URGENCY_U0, first=1500)
        answer = await sender.submit(flash)
        await settled(sender)
        await eventually(lambda: len(feed.events) >= 1501)
        # What was in flight on the line arrives before it; all that still waited comes behind it.
        assert feed.ids("message.received").index(answer.message_id) < 700
        await check_exchange(sender, receiver, [*routine, flash], followed=feed)


async def test_a_line_so_slow_that_a_frame_takes_longer_than_a_silence_is_borne_still_carries_it(tmp_path):
    async with over_a_line(tmp_path, constants=QUICK_TIMEOUTS) as (line, sender, receiver):
        await sender.submit_all(requests(1, "th"))
        await settled(sender)
        # A frame takes two seconds here and a silence is borne for one.
        line.conditions.bytes_per_s = 100_000
        await sender.stream_all(requests(200, "th", first=1))
        await settled(sender, 25)
        # Given up at every silence it would be opened once a second. A busy machine adds silences of its own.
        assert line.accepted <= 12


async def test_a_line_that_falls_silent_is_given_up_and_used_again_when_it_speaks(tmp_path):
    async with over_a_line(tmp_path, constants=QUICK_TIMEOUTS) as (line, sender, receiver):
        first = requests(5, "th")
        await sender.submit_all(first)
        await settled(sender)
        line.conditions.half_open = True
        opened = line.accepted
        second = requests(20, "th", first=5)
        await sender.submit_all(second)
        # Given up: a new connection is tried, though nobody has closed the old one.
        await eventually(lambda: line.accepted > opened, 15)
        assert waiting(sender.gateway, "th") == 20
        line.conditions.half_open = False
        began = time.perf_counter()
        await settled(sender, 15)
        assert time.perf_counter() - began < 10
        await check_exchange(sender, receiver, first + second)


@pytest.mark.parametrize("seconds", [3])
async def test_a_line_that_refuses_is_tried_again_by_itself(tmp_path, seconds):
    async with over_a_line(tmp_path) as (line, sender, receiver):
        line.conditions.refuse = True
        await line.cut()
        submitted = requests(10, "th", urgency=envelope_pb2.URGENCY_U0)
        await sender.submit_all(submitted)
        await asyncio.sleep(seconds)
        assert waiting(sender.gateway, "th") == 10
        line.conditions.refuse = False
        began = time.perf_counter()
        await settled(sender)
        # While U0 waits the link is tried every second.
        assert time.perf_counter() - began < 2
        await check_exchange(sender, receiver, submitted)
