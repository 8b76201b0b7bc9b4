"""The tables of files beside messages, once for both engines; those of messages are in tables."""

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
    text,
)

from gateway.store.tables import metadata

_Big = BigInteger().with_variant(Integer, "sqlite")
_Partner = String(2)

attachment = Table(
    "attachment",
    metadata,
    Column("attachment_id", LargeBinary, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("principal", String, nullable=False),
    Column("upload_id", LargeBinary, nullable=False),
    Column("size_bytes", _Big, nullable=False),
    Column("chunk_bytes", _Big, nullable=False),
    Column("create_ms", _Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("attempts", _Big, nullable=False),
    Column("retry_ms", _Big, nullable=False),
    Column("reason", String, nullable=False),
)
"""One row a file. A received one has the beginning of its own id for an upload_id."""
Index("attachment_upload", attachment.c.principal, attachment.c.upload_id, unique=True)
_wanted = text("state = 3")
Index("attachment_wanted", attachment.c.retry_ms, sqlite_where=_wanted, postgresql_where=_wanted)
_open_upload = text("length(key_id) > 0")
Index("attachment_open", attachment.c.create_ms, sqlite_where=_open_upload, postgresql_where=_open_upload)
_erasing = text("state = 5")
Index("attachment_erasing", attachment.c.attachment_id, sqlite_where=_erasing, postgresql_where=_erasing)

attachment_use = Table(
    "attachment_use",
    metadata,
    Column("sender", _Partner, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("place", SmallInteger, nullable=False),
    Column("attachment_id", LargeBinary, nullable=False),
    PrimaryKeyConstraint("sender", "message_id", "place"),
)
"""Which messages name a file; gone when the message is erased."""
Index("attachment_use_of", attachment_use.c.attachment_id)

attachment_custody = Table(
    "attachment_custody",
    metadata,
    Column("attachment_id", LargeBinary, nullable=False),
    Column("time_ms", _Big, nullable=False),
    Column("event", SmallInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("partner", String, nullable=False),
    Column("reason", String, nullable=False),
    PrimaryKeyConstraint("attachment_id", "time_ms", "event", "actor"),
)
