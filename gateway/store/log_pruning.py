"""Checkpoints that nobody needs any more: one every ten seconds is three million a year."""

from bisect import bisect_left
from itertools import pairwise
from typing import Final

from sqlalchemy import Integer, bindparam, delete, select

from gateway.ports import PruneCheckpoints
from gateway.store.log import lock_place
from gateway.store.log_begin import ended_places
from gateway.store.log_tables import log_checkpoint
from gateway.store.statement import Lookup, Statement
from gateway.store.transaction import Transaction

HOUR_MS: Final = 3_600_000
OLD: Final = Statement(
    select(log_checkpoint.c.size, log_checkpoint.c.time_ms)
    .where(log_checkpoint.c.size > bindparam("after_size"), log_checkpoint.c.time_ms < bindparam("before_ms"))
    .order_by(log_checkpoint.c.size)
    .limit(bindparam("max_rows", type_=Integer))
)
DROP: Final = Lookup(lambda keys: delete(log_checkpoint).where(log_checkpoint.c.size.in_(keys)), log_checkpoint.c.size)


def prune_checkpoints(tx: Transaction, operation: PruneCheckpoints) -> int | None:
    """Drop checkpoints that are older than an instant, but the last of each hour and of each log."""
    base = lock_place(tx).base
    kept = {base + size for size in operation.keep}
    ends = [place.end for place in ended_places(tx)]
    rows = tx.rows(OLD, after_size=operation.after, before_ms=operation.before_ms, max_rows=operation.max_rows)

    def group(size: int, time_ms: int) -> tuple[int, int]:
        return time_ms // HOUR_MS, bisect_left(ends, size)

    # The last of the page may be followed by one of its hour, on the next page or younger: it stays for now.
    tx.run_for(DROP, [row[0] for row, after in pairwise(rows) if group(*row) == group(*after) and row[0] not in kept])
    return rows[-1][0] - 1 if len(rows) == operation.max_rows else None
