"""Where each alert stands, and which took the place of which.

Alerts from before have no key: they are found by their message, not by the name that CAP gives them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ALERT, ISSUED, VALIDATED = 1, 3, 6


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("ours", sa.SmallInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("expire_ms", BIG, nullable=False),
        sa.Column("content_commitment", sa.LargeBinary(), nullable=False),
        sa.Column("wants", sa.LargeBinary(), nullable=False),
        sa.Column("wants_commitment", sa.LargeBinary(), nullable=False),
        sa.Column("predecessor_id", sa.LargeBinary()),
        sa.Column("successor_id", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("sender", "message_id"),
    )
    op.create_index("alert_key", "alert", ["key"])
    doubtful = sa.text("state = 5")
    op.create_index("alert_doubtful", "alert", ["wants"], sqlite_where=doubtful, postgresql_where=doubtful)
    columns = (
        "sender, message_id, ours, key, type, mode, state, reason, thread_id, create_ms, expire_ms, "
        "content_commitment, wants, wants_commitment"
    )
    empty = "CAST('' AS bytea)" if op.get_bind().dialect.name == "postgresql" else "x''"
    for table, ours, state in (("sent", 1, ISSUED), ("received", 0, VALIDATED)):
        op.execute(
            f"INSERT INTO alert ({columns}) SELECT sender, message_id, {ours}, message_id, {ALERT}, mode, {state}, '', "  # noqa: S608
            f"thread_id, create_ms, expire_ms, content_commitment, {empty}, {empty} FROM {table} WHERE kind = {ALERT}"
        )
