"""The tables, once for both engines.

Numbers carry places: a delivery's id is its message's id times RECIPIENTS plus its place among the recipients, and
a rung's id is its delivery's id times RUNGS plus the outcome. So the deliveries of a message and the rungs of a
delivery are neighbours in the primary key and need no index of their own.

Instants are milliseconds, enums their numbers, ids their 16 bytes. Message keys are in a schema of their own, which
is another file on SQLite. Indexes on what waits are partial: they stay as small as the backlog, whatever is stored.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    text,
)

RECIPIENTS: Final = 1024
"""More than there are two-letter codes (676), so more than a message can have recipients."""
RUNGS: Final = 8
"""More than there are outcomes (6)."""

KEY_SCHEMA: Final = "concord_keys"

WAITING, RECEIVED, ACKNOWLEDGED, REFUSED, EXPIRED = 1, 2, 3, 4, 5
"""States of a delivery."""
SHOWN, HELD, TAKEN = 1, 2, 3
"""States of a received message: shown, waiting for its predecessor, acknowledged."""

metadata = MetaData()
key_metadata = MetaData()

_Big = BigInteger().with_variant(Integer, "sqlite")
_Partner = String(2)

sent = Table(
    "sent",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("sender", _Partner, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("envelope_id", LargeBinary, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("mode", SmallInteger, nullable=False),
    Column("urgency", SmallInteger, nullable=False),
    Column("thread_id", LargeBinary, nullable=False),
    Column("in_reply_to", LargeBinary),
    Column("supersedes_id", LargeBinary),
    Column("supersedes_commitment", LargeBinary),
    Column("create_ms", _Big, nullable=False),
    Column("expire_ms", _Big, nullable=False),
    Column("content_commitment", LargeBinary, nullable=False),
    Column("authority", String, nullable=False),
    Column("submitter", String, nullable=False),
    Column("request_id", LargeBinary, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("checksum", _Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("batch_path", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("content_sealed", LargeBinary, nullable=False),
)
Index("sent_message", sent.c.message_id, unique=True)
Index("sent_envelope", sent.c.envelope_id, unique=True)
Index("sent_request", sent.c.request_id, sent.c.submitter, unique=True)
Index("sent_order", sent.c.create_ms, sent.c.message_id)
# Most threads begin with the message whose id they have: the index holds the others.
_elsewhere = text("thread_id != message_id")
Index("sent_thread", sent.c.thread_id, sqlite_where=_elsewhere, postgresql_where=_elsewhere)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("sent_id", _Big, nullable=False),
    Column("resealed_id", _Big),
    Column("partner", _Partner, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("urgency", SmallInteger, nullable=False),
    Column("sequence", _Big, nullable=False),
    Column("thread_id", LargeBinary, nullable=False),
    Column("create_ms", _Big, nullable=False),
    Column("expire_ms", _Big, nullable=False),
    Column("size_bytes", _Big, nullable=False),
    Column("checksum", _Big, nullable=False),
    Column("digest_head", _Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("encapsulation_digest", LargeBinary, nullable=False),
    Column("previous_digest", LargeBinary, nullable=False),
    Column("record_path", LargeBinary, nullable=False),
    Column("record_sealed", LargeBinary, nullable=False),
)
# A receipt names nothing but a digest, and digests come in no order: of all indexes this one dirties most pages, so
# it holds only the first eight bytes, and whoever looks up compares the rest.
Index("outbox_digest", outbox.c.digest_head)
_waiting = text(f"state = {WAITING}")
_dead = text(f"state = {EXPIRED}")
Index(
    "outbox_queue",
    outbox.c.partner,
    outbox.c.urgency,
    outbox.c.sequence,
    # To count and to summarise without a look at the rows.
    outbox.c.create_ms,
    outbox.c.state,
    sqlite_where=_waiting,
    postgresql_where=_waiting,
)
Index("outbox_expiry", outbox.c.expire_ms, sqlite_where=_waiting, postgresql_where=_waiting)
Index("outbox_thread", outbox.c.thread_id, sqlite_where=_waiting, postgresql_where=_waiting)
Index("outbox_dead", outbox.c.partner, sqlite_where=_dead, postgresql_where=_dead)

resealed = Table(
    "resealed",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("outbox_id", _Big, nullable=False),
    Column("envelope_id", LargeBinary, nullable=False),
    Column("replaced_digest_head", _Big, nullable=False),
    Column("replaced_digest", LargeBinary, nullable=False),
    Column("checksum", _Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("batch_path", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("content_sealed", LargeBinary, nullable=False),
)
Index("resealed_envelope", resealed.c.envelope_id, unique=True)
# A receipt may still come for the envelope that was replaced.
Index("resealed_replaced", resealed.c.replaced_digest_head)

thread_head = Table(
    "thread_head",
    metadata,
    Column("thread_id", LargeBinary, nullable=False),
    Column("partner", _Partner, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    PrimaryKeyConstraint("thread_id", "partner"),
    sqlite_with_rowid=False,
)

encapsulation = Table(
    "encapsulation",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("encapsulation", LargeBinary, nullable=False),
)

rung = Table(
    "rung",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("time_ms", _Big, nullable=False),
    Column("reason", String, nullable=False),
    Column("issuer", _Partner, nullable=False),
    Column("signing_key_id", LargeBinary, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("partner", _Partner, primary_key=True),
    Column("holder", String, nullable=False),
    Column("epoch", _Big, nullable=False),
    Column("until_ms", _Big, nullable=False),
)

received = Table(
    "received",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("sender", _Partner, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("mode", SmallInteger, nullable=False),
    Column("urgency", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("gap", SmallInteger, nullable=False),
    Column("thread_id", LargeBinary, nullable=False),
    Column("create_ms", _Big, nullable=False),
    Column("expire_ms", _Big, nullable=False),
    Column("receive_ms", _Big, nullable=False),
    Column("hold_until_ms", _Big, nullable=False),
    Column("acknowledge_ms", _Big),
    Column("content_commitment", LargeBinary, nullable=False),
    Column("authority", String, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("checksum", _Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("previous_digest", LargeBinary, nullable=False),
    Column("encapsulation_digest", LargeBinary, nullable=False),
    Column("issuer", _Partner, nullable=False),
    Column("signing_key_id", LargeBinary, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("receipt_path", LargeBinary, nullable=False),
    Column("receipt_signature", LargeBinary, nullable=False),
    Column("record_path", LargeBinary, nullable=False),
    Column("batch_path", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("content_sealed", LargeBinary, nullable=False),
)
Index("received_message", received.c.message_id, received.c.sender, unique=True)
Index("received_order", received.c.create_ms, received.c.message_id)
Index("received_thread", received.c.thread_id, received.c.digest)
_held = text(f"state = {HELD}")
Index(
    "received_held",
    received.c.previous_digest,
    sqlite_where=_held,
    postgresql_where=_held,
)
Index(
    "received_due",
    received.c.hold_until_ms,
    # To tell without a look at the row what came a moment ago.
    received.c.receive_ms,
    sqlite_where=_held,
    postgresql_where=_held,
)
# To count a sender's, and to find a predecessor that is itself held without going through all of them.
Index(
    "received_held_sender",
    received.c.sender,
    received.c.thread_id,
    received.c.digest,
    sqlite_where=_held,
    postgresql_where=_held,
)

acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    Column("received_id", _Big, nullable=False),
    Column("partner", _Partner, nullable=False),
    Column("waiting", SmallInteger, nullable=False),
    Column("issuer", _Partner, nullable=False),
    Column("signing_key_id", LargeBinary, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
_unconfirmed = text("waiting = 1")
Index(
    "acknowledgement_queue",
    acknowledgement.c.partner,
    acknowledgement.c.id,
    sqlite_where=_unconfirmed,
    postgresql_where=_unconfirmed,
)

alert = Table(
    "alert",
    metadata,
    Column("sender", _Partner, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("ours", SmallInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("mode", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("thread_id", LargeBinary, nullable=False),
    Column("create_ms", _Big, nullable=False),
    Column("expire_ms", _Big, nullable=False),
    Column("content_commitment", LargeBinary, nullable=False),
    Column("wants", LargeBinary, nullable=False),
    Column("wants_commitment", LargeBinary, nullable=False),
    Column("predecessor_id", LargeBinary),
    Column("successor_id", LargeBinary),
    PrimaryKeyConstraint("sender", "message_id"),
)
"""One row an alert, sent or received. key is a keyed digest: without the key nobody tests a guess of a name."""
Index("alert_name", alert.c.key, alert.c.sender, alert.c.mode, alert.c.create_ms)

alert_wait = Table(
    "alert_wait",
    metadata,
    Column("sender", _Partner, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("create_ms", _Big, nullable=False),
    Column("message_id", LargeBinary, nullable=False),
    Column("expire_ms", _Big, nullable=False),
    PrimaryKeyConstraint("sender", "name", "create_ms", "message_id"),
)
"""By which names (a message_id, or a key) an alert in quarantine may be settled: a row each, gone when it is."""

_EVENT = (("type", SmallInteger), ("time_ms", _Big), ("sender", _Partner), ("message_id", LargeBinary))
event = Table(
    "event",
    metadata,
    Column("position", _Big, primary_key=True, autoincrement=False),
    *(Column(name, kind, nullable=False) for name, kind in _EVENT),
    Column("partner", _Partner, nullable=False),
    Column("reason", String, nullable=False),
)
event_waiting = Table(
    "event_waiting",
    metadata,
    Column("id", _Big, primary_key=True, autoincrement=False),
    *(Column(name, kind, nullable=False) for name, kind in _EVENT),
    Column("partner", _Partner, nullable=False),
    Column("reason", String, nullable=False),
)
sequencer = Table(
    "sequencer",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", _Big, nullable=False),
)

partner = Table(
    "partner",
    metadata,
    Column("partner", _Partner, primary_key=True),
    Column("sequence", _Big, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("frozen", SmallInteger, nullable=False),
    Column("last_success_ms", _Big),
)
card = Table(
    "card",
    metadata,
    Column("partner", _Partner, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sequence", _Big, nullable=False),
    Column("card", LargeBinary, nullable=False),
    Column("store_ms", _Big, nullable=False),
    PrimaryKeyConstraint("partner", "digest"),
)
card_signature = Table(
    "card_signature",
    metadata,
    Column("partner", _Partner, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("place", SmallInteger, nullable=False),
    Column("purpose", SmallInteger, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("partner", "digest", "place"),
)

message_key = Table(
    "message_key",
    key_metadata,
    Column("key_id", LargeBinary, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    schema=KEY_SCHEMA,
    sqlite_with_rowid=False,
)
"""An erased key is an empty blob, so that erased and lost differ. Keys are stored before there is a message for them
(exchange.key_pool), so one without a message is nothing unusual."""

COUNTERS: Final = {
    "sent": sent.c.id,
    "sequence": outbox.c.sequence,
    "resealed": resealed.c.id,
    "received": received.c.id,
    "acknowledgement": acknowledgement.c.id,
    "event": event_waiting.c.id,
}
"""Numbers given out by the store: SQL sequences named <name>_number on PostgreSQL, the writer's memory on SQLite."""
