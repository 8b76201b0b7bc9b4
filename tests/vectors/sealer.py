"""What vectors are made with: deterministic randomness, sealing, and sealing as no honest sender does."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from concord.v1 import envelope_pb2

from gateway.crypto import suite1
from gateway.crypto.digests import batch_frame, envelope_digest
from gateway.crypto.envelope import SealedBatch, SealingItem, seal_batch
from gateway.crypto.keys import OpenKey, SealKey, SignKey
from gateway.crypto.merkle import leaf_hash, root, root_and_paths, root_from_path
from gateway.ids import BatchId, MessageId, PartnerId, ThreadId
from gateway.model.envelope import Envelope, MerklePath
from gateway.model.header import Header, Kind, Mode, Urgency
from gateway.rpc.convert import WireCodec

NOW = 1_795_000_000_000
HOUR = 3_600_000
TH, VN, LA, KH, MM, CN = (PartnerId(code) for code in ("th", "vn", "la", "kh", "mm", "cn"))
CODEC = WireCodec()


def seed(name: str, size: int = 32) -> bytes:
    return hashlib.shake_256(b"concord test vector " + name.encode()).digest(size)


SENDER = SignKey.from_secret(seed("sender"))
STRANGER = SignKey.from_secret(seed("stranger"))
OPEN = {partner: OpenKey.from_secret(seed(f"open {partner}", 96)) for partner in (VN, LA, KH, MM, CN)}
NEWER = OpenKey.from_secret(seed("open vn newer", 96))


class Source:
    """A deterministic random source, and encapsulations from the file."""

    def __init__(self, name: str, encapsulations: dict[str, str], renew: bool) -> None:
        self.secrets: list[bytes] = []
        self._name, self._count = name, 0
        self._encapsulations, self._renew = encapsulations, renew

    def entropy(self, size: int) -> bytes:
        self._count += 1
        return seed(f"{self._name} {self._count}", size)

    def new_id(self, now_ms: int) -> bytes:
        random = bytearray(self.entropy(10))
        random[0] = random[0] & 0x0F | 0x70
        random[2] = random[2] & 0x3F | 0x80
        return now_ms.to_bytes(6, "big") + bytes(random)

    def encapsulate(self, seal_key: SealKey, secret: bytes, info: bytes) -> bytes:
        self.secrets.append(secret)
        at = hashlib.sha256(seal_key.public + secret + info).hexdigest()
        if at not in self._encapsulations and self._renew:
            self._encapsulations[at] = seal_key.encapsulate(secret, info).hex()
        return bytes.fromhex(self._encapsulations[at])


@dataclass
class Case:
    """One vector on its way to JSON."""

    comment: str
    envelope: Envelope
    expect: str = "ok"
    step: str = ""
    now_ms: int = NOW
    sender: PartnerId = TH
    recipient: PartnerId = VN
    sign_keys: tuple[SignKey, ...] = (SENDER,)
    open_keys: tuple[OpenKey, ...] = (OPEN[VN],)
    retired: tuple[bytes, ...] = ()
    opened: dict[str, bytes] | None = None
    content_keys: tuple[bytes, ...] = ()


def to_json(case: Case) -> dict[str, object]:
    def path(value: MerklePath) -> dict[str, object]:
        return {"index": value.index, "size": value.size, "hashes": value.hashes.hex()}

    def long(data: bytes) -> object:
        if len(data) > 100_000 and len(set(data)) == 1:
            return {"repeat": data[:1].hex(), "count": len(data)}
        return data.hex()

    envelope = case.envelope
    result: dict[str, object] = {
        "comment": case.comment,
        "expect": case.expect,
        "step": case.step,
        "now_ms": case.now_ms,
        "sender": case.sender.code,
        "recipient": case.recipient.code,
        "sign_seeds": [key.export_secret().hex() for key in case.sign_keys],
        "open_secrets": [key.export_secret().hex() for key in case.open_keys],
        "retired": [key_id.hex() for key_id in case.retired],
        "envelope": {
            "header": envelope.header.hex(),
            "ciphertext": long(envelope.ciphertext),
            "record": envelope.record.hex(),
            "record_path": path(envelope.record_path),
            "batch_path": path(envelope.batch_path),
            "signature": envelope.signature.hex(),
            "encapsulation": envelope.encapsulation.hex(),
        },
    }
    if case.opened is not None:
        result["opened"] = {name: value.hex() for name, value in case.opened.items()}
    if case.content_keys:
        result["content_keys"] = [key.hex() for key in case.content_keys]
    return result


class Maker:
    """Makes the vectors, each from a source of its own so that one more changes no other."""

    def __init__(self, encapsulations: dict[str, str], *, renew: bool = False) -> None:
        self._encapsulations, self._renew = encapsulations, renew

    def source(self, name: str) -> Source:
        return Source(name, self._encapsulations, self._renew)

    def item(self, source: Source, body: bytes = b"body", recipients=((VN, b""),), **changes) -> SealingItem:
        message_id = MessageId(source.new_id(NOW))
        values = {
            "message_id": message_id,
            "kind": Kind.ALERT,
            "thread_id": ThreadId(message_id.raw),
            "in_reply_to": None,
            "supersedes": None,
            "mode": Mode.TEST,
            "urgency": Urgency.U1,
            "create_ms": NOW,
            "expire_ms": NOW + HOUR,
            "body_bytes": body,
            "recipients": tuple(recipients),
        }
        return SealingItem(**{**values, **changes})

    def seal(self, source: Source, *items: SealingItem, keys: dict[PartnerId, SealKey] | None = None) -> SealedBatch:
        return seal_batch(
            items,
            sender=TH,
            sign_key=SENDER,
            seal_keys=keys or {partner: key.seal_key for partner, key in OPEN.items()},
            codec=CODEC,
            now_ms=NOW,
            entropy=source.entropy,
            new_id=source.new_id,
            encapsulate=source.encapsulate,
        )

    def simple(self, name: str, **changes) -> tuple[Source, SealedBatch]:
        source = self.source(name)
        return source, self.seal(source, self.item(source, **changes))


def envelope_for(batch: SealedBatch, index: int, partner: PartnerId) -> Envelope:
    sealed = batch.envelopes[index]
    record = next(record for record in sealed.records if record.partner == partner)
    return Envelope(
        header=sealed.header_bytes,
        ciphertext=sealed.ciphertext,
        record=record.record_bytes,
        record_path=record.path,
        batch_path=sealed.batch_path,
        signature=sealed.signature,
        encapsulation=batch.encapsulations[record.encapsulation_digest],
    )


def good(comment: str, source: Source, batch: SealedBatch, index: int = 0, partner: PartnerId = VN, **changes) -> Case:
    """Return a case that opens, with every value met on the way."""
    envelope, sealed = envelope_for(batch, index, partner), batch.envelopes[index]
    content_key = sealed.content_key.export_secret()
    salt, body = suite1.open_content(
        content_key,
        sealed.ciphertext,
        sealed.header_bytes,
        key_committed=sealed.header.key_commitment,
        content_committed=sealed.header.content_commitment,
    )
    order = list(dict.fromkeys(to for item in batch.envelopes for to, _ in item.item.recipients))
    opened = {
        "body": body,
        "salt": salt,
        "content_key": content_key,
        "batch_secret": source.secrets[order.index(partner)],
        "records_root": root_from_path(leaf_hash(envelope.record), envelope.record_path),
        "digest": sealed.digest,
        "batch_root": root([leaf_hash(one.digest) for one in batch.envelopes]),
    }
    return Case(comment, envelope, recipient=partner, open_keys=(OPEN[partner],), opened=opened, **changes)


def signed_again(envelope: Envelope, **parts: bytes) -> Envelope:
    """Return what a malicious partner sends: other parts, signed correctly, alone in their trees."""
    changed = replace(envelope, **parts)
    records_root, (record_path,) = root_and_paths([leaf_hash(changed.record)])
    digest = envelope_digest(changed.header, changed.ciphertext, 1, records_root)
    batch_root, (batch_path,) = root_and_paths([leaf_hash(digest)])
    signature = SENDER.sign(batch_frame(TH, batch_root, 1))
    return replace(changed, record_path=record_path, batch_path=batch_path, signature=signature)


def sealed_by_hand(
    source: Source,
    header: Header,
    batch_id: BatchId,
    *,
    plaintext: bytes = b"",
    ciphertext: Callable[[bytes], bytes] | None = None,
    key_committed: bytes = seed("content key"),
    key_wrapped: bytes = seed("content key"),
    info_sender: PartnerId = TH,
    content_committed: bytes | None = None,
    suite: int = 1,
) -> Envelope:
    """Return a correctly signed envelope that no honest sender makes."""
    salt, length = plaintext[:32], int.from_bytes(plaintext[32:36], "big")
    header = replace(
        header,
        suite=suite,
        key_commitment=suite1.key_commitment(key_committed),
        content_commitment=content_committed or suite1.content_commitment(salt, plaintext[36 : 36 + length]),
    )
    header_bytes = CODEC.encode_header(header)
    nonce = source.entropy(24)
    sealed = (
        ciphertext(header_bytes) if ciphertext else nonce + suite1._encrypt(plaintext, header_bytes, nonce, key_wrapped)
    )
    secret = source.entropy(32)
    encapsulation = source.encapsulate(OPEN[VN].seal_key, secret, suite1.encapsulation_info(info_sender, VN, batch_id))
    info = suite1.wrap_info(header.envelope_id, hashlib.sha256(header_bytes).digest())
    record = envelope_pb2.RecipientRecord(
        recipient="vn",
        seal_key_id=OPEN[VN].id,
        batch_id=batch_id.raw,
        encapsulation_digest=hashlib.sha256(encapsulation).digest(),
        wrapped_key=suite1.wrap_key(suite1.extract(secret), info, key_wrapped),
    )
    empty = MerklePath(0, 1, b"")
    return signed_again(
        Envelope(
            header=header_bytes,
            ciphertext=sealed,
            record=record.SerializeToString(deterministic=True),
            record_path=empty,
            batch_path=empty,
            signature=bytes(64),
            encapsulation=encapsulation,
        )
    )
