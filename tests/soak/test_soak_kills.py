"""A thousand kills under load, and a kill at every visit of every commit point."""

import pytest

from tests.fixtures.killing import kill_at_points, kill_at_random

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

MESSAGE_POINTS = ("keys-before", "keys-after", "message-main-before", "message-main-after")


@pytest.mark.parametrize("seed", range(4))
async def test_two_hundred_and_fifty_kills_lose_nothing_and_double_nothing(tmp_path, capsys, seed):
    submitted = await kill_at_random(tmp_path, kills=250, seed=seed, pause_s=0.05)
    with capsys.disabled():
        print(f"\n250 kills, {submitted} messages")


@pytest.mark.parametrize("victim", ["cn", "th"], ids=["sender", "receiver"])
async def test_a_kill_at_every_visit_of_every_commit_point_loses_nothing(tmp_path, victim):
    cases = [(victim, point, visit) for point in MESSAGE_POINTS for visit in range(1, 6)]
    # Starting, leases, positions of events, receipts: the first dozen commits of a life, on either side of each.
    cases += [(victim, point, visit) for point in ("main-before", "main-after") for visit in range(1, 13)]
    await kill_at_points(tmp_path, cases)
