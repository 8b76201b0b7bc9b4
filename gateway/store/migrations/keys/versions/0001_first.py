"""The message keys of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A file of its own on SQLite, a schema of its own on PostgreSQL.
    schema = "concord_keys" if op.get_context().dialect.name == "postgresql" else None
    op.create_table(
        "message_key",
        sa.Column("key_id", sa.LargeBinary(), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        schema=schema,
        sqlite_with_rowid=False,
    )
