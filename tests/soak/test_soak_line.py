"""Bad lines with the time-outs of service: silent for longer than is borne, flapping for minutes, slow as a modem."""

import asyncio
import random
import time

import pytest
from concord.v1 import envelope_pb2

from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import check_exchange, settled
from tests.fixtures.line import over_a_line
from tests.fixtures.load import requests, waiting

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


async def test_a_silent_line_is_noticed_within_a_minute_and_used_again(tmp_path, capsys):
    async with over_a_line(tmp_path) as (line, sender, receiver):
        first = requests(50, "th")
        await sender.submit_all(first)
        await settled(sender)
        line.conditions.half_open = True
        opened, began = line.accepted, time.perf_counter()
        second = requests(50, "th", urgency=envelope_pb2.URGENCY_U1, first=50)
        await sender.submit_all(second)
        await eventually(lambda: line.accepted > opened, 90)
        noticed_s = time.perf_counter() - began
        await asyncio.sleep(30)
        assert waiting(sender.gateway, "th") == 50
        line.conditions.half_open = False
        began = time.perf_counter()
        await settled(sender)
        with capsys.disabled():
            print(
                f"\nsilence noticed after {noticed_s:.0f} s, resumed {time.perf_counter() - began:.1f} s after its end"
            )
        assert noticed_s < 60
        assert time.perf_counter() - began < 10
        await check_exchange(sender, receiver, first + second)


async def test_minutes_of_every_kind_of_trouble_lose_nothing_and_double_nothing(tmp_path):
    chance = random.Random(5)
    async with over_a_line(tmp_path) as (line, sender, receiver), receiver.following() as feed:
        submitted = []
        for number in range(60):
            conditions = line.conditions
            conditions.delay_s = chance.choice([0, 0, 0.05, 0.3])
            conditions.bytes_per_s = chance.choice([None, None, 500_000, 100_000])
            conditions.half_open = chance.random() < 0.2
            conditions.refuse = chance.random() < 0.2
            if chance.random() < 0.5:
                await line.cut()
            batch = requests(100, "th", urgency=chance.randint(1, 4), first=100 * number)
            submitted += batch
            await sender.submit_all(batch)
            await asyncio.sleep(chance.uniform(0.5, 4))
        line.conditions = type(line.conditions)()
        await settled(sender, 300)
        await eventually(lambda: len(feed.events) >= len(submitted), 60)
        await check_exchange(sender, receiver, submitted, followed=feed)


async def test_a_line_of_64_kbit_carries_a_large_alert_and_many_small_ones(tmp_path, capsys):
    """8 kB/s: a satellite telephone's data service, or a shared village line."""
    async with over_a_line(tmp_path) as (line, sender, receiver):
        await sender.submit_all(requests(1, "th"))
        await settled(sender)
        line.conditions.bytes_per_s = 8_000
        line.conditions.delay_s = 0.3
        (large,) = requests(1, "th", first=1)
        large.draft.body.alert.provenance.connector = "cap"
        large.draft.body.alert.provenance.original = random.Random(6).randbytes(400_000)
        small = requests(300, "th", first=2)
        began, opened = time.perf_counter(), line.accepted
        await sender.submit_all([large, *small])
        await settled(sender, 600)
        with capsys.disabled():
            print(
                f"\n0.9 MB at 64 kbit/s took {time.perf_counter() - began:.0f} s, {line.accepted - opened} connections"
            )
        line.conditions = type(line.conditions)()
        assert time.perf_counter() - began < 300
