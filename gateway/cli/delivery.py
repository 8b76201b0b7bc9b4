"""Follows a sent message until every recipient has stated something final, and shows each rung as it comes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.cli.failure import ExitCode

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import DeliveryState, MessageView

    from gateway.cli.admin import AdminClient

POLL_S: Final = 0.05
"""Receipts come in milliseconds on a good link; a person sees no difference below this."""
SLOW_POLL_S: Final = 1.0
SLOW_AFTER_S: Final = 10.0
MEANINGS: Final = {
    "waiting": "sealed, waits for the link",
    "received": "received: stored by their gateway, signed receipt verified",
    "acknowledged": "acknowledged: taken over by their system, signed",
    "refused": "refused by their gateway, signed",
    "expired": "not delivered before it expired, signed by us",
}
ARRIVED: Final = frozenset({"received", "acknowledged"})
NEGATIVE: Final = frozenset({"refused", "expired"})


@dataclass(frozen=True, slots=True)
class Rung:
    """A recipient's progress changed."""

    delivery: "DeliveryState"
    elapsed_s: float
    view: "MessageView"


def follow(
    admin: "AdminClient", message_id: bytes, *, timeout_s: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Rung]:
    """Yield each change until all recipients have received or refused, or the time is up."""
    start = time.monotonic()
    seen: dict[str, str] = {}
    while True:
        view = admin.delivery(message_id).message
        elapsed = time.monotonic() - start
        for delivery in view.deliveries:
            if seen.get(delivery.partner) != delivery.state:
                seen[delivery.partner] = delivery.state
                yield Rung(delivery, elapsed, view)
        if view.deliveries and all(state in ARRIVED | NEGATIVE for state in seen.values()):
            return
        if elapsed >= timeout_s:
            return
        sleep(min(POLL_S if elapsed < SLOW_AFTER_S else SLOW_POLL_S, max(timeout_s - elapsed, 0.001)))


def exit_code_of_states(states: dict[str, str]) -> ExitCode:
    """Return the exit code that sums up where all recipients stand."""
    arrived = sum(state in ARRIVED for state in states.values())
    if states and arrived == len(states):
        return ExitCode.OK
    if arrived:
        return ExitCode.PARTIAL
    if any(state in NEGATIVE for state in states.values()):
        return ExitCode.REFUSED
    return ExitCode.UNREACHABLE
