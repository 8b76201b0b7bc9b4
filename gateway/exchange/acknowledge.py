"""Acknowledge: a national system or an officer has taken a received message over; the sender gets a signed receipt."""

from collections.abc import Callable

from gateway.clock import Clock
from gateway.crypto.receipts import sign_receipts
from gateway.errors import NotFound, StateConflict
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.steps import step
from gateway.ids import MessageId, PartnerId
from gateway.model.envelope import Outcome, Receipt
from gateway.ports import AcknowledgeReceived, Codec, FindMessage, LogFilter, SearchLog, Store
from gateway.translog.entry import EventType
from gateway.translog.merkle import MAX_SIZE, leaf_hash


class AcknowledgeService:
    """States to senders how far their messages got after they were received.

    Args:
        queued: Told of a partner for whom a receipt has become durable.
    """

    def __init__(
        self, *, store: Store, codec: Codec, clock: Clock, keys: KeyHolder, queued: Callable[[PartnerId], None]
    ) -> None:
        self._store = store
        self._codec = codec
        self._clock = clock
        self._keys = keys
        self._queued = queued

    async def acknowledge(self, sender: PartnerId, message_id: MessageId, outcome: Outcome, *, actor: str) -> int:
        """State an acknowledgement and return its instant; repeating it changes nothing and returns the first instant.

        Raises:
            NotFound: No such received message.
            StateConflict: We sent the message ourselves.
        """
        keys = self._keys.current
        if sender == keys.partner:
            raise StateConflict("a message that we sent is acknowledged by its recipients")
        stored = await self._store.read(FindMessage(sender=sender, message_id=message_id))
        if stored is None:
            raise NotFound("no such received message")
        now_ms = self._clock.now_ms()
        log = step(
            EventType.MESSAGE_ACKNOWLEDGED,
            now_ms,
            actor=actor,
            partner=sender.code,
            subject=message_id.raw,
            thread=stored.row.thread_id.raw,
            digest=stored.digest,
            outcome=outcome.name,
        )
        receipt = Receipt(
            envelope_digest=stored.digest,
            outcome=outcome,
            time_ms=now_ms,
            reason="",
            log_position=await self._position(sender, message_id),
            log_leaf=leaf_hash(log.leaf),
        )
        _, (proof,) = sign_receipts([receipt], issuer=keys.partner, sign_key=keys.receipt, codec=self._codec)
        time_ms = await self._store.write(
            AcknowledgeReceived(sender=sender, message_id=message_id, proof=proof, now_ms=now_ms, log=log)
        )
        if time_ms is None:
            raise NotFound("no such received message")
        self._queued(sender)
        return time_ms

    async def _position(self, sender: PartnerId, message_id: MessageId) -> int:
        """Return where our log says that we received the message; 0 when it is not in the tree yet."""
        wanted = LogFilter(types=(EventType.MESSAGE_RECEIVED,), partner=sender.code, subject=message_id.raw)
        found = await self._store.read(SearchLog(filter=wanted, before=MAX_SIZE, max_rows=1, counted=False))
        return found.records[0].index + 1 if found.records else 0
