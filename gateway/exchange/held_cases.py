"""A held draft as the workflow judges it: from rows to a proposal, and from sealed bytes to what officers said."""

import json
from dataclasses import dataclass
from typing import Final

from gateway.crypto.at_rest import open_words, seal_words
from gateway.crypto.keys import MessageKey
from gateway.errors import FieldInvalid, StateConflict, StoreCorrupt
from gateway.ids import OfficerId
from gateway.policy.decision import Answer, Decided
from gateway.ports import DecisionAct, DecisionRow, StoredHeld
from gateway.workflow.alone import BrokenGlass, LoneAct
from gateway.workflow.approval import Approval, ApprovalState, Draft, Lane, Needed, Proposal

MAX_WORDS: Final = 4000
"""Characters of each text that goes with a decision."""
_BEGINS: Final = frozenset({DecisionAct.PROPOSED, DecisionAct.SENT_ALONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What an officer said with a decision."""

    disclosed: str = ""
    """May be told to whoever asked."""
    internal: str = ""
    """Stays here."""

    def __post_init__(self) -> None:
        for name, text in (("disclosed", self.disclosed), ("internal", self.internal)):
            if len(text) > MAX_WORDS:
                raise FieldInvalid(name, f"must be at most {MAX_WORDS} characters")


NOTHING: Final = Words()


def seal(words: Words, key: MessageKey, number: int) -> bytes:
    """Return words as they are stored; nothing for none."""
    if words == NOTHING:
        return b""
    return seal_words(key, json.dumps([words.disclosed, words.internal]).encode(), number)


def unseal(row: DecisionRow, key: MessageKey) -> Words:
    """Return what was said with a decision.

    Raises:
        StoreCorrupt: It is damaged.
    """
    if not row.words_sealed:
        return NOTHING
    try:
        disclosed, internal = json.loads(open_words(key, row.words_sealed, row.number))
        return Words(disclosed=str(disclosed), internal=str(internal))
    except (ValueError, FieldInvalid):
        raise StoreCorrupt("what was said with a decision is damaged") from None


def draft_of(stored: StoredHeld) -> Draft:
    """Return the draft as the workflow sees it."""
    return Draft(stored.draft.digest, stored.draft.authors)


def proposal_of(stored: StoredHeld) -> Proposal:
    """Return the proposal as it stands.

    Raises:
        StateConflict: Nobody has proposed it, or it has come to an end.
    """
    held = stored.draft
    if held.proposer is None or held.state not in {ApprovalState.PROPOSED, ApprovalState.SENT_ALONE}:
        raise StateConflict(f"it is {held.state.word.replace('_', ' ')}: possible is what its present state allows")
    return Proposal(
        draft=draft_of(stored),
        proposer=held.proposer,
        propose_ms=held.propose_ms,
        due_ms=held.due_ms,
        needed=Needed(held.needs),
        lane=Lane.FAST if held.state is ApprovalState.SENT_ALONE else Lane.ORDINARY,
        approvals=approvals_of(stored),
    )


def approvals_of(stored: StoredHeld) -> tuple[Approval, ...]:
    """Return the approvals of what is proposed now: those of an earlier proposal went with it.

    Raises:
        StoreCorrupt: One of them, or the proposal, was of something else than what is held.
    """
    found: list[Approval] = []
    bound: list[bytes] = []
    for row in stored.decisions:
        if row.act in _BEGINS or row.act is DecisionAct.EDITED:
            found.clear()
            bound = [] if row.act is DecisionAct.EDITED else [row.digest]
        elif row.act is DecisionAct.APPROVED:
            found.append(Approval(OfficerId(row.officer), row.roles, row.rules, row.time_ms))
            bound.append(row.digest)
    # Whoever writes the database could change what is held after one has approved, and have the next approve that.
    if any(digest != stored.draft.digest for digest in bound):
        raise StoreCorrupt("what is held is not what its approvals are of")
    return tuple(found)


def decided_by(approvals: tuple[Approval, ...], *, alone: bool = False) -> Decided:
    """Return approvals as policy asks for them."""
    return Decided(tuple(Answer(item.officer.name, item.roles, item.rules) for item in approvals), alone)


def glass_of(stored: StoredHeld, reason: str, acts: frozenset[LoneAct]) -> BrokenGlass:
    """Return what was done behind broken glass.

    Raises:
        StateConflict: Nothing was, or it has been reviewed.
    """
    held = stored.draft
    if held.proposer is None or held.state is not ApprovalState.REVIEW_DUE:
        raise StateConflict("it is not waiting for a review: possible is to look at its history")
    return BrokenGlass(draft=draft_of(stored), officer=held.proposer, acts=acts, reason=reason, act_ms=held.propose_ms)
