"""Who the partners are: current cards in memory, changed only by verified cards and by operators.

Trust is per partner and never merged. The database is the truth; this is a copy that every replica refreshes when a
card changes. Reference: DESIGN section 6.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.crypto.cards import (
    VerifiedCard,
    card_digest,
    fingerprint,
    same_fingerprint,
    seal_key_of,
    verify_first_card,
    verify_key_at,
    verify_next_card,
    why_mistyped,
)
from gateway.crypto.certificates import root_name
from gateway.crypto.keys import SealKey, VerifyKey
from gateway.errors import (
    CardRejected,
    ConcurrentUpdate,
    FieldInvalid,
    FingerprintMismatch,
    FingerprintMistyped,
    PartnerFrozen,
    PartnerUnknown,
    StoreCorrupt,
)
from gateway.exchange.quota import Quota
from gateway.exchange.steps import GATEWAY, OPERATOR, partner_principal, step
from gateway.ids import PartnerId
from gateway.model.header import Urgency
from gateway.model.partner import Card, KeyPurpose, SignedCard
from gateway.ports import Codec, FreezePartner, NoteSuccess, PartnerRow, Partners, PutCard, RemovePartner, Store
from gateway.translog.entry import EventType

KEY_GRACE_MS: Final = 37 * 86_400_000
"""DESIGN 5: grace = maximum message lifetime (30 days) + slowest courier (7 days)."""
CARDS_PER_S: Final = 1 / 60
CARDS_BURST: Final = 20
"""New cards taken from one partner. Each is kept for good, and each makes TLS begin anew for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPartner:
    """A partner and what is known of it."""

    verified: VerifiedCard
    frozen: bool
    last_success_ms: int | None

    @property
    def card(self) -> Card:
        """The current card."""
        return self.verified.card

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the identity key, as people compare it."""
        return fingerprint(self.card.keys_for(KeyPurpose.IDENTITY)[0].public_key)


class PartnerDirectory:
    """Current cards, by partner."""

    def __init__(self, own: PartnerId, store: Store, codec: Codec, clock: Clock) -> None:
        self.own = own
        self._store = store
        self._codec = codec
        self._clock = clock
        self._known: dict[PartnerId, KnownPartner] = {}
        self._loading = asyncio.Lock()
        self._callbacks: list[Callable[[PartnerId], None]] = []
        self._verify_keys: dict[tuple[PartnerId, KeyPurpose, bytes], tuple[int, VerifyKey]] = {}
        self._seal_keys: dict[PartnerId, tuple[int, SealKey]] = {}
        self._quota = Quota(per_second=CARDS_PER_S, burst=CARDS_BURST)

    async def load(self) -> None:
        """Read all cards from the store and tell of those that changed and of partners that were removed."""
        # One at a time: what was read before a partner was added must not be taken for its removal afterwards.
        async with self._loading:
            rows = await self._store.read(Partners())
            changed = [row.partner for row in rows if self._differs(row)]
            for row in rows:
                if row.partner in changed:
                    self._known[row.partner] = self._from_row(row)
            removed = self._known.keys() - {row.partner for row in rows}
            for partner in removed:
                del self._known[partner]
            for partner in (*changed, *sorted(removed)):
                self._tell(partner)

    def _differs(self, row: PartnerRow) -> bool:
        known = self._known.get(row.partner)
        return known is None or known.frozen != row.frozen or known.verified.signed != row.card

    def _from_row(self, row: PartnerRow) -> KnownPartner:
        # Verified before it was stored, and once more here: a card changed in the database must not become trust.
        try:
            verified = verify_first_card(row.card, self._codec)
        except CardRejected as error:
            raise StoreCorrupt(f"a stored card is damaged: {error.text}") from None
        if verified.card.partner != row.partner:
            raise StoreCorrupt("a stored card is another partner's")
        return KnownPartner(verified=verified, frozen=row.frozen, last_success_ms=row.last_success_ms)

    def _tell(self, partner: PartnerId) -> None:
        # Keys of a changed card must not outlive it in a cache: a revocation counts at once.
        self._verify_keys = {key: value for key, value in self._verify_keys.items() if key[0] != partner}
        self._seal_keys.pop(partner, None)
        for callback in self._callbacks:
            callback(partner)

    def on_change(self, callback: Callable[[PartnerId], None]) -> None:
        """Call back after a card or a freeze changed, or a partner was removed."""
        self._callbacks.append(callback)

    def partners(self) -> tuple[PartnerId, ...]:
        """Return all partners but ourselves, in order."""
        return tuple(sorted(partner for partner in self._known if partner != self.own))

    def known(self, partner: PartnerId) -> KnownPartner:
        """Return what is known of a partner, frozen or not.

        Raises:
            PartnerUnknown: No card of it was added.
        """
        try:
            return self._known[partner]
        except KeyError:
            raise PartnerUnknown(partner.code) from None

    def card(self, partner: PartnerId) -> Card:
        """Return a partner's current card, frozen or not.

        Raises:
            PartnerUnknown: No card of it was added.
        """
        return self.known(partner).card

    def usable(self, partner: PartnerId) -> Card:
        """Return the current card of a partner with which exchange is open.

        Raises:
            PartnerUnknown: No card of it was added.
            PartnerFrozen: An operator stopped the exchange.
        """
        known = self.known(partner)
        if known.frozen:
            raise PartnerFrozen(partner.code)
        return known.card

    def own_card(self) -> SignedCard:
        """Return our own current card."""
        return self.known(self.own).verified.signed

    def tls_roots(self) -> dict[PartnerId, tuple[bytes, ...]]:
        """Return the TLS roots (DER) of every partner with which exchange is open."""
        return {
            partner: known.card.tls_roots
            for partner, known in self._known.items()
            if not known.frozen and partner != self.own
        }

    def verify_key(self, partner: PartnerId, purpose: KeyPurpose, key_id: bytes, now_ms: int) -> VerifyKey:
        """Return a partner's verification key, if it counts now.

        Raises:
            PartnerUnknown: No card of it was added.
            EnvelopeRejected: No such key, not yet valid, revoked, or expired beyond the grace.
        """
        cached = self._verify_keys.get((partner, purpose, key_id))
        # Validity is judged at receipt: a cached key is good for the second in which it was judged.
        if cached is not None and cached[0] == now_ms // 1000:
            return cached[1]
        key = verify_key_at(self.card(partner), key_id, purpose, now_ms, KEY_GRACE_MS)
        self._verify_keys[(partner, purpose, key_id)] = (now_ms // 1000, key)
        return key

    def seal_key(self, partner: PartnerId, now_ms: int) -> SealKey:
        """Return the key to seal for a partner now.

        Raises:
            PartnerUnknown: No card of it was added.
            CardRejected: Its card holds no encryption key valid now.
        """
        cached = self._seal_keys.get(partner)
        if cached is not None and cached[0] == now_ms // 1000:
            return cached[1]
        key = seal_key_of(self.card(partner), now_ms)
        self._seal_keys[partner] = (now_ms // 1000, key)
        return key

    async def add(self, signed: SignedCard, claimed_fingerprint: str) -> KnownPartner:
        """Add a partner by its card and the fingerprint that it gave out of band, or renew one that is known.

        Raises:
            CardRejected: The card does not verify, is ours, or does not follow the one we have.
            FingerprintMistyped: The fingerprint is none, or nearly that of the card's identity key.
            FingerprintMismatch: It is another one.
            ConcurrentUpdate: Another change came first.
        """
        card = self._codec.decode_card(signed.card)
        if card.partner == self.own:
            raise CardRejected("this is our own card")
        shown_fingerprints = [fingerprint(key.public_key) for key in card.keys_for(KeyPurpose.IDENTITY)]
        if not any(same_fingerprint(shown, claimed_fingerprint) for shown in shown_fingerprints):
            problem = next(filter(None, (why_mistyped(claimed_fingerprint, shown) for shown in shown_fingerprints)), "")
            if problem:
                raise FingerprintMistyped(problem)
            raise FingerprintMismatch("the fingerprint given is not that of the card's identity key, nor close to it")
        known = self._known.get(card.partner)
        if known is not None and signed.card == known.verified.signed.card:
            return known
        verified = (
            verify_first_card(signed, self._codec)
            if known is None
            else verify_next_card(signed, current=known.verified, codec=self._codec)
        )
        self._check_roots(verified.card)
        await self._put(verified, 0 if known is None else known.card.sequence, OPERATOR)
        return self.known(card.partner)

    async def offer(self, partner: PartnerId, signed: SignedCard) -> bool:
        """Take over a newer card that a known partner shows. False: it is not newer.

        Raises:
            PartnerUnknown: The first card needs a fingerprint.
            CardRejected: It does not follow the card we have, or its roots would stand in another partner's way.
            QuotaExceeded: It shows new cards too often.
        """
        known = self.known(partner)
        if signed.card == known.verified.signed.card:
            return False
        self._quota.take(partner.code, Urgency.U3, self._clock.now_ms())
        verified = verify_next_card(signed, current=known.verified, codec=self._codec)
        if verified.card.partner != partner:
            raise CardRejected("the card is another partner's")
        self._check_roots(verified.card)
        try:
            await self._put(verified, known.card.sequence, partner_principal(partner))
        except ConcurrentUpdate:
            # Answers to several frames show the same card at the same moment: whoever comes second finds it there.
            if self.known(partner).verified.signed.card != signed.card:
                raise
            return False
        return True

    def _check_roots(self, card: Card) -> None:
        """Refuse roots that TLS cannot load, and those that carry the name of another partner's root.

        TLS trusts the roots of all partners for the handshake and looks for an issuer by its name: with two of one name
        it takes one, and never tries the other. A card could so lock out every partner whose root it copies.
        """
        try:
            named = [(root_name(der), der) for der in card.tls_roots]
        except FieldInvalid as error:
            raise CardRejected(f"a TLS root of the card cannot be used: {error.text}") from None
        for partner, roots in self.tls_roots().items():
            taken = {root_name(der): der for der in roots} if partner != card.partner else {}
            if any(taken.get(name, der) != der for name, der in named):
                raise CardRejected(f"a TLS root of the card has the name of a root of '{partner}'")

    async def put_own(self, signed: SignedCard) -> None:
        """Store our own card, which we have just signed."""
        card = self._codec.decode_card(signed.card)
        known = self._known.get(self.own)
        verified = VerifiedCard(card=card, digest=card_digest(signed.card), signed=signed)
        if known is None or known.verified.signed != signed:
            await self._put(verified, 0 if known is None else known.card.sequence, GATEWAY)

    async def _put(self, verified: VerifiedCard, expected_sequence: int, actor: str) -> None:
        now_ms = self._clock.now_ms()
        stored = await self._store.write(
            PutCard(
                partner=verified.card.partner,
                card=verified.signed,
                digest=verified.digest,
                sequence=verified.card.sequence,
                expected_sequence=expected_sequence,
                now_ms=now_ms,
                log=step(
                    EventType.CARD_CHANGED if expected_sequence else EventType.CARD_ADDED,
                    now_ms,
                    actor=actor,
                    partner=verified.card.partner.code,
                    digest=verified.digest,
                    detail=f"card {verified.card.sequence}",
                ),
            )
        )
        await self.load()
        if not stored:
            raise ConcurrentUpdate("the partner's card was changed at the same moment")

    async def freeze(self, partner: PartnerId, *, frozen: bool) -> KnownPartner:
        """Stop or resume all exchange with a partner.

        Raises:
            PartnerUnknown: No card of it was added.
        """
        self.known(partner)
        kind = EventType.CARD_FROZEN if frozen else EventType.CARD_THAWED
        log = step(kind, self._clock.now_ms(), actor=OPERATOR, partner=partner.code)
        await self._store.write(FreezePartner(partner=partner, frozen=frozen, log=log))
        await self.load()
        return self.known(partner)

    async def remove(self, partner: PartnerId) -> int:
        """Forget a partner, unless messages wait for it. Returns how many do.

        Raises:
            PartnerUnknown: No card of it was added.
            FieldInvalid: It is ourselves.
        """
        self.known(partner)
        if partner == self.own:
            raise FieldInvalid("partner", "is this gateway itself")
        log = step(EventType.CARD_REMOVED, self._clock.now_ms(), actor=OPERATOR, partner=partner.code)
        waiting = await self._store.write(RemovePartner(partner=partner, log=log))
        await self.load()
        if waiting is None:
            raise PartnerUnknown(partner.code)
        return waiting

    async def note_success(self, partner: PartnerId) -> None:
        """Remember that the partner was heard from."""
        now_ms = self._clock.now_ms()
        known = self.known(partner)
        self._known[partner] = KnownPartner(verified=known.verified, frozen=known.frozen, last_success_ms=now_ms)
        await self._store.write(NoteSuccess(partner=partner, now_ms=now_ms))
