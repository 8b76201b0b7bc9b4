"""What is kept of partners' logs: the newest checkpoint of each, and every one that speaks against its log."""

from typing import Final

from sqlalchemy import bindparam, delete, distinct, func, select, update

from gateway.ids import PartnerId
from gateway.ports import (
    Checkpoint,
    Finding,
    KeepPartnerCheckpoint,
    PartnerCheckpoints,
    PartnerLogBegun,
    PartnerLogsBegun,
    Seen,
    SeenCheckpoint,
)
from gateway.store.log import add_log
from gateway.store.log_tables import partner_checkpoint, partner_log
from gateway.store.statement import Insert, Statement, constant
from gateway.store.transaction import Session, Transaction

MAX_ORIGINS: Final = 16
"""Names kept of one partner's logs: a log begins anew after a loss, which happens once in years."""
MAX_FORKED: Final = 64
"""Contradicting checkpoints kept of one log: one pair proves it, and a hostile partner can sign any number."""
_OF_LOG = (
    partner_checkpoint.c.partner == bindparam("of_partner"),
    partner_checkpoint.c.origin == bindparam("of_origin"),
)
KEPT_OF: Final = Statement(
    select(partner_checkpoint.c.size, partner_checkpoint.c.root, partner_checkpoint.c.finding)
    .where(*_OF_LOG)
    .with_for_update()
)
ORIGINS_OF: Final = Statement(
    select(func.count(distinct(partner_checkpoint.c.origin))).where(
        partner_checkpoint.c.partner == bindparam("of_partner")
    )
)
ADD_SEEN: Final = Insert(partner_checkpoint, skip_known=True)
MARK_FORKED: Final = Statement(
    update(partner_checkpoint)
    .where(*_OF_LOG, partner_checkpoint.c.size == bindparam("of_size"))
    .values(finding=constant(int(Finding.FORKED)))
)
DROP_OLDER: Final = Statement(
    delete(partner_checkpoint).where(
        *_OF_LOG,
        partner_checkpoint.c.size < bindparam("of_size"),
        partner_checkpoint.c.finding == constant(int(Finding.NONE)),
    )
)
ADD_BEGUN: Final = Insert(partner_log, skip_known=True)
BEGUN: Final = Statement(select(*partner_log.c).order_by(partner_log.c.partner, partner_log.c.time_ms))
_ALL = select(*partner_checkpoint.c).order_by(partner_checkpoint.c.partner, partner_checkpoint.c.size)
SEEN: Final = Statement(_ALL)
SEEN_OF: Final = Statement(_ALL.where(partner_checkpoint.c.partner == bindparam("of_partner")))


def keep_partner_checkpoint(tx: Transaction, operation: KeepPartnerCheckpoint) -> Seen:
    """Remember a partner's checkpoint."""
    new = operation.checkpoint
    place = {"of_partner": operation.partner.code, "of_origin": operation.origin}
    kept = [(size, root, Finding(finding)) for size, root, finding in tx.rows(KEPT_OF, **place)]
    if not kept and (tx.row(ORIGINS_OF, of_partner=operation.partner.code) or (0,))[0] >= MAX_ORIGINS:
        return Seen.TOO_MANY
    seen, other_size = _judge(operation, kept)
    if seen is Seen.FORK and sum(finding is Finding.FORKED for *_, finding in kept) >= MAX_FORKED:
        return Seen.KNOWN
    if seen not in {Seen.NEWER, Seen.FORK, Seen.WENT_BACK}:
        return seen
    finding = {Seen.FORK: Finding.FORKED, Seen.WENT_BACK: Finding.WENT_BACK}.get(seen, Finding.NONE)
    row = (operation.partner.code, operation.origin, new.size, new.time_ms, new.root, new.note, int(finding))
    tx.insert(ADD_SEEN, [row])
    match seen:
        case Seen.FORK:
            tx.run(MARK_FORKED, **place, of_size=other_size)
            add_log(tx, [operation.fork_log])
        case Seen.WENT_BACK:
            add_log(tx, [operation.back_log])
        case _:
            if operation.begun is not None:
                begun = operation.begun
                said = (begun.digest, begun.detail, begun.leaf, begun.proof, begun.disclosure)
                tx.insert(ADD_BEGUN, [(begun.partner.code, begun.origin, begun.time_ms, *said)])
            tx.run(DROP_OLDER, **place, of_size=new.size)
            if operation.newer_log is not None:
                add_log(tx, [operation.newer_log])
    return seen


def _judge(operation: KeepPartnerCheckpoint, kept: list[tuple[int, bytes, Finding]]) -> tuple[Seen, int]:
    """Return what a checkpoint is to those kept, and for a fork the size of what it contradicts."""
    new = operation.checkpoint
    if not kept:
        return Seen.NEWER, 0
    alike = [(root, finding) for size, root, finding in kept if size == new.size]
    if any(root == new.root or finding is Finding.FORKED for root, finding in alike):
        # Two trees of one size are all that is needed to show that a log is forked.
        return Seen.KNOWN, 0
    if alike:
        return Seen.FORK, new.size
    if any(size > new.size for size, *_ in kept):
        if not operation.knows_newer:
            return Seen.OLDER, 0
        # The first one shows it; more would only fill the store.
        known = any(finding is Finding.WENT_BACK for *_, finding in kept)
        return (Seen.KNOWN if known else Seen.WENT_BACK), 0
    # Compared with what is kept now, not when it was judged: a newer one may have been proved in between.
    newest = max(size for size, *_ in kept)
    if operation.basis is None or operation.basis not in [(size, root) for size, root, _ in kept if size == newest]:
        return Seen.UNPROVEN, 0
    return (Seen.NEWER, 0) if operation.follows else (Seen.FORK, newest)


def partner_checkpoints(session: Session, query: PartnerCheckpoints) -> tuple[SeenCheckpoint, ...]:
    """Return what is kept of partners' logs."""
    rows = session.rows(SEEN) if query.partner is None else session.rows(SEEN_OF, of_partner=query.partner.code)
    return tuple(
        SeenCheckpoint(
            partner=PartnerId(code),
            origin=origin,
            checkpoint=Checkpoint(size=size, root=root, time_ms=time_ms, note=note),
            finding=Finding(finding),
        )
        for code, origin, size, time_ms, root, note, finding in rows
    )


def partner_logs_begun(session: Session, _: PartnerLogsBegun) -> tuple[PartnerLogBegun, ...]:
    """Return what partners' logs say of those before."""
    return tuple(
        PartnerLogBegun(
            partner=PartnerId(code),
            origin=origin,
            time_ms=time_ms,
            digest=digest,
            detail=detail,
            leaf=leaf,
            proof=proof,
            disclosure=disclosure,
        )
        for code, origin, time_ms, digest, detail, leaf, proof, disclosure in session.rows(BEGUN)
    )
