"""Sealing and opening envelopes, in batches.

Sealed together, envelopes share one signature and, per recipient, one encapsulation; each is still provable and can be
opened alone. What is signed is bytes: they are verified as they came and parsed by the codec. This module leaves to
others: whether an id was seen before, whether the agreement allows the exchange, and the rules of the body.
Reference: docs/reference/envelope.md.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from gateway.crypto import framing, suite1
from gateway.crypto.codec import EnvelopeCodec
from gateway.crypto.keys import ENCAPSULATION_BYTES, ContentKey, OpenKey, SealKey, SignKey, VerifyKey
from gateway.crypto.merkle import leaf_hash, root_and_paths, root_from_path
from gateway.crypto.recent import Recent
from gateway.errors import (
    ClockSkewed,
    EnvelopeExpired,
    EnvelopeRejected,
    FieldInvalid,
    KeyRetired,
    MessageTooLarge,
    SuiteUnknown,
)
from gateway.ids import BatchId, EnvelopeId, MessageId, PartnerId, ThreadId, uuid7
from gateway.model.envelope import Envelope, MerklePath
from gateway.model.header import (
    MAX_AHEAD_MS,
    MAX_LIFETIME_MS,
    SUITE_1,
    Header,
    Kind,
    Mode,
    RecipientRecord,
    Supersedes,
    Urgency,
)

MAX_BODY_BYTES: Final = suite1.MAX_BODY_BYTES
MAX_HEADER_BYTES: Final = 1024
MAX_RECORD_BYTES: Final = 512
"""envelope.proto: Envelope.header and Envelope.record."""
DIGEST_BYTES: Final = 32
_MIN_CIPHERTEXT_BYTES: Final = suite1.NONCE_BYTES + suite1.TAG_BYTES
_REMEMBERED: Final = 256
"""Batches whose signature and secret are kept: a link sends batch after batch, so that few are open at a time."""

_SUITES: Final[Mapping[int, ModuleType]] = {SUITE_1: suite1}

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


@dataclass(frozen=True, slots=True)
class OpenedEnvelope:
    """An envelope that passed every check of this room. Only EnvelopeOpener makes one."""

    header: Header
    header_bytes: bytes
    digest: bytes
    record: RecipientRecord
    body_bytes: bytes
    content_key: ContentKey
    envelope: Envelope


def envelope_digest(header: bytes, ciphertext: bytes, records: int, records_root: bytes) -> bytes:
    """Return what stands for an envelope in signatures, receipts and logs."""
    # The number of records is part of it: the same root can be claimed for other numbers.
    return _sha256(
        framing.pae(framing.ENVELOPE, header, _sha256(ciphertext).digest(), framing.number(records), records_root)
    ).digest()


def batch_frame(sender: PartnerId, batch_root: bytes, size: int) -> bytes:
    """Return what the signature of a batch is over."""
    return framing.pae(framing.ENVELOPE_BATCH, sender.code.encode("ascii"), batch_root, framing.number(size))


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
        ValueError: There is no item, or an item has no recipient or one twice.
    """
    batch_id = BatchId(new_id(now_ms))
    shares: dict[PartnerId, _RecipientBatch] = {}
    encapsulations: dict[bytes, bytes] = {}
    for item in items:
        if len(item.body_bytes) > MAX_BODY_BYTES:
            raise MessageTooLarge("body", len(item.body_bytes), MAX_BODY_BYTES)
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
    content_key, salt, nonce = random[:32], item.salt or random[32:64], random[64:]
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


