"""Logs that end and logs that begin: a verdict that stays, and the step from one log to the next.

Nothing of the old log is touched: its entries, tiles and checkpoints stay under its number, as far as they are here.
"""

from typing import Final

from sqlalchemy import bindparam, func, select, update

from gateway.errors import LogInconsistent
from gateway.ports import BeginLog, CondemnLog, EndedLog, EndedLogs, IntegrateLog, LogEntry
from gateway.store.log import (
    ADD_DISCLOSURES,
    ADD_ENTRIES,
    LAST_CHECKPOINT,
    Place,
    StoredTiles,
    grow_tree,
    integrate_log,
    lock_place,
    log_columns,
)
from gateway.store.log_tables import MAX_LOGS, log_checkpoint, log_ended, log_entry, log_state, log_verdict
from gateway.store.statement import Insert, Statement, constant
from gateway.store.transaction import Session, Transaction
from gateway.translog.entry import leaf
from gateway.translog.merkle import EMPTY_ROOT, leaf_hash, tree_root
from gateway.translog.succession import Succession

_REST: Final = 4096
ADD_ENDED: Final = Insert(log_ended)
ADD_VERDICT: Final = Insert(log_verdict, skip_known=True)
ENDED: Final = Statement(select(*log_ended.c).order_by(log_ended.c.number))
HIGHEST: Final = Statement(
    select(
        select(func.max(log_entry.c.position)).scalar_subquery(),
        select(func.max(log_checkpoint.c.size)).scalar_subquery(),
    )
)
BEGIN: Final = Statement(
    update(log_state)
    .where(log_state.c.id == constant(1))
    .values(
        number=bindparam("new_number"),
        origin=bindparam("new_origin"),
        base=bindparam("new_base"),
        size=constant(0),
        root=bindparam("new_root"),
    )
)


def condemn_log(tx: Transaction, operation: CondemnLog) -> None:
    """Remember that a log is not to be signed any more."""
    verdict = operation.verdict
    row = (operation.number, operation.time_ms, verdict.problem, verdict.origin, verdict.size, verdict.root)
    tx.insert(ADD_VERDICT, [row])


def begin_log(tx: Transaction, operation: BeginLog) -> bool:
    """End a log and begin the next one."""
    place = lock_place(tx)
    known = {place.origin, *(item.origin for item in ended_logs(tx, EndedLogs()))}
    if place.number != operation.number or operation.origin in known or place.number >= MAX_LOGS:
        return False
    if operation.sound:
        while integrate_log(tx, IntegrateLog(_REST)) == _REST:
            pass
        place = lock_place(tx)
    highest = tx.row(HIGHEST) or (0, 0)
    end = max(place.base + place.size, highest[0] or 0, highest[1] or 0)
    ended = (place.number, place.origin, place.base, end, place.size, place.root)
    tx.insert(ADD_ENDED, [(*ended, operation.time_ms, operation.problem, operation.reason)])
    tx.run(BEGIN, new_number=place.number + 1, new_origin=operation.origin, new_base=end, new_root=EMPTY_ROOT)
    _state_succession(tx, operation, place, end)
    return True


def _state_succession(tx: Transaction, operation: BeginLog, before: Place, base: int) -> None:
    """Put the first entry in its place and in the tree, before any other can take that place."""
    origin, size, root = operation.signed
    ours = origin == before.origin
    said = Succession(
        origin=origin,
        size=size,
        root=root,
        sure_size=min(_sure_size(tx, before), size) if ours else 0,
        kept_size=before.size if ours else 0,
        kept_root=before.root if ours else EMPTY_ROOT,
        reason=operation.reason,
    )
    event = said.event(operation.time_ms, operation.actor)
    row = log_columns(LogEntry(leaf(event, operation.salts), operation.salts, event))
    tx.insert(ADD_ENTRIES, [(base + 1, row[0])])
    tx.insert(ADD_DISCLOSURES, [(base + 1, *row[1:])])
    tx.skip_log(base + 1)
    grow_tree(tx, Place(before.number + 1, operation.origin, base, 0, EMPTY_ROOT), [row[0]])
    # The mark is of the tree that is signed now; the old one would stop it.
    tx.mark_log(1, leaf_hash(row[0]))
    tx.touch("log")


def _sure_size(tx: Transaction, before: Place) -> int:
    """Return how many entries the newest checkpoint that is here covers, if the tree that is here fits it."""
    last = tx.row(LAST_CHECKPOINT, after_size=before.base, last_size=before.end)
    if last is None or last[0] - before.base > before.size:
        return 0
    size = int(last[0]) - before.base
    try:
        return size if tree_root(StoredTiles(tx, before.number), size) == last[2] else 0
    except LogInconsistent:
        return 0


def ended_places(session: Session) -> list[Place]:
    """Return where the logs that ended lie, the oldest first."""
    return [
        Place(number, origin, base, size, root, end)
        for number, origin, base, end, size, root, *_ in session.rows(ENDED)
    ]


def ended_logs(session: Session, _: EndedLogs) -> tuple[EndedLog, ...]:
    """Return our logs that ended."""
    return tuple(
        EndedLog(number=number, origin=origin, size=size, root=root, end_ms=end_ms, problem=problem, reason=reason)
        for number, origin, _, _, size, root, end_ms, problem, reason in session.rows(ENDED)
    )
