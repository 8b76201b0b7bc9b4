"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sent",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("envelope_id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.SmallInteger(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("in_reply_to", sa.LargeBinary()),
        sa.Column("supersedes_id", sa.LargeBinary()),
        sa.Column("supersedes_commitment", sa.LargeBinary()),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("expire_ms", BIG, nullable=False),
        sa.Column("content_commitment", sa.LargeBinary(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("submitter", sa.String(), nullable=False),
        sa.Column("request_id", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("checksum", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("batch_path", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("sent_envelope", "sent", ["envelope_id"], unique=True)
    op.create_index("sent_message", "sent", ["message_id"], unique=True)
    op.create_index("sent_order", "sent", ["create_ms", "message_id"])
    op.create_index("sent_request", "sent", ["request_id", "submitter"], unique=True)
    op.create_table(
        "outbox",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("sent_id", BIG, nullable=False),
        sa.Column("resealed_id", BIG),
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("expire_ms", BIG, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("checksum", BIG, nullable=False),
        sa.Column("digest_head", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("encapsulation_digest", sa.LargeBinary(), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(), nullable=False),
        sa.Column("record_path", sa.LargeBinary(), nullable=False),
        sa.Column("record_sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index(
        "outbox_dead", "outbox", ["partner"], sqlite_where=sa.text("state = 5"), postgresql_where=sa.text("state = 5")
    )
    op.create_index("outbox_digest", "outbox", ["digest_head"])
    op.create_index(
        "outbox_expiry",
        "outbox",
        ["expire_ms"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.create_index(
        "outbox_queue",
        "outbox",
        ["partner", "urgency", "sequence", "create_ms", "state"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.create_index(
        "outbox_thread",
        "outbox",
        ["thread_id"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.create_table(
        "resealed",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("outbox_id", BIG, nullable=False),
        sa.Column("envelope_id", sa.LargeBinary(), nullable=False),
        sa.Column("replaced_digest_head", BIG, nullable=False),
        sa.Column("replaced_digest", sa.LargeBinary(), nullable=False),
        sa.Column("checksum", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("batch_path", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("resealed_envelope", "resealed", ["envelope_id"], unique=True)
    op.create_index("resealed_replaced", "resealed", ["replaced_digest_head"])
    op.create_table(
        "thread_head",
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("thread_id", "partner"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "encapsulation",
        sa.Column("digest", sa.LargeBinary(), primary_key=True),
        sa.Column("encapsulation", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "rung",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(2), nullable=False),
        sa.Column("signing_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("partner", sa.String(2), primary_key=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("until_ms", BIG, nullable=False),
    )
    op.create_table(
        "received",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.SmallInteger(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("gap", sa.SmallInteger(), nullable=False),
        sa.Column("thread_id", sa.LargeBinary(), nullable=False),
        sa.Column("create_ms", BIG, nullable=False),
        sa.Column("expire_ms", BIG, nullable=False),
        sa.Column("receive_ms", BIG, nullable=False),
        sa.Column("hold_until_ms", BIG, nullable=False),
        sa.Column("acknowledge_ms", BIG),
        sa.Column("content_commitment", sa.LargeBinary(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("checksum", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(), nullable=False),
        sa.Column("encapsulation_digest", sa.LargeBinary(), nullable=False),
        sa.Column("issuer", sa.String(2), nullable=False),
        sa.Column("signing_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("receipt_path", sa.LargeBinary(), nullable=False),
        sa.Column("receipt_signature", sa.LargeBinary(), nullable=False),
        sa.Column("record_path", sa.LargeBinary(), nullable=False),
        sa.Column("batch_path", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index(
        "received_due",
        "received",
        ["hold_until_ms", "receive_ms"],
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    )
    op.create_index(
        "received_held",
        "received",
        ["previous_digest"],
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    )
    op.create_index(
        "received_held_sender",
        "received",
        ["sender", "thread_id", "digest"],
        sqlite_where=sa.text("state = 2"),
        postgresql_where=sa.text("state = 2"),
    )
    op.create_index("received_message", "received", ["message_id", "sender"], unique=True)
    op.create_index("received_order", "received", ["create_ms", "message_id"])
    op.create_index("received_thread", "received", ["thread_id", "digest"])
    op.create_table(
        "acknowledgement",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("received_id", BIG, nullable=False),
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("waiting", sa.SmallInteger(), nullable=False),
        sa.Column("issuer", sa.String(2), nullable=False),
        sa.Column("signing_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
    )
    op.create_index(
        "acknowledgement_queue",
        "acknowledgement",
        ["partner", "id"],
        sqlite_where=sa.text("waiting = 1"),
        postgresql_where=sa.text("waiting = 1"),
    )
    op.create_table(
        "event",
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
    )
    op.create_table(
        "event_waiting",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("sender", sa.String(2), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
    )
    op.create_table(
        "sequencer",
        sa.Column("id", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("position", BIG, nullable=False),
    )
    op.create_table(
        "partner",
        sa.Column("partner", sa.String(2), primary_key=True),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("frozen", sa.SmallInteger(), nullable=False),
        sa.Column("last_success_ms", BIG),
    )
    op.create_table(
        "card",
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("card", sa.LargeBinary(), nullable=False),
        sa.Column("store_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("partner", "digest"),
    )
    op.create_table(
        "card_signature",
        sa.Column("partner", sa.String(2), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("purpose", sa.SmallInteger(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "digest", "place"),
    )
    op.execute(sa.text("INSERT INTO sequencer (id, position) VALUES (1, 0)"))
    if op.get_context().dialect.name == "postgresql":
        # Numbers that many writers take; SQLite has one writer, which counts by itself.
        for name in ("sent", "sequence", "resealed", "received", "acknowledgement", "event"):
            op.execute(sa.schema.CreateSequence(sa.Sequence(f"{name}_number")))
