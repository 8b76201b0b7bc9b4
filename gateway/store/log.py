"""The exchange log as it is written: entries, the tree over them, checkpoints.

An entry is enqueued in the transaction of the step that it records, so that neither is without the other. With one
writer it has its position at once; with many it waits, and whoever integrates gives positions. One integrator at a
time hashes what is enqueued into the tree: the state row is locked, so that two can only follow each other.
Damage to the log is LogInconsistent, not StoreCorrupt, which stops all writing: messages do not need the log's tree.
Topics: "log.new" (something is enqueued), "log.batch" (a whole batch is), "log" (the tree or its checkpoints grew).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer, bindparam, delete, select, update

from gateway.errors import LogInconsistent
from gateway.ports import (
    AppendLog,
    CommitCheckpoint,
    EraseDisclosure,
    IntegrateLog,
    LogEntry,
    OpenLog,
)
from gateway.store.log_tables import (
    LEVELS,
    TILES,
    log_checkpoint,
    log_disclosure,
    log_entry,
    log_mark,
    log_state,
    log_tile,
    log_waiting,
)
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.transaction import LogColumns, Session, Transaction
from gateway.translog.merkle import HASH_BYTES, MAX_SIZE, leaf_hash
from gateway.translog.tiles import Frontier

LOG_BATCH: Final = 256
"""So many entries are integrated without waiting for a second to pass: one tile."""
ADD_ENTRIES: Final = Insert(log_entry)
ADD_DISCLOSURES: Final = Insert(log_disclosure)
ADD_WAITING: Final = Insert(log_waiting)
PUT_TILES: Final = Insert(log_tile, key=("id",), replace=("hashes",))
LOCK_STATE: Final = Statement(
    select(log_state.c.number, log_state.c.origin, log_state.c.base, log_state.c.size, log_state.c.root)
    .where(log_state.c.id == constant(1))
    .with_for_update()
)
SET_ORIGIN: Final = Statement(
    update(log_state).where(log_state.c.id == constant(1)).values(origin=bindparam("new_origin"))
)
MOVE_STATE: Final = Statement(
    update(log_state)
    .where(log_state.c.id == constant(1))
    .values(size=bindparam("new_size"), root=bindparam("new_root"))
)
NEXT_LEAVES: Final = Statement(
    select(log_entry.c.position, log_entry.c.leaf)
    .where(log_entry.c.position > bindparam("after_position"))
    .order_by(log_entry.c.position)
    .limit(bindparam("max_rows", type_=Integer))
)
NEXT_WAITING: Final = Statement(
    select(*log_waiting.c).order_by(log_waiting.c.id).limit(bindparam("max_rows", type_=Integer))
)
DROP_WAITING: Final = Lookup(lambda keys: delete(log_waiting).where(log_waiting.c.id.in_(keys)), log_waiting.c.id)
ONE_TILE: Final = Statement(select(log_tile.c.hashes).where(log_tile.c.id == bindparam("of_tile")))
LAST_CHECKPOINT: Final = Statement(
    select(*log_checkpoint.c)
    .where(log_checkpoint.c.size > bindparam("after_size"), log_checkpoint.c.size <= bindparam("last_size"))
    .order_by(log_checkpoint.c.size.desc())
    .limit(constant(1))
)
ADD_CHECKPOINT: Final = Insert(log_checkpoint)
PUT_MARK: Final = Insert(log_mark, key=("id",), replace=("size", "root"))
ERASE: Final = Statement(delete(log_disclosure).where(log_disclosure.c.position == bindparam("of_position")))


def log_columns(entry: LogEntry) -> LogColumns:
    """Return an entry's columns: the leaf, and what it discloses."""
    event = entry.event
    return (
        entry.leaf,
        int(event.type),
        event.time_ms,
        event.actor,
        event.partner,
        event.subject,
        event.thread,
        event.digest,
        event.outcome,
        event.reason,
        event.detail,
        entry.salts,
    )


def add_log(tx: Transaction, entries: Iterable[LogEntry]) -> None:
    """Enqueue steps with the transaction in which they happen."""
    tx.add_log([log_columns(entry) for entry in entries])


def append_log(tx: Transaction, operations: Sequence[AppendLog]) -> list[None]:
    """Enqueue steps that belong to no other operation."""
    add_log(tx, (entry for operation in operations for entry in operation.entries))
    return [None] * len(operations)


