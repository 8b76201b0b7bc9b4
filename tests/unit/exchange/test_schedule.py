"""When a link is tried again."""

import pytest

from gateway.errors import QuotaExceeded
from gateway.exchange.quota import Quota
from gateway.exchange.schedule import BACKOFF_MAX_MS, PAUSE_MS, PROBE_MS, LinkSchedule
from gateway.model.header import Urgency


def test_back_off_grows_to_its_ceiling_and_never_beyond() -> None:
    schedule = LinkSchedule(lambda: 0.999)
    waits = []
    for _ in range(20):
        schedule.failed(0, "refused", urgent=False)
        waits.append(schedule.wait_ms(0))
    assert waits == sorted(waits)
    assert waits[0] < 1100
    assert BACKOFF_MAX_MS * 0.9 < waits[-1] <= BACKOFF_MAX_MS


def test_jitter_keeps_gateways_apart() -> None:
    low, high = LinkSchedule(lambda: 0.0), LinkSchedule(lambda: 0.999)
    low.failed(0, "refused", urgent=False)
    high.failed(0, "refused", urgent=False)
    assert low.wait_ms(0) * 1.9 < high.wait_ms(0)


def test_while_urgent_messages_wait_the_link_is_probed_every_second() -> None:
    schedule = LinkSchedule(lambda: 0.5)
    for _ in range(10):
        schedule.failed(0, "refused", urgent=True)
    assert schedule.wait_ms(0) <= PROBE_MS
    calm = LinkSchedule(lambda: 0.5)
    for _ in range(10):
        calm.failed(0, "refused", urgent=False)
    calm.hurry(0)
    assert calm.wait_ms(0) <= PROBE_MS


def test_a_sign_of_life_closes_the_breaker_at_once() -> None:
    schedule = LinkSchedule(lambda: 0.5)
    for _ in range(10):
        schedule.failed(0, "refused", urgent=False)
    schedule.heard(PAUSE_MS)
    assert schedule.wait_ms(PAUSE_MS) == 0
    assert schedule.failures == 0


def test_a_partner_that_calls_and_refuses_our_calls_does_not_drive_us() -> None:
    schedule = LinkSchedule(lambda: 0.5)
    attempts = 0
    for now_ms in range(0, 10_000, 10):
        schedule.heard(now_ms)
        if not schedule.wait_ms(now_ms):
            attempts += 1
            schedule.failed(now_ms, "refused", urgent=False)
    assert attempts == 10_000 // PAUSE_MS


def test_quota_refuses_beyond_the_burst_and_says_when_there_is_room() -> None:
    quota = Quota(per_second=10, burst=2)
    quota.take("th", Urgency.U3, 0)
    quota.take("th", Urgency.U3, 0)
    with pytest.raises(QuotaExceeded) as refusal:
        quota.take("th", Urgency.U3, 0)
    assert 100 <= refusal.value.retry_after_ms <= 102
    quota.take("th", Urgency.U3, refusal.value.retry_after_ms)


def test_a_flood_of_routine_never_starves_a_flash_message() -> None:
    quota = Quota(per_second=1, burst=1)
    quota.take("th", Urgency.U3, 0)
    with pytest.raises(QuotaExceeded):
        quota.take("th", Urgency.U1, 0)
    quota.take("th", Urgency.U0, 0)


def test_one_caller_does_not_use_up_another() -> None:
    quota = Quota(per_second=1, burst=1)
    quota.take("th", Urgency.U3, 0)
    quota.take("la", Urgency.U3, 0)


def test_a_clock_that_is_set_back_neither_stops_a_link_nor_locks_a_caller_out() -> None:
    hour_ms = 3_600_000
    schedule = LinkSchedule(lambda: 0.5)
    schedule.failed(hour_ms, "refused", urgent=False)
    assert schedule.wait_ms(0) == 0
    quota = Quota(per_second=10, burst=1)
    quota.take("th", Urgency.U3, hour_ms)
    with pytest.raises(QuotaExceeded):
        quota.take("th", Urgency.U3, 0)
    quota.take("th", Urgency.U3, 200)


def test_a_caller_that_is_active_is_not_the_one_forgotten() -> None:
    quota = Quota(per_second=1, burst=1)
    quota.take("busy", Urgency.U3, 0)
    for number in range(Quota.MAX_CALLERS):
        with pytest.raises(QuotaExceeded):
            quota.take("busy", Urgency.U3, 0)
        quota.take(f"n{number}", Urgency.U3, 0)
    with pytest.raises(QuotaExceeded):
        quota.take("busy", Urgency.U3, 0)
