"""The exchange log as it is read: head, proofs, tiles, entries, searches."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, or_, select

from gateway.errors import FieldInvalid, LogInconsistent
from gateway.ports import (
    Checkpoint,
    Checkpoints,
    LogFilter,
    LogHead,
    LogMatches,
    LogRecord,
    ProveConsistency,
    ProveInclusion,
    ReadLog,
    ReadLogHead,
    ReadTile,
    RootAt,
    SearchLog,
)
from gateway.store.log import LAST_CHECKPOINT, StoredTiles
from gateway.store.log_tables import (
    log_checkpoint,
    log_disclosure,
    log_entry,
    log_mark,
    log_state,
    log_waiting,
)
from gateway.store.statement import Statement, constant
from gateway.store.transaction import Row, Session
from gateway.translog.entry import EventType, LogEvent
from gateway.translog.merkle import consistency_proof, inclusion_proof, tree_root
from gateway.translog.tiles import TILE_WIDTH

STATE: Final = Statement(
    select(
        log_state.c.origin,
        log_state.c.size,
        log_state.c.root,
        select(func.max(log_entry.c.position)).scalar_subquery(),
        select(func.count()).select_from(log_waiting).scalar_subquery(),
    ).where(log_state.c.id == constant(1))
)
MARK: Final = Statement(select(log_mark.c.size, log_mark.c.root).where(log_mark.c.id == constant(1)))
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


def _head_row(session: Session) -> tuple[str, int, bytes, int]:
    row = session.row(STATE)
    if row is None:
        raise LogInconsistent("the log", "has lost its state")
    origin, size, root, highest, waiting = row
    return origin, size, root, (highest or 0) - size + waiting


def read_log_head(session: Session, _: ReadLogHead) -> LogHead:
    """Return where the log stands."""
    origin, size, root, waiting = _head_row(session)
    last = session.row(LAST_CHECKPOINT)
    mark = session.row(MARK)
    return LogHead(
        origin=origin,
        size=size,
        root=root,
        waiting=waiting,
        checkpoint=None if last is None else _checkpoint(last),
        mark=None if mark is None else (mark[0], mark[1]),
    )


def _checkpoint(row: Row) -> Checkpoint:
    size, time_ms, root, note = row
    return Checkpoint(size=size, root=root, time_ms=time_ms, note=note)


def _size_at_least(session: Session, size: int) -> None:
    if _head_row(session)[1] < size:
        raise LogInconsistent(f"tree of size {size}", "is larger than the one that is here")


def prove_inclusion(session: Session, query: ProveInclusion) -> tuple[bytes, ...]:
    """Return an inclusion proof."""
    _size_at_least(session, query.size)
    return inclusion_proof(StoredTiles(session), query.index, query.size)


def prove_consistency(session: Session, query: ProveConsistency) -> tuple[bytes, ...]:
    """Return a consistency proof."""
    _size_at_least(session, query.new_size)
    return consistency_proof(StoredTiles(session), query.old_size, query.new_size)


def root_at(session: Session, query: RootAt) -> bytes:
    """Return the root at a size."""
    _size_at_least(session, query.size)
    return tree_root(StoredTiles(session), query.size)


def read_tile(session: Session, query: ReadTile) -> bytes | None:
    """Return a tile."""
    return StoredTiles(session).read(query.level, query.number, TILE_WIDTH) or None


def _record(row: Row) -> LogRecord:
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
            raise LogInconsistent(f"entry {position - 1}", "what it discloses is damaged") from None
    return LogRecord(index=position - 1, leaf=leaf, event=event, salts=salts or b"")


def read_log(session: Session, query: ReadLog) -> tuple[LogRecord, ...]:
    """Return entries in order."""
    size = _head_row(session)[1]
    rows = session.rows(ENTRIES, after_position=query.first, last_position=size, max_rows=query.max_rows)
    return tuple(_record(row) for row in rows)


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
        where = and_(log_disclosure.c.position <= bindparam("last_position"), *terms)
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
    size = _head_row(session)[1]
    values = _values(query.filter)
    count, show = _search(len(query.filter.types), frozenset(values))
    values |= {f"type_{place}": kind for place, kind in enumerate(query.filter.types)}
    total = searched = 0
    if query.counted:
        everything, _ = _search(0, frozenset())
        (total,) = session.row(count, last_position=size, **values) or (0,)
        (searched,) = session.row(everything, last_position=size) or (0,)
    rows = session.rows(show, last_position=size, before_position=query.before, max_rows=query.max_rows, **values)
    return LogMatches(records=tuple(_record(row) for row in rows), total=total, searched=searched)


def checkpoints(session: Session, query: Checkpoints) -> tuple[Checkpoint, ...]:
    """Return checkpoints of ours."""
    return tuple(_checkpoint(row) for row in session.rows(CHECKPOINTS, after_size=query.after, max_rows=query.max_rows))
