"""What the use cases tell whoever counts: once a batch or a frame, never once a message, and never any content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.exchange.sealed_rows import ReadyEnvelope
from gateway.ids import MessageId, PartnerId
from gateway.model.envelope import Outcome


@dataclass(frozen=True, slots=True)
class Answered:
    """A sent envelope and what its recipient has stated about it."""

    item: ReadyEnvelope
    outcome: Outcome
    reason: str
    """The recipient's word: anything that fits a reason's form."""


class Observer(Protocol):
    """Hears of what happened. It must not raise and must not wait."""

    def began(self) -> int:
        """Return a mark to hand back with what began now."""
        ...

    def submitted(self, began: int, submissions: Sequence[Any], answers: Sequence[Any]) -> None:
        """A batch of submissions was answered; began is 0 when it was refused as a whole, before or in its commit."""
        ...

    def released(self, message_id: MessageId, trace: bytes) -> None:
        """A message of a sampled call is durable and will be offered to links now."""
        ...

    def sending(self, partner: PartnerId, envelopes: Sequence[ReadyEnvelope]) -> tuple[bytes, ...]:
        """A frame is about to leave; return its envelopes' trace contexts, nothing when none is sampled."""
        ...

    def settled(self, partner: PartnerId, answered: Sequence[Answered], now_ms: int) -> None:
        """Receipts of envelopes under way were verified and stored."""
        ...

    def taken_in(
        self, began: int, partner: PartnerId, traces: Sequence[bytes], counts: Mapping[tuple[str, str], int]
    ) -> None:
        """A frame was judged; counts are by outcome and reason."""
        ...


class Unobserved:
    """Nobody counts."""

    def began(self) -> int:
        """Nothing begins."""
        return 0

    def submitted(self, began: int, submissions: Sequence[Any], answers: Sequence[Any]) -> None:
        """Not counted."""

    def released(self, message_id: MessageId, trace: bytes) -> None:
        """Not followed."""

    def sending(self, partner: PartnerId, envelopes: Sequence[ReadyEnvelope]) -> tuple[bytes, ...]:  # noqa: ARG002
        """Nothing is followed."""
        return ()

    def settled(self, partner: PartnerId, answered: Sequence[Answered], now_ms: int) -> None:
        """Not counted."""

    def taken_in(
        self, began: int, partner: PartnerId, traces: Sequence[bytes], counts: Mapping[tuple[str, str], int]
    ) -> None:
        """Not counted."""


UNOBSERVED = Unobserved()
