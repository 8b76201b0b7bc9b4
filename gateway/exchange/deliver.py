"""Deliver: what waits for one partner, and what its answers mean. When it is tried, gateway.exchange.schedule says.

`Backlog` keeps a bounded part of a partner's queue in memory; the database is the truth. `Courier` turns answers into
operations.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.crypto.at_rest import open_content, open_stored_salted, seal_content, seal_record, unwrap_message_key
from gateway.crypto.envelope import SealingItem, seal_batch
from gateway.crypto.receipts import verify_proof, verify_receipts
from gateway.errors import EnvelopeRejected, KeyRetired
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.observer import UNOBSERVED, Answered, Observer
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.sealed_rows import ReadyEnvelope, key_context
from gateway.ids import PartnerId
from gateway.model.envelope import Outcome
from gateway.model.header import Urgency
from gateway.model.partner import KeyPurpose
from gateway.ports import (
    Codec,
    CommitReceipts,
    EncapsulationRow,
    FrameAnswer,
    OutboxRow,
    ReplaceEnvelope,
    SentSecrets,
    Store,
    StoredReceipt,
)

FRAME_ROWS: Final = 128
FRAME_BYTES: Final = 1 << 20
"""A frame stays well under the 4 MiB that a link takes; one larger envelope travels alone."""
STATED_AT_ONCE: Final = frozenset({Outcome.RECEIVED, Outcome.REFUSED})
"""What the answer to a frame may say of its envelopes. Later rungs come on the partner's own link."""
UNANSWERED: Final = "UNANSWERED"
"""Why an envelope comes again about which the partner's answer says nothing."""
READY_ROWS: Final = 1024
READY_BYTES: Final = 4 << 20
"""Kept in memory for one partner, whatever waits."""
SHARE_BYTES: Final = 64 << 10
"""What a partner may always have in memory, so that no other partner's backlog stops it."""


