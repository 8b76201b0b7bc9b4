"""Frames are unambiguous."""

from gateway.crypto import framing
from gateway.crypto.framing import number, pae


def test_the_frame_is_count_then_lengths_and_fields():
    assert pae("ab", b"c", b"") == bytes.fromhex("00000003 00000002 6162 00000001 63 00000000")


def test_moving_a_byte_between_parts_changes_the_frame():
    frames = {pae("l", b"ab", b"c"), pae("l", b"a", b"bc"), pae("l", b"abc"), pae("l", b"abc", b""), pae("la", b"bc")}
    assert len(frames) == 5


def test_every_label_is_used_for_one_purpose():
    labels = [value for name, value in vars(framing).items() if name.isupper() and isinstance(value, str)]
    assert len(labels) == len(set(labels)) >= 10
    assert all(label.startswith("concord/") and label.endswith("/v1") for label in labels)


def test_a_count_has_eight_bytes():
    assert number(1) == bytes(7) + b"\x01"
