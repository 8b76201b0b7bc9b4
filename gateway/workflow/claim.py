"""Claims: for a while one officer works on a proposal, and others see it and keep their hands off.

A lease, not a lock: it ends by itself. It decides nothing about who may approve; `approval` does.
"""

from dataclasses import dataclass
from typing import Final

from gateway.errors import StateConflict
from gateway.ids import OfficerId

LEASE_MS: Final = 15 * 60_000
"""Console screen S3: 15 minutes, renewable."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who works on a proposal, and until when nobody else does."""

    officer: OfficerId
    until_ms: int


def take(held: Claim | None, officer: OfficerId, now_ms: int) -> Claim:
    """Claim, or renew one's own claim.

    Raises:
        StateConflict: Somebody else's claim runs.
    """
    check_claim(held, officer, now_ms)
    return Claim(officer, now_ms + LEASE_MS)


def give_back(held: Claim | None, officer: OfficerId, now_ms: int) -> None:
    """Check that an officer may end the claim.

    Raises:
        StateConflict: Somebody else's claim runs.
    """
    check_claim(held, officer, now_ms)


def hand_over(held: Claim | None, giver: OfficerId, receiver: OfficerId, now_ms: int, *, lead: bool) -> Claim:
    """Hand a claim to a colleague.

    Args:
        held: The claim as it is.
        giver: Who hands it over: its holder, or a duty lead, who may take it from somebody who has gone.
        receiver: Who works on it from now.
        now_ms: The time.
        lead: The giver is a duty lead on duty.

    Raises:
        StateConflict: It is not the giver's to hand over.
    """
    if not lead:
        check_claim(held, giver, now_ms)
        if held is None or held.officer != giver or held.until_ms <= now_ms:
            raise StateConflict("cannot hand over what is not claimed: possible is to claim it")
    return Claim(receiver, now_ms + LEASE_MS)


def check_claim(held: Claim | None, officer: OfficerId, now_ms: int) -> None:
    """Check that no other officer's claim runs.

    Raises:
        StateConflict: Somebody else's claim runs; the text says whose and until when it does at most.
    """
    if held is not None and held.officer != officer and now_ms < held.until_ms:
        minutes = (held.until_ms - now_ms + 59_999) // 60_000
        raise StateConflict(
            f"{held.officer} works on it for at most {minutes} more min: possible is to wait, or to ask for a hand-over"
        )
