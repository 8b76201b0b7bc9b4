"""The cases: what opens, what was changed on the way, and what a malicious partner signs."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.ids import BatchId, MessageId, ThreadId
from gateway.model.envelope import Envelope, MerklePath
from gateway.model.header import MAX_AHEAD_MS, MAX_LIFETIME_MS, Mode, Supersedes, Urgency
from tests.vectors.sealer import (
    CN,
    CODEC,
    HOUR,
    KH,
    LA,
    MM,
    NEWER,
    NOW,
    OPEN,
    SENDER,
    STRANGER,
    VN,
    Case,
    Maker,
    envelope_for,
    good,
    sealed_by_hand,
    seed,
    signed_again,
)
from tests.vectors.two_way import keystream, tag_for_both

REJECTED = "ENVELOPE_REJECTED"


def opening(maker: Maker) -> Iterator[tuple[str, Case]]:
    """Cases that open."""
    source, batch = maker.simple("ok_single")
    yield "ok_single", good("One message for one recipient.", source, batch)
    source, batch = maker.simple("ok_empty_body", body=b"")
    yield "ok_empty_body", good("An empty body is a body.", source, batch)
    source, batch = maker.simple("ok_padded_body", body="ตัวอย่าง".encode() * 40)
    yield "ok_padded_body", good("996 bytes with salt and length, padded to 1024.", source, batch)
    source = maker.source("ok_batch_of_seven")
    batch = maker.seal(source, *(maker.item(source, bytes([number])) for number in range(7)))
    yield "ok_batch_first", good("The first of seven sealed together.", source, batch, 0)
    yield "ok_batch_last", good("The last of seven, whose path is shorter than the others'.", source, batch, 6)
    source, batch = maker.simple("ok_three_recipients", recipients=((LA, b""), (VN, b""), (KH, b"")))
    yield "ok_three_recipients", good("The second of three recipients; it sees neither of the others.", source, batch)
    source = maker.source("ok_reply")
    thread = ThreadId(source.new_id(NOW))
    reply = maker.item(
        source,
        b"answer",
        ((VN, seed("previous")),),
        thread_id=thread,
        in_reply_to=MessageId(thread.raw),
        supersedes=Supersedes(message_id=MessageId(source.new_id(NOW)), content_commitment=seed("superseded")),
        mode=Mode.EXERCISE,
        urgency=Urgency.U3,
    )
    batch = maker.seal(source, reply)
    yield (
        "ok_reply",
        good("A reply that replaces a message and names the envelope before it in the thread.", source, batch),
    )
    source, batch = maker.simple(
        "ok_clock", create_ms=NOW + MAX_AHEAD_MS, expire_ms=NOW + MAX_AHEAD_MS + MAX_LIFETIME_MS
    )
    yield "ok_clock_limits", good("Created 5 minutes ahead and living 30 days: both limits are inside.", source, batch)
    source, batch = maker.simple("ok_last_moment")
    yield (
        "ok_last_moment",
        good("One millisecond before it expires.", source, batch, now_ms=NOW + HOUR - 1),
    )
    source, batch = maker.simple("ok_older_key")
    case = good("Sealed for the recipient's older key, whose grace still runs.", source, batch)
    yield "ok_older_key", replace(case, open_keys=(NEWER, OPEN[VN]), sign_keys=(STRANGER, SENDER))


def on_the_way(maker: Maker) -> Iterator[tuple[str, Case]]:
    """Cases in which somebody on the way changed something, or delivers what is not ours."""
    source = maker.source("refused")
    recipients = tuple((partner, b"") for partner in (VN, LA, KH, MM, CN))
    batch = maker.seal(source, *(maker.item(source, bytes([number]), recipients) for number in range(3)))
    one, two = envelope_for(batch, 0, VN), envelope_for(batch, 1, VN)

    def refused(comment: str, step: str, envelope: Envelope = one, **changes) -> Case:
        return Case(comment, envelope, REJECTED, step, **changes)

    def flip(data: bytes, at: int) -> bytes:
        return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]

    others = envelope_for(batch, 0, LA)
    yield "wrong_recipient", refused("Another recipient's record, delivered to us.", "recipient", others)
    yield (
        "wrong_recipient_with_key",
        refused(
            "Another recipient's record does not open even for who holds its key.",
            "recipient",
            others,
            open_keys=(OPEN[VN], OPEN[LA]),
        ),
    )
    yield "sender_of_another_link", refused("Came over another partner's link.", "sender", sender=LA)
    yield "signing_key_unknown", refused("Signed by a key that does not count.", "signing key", sign_keys=(STRANGER,))
    yield (
        "record_path_stripped",
        refused(
            "The other recipients' hashes are taken away, as if there were one recipient.",
            "signature",
            replace(one, record_path=MerklePath(0, 1, b"")),
        ),
    )
    hashes = one.record_path.hashes
    yield (
        "record_path_reordered",
        refused(
            "Two hashes of the record's path change places.",
            "signature",
            replace(one, record_path=replace(one.record_path, hashes=hashes[32:64] + hashes[:32] + hashes[64:])),
        ),
    )
    yield (
        "record_count_changed",
        refused(
            "Seven recipients are claimed for five. The path has the same form; the count is signed.",
            "signature",
            replace(one, record_path=replace(one.record_path, size=7)),
        ),
    )
    yield (
        "record_of_another_envelope",
        refused(
            "The record of another envelope to the same recipient in the same batch.",
            "signature",
            replace(one, record=two.record, record_path=two.record_path),
        ),
    )
    yield (
        "batch_path_truncated",
        refused("The path has one hash too few.", "path", replace(one, batch_path=MerklePath(0, 3, bytes(32)))),
    )
    yield (
        "batch_path_of_another",
        refused("Another envelope's place in the batch.", "signature", replace(one, batch_path=two.batch_path)),
    )
    yield "signature_flipped", refused("One bit.", "signature", replace(one, signature=flip(one.signature, 0)))
    yield "signature_short", refused("63 bytes.", "signature", replace(one, signature=one.signature[:-1]))
    yield "ciphertext_flipped", refused("One bit.", "signature", replace(one, ciphertext=flip(one.ciphertext, 30)))
    yield "ciphertext_truncated", refused("Cut short.", "signature", replace(one, ciphertext=one.ciphertext[:-16]))
    yield (
        "encapsulation_flipped",
        refused(
            "One bit. The record names the digest.",
            "encapsulation digest",
            replace(one, encapsulation=flip(one.encapsulation, 5)),
        ),
    )
    yield (
        "encapsulation_missing",
        refused("Left out, as in a frame.", "encapsulation digest", replace(one, encapsulation=b"")),
    )
    yield (
        "header_truncated",
        Case("Cut inside a field.", replace(one, header=one.header[:-1]), "MESSAGE_MALFORMED"),
    )
    yield (
        "ciphertext_oversize",
        Case("One byte more than 2 MiB.", replace(one, ciphertext=bytes(2_097_153)), "MESSAGE_TOO_LARGE"),
    )
    yield (
        "key_retired",
        Case(
            "Sealed for a key whose private part is destroyed: the sender is told to seal again.",
            one,
            "KEY_RETIRED",
            open_keys=(NEWER,),
            retired=(OPEN[VN].id,),
        ),
    )
    yield "key_unknown", refused("Sealed for a key that was never ours.", "seal key", open_keys=(NEWER,))
    yield (
        "expired",
        Case("Replayed after its expiry: refused even if never seen.", one, "EXPIRED", now_ms=NOW + HOUR),
    )
    yield (
        "clock_ahead",
        Case(
            "One millisecond more than 5 minutes ahead of our clock.",
            one,
            "CLOCK_SKEWED",
            now_ms=NOW - MAX_AHEAD_MS - 1,
        ),
    )


def malicious(maker: Maker) -> Iterator[tuple[str, Case]]:
    """Cases that a partner signs correctly and should not have made."""
    source, batch = maker.simple("lifetime_too_long", expire_ms=NOW + MAX_LIFETIME_MS + 1)
    yield (
        "lifetime_too_long",
        Case("Lives a millisecond more than 30 days.", envelope_for(batch, 0, VN), "FIELD_INVALID"),
    )
    source, batch = maker.simple("expires_before_created", expire_ms=NOW)
    yield "expires_at_creation", Case("Expires when it is created.", envelope_for(batch, 0, VN), "FIELD_INVALID")

    source, batch = maker.simple("malicious")
    one = envelope_for(batch, 0, VN)
    other_source, other = maker.simple("malicious other")
    header = batch.envelopes[0].header
    batch_id = BatchId(source.new_id(NOW))
    content = seed("salt") + (4).to_bytes(4, "big") + b"body"

    def refused(comment: str, step: str, envelope: Envelope, **changes) -> Case:
        return Case(comment, envelope, REJECTED, step, **changes)

    def by_hand(**how) -> Envelope:
        return sealed_by_hand(source, header, batch_id, **{"plaintext": content, **how})

    yield "suite_unknown", Case("A suite that is not defined.", by_hand(suite=2), "SUITE_UNKNOWN")
    yield (
        "header_unknown_field",
        Case(
            "A header with a field that nobody knows.",
            signed_again(one, header=one.header + b"\xf8\x07\x01"),
            "MESSAGE_MALFORMED",
        ),
    )
    record = CODEC.decode_record(one.record)
    yield (
        "previous_digest_short",
        Case(
            "31 bytes where 32 or none belong.",
            signed_again(one, record=CODEC.encode_record(replace(record, previous_digest=bytes(31)))),
            "FIELD_INVALID",
        ),
    )
    foreign = CODEC.decode_record(envelope_for(other, 0, VN).record)
    yield (
        "wrapped_key_of_another",
        refused(
            "A wrapped key of another envelope: it is bound to envelope id and header.",
            "wrapped key",
            signed_again(one, record=CODEC.encode_record(replace(record, wrapped_key=foreign.wrapped_key))),
        ),
    )
    changed = CODEC.encode_header(replace(header, urgency=Urgency.U0))
    yield (
        "header_changed",
        refused("More urgent than when it was sealed.", "wrapped key", signed_again(one, header=changed)),
    )
    yield (
        "encapsulation_of_another_sender",
        refused("The batch secret was encapsulated as from la.", "encapsulation", by_hand(info_sender=LA)),
    )
    yield (
        "key_commitment_wrong",
        refused(
            "The wrapped key opens the content, but the header commits to another one.",
            "key commitment",
            by_hand(key_committed=seed("other content key")),
        ),
    )
    yield (
        "content_commitment_wrong",
        refused(
            "The body is not the one committed to.", "content commitment", by_hand(content_committed=seed("other"))
        ),
    )
    yield (
        "content_truncated",
        refused("Signed, but not a ciphertext.", "content", by_hand(ciphertext=lambda _: bytes(39))),
    )
    dirty = seed("salt") + (5).to_bytes(4, "big") + b"body!" + b"\x00\x00\x01"
    yield "padding_not_zero", refused("Something hidden in the padding.", "padding", by_hand(plaintext=dirty))
    yield (
        "padding_too_long",
        refused("More padding than Padmé gives.", "padding", by_hand(plaintext=content + bytes(4))),
    )
    lying = seed("salt") + (400).to_bytes(4, "big") + b"body"
    yield "length_beyond_end", refused("A length beyond the end.", "padding", by_hand(plaintext=lying))
    yield "two_way_opening", two_way(by_hand)


def two_way(by_hand: Callable[..., Envelope]) -> Case:
    """Return an envelope whose ciphertext opens under two keys; the record carries the one not committed to."""
    first, second = seed("two-way first"), seed("two-way second")

    def ciphertext(header: bytes) -> bytes:
        for attempt in range(100):
            nonce = seed(f"two-way nonce {attempt}", 24)
            plaintext = (
                seed("salt") + (60).to_bytes(4, "big") + b"For one recipient this is a warning, for another it is noise"
            )
            stream = keystream(first, nonce, 64 + len(plaintext))[64:]
            sealed = bytes(a ^ b for a, b in zip(plaintext, stream, strict=True))
            if found := tag_for_both(first, second, nonce, header, sealed, 80):
                return nonce + found[0] + found[1]
        raise AssertionError("no nonce gives a common tag")

    return Case(
        "XChaCha20-Poly1305 accepts this ciphertext under both content_keys. The header commits to the first, the "
        "record carries the second.",
        by_hand(ciphertext=ciphertext, key_committed=first, key_wrapped=second, content_committed=seed("two-way")),
        REJECTED,
        "key commitment",
        content_keys=(first, second),
    )
