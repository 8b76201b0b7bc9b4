"""Cards: who may sign which, and what follows what."""

from dataclasses import replace

import pytest

from gateway.crypto import cards
from gateway.crypto.cards import (
    MAX_STEP,
    card_digest,
    fingerprint,
    recovery_sign_card,
    same_fingerprint,
    seal_key_of,
    sign_card,
    verify_first_card,
    verify_key_at,
    verify_next_card,
    why_mistyped,
)
from gateway.crypto.keys import OpenKey, SignKey
from gateway.errors import CardRejected, EnvelopeRejected
from gateway.model.partner import Card, CardKey, KeyPurpose, LocalName, SignedCard
from tests.unit.crypto.parties import CODEC, HOUR, LA, NOW, TH

DAY = 24 * HOUR
IDENTITY, OTHER, RECOVERY, ENVELOPE, THIEF = (SignKey.from_secret(bytes([number]) * 32) for number in range(1, 6))
SEAL = OpenKey.from_secret(b"\x09" * 96).seal_key


def key(purpose, public, start_ms=NOW, end_ms=NOW + 30 * DAY, revoke_ms=None) -> CardKey:
    return CardKey(purpose=purpose, public_key=public, start_ms=start_ms, end_ms=end_ms, revoke_ms=revoke_ms)


def card(sequence=1, previous=b"", identity=IDENTITY, recovery=RECOVERY, keys=(), **changes) -> Card:
    listed = [key(KeyPurpose.IDENTITY, identity.verify_key.public)]
    if recovery is not None:
        listed.append(key(KeyPurpose.RECOVERY, recovery.verify_key.public))
    listed += [key(KeyPurpose.ENVELOPE, ENVELOPE.verify_key.public), key(KeyPurpose.SEAL, SEAL.public)]
    values = {
        "partner": TH,
        "sequence": sequence,
        "previous_digest": previous,
        "create_ms": NOW,
        "names": (LocalName("en", "Thailand"),),
        "keys": tuple(listed) + tuple(keys),
        "tls_roots": (b"root",),
        "endpoints": ("th.example:7443",),
        "desks": (),
        "time_zone": "Asia/Bangkok",
        "languages": ("th",),
        "kinds": ("alert",),
        "suites": (1,),
    }
    return Card(**{**values, **changes})


def signed(value: Card, *signers: SignKey) -> SignedCard:
    first, *rest = signers or (IDENTITY,)
    return sign_card(value, identity=first, previous_identity=rest[0] if rest else None, codec=CODEC)


FIRST = verify_first_card(signed(card()), CODEC)


def follow(value, *signers, current=FIRST):
    return verify_next_card(signed(value, *signers), current=current, codec=CODEC)


def refused(call, *args, **how):
    with pytest.raises(CardRejected):
        call(*args, **how)


def test_a_first_card_is_signed_by_the_identity_key_in_it():
    assert FIRST.card == card()
    assert FIRST.digest == card_digest(FIRST.signed.card)
    assert not FIRST.recovery_signed
    refused(verify_first_card, signed(card(), OTHER), CODEC)
    refused(verify_first_card, replace(FIRST.signed, signatures=()), CODEC)


def test_every_signature_on_a_card_must_verify():
    good = FIRST.signed.signatures[0]
    bad = replace(good, signature=bytes(64))
    refused(verify_first_card, replace(FIRST.signed, signatures=(good, bad)), CODEC)
    refused(verify_first_card, replace(FIRST.signed, signatures=(good, replace(good, public_key=bytes(32)))), CODEC)
    refused(verify_first_card, replace(FIRST.signed, signatures=(good, replace(good, signature=b""))), CODEC)
    refused(verify_first_card, replace(FIRST.signed, signatures=(good,) * 5), CODEC)


def test_a_signature_counts_only_for_the_purpose_it_was_made_for():
    good = FIRST.signed.signatures[0]
    for purpose in (KeyPurpose.RECOVERY, KeyPurpose.ENVELOPE, KeyPurpose.LOG):
        refused(verify_first_card, replace(FIRST.signed, signatures=(replace(good, purpose=purpose),)), CODEC)