class Prefetch:
    """Counts the bytes that all links together hold in memory.

    Args:
        max_bytes: From here on a link holds no more than SHARE_BYTES (or one large envelope).
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used_bytes = 0


class Backlog:
    """The part of one partner's queue that is in memory.

    Invariant: an envelope is in memory, or in flight, or no more urgent than `behind_from` and the database will be
    read. So forgetting everything and setting `behind_from` to U0 is always safe.
    """

    def __init__(self, prefetch: Prefetch) -> None:
        self._prefetch = prefetch
        self._ready: dict[Urgency, deque[ReadyEnvelope]] = {urgency: deque() for urgency in Urgency}
        self._held: set[bytes] = set()
        """Digests in memory or in flight."""
        self._rows = 0
        self._bytes = 0
        self._in_flight: dict[bytes, ReadyEnvelope] = {}
        self._late: list[ReadyEnvelope] | None = None
        """Newcomers while the database is being read; None at other times."""
        self.behind_from: Urgency | None = Urgency.U0
        """From this urgency down the database may hold rows that are not here; None when it holds no others."""

    def __len__(self) -> int:
        return self._rows

    @property
    def in_flight(self) -> int:
        """Envelopes sent and not answered."""
        return len(self._in_flight)

    @property
    def full(self) -> bool:
        """No room for more."""
        if self._rows >= READY_ROWS or self._bytes >= READY_BYTES:
            return True
        return self._prefetch.used_bytes >= self._prefetch.max_bytes and self._bytes >= SHARE_BYTES

    def offer(self, envelope: ReadyEnvelope) -> None:
        """Take an envelope that has just become durable, or note that the database has more."""
        if envelope.digest in self._held:
            # Read from the database between its commit and this call.
            return
        if self._late is not None and len(self._late) < READY_ROWS:
            self._late.append(envelope)
            return
        # Keep the queue's order: with rows waiting in the database, a newcomer of the same urgency must not overtake.
        if self.behind_from is not None and envelope.urgency >= self.behind_from:
            return
        if self._late is None:
            if envelope.thread_id is not None:
                # Before room is made: what the newcomer follows must not give way to it.
                self._promote(envelope)
            if self._make_room(envelope):
                self._add(envelope)
                return
        self.fall_behind(envelope.urgency)

    def fall_behind(self, urgency: Urgency) -> None:
        """Note that the database may hold rows of this urgency that are not here."""
        if self.behind_from is None or urgency < self.behind_from:
            self.behind_from = urgency

    @property
    def urgent(self) -> bool:
        """U0 or U1 is in memory, to leave next."""
        return bool(self._ready[Urgency.U0] or self._ready[Urgency.U1])

    @property
    def urgent_uncertain(self) -> bool:
        """U0 or U1 may wait in the database while something less urgent would be sent from memory."""
        known = self.behind_from
        return known is not None and known <= Urgency.U1 and self._holds_below(known)

    def _holds_below(self, urgency: Urgency) -> bool:
        return any(self._ready[lower] for lower in Urgency if lower > urgency)

    def full_for(self, urgency: Urgency) -> bool:
        """No room for more of this urgency, even in the place of something less urgent."""
        return self.full and not self._holds_below(urgency)

    def begin_load(self, *, urgent_only: bool = False) -> None:
        """The database is about to be read: newcomers are kept apart until it is known whether they were in it."""
        self._late = []
        self.behind_from = Urgency.U2 if urgent_only else None

    def load(self, envelope: ReadyEnvelope) -> None:
        """Take a row read from the database, unless it is here or in flight."""
        if envelope.digest not in self._held:
            self._make_room(envelope)
            self._add(envelope)

    def end_load(self, stopped_at: Urgency | None) -> None:
        """The reading is over; from the urgency at which it stopped down, rows may still wait in the database."""
        late, self._late = self._late or [], None
        if stopped_at is not None:
            self.fall_behind(stopped_at)
        for envelope in late:
            self.offer(envelope)

    def holds(self, digest: bytes) -> bool:
        """Say whether an envelope is in memory or in flight."""
        return digest in self._held

    def _add(self, envelope: ReadyEnvelope) -> None:
        self._ready[envelope.urgency].append(envelope)
        self._held.add(envelope.digest)
        self._rows += 1
        self._count(envelope.envelope.size_bytes)

    def _make_room(self, newcomer: ReadyEnvelope) -> bool:
        """Leave the last of the least urgent to the database while memory is full; say whether there is room now."""
        missing = newcomer.envelope.size_bytes
        for urgency in reversed(Urgency):
            queue = self._ready[urgency]
            # What is in flight may fill memory by itself: then it is enough that the newcomer takes what others had.
            while self.full and missing > 0 and urgency > newcomer.urgency and queue:
                item = queue.pop()
                self._held.discard(item.digest)
                self._rows -= 1
                self._count(-item.envelope.size_bytes)
                missing -= item.envelope.size_bytes
                self.fall_behind(item.urgency)
        return missing <= 0 or not self.full

    def _count(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        self._prefetch.used_bytes += size_bytes

    def _promote(self, newcomer: ReadyEnvelope) -> None:
        """Let earlier messages of the newcomer's thread inherit its urgency, in their order."""
        for urgency in Urgency:
            if urgency <= newcomer.urgency:
                continue
            queue = self._ready[urgency]
            same = [item for item in queue if item.thread_id == newcomer.thread_id or _begins(item, newcomer)]
            if same:
                self._ready[urgency] = deque(item for item in queue if item not in same)
                self._ready[newcomer.urgency].extend(same)

    def take(self, now_ms: int) -> tuple[ReadyEnvelope, ...]:
        """Move the next frame's envelopes into flight, most urgent first.

        Expired ones are dropped: they are buried elsewhere.
        """
        frame: list[ReadyEnvelope] = []
        size = 0
        for urgency in Urgency:
            queue = self._ready[urgency]
            while queue and len(frame) < FRAME_ROWS:
                item = queue[0]
                item_bytes = item.envelope.size_bytes
                if frame and size + item_bytes > FRAME_BYTES:
                    return self._launch(frame)
                queue.popleft()
                self._rows -= 1
                if item.expire_ms <= now_ms:
                    self._held.discard(item.digest)
                    self._count(-item_bytes)
                    continue
                frame.append(item)
                size += item_bytes
        return self._launch(frame)

    def _launch(self, frame: list[ReadyEnvelope]) -> tuple[ReadyEnvelope, ...]:
        for item in frame:
            self._in_flight[item.digest] = item
        return tuple(frame)

    def land(self, digest: bytes) -> ReadyEnvelope | None:
        """Take an answered envelope out of flight."""
        item = self._in_flight.pop(digest, None)
        if item is not None:
            self._held.discard(digest)
            self._count(-item.envelope.size_bytes)
        return item

    def forget(self) -> None:
        """The link is gone: nothing is in flight, and the database is read again."""
        for queue in self._ready.values():
            queue.clear()
        self._held.clear()
        self._in_flight.clear()
        self._late = None
        self._rows = 0
        self._count(-self._bytes)
        self.behind_from = Urgency.U0


