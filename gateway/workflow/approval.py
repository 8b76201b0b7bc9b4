"""Four eyes: a proposal to release or accept something, and the officers who decide on it.

An approval is of a digest of exactly what leaves (or is accepted); an edit voids the proposal. That proposer, editors
and approvers differ is no rule that somebody checks and somebody may forget: no value exists in which they do not.
On which rules officers must decide, how many and in which roles, is the policy's word; it is never fewer than one
besides the proposer. One officer may decide on several rules. Who acts alone in an emergency is in `alone`.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from gateway.errors import FieldInvalid, StateConflict
from gateway.ids import OfficerId
from gateway.workflow.claim import Claim, check_claim
from gateway.workflow.table import CLOCK, OFFICER, Cause, Event, Machine, State

MAX_APPROVALS: Final = 8
MAX_NEEDS: Final = 64
MAX_AUTHORS: Final = 64
SECOND_APPROVAL_MS: Final = 24 * 3_600_000
"""What left by the fast lane lapses unless it is approved in this time (domain notes 1.6)."""
DIGEST_BYTES: Final = 32
DECIDES: Final = frozenset({"approver", "duty_lead"})
NEVER_DECIDES: Final = frozenset({"system", "auditor", "operator"})
"""DESIGN 9: auditors read, operators run, systems hand in. Who has such a role decides in no other either."""
_ROLE: Final = re.compile(r"[a-z][a-z_]{0,31}\Z")
_RULE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}\Z")
_GROUND: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}\Z")


class ApprovalState(State):
    """Where a proposal stands."""

    DRAFT = 1
    PROPOSED = 2
    SENT_ALONE = 3
    """Left by the fast lane; the second approval is awaited."""
    APPROVED = 4
    REFUSED = 5
    WITHDRAWN = 6
    VOIDED = 7
    """What was proposed has been edited: there is a new draft."""
    LAPSED = 8
    REVIEW_DUE = 9
    """Done alone behind broken glass; somebody else reviews it."""
    UPHELD = 10
    FAULTED = 11


class ApprovalEvent(Event):
    """What may happen to a proposal."""

    EDIT = 1
    PROPOSE = 2
    SEND_ALONE = 3
    BREAK_GLASS = 4
    APPROVE = 5
    """The last approval that was needed."""
    REFUSE = 6
    WITHDRAW = 7
    LAPSE = 8
    UPHOLD = 9
    FAULT = 10


_S, _E = ApprovalState, ApprovalEvent
_DECISION: Final = {_E.APPROVE: _S.APPROVED, _E.REFUSE: _S.REFUSED, _E.WITHDRAW: _S.WITHDRAWN, _E.LAPSE: _S.LAPSED}
MACHINE: Final = Machine(
    noun="a proposal",
    start=_S.DRAFT,
    rows={
        _S.DRAFT: {
            _E.EDIT: _S.DRAFT,
            _E.PROPOSE: _S.PROPOSED,
            _E.SEND_ALONE: _S.SENT_ALONE,
            _E.BREAK_GLASS: _S.REVIEW_DUE,
            _E.WITHDRAW: _S.WITHDRAWN,
            _E.LAPSE: _S.LAPSED,
        },
        _S.PROPOSED: {**_DECISION, _E.EDIT: _S.VOIDED},
        _S.SENT_ALONE: _DECISION,
        _S.REVIEW_DUE: {_E.UPHOLD: _S.UPHELD, _E.FAULT: _S.FAULTED},
        **{state: {} for state in (_S.APPROVED, _S.REFUSED, _S.WITHDRAWN, _S.VOIDED, _S.LAPSED, _S.UPHELD, _S.FAULTED)},
    },
    causes={**dict.fromkeys(_E, OFFICER), _E.LAPSE: CLOCK},
    open=frozenset({_S.DRAFT, _S.PROPOSED, _S.SENT_ALONE}),
    advice={
        _S.SENT_ALONE: "what has left is not edited: send an update",
        _S.VOIDED: "look at the new draft",
        _S.LAPSED: "propose it anew",
        _S.REFUSED: "read the ground, and propose a new draft",
    },
)


@dataclass(frozen=True, slots=True)
class Need:
    """Who must decide on one rule."""

    rule: str
    """Id of the rule, as the policy has it."""
    roles: frozenset[str]
    """Officers in any of these may decide."""
    number: int
    """How many different officers, besides the proposer and whoever drafted or edited it."""

    def __post_init__(self) -> None:
        if not _RULE.match(self.rule):
            raise FieldInvalid("need.rule", "must be the id of a rule")
        if not 1 <= self.number <= MAX_APPROVALS:
            raise FieldInvalid("need.number", f"must be 1 to {MAX_APPROVALS} officers besides the proposer")
        if not self.roles or any(not _ROLE.match(role) or role in NEVER_DECIDES for role in self.roles):
            raise FieldInvalid("need.roles", "must be roles that decide")


@dataclass(frozen=True, slots=True)
class Needed:
    """What a decision takes, as the policy has it: every need is met."""

    needs: tuple[Need, ...]

    def __post_init__(self) -> None:
        rules = {need.rule for need in self.needs}
        if not 1 <= len(self.needs) <= MAX_NEEDS or len(rules) != len(self.needs):
            raise FieldInvalid("needs", f"must be 1 to {MAX_NEEDS}, each of another rule")


RELEASE: Final = "release"
ORDINARY: Final = Needed((Need(RELEASE, DECIDES, 1),))
"""One officer besides the proposer."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Something that nobody has proposed yet."""

    digest: bytes
    """SHA-256 of exactly what would leave or be accepted."""
    authors: frozenset[OfficerId]
    """Who drafted or edited it, ever. Empty: a national system handed it in, and nobody has touched it."""

    def __post_init__(self) -> None:
        if len(self.digest) != DIGEST_BYTES:
            raise FieldInvalid("digest", f"must be {DIGEST_BYTES} bytes")
        if len(self.authors) > MAX_AUTHORS:
            raise FieldInvalid("authors", f"must be at most {MAX_AUTHORS} officers")


