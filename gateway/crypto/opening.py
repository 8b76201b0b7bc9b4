"""Opening envelopes: what comes in is verified in numbered steps, and refused at the first that fails.

What is signed is bytes: they are verified as they came and parsed by the codec. Left to others: whether an id was seen
before, whether the agreement allows the exchange, and the rules of the body. Reference: docs/reference/envelope.md.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Final

from gateway.crypto.codec import EnvelopeCodec
from gateway.crypto.digests import batch_frame, envelope_digest
from gateway.crypto.keys import ENCAPSULATION_BYTES, ContentKey, OpenKey, VerifyKey
from gateway.crypto.merkle import leaf_hash, root_from_path
from gateway.crypto.recent import Recent
from gateway.crypto.suites import MAX_CIPHERTEXT_BYTES, Suite, suite_of
from gateway.errors import (
    ClockSkewed,
    EnvelopeExpired,
    EnvelopeRejected,
    FieldInvalid,
    KeyRetired,
    MessageTooLarge,
)
from gateway.ids import PartnerId
from gateway.model.envelope import Envelope
from gateway.model.header import MAX_AHEAD_MS, MAX_LIFETIME_MS, Header, RecipientRecord
from gateway.values import dataclass

MAX_HEADER_BYTES: Final = 1024
MAX_RECORD_BYTES: Final = 512
"""envelope.proto: Envelope.header and Envelope.record."""
DIGEST_BYTES: Final = 32
_REMEMBERED: Final = 256
"""Batches whose signature and secret are kept: a link sends batch after batch, so that few are open at a time."""

_sha256 = hashlib.sha256


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
        self._signatures: Recent[tuple[bytes, bytes, bytes], VerifyKey] = Recent(_REMEMBERED)
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
        suite = suite_of(header.suite)
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
        pseudo_random_key = self._batch_secret(suite, envelope.encapsulation, sender, record)
        info = suite.wrap_info(header.envelope_id, _sha256(header_bytes).digest())
        content_key = suite.unwrap_key(pseudo_random_key, info, record.wrapped_key)
        # 9. Content, against both commitments.
        _, body = suite.open_content(
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
            self._signatures.put(known, verify_key)

    def _batch_secret(self, suite: Suite, encapsulation: bytes, sender: PartnerId, record: RecipientRecord) -> bytes:
        if record.seal_key_id in self._retired:
            raise KeyRetired("sealed for a key that is retired")
        open_key = self._open_keys.get(record.seal_key_id)
        if open_key is None:
            raise EnvelopeRejected("seal key")
        # The whole context is part of what is looked up: what opened in one must not pass in another.
        info = suite.encapsulation_info(sender, self._own, record.batch_id)
        known = (record.encapsulation_digest, record.seal_key_id, info)
        pseudo_random_key = self._secrets.get(known)
        if pseudo_random_key is None:
            pseudo_random_key = suite.extract(open_key.decapsulate(encapsulation, info))
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
        ("ciphertext", len(envelope.ciphertext), MAX_CIPHERTEXT_BYTES),
        ("record", len(envelope.record), MAX_RECORD_BYTES),
        ("encapsulation", len(envelope.encapsulation), ENCAPSULATION_BYTES),
    ):
        if size > largest:
            raise MessageTooLarge(what, size, largest)


def _digest(envelope: Envelope) -> bytes:
    path = envelope.record_path
    records_root = root_from_path(leaf_hash(envelope.record), path)
    return envelope_digest(envelope.header, envelope.ciphertext, path.size, records_root)
