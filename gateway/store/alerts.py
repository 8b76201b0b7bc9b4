"""Where alerts stand: an update or cancellation finds its predecessor and ends it, in the commit that brings it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import select

from gateway.errors import StateConflict
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.alert import AlertType
from gateway.model.header import Mode, Supersedes
from gateway.ports import AlertEntry, FindAlerts, LogEntry
from gateway.store.events import ALERT_CANCELLED, ALERT_QUARANTINED, ALERT_SUPERSEDED, ALERT_VALIDATED, EventColumns
from gateway.store.log import add_log
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.tables import QUARANTINED, alert
from gateway.store.transaction import Row, Session, Transaction
from gateway.translog.entry import SALTS_BYTES, EventType, LogEvent, leaf
from gateway.workflow.alert import ISSUER, RECEIVER, AlertEvent, AlertState, step
from gateway.workflow.alert_chain import MAX_CHAIN, Claim, KnownAlert, Problem, Relation, relate

MAX_WAITERS: Final = 64
"""Alerts in doubt that one which comes in may free. Of more that name the same one, only one could be right."""

BY_ID: Final = Lookup(lambda keys: select(*alert.c).where(alert.c.message_id.in_(keys)), alert.c.message_id)
BY_KEY: Final = Lookup(lambda keys: select(*alert.c).where(alert.c.key.in_(keys)), alert.c.key)
ANY_DOUBTFUL: Final = Statement(
    select(alert.c.sender).where(alert.c.state == constant(QUARANTINED)).order_by(alert.c.wants).limit(constant(1))
)
WAITERS: Final = Lookup(
    lambda keys: (
        select(*alert.c)
        .where(alert.c.state == constant(QUARANTINED), alert.c.wants.in_(keys))
        .order_by(alert.c.create_ms, alert.c.message_id)
        .limit(constant(MAX_WAITERS))
    ),
    alert.c.wants,
)
PUT: Final = Insert(
    alert,
    key=("sender", "message_id"),
    replace=("state", "reason", "wants", "wants_commitment", "predecessor_id", "successor_id"),
)

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


@dataclass(slots=True)
class _Standing:
    """A row of the table, as this commit leaves it."""

    known: KnownAlert
    ours: bool
    reason: str = ""
    wants: bytes = b""
    wants_commitment: bytes = b""
    predecessor_id: MessageId | None = None
    held: bool = False

    @property
    def id(self) -> _Id:
        return self.known.partner, self.known.message_id

    def row(self) -> tuple[object, ...]:
        known = self.known
        return (
            known.partner.code,
            known.message_id.raw,
            int(self.ours),
            known.key,
            int(known.alert_type),
            int(known.mode),
            int(known.state),
            self.reason,
            known.thread_id.raw,
            known.create_ms,
            known.expire_ms,
            known.content_commitment,
            self.wants,
            self.wants_commitment,
            self.predecessor_id.raw if self.predecessor_id else None,
            known.successor_id.raw if known.successor_id else None,
        )


class Standings:
    """The alerts that a commit touches: read when needed, written at the end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._by_id: dict[_Id, _Standing] = {}
        self._by_key: dict[bytes, list[_Standing]] = {}
        self._asked: set[bytes] = set()
        self._changed: dict[_Id, _Standing] = {}
        self.events: list[EventColumns] = []
        self.log: list[LogEntry] = []

    def read(self, ids: Iterable[bytes], keys: Iterable[bytes]) -> None:
        """Look alerts up, each only once."""
        for lookup, wanted in ((BY_ID, set(ids)), (BY_KEY, set(keys))):
            fresh = wanted - self._asked
            self._asked |= fresh
            for row in self._session.look_up(lookup, sorted(fresh)):
                self._keep(_standing(row))

    def _keep(self, standing: _Standing) -> _Standing:
        kept = self._by_id.setdefault(standing.id, standing)
        same = self._by_key.setdefault(kept.known.key, [])
        if kept not in same:
            same.append(kept)
        return kept

    def by_id(self, partner: PartnerId, message_id: MessageId) -> KnownAlert | None:
        """Return an alert of a partner."""
        self.read([message_id.raw], ())
        found = self._by_id.get((partner, message_id))
        return found.known if found is not None else None

    def by_key(self, key: bytes) -> tuple[KnownAlert, ...]:
        """Return the alerts that CAP names alike, whoever sent them."""
        self.read((), [key])
        return tuple(item.known for item in self._by_key.get(key, ()))

    def add(self, arrival: Arrival, now_ms: int, *, ours: bool) -> None:
        """Give an alert its place."""
        entry = arrival.entry
        known = KnownAlert(
            partner=arrival.partner,
            key=entry.key,
            message_id=arrival.message_id,
            thread_id=arrival.thread_id,
            alert_type=entry.alert_type,
            mode=arrival.mode,
            state=AlertState.SUBMITTED if ours else AlertState.RECEIVED,
            create_ms=arrival.create_ms,
            expire_ms=arrival.expire_ms,
            content_commitment=arrival.content_commitment,
            successor_id=None,
        )
        claim = Claim(
            partner=arrival.partner,
            message_id=arrival.message_id,
            alert_type=entry.alert_type,
            mode=arrival.mode,
            create_ms=arrival.create_ms,
            supersedes=arrival.supersedes,
            references=entry.references,
            self_reference=entry.self_reference,
        )
        relation = relate(claim, self.by_id, self.by_key)
        standing = self._keep(_Standing(known, ours, held=arrival.held))
        if relation.problem is not None and not ours:
            if arrival.supersedes is not None:
                standing.wants = arrival.supersedes.message_id.raw
                standing.wants_commitment = arrival.supersedes.content_commitment
            else:
                standing.wants = entry.references[0] if entry.references else b""
            self._quarantine(standing, relation.problem, now_ms)
            return
        if relation.problem is not None:
            standing.reason = relation.problem.value
        self._settle(standing, relation, now_ms)

    def _quarantine(self, standing: _Standing, problem: Problem, now_ms: int) -> None:
        self._move(standing, AlertEvent.QUARANTINE)
        standing.reason = problem.value
        self._record(standing, now_ms)
        if not standing.held:
            self._tell(ALERT_QUARANTINED, standing, problem.value, now_ms)

    def _settle(self, standing: _Standing, relation: Relation, now_ms: int, *, freed: bool = False) -> None:
        """Let an alert that is not in doubt, or not any more, count, and end the one it is about."""
        self._move(standing, AlertEvent.ISSUE if standing.ours else AlertEvent.VALIDATE)
        if freed:
            self._record(standing, now_ms)
        before, after = relation.predecessor, relation.overtaken_by
        if relation.event is None or before is None or relation.problem is not None:
            return
        standing.predecessor_id = before.message_id
        if after is not None:
            ended = AlertEvent.CANCEL if after.alert_type is AlertType.CANCEL else AlertEvent.SUPERSEDE
            self._end(standing, ended, after.message_id, now_ms)
        else:
            self._end(self._by_id[before.partner, before.message_id], relation.event, standing.known.message_id, now_ms)

    def _end(self, standing: _Standing, event: AlertEvent, successor: MessageId, now_ms: int) -> None:
        try:
            self._move(standing, event)
        except StateConflict:
            # Of two replacements that were issued at once, the first has ended it.
            return
        standing.known = replace(standing.known, successor_id=successor)
        self._record(standing, now_ms)
        told = ALERT_CANCELLED if event is AlertEvent.CANCEL else ALERT_SUPERSEDED
        self._tell(told, standing, str(successor), now_ms)

    def _move(self, standing: _Standing, event: AlertEvent) -> None:
        state = step(ISSUER if standing.ours else RECEIVER, standing.known.state, event)
        standing.known = replace(standing.known, state=state)
        self._changed[standing.id] = standing

    def _record(self, standing: _Standing, now_ms: int) -> None:
        """Put in the exchange log that an alert left its first state; that it came is an entry already."""
        known = standing.known
        event = LogEvent(
            type=EventType.ALERT_CHANGED,
            time_ms=now_ms,
            actor="gateway",
            partner="" if standing.ours else known.partner.code,
            subject=known.message_id.raw,
            thread=known.thread_id.raw,
            outcome=known.state.word,
            reason=standing.reason,
            detail=str(known.successor_id or ""),
        )
        # Made here because only here it is known what changes. Salts need not be the same when a commit is tried again.
        salts = os.urandom(SALTS_BYTES)
        self.log.append(LogEntry(leaf(event, salts), salts, event))

    def _tell(self, kind: int, standing: _Standing, reason: str, now_ms: int) -> None:
        partner, message_id = standing.id
        self.events.append((kind, now_ms, partner.code, message_id.raw, partner.code, reason))

    def judge_again(self, arrivals: Sequence[Arrival], now_ms: int) -> None:
        """Look again at what is in doubt because of alerts that are here now, and at what waits for those."""
        names = [name for item in arrivals for name in (item.message_id.raw, item.entry.key)]
        stored = self._session.row(ANY_DOUBTFUL) is not None
        while names:
            rows = self._session.look_up(WAITERS, sorted(set(names))) if stored else []
            for row in rows:
                self._keep(_standing(row))
            waiting = [
                item
                for item in self._by_id.values()
                if item.known.state is AlertState.QUARANTINED and item.wants in names
            ]
            names = []
            for standing in sorted(waiting, key=lambda item: (item.known.create_ms, item.known.message_id.raw)):
                relation = relate(_claim(standing), self.by_id, self.by_key)
                if relation.problem is None:
                    standing.reason, standing.wants, standing.wants_commitment = "", b"", b""
                    if not standing.held:
                        self._tell(ALERT_VALIDATED, standing, "", now_ms)
                    self._settle(standing, relation, now_ms, freed=True)
                    names += [standing.known.message_id.raw, standing.known.key]
                elif relation.problem.value != standing.reason:
                    standing.reason = relation.problem.value
                    self._changed[standing.id] = standing

    def changed(self) -> list[tuple[object, ...]]:
        """Return the rows to write."""
        return [item.row() for item in self._changed.values()]

    def chains(self, partner: PartnerId) -> tuple[KnownAlert, ...]:
        """Return what was read, with everything that came after a partner's own."""
        for _ in range(MAX_CHAIN):
            after = {
                item.known.successor_id.raw
                for item in self._by_id.values()
                if item.known.partner == partner and item.known.successor_id is not None
            }
            if after <= self._asked:
                break
            self.read(after, ())
        return tuple(item.known for item in self._by_id.values())


