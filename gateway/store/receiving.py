"""Keeping what came in: duplicates, gaps in a thread, acknowledgements."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Integer, and_, bindparam, exists, func, or_, select, update

from gateway.errors import StoreCorrupt
from gateway.ids import MessageId, PartnerId
from gateway.ports import (
    AcknowledgeReceived,
    AlertEntry,
    CommitReceived,
    DropWaitingReceipts,
    FreeHeld,
    KnownMessage,
    KnownMessages,
    LogEntry,
    ReceivedMessage,
    ReceptionStatus,
    WaitingReceipt,
    WaitingReceipts,
)
from gateway.store.alerts import Arrival, doubts, place_alerts
from gateway.store.attachments import want_attachments
from gateway.store.cases import Move, hold_cases, move_of, show_cases, take_cases
from gateway.store.events import MESSAGE_RECEIVED
from gateway.store.leases import check_epoch
from gateway.store.log import add_log
from gateway.store.rows import checksum, pack_path, pack_proof, unpack_proof
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.submissions import ADD_ENCAPSULATIONS
from gateway.store.tables import HELD, SHOWN, TAKEN, acknowledgement, received
from gateway.store.transaction import Row, Session, Transaction

IDS: Final = Lookup(
    lambda keys: select(received.c.sender, received.c.message_id).where(received.c.message_id.in_(keys)),
    received.c.message_id,
)
KNOWN: Final = Lookup(
    lambda keys: select(
        received.c.message_id,
        received.c.content_commitment,
        received.c.issuer,
        received.c.signing_key_id,
        received.c.receipt,
        received.c.receipt_path,
        received.c.receipt_signature,
    ).where(received.c.message_id.in_(keys), received.c.sender == bindparam("from_sender")),
    received.c.message_id,
)
PREDECESSORS: Final = Lookup(
    lambda keys: select(received.c.sender, received.c.thread_id, received.c.digest, received.c.state).where(
        # Not a list of row values: SQLite would read the whole table for it.
        or_(*(and_(received.c.thread_id == thread, received.c.digest == digest) for thread, digest in keys))
    ),
    received.c.thread_id,
    received.c.digest,
)
ANY_HELD: Final = Statement(
    select(received.c.id)
    .where(received.c.state == constant(HELD))
    .order_by(received.c.previous_digest)
    .limit(constant(1))
)
_HELD_COLUMNS = (received.c.id, received.c.sender, received.c.message_id, received.c.thread_id, received.c.digest)
SUCCESSORS: Final = Lookup(
    lambda keys: (
        select(*_HELD_COLUMNS, received.c.previous_digest)
        .where(received.c.state == constant(HELD), received.c.previous_digest.in_(keys))
        .order_by(received.c.id)
        .with_for_update()
    ),
    received.c.previous_digest,
)
SHOW: Final = Lookup(
    lambda keys: (
        update(received)
        .where(received.c.id.in_(keys), received.c.state == constant(HELD))
        .values(state=constant(SHOWN), gap=bindparam("new_gap"))
    ),
    received.c.id,
)
FOLLOW_NEXT: Final = Lookup(
    lambda keys: (
        update(received)
        .where(received.c.id.in_(keys), received.c.state == constant(HELD))
        .values(hold_until_ms=bindparam("now_ms"))
    ),
    received.c.id,
)
HELD_OF: Final = Statement(
    select(func.count()).where(received.c.state == constant(HELD), received.c.sender == bindparam("from_sender"))
)
_before = received.alias("before")
_is_before = and_(
    _before.c.thread_id == received.c.thread_id,
    _before.c.digest == received.c.previous_digest,
    _before.c.sender == received.c.sender,
)
_predecessor_there = exists().where(_is_before)
_predecessor_held = exists().where(_is_before, _before.c.state == constant(HELD))
_free = (
    select(*_HELD_COLUMNS, _predecessor_there.label("complete"))
    .where(received.c.state == constant(HELD), ~_predecessor_held)
    .limit(bindparam("max_rows", type_=Integer))
    .with_for_update(of=received)
)
DUE: Final = Statement(_free.where(received.c.hold_until_ms <= bindparam("now_ms")).order_by(received.c.hold_until_ms))
# A predecessor that another replica stored at the same moment did not see who waits for it: it is found here.
MISSED: Final = Statement(
    _free.where(
        received.c.hold_until_ms > bindparam("now_ms"),
        received.c.receive_ms >= bindparam("since_ms"),
        _predecessor_there,
    )
)
_MISSED_MS: Final = 30_000
"""How far back a missed predecessor is looked for: longer than two commits overlap, so that old rows are not read."""
FREE_ROWS: Final = 500
"""Most messages that one transaction shows: some 30 ms. The rest follow with the next FreeHeld."""
MAX_HELD: Final = 1000
"""Most messages held for one sender. A thread sent backwards is held whole, and each costs a look a second; an honest
sender is behind by what was under way at once, a few frames. Replicas that count at the same time may pass it a little.
"""
ADD_RECEIVED: Final = Insert(received)

_Key = tuple[str, bytes, bytes]
"""sender, thread_id, digest"""


def known_messages(session: Session, query: KnownMessages) -> dict[MessageId, KnownMessage]:
    """Return which ids are known from a sender."""
    found = {}
    for message_id, commitment, *proof in session.look_up(
        KNOWN, [item.raw for item in query.message_ids], from_sender=query.sender.code
    ):
        known = KnownMessage(message_id=MessageId(message_id), content_commitment=commitment, proof=unpack_proof(proof))
        found[known.message_id] = known
    return found


def commit_received(tx: Transaction, operations: Sequence[CommitReceived]) -> list[tuple[ReceptionStatus, ...]]:
    """Store the messages of all operations, each against what those before it left behind."""
    ids = list({message.header.message_id.raw for operation in operations for message in operation.messages})
    known = {(row[0], row[1]) for row in tx.look_up(IDS, ids)}
    states = _predecessor_states(tx, operations)
    room: dict[str, int] = {}
    results = []
    rows: list[tuple[object, ...]] = []
    keys: list[tuple[bytes, bytes]] = []
    events: list[tuple[int, int, str, bytes, str, str]] = []
    encapsulations: dict[bytes, bytes] = {}
    shown: list[_Key] = []
    alerts: list[Arrival] = []
    cases: list[Move] = []
    held_cases: list[Move] = []
    log: list[LogEntry] = []
    now_ms = 0
    for operation in operations:
        sender = operation.sender.code
        own = {(sender, message.header.message_id.raw) for message in operation.messages}
        if len(own) < len(operation.messages) or not own.isdisjoint(known):
            results.append((ReceptionStatus.RACED,) * len(operation.messages))
            continue
        known |= own
        now_ms = operation.now_ms
        encapsulations.update((item.digest, item.encapsulation) for item in operation.encapsulations)
        statuses = []
        for number, message in zip(tx.take("received", len(operation.messages)), operation.messages, strict=True):
            thread, message_id = message.header.thread_id.raw, message.header.message_id.raw
            previous = message.previous_digest
            # Behind a message that is itself held the order of the thread would break as well.
            behind = bool(previous) and states.get((sender, thread, previous), HELD) == HELD
            held = behind and _take_room(tx, room, sender)
            gap = behind and not held
            state = states[sender, thread, message.digest] = HELD if held else SHOWN
            rows.append(_received_row(number, sender, message, now_ms, state=state, gap=gap))
            if message.wrapped_message_key is not None:
                keys.append((message.key_id, message.wrapped_message_key))
            log.append(message.log)
            if message.alert is not None:
                alerts.append(_arrival(operation.sender, message, message.alert, held=held))
            if message.attachments:
                want_attachments(tx, sender, message_id, message.attachments, now_ms)
            if message.case is not None:
                (held_cases if held else cases).append(move_of(operation.sender, message, message.case))
            statuses.append(ReceptionStatus.HELD if held else ReceptionStatus.STORED)
            if not held:
                shown.append((sender, thread, message.digest))
                events.append((MESSAGE_RECEIVED, now_ms, sender, message_id, sender, "gap" if gap else ""))
        results.append(tuple(statuses))
        log += operation.others
    add_log(tx, log)
    if rows:
        tx.insert(ADD_ENCAPSULATIONS, list(encapsulations.items()))
        tx.insert(ADD_RECEIVED, rows)
        tx.put_keys(keys)
        tx.add_events(events)
        place_alerts(tx, alerts, now_ms, ours=False)
        take_cases(tx, cases, now_ms)
        hold_cases(tx, held_cases)
        _free_successors(tx, shown, now_ms, FREE_ROWS)
    return results


def _arrival(sender: PartnerId, message: ReceivedMessage, entry: AlertEntry, *, held: bool) -> Arrival:
    header = message.header
    return Arrival(
        entry=entry,
        partner=sender,
        message_id=header.message_id,
        thread_id=header.thread_id,
        mode=header.mode,
        create_ms=header.create_ms,
        expire_ms=header.expire_ms,
        content_commitment=header.content_commitment,
        supersedes=header.supersedes,
        held=held,
    )


def _take_room(tx: Transaction, room: dict[str, int], sender: str) -> bool:
    if sender not in room:
        (held,) = tx.row(HELD_OF, from_sender=sender) or (0,)
        room[sender] = MAX_HELD - held
    room[sender] -= 1
    return room[sender] >= 0


def _predecessor_states(tx: Transaction, operations: Sequence[CommitReceived]) -> dict[_Key, int]:
    wanted = {
        (message.header.thread_id.raw, message.previous_digest)
        for operation in operations
        for message in operation.messages
        if message.previous_digest
    }
    rows = tx.look_up(PREDECESSORS, list(wanted))
    return {(sender, thread, digest): state for sender, thread, digest, state in rows}


def _free_successors(tx: Transaction, shown: Sequence[_Key], now_ms: int, max_rows: int) -> int:
    """Show what waited for messages that are now shown, and what waited for those; return how many.

    What is left over at max_rows becomes due at once, so that FreeHeld goes on from there.
    """
    if not shown or tx.row(ANY_HELD) is None:
        return 0
    freed: dict[int, Row] = {}
    left: list[int] = []
    while shown:
        before = set(shown)
        shown = []
        for row in tx.look_up(SUCCESSORS, list({digest for _, _, digest in before})):
            if (row[1], row[3], row[5]) not in before or row[0] in freed:
                continue
            if len(freed) < max_rows:
                freed[row[0]] = row
                shown.append((row[1], row[3], row[4]))
            else:
                left.append(row[0])
    _show(tx, list(freed.values()), now_ms, gap=False)
    tx.run_for(FOLLOW_NEXT, left, now_ms=now_ms)
    return len(freed)


def _show(tx: Transaction, rows: Sequence[Row], now_ms: int, *, gap: bool) -> None:
    tx.run_for(SHOW, [row[0] for row in rows], new_gap=int(gap))
    reason = "gap" if gap else ""
    tx.add_events([(MESSAGE_RECEIVED, now_ms, row[1], row[2], row[1], reason) for row in rows])
    shown = [(row[1], row[2]) for row in rows]
    tx.add_events(doubts(tx, shown, now_ms))
    show_cases(tx, shown, now_ms)


def free_held(tx: Transaction, operation: FreeHeld) -> int:
    """Show held messages whose wait is over."""
    now_ms = operation.now_ms
    rows = tx.rows(DUE, now_ms=now_ms, max_rows=FREE_ROWS)
    rows += tx.rows(MISSED, now_ms=now_ms, since_ms=now_ms - _MISSED_MS, max_rows=FREE_ROWS - len(rows))
    rows.sort(key=lambda row: int(row[0]))
    _show(tx, [row for row in rows if row[5]], now_ms, gap=False)
    _show(tx, [row for row in rows if not row[5]], now_ms, gap=True)
    shown = [(row[1], row[3], row[4]) for row in rows]
    return len(rows) + _free_successors(tx, shown, now_ms, FREE_ROWS - len(rows))


def _received_row(
    number: int, sender: str, message: ReceivedMessage, now_ms: int, *, state: int, gap: bool
) -> tuple[object, ...]:
    header = message.header
    issuer, key_id, receipt, receipt_path, receipt_signature = pack_proof(message.proof)
    record_path, batch_path = pack_path(message.record_path), pack_path(message.batch_path)
    return (
        number,
        sender,
        header.message_id.raw,
        int(header.kind),
        int(header.mode),
        int(header.urgency),
        state,
        int(gap),
        header.thread_id.raw,
        header.create_ms,
        header.expire_ms,
        now_ms,
        message.hold_until_ms,
        None,
        header.content_commitment,
        message.authority,
        message.key_id,
        checksum(
            message.digest, record_path, batch_path, message.signature, message.header_bytes, message.content_sealed
        ),
        message.digest,
        message.previous_digest,
        message.encapsulation_digest,
        issuer,
        key_id,
        receipt,
        receipt_path,
        receipt_signature,
        record_path,
        batch_path,
        message.signature,
        message.header_bytes,
        message.content_sealed,
    )


FIND_TO_ACKNOWLEDGE: Final = Statement(
    select(received.c.id, received.c.state, received.c.acknowledge_ms)
    .where(received.c.message_id == bindparam("of_message"), received.c.sender == bindparam("from_sender"))
    .with_for_update()
)
TAKE: Final = Statement(
    update(received)
    .where(received.c.id == bindparam("row_id"))
    .values(state=constant(TAKEN), acknowledge_ms=bindparam("now_ms"))
)
ADD_ACKNOWLEDGEMENT: Final = Insert(acknowledgement)
UNCONFIRMED: Final = Statement(
    select(
        acknowledgement.c.id,
        acknowledgement.c.issuer,
        acknowledgement.c.signing_key_id,
        acknowledgement.c.receipt,
        acknowledgement.c.path,
        acknowledgement.c.signature,
    )
    .where(acknowledgement.c.partner == bindparam("to_partner"), acknowledgement.c.waiting == constant(1))
    .order_by(acknowledgement.c.id)
    .limit(bindparam("max_rows", type_=Integer))
)
CONFIRM: Final = Lookup(
    lambda keys: (
        update(acknowledgement)
        .where(acknowledgement.c.id.in_(keys), acknowledgement.c.partner == bindparam("to_partner"))
        .values(waiting=constant(0))
    ),
    acknowledgement.c.id,
)


def acknowledge_received(tx: Transaction, operation: AcknowledgeReceived) -> int | None:
    """Record that a message was taken over, once."""
    sender = operation.sender.code
    row = tx.row(FIND_TO_ACKNOWLEDGE, of_message=operation.message_id.raw, from_sender=sender)
    if row is None or row[1] == HELD:
        return None
    row_id, state, acknowledge_ms = row
    if state == TAKEN:
        if acknowledge_ms is None:
            raise StoreCorrupt("an acknowledged message has no time of acknowledgement")
        return int(acknowledge_ms)
    tx.run(TAKE, row_id=row_id, now_ms=operation.now_ms)
    (number,) = tx.take("acknowledgement", 1)
    tx.insert(ADD_ACKNOWLEDGEMENT, [(number, row_id, sender, 1, *pack_proof(operation.proof))])
    add_log(tx, [operation.log])
    tx.touch_outbox(sender)
    return operation.now_ms


def waiting_receipts(session: Session, query: WaitingReceipts) -> tuple[WaitingReceipt, ...]:
    """Return later rungs that wait for a partner."""
    rows = session.rows(UNCONFIRMED, to_partner=query.partner.code, max_rows=query.max_rows)
    return tuple(WaitingReceipt(sequence=number, proof=unpack_proof(proof)) for number, *proof in rows)


def drop_waiting_receipts(tx: Transaction, operation: DropWaitingReceipts) -> None:
    """Note that a partner has stored later rungs. They stay as our own evidence."""
    check_epoch(tx, operation.partner, operation.epoch)
    tx.run_for(CONFIRM, operation.sequences, to_partner=operation.partner.code)
