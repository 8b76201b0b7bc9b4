"""What a partner's answers mean: receipts to store, and messages to seal again with what follows them."""

from typing import Final

from gateway.clock import Clock
from gateway.crypto.at_rest import open_content, open_stored_salted, seal_content, seal_record
from gateway.crypto.envelope import SealingItem, seal_batch
from gateway.crypto.receipts import verify_proof, verify_receipts
from gateway.errors import EnvelopeRejected, KeyRetired
from gateway.exchange.deliver import Backlog
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.key_pool import unwrap
from gateway.exchange.observer import UNOBSERVED, Answered, Observer
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.sealed_rows import ReadyEnvelope
from gateway.exchange.steps import GATEWAY, new_salts, step
from gateway.ids import EnvelopeId, PartnerId, ThreadId
from gateway.model.envelope import Outcome
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
    WaitingFollower,
)
from gateway.translog.entry import EventType
from gateway.values import dataclass

STATED_AT_ONCE: Final = frozenset({Outcome.RECEIVED, Outcome.REFUSED})
"""What the answer to a frame may say of its envelopes. Later rungs come on the partner's own link."""
UNANSWERED: Final = "UNANSWERED"
"""Why an envelope comes again about which the partner's answer says nothing."""


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
            receipts = [
                StoredReceipt(receipt=r, proof=p, salts=new_salts())
                for r, p in verify_receipts(batch, key, self._codec)
            ]
        for proof in answer.repeats:
            if proof.issuer != partner:
                raise EnvelopeRejected("receipt issuer")
            key = self._directory.verify_key(partner, KeyPurpose.RECEIPT, proof.signing_key_id, now_ms)
            receipt = verify_proof(proof, key, self._codec)
            receipts.append(StoredReceipt(receipt=receipt, proof=proof, salts=new_salts()))
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
                await self.seal_again(partner, epoch, backlog, item)
            else:
                reason = deferral.reason
        return reason

    def _has_newer_key(self, partner: PartnerId, item: ReadyEnvelope) -> bool:
        """Say whether sealing again would change anything: a partner may call a key retired and show no other."""
        used = self._codec.decode_record(item.envelope.record).seal_key_id
        return self._directory.seal_key(partner, self._clock.now_ms()).id != used

    async def seal_again(self, partner: PartnerId, epoch: int, backlog: Backlog, item: ReadyEnvelope) -> None:
        """Seal a waiting message for the partner's present key, under a new envelope id, and what follows it too.

        Each waiting message of the thread names the digest of the one before it. Left as they were, the followers
        would name an envelope that the partner never takes, and it would show a gap where nothing is missing.
        """
        old, sealed = item.digest, await self._replace(partner, epoch, item.envelope_id, None)
        while sealed is not None:
            thread_id, new = sealed
            follower = await self._store.read(
                WaitingFollower(partner=partner, thread_id=thread_id, previous_digest=old)
            )
            if follower is None:
                return
            sealed_after = await self._replace(partner, epoch, follower.envelope_id, new)
            if sealed_after is not None:
                backlog.drop(follower.digest)
                old, sealed = follower.digest, sealed_after
            # Else another answer was settled in between and has sealed it again, or it arrived: look once more.

    async def _replace(
        self, partner: PartnerId, epoch: int, envelope_id: EnvelopeId, previous_digest: bytes | None
    ) -> tuple[ThreadId, bytes] | None:
        """Seal one waiting message again; its thread and new digest, or None when the envelope waits no longer.

        Args:
            previous_digest: What it follows from now on; None keeps what it followed.
        """
        secrets = await self._store.read(SentSecrets(envelope_id=envelope_id, partner=partner))
        if secrets is None:
            return None
        now_ms = self._clock.now_ms()
        keys = self._keys.current
        header = self._codec.decode_header(secrets.header)
        message_key = unwrap(keys.key_encryption, secrets.wrapped_message_key, secrets.key_id)
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
            recipients=((partner, secrets.previous_digest if previous_digest is None else previous_digest),),
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
        replaced = await self._store.write(
            ReplaceEnvelope(
                partner=partner,
                epoch=epoch,
                message_id=header.message_id,
                old_envelope_id=envelope_id,
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
                log=step(
                    EventType.MESSAGE_SEALED_AGAIN,
                    now_ms,
                    actor=GATEWAY,
                    partner=partner.code,
                    subject=header.message_id.raw,
                    thread=header.thread_id.raw,
                    digest=sealed.digest,
                    reason=KeyRetired.reason,
                ),
            )
        )
        return (header.thread_id, sealed.digest) if replaced else None
