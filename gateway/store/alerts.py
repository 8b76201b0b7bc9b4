"""Where alerts stand: an update or cancellation finds its predecessor and ends it, in the commit that brings it.

An alert that is about nothing earlier costs a row among those of its commit, and no look-up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.alert import AlertType
from gateway.model.header import Mode, Supersedes
from gateway.ports import AlertEntry, FindAlerts, LogEntry
from gateway.store.alert_rows import (
    ADD,
    ADD_WAITS,
    ANY_WAITING,
    BY_ID,
    COUNT_WAITING,
    DROP_OVER,
    DROP_WAITS,
    ID_BYTES,
    OWN_CHAIN,
    PUT,
    WAITERS,
    Standing,
    standing_of,
)
from gateway.store.alert_steps import changed
from gateway.store.events import (
    ALERT_CANCELLED,
    ALERT_QUARANTINED,
    ALERT_SUPERSEDED,
    ALERT_VALIDATED,
    EventColumns,
)
from gateway.store.known_alerts import Known
from gateway.store.log import add_log
from gateway.store.tables import alert
from gateway.store.transaction import Row, Session, Transaction
from gateway.values import dataclass
from gateway.workflow.alert import ISSUER, RECEIVER, AlertEvent, AlertState, step
from gateway.workflow.alert_chain import Claim, KnownAlert, Relation, event_of

MAX_WAITING: Final = 4096
"""Names that the alerts in doubt of one sender wait for. What comes in doubt beyond that stays so: an honest sender is
out of order by what was under way at once. Replicas that count at the same time cannot pass it: senders are locked."""

_Id = tuple[PartnerId, MessageId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An alert that a commit brings."""

    entry: AlertEntry
    partner: PartnerId
    message_id: MessageId
    thread_id: ThreadId
    mode: Mode
    create_ms: int
    expire_ms: int
    content_commitment: bytes
    supersedes: Supersedes | None
    held: bool
    """Not shown yet, so nothing is told of it yet."""

    @property
    def event(self) -> AlertEvent | None:
        """Return what it does to a predecessor."""
        return event_of(self.entry.alert_type, supersedes=self.supersedes is not None)

    def known(self, state: AlertState) -> KnownAlert:
        """Return it as it is stored."""
        return KnownAlert(
            partner=self.partner,
            key=self.entry.key,
            message_id=self.message_id,
            thread_id=self.thread_id,
            alert_type=self.entry.alert_type,
            mode=self.mode,
            state=state,
            create_ms=self.create_ms,
            expire_ms=self.expire_ms,
            content_commitment=self.content_commitment,
            successor_id=None,
        )

    def plain_row(self, *, ours: bool) -> tuple[object, ...]:
        """Return the columns of one that is about nothing earlier."""
        return (
            self.partner.code,
            self.message_id.raw,
            int(ours),
            self.entry.key,
            int(self.entry.alert_type),
            int(self.mode),
            int(AlertState.ISSUED if ours else AlertState.VALIDATED),
            "",
            self.thread_id.raw,
            self.create_ms,
            self.expire_ms,
            self.content_commitment,
            b"",
            b"",
            None,
            None,
        )

    def claim(self) -> Claim:
        """Return what it says of itself."""
        return Claim(
            partner=self.partner,
            message_id=self.message_id,
            alert_type=self.entry.alert_type,
            mode=self.mode,
            create_ms=self.create_ms,
            supersedes=self.supersedes,
            references=self.entry.references,
            self_reference=self.entry.self_reference,
        )


