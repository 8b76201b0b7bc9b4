"""Expire: what could not be delivered in time goes to dead letter with our own signed negative."""

from collections.abc import Sequence
from typing import Final

from gateway.clock import Clock
from gateway.crypto.receipts import sign_receipts
from gateway.errors import EnvelopeExpired, PartnerUnknown
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.steps import new_salts
from gateway.ids import PartnerId
from gateway.model.envelope import Outcome, Receipt
from gateway.ports import (
    BuryEnvelopes,
    Codec,
    EnvelopesFor,
    ExpiringEnvelope,
    ExpiringEnvelopes,
    FreeHeld,
    Store,
    StoredReceipt,
)

EXPIRE_ROWS: Final = 256
FREE_ROWS: Final = 500
"""As many as FreeHeld shows in one transaction: when so many were shown, more may be due."""


class ExpiryService:
    """Ends what waited too long, on both sides of a link."""

    def __init__(self, *, store: Store, codec: Codec, clock: Clock, keys: KeyHolder) -> None:
        self._store = store
        self._codec = codec
        self._clock = clock
        self._keys = keys

    async def bury_expired(self) -> int:
        """Move waiting envelopes past their expiry to dead letter; return how many.

        One batch: call again while it is full.
        """
        now_ms = self._clock.now_ms()
        rows = await self._store.read(ExpiringEnvelopes(now_ms=now_ms, max_rows=EXPIRE_ROWS))
        return await self._bury(rows, EnvelopeExpired.reason, now_ms) if rows else 0

    async def bury_all(self, partner: PartnerId) -> int:
        """Move all that waits for a partner which is about to be removed to dead letter; return how many."""
        count = 0
        while rows := await self._store.read(EnvelopesFor(partner=partner, max_rows=EXPIRE_ROWS)):
            buried = await self._bury(rows, PartnerUnknown.reason, self._clock.now_ms())
            if not buried:
                break
            count += buried
        return count

    async def _bury(self, rows: Sequence[ExpiringEnvelope], reason: str, now_ms: int) -> int:
        keys = self._keys.current
        receipts = [
            Receipt(
                envelope_digest=row.digest,
                outcome=Outcome.EXPIRED,
                time_ms=now_ms,
                reason=reason,
                log_position=0,
                log_leaf=b"",
            )
            for row in rows
        ]
        _, proofs = sign_receipts(receipts, issuer=keys.partner, sign_key=keys.receipt, codec=self._codec)
        stored = (
            StoredReceipt(receipt=receipt, proof=proof, salts=new_salts())
            for receipt, proof in zip(receipts, proofs, strict=True)
        )
        return await self._store.write(
            BuryEnvelopes(
                rows=tuple((row.partner, row.message_id, item) for row, item in zip(rows, stored, strict=True)),
                now_ms=now_ms,
            )
        )

    async def free_held(self) -> int:
        """Show messages whose predecessor did not come in time; return how many."""
        return await self._store.write(FreeHeld(now_ms=self._clock.now_ms()))
