"""Decides on facts: safeguards first, then agreements, then what the two sides have added, then holds.

A later step can only take away. Whatever is missing, fails or is not understood is Deny; anything but Allow is not
allowed. Alerts on their way take the quicker gateway.policy.agreements, whose blocks say the same.

Leaves to others: stating the facts, keeping officers' decisions, telling a partner nothing but a coded ground.
"""

from collections.abc import Mapping
from typing import Final

from gateway.errors import ConfigInvalid
from gateway.ids import PartnerId
from gateway.model.header import Kind, Mode
from gateway.model.partner import Profile
from gateway.policy.cedar import Rule, RuleSet, Undecided, safeguards
from gateway.policy.decision import DECIDING_ROLES, RELEASE, Allow, Decision, Deny, Hold, Need
from gateway.policy.facts import Facts, context, missing, officers_who_answer
from gateway.policy.pacts import DEFAULT_RETENTION_DAYS, Pact, Refusal, TermsInForce, cover, pacts_between

FACTS_MISSING: Final = "safeguard/facts-missing"
UNDECIDED: Final = "safeguard/undecided"
_SHORTEST_RETENTION: Final = min(DEFAULT_RETENTION_DAYS.values())


class CasePolicy:
    """Decides on every kind of exchange from facts about it."""

    def __init__(self, own: PartnerId, profiles: Mapping[PartnerId, Profile]) -> None:
        """Work out which agreements are in force.

        Raises:
            ConfigInvalid: There is no profile for the own partner.
            FieldInvalid: The conditions of an agreement cannot be used.
        """
        if own not in profiles:
            raise ConfigInvalid(f"partners/{own}.toml: this gateway's own profile is missing")
        self._own = own
        mine = profiles[own].agreements
        others = {partner: profile.agreements for partner, profile in profiles.items() if partner != own}
        self._sending = {partner: pacts_between(own, mine, partner, theirs) for partner, theirs in others.items()}
        self._receiving = {partner: pacts_between(partner, theirs, own, mine) for partner, theirs in others.items()}

    def decide(self, facts: Facts) -> Decision:
        """Return what follows from the facts, with every rule that fired in the step that decided."""
        if unknown := missing(facts):
            return Deny((FACTS_MISSING,), f"not established: {', '.join(unknown)}")
        covering, refusals = self._covering(facts)
        pacts = list(covering.values())
        retention = min(
            (terms.retention_days for pact in pacts if (terms := pact.terms_for(facts.kind))),
            default=DEFAULT_RETENTION_DAYS.get(facts.kind, _SHORTEST_RETENTION),
        )
        seen = context(facts, retention_default_days=retention)
        sets = [safeguards(), *_conditions(pacts)]
        fired: list[Rule] = []
        for number, rules in enumerate(sets):
            try:
                found = rules.fired(facts.direction, facts.sender.code, seen)
            except Undecided:
                return Deny((UNDECIDED,), "a rule could not be evaluated on these facts")
            if blocks := [rule for rule in found if rule.outcome == "deny"]:
                return Deny(tuple(rule.id for rule in blocks), f"forbidden by {', '.join(map(_named, blocks))}")
            if number == 0 and refusals:
                return Deny(
                    tuple(sorted({refusal.rule for _, refusal in refusals})),
                    "; ".join(f"{partner}: {refusal.text}" for partner, refusal in refusals),
                )
            fired += found
        return _held(facts, pacts, fired)

    def terms(self, facts: Facts) -> Mapping[PartnerId, TermsInForce]:
        """Return the terms of the exchange with each partner that is covered.

        Empty for alerts, and for use at home.
        """
        pacts, _ = self._covering(facts)
        return {partner: terms for partner, pact in pacts.items() if (terms := pact.terms_for(facts.kind))}

    def terms_with(self, partner: PartnerId, kind: Kind, *, sending: bool) -> TermsInForce | None:
        """Return what is agreed with a partner on a kind of case: the first agreement in force that covers it."""
        pacts = (self._sending if sending else self._receiving).get(partner, ())
        found = (pact.terms_for(kind) for pact in pacts)
        return next((terms for terms in found if terms is not None), None)

    def _covering(self, facts: Facts) -> tuple[dict[PartnerId, Pact], list[tuple[PartnerId, Refusal]]]:
        """Return the pact with each partner that covers the exchange, and why partners are not covered."""
        pacts: dict[PartnerId, Pact] = {}
        refusals: list[tuple[PartnerId, Refusal]] = []
        if facts.direction == "use":
            return pacts, refusals
        if not facts.recipients:
            return pacts, [(facts.sender, Refusal(0, "agreement/none", "there is no recipient"))]
        if facts.authority.partner != facts.sender:
            text = f"{facts.authority} is not an authority of {facts.sender}"
            return pacts, [(facts.sender, Refusal(0, "agreement/authority", text))]
        outgoing = facts.direction == "outgoing"
        if outgoing is not (facts.sender == self._own) or not (outgoing or self._own in facts.recipients):
            text = "this gateway is on neither side of it"
            return pacts, [(facts.sender, Refusal(0, "agreement/none", text))]
        if facts.kind is Kind.PING:
            return pacts, [(facts.sender, Refusal(0, "agreement/kind", "a ping is not decided on"))]
        table, partners = (self._sending, facts.recipients) if outgoing else (self._receiving, {facts.sender})
        measures = frozenset(measure.measure_type for measure in facts.measures or ())
        for partner in sorted(partners):
            found = cover(
                table.get(partner, ()),
                facts.kind,
                facts.authority,
                facts.purpose,
                facts.mode,
                measures=measures,
                legal_bases=facts.legal_bases,
            )
            if isinstance(found, Refusal):
                refusals.append((partner, found))
            else:
                pacts[partner] = found
        return pacts, refusals