@dataclass(frozen=True, slots=True)
class Approval:
    """One officer's approval."""

    officer: OfficerId
    roles: frozenset[str]
    """Every role that the officer held."""
    rules: frozenset[str]
    """What the officer decided on."""
    approve_ms: int


class Lane(Enum):
    """How a proposal came about."""

    ORDINARY = ApprovalState.PROPOSED
    FAST = ApprovalState.SENT_ALONE
    """It has left already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A draft that an officer has proposed."""

    draft: Draft
    proposer: OfficerId
    propose_ms: int
    due_ms: int
    """When it lapses."""
    needed: Needed
    lane: Lane
    approvals: tuple[Approval, ...] = ()

    def __post_init__(self) -> None:
        if self.due_ms <= self.propose_ms:
            raise FieldInvalid("due_ms", "must be after the proposal")
        if self.lane is Lane.FAST and self.due_ms != self.propose_ms + SECOND_APPROVAL_MS:
            raise FieldInvalid("due_ms", "must be 24 hours after what the fast lane sent")
        approvers = [item.officer for item in self.approvals]
        # The invariant of four eyes, whoever builds the value and from wherever.
        if {self.proposer, *self.draft.authors} & set(approvers) or len(set(approvers)) != len(approvers):
            raise StateConflict(
                "whoever drafted, edited, proposed or approved it cannot approve it: possible for another"
            )
        if any(not self.propose_ms <= item.approve_ms < self.due_ms for item in self.approvals):
            raise StateConflict("an approval counts from the proposal until it lapses: possible is to propose it anew")
        for item in self.approvals:
            check_decides(item.roles, self.needed)
            _check_rules(item, self.needed)

    @property
    def missing(self) -> tuple[Need, ...]:
        """What is still to be decided, and by whom."""
        return tuple(
            need for need in self.needed.needs if sum(need.rule in item.rules for item in self.approvals) < need.number
        )


@dataclass(frozen=True, slots=True)
class Approved:
    """A proposal with every approval that it takes."""

    proposal: Proposal

    def __post_init__(self) -> None:
        if self.proposal.missing:
            raise StateConflict("approvals are missing: possible is to approve or refuse it")

    @property
    def digest(self) -> bytes:
        """What was approved, and nothing else."""
        return self.proposal.draft.digest

    @property
    def decide_ms(self) -> int:
        """When the last approval was given."""
        return self.proposal.approvals[-1].approve_ms


@dataclass(frozen=True, slots=True)
class Ended:
    """A proposal that came to nothing: refused, withdrawn, voided or lapsed."""

    state: ApprovalState
    draft: Draft
    officer: OfficerId | None
    """Who ended it; None: the clock."""
    ground: str
    """Code of a refusal, else empty."""
    end_ms: int


def edit(draft: Draft, editor: OfficerId, digest: bytes) -> Draft:
    """Return the draft after an officer has changed it; the officer is one of its authors from now on."""
    return Draft(digest, draft.authors | {editor})


def propose(
    draft: Draft, proposer: OfficerId, needed: Needed, *, due_ms: int, claim: Claim | None, now_ms: int
) -> Proposal:
    """Propose a draft.

    Raises:
        StateConflict: Another officer's claim runs.
        FieldInvalid: It would have lapsed already.
    """
    check_claim(claim, proposer, now_ms)
    return Proposal(draft=draft, proposer=proposer, propose_ms=now_ms, due_ms=due_ms, needed=needed, lane=Lane.ORDINARY)