def test_a_changed_card_is_refused():
    data = FIRST.signed.card
    for at in range(0, len(data), 13):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        refused(verify_first_card, replace(FIRST.signed, card=changed), CODEC)
    for other in (b"", b"\xff", data[:-1], bytes(65_537)):
        refused(verify_first_card, replace(FIRST.signed, card=other), CODEC)


@pytest.mark.parametrize(
    "value",
    [
        card(keys=[key(KeyPurpose.IDENTITY, OTHER.verify_key.public)]),
        card(keys=[key(KeyPurpose.IDENTITY, OTHER.verify_key.public, revoke_ms=NOW)]),
        card(keys=[key(KeyPurpose.RECOVERY, OTHER.verify_key.public)]),
        card(keys=[key(KeyPurpose.RECEIPT, ENVELOPE.verify_key.public)]),
        card(keys=[key(KeyPurpose.RECEIPT, bytes(32))]),
        card(keys=[key(KeyPurpose.SEAL, bytes(1216))]),
        card(keys=[key(KeyPurpose.SEAL, bytes(32))]),
        card(keys=[key(KeyPurpose.RECEIPT, SEAL.public)]),
        card(keys=[key(KeyPurpose.RECEIPT, OTHER.verify_key.public, end_ms=NOW)]),
        replace(card(), keys=card().keys[1:]),
        replace(card(), keys=(replace(card().keys[0], revoke_ms=NOW), *card().keys[1:])),
    ],
    ids=[
        "two identities",
        "a revoked identity beside the live one",
        "two recovery keys",
        "one key for two purposes",
        "a point of low order",
        "an encryption key that is none",
        "a short encryption key",
        "a long signing key",
        "a key that ends before it starts",
        "no identity",
        "only a revoked identity",
    ],
)
def test_a_card_with_unsound_keys_is_refused(value):
    refused(verify_first_card, signed(value), CODEC)


def test_a_fingerprint_of_an_old_key_cannot_carry_a_new_partner():
    # Lists the victim's real identity key, whose fingerprint was read out, beside the thief's own.
    stolen = card(identity=THIEF, keys=[key(KeyPurpose.IDENTITY, IDENTITY.verify_key.public, revoke_ms=NOW)])
    refused(verify_first_card, signed(stolen, THIEF), CODEC)


def test_the_next_card_is_signed_by_the_identity_key_before():
    assert follow(card(2, FIRST.digest)).card.sequence == 2
    rotated = follow(card(2, FIRST.digest, identity=OTHER), OTHER, IDENTITY)
    assert follow(card(3, rotated.digest, identity=OTHER), OTHER, current=rotated).card.sequence == 3
    refused(follow, card(2, FIRST.digest, identity=OTHER), OTHER)
    refused(follow, card(2, FIRST.digest, identity=OTHER), IDENTITY)
    refused(follow, card(3, rotated.digest), IDENTITY, current=rotated)


def test_rollback_and_repetition_are_refused():
    second = follow(card(2, FIRST.digest))
    refused(follow, card(1), current=second)
    refused(follow, card(2, FIRST.digest, time_zone="UTC"), current=second)
    refused(follow, card(2, FIRST.digest), current=second)


def test_a_direct_successor_names_the_card_before():
    refused(follow, card(2, b"\x01" * 32))
    refused(follow, card(2, b""))
    assert follow(card(9, b"\x01" * 32)).card.sequence == 9, "some were missed; the signature is the link"


def test_no_thief_can_use_up_the_numbers_in_one_step():
    assert follow(card(1 + MAX_STEP, b"\x01" * 32)).card.sequence == 1 + MAX_STEP
    refused(follow, card(2 + MAX_STEP, b"\x01" * 32))
    assert recovered(card(2 + MAX_STEP, b"\x01" * 32, identity=OTHER)).recovery_signed


