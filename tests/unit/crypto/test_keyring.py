"""The keyring: rotation, grace, destruction, and its locked form."""

import json
from dataclasses import asdict, replace

import pytest

from gateway.crypto.cards import seal_key_of, sign_card, verify_first_card, verify_key_at, verify_next_card
from gateway.crypto.certificates import pem_to_der, verify_gateway_chain
from gateway.crypto.keyring import Keyring
from gateway.crypto.keys import SignKey
from gateway.errors import ConfigInvalid, EnvelopeRejected, PassphraseWrong
from gateway.model.partner import Card, KeyPurpose, LocalName
from tests.unit.crypto.parties import CODEC, HOUR, NOW, TH

DAY = 24 * HOUR
GRACE = 37 * DAY
RING = Keyring.generate(TH, NOW, recovery_public=SignKey.from_secret(b"\x01" * 32).verify_key.public)
LOCKED = RING.lock("correct horse")


def card(ring: Keyring) -> Card:
    return Card(
        partner=TH,
        sequence=ring.card_sequence + 1,
        previous_digest=ring.card_digest,
        create_ms=NOW,
        names=(LocalName("en", "Thailand"),),
        keys=ring.card_keys(),
        tls_roots=(pem_to_der(ring.authority_certificate_pem),),
        endpoints=(),
        desks=(),
        time_zone="",
        languages=(),
        kinds=(),
        suites=(1,),
    )


def publish(ring: Keyring, current=None):
    signed = sign_card(card(ring), identity=ring.identity, previous_identity=ring.previous_identity, codec=CODEC)
    verified = verify_next_card(signed, current=current, codec=CODEC) if current else verify_first_card(signed, CODEC)
    return ring.with_card(verified.card.sequence, verified.digest), verified


def test_a_fresh_keyring_makes_a_card_that_verifies():
    ring, verified = publish(RING)
    assert ring.card_sequence == 1
    assert ring.card_digest == verified.digest
    for purpose, key in (
        (KeyPurpose.ENVELOPE, RING.envelope),
        (KeyPurpose.RECEIPT, RING.receipt),
        (KeyPurpose.LOG, RING.log),
    ):
        assert verify_key_at(verified.card, key.id, purpose, NOW, 0) == key.verify_key
    assert seal_key_of(verified.card, NOW).id in RING.open_keys(NOW, GRACE)
    assert verify_gateway_chain(RING.tls_certificate_pem, [], verified.card.tls_roots, NOW) == TH


def test_every_key_is_another_one():
    keys = {key.public_key for key in RING.card_keys()}
    assert len(keys) == len(RING.card_keys()) == 7


def test_a_fresh_key_counts_for_a_partner_whose_clock_is_behind():
    _, verified = publish(RING)
    assert verify_key_at(verified.card, RING.envelope.id, KeyPurpose.ENVELOPE, NOW - 5 * 60_000, 0)


def test_a_rotated_encryption_key_opens_until_its_grace_is_over():
    old_id = RING.seal[0].id
    ring = RING.rotate_seal(NOW + DAY)
    new_id = ring.seal[0].id
    assert set(ring.open_keys(NOW + DAY, GRACE)) == {old_id, new_id}
    assert ring.retired(NOW + DAY, GRACE) == frozenset()
    end_ms = NOW + DAY + GRACE
    assert old_id in ring.open_keys(end_ms - 1, GRACE)
    assert ring.retired(end_ms, GRACE) == {old_id}
    destroyed = ring.destroy_past_grace(end_ms, GRACE)
    assert destroyed.seal[1].key is None
    assert destroyed.seal[0].key is not None
    assert destroyed.retired(NOW, GRACE) == {old_id}, "what is destroyed does not come back with the clock"
    assert old_id not in destroyed.open_keys(NOW, GRACE)
    assert old_id not in {key.public_key[:8] for key in destroyed.card_keys()}
    assert len(destroyed.card_keys()) == 7


def test_the_card_offers_the_new_encryption_key_at_once():
    ring = RING.rotate_seal(NOW + DAY)
    assert seal_key_of(card(ring), NOW + DAY).id == ring.seal[0].id


def test_a_revoked_encryption_key_is_destroyed_and_stays_on_the_card_as_revoked():
    ring = RING.rotate_seal(NOW + DAY, revoke=True)
    assert ring.seal[1].key is None
    assert ring.retired(NOW + DAY, GRACE) == {RING.seal[0].id}
    assert [key.revoke_ms for key in ring.card_keys() if key.purpose is KeyPurpose.SEAL] == [None, NOW + DAY]