def approve(
    proposal: Proposal,
    officer: OfficerId,
    roles: frozenset[str],
    *,
    rules: frozenset[str],
    digest: bytes,
    claim: Claim | None,
    now_ms: int,
) -> Proposal | Approved:
    """Approve what an officer was shown; the last approval that is needed makes it approved.

    Args:
        proposal: The proposal.
        officer: Who approves.
        roles: The roles that the officer holds.
        rules: The rules on which the officer has decided.
        digest: Of what the officer was shown.
        claim: Who works on it.
        now_ms: The time.

    Raises:
        StateConflict: The officer may not, the time is over, or it is not what was shown.
    """
    _check_deciding(proposal, _E.APPROVE, officer, claim, now_ms)
    if digest != proposal.draft.digest:
        raise StateConflict("what was shown is not what is proposed: possible is to look at it again")
    missing = {need.rule for need in proposal.missing}
    if not rules & missing:
        raise StateConflict(f"nothing of this is still to be decided: possible is {', '.join(sorted(missing))}")
    after = replace(proposal, approvals=(*proposal.approvals, Approval(officer, roles, rules, now_ms)))
    return after if after.missing else Approved(after)


def refuse(
    proposal: Proposal, officer: OfficerId, roles: frozenset[str], *, ground: str, claim: Claim | None, now_ms: int
) -> Ended:
    """Refuse a proposal. One refusal suffices.

    Raises:
        StateConflict: The officer may not, or the time is over; the text says what is possible.
        FieldInvalid: The ground is no code.
    """
    _check_deciding(proposal, _E.REFUSE, officer, claim, now_ms)
    check_decides(roles, proposal.needed)
    if officer in {proposal.proposer, *proposal.draft.authors}:
        raise StateConflict("whoever drafted, edited or proposed it cannot refuse it: possible is to withdraw it")
    if not _GROUND.match(ground):
        raise FieldInvalid("ground", "must be a code, as in DUAL_CRIMINALITY")
    return Ended(_S.REFUSED, proposal.draft, officer, ground, now_ms)


def withdraw(of: Draft | Proposal, officer: OfficerId, now_ms: int) -> Ended:
    """Withdraw a draft or a proposal. Whoever drafted, edited or proposed it may; the duty lead asks one of them.

    Raises:
        StateConflict: The officer has no part in it, or the time is over; the text says what is possible.
    """
    draft = of.draft if isinstance(of, Proposal) else of
    if isinstance(of, Proposal):
        _check_time(of, _E.WITHDRAW, now_ms)
    mine = draft.authors | {of.proposer} if isinstance(of, Proposal) else draft.authors
    if mine and officer not in mine:
        raise StateConflict("only whoever drafted, edited or proposed it can withdraw it: possible is to refuse it")
    return Ended(_S.WITHDRAWN, draft, officer, "", now_ms)


def void(proposal: Proposal, editor: OfficerId, digest: bytes, now_ms: int) -> tuple[Ended, Draft]:
    """Edit what is proposed: the proposal and its approvals are void, and there is a new draft.

    Raises:
        StateConflict: It has left already, or the time is over; the text says what is possible.
    """
    _check_time(proposal, _E.EDIT, now_ms)
    return Ended(_S.VOIDED, proposal.draft, editor, "", now_ms), edit(proposal.draft, editor, digest)


def lapse(proposal: Proposal, now_ms: int) -> Ended | None:
    """Return the end of a proposal whose time is over; None: it runs on."""
    if now_ms < proposal.due_ms:
        return None
    MACHINE.step(proposal.lane.value, _E.LAPSE, Cause.CLOCK)
    return Ended(_S.LAPSED, proposal.draft, None, "", proposal.due_ms)


def check_executor(approved: Approved, officer: OfficerId) -> None:
    """Check that an officer may carry out what was approved.

    Raises:
        StateConflict: The officer drafted, proposed or approved it (domain notes 1.5).
    """
    part = {approved.proposal.proposer, *approved.proposal.draft.authors}
    if officer in part | {item.officer for item in approved.proposal.approvals}:
        raise StateConflict(
            "whoever drafted, proposed or approved it cannot carry it out: possible for another officer"
        )


def check_decides(roles: frozenset[str], needed: Needed) -> None:
    """Check that somebody with these roles may decide.

    Raises:
        StateConflict: None of them decides here, or one of them never does.
    """
    deciding = frozenset[str]().union(*(need.roles for need in needed.needs))
    if roles & NEVER_DECIDES or not roles & deciding:
        raise StateConflict(f"these roles do not decide on it: possible for {', '.join(sorted(deciding))}")


def _check_rules(approval: Approval, needed: Needed) -> None:
    by_rule = {need.rule: need for need in needed.needs}
    for rule in sorted(approval.rules):
        if rule not in by_rule:
            raise StateConflict(f"'{rule}' is not to be decided: possible is {', '.join(sorted(by_rule))}")
        if not approval.roles & by_rule[rule].roles:
            who = ", ".join(sorted(by_rule[rule].roles))
            raise StateConflict(f"these roles do not decide on '{rule}': possible for {who}")


def _check_deciding(
    proposal: Proposal, event: ApprovalEvent, officer: OfficerId, claim: Claim | None, now_ms: int
) -> None:
    _check_time(proposal, event, now_ms)
    check_claim(claim, officer, now_ms)


def _check_time(proposal: Proposal, event: ApprovalEvent, now_ms: int) -> None:
    # A clock that nobody has read yet has run out all the same.
    state = proposal.lane.value if now_ms < proposal.due_ms else _S.LAPSED
    MACHINE.step(state, event, Cause.OFFICER)
