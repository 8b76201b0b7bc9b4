"""Steps for the exchange log: what happened, by whom, about which message, as an entry that a commit takes along.

Who acts is named by principal: "system/<name>", "auditor/<name>", "operator", "connector/<name>", "partner/<code>" for
another state's gateway, "gateway" for ourselves. Nothing of a message's content ever stands in a step.
"""

import os
from functools import cache
from typing import Final

from gateway.ids import PartnerId
from gateway.model.header import Header, Kind, Mode, Urgency
from gateway.ports import LogEntry
from gateway.translog.entry import SALTS_BYTES, EventType, LogEvent, leaf

GATEWAY: Final = "gateway"
OPERATOR: Final = "operator"


def partner_principal(partner: PartnerId) -> str:
    """Return how another state's gateway is named as an actor."""
    return f"partner/{partner}"


def new_salts() -> bytes:
    """Return fresh salts for one entry: without them nobody can tell whether a guess at a step is right."""
    return os.urandom(SALTS_BYTES)


def step(
    kind: EventType,
    time_ms: int,
    *,
    actor: str,
    partner: str = "",
    subject: bytes = b"",
    thread: bytes = b"",
    digest: bytes = b"",
    outcome: str = "",
    reason: str = "",
    detail: str = "",
) -> LogEntry:
    """Return an entry."""
    event = LogEvent(
        type=kind,
        time_ms=time_ms,
        actor=actor,
        partner=partner,
        subject=subject,
        thread=thread,
        digest=digest,
        outcome=outcome,
        reason=reason,
        detail=detail,
    )
    salts = new_salts()
    return LogEntry(leaf(event, salts), salts, event)


def described(header: Header) -> str:
    """Return what the clear header says of a message, for people who read the log."""
    return _described(header.kind, header.mode, header.urgency)


@cache
def _described(kind: Kind, mode: Mode, urgency: Urgency) -> str:
    return f"{kind.name.lower()} {mode.name.lower()} {urgency.name}"
