"""Link leases: one worker at a time sends to a partner, and one that has lost its lease can store nothing."""

from typing import Final

from sqlalchemy import bindparam, select, update

from gateway.errors import LeaseLost
from gateway.ids import PartnerId
from gateway.ports import DropLease, TakeLease
from gateway.store.statement import Insert, Statement
from gateway.store.tables import lease
from gateway.store.transaction import Transaction

ADD_LEASE: Final = Insert(lease, skip_known=True)
LOCK_LEASE: Final = Statement(
    select(lease.c.holder, lease.c.epoch, lease.c.until_ms)
    .where(lease.c.partner == bindparam("of_partner"))
    .with_for_update()
)
# Shared: many operations of the holder may run at once, but nobody takes the lease before they are through.
READ_EPOCH: Final = Statement(
    select(lease.c.epoch).where(lease.c.partner == bindparam("of_partner")).with_for_update(read=True)
)
SET_LEASE: Final = Statement(
    update(lease)
    .where(lease.c.partner == bindparam("of_partner"))
    .values(holder=bindparam("new_holder"), epoch=bindparam("new_epoch"), until_ms=bindparam("new_until"))
)


def check_epoch(tx: Transaction, partner: PartnerId, epoch: int) -> None:
    """Compare an epoch with the partner's lease, and keep it from being taken until the commit.

    Raises:
        LeaseLost: Another epoch has begun.
    """
    row = tx.row(READ_EPOCH, of_partner=partner.code)
    if row is None or row[0] != epoch:
        raise LeaseLost(f"the lease of the link to '{partner}' is no longer held with epoch {epoch}")


def take_lease(tx: Transaction, operation: TakeLease) -> int | None:
    """Take or keep a lease."""
    partner = operation.partner.code
    tx.insert(ADD_LEASE, [(partner, "", 0, 0)])
    ((holder, epoch, until_ms),) = tx.rows(LOCK_LEASE, of_partner=partner)
    if holder != operation.holder:
        if holder and until_ms > operation.now_ms:
            return None
        epoch += 1
    tx.run(SET_LEASE, of_partner=partner, new_holder=operation.holder, new_epoch=epoch, new_until=operation.until_ms)
    return int(epoch)


def drop_lease(tx: Transaction, operation: DropLease) -> None:
    """Give a lease up."""
    row = tx.row(LOCK_LEASE, of_partner=operation.partner.code)
    if row is not None and (row[0], row[1]) == (operation.holder, operation.epoch):
        tx.run(SET_LEASE, of_partner=operation.partner.code, new_holder="", new_epoch=row[1], new_until=0)
        tx.touch_outbox(operation.partner.code)
