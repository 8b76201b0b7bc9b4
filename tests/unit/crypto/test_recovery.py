"""The recovery key, and what recovery leaves of a stolen keyring."""

import base64
import json
import pickle

import pyrage
import pytest

from gateway.crypto.cards import card_digest, recovery_sign_card, seal_key_of, verify_first_card, verify_key_at
from gateway.crypto.certificates import pem_to_der, verify_gateway_chain
from gateway.crypto.keyring import Keyring
from gateway.crypto.recovery import RecoveryKey
from gateway.errors import CallerUnknown, ConfigInvalid, EnvelopeRejected, PassphraseWrong
from gateway.model.partner import Card, KeyPurpose
from tests.unit.crypto.parties import CODEC, HOUR, NOW, TH

GRACE = 37 * 24 * HOUR
LATER = NOW + HOUR
WORDS = "correct horse battery"
RECOVERY = RecoveryKey.generate(TH)
LOCKED = RECOVERY.lock(WORDS)
STOLEN = Keyring.generate(TH, NOW, recovery_public=RECOVERY.public)
RING = STOLEN.recover(LATER)


def card(ring: Keyring) -> Card:
    return Card(
        partner=TH,
        sequence=2,
        previous_digest=b"\x01" * 32,
        create_ms=LATER,
        names=(),
        keys=ring.card_keys(),
        tls_roots=tuple(pem_to_der(item) for item in ring.authority_certificates_pem),
        endpoints=(),
        desks=(),
        time_zone="",
        languages=(),
        kinds=(),
        suites=(1,),
    )


SIGNED = recovery_sign_card(card(RING), recovery=RECOVERY.key, identity=RING.identity, codec=CODEC)


def secrets(ring: Keyring) -> set[bytes]:
    signing = {held.key.export_secret() for _, held in ring.signing}
    seal = {held.key.export_secret() for held in ring.seal if held.key is not None}
    return {*signing, *seal, ring.authority_key_pem, ring.tls_key_pem}


def test_a_recovery_key_opens_with_its_passphrase_only():
    assert RecoveryKey.unlock(LOCKED, WORDS) == RECOVERY
    assert RECOVERY.key.export_secret() not in LOCKED
    with pytest.raises(PassphraseWrong):
        RecoveryKey.unlock(LOCKED, "wrong")


@pytest.mark.parametrize(
    "data",
    [b"", LOCKED[:100], b"x" * 300, LOCKED[:-1] + bytes([LOCKED[-1] ^ 1])],
    ids=["empty", "truncated", "no_age_file", "flipped"],
)
def test_a_damaged_recovery_key_is_refused(data):
    with pytest.raises(PassphraseWrong):
        RecoveryKey.unlock(data, WORDS)


GOOD = {
    "format": "concord-recovery-key", "version": 1, "partner": "th", "secret": base64.b64encode(b"\x01" * 32).decode(),
}  # fmt: skip


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        STOLEN.to_bytes(),
        *(json.dumps({**GOOD, **change}).encode() for change in (
            {"version": 2}, {"format": "concord-keyring"}, {"partner": "TH"}, {"partner": None}, {"secret": "AA=="},
            {"secret": "!!"}, {"secret": 1},
        )),
    ],
    ids=[*("empty", "list", "null", "no_text", "keyring"), *(f"changed_{number}" for number in range(7))],
)  # fmt: skip
def test_what_is_not_a_recovery_key_is_refused(plain, monkeypatch):
    monkeypatch.setattr(pyrage.passphrase, "decrypt", lambda data, passphrase: plain)
    with pytest.raises(ConfigInvalid):
        RecoveryKey.unlock(LOCKED, WORDS)


def test_a_recovery_key_does_not_print_or_copy_its_secret():
    assert base64.b64encode(RECOVERY.key.export_secret()).decode() not in repr(RECOVERY)
    assert repr(RECOVERY.key.export_secret()) not in repr(RECOVERY)
    with pytest.raises(TypeError):
        pickle.dumps(RECOVERY)


