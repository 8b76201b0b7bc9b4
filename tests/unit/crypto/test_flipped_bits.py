"""No bit of an envelope can change without the envelope being refused, by a typed error."""

from dataclasses import replace

import pytest

from gateway.errors import GatewayError
from tests.unit.crypto.parties import LA, NOW, TH, VN, Party, envelope_for, item, seal

SENDER, RECIPIENT, THIRD = Party(TH), Party(VN), Party(LA)
ITEMS = [item(b"body", ((LA, b""), (VN, b"\x01" * 32))) for _ in range(3)]
ENVELOPE = envelope_for(seal(SENDER, [RECIPIENT, THIRD], ITEMS), 1, VN)
OPENER = RECIPIENT.opener()


def open_(envelope):
    return OPENER.open(envelope, sender=TH, verify_keys=SENDER.verify_keys, now_ms=NOW)


def flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def test_the_envelope_opens_as_it_is():
    assert open_(ENVELOPE).body_bytes == b"body"


@pytest.mark.parametrize("part", ["header", "ciphertext", "record", "signature", "encapsulation"])
def test_a_flipped_bit_is_refused(part):
    data = getattr(ENVELOPE, part)
    # Encapsulations are long and uniform: one bit of every byte, another one each time.
    bits = range(len(data) * 8) if part != "encapsulation" else [at * 8 + at % 8 for at in range(len(data))]
    for bit in bits:
        with pytest.raises(GatewayError):
            open_(replace(ENVELOPE, **{part: flipped(data, bit)}))


@pytest.mark.parametrize("part", ["record_path", "batch_path"])
def test_a_flipped_bit_of_a_path_is_refused(part):
    path = getattr(ENVELOPE, part)
    changed = [replace(path, hashes=flipped(path.hashes, bit)) for bit in range(len(path.hashes) * 8)]
    changed += [replace(path, index=path.index ^ 1 << bit) for bit in range(32)]
    changed += [replace(path, size=path.size ^ 1 << bit) for bit in range(32)]
    for other in changed:
        with pytest.raises(GatewayError):
            open_(replace(ENVELOPE, **{part: other}))


@pytest.mark.parametrize("part", ["header", "ciphertext", "record", "signature", "encapsulation"])
def test_a_part_cut_or_lengthened_anywhere_is_refused(part):
    data = getattr(ENVELOPE, part)
    for other in (*(data[:at] for at in range(0, len(data), 7)), data + b"\x00", b"\x00" + data):
        with pytest.raises(GatewayError):
            open_(replace(ENVELOPE, **{part: other}))
