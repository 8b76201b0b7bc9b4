"""By which names an alert in doubt may be settled, each a row; the newest alert of a name is found at once.

Before, one in doubt waited for a single name, and all alerts of a name were read to find one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
QUARANTINED = 5


def upgrade() -> None:
    op.create_table(
        "alert_wait",
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("expire_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("sender", "name", "create_ms", "message_id"),
    )
    op.execute(
        "INSERT INTO alert_wait (sender, name, create_ms, message_id, expire_ms) "  # noqa: S608
        f"SELECT sender, wants, create_ms, message_id, expire_ms FROM alert "
        f"WHERE state = {QUARANTINED} AND length(wants) > 0"
    )
    op.drop_index("alert_doubtful", "alert")
    op.drop_index("alert_key", "alert")
    op.create_index("alert_name", "alert", ["key", "sender", "mode", "create_ms"])
