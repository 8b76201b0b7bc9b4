"""Sealing messages in batches.

Sealed together, envelopes share one signature and, per recipient, one encapsulation; each is still provable and can be
opened alone. Reference: docs/reference/envelope.md.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from gateway.crypto import suite1
from gateway.crypto.codec import EnvelopeCodec
from gateway.crypto.digests import batch_frame, envelope_digest
from gateway.crypto.keys import ContentKey, SealKey, SignKey
from gateway.crypto.merkle import leaf_hash, root_and_paths
from gateway.crypto.suite1 import MAX_BODY_BYTES
from gateway.errors import MessageTooLarge
from gateway.ids import BatchId, EnvelopeId, MessageId, PartnerId, ThreadId, uuid7
from gateway.model.envelope import MerklePath
from gateway.model.header import SUITE_1, Header, Kind, Mode, RecipientRecord, Supersedes, Urgency
from gateway.values import dataclass

_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingItem:
    """One message to seal."""

    message_id: MessageId
    kind: Kind
    thread_id: ThreadId
    in_reply_to: MessageId | None
    supersedes: Supersedes | None
    mode: Mode
    urgency: Urgency
    create_ms: int
    expire_ms: int
    body_bytes: bytes
    recipients: tuple[tuple[PartnerId, bytes], ...]
    """Each recipient with the digest of the envelope before this one to it in the thread; empty for the first."""
    salt: bytes | None = None
    """The salt of an earlier sealing, so that the content commitment stays the same; None: a fresh one."""


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """What one recipient needs of a sealed envelope."""

    partner: PartnerId
    record_bytes: bytes
    path: MerklePath
    encapsulation_digest: bytes
    previous_digest: bytes


@dataclass(frozen=True, slots=True)
class SealedEnvelope:
    """A message sealed for all its recipients."""

    item: SealingItem
    envelope_id: EnvelopeId
    header: Header
    header_bytes: bytes
    digest: bytes
    ciphertext: bytes
    content_key: ContentKey
    records: tuple[SealedRecord, ...]
    batch_path: MerklePath
    signature: bytes


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """Envelopes sealed together."""

    envelopes: tuple[SealedEnvelope, ...]
    encapsulations: dict[bytes, bytes]
    """By digest."""


@dataclass(slots=True)
class _Share:
    """One recipient's share of a batch while it is being sealed."""

    seal_key_id: bytes
    pseudo_random_key: bytes
    encapsulation_digest: bytes


@dataclass(slots=True)
class _Unsigned:
    """An envelope whose batch has no signature yet."""

    item: SealingItem
    header: Header
    header_bytes: bytes
    digest: bytes
    ciphertext: bytes
    content_key: ContentKey
    records: tuple[SealedRecord, ...]


def seal_batch(
    items: Sequence[SealingItem],
    *,
    sender: PartnerId,
    sign_key: SignKey,
    seal_keys: Mapping[PartnerId, SealKey],
    codec: EnvelopeCodec,
    now_ms: int,
    entropy: Callable[[int], bytes] = os.urandom,
    new_id: Callable[[int], bytes] = uuid7,
    encapsulate: Callable[[SealKey, bytes, bytes], bytes] = SealKey.encapsulate,
) -> SealedBatch:
    """Seal messages together: one signature, one encapsulation per recipient, one encryption per message.

    Within the batch, a later message of a thread names the envelope of the earlier one to the same recipient,
    whatever previous digest it came with. entropy, new_id and encapsulate are replaced only to make test vectors.

    Raises:
        MessageTooLarge: A body has more than MAX_BODY_BYTES.
        KeyError: A recipient has no key in seal_keys.
        ValueError: There is no item, or an item has no recipient, one twice, or a salt of another length.
    """
    batch = _Batch(
        sender=sender,
        signing_key_id=sign_key.id,
        batch_id=BatchId(new_id(now_ms)),
        codec=codec,
        now_ms=now_ms,
        entropy=entropy,
        new_id=new_id,
    )
    # Every item is looked at before the first is sealed: a batch is sealed whole or not at all.
    for item in items:
        _check(item)
        for partner, _ in item.recipients:
            if partner not in batch.shares:
                batch.share(partner, seal_keys[partner], encapsulate)
    unsigned = [batch.seal(item) for item in items]
    batch_root, paths = root_and_paths([leaf_hash(one.digest) for one in unsigned])
    signature = sign_key.sign(batch_frame(sender, batch_root, len(unsigned)))
    return SealedBatch(
        tuple(
            SealedEnvelope(
                one.item,
                one.header.envelope_id,
                one.header,
                one.header_bytes,
                one.digest,
                one.ciphertext,
                one.content_key,
                one.records,
                path,
                signature,
            )
            for one, path in zip(unsigned, paths, strict=True)
        ),
        batch.encapsulations,
    )


