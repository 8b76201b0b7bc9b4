"""The tables of the exchange log, once for both engines; those of messages are in tables."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
)

from gateway.store.tables import KEY_SCHEMA, key_metadata, metadata

_Big = BigInteger().with_variant(Integer, "sqlite")
_Partner = String(2)

_STEP = (
    ("type", SmallInteger),
    ("time_ms", _Big),
    ("actor", String),
    ("partner", String),
    ("subject", LargeBinary),
    ("thread", LargeBinary),
    ("digest", LargeBinary),
    ("outcome", String),
    ("reason", String),
    ("detail", String),
    ("salts", LargeBinary),
)
"""What a leaf of the exchange log commits to, with the salts that keep it from being guessed."""
log_entry = Table(
    "log_entry",
    metadata,
    Column("position", _Big, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
)
"""Positions count from 1 and go on when a log ends and another one begins: index = position - 1 - base of its log."""
log_disclosure = Table(
    "log_disclosure",
    metadata,
    Column("position", _Big, primary_key=True, autoincrement=False),
    *(Column(name, kind, nullable=False) for name, kind in _STEP),
)
"""Apart from the leaves, because a row of it can be erased: leaf, tree and every proof stay as they are."""
Index("log_disclosure_subject", log_disclosure.c.subject)
log_waiting = Table(
    "log_waiting",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
    *(Column(name, kind, nullable=False) for name, kind in _STEP),
)
"""Entries that many writers left for the integrator, which gives them positions."""
log_tile = Table(
    "log_tile",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""One row a tile of 256 hashes, the last of each level unfinished; log_reading.tile_id says which."""
TILES: Final = 1 << 48
"""More tiles than a level can have: 2^56 entries."""
LEVELS: Final = 8
MAX_LOGS: Final = 4096
"""What is left of 63 bits for the number of a log: it begins anew once in years."""
log_state = Table(
    "log_state",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("origin", String, nullable=False),
    Column("size", _Big, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("number", Integer, nullable=False, server_default="1"),
    Column("base", _Big, nullable=False, server_default="0"),
)
"""The log that is kept now, the how manieth it is, and the position of its first entry less one."""
log_ended = Table(
    "log_ended",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("origin", String, nullable=False),
    Column("base", _Big, nullable=False),
    Column("end", _Big, nullable=False),
    Column("size", _Big, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("end_ms", _Big, nullable=False),
    Column("problem", String, nullable=False),
    Column("reason", String, nullable=False),
)
"""Logs that another one has followed. Their entries, tiles and checkpoints stay where they are."""
log_verdict = Table(
    "log_verdict",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time_ms", _Big, nullable=False),
    Column("problem", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("size", _Big, nullable=False),
    Column("root", LargeBinary, nullable=False),
)
"""Why a log is not signed any more, and the largest head that is known to have been signed."""
log_checkpoint = Table(
    "log_checkpoint",
    metadata,
    Column("size", _Big, primary_key=True, autoincrement=False),
    Column("time_ms", _Big, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
)
"""Ours. The size is counted from the beginning of the first log: base of its log + what the note says."""
partner_checkpoint = Table(
    "partner_checkpoint",
    metadata,
    Column("partner", _Partner, nullable=False),
    Column("origin", String, nullable=False),
    Column("size", _Big, nullable=False),
    Column("time_ms", _Big, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("finding", SmallInteger, nullable=False),
    PrimaryKeyConstraint("partner", "origin", "size", "root"),
)
"""The newest checkpoint seen of each partner's log, and every one that speaks against its log."""
partner_log = Table(
    "partner_log",
    metadata,
    Column("partner", _Partner, nullable=False),
    Column("origin", String, nullable=False),
    Column("time_ms", _Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("detail", String, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("disclosure", String, nullable=False),
    PrimaryKeyConstraint("partner", "origin"),
)
"""What partners' logs that follow another one say of it, with the proof that they say so."""

log_mark = Table(
    "log_mark",
    key_metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", _Big, nullable=False),
    Column("root", LargeBinary, nullable=False),
    schema=KEY_SCHEMA,
)
"""The last checkpoint that was signed, where a restored copy of the store does not reach."""
