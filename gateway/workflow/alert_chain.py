"""Which alert an update or cancellation is about: the one place where that is decided, for both sides.

Only an alert of the same partner can be updated or cancelled, by whatever name. A newcomer that names an alert which
others have replaced since replaces the last of them; one that comes after its own successor takes its place before it.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.alert import AlertType
from gateway.model.header import Mode, Supersedes
from gateway.values import dataclass
from gateway.workflow.alert import DOUBTFUL, AlertEvent, AlertState

MAX_CHAIN: Final = 64
"""Replacements followed from the alert that a partner names to the last one. Its gateway names the last."""
MAX_OWN_CHAIN: Final = 1024
"""The same for what our own systems name: hourly updates for six weeks, each naming the first alert only."""


class Problem(StrEnum):
    """Why an alert cannot be tied to its predecessor. Stable: shown as the reason of a quarantine."""

    NONE_NAMED = "predecessor_not_named"
    UNKNOWN = "predecessor_unknown"
    FOREIGN = "predecessor_foreign"
    SELF = "predecessor_self"
    CHANGED = "predecessor_changed"
    NO_ALERT = "predecessor_no_alert"
    OTHER_MODE = "predecessor_other_mode"
    QUARANTINED = "predecessor_quarantined"
    CANCELLED = "predecessor_cancelled"
    TOO_FAR = "predecessor_too_far"


WORDS: Final = {
    Problem.NONE_NAMED: "it names no alert that it is about",
    Problem.UNKNOWN: "the alert it is about is not known here",
    Problem.FOREIGN: "the alert it is about was issued by another state",
    Problem.SELF: "it refers only to itself",
    Problem.CHANGED: "the alert it is about has other content than it says",
    Problem.NO_ALERT: "what it is about is itself no alert or update",
    Problem.OTHER_MODE: "the alert it is about is of another mode",
    Problem.QUARANTINED: "the alert it is about is itself in doubt",
    Problem.CANCELLED: "the alert it is about is cancelled already",
    Problem.TOO_FAR: "the alert it is about has been replaced too often since",
}
REMEDIES: Final = {
    Problem.NONE_NAMED: "name it: supersedes_id with its commitment, or a reference (sender,identifier,sent)",
    Problem.UNKNOWN: "name an alert sent from here, as `concord alert list` shows them, or issue a new alert",
    Problem.FOREIGN: "only its issuer may update or cancel it; ask its desk, or issue an alert of your own",
    Problem.SELF: "name the alert before this one, or send it as a new alert",
    Problem.CHANGED: "take id and commitment from the answer to its submission",
    Problem.NO_ALERT: "name the alert itself; what was cancelled is warned of again by a new alert",
    Problem.OTHER_MODE: "exercises and actual alerts never touch one another: issue a new alert",
    Problem.CANCELLED: "issue a new alert",
    Problem.TOO_FAR: "name the last of them, as `concord alert list` shows it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAlert:
    """An alert that is stored, as far as its chain is concerned."""

    partner: PartnerId
    key: bytes
    """Keyed digest of what CAP calls it."""
    message_id: MessageId
    thread_id: ThreadId
    alert_type: AlertType
    mode: Mode
    state: AlertState
    create_ms: int
    expire_ms: int
    content_commitment: bytes
    successor_id: MessageId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an alert says of itself and of its predecessor."""

    partner: PartnerId
    message_id: MessageId | None
    """None while it has none: it is being submitted."""
    alert_type: AlertType
    mode: Mode
    create_ms: int
    supersedes: Supersedes | None
    references: tuple[bytes, ...]
    """Keyed digests of the alerts named as CAP does, newest first, itself left out."""
    self_reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """An alert's place in its chain."""

    event: AlertEvent | None = None
    """What it does to its predecessor; None: it stands at the beginning."""
    predecessor: KnownAlert | None = None
    overtaken_by: KnownAlert | None = None
    """A later alert that has ended the predecessor already, and with it this one."""
    problem: Problem | None = None


ById = Callable[[PartnerId, MessageId], KnownAlert | None]
ByKey = Callable[[bytes], Sequence[KnownAlert]]


def event_of(alert_type: AlertType, *, supersedes: bool) -> AlertEvent | None:
    """Return what an alert of a type does to its predecessor; None: it has none."""
    match alert_type:
        case AlertType.CANCEL:
            return AlertEvent.CANCEL
        case AlertType.UPDATE:
            return AlertEvent.SUPERSEDE
        case AlertType.ALERT:
            return AlertEvent.SUPERSEDE if supersedes else None
        case AlertType.ACK | AlertType.ERROR:
            return None


def relate(claim: Claim, by_id: ById, by_key: ByKey, limit: int = MAX_CHAIN) -> Relation:
    """Find the place of an alert among those known.

    Args:
        by_key: Of the alerts of a name at least the claimant's newest of each mode, or another's when it has none.
        limit: Replacements followed.
    """
    event = event_of(claim.alert_type, supersedes=claim.supersedes is not None)
    if event is None:
        return Relation()
    named = _named(claim, by_id, by_key)
    if isinstance(named, Problem):
        return Relation(event=event, problem=named)
    if named.mode is not claim.mode:
        return Relation(event=event, problem=Problem.OTHER_MODE)
    if named.alert_type not in {AlertType.ALERT, AlertType.UPDATE}:
        return Relation(event=event, problem=Problem.NO_ALERT)
    for _ in range(limit):
        after = by_id(claim.partner, named.successor_id) if named.successor_id is not None else None
        if after is None or (claim.message_id is not None and after.message_id == claim.message_id):
            break
        if _is_before(claim, after):
            return Relation(event=event, predecessor=named, overtaken_by=after)
        if named.state is AlertState.CANCELLED:
            break
        named = after
    else:
        # To end one in the middle would leave the last in force: what is too far to see is in doubt.
        return Relation(event=event, predecessor=named, problem=Problem.TOO_FAR)
    if named.state is AlertState.CANCELLED:
        return Relation(event=event, predecessor=named, problem=Problem.CANCELLED)
    if named.state is AlertState.SUPERSEDED:
        # By one that is not known any more.
        return Relation(event=event, predecessor=named, problem=Problem.TOO_FAR)
    if named.state in DOUBTFUL:
        return Relation(event=event, predecessor=named, problem=Problem.QUARANTINED)
    return Relation(event=event, predecessor=named)


def _named(claim: Claim, by_id: ById, by_key: ByKey) -> KnownAlert | Problem:
    if claim.supersedes is not None:
        if claim.supersedes.message_id == claim.message_id:
            return Problem.SELF
        found = by_id(claim.partner, claim.supersedes.message_id)
        if found is not None:
            same = found.content_commitment == claim.supersedes.content_commitment
            return found if same else Problem.CHANGED
    foreign = False
    for key in claim.references:
        known = by_key(key)
        own = [item for item in known if item.partner == claim.partner and item.message_id != claim.message_id]
        if own:
            # The same file may have been sent more than once, to other recipients.
            return max(own, key=lambda item: (item.mode is claim.mode, item.create_ms, item.message_id))
        foreign = foreign or any(item.partner != claim.partner for item in known)
    if foreign:
        return Problem.FOREIGN
    if claim.supersedes is not None or claim.references:
        return Problem.UNKNOWN
    return Problem.SELF if claim.self_reference else Problem.NONE_NAMED


def _is_before(claim: Claim, other: KnownAlert) -> bool:
    if claim.message_id is None:
        return False
    return (claim.create_ms, claim.message_id) < (other.create_ms, other.message_id)
