"""What the judging of a frame came to, for its answer, its commit and whoever counts."""

from collections import Counter
from dataclasses import dataclass, field

from gateway.crypto.envelope import OpenedEnvelope
from gateway.model.envelope import ReceiptProof
from gateway.model.header import Header
from gateway.model.message import Body
from gateway.ports import Deferral


@dataclass(slots=True)
class Judged:
    """What a frame's envelopes came to, by index in the frame."""

    accepted: list[tuple[int, OpenedEnvelope, Body]] = field(default_factory=list)
    pings: list[tuple[int, OpenedEnvelope]] = field(default_factory=list)
    refused: list[tuple[int, bytes, str, bytes]] = field(default_factory=list)
    """With digest, reason, and the message id that the envelope claims."""
    repeats: list[ReceiptProof] = field(default_factory=list)
    resealed: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    """Known messages under an envelope that has no receipt yet, with the leaf of when they first came."""
    retired: list[tuple[int, Header]] = field(default_factory=list)
    """Sealed for a key that is retired."""
    deferrals: list[Deferral] = field(default_factory=list)

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how many there are, by outcome and reason."""
        counts = Counter(
            {
                ("received", ""): len(self.accepted),
                ("ping", ""): len(self.pings),
                ("repeated", ""): len(self.repeats),
            }
        )
        counts.update(("refused", reason) for _, _, reason, _ in self.refused)
        counts.update(("deferred", item.reason) for item in self.deferrals)
        return counts
