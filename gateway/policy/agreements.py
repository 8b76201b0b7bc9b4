"""Whether an exchange is agreed: who may send what to whom, for which purpose, in which mode.

An agreement is in force between two partners when both profiles list it and each names the other; what the two sides
list differently counts only where they agree (kinds, purposes, modes). The sending authority must be named in the
sending side's own list: a partner cannot name our authorities for us. Beside the agreements stand safeguards, which
ship with Concord and which no agreement can override (DESIGN 8).

Of a case this says only whether it is agreed at all: what may be acted on is decided on facts, by gateway.policy.cases.

Leaves to others: whether the submitting system may speak for the authority (the guard), whether the partner's card is
known and not frozen (the directory), field rules (gateway.model).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from gateway.errors import ConfigInvalid, PolicyDenied
from gateway.ids import AuthorityId, PartnerId
from gateway.model.alert import Alert
from gateway.model.header import Kind, Mode
from gateway.model.message import Draft
from gateway.model.partner import Profile
from gateway.policy.decision import DECIDING_ROLES, RELEASE, Allow, Decided, Decision, Deny, Hold, Need, answered
from gateway.policy.pacts import Pact, Refusal, cover, listed, pacts_between
from gateway.policy.personal_data import has_travel_document

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

PING_LIFETIME_MS: Final = 3_600_000
"""One hour: a ping that has not arrived by then has answered its question."""
_MAX_CACHED: Final = 4096
"""Rulings kept per direction. Keys hold strings that callers choose, so the number is bounded."""


@dataclass(frozen=True, slots=True)
class _Ruling:
    decision: Decision
    default_lifetime_ms: int


class AgreementPolicy:
    """Decides on drafts that want to leave and on messages that came in, from the profiles of all partners."""

    def __init__(
        self,
        own: PartnerId,
        profiles: Mapping[PartnerId, Profile],
        operating_mode: Mode,
    ) -> None:
        """Work out which agreements are in force.

        Raises:
            ConfigInvalid: There is no profile for the own partner.
        """
        if own not in profiles:
            raise ConfigInvalid(f"partners/{own}.toml: this gateway's own profile is missing")
        self._own = own
        self._mode = operating_mode
        self._partners = frozenset(profiles) - {own}
        mine = profiles[own].agreements
        self._sending = {
            partner: pacts_between(own, mine, partner, profiles[partner].agreements) for partner in self._partners
        }
        self._receiving = {
            partner: pacts_between(partner, profiles[partner].agreements, own, mine) for partner in self._partners
        }
        self._outgoing: dict[tuple[str, Kind, tuple[str, ...], str, Mode], _Ruling] = {}
        self._incoming: dict[tuple[str, str, Kind, str, Mode], Decision] = {}

    def outgoing(self, draft: Draft) -> Decision:
        """Decide whether a draft may leave for all its recipients; one recipient refused refuses the whole."""
        decision = self._ruling(draft).decision
        # Stands above every agreement; not part of the cached ruling because it looks at the content.
        content = draft.body.content
        if type(decision) is not Deny and isinstance(content, Alert) and has_travel_document(content, draft.body_bytes):
            return Deny(
                ("safeguard/b5-personal-data",),
                "the alert carries the machine-readable zone of a travel document; alerts carry no personal data",
            )
        return decision

    def releasing(self, draft: Draft, decided: Decided) -> Decision:
        """Decide once more whether a held draft may leave, with what officers have decided by now."""
        return answered(self.outgoing(draft), decided)

    def incoming(
        self,
        sender: PartnerId,
        authority: AuthorityId,
        kind: Kind,
        mode: Mode,
        purpose: str,
    ) -> Decision:
        """Decide whether a message that came in may be taken in."""
        key = (sender.code, authority.name, kind, purpose, mode)
        decision = self._incoming.get(key)
        if decision is None:
            decision = self._decide_incoming(sender, authority, kind, mode, purpose)
            _remember(self._incoming, key, decision)
        return decision

    def default_lifetime_ms(self, draft: Draft) -> int:
        """Return how long the draft lives when it names no expiry: the shortest that its recipients agreed to.

        Raises:
            PolicyDenied: The draft may not leave at all.
        """
        ruling = self._ruling(draft)
        if isinstance(ruling.decision, Deny):
            raise PolicyDenied(ruling.decision.rule_ids, ruling.decision.explanation)
        return ruling.default_lifetime_ms

    def _ruling(self, draft: Draft) -> _Ruling:
        body = draft.body
        # Codes instead of ids: a str keeps its hash, a dataclass computes it every time.
        codes = tuple([recipient.code for recipient in draft.recipients])
        key = (body.authority.name, body.kind, codes, body.handling.purpose, draft.mode)
        ruling = self._outgoing.get(key)
        if ruling is None:
            ruling = self._decide_outgoing(draft)
            _remember(self._outgoing, key, ruling)
        return ruling

    def _decide_outgoing(self, draft: Draft) -> _Ruling:
        if not draft.recipients:
            return _Ruling(Deny(("agreement/none",), "there is no recipient"), 0)
        kind, authority = draft.body.kind, draft.body.authority
        if kind is Kind.PING:
            strangers = [partner for partner in draft.recipients if partner not in self._partners]
            if strangers:
                return _Ruling(Deny(("agreement/none",), f"no profile for {listed(strangers)}"), 0)
            return _Ruling(
                Allow(("agreement/ping",), "a ping may go to every known partner"),
                PING_LIFETIME_MS,
            )
        if authority.partner != self._own:
            return _Ruling(
                Deny(
                    ("agreement/authority",),
                    f"{authority} is not an authority of {self._own}",
                ),
                0,
            )
        if misplaced := self._misplaced(draft.mode):
            return _Ruling(misplaced, 0)
        pacts: list[tuple[PartnerId, Pact]] = []
        refusals: list[tuple[PartnerId, Refusal]] = []
        for partner in draft.recipients:
            found = cover(
                self._sending.get(partner, ()),
                kind,
                authority,
                draft.body.handling.purpose,
                draft.mode,
            )
            if isinstance(found, Refusal):
                refusals.append((partner, found))
            else:
                pacts.append((partner, found))
        if refusals:
            rules = tuple(sorted({refusal.rule for _, refusal in refusals}))
            return _Ruling(
                Deny(
                    rules,
                    "; ".join(f"{partner}: {refusal.text}" for partner, refusal in refusals),
                ),
                0,
            )
        lifetime_ms = min(pact.default_lifetime_ms for _, pact in pacts)
        # A case has terms; whether it waits for officers all the same is decided on its facts (gateway.policy.cases).
        held = [partner for partner, pact in pacts if pact.needs_officers or pact.terms_for(kind) is not None]
        if held:
            text = f"two officers release what leaves for {listed(held)}"
            number = max((terms.approvals for _, pact in pacts if (terms := pact.terms_for(kind))), default=1)
            need = Need(RELEASE, DECIDING_ROLES, number, 0)
            return _Ruling(Hold((RELEASE,), text, (need,)), lifetime_ms)
        names = ", ".join(sorted({pact.id for _, pact in pacts}))
        return _Ruling(Allow(("agreement/in-force",), f"covered by {names}"), lifetime_ms)

    def _decide_incoming(
        self,
        sender: PartnerId,
        authority: AuthorityId,
        kind: Kind,
        mode: Mode,
        purpose: str,
    ) -> Decision:
        if sender not in self._partners:
            return Deny(("agreement/none",), f"no profile for {sender}")
        if kind is Kind.PING:
            return Allow(("agreement/ping",), "a ping may come from every known partner")
        if authority.partner != sender:
            return Deny(("agreement/authority",), f"{authority} is not an authority of {sender}")
        if misplaced := self._misplaced(mode):
            return misplaced
        found = cover(self._receiving[sender], kind, authority, purpose, mode)
        if isinstance(found, Refusal):
            return Deny((found.rule,), f"{sender}: {found.text}")
        return Allow(("agreement/in-force",), f"covered by {found.id}")

    def _misplaced(self, mode: Mode) -> Deny | None:
        """Refuse actual messages on a gateway that is not operational, in both directions.

        The other way round is safe: exercise and test messages say what they are, and never enter an operational queue.
        """
        if mode is Mode.ACTUAL and self._mode is not Mode.ACTUAL:
            text = f"this gateway runs in mode {self._mode.name.lower()} and handles no actual message"
            return Deny(("safeguard/b6-mode",), text)
        return None


def _remember(cache: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(cache) >= _MAX_CACHED:
        cache.clear()
    cache[key] = value