def _begins(item: ReadyEnvelope, newcomer: ReadyEnvelope) -> bool:
    return newcomer.thread_id is not None and item.message_id.raw == newcomer.thread_id.raw


@dataclass(frozen=True, slots=True)
class Settled:
    """What an answer came to."""

    landed: int
    """Envelopes answered for good."""
    deferred_reason: str
    """Why some come again; empty when none do."""


class Courier:
    """Turns a partner's answers into receipts on disk, and seals again what was sealed for a retired key."""

    def __init__(
        self,
        *,
        directory: PartnerDirectory,
        store: Store,
        codec: Codec,
        clock: Clock,
        keys: KeyHolder,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._observer = observer
        self._directory = directory
        self._store = store
        self._codec = codec
        self._clock = clock
        self._keys = keys

    async def settle(
        self, partner: PartnerId, epoch: int, backlog: Backlog, frame: tuple[ReadyEnvelope, ...], answer: FrameAnswer
    ) -> Settled:
        """Verify and store an answer to a frame.

        Raises:
            EnvelopeRejected: A receipt does not verify, or the answer says more than the frame asked.
            LeaseLost: Another replica holds the link; nothing was stored.
            CardRejected: The card shown with KEY_RETIRED does not follow the one we have.
        """
        now_ms = self._clock.now_ms()
        stated = () if answer.receipts is None else answer.receipts.receipts
        # Before anything is verified: each signature costs 100 us in which no other partner is served.
        if max(len(stated), len(answer.repeats), len(answer.deferrals)) > len(frame):
            raise EnvelopeRejected("answer")
        receipts: list[StoredReceipt] = []
        if answer.receipts is not None:
            batch = answer.receipts
            if batch.issuer != partner:
                raise EnvelopeRejected("receipt issuer")
            key = self._directory.verify_key(partner, KeyPurpose.RECEIPT, batch.signing_key_id, now_ms)
            receipts = [StoredReceipt(receipt=r, proof=p) for r, p in verify_receipts(batch, key, self._codec)]
        for proof in answer.repeats:
            if proof.issuer != partner:
                raise EnvelopeRejected("receipt issuer")
            key = self._directory.verify_key(partner, KeyPurpose.RECEIPT, proof.signing_key_id, now_ms)
            receipts.append(StoredReceipt(receipt=verify_proof(proof, key, self._codec), proof=proof))
        if any(item.receipt.outcome not in STATED_AT_ONCE for item in receipts):
            raise EnvelopeRejected("receipt outcome")
        if receipts:
            await self._store.write(
                CommitReceipts(partner=partner, epoch=epoch, receipts=tuple(receipts), now_ms=now_ms)
            )
        answered = [
            Answered(item, receipt.outcome, receipt.reason)
            for receipt in (stored.receipt for stored in receipts)
            if (item := backlog.land(receipt.envelope_digest)) is not None
        ]
        landed = len(answered)
        self._observer.settled(partner, answered, self._clock.now_ms())
        reason = await self._defer(partner, epoch, backlog, frame, answer)
        # What got neither receipt nor deferral is read from the database again if it still waits there.
        for item in frame:
            if backlog.land(item.digest) is not None:
                backlog.fall_behind(item.urgency)
                reason = reason or UNANSWERED
        return Settled(landed=landed, deferred_reason=reason)

    async def _defer(
        self, partner: PartnerId, epoch: int, backlog: Backlog, frame: tuple[ReadyEnvelope, ...], answer: FrameAnswer
    ) -> str:
        reason = ""
        if answer.card is not None:
            await self._directory.offer(partner, answer.card)
        for deferral in answer.deferrals:
            if deferral.index >= len(frame):
                raise EnvelopeRejected("deferral index")
            item = frame[deferral.index]
            backlog.land(item.digest)
            backlog.fall_behind(item.urgency)
            if deferral.reason == KeyRetired.reason and self._has_newer_key(partner, item):
                await self.seal_again(partner, epoch, item)
            else:
                reason = deferral.reason
        return reason

    def _has_newer_key(self, partner: PartnerId, item: ReadyEnvelope) -> bool:
        """Say whether sealing again would change anything: a partner may call a key retired and show no other."""
        used = self._codec.decode_record(item.envelope.record).seal_key_id
        return self._directory.seal_key(partner, self._clock.now_ms()).id != used

    async def seal_again(self, partner: PartnerId, epoch: int, item: ReadyEnvelope) -> None:
        """Seal a waiting message for the partner's present key, under a new envelope id."""
        secrets = await self._store.read(SentSecrets(envelope_id=item.envelope_id, partner=partner))
        if secrets is None:
            return
        now_ms = self._clock.now_ms()
        keys = self._keys.current
        header = self._codec.decode_header(secrets.header)
        context = key_context(keys.partner, header.message_id)
        message_key = unwrap_message_key(keys.key_encryption, secrets.wrapped_message_key, context)
        content_key, ciphertext, _ = open_content(message_key, secrets.content_sealed)
        # The salt stays, and with it the content commitment: a copy that did arrive is recognised as the same message.
        salt, body_bytes = open_stored_salted(content_key, secrets.header, ciphertext, self._codec)
        sealing = SealingItem(
            message_id=header.message_id,
            kind=header.kind,
            thread_id=header.thread_id,
            in_reply_to=header.in_reply_to,
            supersedes=header.supersedes,
            mode=header.mode,
            urgency=header.urgency,
            create_ms=header.create_ms,
            expire_ms=header.expire_ms,
            body_bytes=body_bytes,
            salt=salt,
            recipients=((partner, secrets.previous_digest),),
        )
        batch = seal_batch(
            [sealing],
            sender=keys.partner,
            sign_key=keys.envelope,
            seal_keys={partner: self._directory.seal_key(partner, now_ms)},
            codec=self._codec,
            now_ms=now_ms,
        )
        sealed = batch.envelopes[0]
        record = sealed.records[0]
        await self._store.write(
            ReplaceEnvelope(
                partner=partner,
                epoch=epoch,
                message_id=header.message_id,
                old_envelope_id=item.envelope_id,
                envelope_id=sealed.header.envelope_id,
                digest=sealed.digest,
                header=sealed.header_bytes,
                content_sealed=seal_content(message_key, sealed.content_key, sealed.ciphertext),
                batch_path=sealed.batch_path,
                signature=sealed.signature,
                outbox=OutboxRow(
                    partner=partner,
                    record_sealed=seal_record(message_key, record.record_bytes),
                    record_path=record.path,
                    encapsulation_digest=record.encapsulation_digest,
                    previous_digest=record.previous_digest,
                ),
                encapsulation=EncapsulationRow(
                    digest=record.encapsulation_digest, encapsulation=batch.encapsulations[record.encapsulation_digest]
                ),
            )
        )
