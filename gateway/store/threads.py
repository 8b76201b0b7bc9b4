"""What is known of threads, and of messages that others name."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    LargeBinary,
    bindparam,
    cast,
    func,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.header import Kind, Mode
from gateway.ports import KnownThreads, NamedMessage, ThreadsKnown
from gateway.store.statement import Lookup, constant
from gateway.store.tables import received, sent
from gateway.store.transaction import Session

# Each answer is one step down an index, however long the thread: the partner decides how long it is.
_sent_first = select(sent.c.mode).where(sent.c.message_id == sent.c.thread_id)
_sent_later = select(sent.c.mode).where(sent.c.thread_id != sent.c.message_id)
_received_first = select(received.c.mode).where(received.c.message_id == received.c.thread_id)


def _modes(key: BindParameter[bytes]) -> Any:
    ours: ColumnElement[Any] = func.coalesce(
        _sent_first.where(sent.c.message_id == key).limit(constant(1)).scalar_subquery(),
        _sent_later.where(sent.c.thread_id == key).limit(constant(1)).scalar_subquery(),
    )
    theirs: ColumnElement[Any] = func.coalesce(
        _received_first.where(received.c.message_id == key, received.c.sender == bindparam("from_sender"))
        .limit(constant(1))
        .scalar_subquery(),
        _received_first.where(received.c.message_id == key)
        .order_by(received.c.sender)
        .limit(constant(1))
        .scalar_subquery(),
        select(received.c.mode)
        .where(received.c.thread_id == key)
        .order_by(received.c.digest)
        .limit(constant(1))
        .scalar_subquery(),
    )
    return select(cast(key, LargeBinary).label("thread_id"), ours.label("ours"), theirs.label("theirs"))


def _modes_of(keys: Sequence[BindParameter[bytes]]) -> CompoundSelect[Any]:
    return union_all(*(_modes(key) for key in keys))


_NAMED = ("sender", "message_id", "thread_id", "kind", "mode", "authority", "content_commitment")

MODES: Final = Lookup(_modes_of, sent.c.thread_id)
NAMED_SENT: Final = Lookup(
    lambda keys: select(*(sent.c[name] for name in _NAMED)).where(sent.c.message_id.in_(keys)), sent.c.message_id
)
NAMED_RECEIVED: Final = Lookup(
    lambda keys: select(*(received.c[name] for name in _NAMED)).where(received.c.message_id.in_(keys)),
    received.c.message_id,
)


def known_threads(session: Session, query: KnownThreads) -> ThreadsKnown:
    """Return the modes of threads, and the messages of some ids."""
    ours: dict[ThreadId, Mode] = {}
    theirs: dict[ThreadId, Mode] = {}
    threads = [thread.raw for thread in query.threads]
    for raw, own_mode, other_mode in session.look_up(MODES, threads, from_sender=query.partner.code):
        if own_mode is not None:
            ours[ThreadId(raw)] = Mode(own_mode)
        if other_mode is not None:
            theirs[ThreadId(raw)] = Mode(other_mode)
    ids = [item.raw for item in query.message_ids]
    named = (*session.look_up(NAMED_SENT, ids), *session.look_up(NAMED_RECEIVED, ids))
    return ThreadsKnown(
        ours=ours,
        theirs=theirs,
        messages=tuple(
            NamedMessage(
                sender=PartnerId(sender),
                message_id=MessageId(message_id),
                thread_id=ThreadId(thread_id),
                kind=Kind(kind),
                mode=Mode(mode),
                authority=authority,
                content_commitment=commitment,
            )
            for sender, message_id, thread_id, kind, mode, authority, commitment in named
        ),
    )
