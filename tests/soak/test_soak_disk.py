"""Disks that fill at any byte and pages that spoil anywhere."""

import asyncio
import random
from collections import Counter

import pytest

from tests.fixtures.damage import OTHER, SAME, stopped_receiver
from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import check_exchange, settled
from tests.fixtures.load import System, requests
from tests.fixtures.quick_gateways import quick_gateways

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
TOLD = {"STORE_CORRUPT", "STORE_CORRUPT 3"}
UNCLEAR = {"NOT_FOUND", "CONCURRENT_UPDATE 2", "INTERNAL 3"}
"""Where an index has lost an entry, or the schema has another column. Nothing wrong is shown, but the cause is not
told: for that the whole file would have to be checked at each start."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    with stopped_receiver(tmp_path_factory.mktemp("stopped"), 200) as found:
        yield found


async def test_disks_that_fill_at_random_on_either_side_lose_nothing(tmp_path):
    chance = random.Random(7)
    with quick_gateways(tmp_path, "cn", "th") as (cn, th):
        async with System(cn) as sender, System(th) as receiver, receiver.following() as feed:
            submitted = []
            for number in range(40):
                batch = requests(100, "th", first=100 * number)
                submitted += batch
                victim = chance.choice([cn, th])
                largest = max(path.stat().st_size for path in victim.store.parent.iterdir())
                victim.fill_disk(chance.choice([1, 4096, largest, largest + chance.randrange(300_000)]))
                loading = asyncio.create_task(sender.submit_all(batch))
                await asyncio.sleep(chance.uniform(0.1, 2))
                if chance.random() < 0.3:
                    await asyncio.to_thread(victim.kill)
                    await asyncio.to_thread(victim.start)
                victim.free_disk()
                await loading
            await settled(sender, 120)
            await eventually(lambda: len(feed.events) >= len(submitted), 60)
            assert set(sender.busy) <= {"STORE_UNAVAILABLE", "CONCURRENT_UPDATE"}
            await check_exchange(sender, receiver, submitted, followed=feed)


async def test_bytes_spoiled_anywhere_in_the_database_never_make_another_message(stopped, capsys):
    chance = random.Random(8)
    found: Counter[str] = Counter()
    for _ in range(150):
        spoiled = bytearray(stopped.whole)
        for _ in range(chance.choice([1, 1, 5, 50])):
            place = chance.randrange(100, len(spoiled))
            width = chance.choice([1, 1, 16, 512, 4096])
            spoiled[place : place + width] = chance.randbytes(len(spoiled[place : place + width]))
        with stopped.damaged(bytes(spoiled)):
            found += await stopped.answers()
    with capsys.disabled():
        print(f"\nanswers about messages of damaged databases: {dict(found)}")
    assert found[OTHER] == 0
    assert set(found) <= {SAME, OTHER, *TOLD, *UNCLEAR}
    assert sum(found[answer] for answer in UNCLEAR) < found["STORE_CORRUPT"] / 20
