"""Checkpoints of partners' logs are kept with what they are evidence of, not only with whether they contradict."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE partner_checkpoint RENAME COLUMN forked TO finding")
