"""The tables of drafts that wait for officers, once for both engines; those of messages are in tables."""

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
    text,
)

from gateway.store.tables import metadata

_Big = BigInteger().with_variant(Integer, "sqlite")

proposal = Table(
    "proposal",
    metadata,
    Column("proposal_id", LargeBinary, primary_key=True),
    Column("thread_id", LargeBinary, nullable=False),
    Column("new_thread", SmallInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("mode", SmallInteger, nullable=False),
    Column("urgency", SmallInteger, nullable=False),
    Column("in_reply_to", LargeBinary),
    Column("supersedes_id", LargeBinary),
    Column("supersedes_commitment", LargeBinary),
    Column("recipients", String, nullable=False),
    Column("create_ms", _Big, nullable=False),
    Column("expire_ms", _Big, nullable=False),
    Column("content_commitment", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("authority", String, nullable=False),
    Column("submitter", String, nullable=False),
    Column("request_id", LargeBinary, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("needs", String, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("authors", String, nullable=False),
    Column("proposer", String, nullable=False),
    Column("propose_ms", _Big, nullable=False),
    Column("due_ms", _Big, nullable=False),
    Column("checksum", _Big, nullable=False),
    Column("body_sealed", LargeBinary, nullable=False),
)
"""Drafts that wait for officers, and what became of them."""
Index("proposal_request", proposal.c.request_id, proposal.c.submitter, unique=True)
Index("proposal_order", proposal.c.create_ms, proposal.c.proposal_id)
UNDECIDED: Final = "state IN (1, 2, 3)"
"""workflow.approval: draft, proposed, sent alone. An index is found only by the same words."""
_undecided = text(UNDECIDED)
Index("proposal_due", proposal.c.due_ms, sqlite_where=_undecided, postgresql_where=_undecided)

decision = Table(
    "decision",
    metadata,
    Column("proposal_id", LargeBinary, nullable=False),
    Column("number", Integer, nullable=False),
    Column("act", SmallInteger, nullable=False),
    Column("officer", String, nullable=False),
    Column("roles", String, nullable=False),
    Column("rules", String, nullable=False),
    Column("ground", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("time_ms", _Big, nullable=False),
    Column("words_sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("proposal_id", "number"),
)
"""What officers did to them, a row each, never changed."""

claim = Table(
    "claim",
    metadata,
    Column("proposal_id", LargeBinary, primary_key=True),
    Column("officer", String, nullable=False),
    Column("until_ms", _Big, nullable=False),
)
"""Who works on one now."""
