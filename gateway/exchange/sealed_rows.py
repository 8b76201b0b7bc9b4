"""From sealed envelopes to rows, and back to what a link sends.

At rest ciphertext and key wraps lie under a key of the message's own, which lives in the key store (DESIGN 5).
"""

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.crypto.at_rest import open_content, open_record, seal_content, seal_record
from gateway.crypto.envelope import SealedBatch, SealedEnvelope, SealedRecord
from gateway.crypto.keys import KeyEncryptionKey
from gateway.exchange.attached import uses_of
from gateway.exchange.key_pool import FreshKey, KeyPool, unwrap
from gateway.exchange.steps import described, step
from gateway.ids import EnvelopeId, MessageId, PartnerId, ThreadId
from gateway.model.envelope import Envelope
from gateway.model.header import Urgency
from gateway.model.message import Draft
from gateway.policy.decision import Decided
from gateway.ports import (
    AlertEntry,
    CaseEntry,
    EncapsulationRow,
    OutboxRow,
    Released,
    SealedMessage,
    WaitingEnvelope,
)
from gateway.translog.entry import EventType
from gateway.values import dataclass

MAX_CODES: Final = 64


class _Submitter(Protocol):
    @property
    def principal(self) -> str: ...


class _Submission(Protocol):
    @property
    def submitter(self) -> _Submitter: ...
    @property
    def request_id(self) -> bytes: ...
    @property
    def request_digest(self) -> bytes: ...
    @property
    def draft(self) -> Draft: ...
    @property
    def release(self) -> "Release | None": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What officers have decided on a draft that now leaves: with it, and not by itself, it becomes durable."""

    message_id: MessageId
    salt: bytes
    """Under which the content was committed to when it was shown."""
    key: FreshKey
    """The draft's own becomes the message's, so that erasing one erases both."""
    actor: str
    """Who is on record as having released it."""
    decided: Decided
    released: Released


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyEnvelope:
    """A durable envelope, whole in memory, for one partner."""

    partner: PartnerId
    message_id: MessageId
    envelope_id: EnvelopeId
    thread_id: ThreadId | None
    """None when the thread begins with this message: nothing can be before it."""
    urgency: Urgency
    expire_ms: int
    digest: bytes
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class ReadyBatch:
    """What became ready together: for each message its envelopes, and the encapsulations they share."""

    envelopes: tuple[tuple[ReadyEnvelope, ...], ...]
    encapsulations: tuple[EncapsulationRow, ...]


def rows_of(
    batch: SealedBatch, submissions: Sequence[tuple[_Submission, AlertEntry | CaseEntry | None]], pool: KeyPool
) -> tuple[tuple[SealedMessage, ...], ReadyBatch]:
    """Return the rows to commit and the envelopes to send once they are committed.

    Args:
        submissions: Each with what finds it again if it is an alert, or what it says of its case.
    """
    rows: list[SealedMessage] = []
    ready: list[tuple[ReadyEnvelope, ...]] = []
    for sealed, (submission, entry) in zip(batch.envelopes, submissions, strict=True):
        rows.append(_row(sealed, submission, entry, pool))
        ready.append(tuple(_ready(sealed, record, batch) for record in sealed.records))
    encapsulations = tuple(EncapsulationRow(digest=d, encapsulation=e) for d, e in batch.encapsulations.items())
    return tuple(rows), ReadyBatch(tuple(ready), encapsulations)


def _row(
    sealed: SealedEnvelope, submission: _Submission, entry: AlertEntry | CaseEntry | None, pool: KeyPool
) -> SealedMessage:
    header = sealed.header
    draft = submission.draft
    release = submission.release
    fresh = pool.take() if release is None else release.key
    key = fresh.key
    return SealedMessage(
        message_id=header.message_id,
        envelope_id=header.envelope_id,
        kind=header.kind,
        mode=header.mode,
        urgency=header.urgency,
        thread_id=header.thread_id,
        new_thread=draft.thread_id is None,
        in_reply_to=header.in_reply_to,
        supersedes=header.supersedes,
        create_ms=header.create_ms,
        expire_ms=header.expire_ms,
        content_commitment=header.content_commitment,
        authority=draft.body.authority.name,
        submitter=submission.submitter.principal,
        request_id=submission.request_id,
        request_digest=submission.request_digest,
        digest=sealed.digest,
        header=sealed.header_bytes,
        content_sealed=seal_content(key, sealed.content_key, sealed.ciphertext),
        batch_path=sealed.batch_path,
        signature=sealed.signature,
        key_id=fresh.key_id,
        wrapped_message_key=fresh.wrapped,
        outbox=tuple(
            OutboxRow(
                partner=record.partner,
                record_sealed=seal_record(key, record.record_bytes),
                record_path=record.path,
                encapsulation_digest=record.encapsulation_digest,
                previous_digest=record.previous_digest,
            )
            for record in sealed.records
        ),
        alert=entry if isinstance(entry, AlertEntry) else None,
        case=entry if isinstance(entry, CaseEntry) else None,
        attachments=uses_of(draft.body),
        log=step(
            EventType.MESSAGE_RELEASED,
            header.create_ms,
            actor=submission.submitter.principal if release is None else release.actor,
            partner=sealed.records[0].partner.code if len(sealed.records) == 1 else "",
            subject=header.message_id.raw,
            thread=header.thread_id.raw,
            digest=sealed.digest,
            detail=f"{described(header)} for {draft.body.authority} to {_codes(sealed.records)}",
        ),
        release=None if release is None else release.released,
    )


def _codes(records: Sequence[SealedRecord]) -> str:
    """Return whom a message goes to; very many are counted."""
    few = " ".join(record.partner.code for record in records[:MAX_CODES])
    return few if len(records) <= MAX_CODES else f"{few} and {len(records) - MAX_CODES} more"


def _ready(sealed: SealedEnvelope, record: SealedRecord, batch: SealedBatch) -> ReadyEnvelope:
    header = sealed.header
    return ReadyEnvelope(
        partner=record.partner,
        message_id=header.message_id,
        envelope_id=header.envelope_id,
        thread_id=header.thread_id if header.thread_id.raw != header.message_id.raw else None,
        urgency=header.urgency,
        expire_ms=header.expire_ms,
        digest=sealed.digest,
        envelope=Envelope(
            header=sealed.header_bytes,
            ciphertext=sealed.ciphertext,
            record=record.record_bytes,
            record_path=record.path,
            batch_path=sealed.batch_path,
            signature=sealed.signature,
            encapsulation=batch.encapsulations[record.encapsulation_digest],
        ),
    )


def ready_from_row(row: WaitingEnvelope, partner: PartnerId, key_encryption: KeyEncryptionKey) -> ReadyEnvelope:
    """Return a waiting row as the envelope that leaves.

    Raises:
        StoreCorrupt: The row or its key is damaged.
    """
    key = unwrap(key_encryption, row.wrapped_message_key, row.key_id)
    _, ciphertext, _ = open_content(key, row.content_sealed)
    return ReadyEnvelope(
        partner=partner,
        message_id=row.message_id,
        envelope_id=row.envelope_id,
        thread_id=None,
        urgency=row.urgency,
        expire_ms=row.expire_ms,
        digest=row.digest,
        envelope=Envelope(
            header=row.header,
            ciphertext=ciphertext,
            record=open_record(key, row.record_sealed),
            record_path=row.record_path,
            batch_path=row.batch_path,
            signature=row.signature,
            encapsulation=row.encapsulation,
        ),
    )
