"""Files beside messages: where each stands, which messages name it, and what was done with it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "attachment",
        sa.Column("attachment_id", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("upload_id", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("chunk_bytes", BIG, nullable=False),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", BIG, nullable=False),
        sa.Column("retry_ms", BIG, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("attachment_id"),
    )
    op.create_index("attachment_upload", "attachment", ["principal", "upload_id"], unique=True)
    for name, column, which in (
        ("attachment_wanted", "retry_ms", "state = 3"),
        ("attachment_open", "create_ms", "length(key_id) > 0"),
        ("attachment_erasing", "attachment_id", "state = 5"),
    ):
        op.create_index(name, "attachment", [column], sqlite_where=sa.text(which), postgresql_where=sa.text(which))
    op.create_table(
        "attachment_use",
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("attachment_id", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sender", "message_id", "place"),
    )
    op.create_index("attachment_use_of", "attachment_use", ["attachment_id"])
    op.create_table(
        "attachment_custody",
        sa.Column("attachment_id", sa.LargeBinary(), nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("event", sa.SmallInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("attachment_id", "time_ms", "event", "actor"),
    )