def open_log(tx: Transaction, operation: OpenLog) -> str:
    """Name the log once."""
    place = lock_place(tx)
    if place.origin:
        return place.origin
    tx.run(SET_ORIGIN, new_origin=operation.origin)
    return operation.origin


@dataclass(frozen=True, slots=True)
class Place:
    """A log of ours, and where it lies among those that were kept one after another."""

    number: int
    origin: str
    base: int
    """Position of its first entry less one."""
    size: int
    root: bytes
    end: int = MAX_SIZE
    """Position of its last entry; of the log that is kept now, beyond every other."""


def lock_place(tx: Transaction) -> Place:
    """Return the log that is kept now, for nobody else to change until the commit.

    Raises:
        LogInconsistent: It has lost its state.
    """
    row = tx.row(LOCK_STATE)
    if row is None:
        raise LogInconsistent("the log", "has lost its state")
    return Place(*row)


def tile_id(log: int, level: int, number: int) -> int:
    """Return the row under which a tile of the how manieth log lies."""
    return ((log - 1) * LEVELS + level) * TILES + number


class StoredTiles:
    """Tiles of a session (translog.merkle.TileReader)."""

    def __init__(self, session: Session, log: int) -> None:
        self._session = session
        self._log = log

    def read(self, level: int, number: int, width: int) -> bytes:
        """Return the first hashes of a tile, as many as there are."""
        row = self._session.row(ONE_TILE, of_tile=tile_id(self._log, level, number))
        return b"" if row is None else bytes(row[0][: width * HASH_BYTES])


def integrate_log(tx: Transaction, operation: IntegrateLog) -> int:
    """Hash enqueued entries into the tree."""
    place = lock_place(tx)
    leaves = _take_leaves(tx, place, operation.max_entries)
    if leaves:
        grow_tree(tx, place, leaves)
        tx.touch("log")
    return len(leaves)


def grow_tree(tx: Transaction, place: Place, leaves: Sequence[bytes]) -> None:
    """Hash leaves into the tree.

    Raises:
        LogInconsistent: The tree is damaged.
    """
    edge = Frontier.load(StoredTiles(tx, place.number), place.size)
    if edge.root != place.root:
        raise LogInconsistent(f"tree of size {place.size}", "the tiles lead to another root")
    grown = edge.append([leaf_hash(leaf) for leaf in leaves])
    tx.insert(PUT_TILES, [(tile_id(place.number, tile.level, tile.number), tile.hashes) for tile in grown.tiles])
    tx.run(MOVE_STATE, new_size=grown.frontier.size, new_root=grown.frontier.root)


def _take_leaves(tx: Transaction, place: Place, max_entries: int) -> list[bytes]:
    """Return the next leaves in order, each with its position given."""
    size = place.base + place.size
    waiting = tx.rows(NEXT_WAITING, max_rows=max_entries)
    if waiting:
        numbered = list(enumerate(waiting, size + 1))
        tx.insert(ADD_ENTRIES, [(position, row[1]) for position, row in numbered])
        tx.insert(ADD_DISCLOSURES, [(position, *tuple(row)[2:]) for position, row in numbered])
        tx.run_for(DROP_WAITING, [row[0] for row in waiting])
        return [row[1] for row in waiting]
    rows = tx.rows(NEXT_LEAVES, after_position=size, max_rows=max_entries)
    if any(position != expected for expected, (position, _) in enumerate(rows, size + 1)):
        raise LogInconsistent(f"entries from {place.size} on", "are missing")
    return [leaf for _, leaf in rows]


def commit_checkpoint(tx: Transaction, operation: CommitCheckpoint) -> bool:
    """Keep a checkpoint of ours."""
    checkpoint = operation.checkpoint
    place = lock_place(tx)
    last = tx.row(LAST_CHECKPOINT, after_size=place.base, last_size=place.end)
    newest = last[0] - place.base if last is not None else 0
    if operation.log != place.number or not newest < checkpoint.size <= place.size:
        return False
    tx.mark_log(checkpoint.size, checkpoint.root)
    tx.insert(ADD_CHECKPOINT, [(place.base + checkpoint.size, checkpoint.time_ms, checkpoint.root, checkpoint.note)])
    tx.touch("log")
    return True


def erase_disclosure(tx: Transaction, operation: EraseDisclosure) -> bool:
    """Erase what an entry discloses."""
    if not tx.run(ERASE, of_position=lock_place(tx).base + operation.index + 1):
        return False
    add_log(tx, [operation.log])
    return True