class EnvelopeOpener:
    """Verifies and opens envelopes for one recipient. May be used from several threads."""

    def __init__(
        self, own: PartnerId, open_keys: Mapping[bytes, OpenKey], retired: Collection[bytes], codec: EnvelopeCodec
    ) -> None:
        """Take our keys by key id, and the ids of those whose private key is destroyed or past its grace."""
        self._own = own
        self._open_keys = dict(open_keys)
        self._retired = frozenset(retired)
        self._codec = codec
        self._signatures: Recent[tuple[bytes, bytes, bytes], bool] = Recent(_REMEMBERED)
        self._secrets: Recent[tuple[bytes, bytes, bytes], bytes] = Recent(_REMEMBERED)

    def digest_of(self, envelope: Envelope) -> bytes:
        """Return the digest for a receipt that refuses the envelope. Verifies nothing but its shape.

        Raises:
            MessageTooLarge: A part is larger than allowed.
            EnvelopeRejected: The path of the record is malformed.
        """
        _check_sizes(envelope)
        return _digest(envelope)

    def open(
        self,
        envelope: Envelope,
        *,
        sender: PartnerId,
        verify_keys: Callable[[bytes], VerifyKey],
        now_ms: int,
    ) -> OpenedEnvelope:
        """Verify an envelope that came from sender's link and return its content.

        verify_keys returns the sender's envelope key with an id if it counts now, else raises EnvelopeRejected.

        Raises:
            MessageTooLarge: A part is larger than allowed.
            MessageMalformed, FieldInvalid: Header or record do not parse, or the lifetime is not allowed.
            SuiteUnknown: The suite is not one of ours.
            EnvelopeRejected: Anything that cryptography says no to, for whatever reason.
            KeyRetired: Sealed for a key that we no longer answer for.
            ClockSkewed: Created more than 5 minutes ahead of our clock.
            EnvelopeExpired: Past its expiry.
        """
        # 1. Sizes, before anything is parsed.
        _check_sizes(envelope)
        # 2. Header.
        header_bytes = envelope.header
        header = self._codec.decode_header(header_bytes)
        # 3. Suite. Its choice is signed, and unknown is refused, so that there is no downgrade.
        suite = _SUITES.get(header.suite)
        if suite is None:
            raise SuiteUnknown("the envelope's cipher suite is not known here")
        # 4. The sender is the partner at the other end of the link, and the key counts now.
        if header.sender != sender:
            raise EnvelopeRejected("sender")
        verify_key = verify_keys(header.signing_key_id)
        # 5. Digest, its place in the batch, and the signature of the batch.
        digest = _digest(envelope)
        self._verify_batch(envelope, digest, sender, verify_key)
        # 6. The record, which the digest covers, is ours.
        record = self._codec.decode_record(envelope.record)
        if record.recipient != self._own:
            raise EnvelopeRejected("recipient")
        if len(record.previous_digest) not in (0, DIGEST_BYTES):
            raise FieldInvalid("record.previous_digest", f"must be empty or {DIGEST_BYTES} bytes")
        # 7. The encapsulation is the one the record names.
        if (
            len(envelope.encapsulation) != ENCAPSULATION_BYTES
            or _sha256(envelope.encapsulation).digest() != record.encapsulation_digest
        ):
            raise EnvelopeRejected("encapsulation digest")
        # 8. Batch secret and content key.
        pseudo_random_key = self._batch_secret(envelope.encapsulation, sender, record)
        info = suite1.wrap_info(header.envelope_id, _sha256(header_bytes).digest())
        content_key = suite1.unwrap_key(pseudo_random_key, info, record.wrapped_key)
        # 9. Content, against both commitments.
        body = suite1.open_content(
            content_key,
            envelope.ciphertext,
            header_bytes,
            key_committed=header.key_commitment,
            content_committed=header.content_commitment,
        )
        # 10. Clock.
        check_times(header, now_ms)
        return OpenedEnvelope(header, header_bytes, digest, record, body, ContentKey(content_key), envelope)

    def _verify_batch(self, envelope: Envelope, digest: bytes, sender: PartnerId, verify_key: VerifyKey) -> None:
        path = envelope.batch_path
        frame = batch_frame(sender, root_from_path(leaf_hash(digest), path), path.size)
        signature = envelope.signature
        # Only what verified is remembered, under everything that went into verifying it.
        known = (frame, signature, verify_key.public)
        if self._signatures.get(known) is None:
            verify_key.verify(frame, signature)
            self._signatures.put(known, True)

    def _batch_secret(self, encapsulation: bytes, sender: PartnerId, record: RecipientRecord) -> bytes:
        if record.seal_key_id in self._retired:
            raise KeyRetired("sealed for a key that is retired")
        open_key = self._open_keys.get(record.seal_key_id)
        if open_key is None:
            raise EnvelopeRejected("seal key")
        # The whole context is part of what is looked up: what opened in one must not pass in another.
        info = suite1.encapsulation_info(sender, self._own, record.batch_id)
        known = (record.encapsulation_digest, record.seal_key_id, info)
        pseudo_random_key = self._secrets.get(known)
        if pseudo_random_key is None:
            pseudo_random_key = suite1.extract(open_key.decapsulate(encapsulation, info))
            self._secrets.put(known, pseudo_random_key)
        return pseudo_random_key


def check_times(header: Header, now_ms: int) -> None:
    """Refuse an envelope from the future, from the past, or with too long a life.

    Raises:
        FieldInvalid: It expires before it was created, or lives more than 30 days.
        ClockSkewed: Created more than 5 minutes ahead.
        EnvelopeExpired: Its time is over.
    """
    lifetime_ms = header.expire_ms - header.create_ms
    if not 0 < lifetime_ms <= MAX_LIFETIME_MS:
        raise FieldInvalid("expire_time", "must be after create_time by at most 30 days")
    if header.create_ms > now_ms + MAX_AHEAD_MS:
        raise ClockSkewed("the message was created more than 5 minutes ahead of this gateway's clock")
    if header.expire_ms <= now_ms:
        raise EnvelopeExpired("the message was past its expiry when it arrived")


def _check_sizes(envelope: Envelope) -> None:
    for what, size, largest in (
        ("header", len(envelope.header), MAX_HEADER_BYTES),
        ("ciphertext", len(envelope.ciphertext), suite1.MAX_CIPHERTEXT_BYTES),
        ("record", len(envelope.record), MAX_RECORD_BYTES),
        ("encapsulation", len(envelope.encapsulation), ENCAPSULATION_BYTES),
    ):
        if size > largest:
            raise MessageTooLarge(what, size, largest)
    if len(envelope.ciphertext) < _MIN_CIPHERTEXT_BYTES:
        raise EnvelopeRejected("ciphertext")


def _digest(envelope: Envelope) -> bytes:
    path = envelope.record_path
    records_root = root_from_path(leaf_hash(envelope.record), path)
    return envelope_digest(envelope.header, envelope.ciphertext, path.size, records_root)
