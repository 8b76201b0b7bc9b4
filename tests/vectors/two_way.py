"""One ciphertext that XChaCha20-Poly1305 opens under two keys: what the key commitment is there to stop.

Poly1305 is linear in its message once the one-time keys are known, so that one free 16-byte block of ciphertext can be
chosen to make the tags under two keys equal. (Known since "Fast Message Franking", CRYPTO 2018, for other AEADs.)
"""

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from tests.vectors.independent import hchacha20

PRIME = (1 << 130) - 5
HIGH = 1 << 128


def keystream(key: bytes, nonce: bytes, size: int) -> bytes:
    """Return block 0 and what follows of XChaCha20."""
    chacha = algorithms.ChaCha20(hchacha20(key, nonce[:16]), bytes(4) + bytes(4) + nonce[16:])
    return Cipher(chacha, mode=None).encryptor().update(bytes(size))


def one_time_key(key: bytes, nonce: bytes) -> tuple[int, int]:
    block = keystream(key, nonce, 32)
    r = int.from_bytes(block[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    return r, int.from_bytes(block[16:], "little")


def blocks(data: bytes, ciphertext: bytes) -> list[int]:
    padded = b"".join(part + bytes(-len(part) % 16) for part in (data, ciphertext))
    padded += struct.pack("<QQ", len(data), len(ciphertext))
    return [int.from_bytes(padded[at : at + 16], "little") + HIGH for at in range(0, len(padded), 16)]


def polynomial(r: int, values: list[int]) -> int:
    total = 0
    for value in values:
        total = (total + value) * r % PRIME
    return total


def tag_for_both(one: bytes, other: bytes, nonce: bytes, data: bytes, ciphertext: bytes, free: int):
    """Return (ciphertext, tag) valid under both keys, changing only the 16 bytes at `free`; None when there is none.

    `free` is a multiple of 16. Solves h1 + s1 = h2 + s2 (mod 2^128) for the free block, each h linear in it.
    """
    (r1, s1), (r2, s2) = one_time_key(one, nonce), one_time_key(other, nonce)
    start = -(-len(data) // 16)
    values = blocks(data, ciphertext)
    at = start + free // 16
    values[at] = 0
    power = len(values) - at
    a1, a2 = polynomial(r1, values), polynomial(r2, values)
    slope = pow(pow(r1, power, PRIME) - pow(r2, power, PRIME), -1, PRIME)
    for overflow in range(-4, 5):
        block = (s2 - s1 + overflow * HIGH + a2 - a1) * slope % PRIME
        if not HIGH <= block < 2 * HIGH:
            continue
        values[at] = block
        tags = [(polynomial(r, values) + s) % HIGH for r, s in ((r1, s1), (r2, s2))]
        if tags[0] == tags[1]:
            chosen = (block - HIGH).to_bytes(16, "little")
            return ciphertext[:free] + chosen + ciphertext[free + 16 :], tags[0].to_bytes(16, "little")
    return None
