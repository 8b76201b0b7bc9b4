"""Sealed messages, receipts and cards as the exchange would hand them to the store; their bytes are only bytes here."""

import hashlib
from dataclasses import dataclass, field

from gateway.ids import EnvelopeId, MessageId, PartnerId, ThreadId, uuid7
from gateway.model.envelope import MerklePath, Outcome, Receipt, ReceiptProof
from gateway.model.header import Header, Kind, Mode, Urgency
from gateway.ports import (
    CommitReceipts,
    CommitReceived,
    CommitSubmissions,
    EncapsulationRow,
    LogEntry,
    OutboxRow,
    ReceivedMessage,
    SealedMessage,
    StoredReceipt,
)
from gateway.translog.entry import EventType, LogEvent, leaf

NOW = 1_764_000_000_000
CN, TH, LA, VN = (PartnerId(code) for code in ("cn", "th", "la", "vn"))
PATH = MerklePath(3, 64, bytes(range(32)) * 6)


def blob(label: object, size: int = 32) -> bytes:
    """Return bytes that depend on the label only."""
    return hashlib.shake_256(str(label).encode()).digest(size)


ENCAPSULATION = EncapsulationRow(digest=blob("encapsulation digest"), encapsulation=blob("encapsulation", 1120))


@dataclass
class Maker:
    """Makes messages whose ids rise and whose bytes differ."""

    count: int = 0
    now_ms: int = NOW
    body_bytes: int = 1100
    heads: dict[tuple[ThreadId, PartnerId], bytes] = field(default_factory=dict)

    def sealed(
        self,
        *recipients: PartnerId,
        thread: ThreadId | None = None,
        previous: bytes | None = None,
        urgency: Urgency = Urgency.U2,
        request_id: bytes | None = None,
        request_digest: bytes | None = None,
        submitter: str = "system/early-warning",
        expire_ms: int | None = None,
        message_id: MessageId | None = None,
        new_thread: bool | None = None,
    ) -> SealedMessage:
        """Return a message; its previous digests follow what this maker made before in the thread."""
        self.count += 1
        own_id = message_id or MessageId(uuid7(self.now_ms))
        in_thread = thread or ThreadId(own_id.raw)
        digest = blob(("digest", own_id.raw))
        rows = []
        for partner in recipients or (TH,):
            before = self.heads.get((in_thread, partner), b"") if previous is None else previous
            self.heads[in_thread, partner] = digest
            rows.append(
                OutboxRow(
                    partner=partner,
                    record_sealed=blob(("record", own_id.raw, partner.code), 240),
                    record_path=PATH,
                    encapsulation_digest=ENCAPSULATION.digest,
                    previous_digest=before,
                )
            )
        return SealedMessage(
            message_id=own_id,
            envelope_id=EnvelopeId(uuid7(self.now_ms)),
            kind=Kind.ALERT,
            mode=Mode.EXERCISE,
            urgency=urgency,
            thread_id=in_thread,
            new_thread=thread is None if new_thread is None else new_thread,
            in_reply_to=None,
            supersedes=None,
            create_ms=self.now_ms,
            expire_ms=expire_ms or self.now_ms + 3_600_000,
            content_commitment=blob(("commitment", own_id.raw)),
            authority="cn/emergency",
            submitter=submitter,
            request_id=request_id or blob(("request", own_id.raw), 16),
            request_digest=request_digest or blob(("draft", own_id.raw)),
            digest=digest,
            header=blob(("header", own_id.raw), 300),
            content_sealed=blob(("content", own_id.raw), self.body_bytes),
            batch_path=PATH,
            signature=blob(("signature", own_id.raw), 64),
            key_id=blob(("key id", own_id.raw, self.count), 16),
            wrapped_message_key=blob(("key", own_id.raw), 72),
            outbox=tuple(rows),
            log=log_entry(EventType.MESSAGE_RELEASED, own_id.raw),
        )

    def received(
        self,
        sender: PartnerId = TH,
        *,
        thread: ThreadId | None = None,
        previous: bytes = b"",
        message_id: MessageId | None = None,
        hold_until_ms: int = NOW + 60_000,
        create_ms: int | None = None,
    ) -> ReceivedMessage:
        """Return a message as the receiver keeps it."""
        self.count += 1
        own_id = message_id or MessageId(uuid7(self.now_ms))
        header = Header(
            suite=1,
            envelope_id=EnvelopeId(uuid7(self.now_ms)),
            message_id=own_id,
            sender=sender,
            signing_key_id=blob("signing key", 16),
            kind=Kind.ALERT,
            thread_id=thread or ThreadId(own_id.raw),
            in_reply_to=None,
            supersedes=None,
            mode=Mode.EXERCISE,
            urgency=Urgency.U2,
            create_ms=self.now_ms if create_ms is None else create_ms,
            expire_ms=self.now_ms + 3_600_000,
            content_commitment=blob(("commitment", own_id.raw)),
            key_commitment=blob(("key commitment", own_id.raw)),
        )
        return ReceivedMessage(
            header=header,
            header_bytes=blob(("header", own_id.raw), 300),
            digest=blob(("digest", own_id.raw)),
            authority=f"{sender}/police",
            content_sealed=blob(("content", own_id.raw), self.body_bytes),
            record_path=PATH,
            batch_path=PATH,
            signature=blob(("signature", own_id.raw), 64),
            encapsulation_digest=ENCAPSULATION.digest,
            previous_digest=previous,
            key_id=blob(("key id", own_id.raw, self.count), 16),
            wrapped_message_key=blob(("key", own_id.raw), 72),
            proof=proof(("our receipt", own_id.raw), CN),
            hold_until_ms=hold_until_ms,
            log=log_entry(EventType.MESSAGE_RECEIVED, own_id.raw, sender.code),
        )


