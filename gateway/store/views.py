"""Messages as people and systems look at them."""

from typing import Any, Final

from sqlalchemy import Integer, and_, bindparam, func, or_, select

from gateway.errors import StoreCorrupt
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.envelope import Outcome
from gateway.model.header import Kind, Mode, Urgency
from gateway.ports import (
    CountMessages,
    Counts,
    Delivery,
    EraseMessage,
    FindMessage,
    ListMessages,
    MessageRow,
    StoredMessage,
)
from gateway.store.alerts import STANDING, standing_columns
from gateway.store.attachments import drop_uses
from gateway.store.held_tables import proposal
from gateway.store.log import add_log
from gateway.store.rows import check_row, unpack_proof
from gateway.store.statement import Statement, constant
from gateway.store.tables import (
    EXPIRED,
    HELD,
    RECEIVED,
    RECIPIENTS,
    REFUSED,
    RUNGS,
    SHOWN,
    TAKEN,
    WAITING,
    alert,
    message_key,
    outbox,
    received,
    rung,
    sent,
)
from gateway.store.transaction import Row, Session, Transaction

_SENT_ROW = (
    sent.c.sender,
    sent.c.message_id,
    sent.c.kind,
    sent.c.mode,
    sent.c.urgency,
    sent.c.thread_id,
    sent.c.create_ms,
    sent.c.expire_ms,
    sent.c.content_commitment,
    sent.c.authority,
    sent.c.submitter,
)
_RECEIVED_ROW = (
    received.c.sender,
    received.c.message_id,
    received.c.kind,
    received.c.mode,
    received.c.urgency,
    received.c.thread_id,
    received.c.create_ms,
    received.c.expire_ms,
    received.c.content_commitment,
    received.c.authority,
    received.c.state,
    received.c.gap,
)
_of_sent = and_(alert.c.sender == sent.c.sender, alert.c.message_id == sent.c.message_id)
_of_received = and_(alert.c.sender == received.c.sender, alert.c.message_id == received.c.message_id)
_RECEIVED_STATES: Final = {SHOWN: "received", HELD: "held", TAKEN: "acknowledged"}
_DELIVERY_STATES: Final = {WAITING: "waiting", RECEIVED: "received", REFUSED: "refused", EXPIRED: "expired"}
_RUNG_OF_STATE: Final = {RECEIVED: Outcome.RECEIVED, REFUSED: Outcome.REFUSED, EXPIRED: Outcome.EXPIRED}


def _message_row(row: Row, *, sent: bool) -> MessageRow:
    sender, message_id, kind, mode, urgency, thread_id, create_ms, expire_ms, commitment, authority = row[:10]
    return MessageRow(
        sent=sent,
        sender=PartnerId(sender),
        message_id=MessageId(message_id),
        kind=Kind(kind),
        mode=Mode(mode),
        urgency=Urgency(urgency),
        thread_id=ThreadId(thread_id),
        create_ms=create_ms,
        expire_ms=expire_ms,
        content_commitment=commitment,
        authority=authority,
        state="released" if sent else _RECEIVED_STATES[row[10]],
        gap=False if sent else bool(row[11]),
        submitter=row[10] if sent else "",
        **standing_columns(row[-4:]),
    )


FIND_SENT: Final = Statement(
    select(*_SENT_ROW, sent.c.id, sent.c.checksum, sent.c.digest, sent.c.batch_path, sent.c.signature)
    .add_columns(sent.c.header, sent.c.content_sealed, sent.c.key_id, message_key.c.wrapped, *STANDING)
    .outerjoin(alert, _of_sent)
    .outerjoin(message_key, message_key.c.key_id == sent.c.key_id)
    .where(sent.c.message_id == bindparam("of_message"), sent.c.sender == bindparam("from_sender"))
)
FIND_RECEIVED: Final = Statement(
    select(*_RECEIVED_ROW, received.c.checksum, received.c.digest, received.c.record_path, received.c.batch_path)
    .add_columns(received.c.signature, received.c.header, received.c.content_sealed, received.c.key_id)
    .add_columns(message_key.c.wrapped, *STANDING)
    .outerjoin(alert, _of_received)
    .outerjoin(message_key, message_key.c.key_id == received.c.key_id)
    .where(received.c.message_id == bindparam("of_message"), received.c.sender == bindparam("from_sender"))
)
DELIVERIES: Final = Statement(
    select(outbox.c.id, outbox.c.partner, outbox.c.state)
    .where(outbox.c.id >= bindparam("first_id"), outbox.c.id < bindparam("end_id"))
    .order_by(outbox.c.id)
)
RUNGS_OF: Final = Statement(
    select(*rung.c).where(rung.c.id >= bindparam("first_id"), rung.c.id < bindparam("end_id")).order_by(rung.c.id)
)


def find_message(session: Session, query: FindMessage) -> StoredMessage | None:
    """Return one message."""
    values = {"of_message": query.message_id.raw, "from_sender": query.sender.code}
    row = session.row(FIND_RECEIVED, **values)
    if row is not None:
        if row[10] == HELD and not query.held:
            return None
        check, digest, record_path, batch_path, signature, header, content, key_id, key = row[12:-4]
        check_row("message", check, digest, record_path, batch_path, signature, header, content)
        return _stored(_message_row(row, sent=False), header, digest, content, (key_id, key))
    row = session.row(FIND_SENT, **values)
    if row is None:
        return None
    number, check, digest, batch_path, signature, header, content, key_id, key = row[11:-4]
    check_row("message", check, digest, batch_path, signature, header, content)
    deliveries = _deliveries(session, number)
    return _stored(_message_row(row, sent=True), header, digest, content, (key_id, key), deliveries=deliveries)


