"""The second act of the demo: the alert is updated, then cancelled."""

from typing import TYPE_CHECKING, Final

from gateway.cli.call import Call
from gateway.cli.demo_gateways import incomplete
from gateway.cli.output import Output
from gateway.cli.views import id_text

if TYPE_CHECKING:
    from concord.v1.exchange_service_pb2 import MessageView, SubmitMessageResponse

    from gateway.cli.demo_gateways import Nation
    from gateway.cli.demo_scenario import Scenario
    from gateway.model.message import Draft

LIFETIME: Final = "24h"
"""Of the messages: the example's own expiry lies years ahead."""
UPDATES: Final = (
    (b"-2026-001</identifier>", b"-2026-002</identifier>"),
    (b"<sent>2026-11-23T18:00:00+08:00</sent>", b"<sent>2026-11-23T20:00:00+08:00</sent>"),
    (b"<msgType>Alert<", b"<msgType>Update<"),
    (
        b"</note>",
        b"</note><references>%s,%s,%s</references>"
        % (b"warning-centre@basin.example", b"concord-example-mekong-2026-001", b"2026-11-23T18:00:00+08:00"),
    ),
    (b"<severity>Severe<", b"<severity>Extreme<"),
    ("48小时".encode(), "24小时".encode()),
    (b"within 48 hours", b"within 24 hours"),
    ("48 ชั่วโมง".encode(), "24 ชั่วโมง".encode()),
    ("48 ຊົ່ວໂມງ".encode(), "24 ຊົ່ວໂມງ".encode()),
)
"""What the update says otherwise than the example: sooner, and worse."""


def play_chain(scenario: "Scenario", original: bytes, first: bytes) -> None:
    """Update and cancel the alert, and show how each side sees it.

    Raises:
        Failure: Something did not happen in time, or did not hold.
    """
    from gateway.cli.alert_life import cancellation
    from gateway.cli.connectors import load_connector
    from gateway.cli.inbox import find
    from gateway.cli.send import Wishes, make_draft, new_request_id
    from gateway.clock import SystemClock

    sender = scenario.sender
    data = original
    for old, new in UPDATES:
        if old not in data:
            raise incomplete(f"the example has no {old.decode()} any more")
        data = data.replace(old, new)
    reading = load_connector("cap").read(data, SystemClock().now_ms())
    wishes = Wishes(to=",".join(nation.code for nation in scenario.receivers), expires=LIFETIME)
    scenario.say()
    scenario.say(f"The flood comes sooner: {sender.code} sends an update. Its CAP file names the first alert:")
    update = _send(scenario, make_draft(Call(sender.home, Output(as_json=False)), reading, wishes))
    scenario.checks["updated"] = _seen(
        scenario, ("the first alert", first), "superseded", ("the update", update.message_id), first
    )

    scenario.say()
    scenario.say(f"The danger is over: {sender.code} cancels:")
    view = find(sender.admin, id_text(update.message_id), include_sent=True)
    cancel = _send(scenario, cancellation(view, "Exercise over.", new_request_id()))
    scenario.checks["cancelled"] = _seen(
        scenario, ("the update", update.message_id), "cancelled", ("the cancellation", cancel.message_id), first
    )


def _send(scenario: "Scenario", draft: "Draft") -> "SubmitMessageResponse":
    from gateway.cli.send import submit

    accepted, _ = submit(scenario.sender.admin, draft, "")
    return accepted


Named = tuple[str, bytes]
"""A message: what to call it, and its id."""


def _seen(scenario: "Scenario", about: Named, state: str, successor: Named, thread: bytes) -> bool:
    """Show an alert on every side once it is in the state; return whether all agree on what did it."""
    agreed = True
    for nation in scenario.nations:

        def look(nation: "Nation" = nation) -> "MessageView | None":
            page = nation.admin.inbox(20, include_sent=True)
            return next((v for v in page.messages if v.message_id == about[1] and v.alert_state == state), None)

        view = scenario.deadline.wait_for(f"the alert {state} at '{nation.code}'", look)
        same = (view.successor, view.thread_id) == (successor[1], thread)
        agreed = agreed and same
        by = successor[0] if same else f"another message, {id_text(view.successor)}"
        scenario.step(
            f"{about[0]} is {view.alert_state} by {by}",
            event="alert",
            partner=nation.code,
            message_id=id_text(view.message_id),
            state=view.alert_state,
            successor=id_text(view.successor),
        )
    return agreed
