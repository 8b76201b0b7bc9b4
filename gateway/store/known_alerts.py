"""The alerts that a commit or query touches: read when needed, each only once, and as the commit has changed them."""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.ids import MessageId, PartnerId
from gateway.model.header import Mode
from gateway.store.alert_rows import ANYBODYS, CHAIN, OWN, OWN_OF_MODE, Standing, standing_of
from gateway.store.statement import Lookup
from gateway.store.transaction import Session
from gateway.workflow.alert_chain import ByKey, Claim, KnownAlert, Relation, relate


class Known:
    """What was read so far."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._by_id: dict[tuple[PartnerId, MessageId], Standing] = {}
        self._by_key: dict[bytes, list[Standing]] = {}
        self._asked: set[object] = set()

    def read(self, partner: PartnerId, ids: Iterable[bytes], lookup: Lookup = CHAIN) -> None:
        """Look up alerts of a partner with what came after them."""
        fresh = sorted({item for item in ids if (partner, item) not in self._asked})
        self._asked.update((partner, item) for item in fresh)
        for row in self._session.look_up(lookup, fresh, of_sender=partner.code):
            self.keep(standing_of(row))

    def read_names(self, partner: PartnerId, modes: Iterable[Mode], keys: Iterable[bytes]) -> None:
        """Look up alerts by name: a partner's newest in each mode, else any of it, else anybody's."""
        wanted = {(key, partner.code, int(mode)) for key in keys for mode in modes} - self._asked
        self._asked |= wanted
        self._take(OWN_OF_MODE, sorted(wanted))
        left = {key for key, _, _ in wanted if not self._has(key, partner)}
        self._take(OWN, sorted((key, partner.code) for key in left))
        self._take(ANYBODYS, sorted(key for key in left if not self._has(key, partner)))

    def _take(self, lookup: Lookup, keys: Sequence[Any]) -> None:
        for row in self._session.look_up(lookup, keys):
            self.keep(standing_of(row))

    def _has(self, key: bytes, partner: PartnerId) -> bool:
        return any(item.known.partner == partner for item in self._by_key.get(key, ()))

    def keep(self, standing: Standing) -> Standing:
        """Keep a row, or return what this commit has made of it already."""
        kept = self._by_id.setdefault(standing.id, standing)
        if kept is standing:
            self._by_key.setdefault(kept.known.key, []).append(kept)
        return kept

    def standing(self, partner: PartnerId, message_id: MessageId) -> Standing | None:
        """Return an alert of a partner."""
        if (partner, message_id) not in self._by_id:
            self.read(partner, [message_id.raw])
        return self._by_id.get((partner, message_id))

    def by_id(self, partner: PartnerId, message_id: MessageId) -> KnownAlert | None:
        """Return what is known of an alert of a partner."""
        found = self.standing(partner, message_id)
        return found.known if found is not None else None

    def by_key(self, partner: PartnerId, mode: Mode) -> ByKey:
        """Return the question for alerts of a name, as one of a partner and mode asks it."""

        def find(key: bytes) -> tuple[KnownAlert, ...]:
            self.read_names(partner, [mode], [key])
            return tuple(item.known for item in self._by_key.get(key, ()))

        return find

    def relate(self, claim: Claim) -> Relation:
        """Find the place of an alert."""
        return relate(claim, self.by_id, self.by_key(claim.partner, claim.mode))

    def all(self) -> list[Standing]:
        """Return everything that was read."""
        return list(self._by_id.values())
