"""Fills the stores of two stopped gateways with sealed messages, by copying rows that real exchange has left there.

Copies keep the sizes, the indexes' order (ids and times rise, digests do not) and the links among tables; what they
hold cannot be opened, and nobody opens it.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

TEMPLATES = 1000
"""Messages that are copied again and again."""
STEP_MS = 50
"""Time between two copied messages."""
_RECIPIENTS, _RUNGS = 1024, 8
"""As in gateway.store.tables: an outbox id is a sent id times 1024, a rung's id that times 8 plus the outcome."""


def fill(home: Path, count: int) -> int:
    """Add as many messages to a store, sent or received whichever it holds already; return how many it holds then.

    The gateway must be stopped, and at least TEMPLATES real messages must have gone through it.
    """
    store, keys = (next(home.rglob(name)) for name in ("store.db", "keys.db"))
    connection = sqlite3.connect(store, isolation_level=None)
    connection.create_function("copy_id", 1, _copy_id, deterministic=True)
    connection.create_function("copy_digest", 1, _copy_digest, deterministic=True)
    connection.execute("attach ? as k", (str(keys),))
    # Only the load is fast and unsafe; the gateway opens the files with settings of its own.
    for schema in ("main", "k"):
        connection.execute(f"pragma {schema}.journal_mode=memory")
        connection.execute(f"pragma {schema}.synchronous=off")
        connection.execute(f"pragma {schema}.cache_size=-300000")
    table = "sent" if connection.execute("select count(*) from sent").fetchone()[0] >= TEMPLATES else "received"
    held = connection.execute(f"select count(*), max(id), min(create_ms) from {table}").fetchone()
    connection.executescript(f"""
        create temp table template as
            select row_number() over (order by id) - 1 as place, id, message_id, key_id, digest
            from (select id, message_id, key_id, digest from {table} order by id limit {TEMPLATES});
        create temp table copy as
            with recursive round(n) as
                (select 0 union all select n + 1 from round where n + 1 < {-(-count // TEMPLATES)})
            select template.id as old, {held[1]} + 1 + n * {TEMPLATES} + place as new, message_id, key_id, digest
            from round, template where n * {TEMPLATES} + place < {count} order by new;
        """)
    earliest_ms = held[2] - count * STEP_MS

    def copy(target: str, join: str, changes: Mapping[str, str]) -> None:
        schema, _, name = target.rpartition(".")
        columns = [row[1] for row in connection.execute(f"pragma {schema or 'main'}.table_info({name})")]
        values = ", ".join(changes.get(column, f"t.{column}") for column in columns)
        connection.execute("begin")
        # CROSS JOIN keeps SQLite from putting the large table outside.
        connection.execute(f"insert into {target} select {values} from copy cross join {target} t where {join}")
        connection.execute("commit")

    time_ms = f"{earliest_ms} + (new - {held[1]}) * {STEP_MS}"
    message = {
        "id": "new",
        "message_id": "copy_id(new)",
        "key_id": "copy_id(new)",
        "envelope_id": "copy_id(-new)",
        "request_id": f"copy_id(-new - {1 << 40})",
        "thread_id": "copy_id(new)",
        "digest": "copy_digest(new)",
        "create_ms": time_ms,
        "receive_ms": time_ms,
    }
    copy(table, "t.id = old", message)
    copy("k.message_key", "t.key_id = copy.key_id", {"key_id": "copy_id(new)"})
    copy("thread_head", "t.thread_id = copy.message_id", {"thread_id": "copy_id(new)", "digest": "copy_digest(new)"})
    first_event, last_event = connection.execute("select min(position), max(position) from event").fetchone()
    copy(
        "event",
        f"t.position = {first_event} + new % {TEMPLATES}",
        {"position": f"{last_event} - {held[1]} + new", "message_id": "copy_id(new)"},
    )
    if table == "sent":
        for target, width, changes in (
            ("outbox", _RECIPIENTS, {**message, "sent_id": "new", "sequence": "new"}),
            ("rung", _RECIPIENTS * _RUNGS, {}),
        ):
            join = f"t.id between old * {width} and old * {width} + {width - 1}"
            copy(target, join, {**changes, "id": f"(new - old) * {width} + t.id"})
    total: int = connection.execute(f"select count(*) from {table}").fetchone()[0]
    for schema in ("main", "k"):
        connection.execute(f"pragma {schema}.journal_mode=wal")
    connection.close()
    # What the system still has to write of the load must not be written while the gateway is measured.
    os.sync()
    return total


def _made(make: Callable[[bytes], bytes]) -> Callable[[int], bytes]:
    return lambda number: make(number.to_bytes(8, "big", signed=True))


# The first bytes rise with the number, as those of a UUIDv7 rise with time; the rest is spread evenly.
_copy_id = _made(
    lambda number: (
        (1 << 40 | int.from_bytes(number, "big", signed=True) & (1 << 40) - 1).to_bytes(6, "big")
        + hashlib.sha256(number).digest()[:10]
    )
)
_copy_digest = _made(lambda number: hashlib.sha256(number).digest())
