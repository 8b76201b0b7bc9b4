"""The exchange log as it is read: head, proofs, tiles, entries, searches."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, or_, select

from gateway.errors import FieldInvalid, LogInconsistent
from gateway.ports import (
    PRESENT,
    Checkpoint,
    Checkpoints,
    LogFilter,
    LogHead,
    LogMatches,
    LogRecord,
    LogVerdict,
    ProveConsistency,
    ProveInclusion,
    ReadLog,
    ReadLogHead,
    ReadTile,
    RootAt,
    SearchLog,
)
from gateway.store.log import LAST_CHECKPOINT, Place, StoredTiles
from gateway.store.log_begin import ended_places
from gateway.store.log_tables import (
    log_checkpoint,
    log_disclosure,
    log_entry,
    log_mark,
    log_state,
    log_verdict,
    log_waiting,
)
from gateway.store.statement import Statement, constant
from gateway.store.transaction import Row, Session
from gateway.translog.entry import EventType, LogEvent
from gateway.translog.merkle import MAX_SIZE, consistency_proof, inclusion_proof, tree_root
from gateway.translog.tiles import TILE_WIDTH

STATE: Final = Statement(
    select(
        log_state.c.number,
        log_state.c.origin,
        log_state.c.base,
        log_state.c.size,
        log_state.c.root,
    ).where(log_state.c.id == constant(1))
)
# Only for the head: after many entries PostgreSQL walks the dead rows of those that waited, until they are vacuumed.
WAITING: Final = Statement(
    select(
        select(func.max(log_entry.c.position)).scalar_subquery(),
        select(func.count()).select_from(log_waiting).scalar_subquery(),
    )
)
MARK: Final = Statement(select(log_mark.c.size, log_mark.c.root).where(log_mark.c.id == constant(1)))
VERDICT: Final = Statement(
    select(log_verdict.c.problem, log_verdict.c.origin, log_verdict.c.size, log_verdict.c.root).where(
        log_verdict.c.number == bindparam("of_number")
    )
)
_STEP = (
    log_disclosure.c.type,
    log_disclosure.c.time_ms,
    log_disclosure.c.actor,
    log_disclosure.c.partner,
    log_disclosure.c.subject,
    log_disclosure.c.thread,
    log_disclosure.c.digest,
    log_disclosure.c.outcome,
    log_disclosure.c.reason,
    log_disclosure.c.detail,
    log_disclosure.c.salts,
)
ENTRIES: Final = Statement(
    select(log_entry.c.position, log_entry.c.leaf, *_STEP)
    .select_from(log_entry.outerjoin(log_disclosure, log_disclosure.c.position == log_entry.c.position))
    .where(log_entry.c.position > bindparam("after_position"), log_entry.c.position <= bindparam("last_position"))
    .order_by(log_entry.c.position)
    .limit(bindparam("max_rows", type_=Integer))
)
CHECKPOINTS: Final = Statement(
    select(*log_checkpoint.c)
    .where(log_checkpoint.c.size > bindparam("after_size"))
    .order_by(log_checkpoint.c.size)
    .limit(bindparam("max_rows", type_=Integer))
)


def _find(session: Session, log: int) -> Place | None:
    """Return a log of ours; None when there is none of this number."""
    row = session.row(STATE)
    if row is None:
        raise LogInconsistent("the log", "has lost its state")
    present = Place(*row)
    if log in {PRESENT, present.number}:
        return present
    return next((place for place in ended_places(session) if place.number == log), None)


def _place(session: Session, log: int) -> Place:
    found = _find(session, log)
    if found is None:
        raise LogInconsistent(f"log {log}", "is not one of ours")
    return found


def _waiting(session: Session, place: Place) -> int:
    """Return how many entries wait for the tree of the present log."""
    highest, waiting = session.row(WAITING) or (None, 0)
    # No position beyond the base was given yet when the highest is an old log's.
    return max(0, (highest or 0) - place.base - place.size) + int(waiting)


def read_log_head(session: Session, query: ReadLogHead) -> LogHead | None:
    """Return where a log stands."""
    place = _find(session, query.log)
    if place is None:
        return None
    last = session.row(LAST_CHECKPOINT, after_size=place.base, last_size=place.end)
    # The mark is of the log that is kept now.
    mark = session.row(MARK) if place.end == MAX_SIZE else None
    verdict = session.row(VERDICT, of_number=place.number)
    return LogHead(
        number=place.number,
        origin=place.origin,
        size=place.size,
        root=place.root,
        waiting=_waiting(session, place) if place.end == MAX_SIZE else 0,
        checkpoint=None if last is None else _checkpoint(last, place.base),
        mark=None if mark is None else (mark[0], mark[1]),
        verdict=None
        if verdict is None
        else LogVerdict(problem=verdict[0], origin=verdict[1], size=verdict[2], root=verdict[3]),
    )


def _checkpoint(row: Row, base: int) -> Checkpoint:
    size, time_ms, root, note = row
    return Checkpoint(size=size - base, root=root, time_ms=time_ms, note=note)


def _tree(session: Session, log: int, size: int) -> StoredTiles:
    place = _place(session, log)
    if place.size < size:
        raise LogInconsistent(f"tree of size {size}", "is larger than the one that is here")
    return StoredTiles(session, place.number)


def prove_inclusion(session: Session, query: ProveInclusion) -> tuple[bytes, ...]:
    """Return an inclusion proof."""
    return inclusion_proof(_tree(session, query.log, query.size), query.index, query.size)


def prove_consistency(session: Session, query: ProveConsistency) -> tuple[bytes, ...]:
    """Return a consistency proof."""
    return consistency_proof(_tree(session, PRESENT, query.new_size), query.old_size, query.new_size)


def root_at(session: Session, query: RootAt) -> bytes:
    """Return the root at a size."""
    return tree_root(_tree(session, PRESENT, query.size), query.size)


def read_tile(session: Session, query: ReadTile) -> bytes | None:
    """Return a tile."""
    return _tree(session, query.log, 0).read(query.level, query.number, TILE_WIDTH) or None


def _record(row: Row, base: int) -> LogRecord:
    position, leaf, kind, time_ms, actor, partner, subject, thread, digest, outcome, reason, detail, salts = row
    event = None
    if kind is not None:
        try:
            event = LogEvent(
                type=EventType(kind),
                time_ms=time_ms,
                actor=actor,
                partner=partner,
                subject=subject,
                thread=thread,
                digest=digest,
                outcome=outcome,
                reason=reason,
                detail=detail,
            )
        except (ValueError, FieldInvalid):
            raise LogInconsistent(f"entry {position - 1 - base}", "what it discloses is damaged") from None
    return LogRecord(index=position - 1 - base, leaf=leaf, event=event, salts=salts or b"")


def read_log(session: Session, query: ReadLog) -> tuple[LogRecord, ...]:
    """Return entries in order."""
    place = _place(session, query.log)
    first, last = place.base + min(query.first, place.size), place.base + place.size
    rows = session.rows(ENTRIES, after_position=first, last_position=last, max_rows=query.max_rows)
    return tuple(_record(row, place.base) for row in rows)


_SEARCHES: dict[tuple[int, frozenset[str]], tuple[Statement, Statement]] = {}


def _search(types: int, used: frozenset[str]) -> tuple[Statement, Statement]:
    """Return the statements that count and that show, for a set of conditions; compiled once for each."""
    found = _SEARCHES.get((types, used))
    if found is None:
        columns = {
            "of_partner": log_disclosure.c.partner.__eq__,
            "of_actor": log_disclosure.c.actor.__eq__,
            "of_subject": log_disclosure.c.subject.__eq__,
            "of_thread": log_disclosure.c.thread.__eq__,
            "since_ms": log_disclosure.c.time_ms.__ge__,
            "until_ms": log_disclosure.c.time_ms.__lt__,
        }
        terms: list[ColumnElement[bool]] = [columns[name](bindparam(name)) for name in sorted(used)]
        if types:
            terms.append(or_(*(log_disclosure.c.type == bindparam(f"type_{place}") for place in range(types))))
        of_log = (
            log_disclosure.c.position > bindparam("base_position"),
            log_disclosure.c.position <= bindparam("last_position"),
        )
        where = and_(*of_log, *terms)
        count = Statement(select(func.count()).select_from(log_disclosure).where(where))
        show = Statement(
            select(log_entry.c.position, log_entry.c.leaf, *_STEP)
            .select_from(log_disclosure.join(log_entry, log_entry.c.position == log_disclosure.c.position))
            .where(where, log_disclosure.c.position <= bindparam("before_position"))
            .order_by(log_disclosure.c.position.desc())
            .limit(bindparam("max_rows", type_=Integer))
        )
        found = _SEARCHES[types, used] = (count, show)
    return found


def _values(wanted: LogFilter) -> dict[str, Any]:
    given: dict[str, Any] = {
        "of_partner": wanted.partner,
        "of_actor": wanted.actor,
        "of_subject": wanted.subject,
        "of_thread": wanted.thread,
        "since_ms": wanted.since_ms,
        "until_ms": wanted.until_ms,
    }
    return {name: value for name, value in given.items() if value not in {"", b"", None}}


def search_log(session: Session, query: SearchLog) -> LogMatches:
    """Return what matches, and how much there is in all."""
    place = _place(session, query.log)
    values = _values(query.filter)
    count, show = _search(len(query.filter.types), frozenset(values))
    values |= {f"type_{number}": kind for number, kind in enumerate(query.filter.types)}
    whole = {"base_position": place.base, "last_position": place.base + place.size}
    total = searched = 0
    if query.counted:
        everything, _ = _search(0, frozenset())
        (total,) = session.row(count, **whole, **values) or (0,)
        (searched,) = session.row(everything, **whole) or (0,)
    before = place.base + min(query.before, place.size)
    rows = session.rows(show, **whole, before_position=before, max_rows=query.max_rows, **values)
    records = tuple(_record(row, place.base) for row in rows)
    return LogMatches(records=records, total=total, searched=searched)


def checkpoints(session: Session, query: Checkpoints) -> tuple[Checkpoint, ...]:
    """Return checkpoints of ours."""
    base = _place(session, PRESENT).base
    rows = session.rows(CHECKPOINTS, after_size=base + query.after, max_rows=query.max_rows)
    return tuple(_checkpoint(row, base) for row in rows)
