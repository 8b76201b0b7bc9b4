"""concord outbox: what waits for each partner, since when, why, and whose turn it is."""

import typer

from gateway.cli.call import Call, command
from gateway.cli.views import age, instant, instant_ms

TURNS = {"us": "ours", "them": "theirs", "nobody": "-"}


def register(application: typer.Typer) -> None:
    """Add the command."""

    @command(application, "outbox")
    def outbox(call: Call) -> None:
        """Show what waits for each partner, since when, why, whose turn it is, what to do. JSON: one object a line."""
        from gateway.clock import SystemClock

        with call.admin() as admin:
            queues = admin.outbox().queues
        now_ms = SystemClock().now_ms()
        for queue in queues:
            call.output.record(
                {
                    "partner": queue.partner,
                    "waiting": queue.waiting,
                    "oldest_time": instant(queue, "oldest_time"),
                    "urgency": queue.urgency,
                    "link_state": queue.link_state,
                    "reason": queue.reason,
                    "turn": queue.turn,
                    "next_attempt_time": instant(queue, "next_attempt_time"),
                    "advice": call.output.runnable(queue.advice),
                    "dead": queue.dead,
                }
            )
        rows = []
        for queue in queues:
            next_ms = instant_ms(queue, "next_attempt_time")
            # An instant that has just passed means the attempt is being made.
            attempt = "" if next_ms is None else "now" if next_ms <= now_ms else f"in {age(next_ms, now_ms)}"
            rows.append(
                [
                    queue.partner,
                    str(queue.waiting),
                    age(instant_ms(queue, "oldest_time"), now_ms),
                    queue.urgency,
                    queue.link_state.replace("_", " "),
                    queue.reason,
                    TURNS.get(queue.turn, queue.turn),
                    attempt,
                    str(queue.dead or ""),
                    call.output.runnable(queue.advice),
                ]
            )
        columns = [
            "partner",
            "waiting",
            "since",
            "most urgent",
            "link",
            "why",
            "turn",
            "next try",
            "dead",
            "what to do",
        ]
        call.output.table(columns, rows, "Nothing waits for any partner.")
