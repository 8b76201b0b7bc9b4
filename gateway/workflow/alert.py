"""The life of an alert: the state tables of its issuer and of its receivers.

A pair that a table does not list is refused. Expiry is read off the clock and never stored, so an alert is over for
everybody at the same instant, whoever was told what. A receiver follows the issuer to the end state.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from gateway.errors import StateConflict


class AlertState(IntEnum):
    """Where an alert stands. Numbers are stored; EXPIRED, SUBMITTED, REJECTED and RECEIVED never are."""

    SUBMITTED = 1
    REJECTED = 2
    ISSUED = 3
    RECEIVED = 4
    QUARANTINED = 5
    VALIDATED = 6
    RELAYED = 7
    NOTED = 8
    DECLINED = 9
    SUPERSEDED = 10
    CANCELLED = 11
    EXPIRED = 12
    DISMISSED = 13

    @property
    def word(self) -> str:
        """The state as callers and people read it."""
        return self.name.lower()


class AlertEvent(IntEnum):
    """What may happen to an alert."""

    ISSUE = 1
    REJECT = 2
    QUARANTINE = 3
    VALIDATE = 4
    RELAY = 5
    NOTE = 6
    DECLINE = 7
    SUPERSEDE = 8
    CANCEL = 9

    @property
    def word(self) -> str:
        """The event as callers and people read it."""
        return self.name.lower()


Table = Mapping[AlertState, Mapping[AlertEvent, AlertState]]

_S, _E = AlertState, AlertEvent
_ENDS: Final = {_E.SUPERSEDE: _S.SUPERSEDED, _E.CANCEL: _S.CANCELLED}

ISSUER: Final[Table] = {
    _S.SUBMITTED: {_E.ISSUE: _S.ISSUED, _E.REJECT: _S.REJECTED},
    _S.REJECTED: {},
    _S.ISSUED: _ENDS,
    _S.SUPERSEDED: {},
    _S.CANCELLED: {},
    # What is over needs no end: whoever still has to warn issues a new alert.
    _S.EXPIRED: {},
}
_OPEN: Final = {_E.RELAY: _S.RELAYED, _E.NOTE: _S.NOTED, _E.DECLINE: _S.DECLINED}
RECEIVER: Final[Table] = {
    _S.RECEIVED: {_E.QUARANTINE: _S.QUARANTINED, _E.VALIDATE: _S.VALIDATED},
    # Never relayed, by no detour either: to hand a doubtful cancellation on is what an attacker wants.
    _S.QUARANTINED: {_E.VALIDATE: _S.VALIDATED, _E.DECLINE: _S.DISMISSED},
    _S.DISMISSED: {},
    _S.VALIDATED: {**_OPEN, **_ENDS},
    _S.RELAYED: _ENDS,
    _S.NOTED: {_E.RELAY: _S.RELAYED, **_ENDS},
    _S.DECLINED: {_E.RELAY: _S.RELAYED, _E.NOTE: _S.NOTED, **_ENDS},
    _S.SUPERSEDED: {},
    _S.CANCELLED: {},
    # An update may have been under way when the time was over: the issuer has the last word.
    _S.EXPIRED: _ENDS,
}

_ENDED: Final = frozenset({_S.REJECTED, _S.SUPERSEDED, _S.CANCELLED})
DOUBTFUL: Final = frozenset({_S.QUARANTINED, _S.DISMISSED})
"""What does not count, whatever its issuer says of it."""
_ADVICE: Final = {
    _S.SUPERSEDED: "look at the alert that took its place",
    _S.CANCELLED: "its issuer has cancelled it",
    _S.EXPIRED: "its time is over",
    _S.REJECTED: "hand in a new draft",
    _S.QUARANTINED: "it is in doubt until its predecessor is known",
    _S.DISMISSED: "it was declined while it was in doubt, which is final",
}


def step(table: Table, state: AlertState, event: AlertEvent) -> AlertState:
    """Return the next state.

    Raises:
        StateConflict: The table does not list the pair; the text says what is possible instead.
    """
    try:
        return table[state][event]
    except KeyError:
        pass
    possible = ", ".join(item.word for item in table.get(state, {})) or "nothing"
    advice = f"; {_ADVICE[state]}" if state in _ADVICE else ""
    raise StateConflict(f"cannot {event.word} an alert that is {state.word}: possible is {possible}{advice}")


def state_at(state: AlertState, expire_ms: int, now_ms: int) -> AlertState:
    """Return the state as it is shown at an instant.

    Quarantine outlasts expiry: an alert in doubt that is over is still in doubt.
    """
    if expire_ms <= now_ms and state not in _ENDED | DOUBTFUL:
        return AlertState.EXPIRED
    return state


def mermaid(table: Table) -> str:
    """Return the table as a state diagram in Mermaid's words. Expiry, which is time's doing, is drawn too."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table)).word}"]
    lines += [
        f"    {state.word} --> {after.word}: {event.word}"
        for state, row in table.items()
        for event, after in row.items()
    ]
    lines += [
        f"    {state.word} --> expired: (time)"
        for state in table
        if state not in {AlertState.SUBMITTED, AlertState.RECEIVED} and state_at(state, 0, 1) is not state
    ]
    return "\n".join(lines)
