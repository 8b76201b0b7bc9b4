"""Either gateway may die at any instant: what was accepted is delivered, once, and proved."""

import pytest

from tests.fixtures.killing import kill_at_points, kill_at_random

pytestmark = pytest.mark.timeout(180)


async def test_gateways_killed_at_random_under_load_lose_nothing_and_deliver_nothing_twice(tmp_path):
    assert await kill_at_random(tmp_path, kills=20, seed=1) > 100


MESSAGE_POINTS = ("keys-before", "keys-after", "message-main-before", "message-main-after")
ANY_POINTS = (("main-before", 2), ("main-after", 2), ("main-before", 4), ("main-after", 5))


@pytest.mark.parametrize("victim", ["cn", "th"], ids=["sender", "receiver"])
async def test_a_kill_at_each_commit_point_loses_nothing_and_delivers_nothing_twice(tmp_path, victim):
    """Points of commits that hold messages, and of those around them: leases, positions of events, receipts."""
    cases = [(victim, point, 1) for point in MESSAGE_POINTS] + [(victim, *at) for at in ANY_POINTS]
    await kill_at_points(tmp_path, cases)
