"""Files beside messages as they are looked at: where each stands, what a message names, what was done with it."""

from typing import Any, Final

from sqlalchemy import Integer, bindparam, func, select

from gateway.ports import (
    AttachmentBytes,
    AttachmentRow,
    AttachmentState,
    CustodyEvent,
    CustodyRow,
    ErasingAttachments,
    FindAttachments,
    FindUpload,
    NamedAttachments,
    OldUploads,
    ReadCustody,
)
from gateway.store.attachment_tables import attachment, attachment_custody
from gateway.store.attachments import NAMED_BY, TOTAL, TOTAL_BYTES, row_of, sum_of
from gateway.store.statement import Lookup, Statement, constant
from gateway.store.tables import message_key
from gateway.store.transaction import Session

_ROW: Final = (*attachment.c, message_key.c.wrapped)
READ_BY_ID: Final = Lookup(
    lambda keys: (
        select(*_ROW)
        .outerjoin(message_key, message_key.c.key_id == attachment.c.key_id)
        .where(attachment.c.attachment_id.in_(keys))
    ),
    attachment.c.attachment_id,
)
READ_BY_UPLOAD: Final = Statement(
    select(*_ROW)
    .outerjoin(message_key, message_key.c.key_id == attachment.c.key_id)
    .where(attachment.c.principal == bindparam("of_principal"), attachment.c.upload_id == bindparam("of_upload"))
)
TOTAL_OF: Final = Statement(TOTAL_BYTES.where(attachment.c.principal == bindparam("of_principal")))
OLD_UPLOADS: Final = Statement(
    select(attachment.c.attachment_id)
    .where(attachment.c.create_ms < bindparam("before_ms"), func.length(attachment.c.key_id) > constant(0))
    .order_by(attachment.c.create_ms)
    .limit(bindparam("max_rows", type_=Integer))
)
ERASING: Final = Statement(
    select(attachment.c.attachment_id)
    .where(attachment.c.state == constant(AttachmentState.ERASING))
    .limit(bindparam("max_rows", type_=Integer))
)
CUSTODY: Final = Statement(
    select(*attachment_custody.c)
    .where(attachment_custody.c.attachment_id == bindparam("of_id"))
    .order_by(attachment_custody.c.time_ms.desc(), attachment_custody.c.event.desc())
    .limit(bindparam("max_rows", type_=Integer))
)


def find_attachments(session: Session, query: FindAttachments) -> tuple[AttachmentRow, ...]:
    """Return rows by id."""
    return tuple(row_of(row) for row in session.look_up(READ_BY_ID, list(query.attachment_ids)))


def find_upload(session: Session, query: FindUpload) -> AttachmentRow | None:
    """Return the row of an upload."""
    row = session.row(READ_BY_UPLOAD, of_principal=query.principal, of_upload=query.upload_id)
    return None if row is None else row_of(row)


def old_uploads(session: Session, query: OldUploads) -> tuple[bytes, ...]:
    """Return uploads whose time is over."""
    rows: list[Any] = session.rows(OLD_UPLOADS, before_ms=query.before_ms, max_rows=query.max_rows)
    return tuple(row[0] for row in rows)


def attachment_bytes(session: Session, query: AttachmentBytes) -> tuple[int, int]:
    """Return how much there is."""
    return sum_of(session.row(TOTAL)), sum_of(session.row(TOTAL_OF, of_principal=query.principal))


def named_attachments(session: Session, query: NamedAttachments) -> tuple[bytes, ...]:
    """Return what a message names."""
    values = {"of_sender": query.sender.code, "of_message": query.message_id.raw}
    return tuple(row[0] for row in session.rows(NAMED_BY, **values))


def erasing_attachments(session: Session, query: ErasingAttachments) -> tuple[bytes, ...]:
    """Return erased files whose bytes may still be there."""
    return tuple(row[0] for row in session.rows(ERASING, max_rows=query.max_rows))


def read_custody(session: Session, query: ReadCustody) -> tuple[CustodyRow, ...]:
    """Return what was done with a file, the oldest first."""
    rows = session.rows(CUSTODY, of_id=query.attachment_id, max_rows=query.max_rows)
    return tuple(
        CustodyRow(event=CustodyEvent(event), time_ms=time_ms, actor=actor, partner=partner, reason=reason)
        for _, time_ms, event, actor, partner, reason in reversed(rows)
    )