def place_alerts(tx: Transaction, arrivals: Sequence[Arrival], now_ms: int, *, ours: bool) -> None:
    """Store where new alerts stand, and what they change for others."""
    if not arrivals:
        return
    standings = Standings(tx)
    standings.read(
        (item.supersedes.message_id.raw for item in arrivals if item.supersedes is not None),
        (key for item in arrivals if item.supersedes is None for key in item.entry.references),
    )
    for arrival in arrivals:
        standings.add(arrival, now_ms, ours=ours)
    if not ours:
        standings.judge_again(arrivals, now_ms)
    tx.insert(PUT, standings.changed())
    if standings.events:
        tx.add_events(standings.events)
    add_log(tx, standings.log)


def doubts(session: Session, shown: Sequence[tuple[str, bytes]], now_ms: int) -> list[EventColumns]:
    """Return what is to be told of held messages (sender, id) that are shown now: that they are in quarantine."""
    wanted = set(shown)
    if not wanted or session.row(ANY_DOUBTFUL) is None:
        return []
    found = (_standing(row) for row in session.look_up(BY_ID, sorted({message_id for _, message_id in wanted})))
    return [
        (ALERT_QUARANTINED, now_ms, sender, message_id, sender, item.reason)
        for item in found
        for sender, message_id in [(item.known.partner.code, item.known.message_id.raw)]
        if (sender, message_id) in wanted and item.known.state is AlertState.QUARANTINED
    ]


