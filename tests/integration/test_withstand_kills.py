"""Either gateway may die at any instant: what was accepted is delivered, once, and proved."""

import pytest

from tests.fixtures.killing import kill_at_random

pytestmark = pytest.mark.timeout(180)


async def test_gateways_killed_at_random_under_load_lose_nothing_and_deliver_nothing_twice(tmp_path):
    assert await kill_at_random(tmp_path, kills=20, seed=1) > 100
