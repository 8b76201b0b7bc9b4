"""What waits to be sent: reading it, sealing it again, giving it up."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Integer, and_, bindparam, exists, func, select, update

from gateway.errors import StoreCorrupt
from gateway.ids import EnvelopeId, MessageId, PartnerId, ThreadId
from gateway.model.header import Urgency
from gateway.ports import (
    EnvelopesFor,
    ExpiringEnvelope,
    ExpiringEnvelopes,
    Follower,
    MessageSecrets,
    QueueDepth,
    QueueDepths,
    QueueSummaries,
    QueueSummary,
    ReplaceEnvelope,
    SentSecrets,
    WaitingEnvelope,
    WaitingEnvelopes,
    WaitingFollower,
)
from gateway.store.leases import check_epoch
from gateway.store.log import add_log
from gateway.store.rows import check_row, checksum, digest_head, pack_path, unpack_path
from gateway.store.statement import Insert, Statement, constant
from gateway.store.submissions import ADD_ENCAPSULATIONS
from gateway.store.tables import (
    EXPIRED,
    RECIPIENTS,
    WAITING,
    encapsulation,
    message_key,
    outbox,
    resealed,
    sent,
    thread_head,
)
from gateway.store.transaction import Row, Session, Transaction

_KEY = message_key.c.key_id == sent.c.key_id

_IS_DELIVERY = and_(
    outbox.c.id >= sent.c.id * constant(RECIPIENTS),
    outbox.c.id < (sent.c.id + constant(1)) * constant(RECIPIENTS),
)

_erased = exists().where(_KEY, func.length(message_key.c.wrapped) == constant(0))
_queue = (
    select(
        outbox.c.id,
        outbox.c.size_bytes,
        # Bytes before and with this row, so that the bound is found before anything large is read.
        func.sum(outbox.c.size_bytes).over(order_by=outbox.c.sequence, rows=(None, 0)).label("total_bytes"),
    )
    .select_from(outbox.join(sent, sent.c.id == outbox.c.sent_id))
    .where(
        outbox.c.partner == bindparam("to_partner"),
        outbox.c.state == constant(WAITING),
        outbox.c.urgency == bindparam("of_urgency"),
        outbox.c.sequence > bindparam("after_sequence"),
        # Erased rows stay until they expire and are never sent; left out before the bounds, or a page full of them
        # would look like the end of the queue.
        ~_erased,
    )
    .order_by(outbox.c.sequence)
    .limit(bindparam("max_rows", type_=Integer))
    .subquery("queue")
)
NEXT_WAITING: Final = Statement(
    select(
        outbox.c.sequence,
        sent.c.message_id,
        sent.c.envelope_id,
        resealed.c.envelope_id,
        outbox.c.urgency,
        outbox.c.expire_ms,
        outbox.c.checksum,
        outbox.c.digest,
        outbox.c.encapsulation_digest,
        outbox.c.previous_digest,
        outbox.c.record_path,
        outbox.c.record_sealed,
        func.coalesce(resealed.c.checksum, sent.c.checksum),
        func.coalesce(resealed.c.batch_path, sent.c.batch_path),
        func.coalesce(resealed.c.signature, sent.c.signature),
        func.coalesce(resealed.c.header, sent.c.header),
        func.coalesce(resealed.c.content_sealed, sent.c.content_sealed),
        sent.c.key_id,
        message_key.c.wrapped,
        encapsulation.c.encapsulation,
    )
    .select_from(
        _queue.join(outbox, outbox.c.id == _queue.c.id)
        .join(sent, sent.c.id == outbox.c.sent_id)
        .outerjoin(resealed, resealed.c.id == outbox.c.resealed_id)
        .outerjoin(message_key, _KEY)
        .outerjoin(encapsulation, encapsulation.c.digest == outbox.c.encapsulation_digest)
    )
    # One row always, however large: a row beyond the bound must not stop its queue.
    .where(_queue.c.total_bytes - _queue.c.size_bytes < bindparam("max_bytes", type_=outbox.c.size_bytes.type))
    .order_by(outbox.c.sequence)
)


def waiting_envelopes(session: Session, query: WaitingEnvelopes) -> tuple[WaitingEnvelope, ...]:
    """Return the next rows of a queue."""
    envelopes = []
    for row in session.rows(
        NEXT_WAITING,
        to_partner=query.partner.code,
        of_urgency=int(query.urgency),
        after_sequence=query.after_sequence,
        max_rows=query.max_rows,
        max_bytes=query.max_bytes,
    ):
        sequence, message_id, first_envelope, second_envelope, urgency, expire_ms = row[:6]
        record_check, digest, encapsulation_digest, previous, record_path, record = row[6:12]
        envelope_check, batch_path, signature, header, content, key_id, key, secret = row[12:]
        if key is None or secret is None:
            raise StoreCorrupt("a waiting message has lost its key; the key store and the store are not of one time")
        check_row("record", record_check, digest, encapsulation_digest, previous, record_path, record)
        check_row("envelope", envelope_check, digest, batch_path, signature, header, content)
        envelopes.append(
            WaitingEnvelope(
                sequence=sequence,
                message_id=MessageId(message_id),
                envelope_id=EnvelopeId(second_envelope or first_envelope),
                urgency=Urgency(urgency),
                expire_ms=expire_ms,
                digest=digest,
                header=header,
                content_sealed=content,
                key_id=key_id,
                wrapped_message_key=key,
                record_sealed=record,
                record_path=unpack_path(record_path),
                batch_path=unpack_path(batch_path),
                signature=signature,
                encapsulation_digest=encapsulation_digest,
                encapsulation=secret,
            )
        )
    return tuple(envelopes)


EXPIRING: Final = Statement(
    select(outbox.c.partner, sent.c.message_id, outbox.c.digest)
    .join(sent, sent.c.id == outbox.c.sent_id)
    .where(outbox.c.state == constant(WAITING), outbox.c.expire_ms <= bindparam("now_ms"))
    .order_by(outbox.c.expire_ms)
    .limit(bindparam("max_rows", type_=Integer))
)


def expiring_envelopes(session: Session, query: ExpiringEnvelopes) -> tuple[ExpiringEnvelope, ...]:
    """Return waiting rows past their expiry, the longest past first."""
    return _expiring(session.rows(EXPIRING, now_ms=query.now_ms, max_rows=query.max_rows))


def _expiring(rows: Sequence[Row]) -> tuple[ExpiringEnvelope, ...]:
    return tuple(
        ExpiringEnvelope(partner=PartnerId(partner), message_id=MessageId(message_id), digest=digest)
        for partner, message_id, digest in rows
    )


WAITING_FOR: Final = Statement(
    select(outbox.c.partner, sent.c.message_id, outbox.c.digest)
    .join(sent, sent.c.id == outbox.c.sent_id)
    .where(outbox.c.state == constant(WAITING), outbox.c.partner == bindparam("to_partner"))
    .order_by(outbox.c.urgency, outbox.c.sequence)
    .limit(bindparam("max_rows", type_=Integer))
)


def envelopes_for(session: Session, query: EnvelopesFor) -> tuple[ExpiringEnvelope, ...]:
    """Return waiting rows for one partner."""
    return _expiring(session.rows(WAITING_FOR, to_partner=query.partner.code, max_rows=query.max_rows))


SUMMARIES: Final = Statement(
    select(
        outbox.c.partner,
        func.count(),
        func.min(outbox.c.create_ms),
        func.min(outbox.c.urgency),
    )
    .where(outbox.c.state == constant(WAITING))
    .group_by(outbox.c.partner)
)
DEAD: Final = Statement(
    select(outbox.c.partner, func.count()).where(outbox.c.state == constant(EXPIRED)).group_by(outbox.c.partner)
)


def queue_summaries(session: Session, _: QueueSummaries) -> tuple[QueueSummary, ...]:
    """Return what waits and what is dead, per partner."""
    waiting = {partner: rest for partner, *rest in session.rows(SUMMARIES)}
    dead = dict(tuple(row) for row in session.rows(DEAD))
    summaries = []
    for partner in sorted(waiting.keys() | dead.keys()):
        count, oldest_ms, urgency = waiting.get(partner, (0, None, None))
        summaries.append(
            QueueSummary(
                partner=PartnerId(partner),
                waiting=count,
                oldest_ms=oldest_ms,
                urgency=None if urgency is None else Urgency(urgency),
                dead=dead.get(partner, 0),
            )
        )
    return tuple(summaries)


DEPTHS: Final = Statement(
    select(outbox.c.partner, outbox.c.urgency, func.count(), func.min(outbox.c.create_ms))
    .where(outbox.c.state == constant(WAITING))
    .group_by(outbox.c.partner, outbox.c.urgency)
)


def queue_depths(session: Session, _: QueueDepths) -> tuple[tuple[QueueDepth, ...], dict[PartnerId, int]]:
    """Return what waits per partner and urgency, and what is dead per partner."""
    waiting = tuple(
        QueueDepth(partner=PartnerId(partner), urgency=Urgency(urgency), waiting=count, oldest_ms=oldest_ms)
        for partner, urgency, count, oldest_ms in session.rows(DEPTHS)
    )
    return waiting, {PartnerId(partner): count for partner, count in session.rows(DEAD)}


_SECRET_COLUMNS = (sent.c.thread_id, outbox.c.previous_digest, sent.c.key_id, message_key.c.wrapped)
SECRETS_OF_FIRST: Final = Statement(
    select(sent.c.checksum, sent.c.digest, sent.c.batch_path, sent.c.signature, sent.c.header, sent.c.content_sealed)
    .add_columns(*_SECRET_COLUMNS)
    .select_from(sent.join(outbox, _IS_DELIVERY).outerjoin(message_key, _KEY))
    .where(sent.c.envelope_id == bindparam("of_envelope"), outbox.c.partner == bindparam("to_partner"))
)
SECRETS_OF_RESEALED: Final = Statement(
    select(
        resealed.c.checksum,
        resealed.c.digest,
        resealed.c.batch_path,
        resealed.c.signature,
        resealed.c.header,
        resealed.c.content_sealed,
    )
    .add_columns(*_SECRET_COLUMNS)
    .select_from(
        resealed.join(outbox, outbox.c.id == resealed.c.outbox_id)
        .join(sent, sent.c.id == outbox.c.sent_id)
        .outerjoin(message_key, _KEY)
    )
    .where(resealed.c.envelope_id == bindparam("of_envelope"), outbox.c.partner == bindparam("to_partner"))
)


def sent_secrets(session: Session, query: SentSecrets) -> MessageSecrets | None:
    """Return what is needed to seal a sent message again."""
    values = {"of_envelope": query.envelope_id.raw, "to_partner": query.partner.code}
    row = session.row(SECRETS_OF_FIRST, **values) or session.row(SECRETS_OF_RESEALED, **values)
    if row is None:
        return None
    check, digest, batch_path, signature, header, content, thread_id, previous, key_id, key = row
    if key == b"":
        return None
    if key is None:
        raise StoreCorrupt("a sent message has lost its key; the key store and the store are not of one time")
    check_row("envelope", check, digest, batch_path, signature, header, content)
    return MessageSecrets(
        header=header,
        content_sealed=content,
        key_id=key_id,
        wrapped_message_key=key,
        thread_id=ThreadId(thread_id),
        previous_digest=previous,
    )


FOLLOWER: Final = Statement(
    select(func.coalesce(resealed.c.envelope_id, sent.c.envelope_id), outbox.c.digest)
    .select_from(
        outbox.join(sent, sent.c.id == outbox.c.sent_id).outerjoin(resealed, resealed.c.id == outbox.c.resealed_id)
    )
    .where(
        outbox.c.thread_id == bindparam("of_thread"),
        outbox.c.partner == bindparam("to_partner"),
        outbox.c.state == constant(WAITING),
        outbox.c.previous_digest == bindparam("after_digest"),
        # Never sent: nothing can be sealed again.
        ~_erased,
    )
    .limit(1)
)


def waiting_follower(session: Session, query: WaitingFollower) -> Follower | None:
    """Return the waiting envelope that follows another one in its thread."""
    row = session.row(
        FOLLOWER,
        of_thread=query.thread_id.raw,
        to_partner=query.partner.code,
        after_digest=query.previous_digest,
    )
    return None if row is None else Follower(envelope_id=EnvelopeId(row[0]), digest=row[1])


FIND_DELIVERY: Final = Statement(
    select(outbox.c.id, outbox.c.state, outbox.c.digest, outbox.c.resealed_id, outbox.c.thread_id, sent.c.envelope_id)
    .select_from(sent.join(outbox, _IS_DELIVERY))
    .where(sent.c.message_id == bindparam("of_message"), outbox.c.partner == bindparam("to_partner"))
    .with_for_update(of=outbox)
)
RESEALED_ENVELOPE: Final = Statement(select(resealed.c.envelope_id).where(resealed.c.id == bindparam("row_id")))
ADD_RESEALED: Final = Insert(resealed)
REPLACE: Final = Statement(
    update(outbox)
    .where(outbox.c.id == bindparam("row_id"))
    .values(
        resealed_id=bindparam("new_resealed"),
        size_bytes=bindparam("new_size"),
        checksum=bindparam("new_checksum"),
        digest_head=bindparam("new_digest_head"),
        digest=bindparam("new_digest"),
        encapsulation_digest=bindparam("new_encapsulation"),
        previous_digest=bindparam("new_previous"),
        record_path=bindparam("new_path"),
        record_sealed=bindparam("new_record"),
    )
)
MOVE_HEAD: Final = Statement(
    update(thread_head)
    .where(
        thread_head.c.thread_id == bindparam("of_thread"),
        thread_head.c.partner == bindparam("to_partner"),
        thread_head.c.digest == bindparam("old_digest"),
    )
    .values(digest=bindparam("new_digest"))
)


def replace_envelope(tx: Transaction, operation: ReplaceEnvelope) -> bool:
    """Put a message sealed again in the place of one outbox row."""
    check_epoch(tx, operation.partner, operation.epoch)
    partner = operation.partner.code
    delivery = tx.row(FIND_DELIVERY, of_message=operation.message_id.raw, to_partner=partner)
    if delivery is None:
        return False
    row_id, state, old_digest, resealed_id, thread_id, envelope_id = delivery
    if resealed_id is not None:
        replaced = tx.row(RESEALED_ENVELOPE, row_id=resealed_id)
        envelope_id = replaced[0] if replaced else b""
    if state != WAITING or envelope_id != operation.old_envelope_id.raw:
        return False
    row = operation.outbox
    (new_id,) = tx.take("resealed", 1)
    batch_path = pack_path(operation.batch_path)
    record_path = pack_path(row.record_path)
    secret = operation.encapsulation
    tx.insert(ADD_ENCAPSULATIONS, [(secret.digest, secret.encapsulation)])
    envelope = (operation.digest, batch_path, operation.signature, operation.header, operation.content_sealed)
    replaced_columns = (digest_head(old_digest), old_digest)
    tx.insert(
        ADD_RESEALED,
        [(new_id, row_id, operation.envelope_id.raw, *replaced_columns, checksum(*envelope), *envelope)],
    )
    tx.run(
        REPLACE,
        row_id=row_id,
        new_resealed=new_id,
        new_size=sum(map(len, (operation.header, operation.content_sealed, row.record_sealed, secret.encapsulation))),
        new_checksum=checksum(
            operation.digest, row.encapsulation_digest, row.previous_digest, record_path, row.record_sealed
        ),
        new_digest_head=digest_head(operation.digest),
        new_digest=operation.digest,
        new_encapsulation=row.encapsulation_digest,
        new_previous=row.previous_digest,
        new_path=record_path,
        new_record=row.record_sealed,
    )
    tx.run(MOVE_HEAD, of_thread=thread_id, to_partner=partner, old_digest=old_digest, new_digest=operation.digest)
    add_log(tx, [operation.log])
    tx.touch_outbox(partner)
    return True