def log_entry(kind: EventType = EventType.CARD_ADDED, subject: bytes = b"", partner: str = "th") -> LogEntry:
    """Return a step for the exchange log."""
    event = LogEvent(
        type=kind,
        time_ms=NOW,
        actor="system/early-warning",
        partner=partner,
        subject=subject,
        thread=b"",
        digest=b"",
        reason="",
        detail="",
    )
    salts = blob(("log salts", kind, subject), 80)
    return LogEntry(leaf(event, salts), salts, event)


def proof(label: object, issuer: PartnerId = TH) -> ReceiptProof:
    """Return a receipt's proof."""
    return ReceiptProof(
        issuer=issuer,
        signing_key_id=blob("receipt key", 16),
        receipt=blob(("receipt", label), 60),
        path=PATH,
        signature=blob(("receipt signature", label), 64),
    )


def receipt(
    digest: bytes, outcome: Outcome = Outcome.RECEIVED, issuer: PartnerId = TH, reason: str = "", time_ms: int = NOW
) -> StoredReceipt:
    """Return a verified receipt."""
    return StoredReceipt(
        receipt=Receipt(
            envelope_digest=digest, outcome=outcome, time_ms=time_ms, reason=reason, log_position=0, log_leaf=b""
        ),
        proof=proof((digest, outcome), issuer),
        salts=blob(("salts", digest, outcome), 80),
    )


def submit(*messages: SealedMessage) -> CommitSubmissions:
    """Return the operation that accepts messages."""
    return CommitSubmissions(messages=messages, encapsulations=(ENCAPSULATION,))


def receive(*messages: ReceivedMessage, sender: PartnerId = TH, now_ms: int = NOW) -> CommitReceived:
    """Return the operation that stores received messages."""
    return CommitReceived(sender=sender, messages=messages, encapsulations=(ENCAPSULATION,), now_ms=now_ms)


def receipts(
    *items: StoredReceipt, partner: PartnerId = TH, epoch: int | None = None, now_ms: int = NOW
) -> CommitReceipts:
    """Return the operation that stores receipts."""
    return CommitReceipts(partner=partner, epoch=epoch, receipts=items, now_ms=now_ms)
