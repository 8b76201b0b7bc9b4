"""Decides on what leaves and what comes in: alerts the quick way, cases on the facts of their bodies.

A held draft is decided on again with what officers have decided, and a message that came in is decided on by our own
rules whatever the sender's gateway did: a changed gateway gains nothing. What is held on the way in is taken in,
and nothing enforces that hold yet; what is denied is refused on arrival, with no rule named.
"""

from collections.abc import Mapping

from gateway.clock import Clock
from gateway.ids import PartnerId
from gateway.model.header import Header, Kind, Mode
from gateway.model.message import Body, Draft
from gateway.model.partner import Profile
from gateway.policy.agreements import AgreementPolicy
from gateway.policy.case_facts import NOBODY, Officers, Way, case_facts
from gateway.policy.cases import CasePolicy
from gateway.policy.decision import Allow, Decided, Decision, answered
from gateway.policy.facts import Facts
from gateway.policy.pacts import TermsInForce

_QUICK = frozenset({Kind.ALERT, Kind.PING})


class ExchangePolicy:
    """The policy of a running gateway, from the profiles of all partners."""

    def __init__(self, own: PartnerId, profiles: Mapping[PartnerId, Profile], mode: Mode, clock: Clock) -> None:
        """Work out which agreements are in force.

        Raises:
            ConfigInvalid: There is no profile for the own partner.
            FieldInvalid: The conditions of an agreement cannot be used.
        """
        self._own = own
        self._mode = mode
        self._clock = clock
        self._agreements = AgreementPolicy(own, profiles, mode)
        self._cases = CasePolicy(own, profiles)

    def outgoing(self, draft: Draft, officers: Officers = NOBODY) -> Decision:
        """Decide whether a draft may leave for all its recipients.

        Args:
            draft: What would leave.
            officers: Who drafted and approved it; only what is kept as a decision of an officer belongs here.
        """
        if draft.body.kind in _QUICK:
            return self._agreements.outgoing(draft)
        return self._cases.decide(self.facts(draft, officers))

    def releasing(self, draft: Draft, decided: Decided) -> Decision:
        """Decide once more whether a held draft may leave, with what officers have decided by now."""
        return answered(self.outgoing(draft), decided)

    def facts(self, draft: Draft, officers: Officers = NOBODY) -> Facts:
        """Return what rules see of a case's draft."""
        way = Way(
            direction="outgoing",
            sender=self._own,
            recipients=frozenset(draft.recipients),
            mode=draft.mode,
            operating_mode=self._mode,
            urgency=draft.urgency,
            now_ms=self._clock.now_ms(),
        )
        return case_facts(draft.body, way, officers)

    def incoming(self, header: Header, body: Body) -> Decision:
        """Decide whether a message that came in may be taken in; its header is known to be its sender's."""
        quick = self._agreements.incoming(
            header.sender, body.authority, header.kind, header.mode, body.handling.purpose
        )
        if header.kind in _QUICK or not isinstance(quick, Allow):
            return quick
        way = Way(
            direction="incoming",
            sender=header.sender,
            recipients=frozenset({self._own}),
            mode=header.mode,
            operating_mode=self._mode,
            urgency=header.urgency,
            now_ms=self._clock.now_ms(),
        )
        return self._cases.decide(case_facts(body, way))

    def default_lifetime_ms(self, draft: Draft) -> int:
        """Return how long the draft lives when it names no expiry: the shortest that its recipients agreed to.

        Raises:
            PolicyDenied: The draft may not leave at all.
        """
        return self._agreements.default_lifetime_ms(draft)

    def terms_with(self, partner: PartnerId, kind: Kind, *, sending: bool) -> TermsInForce | None:
        """Return what two sides have agreed on a kind of case, for its clocks; None when nothing is in force.

        Args:
            partner: The other side.
            kind: REFERRAL or REQUEST.
            sending: Whether our side asks.
        """
        return self._cases.terms_with(partner, kind, sending=sending)
