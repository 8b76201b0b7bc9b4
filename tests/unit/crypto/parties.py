"""Two or more partners with keys, who seal for one another."""

from dataclasses import dataclass, field

from gateway.crypto.envelope import EnvelopeOpener, SealedBatch, SealingItem, seal_batch
from gateway.crypto.keys import OpenKey, SignKey, VerifyKey
from gateway.errors import EnvelopeRejected
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.envelope import Envelope
from gateway.model.header import Kind, Mode, Urgency
from gateway.rpc.convert import WireCodec

NOW = 1_795_000_000_000
TH, VN, LA = PartnerId("th"), PartnerId("vn"), PartnerId("la")
CODEC = WireCodec()
HOUR = 3_600_000


@dataclass
class Party:
    partner: PartnerId
    sign_key: SignKey = field(default_factory=SignKey.generate)
    open_key: OpenKey = field(default_factory=OpenKey.generate)

    def opener(self, retired=()) -> EnvelopeOpener:
        return EnvelopeOpener(self.partner, {self.open_key.id: self.open_key}, retired, CODEC)

    def verify_keys(self, key_id: bytes) -> VerifyKey:
        if key_id != self.sign_key.id:
            raise EnvelopeRejected("signing key")
        return self.sign_key.verify_key


def item(body: bytes = b"body", recipients=((VN, b""),), thread: ThreadId | None = None, **changes) -> SealingItem:
    message_id = MessageId.new(NOW)
    values = {
        "message_id": message_id,
        "kind": Kind.ALERT,
        "thread_id": thread or ThreadId(message_id.raw),
        "in_reply_to": None,
        "supersedes": None,
        "mode": Mode.ACTUAL,
        "urgency": Urgency.U1,
        "create_ms": NOW,
        "expire_ms": NOW + HOUR,
        "body_bytes": body,
        "recipients": tuple(recipients),
    }
    return SealingItem(**{**values, **changes})


def seal(sender: Party, recipients: list[Party], items: list[SealingItem], **changes) -> SealedBatch:
    seal_keys = {party.partner: party.open_key.seal_key for party in recipients}
    values = {
        "sender": sender.partner,
        "sign_key": sender.sign_key,
        "seal_keys": seal_keys,
        "codec": CODEC,
        "now_ms": NOW,
    }
    return seal_batch(items, **{**values, **changes})


def envelope_for(batch: SealedBatch, index: int, partner: PartnerId) -> Envelope:
    sealed = batch.envelopes[index]
    record = next(record for record in sealed.records if record.partner == partner)
    return Envelope(
        header=sealed.header_bytes,
        ciphertext=sealed.ciphertext,
        record=record.record_bytes,
        record_path=record.path,
        batch_path=sealed.batch_path,
        signature=sealed.signature,
        encapsulation=batch.encapsulations[record.encapsulation_digest],
    )
