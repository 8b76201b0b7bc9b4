"""What comes back for what was sent: rungs of evidence, and the end of waiting."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from gateway.errors import LeaseLost
from gateway.model.envelope import Outcome
from gateway.ports import BuryEnvelopes, CommitReceipts, LogEntry, StoredReceipt
from gateway.store.events import OUTCOME_EVENTS, EventColumns
from gateway.store.leases import check_epoch
from gateway.store.log import add_log
from gateway.store.rows import digest_head, pack_proof
from gateway.store.statement import Insert, Lookup
from gateway.store.tables import EXPIRED, RECEIVED, REFUSED, RUNGS, WAITING, outbox, resealed, rung, sent
from gateway.store.transaction import Row, Transaction
from gateway.translog.entry import EventType, LogEvent, leaf

DELIVERIES: Final = Lookup(
    lambda keys: (
        select(outbox.c.partner, outbox.c.digest, outbox.c.id, outbox.c.state, sent.c.sender, sent.c.message_id)
        .join(sent, sent.c.id == outbox.c.sent_id)
        .where(outbox.c.digest_head.in_(keys))
        .order_by(outbox.c.id)
        .with_for_update(of=outbox)
    ),
    outbox.c.digest_head,
)
REPLACED: Final = Lookup(
    lambda keys: (
        select(
            outbox.c.partner, resealed.c.replaced_digest, outbox.c.id, outbox.c.state, sent.c.sender, sent.c.message_id
        )
        .select_from(
            resealed.join(outbox, outbox.c.id == resealed.c.outbox_id).join(sent, sent.c.id == outbox.c.sent_id)
        )
        .where(resealed.c.replaced_digest_head.in_(keys))
        .order_by(outbox.c.id)
        .with_for_update(of=outbox)
    ),
    resealed.c.replaced_digest_head,
)
STORED_RUNGS: Final = Lookup(lambda keys: select(rung.c.id).where(rung.c.id.in_(keys)), rung.c.id)
ADD_RUNGS: Final = Insert(rung)
SET_STATE: Final = Lookup(
    lambda keys: update(outbox).where(outbox.c.id.in_(keys)).values(state=bindparam("new_state")), outbox.c.id
)

# What a new rung makes of a delivery. A pair that is missing changes nothing: the rung is kept as evidence, but a
# partner that has received does not refuse any more, and one that has refused has not received. An acknowledgement
# that overtakes its RECEIVED does not end the waiting: the repeat brings the missing rung.
_NEXT: Final = {
    (WAITING, Outcome.RECEIVED): RECEIVED,
    (WAITING, Outcome.REFUSED): REFUSED,
    (WAITING, Outcome.EXPIRED): EXPIRED,
    # It got there after we had given up.
    (EXPIRED, Outcome.RECEIVED): RECEIVED,
    (EXPIRED, Outcome.REFUSED): REFUSED,
}
_ABOUT_THE_ENVELOPE: Final = frozenset({Outcome.REFUSED, Outcome.EXPIRED})
"""Outcomes that say nothing about the envelope that took the place of another; the rest are about the message."""


class _Climb:
    """Deliveries named by receipts, with the rungs put on them so far."""

    def __init__(self, tx: Transaction, receipts: Iterable[tuple[str, StoredReceipt]]) -> None:
        receipts = list(receipts)
        digests = list({digest_head(item.receipt.envelope_digest) for _, item in receipts})
        self._deliveries: dict[tuple[str, bytes], Row] = {
            (row[0], row[1]): row for row in tx.look_up(DELIVERIES, digests)
        }
        # Who has a message has it whatever envelope it came in. Who refused one has refused an envelope: that in its
        # place may still be taken, and goes on waiting.
        missing = {
            digest_head(item.receipt.envelope_digest)
            for partner, item in receipts
            if item.receipt.outcome not in _ABOUT_THE_ENVELOPE
            and (partner, item.receipt.envelope_digest) not in self._deliveries
        }
        self._replaced: dict[tuple[str, bytes], Row] = {
            (row[0], row[1]): row for row in tx.look_up(REPLACED, list(missing))
        }
        self._states: dict[int, int] = {
            row[2]: row[3] for row in (*self._replaced.values(), *self._deliveries.values())
        }
        unsure = []
        for partner, item in receipts:
            row = self._find(partner, item)
            # What would end the waiting of a row that waits cannot be there yet.
            if row is not None and (row[3] != WAITING or (WAITING, item.receipt.outcome) not in _NEXT):
                unsure.append(row[2] * RUNGS + item.receipt.outcome)
        self._stored = {row[0] for row in tx.look_up(STORED_RUNGS, unsure)}
        self._rungs: list[tuple[Any, ...]] = []
        self._events: list[EventColumns] = []
        self._log: list[LogEntry] = []
        self._ended: dict[int, int] = {}

    def _find(self, partner: str, item: StoredReceipt) -> Row | None:
        key = (partner, item.receipt.envelope_digest)
        row = self._deliveries.get(key)
        if row is None and item.receipt.outcome not in _ABOUT_THE_ENVELOPE:
            row = self._replaced.get(key)
        return row

    def message_id(self, partner: str, digest: bytes) -> bytes | None:
        """Return whose delivery waits under a digest; None when none does."""
        row = self._deliveries.get((partner, digest))
        return row[5] if row is not None and self._states[row[2]] == WAITING else None

    def add(self, partner: str, item: StoredReceipt, now_ms: int) -> None:
        """Put one rung on its delivery; a known rung or an unknown envelope changes nothing."""
        receipt = item.receipt
        row = self._find(partner, item)
        if row is None:
            return
        _, _, delivery, _, sender, message_id = row
        number = delivery * RUNGS + receipt.outcome
        if number in self._stored:
            return
        self._stored.add(number)
        self._rungs.append((number, receipt.time_ms, receipt.reason, *pack_proof(item.proof)))
        self._events.append((OUTCOME_EVENTS[receipt.outcome], now_ms, sender, message_id, partner, receipt.reason))
        self._log.append(_step(item, now_ms, partner, message_id))
        state = _NEXT.get((self._states[delivery], receipt.outcome))
        if state is not None:
            self._states[delivery] = self._ended[delivery] = state

    def store(self, tx: Transaction) -> int:
        """Write what was added; return how many deliveries changed state."""
        tx.insert(ADD_RUNGS, self._rungs)
        for state in (RECEIVED, REFUSED, EXPIRED):
            tx.run_for(SET_STATE, [key for key, value in self._ended.items() if value == state], new_state=state)
        tx.add_events(self._events)
        add_log(tx, self._log)
        return len(self._ended)


def _step(item: StoredReceipt, now_ms: int, partner: str, message_id: bytes) -> LogEntry:
    receipt = item.receipt
    ours = item.proof.issuer.code != partner
    event = LogEvent(
        type=EventType.MESSAGE_EXPIRED if ours else EventType.RECEIPT_STORED,
        time_ms=now_ms,
        actor="gateway" if ours else f"partner/{partner}",
        partner=partner,
        subject=message_id,
        digest=receipt.envelope_digest,
        outcome=receipt.outcome.name,
        reason=receipt.reason,
    )
    return LogEntry(leaf(event, item.salts), item.salts, event)


def commit_receipts(tx: Transaction, operations: Sequence[CommitReceipts]) -> list[LeaseLost | None]:
    """Store verified receipts."""
    results: list[LeaseLost | None] = []
    held: set[tuple[str, int]] = set()
    for operation in operations:
        lost = None
        if operation.epoch is not None and (operation.partner.code, operation.epoch) not in held:
            try:
                check_epoch(tx, operation.partner, operation.epoch)
                held.add((operation.partner.code, operation.epoch))
            except LeaseLost as error:
                lost = error
        results.append(lost)
    good = [operation for operation, lost in zip(operations, results, strict=True) if lost is None]
    climb = _Climb(tx, ((operation.partner.code, item) for operation in good for item in operation.receipts))
    for operation in good:
        for item in operation.receipts:
            climb.add(operation.partner.code, item, operation.now_ms)
    climb.store(tx)
    return results


def bury_envelopes(tx: Transaction, operation: BuryEnvelopes) -> int:
    """Move rows that still wait to dead letter."""
    climb = _Climb(tx, ((partner.code, item) for partner, _, item in operation.rows))
    for partner, message_id, item in operation.rows:
        if climb.message_id(partner.code, item.receipt.envelope_digest) == message_id.raw:
            climb.add(partner.code, item, operation.now_ms)
    return climb.store(tx)
