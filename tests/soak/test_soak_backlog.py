"""A partner that is away with 100,000 messages waiting."""

import pytest

from tests.fixtures.backlog import pile_up

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


async def test_a_hundred_thousand_waiting_messages_cost_no_memory_and_no_other_partner(tmp_path, capsys):
    measured = await pile_up(tmp_path, 100_000, samples=200, check=False)
    with capsys.disabled():
        print(f"\n100,000 waiting: {measured}")
    # What there is of caches fills in the beginning; after that a message that waits costs nothing.
    assert measured.growth_mb < 25
    assert measured.peak_mb < 120
    assert measured.resumed_s < 2
    assert measured.beside_ms < 2 * measured.before_ms + 10
