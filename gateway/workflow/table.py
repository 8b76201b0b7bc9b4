"""The one pattern of a state table: who may cause which event in which state, and where it leads.

A pair that is not listed is refused, and the refusal says what is possible instead and who can do it. Two sides keep a
table each and tell one another of what they do. Acts can cross on the way: a table lists which acts of the partner come
too late to change anything (`crossed`), so that both sides end in the same state whatever crossed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from gateway.errors import StateConflict


class State(IntEnum):
    """Where something stands. Numbers are stored."""

    @property
    def word(self) -> str:
        """The state as callers and people read it."""
        return self.name.lower()


class Event(IntEnum):
    """What may happen to something. Numbers are stored."""

    @property
    def word(self) -> str:
        """The event as callers and people read it."""
        return self.name.lower()


class Cause(StrEnum):
    """Who brings an event about, as people read it."""

    OFFICER = "our officers"
    SYSTEM = "our system"
    PARTNER = "the partner"
    CLOCK = "the clock"


class Side(Enum):
    """Which of the two sides keeps a table."""

    SENDER = "sender"
    RECEIVER = "receiver"


S = TypeVar("S", bound=State)
E = TypeVar("E", bound=Event)

OFFICER: Final = frozenset({Cause.OFFICER})
SYSTEM: Final = frozenset({Cause.SYSTEM})
PARTNER: Final = frozenset({Cause.PARTNER})
CLOCK: Final = frozenset({Cause.CLOCK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(Generic[S, E]):
    """One side's table of one kind of thing."""

    noun: str
    """The thing as a refusal names it: 'a referral'."""
    start: S
    rows: Mapping[S, Mapping[E, S]]
    """Every state that this side knows, ends included. What is not listed is refused."""
    causes: Mapping[E, frozenset[Cause]]
    """Who may bring about each event of the rows, on this side."""
    crossed: Mapping[S, frozenset[E]] = field(default_factory=lambda: MappingProxyType({}))
    """Acts of the partner that it made before it knew of the state: on record, and nothing changes."""
    open: frozenset[S]
    """States in which the thing is still without an outcome."""
    advice: Mapping[S, str] = field(default_factory=lambda: MappingProxyType({}))
    """What else a refusal in a state should say."""

    def step(self, state: S, event: E, cause: Cause) -> S:
        """Return the next state.

        Raises:
            StateConflict: The event is not possible in the state, or not for whoever caused it; the text says what is.
        """
        after = self.rows.get(state, {}).get(event)
        if after is not None and cause in self.causes[event]:
            return after
        if cause is Cause.PARTNER and event in self.crossed.get(state, ()):
            return state
        who = f"{cause} cannot {_plain(event)}" if after is not None else f"cannot {_plain(event)}"
        raise StateConflict(f"{who} {self.noun} that is {_plain(state)}: {self.instead(state)}")

    def possible(self, state: S, cause: Cause) -> tuple[E, ...]:
        """Return the events that somebody may cause in a state."""
        return tuple(event for event in self.rows.get(state, {}) if cause in self.causes[event])

    def instead(self, state: S) -> str:
        """Return in words what is possible in a state, and for whom."""
        row = self.rows.get(state, {})
        parts = [f"{_plain(event)} ({', '.join(sorted(self.causes[event]))})" for event in row]
        advice = f"; {self.advice[state]}" if state in self.advice else ""
        return f"possible is {', '.join(parts) or 'nothing'}{advice}"

    def reachable(self) -> frozenset[S]:
        """Return the states to which some path leads."""
        found, todo = {self.start}, [self.start]
        while todo:
            for after in self.rows[todo.pop()].values():
                if after not in found:
                    found.add(after)
                    todo.append(after)
        return frozenset(found)

    def mermaid(self) -> str:
        """Return the table as a state diagram in Mermaid's words, with who may cause each event."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.start.word}"]
        lines += [
            f"    {state.word} --> {after.word}: {event.word} ({', '.join(sorted(self.causes[event]))})"
            for state, row in self.rows.items()
            for event, after in row.items()
        ]
        lines += [f"    {state.word} --> [*]" for state, row in self.rows.items() if not row]
        return "\n".join(lines)


def _plain(item: State | Event) -> str:
    return item.word.replace("_", " ")