def _stored(
    row: MessageRow,
    header: bytes,
    digest: bytes,
    content: bytes,
    named_key: tuple[bytes, bytes | None],
    *,
    deliveries: tuple[Delivery, ...] = (),
) -> StoredMessage:
    key_id, key = named_key
    if key is None:
        raise StoreCorrupt("a message has lost its key; the key store and the store are not of one time")
    return StoredMessage(
        row=row,
        header=header,
        digest=digest,
        content_sealed=content if key else None,
        key_id=key_id,
        wrapped_message_key=key or None,
        deliveries=deliveries,
    )


def _deliveries(session: Session, number: int) -> tuple[Delivery, ...]:
    first, end = number * RECIPIENTS, (number + 1) * RECIPIENTS
    rungs: dict[int, dict[int, Row]] = {}
    for row in session.rows(RUNGS_OF, first_id=first * RUNGS, end_id=end * RUNGS):
        rungs.setdefault(row[0] // RUNGS, {})[row[0] % RUNGS] = row
    return tuple(
        _delivery(partner, state, rungs.get(delivery, {}))
        for delivery, partner, state in session.rows(DELIVERIES, first_id=first, end_id=end)
    )


def _delivery(partner: str, state: int, rungs: dict[int, Any]) -> Delivery:
    name = _DELIVERY_STATES[state]
    top = rungs.get(_RUNG_OF_STATE[state]) if state != WAITING else None
    if state == RECEIVED:
        # The first acknowledgement by whom weighs most.
        for outcome in (Outcome.ACKNOWLEDGED_BY_OFFICER, Outcome.ACKNOWLEDGED_BY_SYSTEM):
            if outcome in rungs:
                name, top = "acknowledged", rungs[outcome]
                break
    if top is None:
        return Delivery(partner=PartnerId(partner), state=name, time_ms=None, reason="", proof=None)
    _, time_ms, reason, *proof = top
    return Delivery(partner=PartnerId(partner), state=name, time_ms=time_ms, reason=reason, proof=unpack_proof(proof))


LIST_SENT: Final = Statement(
    select(*_SENT_ROW, *STANDING)
    .outerjoin(alert, _of_sent)
    .where(
        or_(
            sent.c.create_ms < bindparam("before_ms"),
            and_(sent.c.create_ms == bindparam("before_ms"), sent.c.message_id < bindparam("before_id")),
        ),
        sent.c.create_ms <= bindparam("before_ms"),
    )
    .order_by(sent.c.create_ms.desc(), sent.c.message_id.desc())
    .limit(bindparam("max_rows", type_=Integer))
)
LIST_RECEIVED: Final = Statement(
    select(*_RECEIVED_ROW, *STANDING)
    .outerjoin(alert, _of_received)
    .where(
        or_(
            received.c.create_ms < bindparam("before_ms"),
            and_(received.c.create_ms == bindparam("before_ms"), received.c.message_id < bindparam("before_id")),
        ),
        received.c.create_ms <= bindparam("before_ms"),
        received.c.state != constant(HELD),
    )
    .order_by(received.c.create_ms.desc(), received.c.message_id.desc())
    .limit(bindparam("max_rows", type_=Integer))
)


def list_messages(session: Session, query: ListMessages) -> tuple[MessageRow, ...]:
    """Return messages, newest first."""
    values: dict[str, object] = {
        "before_ms": query.before_ms,
        "before_id": query.before_id,
        "max_rows": query.max_rows,
    }
    found = []
    if query.sent is not False:
        found += [_message_row(row, sent=True) for row in session.rows(LIST_SENT, **values)]
    if query.sent is not True:
        found += [_message_row(row, sent=False) for row in session.rows(LIST_RECEIVED, **values)]
    found.sort(key=lambda row: (row.create_ms, row.message_id.raw), reverse=True)
    return tuple(found[: query.max_rows])


COUNT_SENT: Final = Statement(select(func.count()).select_from(sent))
COUNT_RECEIVED: Final = Statement(select(func.count()).select_from(received))
COUNT_WAITING: Final = Statement(select(func.count()).select_from(outbox).where(outbox.c.state == constant(WAITING)))


def count_messages(session: Session, _: CountMessages) -> Counts:
    """Return how much there is."""
    counts = [session.row(statement) for statement in (COUNT_SENT, COUNT_RECEIVED, COUNT_WAITING)]
    return Counts(*(row[0] if row else 0 for row in counts))


KEY_OF_RECEIVED: Final = Statement(
    select(received.c.key_id).where(
        received.c.message_id == bindparam("of_message"), received.c.sender == bindparam("from_sender")
    )
)
KEY_OF_SENT: Final = Statement(
    select(sent.c.key_id).where(sent.c.message_id == bindparam("of_message"), sent.c.sender == bindparam("from_sender"))
)

KEY_OF_HELD: Final = Statement(
    select(proposal.c.key_id).where(
        proposal.c.proposal_id == bindparam("of_message"),
        func.substr(proposal.c.authority, 1, 2) == bindparam("from_sender"),
    )
)


def erase_message(tx: Transaction, operation: EraseMessage) -> bool:
    """Destroy a message's key."""
    values = {"of_message": operation.message_id.raw, "from_sender": operation.sender.code}
    row = tx.row(KEY_OF_RECEIVED, **values) or tx.row(KEY_OF_SENT, **values) or tx.row(KEY_OF_HELD, **values)
    if row is None:
        return False
    tx.erase_key(row[0])
    drop_uses(tx, operation.sender.code, operation.message_id.raw)
    add_log(tx, [operation.log])
    return True