def _check(item: SealingItem) -> None:
    if len(item.body_bytes) > MAX_BODY_BYTES:
        raise MessageTooLarge("body", len(item.body_bytes), MAX_BODY_BYTES)
    if item.salt is not None and len(item.salt) != suite1.SALT_BYTES:
        raise ValueError(f"a salt has {suite1.SALT_BYTES} bytes")
    if not item.recipients or len({partner for partner, _ in item.recipients}) != len(item.recipients):
        raise ValueError("a message has one or more recipients, each once")


@dataclass(slots=True, kw_only=True)
class _Batch:
    """What the envelopes of one batch have in common."""

    sender: PartnerId
    signing_key_id: bytes
    batch_id: BatchId
    codec: EnvelopeCodec
    now_ms: int
    entropy: Callable[[int], bytes]
    new_id: Callable[[int], bytes]
    shares: dict[PartnerId, _Share] = field(default_factory=dict)
    encapsulations: dict[bytes, bytes] = field(default_factory=dict)
    heads: dict[tuple[ThreadId, PartnerId], bytes] = field(default_factory=dict)
    """Last envelope of this batch in each thread to each recipient."""

    def share(
        self, partner: PartnerId, seal_key: SealKey, encapsulate: Callable[[SealKey, bytes, bytes], bytes]
    ) -> None:
        """Encapsulate a fresh batch secret for one recipient."""
        secret = self.entropy(suite1.KEY_BYTES)
        info = suite1.encapsulation_info(self.sender, partner, self.batch_id)
        encapsulation = encapsulate(seal_key, secret, info)
        digest = _sha256(encapsulation).digest()
        self.encapsulations[digest] = encapsulation
        self.shares[partner] = _Share(seal_key.id, suite1.extract(secret), digest)

    def seal(self, item: SealingItem) -> _Unsigned:
        """Encrypt a message and wrap its key for every recipient."""
        random = self.entropy(suite1.KEY_BYTES + suite1.SALT_BYTES + suite1.NONCE_BYTES)
        content_key, salt, nonce = random[:32], random[32:64] if item.salt is None else item.salt, random[64:]
        header = Header(
            suite=SUITE_1,
            envelope_id=EnvelopeId(self.new_id(self.now_ms)),
            message_id=item.message_id,
            sender=self.sender,
            signing_key_id=self.signing_key_id,
            kind=item.kind,
            thread_id=item.thread_id,
            in_reply_to=item.in_reply_to,
            supersedes=item.supersedes,
            mode=item.mode,
            urgency=item.urgency,
            create_ms=item.create_ms,
            expire_ms=item.expire_ms,
            content_commitment=suite1.content_commitment(salt, item.body_bytes),
            key_commitment=suite1.key_commitment(content_key),
        )
        header_bytes = self.codec.encode_header(header)
        ciphertext = suite1.seal_content(content_key, salt, nonce, item.body_bytes, header_bytes)
        info = suite1.wrap_info(header.envelope_id, _sha256(header_bytes).digest())
        records = [self._record(item, partner, given, info, content_key) for partner, given in item.recipients]
        records_root, paths = root_and_paths([leaf_hash(record_bytes) for record_bytes, _ in records])
        digest = envelope_digest(header_bytes, ciphertext, len(records), records_root)
        for partner, _ in item.recipients:
            self.heads[item.thread_id, partner] = digest
        sealed = tuple(
            SealedRecord(record.recipient, record_bytes, path, record.encapsulation_digest, record.previous_digest)
            for (record_bytes, record), path in zip(records, paths, strict=True)
        )
        return _Unsigned(item, header, header_bytes, digest, ciphertext, ContentKey(content_key), sealed)

    def _record(
        self, item: SealingItem, partner: PartnerId, given: bytes, info: bytes, content_key: bytes
    ) -> tuple[bytes, RecipientRecord]:
        share = self.shares[partner]
        record = RecipientRecord(
            recipient=partner,
            seal_key_id=share.seal_key_id,
            batch_id=self.batch_id,
            encapsulation_digest=share.encapsulation_digest,
            wrapped_key=suite1.wrap_key(share.pseudo_random_key, info, content_key),
            previous_digest=self.heads.get((item.thread_id, partner), given),
        )
        return self.codec.encode_record(record), record