def test_another_partners_card_does_not_follow():
    refused(follow, card(2, FIRST.digest, partner=LA))


def recovered(value, *, recovery=RECOVERY, identity=OTHER, current=FIRST):
    again = recovery_sign_card(value, recovery=recovery, identity=identity, codec=CODEC)
    return verify_next_card(again, current=current, codec=CODEC)


def test_a_card_signed_by_the_recovery_key_beats_a_thiefs_of_equal_number():
    thief = follow(card(2, FIRST.digest, identity=THIEF), THIEF, IDENTITY)
    back = recovered(card(2, FIRST.digest, identity=OTHER), current=thief)
    assert back.recovery_signed
    third = SignKey.generate()
    refused(recovered, card(2, FIRST.digest, identity=third), identity=third, current=back)
    assert recovered(card(3, back.digest, identity=third), identity=third, current=back).card.sequence == 3
    refused(follow, card(2, FIRST.digest, identity=THIEF), THIEF, IDENTITY, current=back)
    refused(follow, card(3, back.digest, identity=THIEF), THIEF, IDENTITY, current=back)


def test_recovery_needs_the_recovery_key_that_the_card_before_names():
    refused(recovered, card(2, FIRST.digest, identity=OTHER), recovery=THIEF)
    without = verify_first_card(signed(card(recovery=None)), CODEC)
    refused(recovered, card(2, without.digest, identity=OTHER), current=without)
    refused(recovered, card(2, FIRST.digest, identity=OTHER), identity=IDENTITY)


def test_a_thief_cannot_dress_a_card_as_recovered():
    # Accepted, it would count as recovery-signed, and the true recovery card of equal number would come too late.
    refused(recovered, card(2, FIRST.digest), recovery=THIEF, identity=IDENTITY)


def test_recovery_does_not_roll_back():
    third = follow(card(3, b"\x01" * 32))
    refused(recovered, card(2, FIRST.digest, identity=OTHER), current=third)


def test_a_stolen_identity_key_cannot_take_the_recovery_key_away():
    refused(follow, card(2, FIRST.digest, recovery=THIEF))
    refused(follow, card(2, FIRST.digest, recovery=None))
    assert recovered(card(2, FIRST.digest, identity=OTHER, recovery=THIEF)).recovery_signed
    without = verify_first_card(signed(card(recovery=None)), CODEC)
    assert follow(card(2, without.digest, recovery=RECOVERY), current=without).card.sequence == 2


GRACE = 37 * DAY


@pytest.mark.parametrize(
    ("now_ms", "revoke_ms", "counts"),
    [
        (NOW - 1, None, False),
        (NOW, None, True),
        (NOW + 30 * DAY - 1, None, True),
        (NOW + 30 * DAY + GRACE - 1, None, True),
        (NOW + 30 * DAY + GRACE, None, False),
        (NOW + DAY, NOW + DAY + 1, True),
        (NOW + DAY, NOW + DAY, False),
        (NOW + 31 * DAY, NOW + DAY, False),
    ],
)
def test_a_key_counts_by_when_its_signature_arrives(now_ms, revoke_ms, counts):
    public = OTHER.verify_key.public
    value = card(keys=[key(KeyPurpose.RECEIPT, public, revoke_ms=revoke_ms)])
    if counts:
        assert verify_key_at(value, OTHER.id, KeyPurpose.RECEIPT, now_ms, GRACE) == OTHER.verify_key
    else:
        with pytest.raises(EnvelopeRejected):
            verify_key_at(value, OTHER.id, KeyPurpose.RECEIPT, now_ms, GRACE)


def test_a_key_of_another_purpose_or_id_does_not_count():
    for key_id, purpose in (
        (ENVELOPE.id, KeyPurpose.RECEIPT),
        (bytes(8), KeyPurpose.ENVELOPE),
        (b"", KeyPurpose.ENVELOPE),
    ):
        with pytest.raises(EnvelopeRejected):
            verify_key_at(card(), key_id, purpose, NOW, GRACE)


