"""A second opener, written from docs/reference/envelope.md alone: shares no code with gateway.crypto.

Of cryptography it uses only single primitives (SHA-2, SHA-3, HMAC, ML-KEM-768, X25519, Ed25519, ChaCha20-Poly1305);
HPKE, XChaCha20 and the trees are spelled out, as they would be in another language. It answers `ok` or a reason.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass

from concord.v1 import envelope_pb2
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from google.protobuf.message import DecodeError

MINUTE, DAY = 60_000, 86_400_000


class Refused(Exception):
    """Carries the reason, and where in the specification it was found."""

    def __init__(self, reason, step=""):
        super().__init__(reason, step)
        self.reason, self.step = reason, step


def rejected(step):
    return Refused("ENVELOPE_REJECTED", step)


@dataclass
class Opened:
    digest: bytes
    body: bytes
    salt: bytes
    content_key: bytes
    batch_secret: bytes
    records_root: bytes
    batch_root: bytes


def sha256(data):
    return hashlib.sha256(data).digest()


def u32(value):
    return struct.pack(">I", value)


def u64(value):
    return struct.pack(">Q", value)


def frame(label, *parts):
    fields = [label.encode(), *parts]
    return u32(len(fields)) + b"".join(u32(len(part)) + part for part in fields)


def hkdf(secret, info):
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), info + b"\x01", "sha256")


def root_of(leaf, index, size, hashes):
    """RFC 9162 section 2.1.3.2, as recursion over the definition of the tree."""
    if not 0 <= index < size <= 1 << 20 or len(hashes) % 32:
        raise rejected("path")
    path = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]

    def climb(index, size):
        if size == 1:
            return sha256(b"\x00" + leaf)
        split = 1 << (size - 1).bit_length() - 1
        if index < split:
            left = climb(index, split)
            right = path.pop(0) if path else None
        else:
            right = climb(index - split, size - split)
            left = path.pop(0) if path else None
        if left is None or right is None:
            raise rejected("path")
        return sha256(b"\x01" + left + right)

    root = climb(index, size)
    if path:
        raise rejected("path")
    return root


def rotate(value, bits):
    return (value << bits | value >> 32 - bits) & 0xFFFFFFFF


def hchacha20(key, nonce16):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce16))

    def quarter(a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            state[z] = rotate(state[z] ^ state[x], bits)

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def xchacha_open(key, nonce, sealed, data):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])).decrypt(bytes(4) + nonce[16:], sealed, data)


def hpke_open(secret, encapsulation, info):
    """RFC 9180 base mode; KEM 0x647a (X-Wing), KDF 0x0001, AEAD 0x0003."""
    post_quantum = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[:64])
    exchange = x25519.X25519PrivateKey.from_private_bytes(secret[64:])
    sealed_pq, sealed_x, sealed = encapsulation[:1088], encapsulation[1088:1120], encapsulation[1120:]
    try:
        shared_x = exchange.exchange(x25519.X25519PublicKey.from_public_bytes(sealed_x))
    except ValueError:
        raise rejected("encapsulation") from None
    shared = hashlib.sha3_256(
        post_quantum.decapsulate(sealed_pq)
        + shared_x
        + sealed_x
        + exchange.public_key().public_bytes_raw()
        + bytes.fromhex("5c2e2f2f5e5c")
    ).digest()
    suite = b"HPKE" + bytes.fromhex("647a 0001 0003")

    def extract(salt, label, value):
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + value, "sha256")

    def expand(key, label, context, size):
        info = struct.pack(">H", size) + b"HPKE-v1" + suite + label + context
        return hmac.digest(key, info + b"\x01", "sha256")[:size]

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    key = extract(shared, b"secret", b"")
    try:
        return ChaCha20Poly1305(expand(key, b"key", context, 32)).decrypt(
            expand(key, b"base_nonce", context, 12), sealed, b""
        )
    except InvalidTag:
        raise rejected("encapsulation") from None


def padded(size):
    exponent = size.bit_length() - 1
    low = exponent - exponent.bit_length()
    return -(-size >> low) << low


def key_id(public):
    return sha256(public)[:8]


def parse(kind, data):
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise Refused("MESSAGE_MALFORMED") from None
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise Refused("MESSAGE_MALFORMED")
    return message


def open_key_id(secret):
    public = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[:64]).public_key().public_bytes_raw()
    return key_id(public + x25519.X25519PrivateKey.from_private_bytes(secret[64:]).public_key().public_bytes_raw())


def open_envelope(envelope, *, sender, recipient, sign_seeds, open_secrets, retired, now_ms):
    """The steps of docs/reference/envelope.md, "Opening", under their numbers."""
    # 1
    for part, largest in (("header", 1024), ("ciphertext", 2097152), ("record", 512), ("encapsulation", 1168)):
        if len(envelope[part]) > largest:
            raise Refused("MESSAGE_TOO_LARGE")
    # 2
    header = parse(envelope_pb2.Header, envelope["header"])
    # 3
    if header.suite != 1:
        raise Refused("SUITE_UNKNOWN")
    # 4
    if header.sender != sender:
        raise rejected("sender")
    publics = [ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key() for seed in sign_seeds]
    keys = {key_id(public.public_bytes_raw()): public for public in publics}
    if header.signing_key_id not in keys:
        raise rejected("signing key")
    # 5
    records_root = root_of(envelope["record"], *envelope["record_path"])
    digest = sha256(
        frame(
            "concord/envelope/v1",
            envelope["header"],
            sha256(envelope["ciphertext"]),
            u64(envelope["record_path"][1]),
            records_root,
        )
    )
    batch_root = root_of(digest, *envelope["batch_path"])
    signed = frame("concord/envelope-batch/v1", sender.encode(), batch_root, u64(envelope["batch_path"][1]))
    try:
        keys[header.signing_key_id].verify(envelope["signature"], signed)
    except InvalidSignature:
        raise rejected("signature") from None
    # 6
    record = parse(envelope_pb2.RecipientRecord, envelope["record"])
    if len(record.previous_digest) not in (0, 32):
        raise Refused("FIELD_INVALID")
    if record.recipient != recipient:
        raise rejected("recipient")
    # 7
    encapsulation = envelope["encapsulation"]
    if len(encapsulation) != 1168 or sha256(encapsulation) != record.encapsulation_digest:
        raise rejected("encapsulation digest")
    # 8
    if record.seal_key_id in retired:
        raise Refused("KEY_RETIRED")
    secrets = {open_key_id(secret): secret for secret in open_secrets}
    if record.seal_key_id not in secrets:
        raise rejected("seal key")
    info = frame("concord/encapsulation/v1", u64(1), sender.encode(), recipient.encode(), record.batch_id)
    batch_secret = hpke_open(secrets[record.seal_key_id], encapsulation, info)
    wrap_key = hkdf(batch_secret, frame("concord/wrap/v1", header.envelope_id, sha256(envelope["header"])))
    try:
        content_key = xchacha_open(wrap_key, bytes(24), record.wrapped_key, b"")
    except InvalidTag:
        raise rejected("wrapped key") from None
    # 9
    if hkdf(content_key, frame("concord/key-commitment/v1")) != header.key_commitment:
        raise rejected("key commitment")
    ciphertext = envelope["ciphertext"]
    try:
        plaintext = xchacha_open(content_key, ciphertext[:24], ciphertext[24:], envelope["header"])
    except InvalidTag:
        raise rejected("content") from None
    end = 36 + int.from_bytes(plaintext[32:36], "big")
    if len(plaintext) < 36 or len(plaintext) != padded(end) or plaintext[end:] != bytes(len(plaintext) - end):
        raise rejected("padding")
    salt, body = plaintext[:32], plaintext[36:end]
    if sha256(frame("concord/content/v1", salt, body)) != header.content_commitment:
        raise rejected("content commitment")
    # 10
    create_ms, expire_ms = header.create_time.ToMilliseconds(), header.expire_time.ToMilliseconds()
    if not 0 < expire_ms - create_ms <= 30 * DAY:
        raise Refused("FIELD_INVALID")
    if create_ms > now_ms + 5 * MINUTE:
        raise Refused("CLOCK_SKEWED")
    if expire_ms <= now_ms:
        raise Refused("EXPIRED")
    return Opened(digest, body, salt, content_key, batch_secret, records_root, batch_root)
