"""The tables of cases, once for both engines."""

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

from gateway.store.tables import metadata

BIG: Final = BigInteger().with_variant(Integer(), "sqlite")
PARTNER: Final = String(2)

case_file = Table(
    "case_file",
    metadata,
    Column("thread_id", LargeBinary, nullable=False),
    Column("partner", PARTNER, nullable=False),
    Column("side", SmallInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("authority", String, nullable=False),
    Column("mode", SmallInteger, nullable=False),
    Column("urgency", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("live", SmallInteger, nullable=False),
    Column("create_ms", BIG, nullable=False),
    Column("expire_ms", BIG, nullable=False),
    Column("change_ms", BIG, nullable=False),
    Column("word_ms", BIG),
    Column("steps", Integer, nullable=False),
    Column("measures", LargeBinary, nullable=False),
    PrimaryKeyConstraint("thread_id", "partner"),
)
"""Where a case with one partner stands. Measures are packed, each under a keyed digest of its name."""
Index("case_file_change", case_file.c.live, case_file.c.change_ms)

case_step = Table(
    "case_step",
    metadata,
    Column("thread_id", LargeBinary, nullable=False),
    Column("partner", PARTNER, nullable=False),
    Column("number", Integer, nullable=False),
    Column("time_ms", BIG, nullable=False),
    Column("cause", SmallInteger, nullable=False),
    Column("sender", PARTNER, nullable=False),
    Column("message_id", LargeBinary),
    Column("place", SmallInteger, nullable=False),
    Column("event", String, nullable=False),
    Column("before", SmallInteger, nullable=False),
    Column("after", SmallInteger, nullable=False),
    Column("late", SmallInteger, nullable=False),
    Column("finding", String, nullable=False),
    PrimaryKeyConstraint("thread_id", "partner", "number"),
)

case_waiting = Table(
    "case_waiting",
    metadata,
    Column("sender", PARTNER, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    PrimaryKeyConstraint("sender", "message_id"),
)
"""What held messages of cases say: it counts when they are shown, in the order of their thread."""
