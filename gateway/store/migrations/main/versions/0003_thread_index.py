"""Threads that did not begin with the message of their own id are found by the thread."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "sent_thread",
        "sent",
        ["thread_id"],
        sqlite_where=sa.text("thread_id != message_id"),
        postgresql_where=sa.text("thread_id != message_id"),
    )
