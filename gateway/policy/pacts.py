"""What of two partners' agreements is in force in one direction: only what both sides list.

Where both name a figure, the one that protects more counts: more approvals, shorter retention. Of clocks the longer one
counts, because nobody owes what they have not agreed to.
"""

from dataclasses import dataclass, field
from typing import Final

from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.partner import Agreement, Clock, Notification, Regime, Terms
from gateway.policy.cedar import RuleSet, parse_conditions

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
DEFAULT_CLOCKS: Final = {
    Urgency.U0: Clock(receipt_ms=120_000, acknowledge_ms=900_000, decide_ms=_HOUR_MS, status_ms=2 * _HOUR_MS),
    Urgency.U1: Clock(receipt_ms=300_000, acknowledge_ms=_HOUR_MS, decide_ms=8 * _HOUR_MS, status_ms=_DAY_MS),
    Urgency.U2: Clock(receipt_ms=900_000, acknowledge_ms=4 * _HOUR_MS, decide_ms=3 * _DAY_MS, status_ms=7 * _DAY_MS),
    Urgency.U3: Clock(receipt_ms=_HOUR_MS, acknowledge_ms=_DAY_MS, decide_ms=7 * _DAY_MS, status_ms=30 * _DAY_MS),
}
"""domain.md 1.6."""
DEFAULT_RETENTION_DAYS: Final = {Kind.ALERT: 365, Kind.REFERRAL: 730, Kind.REQUEST: 1826}
"""domain.md 4. What continues a case is kept as long as a referral unless an agreement says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsInForce:
    """What counts for one kind between two partners."""

    measures: frozenset[str]
    purposes: frozenset[str]
    legal_bases: frozenset[str]
    approvals: int
    """Different officers who approve what leaves, besides whoever wrote it."""
    clocks: tuple[tuple[Urgency, Clock], ...]
    retention_days: int
    notification: Notification

    def clock(self, urgency: Urgency) -> Clock:
        """Return the targets for an urgency."""
        return dict(self.clocks)[urgency]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pact:
    """An agreement as in force in one direction: what both sides list."""

    id: str
    kinds: frozenset[Kind]
    authorities: frozenset[AuthorityId]
    purposes: frozenset[str]
    modes: frozenset[Mode]
    default_lifetime_ms: int
    needs_officers: bool
    terms: tuple[tuple[Kind, TermsInForce], ...] = ()
    conditions: tuple[RuleSet, ...] = field(default=(), compare=False)
    """What the two sides add; each can only forbid, hold or warn."""

    def terms_for(self, kind: Kind) -> TermsInForce | None:
        """Return the terms for a kind; None for one that has none, as alerts."""
        return dict(self.terms).get(kind)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pact does not cover an exchange."""

    rank: int
    """How many conditions were met: the refusal that came nearest is the one to explain."""
    rule: str
    text: str


def pacts_between(
    sender: PartnerId,
    sent: tuple[Agreement, ...],
    receiver: PartnerId,
    received: tuple[Agreement, ...],
) -> tuple[Pact, ...]:
    """Return what is in force from a sender to a receiver.

    Raises:
        FieldInvalid: The conditions of an agreement cannot be used.
    """
    theirs = {agreement.id: agreement for agreement in received if sender in agreement.partners}
    pacts = [
        Pact(
            id=ours.id,
            kinds=ours.kinds & theirs[ours.id].kinds,
            authorities=ours.authorities,
            purposes=ours.purposes & theirs[ours.id].purposes,
            modes=ours.modes & theirs[ours.id].modes,
            default_lifetime_ms=ours.default_lifetime_ms,
            # Fail closed: a word that is not exactly 'system' holds.
            needs_officers=ours.release != "system",
            terms=_terms(ours, theirs[ours.id]),
            conditions=tuple(
                parse_conditions(ours.id, text)
                for text in sorted({ours.conditions, theirs[ours.id].conditions})
                if text
            ),
        )
        for ours in sent
        if receiver in ours.partners and ours.id in theirs
    ]
    # Where two agreements cover the same exchange, the one that needs no officers comes first.
    return tuple(sorted(pacts, key=lambda pact: (pact.needs_officers, pact.id)))