def test_nothing_that_the_thief_holds_signs_or_opens_any_more():
    assert secrets(RING).isdisjoint(secrets(STOLEN))
    assert RING.previous_identity is None
    assert RING.open_keys(LATER, GRACE).keys().isdisjoint(STOLEN.open_keys(LATER, GRACE))
    assert RING.revoked() == {
        key.id for key in (STOLEN.identity, STOLEN.envelope, STOLEN.receipt, STOLEN.log, STOLEN.cosign)
    }


def test_partners_believe_none_of_the_stolen_keys_from_the_recovered_card_on():
    recovered = verify_first_card(SIGNED, CODEC).card
    for purpose, old, new in (
        (KeyPurpose.ENVELOPE, STOLEN.envelope, RING.envelope),
        (KeyPurpose.RECEIPT, STOLEN.receipt, RING.receipt),
        (KeyPurpose.LOG, STOLEN.log, RING.log),
    ):
        assert verify_key_at(recovered, new.id, purpose, LATER, GRACE) == new.verify_key
        with pytest.raises(EnvelopeRejected):
            verify_key_at(recovered, old.id, purpose, LATER, GRACE)
    assert seal_key_of(recovered, LATER).id == RING.seal[0].id
    assert STOLEN.identity.verify_key.public not in {key.public_key for key in recovered.keys}
    assert {key.public_key for key in recovered.keys_for(KeyPurpose.RECOVERY)} == {RECOVERY.public}


def test_links_show_the_former_certificate_until_tls_is_rotated():
    roots = card(RING).tls_roots
    before = card(STOLEN).tls_roots
    # Who holds the card before and who holds the recovered one must both let us in.
    for known in (roots, before):
        assert verify_gateway_chain(RING.link_tls[1], [], known, LATER) == TH
    with pytest.raises(CallerUnknown):
        verify_gateway_chain(RING.tls_certificate_pem, [], before, LATER)
    done = RING.rotate_tls(LATER)
    assert verify_gateway_chain(done.link_tls[1], [], roots, LATER) == TH
    with pytest.raises(CallerUnknown):
        verify_gateway_chain(STOLEN.link_tls[1], [], card(done).tls_roots, LATER)


def test_a_second_recovery_keeps_showing_what_partners_knew_before_the_first():
    again = RING.recover(LATER + HOUR)
    assert again.link_tls == STOLEN.link_tls
    assert verify_gateway_chain(again.link_tls[1], [], card(again).tls_roots, LATER) == TH
    assert secrets(again).isdisjoint(secrets(RING))


def test_a_recovered_keyring_survives_its_bytes():
    ring = RING.with_recovered(2, card_digest(SIGNED.card), SIGNED)
    assert Keyring.from_bytes(ring.to_bytes()) == ring
    assert ring.former_tls is not None
    assert "PRIVATE" not in f"{ring!r} {ring.former_tls!r}"
    with pytest.raises(TypeError):
        pickle.dumps(ring.former_tls)


def test_a_keyring_from_before_recovery_is_read():
    data = json.loads(STOLEN.to_bytes())
    for name in ("recovered_card", "former_tls"):
        del data[name]
    assert Keyring.from_bytes(json.dumps(data).encode()) == STOLEN


@pytest.mark.parametrize(
    "change",
    [
        {"former_tls": ["AA=="]},
        {"former_tls": "AA=="},
        {"former_tls": ["!!", "AA==", "AA=="]},
        {"recovered_card": ["AA=="]},
        {"recovered_card": {"card": "AA=="}},
        {"recovered_card": {"card": "AA==", "signatures": [["OTHER", "AA==", "AA=="]]}},
        {"recovered_card": {"card": "AA==", "signatures": [["RECOVERY", "AA=="]]}},
    ],
)
def test_a_keyring_with_a_broken_recovery_is_refused(change):
    data = json.loads(RING.to_bytes())
    with pytest.raises(ConfigInvalid):
        Keyring.from_bytes(json.dumps({**data, **change}).encode())
