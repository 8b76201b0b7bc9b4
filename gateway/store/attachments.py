"""Files beside messages: rows of uploads and of what is fetched, which messages name them, and their custody.

The bytes are files (store.attachment_files); a row says WANTED or STORED only as they do. A file is there for as long
as a message that is not erased names it, or its upload is young.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Integer, bindparam, delete, func, select, update

from gateway.ids import MessageId, PartnerId
from gateway.ports import (
    AttachmentRow,
    AttachmentState,
    AttachmentUse,
    BeginStatus,
    BeginUpload,
    CustodyStep,
    EndUpload,
    KeepAttachment,
    NoteCustody,
    NoteErased,
    PostponeWanted,
    RefuseAttachment,
    TakeWanted,
)
from gateway.store.attachment_tables import attachment, attachment_custody, attachment_use
from gateway.store.log import add_log
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.transaction import Row, Transaction

UPLOAD_ID_BYTES: Final = 16
MAX_NAMING: Final = 16
"""Messages of which one is asked for a file; more may name it."""
_there: Final = attachment.c.state <= constant(AttachmentState.STORED)

# The writer of an embedded store does not have the key store before it: only readers join the two.
BY_ID: Final = Lookup(
    lambda keys: select(*attachment.c).where(attachment.c.attachment_id.in_(keys)), attachment.c.attachment_id
)
BY_UPLOAD: Final = Statement(
    select(*attachment.c).where(
        attachment.c.principal == bindparam("of_principal"), attachment.c.upload_id == bindparam("of_upload")
    )
)
TOTAL_BYTES: Final = select(func.coalesce(func.sum(attachment.c.size_bytes), constant(0))).where(_there)
TOTAL: Final = Statement(TOTAL_BYTES)
OPEN_UPLOADS: Final = Statement(
    select(func.count())
    .select_from(attachment)
    .where(attachment.c.principal == bindparam("of_principal"), func.length(attachment.c.key_id) > constant(0))
)
ADD: Final = Insert(attachment)
ADD_NEW: Final = Insert(attachment, skip_known=True)
ADD_USES: Final = Insert(attachment_use)
ADD_CUSTODY: Final = Insert(attachment_custody, skip_known=True)
MOVE: Final = Statement(
    update(attachment)
    .where(attachment.c.attachment_id == bindparam("of_id"), attachment.c.state == bindparam("old_state"))
    .values(state=bindparam("new_state"), digest=bindparam("new_digest"), reason=bindparam("new_reason"))
)
REVIVE: Final = Lookup(
    lambda keys: (
        update(attachment)
        .where(attachment.c.attachment_id.in_(keys), attachment.c.state > constant(AttachmentState.WANTED))
        .values(
            state=constant(AttachmentState.WANTED),
            attempts=constant(0),
            retry_ms=bindparam("now_ms"),
            create_ms=bindparam("now_ms"),
        )
    ),
    attachment.c.attachment_id,
)
"""What was refused or erased before is fetched anew when another message names it."""
DUE: Final = Statement(
    select(*attachment.c)
    .where(attachment.c.state == constant(AttachmentState.WANTED), attachment.c.retry_ms <= bindparam("now_ms"))
    .order_by(attachment.c.retry_ms, attachment.c.attachment_id)
    .limit(constant(1))
)
CLAIM: Final = Statement(
    update(attachment)
    .where(
        attachment.c.attachment_id == bindparam("of_id"),
        attachment.c.state == constant(AttachmentState.WANTED),
        attachment.c.retry_ms == bindparam("old_retry_ms"),
    )
    .values(retry_ms=bindparam("new_retry_ms"))
)
"""Compare and set: two replicas do not fetch one file at the same time."""
POSTPONE: Final = Statement(
    update(attachment)
    .where(attachment.c.attachment_id == bindparam("of_id"), attachment.c.state == constant(AttachmentState.WANTED))
    .values(retry_ms=bindparam("new_retry_ms"), attempts=attachment.c.attempts + bindparam("more", type_=Integer))
)
NAMING: Final = Statement(
    select(attachment_use.c.sender, attachment_use.c.message_id)
    .where(attachment_use.c.attachment_id == bindparam("of_id"))
    .order_by(attachment_use.c.sender, attachment_use.c.message_id)
    .limit(bindparam("max_rows", type_=Integer))
)
NAMED_BY: Final = Statement(
    select(attachment_use.c.attachment_id).where(
        attachment_use.c.sender == bindparam("of_sender"), attachment_use.c.message_id == bindparam("of_message")
    )
)
DROP_USES: Final = Statement(
    delete(attachment_use).where(
        attachment_use.c.sender == bindparam("of_sender"), attachment_use.c.message_id == bindparam("of_message")
    )
)
FORGET_KEY: Final = Statement(
    update(attachment).where(attachment.c.attachment_id == bindparam("of_id")).values(key_id=bindparam("no_key"))
)


def row_of(row: Row) -> AttachmentRow:
    """Return what a row says; with a column behind it, its wrapped key too."""
    (attachment_id, state, principal, upload_id, size_bytes, chunk_bytes, create_ms, digest) = row[:8]
    key_id, sealed, attempts, retry_ms, reason = row[8:13]
    return AttachmentRow(
        attachment_id=attachment_id,
        state=AttachmentState(state),
        principal=principal,
        upload_id=upload_id,
        size_bytes=size_bytes,
        chunk_bytes=chunk_bytes,
        create_ms=create_ms,
        digest=digest,
        key_id=key_id,
        sealed=sealed,
        wrapped_key=(row[13] or None) if len(row) > 13 else None,
        attempts=attempts,
        retry_ms=retry_ms,
        reason=reason,
    )


def _note(tx: Transaction, steps: Sequence[CustodyStep]) -> None:
    add_log(tx, [step.log for step in steps])
    tx.insert(
        ADD_CUSTODY,
        [
            (
                step.attachment_id,
                step.log.event.time_ms,
                int(step.event),
                step.log.event.actor,
                step.log.event.partner,
                step.log.event.reason,
            )
            for step in steps
        ],
    )


def sum_of(row: Row | None) -> int:
    """Return the number in a row that a sum always has."""
    if row is None:
        raise RuntimeError("a sum has no row")
    return int(row[0])


def begin_upload(tx: Transaction, operation: BeginUpload) -> BeginStatus:
    """Make the row of an upload, unless there is one, or no room."""
    row = operation.row
    known = tx.row(BY_UPLOAD, of_principal=row.principal, of_upload=row.upload_id)
    if known is not None:
        return BeginStatus.BEGUN
    total, count = sum_of(tx.row(TOTAL)), sum_of(tx.row(OPEN_UPLOADS, of_principal=row.principal))
    if total + row.size_bytes > operation.total_bytes or count >= operation.max_uploads:
        return BeginStatus.FULL
    tx.insert(
        ADD,
        [
            (
                row.attachment_id,
                int(row.state),
                row.principal,
                row.upload_id,
                row.size_bytes,
                row.chunk_bytes,
                row.create_ms,
                row.digest,
                row.key_id,
                row.sealed,
                0,
                0,
                "",
            )
        ],
    )
    if operation.wrapped_message_key is not None:
        tx.put_keys([(row.key_id, operation.wrapped_message_key)])
    return BeginStatus.BEGUN


def use_attachments(tx: Transaction, sender: str, message_id: bytes, uses: Sequence[AttachmentUse]) -> None:
    """Keep which files a message names."""
    tx.insert(ADD_USES, [(sender, message_id, use.place, use.attachment_id) for use in uses])


def want_attachments(
    tx: Transaction, sender: str, message_id: bytes, uses: Sequence[AttachmentUse], now_ms: int
) -> None:
    """Keep which files a received message names, and have those fetched that are not here."""
    use_attachments(tx, sender, message_id, uses)
    tx.insert(
        ADD_NEW,
        [
            (
                use.attachment_id,
                int(AttachmentState.WANTED),
                f"partner/{sender}",
                use.attachment_id[:UPLOAD_ID_BYTES],
                use.size_bytes,
                use.chunk_bytes,
                now_ms,
                b"",
                b"",
                b"",
                0,
                now_ms,
                "",
            )
            for use in uses
        ],
    )
    tx.run_for(REVIVE, [use.attachment_id for use in uses], now_ms=now_ms)
    tx.touch("attachments")


def drop_uses(tx: Transaction, sender: str, message_id: bytes) -> None:
    """A message is erased: so are the files that no other one names, and their keys."""
    named = [row[0] for row in tx.rows(NAMED_BY, of_sender=sender, of_message=message_id)]
    if not named:
        return
    tx.run(DROP_USES, of_sender=sender, of_message=message_id)
    for attachment_id in named:
        _erase_unnamed(tx, attachment_id)


def _erase_unnamed(tx: Transaction, attachment_id: bytes) -> None:
    if tx.row(NAMING, of_id=attachment_id, max_rows=1) is not None:
        return
    _forget_key(tx, attachment_id)
    for row in tx.look_up(BY_ID, [attachment_id]):
        state = AttachmentState(row[1])
        if state < AttachmentState.ERASING:
            _move(tx, attachment_id, state, AttachmentState.ERASING, digest=row[7])
    tx.touch("attachments")


def _forget_key(tx: Transaction, attachment_id: bytes) -> None:
    for row in tx.look_up(BY_ID, [attachment_id]):
        if row[8]:
            tx.erase_key(row[8])
            tx.run(FORGET_KEY, of_id=attachment_id, no_key=b"")


def _move(
    tx: Transaction,
    attachment_id: bytes,
    before: AttachmentState,
    after: AttachmentState,
    *,
    digest: bytes = b"",
    reason: str = "",
) -> bool:
    moved = tx.run(
        MOVE,
        of_id=attachment_id,
        old_state=int(before),
        new_state=int(after),
        new_digest=digest,
        new_reason=reason,
    )
    return bool(moved)


def keep_attachment(tx: Transaction, operation: KeepAttachment) -> bool:
    """A file is whole."""
    for before in (AttachmentState.UPLOADING, AttachmentState.WANTED):
        if _move(tx, operation.attachment_id, before, AttachmentState.STORED, digest=operation.digest):
            _note(tx, [operation.custody])
            return True
    return False


def refuse_attachment(tx: Transaction, operation: RefuseAttachment) -> bool:
    """A wanted file is not fetched any more."""
    refused = _move(
        tx, operation.attachment_id, AttachmentState.WANTED, AttachmentState.REFUSED, reason=operation.reason
    )
    if refused:
        _note(tx, [operation.custody])
    return refused


def note_custody(tx: Transaction, operation: NoteCustody) -> None:
    """Record steps."""
    _note(tx, operation.steps)


def take_wanted(
    tx: Transaction, operation: TakeWanted
) -> tuple[AttachmentRow, tuple[tuple[PartnerId, MessageId], ...]] | None:
    """Take the wanted file that is due longest."""
    row = tx.row(DUE, now_ms=operation.now_ms)
    if row is None:
        return None
    found = row_of(row)
    claimed = tx.run(CLAIM, of_id=found.attachment_id, old_retry_ms=found.retry_ms, new_retry_ms=operation.until_ms)
    if not claimed:
        return None
    naming = tx.rows(NAMING, of_id=found.attachment_id, max_rows=MAX_NAMING)
    return found, tuple((PartnerId(sender), MessageId(message_id)) for sender, message_id in naming)


def postpone_wanted(tx: Transaction, operation: PostponeWanted) -> bool:
    """Say when a wanted file may be taken again."""
    moved = tx.run(POSTPONE, of_id=operation.attachment_id, new_retry_ms=operation.retry_ms, more=int(operation.failed))
    return bool(moved)


def end_upload(tx: Transaction, operation: EndUpload) -> None:
    """Destroy the key of an upload, and erase what no message names."""
    _forget_key(tx, operation.attachment_id)
    _erase_unnamed(tx, operation.attachment_id)


def note_erased(tx: Transaction, operation: NoteErased) -> None:
    """The bytes of an erased file are gone."""
    custody = operation.custody
    for row in tx.look_up(BY_ID, [custody.attachment_id]):
        if _move(tx, custody.attachment_id, AttachmentState.ERASING, AttachmentState.ERASED, digest=row[7]):
            _note(tx, [custody])