class Standings:
    """What a commit changes of alerts, written at the end."""

    def __init__(self, tx: Transaction, *, ours: bool) -> None:
        self._tx = tx
        self._ours = ours
        self._known = Known(tx)
        self._changed: dict[_Id, Standing] = {}
        self._doubtful: dict[tuple[PartnerId, bytes], list[Standing]] = {}
        """Those in doubt that were read or came in, by what they wait for."""
        self._room: dict[PartnerId, int] = {}
        self._add_waits: dict[_Id, list[tuple[object, ...]]] = {}
        self._drop_waits: list[tuple[object, ...]] = []
        self._events: list[EventColumns] = []
        self._log: list[LogEntry] = []

    def read_ahead(self, arrivals: Sequence[Arrival]) -> None:
        """Look up together what those that are about something earlier name."""
        by_id: dict[PartnerId, list[bytes]] = {}
        by_name: dict[tuple[PartnerId, Mode], list[bytes]] = {}
        for item in arrivals:
            if item.supersedes is not None:
                by_id.setdefault(item.partner, []).append(item.supersedes.message_id.raw)
            else:
                by_name.setdefault((item.partner, item.mode), []).extend(item.entry.references)
        for partner, ids in by_id.items():
            self._known.read(partner, ids)
        for (partner, mode), keys in by_name.items():
            self._known.read_names(partner, [mode], keys)

    def add(self, arrival: Arrival, now_ms: int) -> None:
        """Give an alert its place."""
        known = arrival.known(AlertState.SUBMITTED if self._ours else AlertState.RECEIVED)
        relation = self._known.relate(arrival.claim()) if arrival.event is not None else Relation()
        standing = self._known.keep(Standing(known, self._ours, held=arrival.held))
        if relation.problem is not None:
            standing.reason = relation.problem.value
            if not self._ours:
                self._quarantine(standing, arrival, now_ms)
                return
        self._settle(standing, relation, now_ms)

    def _quarantine(self, standing: Standing, arrival: Arrival, now_ms: int) -> None:
        self._move(standing, AlertEvent.QUARANTINE)
        named = b"" if arrival.supersedes is None else arrival.supersedes.message_id.raw
        wants = named + b"".join(arrival.entry.references)
        if self._take_room(standing.known.partner, len(wants), now_ms):
            standing.wants = wants
            standing.wants_commitment = b"" if arrival.supersedes is None else arrival.supersedes.content_commitment
            self._add_waits[standing.id] = standing.waits()
            self._wait(standing)
        self._log.append(changed(standing, now_ms))
        if not standing.held:
            self._tell(ALERT_QUARANTINED, standing, standing.reason, now_ms)

    def _wait(self, standing: Standing) -> None:
        for name in standing.names:
            self._doubtful.setdefault((standing.known.partner, name), []).append(standing)

    def _take_room(self, partner: PartnerId, size: int, now_ms: int) -> bool:
        if partner not in self._room:
            room = self._count_room(partner)
            if room <= 0:
                self._tx.run(DROP_OVER, of_sender=partner.code, now_ms=now_ms)
                room = self._count_room(partner)
            self._room[partner] = room
        names = size // ID_BYTES
        if names > self._room[partner]:
            return False
        self._room[partner] -= names
        return True

    def _count_room(self, partner: PartnerId) -> int:
        (count,) = self._tx.row(COUNT_WAITING, of_sender=partner.code, max_rows=MAX_WAITING) or (0,)
        return MAX_WAITING - int(count)

    def _settle(self, standing: Standing, relation: Relation, now_ms: int, *, freed: bool = False) -> None:
        """Let an alert that is not in doubt, or not any more, count, and end the one it is about."""
        self._move(standing, AlertEvent.ISSUE if standing.ours else AlertEvent.VALIDATE)
        if freed:
            self._log.append(changed(standing, now_ms))
        before, after = relation.predecessor, relation.overtaken_by
        if relation.event is None or before is None or relation.problem is not None:
            return
        standing.predecessor_id = before.message_id
        if after is not None:
            ended = AlertEvent.CANCEL if after.alert_type is AlertType.CANCEL else AlertEvent.SUPERSEDE
            self._end(standing, ended, after.message_id, now_ms)
            return
        ended_one = self._known.standing(before.partner, before.message_id)
        if ended_one is not None:
            self._end(ended_one, relation.event, standing.known.message_id, now_ms)

    def _end(self, standing: Standing, event: AlertEvent, successor: MessageId, now_ms: int) -> None:
        self._move(standing, event)
        standing.known = replace(standing.known, successor_id=successor)
        self._log.append(changed(standing, now_ms))
        told = ALERT_CANCELLED if event is AlertEvent.CANCEL else ALERT_SUPERSEDED
        self._tell(told, standing, str(successor), now_ms)

    def _move(self, standing: Standing, event: AlertEvent) -> None:
        state = step(ISSUER if standing.ours else RECEIVER, standing.known.state, event)
        standing.known = replace(standing.known, state=state)
        self._changed[standing.id] = standing

    def _tell(self, kind: int, standing: Standing, reason: str, now_ms: int) -> None:
        partner, message_id = standing.id
        self._events.append((kind, now_ms, partner.code, message_id.raw, partner.code, reason))

    def judge_again(self, partner: PartnerId, arrivals: Iterable[Arrival], now_ms: int) -> None:
        """Look again at what is in doubt because of alerts of a partner that are here now, and what waits for those."""
        names = {name for item in arrivals for name in (item.message_id.raw, item.entry.key)}
        stored = _anything_waits(self._tx, partner)
        while names:
            waiting = {item.id: item for name in names for item in self._waiters(partner, name)}
            if stored:
                self._read_waiters(partner, names, waiting)
            names = set()
            for standing in sorted(
                waiting.values(), key=lambda item: (item.known.create_ms, item.known.message_id.raw)
            ):
                if self._free(standing, now_ms):
                    names |= {standing.known.message_id.raw, standing.known.key}

    def _waiters(self, partner: PartnerId, name: bytes) -> list[Standing]:
        return [item for item in self._doubtful.get((partner, name), ()) if item.known.state is AlertState.QUARANTINED]

    def _read_waiters(self, partner: PartnerId, names: set[bytes], waiting: dict[_Id, Standing]) -> None:
        ids = {row[0] for row in self._tx.look_up(WAITERS, sorted(names), of_sender=partner.code)}
        self._known.read(partner, ids, BY_ID)
        for message_id in ids:
            item = self._known.standing(partner, MessageId(message_id))
            if item is not None and item.known.state is AlertState.QUARANTINED:
                waiting[item.id] = item

    def _free(self, standing: Standing, now_ms: int) -> bool:
        relation = self._known.relate(standing.claim())
        if relation.problem is not None:
            if relation.problem.value != standing.reason:
                standing.reason = relation.problem.value
                self._changed[standing.id] = standing
            return False
        if self._add_waits.pop(standing.id, None) is None:
            self._drop_waits += [row[:-1] for row in standing.waits()]
        standing.reason, standing.wants, standing.wants_commitment = "", b"", b""
        if not standing.held:
            self._tell(ALERT_VALIDATED, standing, "", now_ms)
        self._settle(standing, relation, now_ms, freed=True)
        return True

    def write(self) -> None:
        """Put in the transaction what changed."""
        tx = self._tx
        tx.insert(ADD, [item.row() for item in self._changed.values() if not item.stored])
        tx.insert(PUT, [item.row() for item in self._changed.values() if item.stored])
        tx.run_for(DROP_WAITS, self._drop_waits)
        tx.insert(ADD_WAITS, [row for rows in self._add_waits.values() for row in rows])
        if self._events:
            tx.add_events(self._events)
        add_log(tx, self._log)


