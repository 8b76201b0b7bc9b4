"""A log can end and another one begin; partners' logs too."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("log_state", sa.Column("number", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("log_state", sa.Column("base", BIG, nullable=False, server_default="0"))
    op.create_table(
        "log_ended",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("base", BIG, nullable=False),
        sa.Column("end", BIG, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("end_ms", BIG, nullable=False),
        sa.Column("problem", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
    )
    op.create_table(
        "log_verdict",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("problem", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "partner_log",
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.Column("disclosure", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "origin"),
    )
