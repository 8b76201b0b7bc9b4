"""Rows of alerts: how they are found, waited for and written.

A partner chooses its identifiers, and may send as many alerts of one name as it likes: whatever is looked up by name
is one step down an index for each name, however many there are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Integer, Select, and_, bindparam, delete, func, or_, select, union_all, update
from sqlalchemy.sql.elements import ClauseElement

from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.alert import AlertType
from gateway.model.header import Mode, Supersedes
from gateway.store.statement import Insert, Lookup, Statement, constant
from gateway.store.tables import alert, alert_wait
from gateway.store.transaction import Row
from gateway.workflow.alert import AlertState
from gateway.workflow.alert_chain import MAX_CHAIN, MAX_OWN_CHAIN, Claim, KnownAlert

ID_BYTES: Final = 16
"""Of a message_id and of a key."""
_EACH: Final = 16
"""Names looked for in one statement: compiling 16 takes 20 ms, 256 would take 300."""
MAX_WAITERS: Final = 64
"""Alerts in doubt, the oldest, that one which comes in may free. A longer chain is not followed anyway."""

BY_ID: Final = Lookup(
    lambda keys: select(*alert.c).where(alert.c.sender == bindparam("of_sender"), alert.c.message_id.in_(keys)),
    alert.c.message_id,
)


def _chain(depth: int) -> Callable[[Any], ClauseElement]:
    def build(keys: Any) -> ClauseElement:
        first = select(*alert.c, constant(0).label("depth")).where(
            alert.c.sender == bindparam("of_sender"), alert.c.message_id.in_(keys)
        )
        chain = first.cte("chain", recursive=True)
        after = alert.alias("after")
        chain = chain.union(
            select(*after.c, chain.c.depth + constant(1)).where(
                after.c.sender == chain.c.sender,
                after.c.message_id == chain.c.successor_id,
                chain.c.depth < constant(depth),
            )
        )
        return select(*(chain.c[column.name] for column in alert.c))

    return build


CHAIN: Final = Lookup(_chain(MAX_CHAIN), alert.c.message_id)
"""Alerts with what replaced them, and what replaced that."""
OWN_CHAIN: Final = Lookup(_chain(MAX_OWN_CHAIN), alert.c.message_id)


def _each(query: Callable[[tuple[Any, ...]], Select[Any]]) -> Callable[[Any], ClauseElement]:
    """Return a statement that asks for each key apart, so that each may be limited."""

    def build(keys: Any) -> ClauseElement:
        parts = [query(key if isinstance(key, tuple) else (key,)).subquery() for key in keys]
        return union_all(*(select(*part.c) for part in parts))

    return build


def _newest(key: tuple[Any, ...]) -> Select[Any]:
    same = [column == value for column, value in zip((alert.c.key, alert.c.sender, alert.c.mode), key, strict=False)]
    found = select(*alert.c).where(*same).limit(constant(1))
    # The index knows the newest only within a mode; elsewhere any will do to say what is wrong.
    return found.order_by(alert.c.create_ms.desc()) if len(key) == 3 else found


OWN_OF_MODE: Final = Lookup(_each(_newest), alert.c.key, alert.c.sender, alert.c.mode, most=_EACH)
OWN: Final = Lookup(_each(_newest), alert.c.key, alert.c.sender, most=_EACH)
ANYBODYS: Final = Lookup(_each(_newest), alert.c.key, most=_EACH)

WAITERS: Final = Lookup(
    _each(
        lambda key: (
            select(alert_wait.c.message_id)
            .where(alert_wait.c.sender == bindparam("of_sender"), alert_wait.c.name == key[0])
            .order_by(alert_wait.c.create_ms, alert_wait.c.message_id)
            .limit(constant(MAX_WAITERS))
        )
    ),
    alert_wait.c.name,
    most=_EACH,
)
ANY_WAITING: Final = Statement(
    select(alert_wait.c.name).where(alert_wait.c.sender == bindparam("of_sender")).limit(constant(1))
)
_waiting_of = (
    select(alert_wait.c.name)
    .where(alert_wait.c.sender == bindparam("of_sender"))
    .limit(bindparam("max_rows", type_=Integer))
)
COUNT_WAITING: Final = Statement(select(func.count()).select_from(_waiting_of.subquery()))
DROP_OVER: Final = Statement(
    delete(alert_wait).where(
        alert_wait.c.sender == bindparam("of_sender"), alert_wait.c.expire_ms <= bindparam("now_ms")
    )
)
DROP_WAITS: Final = Lookup(
    lambda keys: delete(alert_wait).where(
        # Not a list of row values: SQLite would read the whole table for it.
        or_(
            *(
                and_(*(column == value for column, value in zip(alert_wait.primary_key.columns, key, strict=True)))
                for key in keys
            )
        )
    ),
    *alert_wait.primary_key.columns,
)
ADD_WAITS: Final = Insert(alert_wait)
ADD: Final = Insert(alert)
PUT: Final = Insert(
    alert,
    key=("sender", "message_id"),
    replace=("state", "reason", "wants", "wants_commitment", "predecessor_id", "successor_id"),
)
MOVE: Final = Statement(
    update(alert)
    .where(
        alert.c.sender == bindparam("of_sender"),
        alert.c.message_id == bindparam("of_message"),
        alert.c.state == bindparam("old_state"),
    )
    .values(state=bindparam("new_state"))
)
"""Compare and set: nobody else's change is lost."""


