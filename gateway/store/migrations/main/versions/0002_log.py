"""The exchange log: entries, what they disclose, tiles, checkpoints."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def step() -> list[sa.Column[object]]:
    return [
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("thread", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("salts", sa.LargeBinary(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "log_entry",
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "log_disclosure",
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        *step(),
    )
    op.create_index("log_disclosure_subject", "log_disclosure", ["subject"])
    op.create_table(
        "log_waiting",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        *step(),
    )
    op.create_table(
        "log_tile",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
    )
    state = op.create_table(
        "log_state",
        sa.Column("id", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", BIG, primary_key=True, autoincrement=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "partner_checkpoint",
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("forked", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "origin", "size", "root"),
    )
    # RFC 6962, 2.1: the root of an empty tree is the hash of nothing.
    op.bulk_insert(state, [{"id": 1, "origin": "", "size": 0, "root": hashlib.sha256(b"").digest()}])
    if op.get_context().dialect.name == "postgresql":
        op.execute(sa.schema.CreateSequence(sa.Sequence("log_number")))