def cover(
    pacts: tuple[Pact, ...],
    kind: Kind,
    authority: AuthorityId,
    purpose: str,
    mode: Mode,
    *,
    measures: frozenset[str] = frozenset(),
    legal_bases: frozenset[str] | None = None,
) -> Pact | Refusal:
    """Return the first pact that covers an exchange, or the refusal that came nearest.

    Measures and legal bases count for kinds that have terms. Legal bases that are None are not asked about: a gateway
    takes in what it can receipt, and asks when somebody decides.
    """
    nearest = Refusal(0, "agreement/none", "no agreement is in force on both sides")
    for pact in pacts:
        refusal = _refusal(pact, kind, authority, purpose, mode) or _outside_terms(
            pact, kind, purpose, measures, legal_bases
        )
        if refusal is None:
            return pact
        if refusal.rank > nearest.rank:
            nearest = refusal
    return nearest


def listed(partners: list[PartnerId]) -> str:
    """Return partners as people read them."""
    return ", ".join(sorted(partner.code for partner in partners))


def _refusal(pact: Pact, kind: Kind, authority: AuthorityId, purpose: str, mode: Mode) -> Refusal | None:
    if kind not in pact.kinds:
        return Refusal(1, "agreement/kind", f"{pact.id} does not cover kind {kind.name.lower()}")
    if authority not in pact.authorities:
        return Refusal(2, "agreement/authority", f"{pact.id} does not name {authority}")
    if purpose not in pact.purposes:
        return Refusal(3, "agreement/purpose", f"{pact.id} does not list this purpose")
    if mode not in pact.modes:
        return Refusal(4, "agreement/mode", f"{pact.id} does not cover mode {mode.name.lower()}")
    return None


def _outside_terms(
    pact: Pact, kind: Kind, purpose: str, measures: frozenset[str], legal_bases: frozenset[str] | None
) -> Refusal | None:
    terms = pact.terms_for(kind)
    if terms is None:
        return None
    if purpose not in terms.purposes:
        text = f"{pact.id} does not list this purpose for kind {kind.name.lower()}"
        return Refusal(5, "agreement/purpose", text)
    if legal_bases is not None and (not legal_bases or not legal_bases <= terms.legal_bases):
        return Refusal(6, "agreement/legal-basis", f"{pact.id} does not list every legal basis named, or none is named")
    if outside := sorted(measures - terms.measures):
        return Refusal(7, "agreement/measure", f"{pact.id} does not cover {', '.join(outside)}")
    return None


def _terms(ours: Agreement, theirs: Agreement) -> tuple[tuple[Kind, TermsInForce], ...]:
    kinds = sorted((ours.kinds & theirs.kinds) - {Kind.ALERT, Kind.PING})
    return tuple((kind, _merged(kind, ours, theirs)) for kind in kinds)


def _merged(kind: Kind, ours: Agreement, theirs: Agreement) -> TermsInForce:
    first, second = _listed_terms(kind, ours), _listed_terms(kind, theirs)
    # An answer to a request is about the measures of the request.
    asked = (_listed_terms(Kind.REQUEST, ours).measures, _listed_terms(Kind.REQUEST, theirs).measures)
    slower = []
    for urgency in Urgency:
        one, other = first.clock(urgency) or DEFAULT_CLOCKS[urgency], second.clock(urgency) or DEFAULT_CLOCKS[urgency]
        slower.append((urgency, one.slower(other)))
    both = (first.notification, second.notification)
    mandatory = [item.hours for item in both if item.regime is Regime.MANDATORY_BILATERAL]
    return TermsInForce(
        measures=asked[0] & asked[1] if kind is not Kind.REFERRAL else frozenset(),
        purposes=first.purposes & second.purposes,
        legal_bases=first.legal_bases & second.legal_bases,
        approvals=max(first.approvals, second.approvals),
        clocks=tuple(slower),
        retention_days=min(first.retention_days, second.retention_days),
        # Notification without the person's request binds only where both sides have agreed to it (domain.md 3.5).
        notification=(
            Notification(Regime.MANDATORY_BILATERAL, max(mandatory))
            if len(mandatory) == len(both)
            else Notification(Regime.ON_REQUEST, 0)
        ),
    )


def _listed_terms(kind: Kind, agreement: Agreement) -> Terms:
    found = dict(agreement.terms).get(kind)
    if found is not None:
        return found
    return Terms(
        measures=frozenset(),
        purposes=agreement.purposes,
        legal_bases=frozenset(agreement.legal_bases),
        approvals=1,
        clocks=(),
        retention_days=min(agreement.retention_days, DEFAULT_RETENTION_DAYS.get(kind, 730)),
        notification=Notification(Regime.ON_REQUEST, 0),
    )
