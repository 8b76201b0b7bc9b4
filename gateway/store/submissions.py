"""Accepting messages to send: repeats, thread heads, urgency of a thread."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import String, bindparam, literal_column, select, union_all, update

from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.ports import (
    AlertEntry,
    CommitSubmissions,
    FindRequest,
    OutboxRow,
    SealedMessage,
    StoreKeys,
    SubmissionResult,
    SubmissionStatus,
    ThreadHeads,
    Waiting,
)
from gateway.store.alerts import Arrival, place_alerts
from gateway.store.attachments import use_attachments
from gateway.store.cases import move_of, sending
from gateway.store.decisions import release_held
from gateway.store.held_tables import proposal
from gateway.store.log import add_log
from gateway.store.needs import unpack_needs
from gateway.store.rows import checksum, digest_head, pack_path
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.tables import RECIPIENTS, WAITING, encapsulation, outbox, sent, thread_head
from gateway.store.transaction import Row, Session, Transaction

_REQUEST_COLUMNS = (
    sent.c.submitter,
    sent.c.request_id,
    sent.c.request_digest,
    sent.c.message_id,
    sent.c.thread_id,
    sent.c.content_commitment,
    sent.c.create_ms,
    sent.c.expire_ms,
)
_HELD_COLUMNS = (
    proposal.c.submitter,
    proposal.c.request_id,
    proposal.c.request_digest,
    proposal.c.proposal_id,
    proposal.c.thread_id,
    proposal.c.content_commitment,
    proposal.c.create_ms,
    proposal.c.expire_ms,
    proposal.c.needs,
)
# In one statement: what was held once must never be sent by a repeat, whatever the agreements have become since.
REQUESTS: Final = Lookup(
    lambda keys: union_all(
        select(*_REQUEST_COLUMNS, literal_column("NULL", String)).where(sent.c.request_id.in_(keys)),
        select(*_HELD_COLUMNS).where(proposal.c.request_id.in_(keys)),
    ),
    sent.c.request_id,
)
_HEAD_COLUMNS = (thread_head.c.thread_id, thread_head.c.partner, thread_head.c.digest)
HEADS: Final = Lookup(
    lambda keys: select(*_HEAD_COLUMNS).where(thread_head.c.thread_id.in_(keys)), thread_head.c.thread_id
)
# In one order for all, so that two replicas that move the same heads do not lock each other out.
HEADS_TO_MOVE: Final = Lookup(
    lambda keys: (
        select(*_HEAD_COLUMNS)
        .where(thread_head.c.thread_id.in_(keys))
        .order_by(thread_head.c.thread_id, thread_head.c.partner)
        .with_for_update()
    ),
    thread_head.c.thread_id,
)
WAITING_IN_THREADS: Final = Lookup(
    lambda keys: (
        select(outbox.c.id, outbox.c.thread_id, outbox.c.partner, outbox.c.urgency)
        .where(outbox.c.state == constant(WAITING), outbox.c.thread_id.in_(keys))
        .order_by(outbox.c.sequence)
        .with_for_update()
    ),
    outbox.c.thread_id,
)
PROMOTE: Final = Statement(
    update(outbox)
    .where(outbox.c.id == bindparam("row_id"), outbox.c.state == constant(WAITING))
    .values(urgency=bindparam("new_urgency"), sequence=bindparam("new_sequence"))
)
ADD_SENT: Final = Insert(sent)
ADD_OUTBOX: Final = Insert(outbox)
ADD_HEADS: Final = Insert(thread_head)
MOVE_HEADS: Final = Insert(thread_head, key=("thread_id", "partner"), replace=("digest",))
ADD_ENCAPSULATIONS: Final = Insert(encapsulation, skip_known=True)

_HeadKey = tuple[bytes, str]


@dataclass(slots=True)
class _Place:
    """A row's place in its partner's queue, not given yet. Lower numbers are sent first within an urgency."""

    urgency: int
    outbox_id: int
    stored: bool
    sequence: int = 0


def commit_submissions(tx: Transaction, operations: Sequence[CommitSubmissions]) -> list[tuple[SubmissionResult, ...]]:
    """Accept the messages of all operations, each against what those before it left behind."""
    messages = [message for operation in operations for message in operation.messages]
    known = known_requests(tx, list({message.request_id for message in messages}))
    # A thread that begins here has no head to look up. If one is there after all, the insert fails, and the second
    # time everything is looked up.
    old_threads = list({m.thread_id.raw for m in messages if tx.alone or not m.new_thread})
    heads: dict[_HeadKey, bytes] = {(row[0], row[1]): row[2] for row in tx.look_up(HEADS_TO_MOVE, old_threads)}
    stored_heads = frozenset(heads)
    moved: dict[_HeadKey, bytes] = {}
    accepted: list[SealedMessage] = []
    used_encapsulations: dict[bytes, bytes] = {}
    cases = sending(tx, messages)
    results = []
    for operation in operations:
        answers = []
        encapsulations = {item.digest: item.encapsulation for item in operation.encapsulations}
        for message in operation.messages:
            request = (message.submitter, message.request_id)
            # What was held is known by its request from then on: its release goes by its version.
            if message.release is None and request in known:
                answers.append(answered(known[request], message.request_digest))
                continue
            thread = message.thread_id.raw
            if any(heads.get((thread, row.partner.code), b"") != row.previous_digest for row in message.outbox):
                answers.append(_result(message, SubmissionStatus.HEAD_MOVED))
                continue
            move = None
            if cases is not None and message.case is not None:
                move = cases.judge(
                    move_of(PartnerId(sender_of(message)), message, message.case),
                    [row.partner for row in message.outbox],
                )
                if move is None:
                    # A partner moved the case in between: all is looked at again.
                    answers.append(_result(message, SubmissionStatus.HEAD_MOVED))
                    continue
            # Nothing may refuse the message behind this: the held draft moves on with it.
            if message.release is not None and not release_held(tx, message.release):
                answers.append(_result(message, SubmissionStatus.DECIDED_OTHERWISE))
                continue
            if cases is not None and move is not None:
                cases.send(move)
            for row in message.outbox:
                heads[thread, row.partner.code] = moved[thread, row.partner.code] = message.digest
                if row.encapsulation_digest in encapsulations:
                    used_encapsulations[row.encapsulation_digest] = encapsulations[row.encapsulation_digest]
            known[request] = (
                message.submitter,
                message.request_id,
                message.request_digest,
                message.message_id.raw,
                thread,
                message.content_commitment,
                message.create_ms,
                message.expire_ms,
                None,
            )
            accepted.append(message)
            answers.append(_result(message, SubmissionStatus.NEW))
        results.append(tuple(answers))
    if accepted:
        _store(tx, accepted, used_encapsulations)
        tx.insert(ADD_HEADS, [(*key, digest) for key, digest in moved.items() if key not in stored_heads])
        tx.insert(MOVE_HEADS, [(*key, digest) for key, digest in moved.items() if key in stored_heads])
        if cases is not None:
            cases.write()
    return results


def _store(tx: Transaction, messages: Sequence[SealedMessage], encapsulations: dict[bytes, bytes]) -> None:
    ids = tx.take("sent", len(messages))
    places = _places(tx, messages, ids)
    numbers = tx.take("sequence", len(places))
    for place, number in zip(places, numbers, strict=True):
        place.sequence = number
    sequences = {place.outbox_id: place.sequence for place in places if not place.stored}
    tx.insert(ADD_ENCAPSULATIONS, list(encapsulations.items()))
    tx.insert(ADD_SENT, [_sent_row(number, message) for number, message in zip(ids, messages, strict=True)])
    rows = []
    for number, message in zip(ids, messages, strict=True):
        for place_id, row in _numbered(number, message):
            rows.append(
                _outbox_row(
                    message,
                    row,
                    sent_id=number,
                    place_id=place_id,
                    sequence=sequences[place_id],
                    encapsulation_bytes=len(encapsulations.get(row.encapsulation_digest, b"")),
                )
            )
            tx.touch_outbox(row.partner.code)
    tx.insert(ADD_OUTBOX, rows)
    tx.put_keys([(m.key_id, m.wrapped_message_key) for m in messages if m.wrapped_message_key is not None])
    place_alerts(
        tx,
        [_arrival(message, message.alert) for message in messages if message.alert],
        max(message.create_ms for message in messages),
        ours=True,
    )
    for message in messages:
        if message.attachments:
            use_attachments(tx, sender_of(message), message.message_id.raw, message.attachments)
    add_log(tx, [message.log for message in messages])
    for place in places:
        # After the inserts: a row of this very group may have been overtaken by a more urgent one.
        if place.stored:
            tx.run(PROMOTE, row_id=place.outbox_id, new_urgency=place.urgency, new_sequence=place.sequence)


def _arrival(message: SealedMessage, entry: AlertEntry) -> Arrival:
    return Arrival(
        entry=entry,
        partner=PartnerId(sender_of(message)),
        message_id=message.message_id,
        thread_id=message.thread_id,
        mode=message.mode,
        create_ms=message.create_ms,
        expire_ms=message.expire_ms,
        content_commitment=message.content_commitment,
        supersedes=message.supersedes,
        held=False,
    )


def _places(tx: Transaction, messages: Sequence[SealedMessage], ids: Sequence[int]) -> list[_Place]:
    """Return places in the order in which they are given: those who take over an urgency before the newcomer."""
    continued = list({message.thread_id.raw for message in messages if not message.new_thread})
    if not continued:
        return [
            _Place(message.urgency, place_id, stored=False)
            for number, message in zip(ids, messages, strict=True)
            for place_id, _ in _numbered(number, message)
        ]
    waiting: dict[_HeadKey, dict[int, int]] = {}
    for row_id, thread, partner, urgency in tx.look_up(WAITING_IN_THREADS, continued):
        waiting.setdefault((thread, partner), {})[row_id] = urgency
    places: list[_Place] = []
    for number, message in zip(ids, messages, strict=True):
        for place_id, row in _numbered(number, message):
            line = waiting.setdefault((message.thread_id.raw, row.partner.code), {})
            for other, urgency in line.items():
                if urgency > message.urgency:
                    line[other] = message.urgency
                    places.append(_Place(message.urgency, other, stored=True))
            line[place_id] = message.urgency
            places.append(_Place(message.urgency, place_id, stored=False))
    return places


def store_keys(tx: Transaction, operations: Sequence[StoreKeys]) -> list[None]:
    """Put message keys in the key store."""
    tx.put_keys([row for operation in operations for row in operation.rows])
    return [None] * len(operations)


def _numbered(number: int, message: SealedMessage) -> Iterable[tuple[int, OutboxRow]]:
    return enumerate(message.outbox, number * RECIPIENTS)


def sender_of(message: SealedMessage) -> str:
    """Return the partner a sent message speaks for: the state its authority belongs to."""
    return message.authority[:2]


def _sent_row(number: int, message: SealedMessage) -> tuple[object, ...]:
    supersedes = message.supersedes
    path = pack_path(message.batch_path)
    return (
        number,
        sender_of(message),
        message.message_id.raw,
        message.envelope_id.raw,
        int(message.kind),
        int(message.mode),
        int(message.urgency),
        message.thread_id.raw,
        message.in_reply_to.raw if message.in_reply_to else None,
        supersedes.message_id.raw if supersedes else None,
        supersedes.content_commitment if supersedes else None,
        message.create_ms,
        message.expire_ms,
        message.content_commitment,
        message.authority,
        message.submitter,
        message.request_id,
        message.request_digest,
        message.key_id,
        checksum(message.digest, path, message.signature, message.header, message.content_sealed),
        message.digest,
        path,
        message.signature,
        message.header,
        message.content_sealed,
    )


def _outbox_row(
    message: SealedMessage, row: OutboxRow, *, sent_id: int, place_id: int, sequence: int, encapsulation_bytes: int
) -> tuple[object, ...]:
    path = pack_path(row.record_path)
    size = len(message.header) + len(message.content_sealed) + len(row.record_sealed) + encapsulation_bytes
    return (
        place_id,
        sent_id,
        None,
        row.partner.code,
        WAITING,
        int(message.urgency),
        sequence,
        message.thread_id.raw,
        message.create_ms,
        message.expire_ms,
        size,
        checksum(message.digest, row.encapsulation_digest, row.previous_digest, path, row.record_sealed),
        digest_head(message.digest),
        message.digest,
        row.encapsulation_digest,
        row.previous_digest,
        path,
        row.record_sealed,
    )


def _result(message: SealedMessage, status: SubmissionStatus) -> SubmissionResult:
    return SubmissionResult(
        status,
        message.message_id,
        message.thread_id,
        message.content_commitment,
        message.create_ms,
        message.expire_ms,
    )


def known_requests(session: Session, request_ids: Sequence[bytes]) -> dict[tuple[str, bytes], Row]:
    """Return what became of requests, by submitter and id; one that was held is told as held, though it left since."""
    known: dict[tuple[str, bytes], Row] = {}
    for row in session.look_up(REQUESTS, request_ids):
        if row[8] is not None or (row[0], row[1]) not in known:
            known[row[0], row[1]] = row
    return known


def answered(row: Row, request_digest: bytes) -> SubmissionResult:
    """Return the answer to a request that is known."""
    _, _, stored_digest, message_id, thread_id, commitment, create_ms, expire_ms, needs = row
    status = SubmissionStatus.REPEATED if stored_digest == request_digest else SubmissionStatus.REUSED
    held = None if needs is None else Waiting(unpack_needs(needs))
    return SubmissionResult(status, MessageId(message_id), ThreadId(thread_id), commitment, create_ms, expire_ms, held)


def find_request(session: Session, query: FindRequest) -> SubmissionResult | None:
    """Return the answer given to a request before."""
    row = known_requests(session, [query.request_id]).get((query.submitter, query.request_id))
    return None if row is None else answered(row, query.request_digest)


def thread_heads(session: Session, query: ThreadHeads) -> dict[tuple[ThreadId, PartnerId], bytes]:
    """Return the heads of threads."""
    rows = session.look_up(HEADS, [thread.raw for thread in query.threads])
    return {(ThreadId(thread), PartnerId(partner)): digest for thread, partner, digest in rows}