def _held(facts: Facts, pacts: list[Pact], fired: list[Rule]) -> Decision:
    warnings = tuple(rule.id for rule in fired if rule.outcome == "warn")
    wanted = [(rule.id, rule.roles, rule.number) for rule in fired if rule.outcome == "hold"]
    if facts.direction == "outgoing" and (number := _approvals(facts, pacts)):
        wanted.append((RELEASE, DECIDING_ROLES, number))
    needs = []
    for rule, roles, number in wanted:
        decided = len(set(officers_who_answer(facts, rule, roles)))
        if decided < number:
            needs.append(Need(rule, roles, number, decided))
    if needs:
        held = tuple(need.rule_id for need in needs)
        return Hold(held, f"officers decide on {', '.join(held)}", tuple(needs), warnings)
    if facts.direction == "use":
        return Allow(("safeguard/none-fired",), "no safeguard speaks against this use", warnings)
    names = ", ".join(sorted({pact.id for pact in pacts}))
    return Allow(("agreement/in-force",), f"covered by {names}", warnings)


def _named(rule: Rule) -> str:
    """Return a rule with the reason that an agreement gives for it."""
    return f"{rule.id} ({rule.why})" if rule.why else rule.id


def _approvals(facts: Facts, pacts: list[Pact]) -> int:
    """Return how many officers approve what leaves. No agreement takes a case of actual people out of their hands."""
    if facts.kind is Kind.ALERT or facts.mode is not Mode.ACTUAL:
        # An exercise may be run by systems alone, where the side that sends has it so.
        needed = any(pact.needs_officers for pact in pacts)
        if facts.kind is Kind.ALERT or not needed:
            return 1 if needed else 0
    return max((terms.approvals for pact in pacts if (terms := pact.terms_for(facts.kind))), default=1)


def _conditions(pacts: list[Pact]) -> list[RuleSet]:
    # One agreement may cover several recipients; its conditions are the same text and are asked once a pact.
    return [rules for pact in pacts for rules in pact.conditions]