@pytest.mark.parametrize("purpose", [KeyPurpose.ENVELOPE, KeyPurpose.RECEIPT, KeyPurpose.LOG])
@pytest.mark.parametrize("revoke", [False, True])
def test_a_rotated_signing_key_counts_for_its_grace_unless_revoked(purpose, revoke):
    rotate = {
        KeyPurpose.ENVELOPE: RING.rotate_envelope,
        KeyPurpose.RECEIPT: RING.rotate_receipt,
        KeyPurpose.LOG: RING.rotate_log,
    }[purpose]
    old = dict(RING.signing)[purpose].key
    ring = rotate(NOW + DAY, revoke=revoke)
    new = dict(ring.signing)[purpose].key
    assert new != old
    assert verify_key_at(card(ring), new.id, purpose, NOW + DAY, GRACE) == new.verify_key
    if revoke:
        with pytest.raises(EnvelopeRejected):
            verify_key_at(card(ring), old.id, purpose, NOW + DAY, GRACE)
    else:
        assert verify_key_at(card(ring), old.id, purpose, NOW + 2 * DAY, GRACE) == old.verify_key
    assert [other for other in signers(ring) if other != new] == [other for other in signers(RING) if other != old]


def signers(ring):
    return [held.key for _, held in ring.signing]


def test_a_rotated_identity_is_followed_by_those_who_missed_the_change():
    ring, first = publish(RING)
    rotated, second = publish(ring.rotate_identity(NOW + DAY), first)
    assert rotated.identity != ring.identity
    third_ring, third = publish(rotated.rotate_seal(NOW + 2 * DAY), second)
    assert verify_next_card(third.signed, current=first, codec=CODEC).card.sequence == 3
    assert [key.purpose for key in third_ring.card_keys()].count(KeyPurpose.IDENTITY) == 1


def test_rotating_often_does_not_outgrow_the_card():
    ring = RING
    for number in range(20):
        now_ms = NOW + number * HOUR
        ring = ring.rotate_seal(now_ms).rotate_envelope(now_ms).rotate_receipt(now_ms).rotate_log(now_ms)
    _, verified = publish(ring)
    assert len(verified.card.keys) <= 64
    assert seal_key_of(verified.card, NOW + 20 * HOUR).id == ring.seal[0].id


def test_a_new_tls_certificate_comes_from_the_same_authority():
    ring = RING.rotate_tls(NOW + DAY)
    assert ring.tls_certificate_pem != RING.tls_certificate_pem
    roots = [pem_to_der(RING.authority_certificate_pem)]
    assert verify_gateway_chain(ring.tls_certificate_pem, [], roots, NOW + DAY) == TH


def test_a_keyring_without_recovery_key_lists_none():
    assert KeyPurpose.RECOVERY not in {key.purpose for key in replace(RING, recovery_public=None).card_keys()}


def test_a_keyring_survives_its_bytes():
    ring = publish(RING.rotate_identity(NOW + DAY).rotate_seal(NOW + DAY, revoke=True))[0]
    assert Keyring.from_bytes(ring.to_bytes()) == ring
    plain = replace(RING, recovery_public=None)
    assert Keyring.from_bytes(plain.to_bytes()) == plain


def test_a_locked_keyring_opens_with_its_passphrase_only():
    assert Keyring.unlock(LOCKED, "correct horse") == RING
    assert RING.identity.export_secret() not in LOCKED
    with pytest.raises(PassphraseWrong):
        Keyring.unlock(LOCKED, "wrong")


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: b"x" * 200])
def test_a_damaged_locked_keyring_is_refused(damage):
    with pytest.raises(PassphraseWrong):
        Keyring.unlock(damage(LOCKED), "correct horse")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"format": "other"},
        {"partner": "TH"},
        {"signing": {}},
        {"seal": [{"public": "AA=="}]},
        {"key_encryption": "AA=="},
        {"tls": ["AA=="]},
        {"card_sequence": "x"},
        {"previous_identity": "!!"},
    ],
)
def test_what_is_not_a_keyring_is_refused(change):
    data = json.loads(RING.to_bytes())
    with pytest.raises(ConfigInvalid):
        Keyring.from_bytes(json.dumps({**data, **change}).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b'"x"'])
def test_other_bytes_are_not_a_keyring(data):
    with pytest.raises(ConfigInvalid):
        Keyring.from_bytes(data)


def test_a_seal_key_that_is_not_its_secrets_is_refused():
    data = json.loads(RING.to_bytes())
    data["seal"][0]["public"] = json.loads(Keyring.generate(TH, NOW).to_bytes())["seal"][0]["public"]
    with pytest.raises(ConfigInvalid):
        Keyring.from_bytes(json.dumps(data).encode())


def test_a_keyring_does_not_print_or_copy_its_secrets():
    text = f"{RING} {RING!r}"
    assert text == f"{RING!r} {RING!r}"
    assert "PRIVATE" not in text
    assert len(text) < 120
    with pytest.raises(TypeError):
        asdict(RING)
    with pytest.raises(TypeError):
        RING.__reduce__()
