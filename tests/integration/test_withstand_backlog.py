"""A partner that is away for long costs neither memory nor anybody else's time, and gets what is urgent first."""

import pytest

from tests.fixtures.backlog import pile_up

pytestmark = pytest.mark.timeout(120)


async def test_a_partner_away_costs_no_memory_and_no_other_partner_and_gets_urgent_messages_first(tmp_path, capsys):
    measured = await pile_up(tmp_path, 3000, samples=40, check=True)
    with capsys.disabled():
        print(f"\n{measured}")
    assert measured.peak_mb < 80
    assert measured.resumed_s < 2
    assert measured.beside_ms < 3 * measured.before_ms + 20
