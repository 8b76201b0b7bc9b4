"""Where each case stands with each partner, and how it came there.

Cases from before have no row: their threads go on as correspondence.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "case_file",
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("side", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("mode", sa.SmallInteger(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("live", sa.SmallInteger(), nullable=False),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("expire_ms", BIG, nullable=False),
        sa.Column("change_ms", BIG, nullable=False),
        sa.Column("word_ms", BIG),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("measures", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("thread_id", "partner"),
    )
    op.create_index("case_file_change", "case_file", ["live", "change_ms"])
    op.create_table(
        "case_step",
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("cause", sa.SmallInteger(), nullable=False),
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary()),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("before", sa.SmallInteger(), nullable=False),
        sa.Column("after", sa.SmallInteger(), nullable=False),
        sa.Column("late", sa.SmallInteger(), nullable=False),
        sa.Column("finding", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("thread_id", "partner", "number"),
    )
    op.create_table(
        "case_waiting",
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sender", "message_id"),
    )