def test_the_newest_valid_encryption_key_is_used():
    newer = OpenKey.generate().seal_key
    value = card(keys=[key(KeyPurpose.SEAL, newer.public, start_ms=NOW + DAY, end_ms=NOW + 60 * DAY)])
    assert seal_key_of(value, NOW) == SEAL
    assert seal_key_of(value, NOW + 2 * DAY) == newer
    revoked = replace(value, keys=(*value.keys[:-1], replace(value.keys[-1], revoke_ms=NOW + 2 * DAY)))
    assert seal_key_of(revoked, NOW + 2 * DAY) == SEAL
    for now_ms in (NOW - 1, NOW + 60 * DAY):
        with pytest.raises(CardRejected):
            seal_key_of(value, now_ms)


def test_a_fingerprint_is_eight_groups_of_five_digits():
    text = fingerprint(IDENTITY.verify_key.public)
    groups = text.split(" ")
    assert [len(group) for group in groups] == [5] * 8
    assert text.replace(" ", "").isdigit()
    assert text != fingerprint(OTHER.verify_key.public)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "", "something else than the digits"),
        (lambda text: "0x" + text[2:], "something else than the digits"),
        (lambda text: text.replace("1", "\u0661").replace("0", "\u0660").replace("7", "\u0667"), "something else"),
        (lambda text: text[:-1], "39 digits"),
        (lambda text: text + "0", "41 digits"),
        (lambda text: "1", "1 digits"),
        (lambda text: changed(text, 3), "but for a few digits"),
        (lambda text: changed(text, 0, 11, 20, 38), "but for a few digits"),
        (lambda text: text[1] + text[0] + text[2:], "but for a few digits"),
        # One left out and one too many: every digit between stands one place off.
        (lambda text: text[:5] + text[6:] + "3", "but for a few digits"),
        (lambda text: changed(fingerprint(OTHER.verify_key.public).replace(" ", ""), 7), "is nobody's"),
    ],
)
def test_a_slip_is_told_from_another_fingerprint(change, told):
    shown = fingerprint(IDENTITY.verify_key.public)
    given = change(shown.replace(" ", ""))
    assert told in why_mistyped(given, shown)
    assert not same_fingerprint(given, shown)


def changed(digits: str, *places: int) -> str:
    return "".join(str((int(digit) + 1) % 10) if at in places else digit for at, digit in enumerate(digits))


def test_a_fingerprint_that_another_key_has_is_no_slip():
    shown = fingerprint(IDENTITY.verify_key.public)
    assert why_mistyped(fingerprint(OTHER.verify_key.public), shown) == ""
    assert why_mistyped(fingerprint(OTHER.verify_key.public).replace(" ", "-"), shown) == ""


def test_fingerprints_are_compared_but_for_spaces_and_dashes():
    text = fingerprint(IDENTITY.verify_key.public)
    assert same_fingerprint(text, text.replace(" ", ""))
    assert same_fingerprint(text.replace(" ", "-"), f"  {text} ")
    digits = text.replace(" ", "")
    other_script = digits.translate({ord("0") + number: 0x17E0 + number for number in range(10)})
    for wrong in (
        fingerprint(OTHER.verify_key.public),
        digits[:-1],
        digits + "0",
        "",
        " ",
        other_script,
        text.replace(" ", "\t"),
        text.replace(" ", "\u200b"),
        "x" * 40,
    ):
        assert not same_fingerprint(text, wrong)
        assert not same_fingerprint(wrong, text)
    misread = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    assert not same_fingerprint(misread, misread), "a wrong check digit is a misreading, even twice"
    assert not same_fingerprint("", "")
    assert not same_fingerprint("x" * 40, "x" * 40)


def test_the_check_digit_finds_every_single_wrong_digit():
    digits = fingerprint(IDENTITY.verify_key.public).replace(" ", "")
    for at in range(40):
        for wrong in set("0123456789") - {digits[at]}:
            changed = digits[:at] + wrong + digits[at + 1 :]
            assert cards._check_digit(changed[:-1]) != changed[-1]
