"""Every vector gets the answer it expects, from this gateway and from an opener that shares no code with it."""

import json
from pathlib import Path

import pytest
from nacl import bindings

from gateway.crypto.envelope import EnvelopeOpener
from gateway.crypto.keys import OpenKey, SignKey
from gateway.errors import EnvelopeRejected, GatewayError
from gateway.ids import PartnerId
from gateway.model.envelope import Envelope, MerklePath
from gateway.rpc.convert import WireCodec
from tests.vectors import independent, make_vectors

FOLDER = Path(__file__).parent / "envelope"
FILES = sorted(FOLDER.glob("*.json"))
CODEC = WireCodec()
REQUIRED = {
    "comment",
    "expect",
    "step",
    "now_ms",
    "sender",
    "recipient",
    "sign_seeds",
    "open_secrets",
    "retired",
    "envelope",
}
OPENED = {"body", "salt", "content_key", "batch_secret", "records_root", "digest", "batch_root"}


def reasons() -> set[str]:
    found, classes = {"ok"}, [GatewayError]
    while classes:
        classes += (kind := classes.pop()).__subclasses__()
        found.add(kind.reason)
    return found - {""}


def data(value) -> bytes:
    return bytes.fromhex(value["repeat"]) * value["count"] if isinstance(value, dict) else bytes.fromhex(value)


def load(file: Path) -> dict:
    vector = json.loads(file.read_text())
    assert set(vector) - {"opened", "content_keys"} == REQUIRED
    assert vector["expect"] in reasons()
    assert ("opened" in vector) == (vector["expect"] == "ok")
    assert (vector["step"] != "") == (vector["expect"] == "ENVELOPE_REJECTED")
    assert vector["comment"]
    return vector


def envelope_of(vector: dict) -> Envelope:
    raw = vector["envelope"]
    paths = {
        name: MerklePath(raw[name]["index"], raw[name]["size"], bytes.fromhex(raw[name]["hashes"]))
        for name in ("record_path", "batch_path")
    }
    parts = {name: data(value) for name, value in raw.items() if name not in paths}
    return Envelope(**parts, **paths)


def opener_of(vector: dict) -> EnvelopeOpener:
    keys = [OpenKey.from_secret(bytes.fromhex(secret)) for secret in vector["open_secrets"]]
    retired = [bytes.fromhex(key_id) for key_id in vector["retired"]]
    return EnvelopeOpener(PartnerId(vector["recipient"]), {key.id: key for key in keys}, retired, CODEC)


def open_with(opener: EnvelopeOpener, vector: dict):
    keys = {}
    for seed in vector["sign_seeds"]:
        key = SignKey.from_secret(bytes.fromhex(seed)).verify_key
        keys[key.id] = key

    def verify_keys(key_id):
        if key_id not in keys:
            raise EnvelopeRejected("signing key")
        return keys[key_id]

    return opener.open(
        envelope_of(vector), sender=PartnerId(vector["sender"]), verify_keys=verify_keys, now_ms=vector["now_ms"]
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_this_gateway_answers_as_expected(file):
    vector = load(file)
    opener = opener_of(vector)
    # Twice: what is remembered from the first time must not change the answer.
    for _ in range(2):
        if vector["expect"] != "ok":
            with pytest.raises(GatewayError) as caught:
                open_with(opener, vector)
            assert caught.value.reason == vector["expect"]
            assert getattr(caught.value, "step", "") == vector["step"]
            continue
        opened = open_with(opener, vector)
        assert set(vector["opened"]) == OPENED
        assert opened.body_bytes.hex() == vector["opened"]["body"]
        assert opened.digest.hex() == vector["opened"]["digest"]
        assert opened.content_key.export_secret().hex() == vector["opened"]["content_key"]
        assert CODEC.encode_header(opened.header) == opened.header_bytes
        assert CODEC.encode_record(opened.record) == opened.envelope.record


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_independent_opener_answers_as_expected(file):
    vector = load(file)
    envelope = {
        name: (value["index"], value["size"], bytes.fromhex(value["hashes"])) if "index" in value else data(value)
        for name, value in vector["envelope"].items()
    }
    how = {
        "sender": vector["sender"],
        "recipient": vector["recipient"],
        "sign_seeds": [bytes.fromhex(seed) for seed in vector["sign_seeds"]],
        "open_secrets": [bytes.fromhex(secret) for secret in vector["open_secrets"]],
        "retired": {bytes.fromhex(key_id) for key_id in vector["retired"]},
        "now_ms": vector["now_ms"],
    }
    if vector["expect"] == "ok":
        opened = independent.open_envelope(envelope, **how)
        assert {name: getattr(opened, name).hex() for name in OPENED} == vector["opened"]
        return
    with pytest.raises(independent.Refused) as caught:
        independent.open_envelope(envelope, **how)
    assert (caught.value.reason, caught.value.step) == (vector["expect"], vector["step"])


def test_the_two_way_ciphertext_really_opens_both_ways():
    vector = load(FOLDER / "two_way_opening.json")
    envelope = envelope_of(vector)
    first, second = (
        bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            envelope.ciphertext[24:], envelope.header, envelope.ciphertext[:24], bytes.fromhex(key)
        )
        for key in vector["content_keys"]
    )
    assert first != second
    assert b"For one recipient this is a warning" in first


def test_the_files_are_what_the_generator_makes():
    encapsulations = json.loads(make_vectors.ENCAPSULATIONS.read_text())
    assert make_vectors.make(encapsulations) == {file.name: file.read_text() for file in FILES}


def test_there_are_vectors_for_every_answer_an_opener_gives():
    answers = {load(file)["expect"] for file in FILES}
    assert answers >= {
        "ok",
        "ENVELOPE_REJECTED",
        "SUITE_UNKNOWN",
        "KEY_RETIRED",
        "EXPIRED",
        "CLOCK_SKEWED",
        "FIELD_INVALID",
        "MESSAGE_MALFORMED",
        "MESSAGE_TOO_LARGE",
    }
    assert len(FILES) >= 25