def _anything_waits(session: Session, partner: PartnerId) -> bool:
    return session.row(ANY_WAITING, of_sender=partner.code) is not None


def place_alerts(tx: Transaction, arrivals: Sequence[Arrival], now_ms: int, *, ours: bool) -> None:
    """Store where new alerts stand, and what they change for others."""
    if not arrivals:
        return
    about = [item for item in arrivals if item.event is not None]
    # What of ours is about nothing earlier waits for nobody: an update of it can only be handed in later.
    partners = sorted({item.partner for item in (about if ours else arrivals)})
    tx.lock_chains([partner.code for partner in partners])
    if not about and (ours or not any(_anything_waits(tx, partner) for partner in partners)):
        tx.insert(ADD, [item.plain_row(ours=ours) for item in arrivals])
        return
    standings = Standings(tx, ours=ours)
    standings.read_ahead(about)
    for arrival in arrivals:
        standings.add(arrival, now_ms)
    if not ours:
        for partner in partners:
            standings.judge_again(partner, [item for item in arrivals if item.partner == partner], now_ms)
    standings.write()


def doubts(session: Session, shown: Sequence[tuple[str, bytes]], now_ms: int) -> list[EventColumns]:
    """Return what is to be told of held messages (sender, id) that are shown now: that they are in quarantine."""
    by_sender: dict[str, set[bytes]] = {}
    for sender, message_id in shown:
        by_sender.setdefault(sender, set()).add(message_id)
    return [
        (ALERT_QUARANTINED, now_ms, sender, item.known.message_id.raw, sender, item.reason)
        for sender, ids in by_sender.items()
        for item in map(standing_of, session.look_up(BY_ID, sorted(ids), of_sender=sender))
        if item.known.state is AlertState.QUARANTINED
    ]


def find_alerts(session: Session, query: FindAlerts) -> tuple[KnownAlert, ...]:
    """Return alerts with what came after them."""
    known = Known(session)
    known.read(query.partner, (item.raw for item in query.message_ids), OWN_CHAIN)
    known.read_names(query.partner, Mode, query.keys)
    after = {item.known.successor_id for item in known.all() if item.known.partner == query.partner}
    known.read(query.partner, (item.raw for item in after if item is not None), OWN_CHAIN)
    return tuple(item.known for item in known.all())


def standing_columns(row: Row) -> dict[str, Any]:
    """Return what a view shows of the columns STANDING; nothing for what is no alert."""
    state, reason, before, after = row
    if state is None:
        return {}
    return {
        "alert_state": AlertState(state).word,
        "alert_reason": reason,
        "predecessor": MessageId(before) if before is not None else None,
        "successor": MessageId(after) if after is not None else None,
    }


STANDING: Final = (alert.c.state, alert.c.reason, alert.c.predecessor_id, alert.c.successor_id)