@dataclass(slots=True)
class Standing:
    """A row of the table, as this commit leaves it."""

    known: KnownAlert
    ours: bool
    reason: str = ""
    wants: bytes = b""
    """Of one in doubt: the message it replaces, when wants_commitment says so, then the keys of its references."""
    wants_commitment: bytes = b""
    predecessor_id: MessageId | None = None
    held: bool = False
    stored: bool = False

    @property
    def id(self) -> tuple[PartnerId, MessageId]:
        """Return by what it is known."""
        return self.known.partner, self.known.message_id

    @property
    def names(self) -> tuple[bytes, ...]:
        """Return what it waits for."""
        parts = range(0, len(self.wants), ID_BYTES)
        return tuple(dict.fromkeys(self.wants[start : start + ID_BYTES] for start in parts))

    def claim(self) -> Claim:
        """Return what it said of itself when it came in."""
        known = self.known
        by_id = bool(self.wants_commitment)
        return Claim(
            partner=known.partner,
            message_id=known.message_id,
            alert_type=known.alert_type,
            mode=known.mode,
            create_ms=known.create_ms,
            supersedes=Supersedes(message_id=MessageId(self.wants[:ID_BYTES]), content_commitment=self.wants_commitment)
            if by_id
            else None,
            references=self.names[1:] if by_id else self.names,
            self_reference=False,
        )

    def row(self) -> tuple[object, ...]:
        """Return its columns."""
        known = self.known
        return (
            known.partner.code,
            known.message_id.raw,
            int(self.ours),
            known.key,
            int(known.alert_type),
            int(known.mode),
            int(known.state),
            self.reason,
            known.thread_id.raw,
            known.create_ms,
            known.expire_ms,
            known.content_commitment,
            self.wants,
            self.wants_commitment,
            self.predecessor_id.raw if self.predecessor_id else None,
            known.successor_id.raw if known.successor_id else None,
        )

    def waits(self) -> list[tuple[object, ...]]:
        """Return the rows of what it waits for."""
        known = self.known
        return [
            (known.partner.code, name, known.create_ms, known.message_id.raw, known.expire_ms) for name in self.names
        ]


def standing_of(row: Row) -> Standing:
    """Return what a row says."""
    (sender, message_id, ours, key, kind, mode, state, reason, thread_id, create_ms, expire_ms) = row[:11]
    (commitment, wants, wants_commitment, before, after) = row[11:]
    return Standing(
        known=KnownAlert(
            partner=PartnerId(sender),
            key=key,
            message_id=MessageId(message_id),
            thread_id=ThreadId(thread_id),
            alert_type=AlertType(kind),
            mode=Mode(mode),
            state=AlertState(state),
            create_ms=create_ms,
            expire_ms=expire_ms,
            content_commitment=commitment,
            successor_id=MessageId(after) if after is not None else None,
        ),
        ours=bool(ours),
        reason=reason,
        wants=wants,
        wants_commitment=wants_commitment,
        predecessor_id=MessageId(before) if before is not None else None,
        stored=True,
    )
