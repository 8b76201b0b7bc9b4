"""Receive: from a partner's frame to stored messages and signed receipts (DESIGN section 3, step 7).

Steps for each envelope: open (size, parse, sender's key judged now, signature, recipient, commitments, clock), replay,
schema, policy, agreement with the thread and the messages it continues. What passes is stored with its receipt in one
commit; what fails gets a signed refusal with one reason.
Nothing is stated about an envelope that could not be judged for reasons of our own: it is deferred and comes again.
A repeat gets the same receipt; a known message id with another commitment is refused.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.crypto.at_rest import seal_content
from gateway.crypto.envelope import OpenedEnvelope
from gateway.crypto.keys import VerifyKey
from gateway.crypto.receipts import sign_receipts, verify_receipts
from gateway.errors import (
    Busy,
    ConcurrentUpdate,
    EnvelopeRejected,
    FieldInvalid,
    GatewayError,
    KeyRetired,
    MessageIdReused,
    MessageTooLarge,
    PolicyDenied,
)
from gateway.exchange.alert_chains import entry_of
from gateway.exchange.attached import uses_of
from gateway.exchange.case_entries import case_entry_of
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.judged import Judged
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.observer import UNOBSERVED, Observer
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.quota import Quota
from gateway.exchange.reception_steps import ReceptionSteps
from gateway.exchange.steps import new_salts
from gateway.exchange.threads import Threads, continuation_of, header_continues
from gateway.exchange.turns import Turns
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.case_drafts import check_case_header
from gateway.model.envelope import Envelope, Outcome, Receipt, ReceiptBatch, ReceiptProof
from gateway.model.header import Header, Kind, Urgency
from gateway.model.message import Body
from gateway.model.partner import KeyPurpose
from gateway.model.rules import check_body
from gateway.policy.decision import Decision, Deny
from gateway.ports import (
    AppendLog,
    Codec,
    CommitReceipts,
    CommitReceived,
    Deferral,
    EncapsulationRow,
    FrameAnswer,
    KnownMessages,
    LogEntry,
    OutgoingFrame,
    ReceivedMessage,
    ReceptionStatus,
    Store,
    StoredReceipt,
)
from gateway.translog.merkle import leaf_hash

HOLD_MS: Final = {Urgency.U0: 10_000, Urgency.U1: 30_000, Urgency.U2: 120_000, Urgency.U3: 600_000}
"""How long a message waits for its missing predecessor before it is shown with a gap. A flash message hardly waits."""
MAX_FRAME_RECEIPTS: Final = 1024
"""Later rungs taken with one frame: some 50 ms in which no other partner is served, and one commit."""
MAX_ROUNDS: Final = 5
PAUSE_EVERY: Final = 32
"""Openings in one piece: 2 ms when they share a batch, 20 ms when each costs a signature and an encapsulation."""
FREE_OPENINGS: Final = 8
EFFORT_PER_S: Final = 400
EFFORT_BURST: Final = 2000
"""Signatures to verify and encapsulations to open for one partner, some 0.2 ms each: a tenth of a processor for ever,
or 0.4 s at once. Honest batches share both."""


class Policy(Protocol):
    """Decides what may come in."""

    def incoming(self, header: Header, body: Body) -> Decision: ...


class ReceiveService:
    """Takes in what partners send.

    Args:
        pause: Lets others run.
    """

    def __init__(
        self,
        *,
        directory: PartnerDirectory,
        policy: Policy,
        store: Store,
        codec: Codec,
        clock: Clock,
        keys: KeyHolder,
        pool: KeyPool,
        quota: Quota,
        pause: Callable[[], Awaitable[None]],
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._observer = observer
        self._turns = Turns()
        self._effort = Quota(per_second=EFFORT_PER_S, burst=EFFORT_BURST)
        self._recording = ReceptionSteps()
        self._pause = pause
        self._directory = directory
        self._policy = policy
        self._store = store
        self._codec = codec
        self._clock = clock
        self._keys = keys
        self._pool = pool
        self._quota = quota

    async def take_in(self, partner: PartnerId, frame: OutgoingFrame) -> FrameAnswer:
        """Judge, store and answer one frame of an authenticated partner.

        Raises:
            PartnerUnknown: It has no card here.
            PartnerFrozen: Exchange with it is stopped.
            EnvelopeRejected: Its later receipts do not verify; nothing of the frame was stored.
            MessageTooLarge: It carries too many of them; nothing of the frame was stored.
            StoreUnavailable: Nothing of the frame was stored.
            ConcurrentUpdate: The same messages kept arriving elsewhere at the same moment.
        """
        self._directory.usable(partner)
        began = self._observer.began()
        now_ms = self._clock.now_ms()
        if frame.receipts:
            await self._take_receipts(partner, frame.receipts, now_ms)
        batch: ReceiptBatch | None = None
        judged = Judged()
        if frame.envelopes:
            opened = await self._open_all(partner, frame.envelopes, judged, now_ms)
            continues = any(header_continues(item.header) for _, item in opened)
            async with self._turns.take(partner, behind=continues):
                judged, batch = await self._settle(partner, opened, judged, now_ms)
        self._observer.taken_in(began, partner, frame.traces, judged.counts())
        retired = any(deferral.reason == KeyRetired.reason for deferral in judged.deferrals)
        return FrameAnswer(
            sequence=frame.sequence,
            receipts=batch,
            repeats=tuple(judged.repeats),
            deferrals=tuple(judged.deferrals),
            card=self._directory.own_card() if retired else None,
            receipts_stored=bool(frame.receipts),
        )

    async def _settle(
        self, partner: PartnerId, opened: list[tuple[int, OpenedEnvelope]], judged: Judged, now_ms: int
    ) -> tuple[Judged, ReceiptBatch | None]:
        """Judge and store, again when the same messages came elsewhere meanwhile."""
        for _ in range(MAX_ROUNDS):
            attempt = Judged(refused=list(judged.refused), retired=judged.retired, deferrals=list(judged.deferrals))
            await self._judge(partner, opened, attempt)
            batch, stored = await self._commit(partner, attempt, now_ms)
            if stored:
                return attempt, batch
        raise ConcurrentUpdate("the same messages kept arriving elsewhere")

    async def _take_receipts(self, partner: PartnerId, batches: tuple[ReceiptBatch, ...], now_ms: int) -> None:
        count = sum(len(batch.receipts) for batch in batches)
        if count > MAX_FRAME_RECEIPTS:
            raise MessageTooLarge("receipts of a frame", count, MAX_FRAME_RECEIPTS)
        stored: list[StoredReceipt] = []
        for batch in batches:
            if batch.issuer != partner:
                raise EnvelopeRejected("receipt issuer")
            key = self._directory.verify_key(partner, KeyPurpose.RECEIPT, batch.signing_key_id, now_ms)
            for receipt, proof in verify_receipts(batch, key, self._codec):
                if receipt.outcome is Outcome.EXPIRED:
                    # Whether our time was over, we state ourselves: nobody else ends our trying with that word.
                    raise EnvelopeRejected("receipt outcome")
                stored.append(StoredReceipt(receipt=receipt, proof=proof, salts=new_salts()))
        await self._store.write(
            CommitReceipts(partner=partner, epoch=None, receipts=tuple(stored), now_ms=now_ms),
        )

    async def _open_all(
        self, partner: PartnerId, envelopes: tuple[Envelope, ...], judged: Judged, now_ms: int
    ) -> list[tuple[int, OpenedEnvelope]]:
        def verify_key(key_id: bytes) -> VerifyKey:
            return self._directory.verify_key(partner, KeyPurpose.ENVELOPE, key_id, now_ms)

        opener = self._keys.opener
        opened: list[tuple[int, OpenedEnvelope]] = []
        seen: set[bytes] = set()
        for index, envelope in enumerate(envelopes):
            if index % PAUSE_EVERY == PAUSE_EVERY - 1:
                # Whatever a partner sends, nobody else waits longer than for so many openings.
                await self._pause()
            try:
                self._charge_effort(partner, index, envelope, seen, now_ms)
                item = opener.open(envelope, sender=partner, verify_keys=verify_key, now_ms=now_ms)
                # Counted only now: before the signature is checked the urgency is anybody's claim.
                self._quota.take(partner.code, item.header.urgency, now_ms)
            except KeyRetired:
                # Raised after the signature was checked, so that the header is the sender's.
                judged.retired.append((index, self._codec.decode_header(envelope.header)))
            except Busy as error:
                judged.deferrals.append(Deferral(index=index, reason=error.reason))
            except GatewayError as error:
                claimed = self._claimed_id(envelope)
                judged.refused.append((index, opener.digest_of(envelope), error.reason, claimed))
            else:
                opened.append((index, item))
        return opened

    def _claimed_id(self, envelope: Envelope) -> bytes:
        """Return the message id in a header that nothing vouches for, so that whoever sent it finds the refusal."""
        try:
            return self._codec.decode_header(envelope.header).message_id.raw
        except GatewayError:
            return b""

    def _charge_effort(self, partner: PartnerId, index: int, envelope: Envelope, seen: set[bytes], now_ms: int) -> None:
        """Bound the signatures and encapsulations that a partner makes us work on, before any of them is known good.

        The first few of a frame are free: an honest sender puts the most urgent first.

        Raises:
            QuotaExceeded: Its share is used up.
        """
        for costly in (envelope.signature, envelope.encapsulation):
            if costly not in seen:
                seen.add(costly)
                if index >= FREE_OPENINGS:
                    self._effort.take(partner.code, Urgency.U3, now_ms)

    async def _judge(self, partner: PartnerId, opened: list[tuple[int, OpenedEnvelope]], judged: Judged) -> None:
        ids = (*(item.header.message_id for _, item in opened), *(header.message_id for _, header in judged.retired))
        known = await self._store.read(KnownMessages(sender=partner, message_ids=ids)) if ids else {}
        unsealed: dict[ThreadId, int] = {}
        """Threads of which a message has to be sealed again, and its index."""
        for index, header in judged.retired:
            earlier = known.get(header.message_id)
            if earlier is not None and earlier.content_commitment == header.content_commitment:
                # It came before the key was retired: sealed again it would be evidenced under two envelopes.
                judged.repeats.append(self._keys.receipt_that_counts(earlier.proof))
            else:
                judged.deferrals.append(Deferral(index=index, reason=KeyRetired.reason))
                unsealed.setdefault(header.thread_id, index)
        fresh = (
            continuation_of(item.header, "")
            for _, item in opened
            if header_continues(item.header) and item.header.message_id not in known
        )
        threads = await Threads.read(self._store, partner, fresh)
        first: dict[MessageId, bytes] = {}
        for index, item in opened:
            message_id, commitment = item.header.message_id, item.header.content_commitment
            earlier = known.get(message_id)
            if earlier is not None:
                if earlier.content_commitment == commitment:
                    judged.repeats.append(self._keys.receipt_that_counts(earlier.proof))
                    receipt = self._codec.decode_receipt(earlier.proof.receipt)
                    if receipt.envelope_digest != item.digest:
                        # Sealed again: the sender waits for a receipt that names this envelope.
                        judged.resealed.append((index, item.digest, receipt.log_leaf))
                else:
                    judged.refused.append((index, item.digest, MessageIdReused.reason, message_id.raw))
                continue
            if unsealed.get(item.header.thread_id, index) < index:
                # It names an envelope that is about to be replaced, and has to be sealed again behind it.
                judged.deferrals.append(Deferral(index=index, reason=KeyRetired.reason))
                continue
            if message_id in first:
                # Twice in one frame: the first decides; an equal second is answered when it is sent again.
                if first[message_id] == commitment:
                    judged.deferrals.append(Deferral(index=index, reason=ConcurrentUpdate.reason))
                else:
                    judged.refused.append((index, item.digest, MessageIdReused.reason, message_id.raw))
                continue
            first[message_id] = commitment
            try:
                body = self._check(partner, item, threads)
            except GatewayError as error:
                judged.refused.append((index, item.digest, error.reason, message_id.raw))
                continue
            if item.header.kind is Kind.PING:
                judged.pings.append((index, item))
            else:
                judged.accepted.append((index, item, body))

    def _check(self, partner: PartnerId, item: OpenedEnvelope, threads: Threads | None) -> Body:
        body = self._codec.decode_body(item.body_bytes)
        if body.kind is not item.header.kind:
            raise FieldInvalid("header.kind", "is not the kind of the body")
        if body.authority.partner != partner:
            raise FieldInvalid("body.authority", "is not an authority of the sender")
        check_body(body)
        header = item.header
        check_case_header(
            body,
            urgency=header.urgency,
            # A new thread is named for the message that begins it.
            continues=header.thread_id.raw != header.message_id.raw,
            replies=header.in_reply_to is not None,
            at="header.",
        )
        decision = self._policy.incoming(header, body)
        # What is held is taken in; nothing else enforces the hold yet (threat model, where safeguards do not reach).
        if isinstance(decision, Deny):
            raise PolicyDenied(decision.rule_ids, decision.explanation)
        if threads is not None:
            continuation = continuation_of(header, body.authority.name)
            threads.check(continuation, "header")
            if header.kind is not Kind.PING:
                threads.add(continuation)
        return body

    async def _commit(self, partner: PartnerId, judged: Judged, now_ms: int) -> tuple[ReceiptBatch | None, bool]:
        stated = [
            *((index, item.digest, Outcome.RECEIVED, "") for index, item, _ in judged.accepted),
            *((index, item.digest, Outcome.RECEIVED, "") for index, item in judged.pings),
            *((index, digest, Outcome.RECEIVED, "") for index, digest, _ in judged.resealed),
            *((index, digest, Outcome.REFUSED, reason) for index, digest, reason, _ in judged.refused),
        ]
        if not stated:
            return None, True
        stated.sort(key=lambda entry: entry[0])
        known = [(index, item, body.authority.name) for index, item, body in judged.accepted]
        known += [(index, item, "") for index, item in judged.pings]
        steps = self._recording.steps(partner, known, judged.refused, now_ms)
        leaves = {index: leaf_hash(noted.leaf) for index, noted in steps.items()}
        leaves |= {index: leaf for index, _, leaf in judged.resealed}
        receipts = [
            Receipt(
                envelope_digest=digest,
                outcome=outcome,
                time_ms=now_ms,
                reason=reason,
                log_position=0,
                # The sender can hold us to it: what we state, we have put in our log.
                log_leaf=leaves.get(index, b""),
            )
            for index, digest, outcome, reason in stated
        ]
        keys = self._keys.current
        batch, proofs = sign_receipts(receipts, issuer=keys.partner, sign_key=keys.receipt, codec=self._codec)
        if judged.accepted:
            proof_of = {index: proof for (index, *_), proof in zip(stated, proofs, strict=True)}
            rows = tuple(
                self._row(item, body, proof_of[index], steps.pop(index), now_ms)
                for index, item, body in judged.accepted
            )
            encapsulations = {
                item.record.encapsulation_digest: item.envelope.encapsulation for _, item, _ in judged.accepted
            }
            statuses = await self._store.write(
                CommitReceived(
                    sender=partner,
                    messages=rows,
                    encapsulations=tuple(
                        EncapsulationRow(digest=d, encapsulation=e) for d, e in encapsulations.items()
                    ),
                    now_ms=now_ms,
                    others=tuple(steps.values()),
                )
            )
            if ReceptionStatus.RACED in statuses:
                return None, False
        elif steps:
            await self._store.write(AppendLog(tuple(steps.values())))
        return batch, True

    def _row(
        self, item: OpenedEnvelope, body: Body, proof: ReceiptProof, log: LogEntry, now_ms: int
    ) -> ReceivedMessage:
        header = item.header
        envelope = item.envelope
        fresh = self._pool.take()
        return ReceivedMessage(
            header=header,
            header_bytes=item.header_bytes,
            digest=item.digest,
            authority=body.authority.name,
            content_sealed=seal_content(fresh.key, item.content_key, envelope.ciphertext, envelope.record),
            record_path=envelope.record_path,
            batch_path=envelope.batch_path,
            signature=envelope.signature,
            encapsulation_digest=item.record.encapsulation_digest,
            previous_digest=item.record.previous_digest,
            key_id=fresh.key_id,
            wrapped_message_key=fresh.wrapped,
            proof=proof,
            hold_until_ms=now_ms + HOLD_MS[header.urgency],
            log=log,
            alert=entry_of(body, self._keys.current.key_encryption),
            attachments=uses_of(body),
            case=case_entry_of(body, header.thread_id, self._keys.current.key_encryption),
        )
