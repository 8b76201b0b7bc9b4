"""The answer about a protected person, which is the answer that there is no record (DESIGN 8, rule B2).

Whoever asks must not learn from the answer, its size, its way through the officers or its hour whether there is
something to protect. So nothing of the plan depends on the truth: states and outcome are fixed for the kind, the body
is filled up to one size, and every instant is drawn from a key that never leaves this gateway, the thread, and the
clock that both sides agreed to. A true 'no record' is planned here as well; an answer that left at once because nothing
was found would give all others away.

Pure: the same inputs give the same plan on every replica and after a restart. Leaves to others: keeping the two kinds
of case in one queue, and doing the work on both, because an answer that is ready late leaves in a later round.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Literal

from gateway.crypto.framing import pae
from gateway.errors import MessageTooLarge
from gateway.ids import ThreadId
from gateway.model.header import Kind
from gateway.model.partner import Clock

Truth = Literal["no_record", "protected"]
KEY_BYTES: Final = 32
ANSWER_BYTES: Final = 4096
"""Of the body that is sealed, filled up to it. An answer with a coded outcome and no words has about 200."""
_LABEL: Final = "concord/equal-answer/v1"
_TRUTHS: Final = frozenset({"no_record", "protected"})
_REFERRAL: Final = ("acknowledged", "accepted", "in_progress", "resolved")
_REQUEST: Final = ("acknowledged", "under_review", "approved", "executing", "answered")
_OUTCOME: Final = {Kind.REFERRAL: "not_found", Kind.REQUEST: "NOT_LOCATED"}
"""domain.md 1.4 and 3.2."""


@dataclass(frozen=True, slots=True)
class PlannedState:
    """A state that the other side is told of, and when."""

    state: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPlan:
    """Everything that the other side can observe of an answer."""

    kind: Kind
    states: tuple[PlannedState, ...]
    outcome: str
    body_bytes: int
    """To which the body is filled up."""
    send_ms: int
    """The instant at which it leaves: that of the last state."""


def plan_answer(
    truth: Truth,
    *,
    key: bytes,
    thread: ThreadId,
    kind: Kind,
    clock: Clock,
    receive_ms: int,
    ready_ms: int,
) -> AnswerPlan:
    """Return the plan of an answer to a referral or a request.

    key is KEY_BYTES of this gateway's own, used for nothing else. ready_ms is when the officers have finished; the
    answer leaves at the first drawn instant from then on.

    Raises:
        ValueError: The key is short, the kind is not one that is answered so, or the truth is neither of the two. A
            mistake of the program: it must not become an answer.
    """
    if len(key) != KEY_BYTES or kind not in _OUTCOME or truth not in _TRUTHS:
        raise ValueError("no equal answer can be planned")
    names = _REFERRAL if kind is Kind.REFERRAL else _REQUEST
    # Rounds as long as the time for a decision. Within a round the last tenth stays free, so that the first answer is
    # within its target, and the first half, so that most work is done by then.
    number = max(0, (ready_ms - receive_ms) // clock.decide_ms)
    send_ms = _instant(key, thread, receive_ms, clock, number)
    if send_ms < ready_ms:
        send_ms = _instant(key, thread, receive_ms, clock, number + 1)
    seen_ms = receive_ms + _drawn(key, thread, "seen", clock.acknowledge_ms // 4, clock.acknowledge_ms * 3 // 4)
    seen_ms = min(seen_ms, send_ms)
    steps = len(names) - 1
    states = tuple(PlannedState(name, seen_ms + (send_ms - seen_ms) * step // steps) for step, name in enumerate(names))
    return AnswerPlan(kind=kind, states=states, outcome=_OUTCOME[kind], body_bytes=ANSWER_BYTES, send_ms=send_ms)


def check_fits(body: bytes) -> None:
    """Refuse a body that would stand out by its size.

    Raises:
        MessageTooLarge: It has more than ANSWER_BYTES.
    """
    if len(body) > ANSWER_BYTES:
        raise MessageTooLarge("an answer about a person", len(body), ANSWER_BYTES)


def _instant(key: bytes, thread: ThreadId, receive_ms: int, clock: Clock, number: int) -> int:
    start_ms = receive_ms + number * clock.decide_ms
    return start_ms + _drawn(key, thread, f"round {number}", clock.decide_ms // 2, clock.decide_ms * 9 // 10)


def _drawn(key: bytes, thread: ThreadId, what: str, low: int, high: int) -> int:
    """Return a number from low up to but without high, the same for the same thread."""
    digest = hmac.digest(key, pae(_LABEL, thread.raw, what.encode()), hashlib.sha256)
    return low + int.from_bytes(digest[:8], "big") % max(1, high - low)
