"""What is stored opens only with its own key, in its own place."""

import pytest

from gateway.crypto import at_rest
from gateway.crypto.at_rest import (
    new_message_key,
    open_content,
    open_held,
    open_record,
    open_stored_body,
    open_stored_salted,
    open_words,
    seal_content,
    seal_held,
    seal_record,
    seal_words,
    unwrap_message_key,
    wrap_message_key,
)
from gateway.crypto.keys import ContentKey, KeyEncryptionKey
from gateway.errors import StoreCorrupt
from tests.unit.crypto.parties import CODEC, TH, VN, Party, item, seal

KEK = KeyEncryptionKey.from_secret(bytes(32))


def test_content_and_record_come_back():
    key, content_key = new_message_key(), ContentKey.generate()
    assert open_content(key, seal_content(key, content_key, b"ciphertext", b"record")) == (
        content_key,
        b"ciphertext",
        b"record",
    )
    assert open_content(key, seal_content(key, content_key, b"")) == (content_key, b"", b"")
    assert open_record(key, seal_record(key, b"record")) == b"record"


def test_a_dump_shows_neither_content_nor_key():
    key, content_key = new_message_key(), ContentKey.generate()
    sealed = seal_content(key, content_key, b"ciphertext" * 10, b"record")
    assert b"ciphertext" not in sealed
    assert content_key.export_secret() not in sealed
    assert sealed != seal_content(key, content_key, b"ciphertext" * 10, b"record")


def test_a_message_key_is_bound_to_its_message_and_key_encryption_key():
    key = new_message_key()
    wrapped = wrap_message_key(KEK, key, b"th1")
    assert unwrap_message_key(KEK, wrapped, b"th1") == key
    for kek, data, context in (
        (KEK, wrapped, b"th2"),
        (KeyEncryptionKey.generate(), wrapped, b"th1"),
        (KEK, wrapped[:-1], b"th1"),
        (KEK, b"", b"th1"),
    ):
        with pytest.raises(StoreCorrupt):
            unwrap_message_key(kek, data, context)


def test_one_column_cannot_stand_for_another():
    key = new_message_key()
    with pytest.raises(StoreCorrupt):
        open_content(key, seal_record(key, bytes(64)))
    with pytest.raises(StoreCorrupt):
        open_record(key, seal_content(key, ContentKey.generate(), b""))


def test_every_flipped_byte_and_every_cut_is_found():
    key = new_message_key()
    sealed = seal_content(key, ContentKey.generate(), b"ct", b"r")
    for at in range(len(sealed)):
        for damaged in (sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], sealed[:at]):
            with pytest.raises(StoreCorrupt):
                open_content(key, damaged)


def test_a_stored_body_is_checked_against_its_header_again():
    th, vn = Party(TH), Party(VN)
    one, other = seal(th, [vn], [item(b"one"), item(b"other")]).envelopes
    assert open_stored_body(one.content_key, one.header_bytes, one.ciphertext, CODEC) == b"one"
    for key, header, ciphertext in (
        (other.content_key, one.header_bytes, one.ciphertext),
        (one.content_key, other.header_bytes, one.ciphertext),
        (one.content_key, one.header_bytes, other.ciphertext),
        (one.content_key, b"\xff", one.ciphertext),
        (one.content_key, one.header_bytes, b""),
        (one.content_key, one.header_bytes.replace(b"\x08\x01", b"\x08\x02", 1), one.ciphertext),
    ):
        with pytest.raises(StoreCorrupt):
            open_stored_body(key, header, ciphertext, CODEC)


def test_a_message_sealed_again_keeps_its_commitment():
    th, vn = Party(TH), Party(VN)
    first = seal(th, [vn], [item(b"body")]).envelopes[0]
    salt, body = open_stored_salted(first.content_key, first.header_bytes, first.ciphertext, CODEC)
    again = seal(th, [vn], [item(body, salt=salt)]).envelopes[0]
    assert again.header.content_commitment == first.header.content_commitment
    assert again.header.key_commitment != first.header.key_commitment
    assert again.envelope_id != first.envelope_id


def test_what_was_sealed_in_another_form_is_damage():
    key = new_message_key()
    for plaintext in (bytes(35), bytes(32) + b"\x00\x00\x00\x05" + bytes(4)):
        with pytest.raises(StoreCorrupt):
            open_content(key, at_rest._seal(key, plaintext, at_rest._CONTENT))
    with pytest.raises(StoreCorrupt):
        unwrap_message_key(KEK, at_rest._seal(KEK, bytes(31), at_rest._key_context(b"th1")), b"th1")


def test_a_held_draft_and_what_is_said_about_it_open_in_their_places_only():
    key, salt = new_message_key(), b"s" * 32
    assert open_held(key, seal_held(key, salt, b"body")) == (salt, b"body")
    assert open_held(key, seal_held(key, salt, b"")) == (salt, b"")
    assert open_words(key, seal_words(key, b"words", 7), 7) == b"words"
    wrong = (
        lambda: open_held(new_message_key(), seal_held(key, salt, b"body")),
        lambda: open_held(key, seal_held(key, b"short", b"")),
        lambda: open_held(key, seal_record(key, salt + b"body")),
        lambda: open_held(key, b""),
        lambda: open_words(key, seal_words(key, b"words", 7), 8),
        lambda: open_words(key, seal_held(key, salt, b"body"), 7),
    )
    for case in wrong:
        with pytest.raises(StoreCorrupt):
            case()
