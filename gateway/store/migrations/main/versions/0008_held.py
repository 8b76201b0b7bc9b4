"""Drafts that wait for officers, what officers do to them, and who works on one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "proposal",
        sa.Column("proposal_id", sa.LargeBinary(), primary_key=True),
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("new_thread", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.SmallInteger(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("in_reply_to", sa.LargeBinary()),
        sa.Column("supersedes_id", sa.LargeBinary()),
        sa.Column("supersedes_commitment", sa.LargeBinary()),
        sa.Column("recipients", sa.String(), nullable=False),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("expire_ms", BIG, nullable=False),
        sa.Column("content_commitment", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("submitter", sa.String(), nullable=False),
        sa.Column("request_id", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("needs", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("authors", sa.String(), nullable=False),
        sa.Column("proposer", sa.String(), nullable=False),
        sa.Column("propose_ms", BIG, nullable=False),
        sa.Column("due_ms", BIG, nullable=False),
        sa.Column("checksum", BIG, nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("proposal_request", "proposal", ["request_id", "submitter"], unique=True)
    op.create_index("proposal_order", "proposal", ["create_ms", "proposal_id"])
    where = sa.text("state IN (1, 2, 3)")
    op.create_index("proposal_due", "proposal", ["due_ms"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "decision",
        sa.Column("proposal_id", sa.LargeBinary(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("act", sa.SmallInteger(), nullable=False),
        sa.Column("officer", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("rules", sa.String(), nullable=False),
        sa.Column("ground", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("words_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("proposal_id", "number"),
    )
    op.create_table(
        "claim",
        sa.Column("proposal_id", sa.LargeBinary(), primary_key=True),
        sa.Column("officer", sa.String(), nullable=False),
        sa.Column("until_ms", BIG, nullable=False),
    )
