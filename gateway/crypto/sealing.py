"""Sealing messages in batches.

Sealed together, envelopes share one signature and, per recipient, one encapsulation; each is still provable and can be
opened alone. Reference: docs/reference/envelope.md.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
class _RecipientBatch:
    """One recipient's share of a batch while it is being sealed."""

    seal_key_id: bytes
    pseudo_random_key: bytes
    encapsulation_digest: bytes


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
    batch_id = BatchId(new_id(now_ms))
    shares: dict[PartnerId, _RecipientBatch] = {}
    encapsulations: dict[bytes, bytes] = {}
    for item in items:
        if len(item.body_bytes) > MAX_BODY_BYTES:
            raise MessageTooLarge("body", len(item.body_bytes), MAX_BODY_BYTES)
        if item.salt is not None and len(item.salt) != suite1.SALT_BYTES:
            raise ValueError(f"a salt has {suite1.SALT_BYTES} bytes")
        if not item.recipients or len({partner for partner, _ in item.recipients}) != len(item.recipients):
            raise ValueError("a message has one or more recipients, each once")
        for partner, _ in item.recipients:
            if partner not in shares:
                seal_key = seal_keys[partner]
                secret = entropy(suite1.KEY_BYTES)
                encapsulation = encapsulate(seal_key, secret, suite1.encapsulation_info(sender, partner, batch_id))
                digest = _sha256(encapsulation).digest()
                encapsulations[digest] = encapsulation
                shares[partner] = _RecipientBatch(seal_key.id, suite1.extract(secret), digest)

    heads: dict[tuple[ThreadId, PartnerId], bytes] = {}
    unsigned = [
        _seal(item, sender, sign_key.id, shares, batch_id, heads, codec, now_ms, entropy, new_id) for item in items
    ]
    batch_root, paths = root_and_paths([leaf_hash(sealed.digest) for sealed in unsigned])
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
        encapsulations,
    )


@dataclass(slots=True)
class _Unsigned:
    item: SealingItem
    header: Header
    header_bytes: bytes
    digest: bytes
    ciphertext: bytes
    content_key: ContentKey
    records: tuple[SealedRecord, ...]


def _seal(
    item: SealingItem,
    sender: PartnerId,
    signing_key_id: bytes,
    shares: Mapping[PartnerId, _RecipientBatch],
    batch_id: BatchId,
    heads: dict[tuple[ThreadId, PartnerId], bytes],
    codec: EnvelopeCodec,
    now_ms: int,
    entropy: Callable[[int], bytes],
    new_id: Callable[[int], bytes],
) -> _Unsigned:
    random = entropy(suite1.KEY_BYTES + suite1.SALT_BYTES + suite1.NONCE_BYTES)
    content_key, salt, nonce = random[:32], random[32:64] if item.salt is None else item.salt, random[64:]
    envelope_id = EnvelopeId(new_id(now_ms))
    header = Header(
        suite=SUITE_1,
        envelope_id=envelope_id,
        message_id=item.message_id,
        sender=sender,
        signing_key_id=signing_key_id,
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
    header_bytes = codec.encode_header(header)
    ciphertext = suite1.seal_content(content_key, salt, nonce, item.body_bytes, header_bytes)
    info = suite1.wrap_info(envelope_id, _sha256(header_bytes).digest())
    thread_id = item.thread_id
    encoded: list[tuple[PartnerId, bytes, bytes, bytes]] = []
    for partner, given in item.recipients:
        share = shares[partner]
        previous = heads.get((thread_id, partner), given)
        record = RecipientRecord(
            recipient=partner,
            seal_key_id=share.seal_key_id,
            batch_id=batch_id,
            encapsulation_digest=share.encapsulation_digest,
            wrapped_key=suite1.wrap_key(share.pseudo_random_key, info, content_key),
            previous_digest=previous,
        )
        encoded.append((partner, codec.encode_record(record), share.encapsulation_digest, previous))
    records_root, paths = root_and_paths([leaf_hash(record_bytes) for _, record_bytes, _, _ in encoded])
    digest = envelope_digest(header_bytes, ciphertext, len(encoded), records_root)
    for partner, _ in item.recipients:
        heads[(thread_id, partner)] = digest
    records = tuple(
        SealedRecord(partner, record_bytes, path, encapsulation_digest, previous)
        for (partner, record_bytes, encapsulation_digest, previous), path in zip(encoded, paths, strict=True)
    )
    return _Unsigned(item, header, header_bytes, digest, ciphertext, ContentKey(content_key), records)
