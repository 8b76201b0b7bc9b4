"""The life of a recall or correction: what each receiver has said about it.

A recall asks for data to be destroyed, a correction for them to be replaced; either way each receiver confirms for
itself, and for those to whom it has handed the data on. That a receiver is overdue is read off the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.ids import PartnerId
from gateway.workflow.table import OFFICER, PARTNER, Event, Machine, Side, State


class RecallState(State):
    """What one receiver has said."""

    ASKED = 1
    PASSED_ON = 2
    """Done at the receiver; it waits for those to whom it has handed the data on."""
    CONFIRMED = 3
    REFUSED = 4


class RecallEvent(Event):
    """What a receiver may say. There is no way to take a confirmation back."""

    PASS_ON = 1
    CONFIRM = 2
    REFUSE = 3


_S, _E = RecallState, RecallEvent
_ROWS: Final = {
    _S.ASKED: {_E.PASS_ON: _S.PASSED_ON, _E.CONFIRM: _S.CONFIRMED, _E.REFUSE: _S.REFUSED},
    _S.PASSED_ON: {_E.CONFIRM: _S.CONFIRMED, _E.REFUSE: _S.REFUSED},
    # Law may change, and a court may decide: a refusal is not the last word.
    _S.REFUSED: {_E.PASS_ON: _S.PASSED_ON, _E.CONFIRM: _S.CONFIRMED},
    _S.CONFIRMED: {},
}
_OPEN: Final = frozenset({_S.ASKED, _S.PASSED_ON})
SENDER: Final = Machine(noun="a recall", start=_S.ASKED, rows=_ROWS, causes=dict.fromkeys(_E, PARTNER), open=_OPEN)
RECEIVER: Final = Machine(noun="a recall", start=_S.ASKED, rows=_ROWS, causes=dict.fromkeys(_E, OFFICER), open=_OPEN)
MACHINES: Final = {Side.SENDER: SENDER, Side.RECEIVER: RECEIVER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who has said what at an instant. Every receiver is in exactly one of the four."""

    confirmed: tuple[PartnerId, ...]
    refused: tuple[PartnerId, ...]
    waiting: tuple[PartnerId, ...]
    overdue: tuple[PartnerId, ...]

    @property
    def complete(self) -> bool:
        """Whether every receiver has confirmed."""
        return not (self.refused or self.waiting or self.overdue)


def standing(receivers: Mapping[PartnerId, RecallState], due_ms: int, now_ms: int) -> Standing:
    """Return who has confirmed, refused, may still take its time, or is overdue."""
    found = {state: tuple(sorted(item for item, of in receivers.items() if of is state)) for state in RecallState}
    silent = tuple(sorted(found[_S.ASKED] + found[_S.PASSED_ON]))
    late = now_ms >= due_ms
    return Standing(
        confirmed=found[_S.CONFIRMED],
        refused=found[_S.REFUSED],
        waiting=() if late else silent,
        overdue=silent if late else (),
    )
