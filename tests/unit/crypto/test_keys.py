"""Keys keep their secrets and their roles."""

import copy
import pickle

import pytest

from gateway.crypto.keys import (
    ContentKey,
    KeyEncryptionKey,
    MessageKey,
    OpenKey,
    SealKey,
    SignKey,
    VerifyKey,
    key_id,
)
from gateway.crypto.mldsa import MLDSASignKey, MLDSAVerifyKey
from gateway.errors import EnvelopeRejected, FieldInvalid

SECRETS = [ContentKey, MessageKey, KeyEncryptionKey, SignKey, OpenKey, MLDSASignKey]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_has_no_textual_form(kind):
    key = kind.generate()
    secret = key.export_secret()
    for text in (repr(key), str(key), f"{key}", f"{key!s:>80}", "%s" % key):  # noqa: UP031
        assert kind.__name__ in text
        assert key.id.hex() in text
        assert secret.hex()[:16] not in text
        assert repr(secret)[2:20] not in text


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_never_serialised_or_copied(kind, leak):
    with pytest.raises(TypeError):
        leak(kind.generate())


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_has_no_other_attributes(kind):
    key = kind.generate()
    with pytest.raises(AttributeError):
        key.note = "x"
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_survives_export(kind):
    key = kind.generate()
    again = kind.from_secret(key.export_secret())
    assert again == key
    assert hash(again) == hash(key)
    assert again.id == key.id
    assert kind.generate() != key


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_secret_of_another_length_is_refused(kind, change):
    size = len(kind.generate().export_secret())
    with pytest.raises(FieldInvalid):
        kind.from_secret(bytes(size + change))


def test_secrets_of_different_roles_are_never_equal():
    secret = bytes(32)
    kinds = [ContentKey, MessageKey, KeyEncryptionKey, SignKey]
    assert all(one(secret) != other(secret) for one in kinds for other in kinds if one is not other)


def test_a_key_id_is_the_start_of_the_hash_of_the_public_key():
    key = SignKey.from_secret(bytes(32))
    assert key.id == key.verify_key.id == key_id(key.verify_key.public)
    assert key.verify_key.public.hex() == "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"


def test_a_signature_verifies_only_for_its_message_and_key():
    key = SignKey.generate()
    signature = key.sign(b"message")
    key.verify_key.verify(b"message", signature)
    for message, wrong in (
        (b"massage", signature),
        (b"message", bytes(64)),
        (b"message", signature[:63]),
        (b"message", signature + b"\x00"),
        (b"message", b""),
        (b"message", SignKey.generate().sign(b"message")),
    ):
        with pytest.raises(EnvelopeRejected) as caught:
            key.verify_key.verify(message, wrong)
        assert caught.value.step == "signature"


# Encodings of points of order 1, 2, 4 and 8, and one that is not on the curve.
LOW_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0200000000000000000000000000000000000000000000000000000000000000",
    "ff" * 32,
]


@pytest.mark.parametrize("public", LOW_ORDER)
def test_a_point_that_verifies_what_nobody_signed_is_refused(public):
    with pytest.raises(FieldInvalid):
        VerifyKey(bytes.fromhex(public))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_verify_key_of_another_length_is_refused(size):
    with pytest.raises(FieldInvalid):
        VerifyKey(bytes(size))


def test_an_encapsulated_secret_opens_only_with_its_key_and_info():
    key = OpenKey.generate()
    sealed = key.seal_key.encapsulate(b"s" * 32, b"info")
    assert len(sealed) == 1168
    assert key.decapsulate(sealed, b"info") == b"s" * 32
    for other, data, info in (
        (OpenKey.generate(), sealed, b"info"),
        (key, sealed, b"other"),
        (key, sealed[:-1], b"info"),
        (key, sealed + b"\x00", b"info"),
        (key, b"", b"info"),
        (key, bytes(1168), b"info"),
        (key, bytes(1088) + sealed[1088:], b"info"),
        (key, sealed[:1088] + bytes(32) + sealed[1120:], b"info"),
    ):
        with pytest.raises(EnvelopeRejected) as caught:
            other.decapsulate(data, info)
        assert caught.value.step == "encapsulation"


def test_a_seal_key_that_cannot_be_used_is_refused():
    public = OpenKey.generate().seal_key.public
    # X25519 of low order; ML-KEM coefficients beyond the modulus; wrong lengths.
    for bad in (public[:1184] + bytes(32), b"\xff" * 1184 + public[1184:], public[:-1], public + b"\x00", b""):
        with pytest.raises(FieldInvalid):
            SealKey(bad)


def test_public_keys_are_values():
    key = OpenKey.generate().seal_key
    assert SealKey(key.public) == key
    assert hash(SealKey(key.public)) == hash(key)
    verify = SignKey.generate().verify_key
    assert VerifyKey(verify.public) == verify
    assert len({verify, VerifyKey(verify.public)}) == 1
    assert verify != key


def test_public_keys_are_shown_by_their_id():
    key = OpenKey.generate().seal_key
    verify = SignKey.generate().verify_key
    assert repr(key) == f"SealKey({key.id.hex()})"
    assert repr(verify) == f"VerifyKey({verify.id.hex()})"


def test_a_post_quantum_signature_is_of_one_key_and_one_message():
    key = MLDSASignKey.from_secret(b"\x01" * 32)
    signature = key.sign(b"message")
    again = MLDSAVerifyKey(key.verify_key.public)
    assert again == key.verify_key
    assert again.id == key.id
    again.verify(b"message", signature)
    for message, bad in ((b"massage", signature), (b"message", signature[:-1]), (b"message", bytes(2420))):
        with pytest.raises(EnvelopeRejected):
            again.verify(message, bad)
    with pytest.raises(EnvelopeRejected):
        MLDSASignKey.generate().verify_key.verify(b"message", signature)
    with pytest.raises(FieldInvalid):
        MLDSAVerifyKey(bytes(1311))
