"""Instants as operators write them, and following a message."""

import pytest
from concord.v1.exchange_service_pb2 import DeliveryState, MessageView

from gateway.cli import delivery
from gateway.cli.failure import ExitCode
from gateway.cli.when import parse_when
from gateway.errors import FieldInvalid

NOW = 1_795_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90min", NOW + 90 * 60_000),
        ("6h", NOW + 6 * 3_600_000),
        ("3d", NOW + 3 * 86_400_000),
        ("2026-11-23T12:00Z", 1_795_435_200_000),
        ("2026-11-23T19:00+07:00", 1_795_435_200_000),
    ],
)
def test_spans_and_instants_are_read(text, expected):
    assert parse_when(text, NOW, "expires") == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "6", "-6h", "6 weeks", "2026-11-23T12:00", "23.11.2026", "９h", "1e3h", "9999999h",
        "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00",
    ],
)  # fmt: skip
def test_time_that_could_mean_two_things_is_refused(text):
    with pytest.raises(FieldInvalid) as caught:
        parse_when(text, NOW, "expires")
    assert caught.value.field == "expires"


class Gateway:
    """Answers with one set of states after another."""

    def __init__(self, *states):
        self.states = list(states)
        self.asked = 0

    def delivery(self, message_id):
        states = self.states[min(self.asked, len(self.states) - 1)]
        self.asked += 1
        items = [DeliveryState(partner=partner, state=state) for partner, state in states.items()]
        return type("Answer", (), {"message": MessageView(message_id=message_id, deliveries=items)})


def rungs(gateway, timeout_s=60.0):
    found = delivery.follow(gateway, b"m" * 16, timeout_s=timeout_s, sleep=lambda _: None)
    return [(rung.delivery.partner, rung.delivery.state) for rung in found]


def test_each_change_is_told_once_and_following_ends_with_the_last_answer():
    gateway = Gateway(
        {"th": "waiting", "la": "waiting"},
        {"th": "received", "la": "waiting"},
        {"th": "received", "la": "waiting"},
        {"th": "received", "la": "refused"},
    )
    told = rungs(gateway)
    assert told == [("th", "waiting"), ("la", "waiting"), ("th", "received"), ("la", "refused")]
    assert gateway.asked == 4


def test_following_ends_when_the_time_is_up():
    gateway = Gateway({"th": "waiting"})
    assert rungs(gateway, timeout_s=0.0) == [("th", "waiting")]
    assert gateway.asked == 1


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ({"th": "received", "la": "acknowledged"}, ExitCode.OK),
        ({"th": "received", "la": "waiting"}, ExitCode.PARTIAL),
        ({"th": "received", "la": "refused"}, ExitCode.PARTIAL),
        ({"th": "refused", "la": "expired"}, ExitCode.REFUSED),
        ({"th": "refused", "la": "waiting"}, ExitCode.REFUSED),
        ({"th": "waiting"}, ExitCode.UNREACHABLE),
        ({"th": "some_new_state"}, ExitCode.UNREACHABLE),
        ({}, ExitCode.UNREACHABLE),
    ],
)
def test_exit_code_sums_up_all_recipients(states, code):
    assert delivery.exit_code_of_states(states) is code
