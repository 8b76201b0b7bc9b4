"""concord partner rejected: who was turned away, and why."""

import re
from typing import TYPE_CHECKING

import typer

from gateway.cli.call import Call, command
from gateway.cli.failure import about_partner
from gateway.cli.views import instant, moment

if TYPE_CHECKING:
    from concord.v1.admin_service_pb2 import RejectedCallerView


def register(group: typer.Typer) -> None:
    """Add the command."""

    @command(group, "rejected")
    def rejected(call: Call) -> None:
        """List callers that were turned away since the start: fingerprint, reason and what to do. JSON: one a line.

        A certificate that leads to no root known here is refused before anything of it can be listed.
        """
        with call.admin() as admin:
            callers = admin.rejected().callers
        for view in callers:
            call.output.record(
                {
                    "fingerprint": view.fingerprint or None,
                    "claimed_id": view.claimed_id or None,
                    "peer": view.peer,
                    "listener": view.listener,
                    "reason": view.reason,
                    "detail": view.detail,
                    "advice": call.output.runnable(advice_for(view)),
                    "count": view.count,
                    "first_time": instant(view, "first_time"),
                    "last_time": instant(view, "last_time"),
                }
            )
        rows = [
            [
                view.claimed_id or "says nothing",
                view.fingerprint[:16] or "none",
                view.peer,
                view.listener,
                f"{view.reason}: {view.detail}",
                str(view.count),
                moment(view, "last_time"),
                call.output.runnable(advice_for(view)),
            ]
            for view in callers
        ]
        columns = ["claims to be", "certificate", "from", "listener", "why", "times", "last", "what to do"]
        call.output.table(columns, rows, "Nobody was turned away since the start.")


def advice_for(view: "RejectedCallerView") -> str:
    """Return what to do, about the partner that the caller says it is."""
    claimed = re.fullmatch(r"spiffe://([a-z]{2})/gateway", view.claimed_id)
    return about_partner(view.advice, claimed[1] if claimed else "")