def find_alerts(session: Session, query: FindAlerts) -> tuple[KnownAlert, ...]:
    """Return alerts with what came after them."""
    standings = Standings(session)
    standings.read((item.raw for item in query.message_ids), query.keys)
    return standings.chains(query.partner)


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


def _claim(standing: _Standing) -> Claim:
    known = standing.known
    by_id = bool(standing.wants_commitment)
    return Claim(
        partner=known.partner,
        message_id=known.message_id,
        alert_type=known.alert_type,
        mode=known.mode,
        create_ms=known.create_ms,
        supersedes=Supersedes(message_id=MessageId(standing.wants), content_commitment=standing.wants_commitment)
        if by_id
        else None,
        references=(standing.wants,) if standing.wants and not by_id else (),
        self_reference=False,
    )


def _standing(row: Row) -> _Standing:
    (sender, message_id, ours, key, kind, mode, state, reason, thread_id, create_ms, expire_ms) = row[:11]
    (commitment, wants, wants_commitment, before, after) = row[11:]
    return _Standing(
        known=KnownAlert(
            partner=PartnerId(sender),
            key=key,
            message_id=MessageId(message_id),
            thread_id=ThreadId(thread_id),
            alert_type=AlertType(kind),
            mode=Mode(mode),
            state=AlertState(state),
            create_ms=create_ms,
            expire_ms=expire_ms,
            content_commitment=commitment,
            successor_id=MessageId(after) if after is not None else None,
        ),
        ours=bool(ours),
        reason=reason,
        wants=wants,
        wants_commitment=wants_commitment,
        predecessor_id=MessageId(before) if before is not None else None,
    )
