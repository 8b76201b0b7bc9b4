"""The yardstick must do the work it claims: real processes, real commits, real cryptography."""

import sqlite3
from pathlib import Path

import pytest
from concord.v1 import envelope_pb2
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from tests.bench import workload
from tests.bench.floor import AUTHORITY, RECEIVER, SENDER, Floor
from tests.bench.floor_crypto import Opener, Sealer, make_keys


def test_floor_commits_every_message_and_its_receipt_on_both_sides() -> None:
    with Floor() as floor:
        warm = floor.stored()
        assert floor.streamed(300) > 0
        assert floor.unary(70) > 0
        latencies = floor.latencies_ms(5, pause_s=0.0)
        assert len(latencies) == 5
        assert min(latencies) > 0
        assert floor.stored() == (warm[0] + 375, warm[1] + 375)
        connection = sqlite3.connect(floor.folder / "receiver.db")
        sizes = connection.execute("select min(length(body)), max(length(body)) from message").fetchone()
        connection.close()
        assert sizes == (workload.BODY_BYTES, workload.BODY_BYTES)
        folder = floor.folder
    assert not folder.exists()


@pytest.fixture
def ends(tmp_path: Path) -> tuple[Sealer, Opener, VerifyKey]:
    """A sealer, the opener it seals for, and the key of the opener's receipts."""
    make_keys(tmp_path)
    keys = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    sealer = Sealer(SENDER, RECEIVER, keys["sender.sign"], keys["receiver.seal"])
    opener = Opener(RECEIVER, keys["sender.verify"], keys["receiver.open"], keys["receiver.sign"])
    return sealer, opener, VerifyKey(keys["receiver.verify"])


def test_floor_opens_what_it_sealed_and_signs_a_receipt(ends: tuple[Sealer, Opener, VerifyKey]) -> None:
    sealer, opener, verify = ends
    body = workload.alert_body(AUTHORITY, 7).SerializeToString()
    sealed = sealer.seal(body, envelope_pb2.MODE_EXERCISE, envelope_pb2.URGENCY_U2)
    opened, proof = opener.open(envelope_pb2.Envelope.FromString(sealed.envelope_bytes))
    assert opened == body
    verify.verify(proof.receipt, proof.signature)


@pytest.mark.parametrize("part", ["header", "ciphertext", "record", "signature"])
def test_floor_refuses_a_changed_envelope(ends: tuple[Sealer, Opener, VerifyKey], part: str) -> None:
    sealer, opener, _ = ends
    sealed = sealer.seal(b"body", envelope_pb2.MODE_EXERCISE, envelope_pb2.URGENCY_U2)
    changed = bytearray(getattr(sealed.envelope, part))
    changed[-1] ^= 1
    setattr(sealed.envelope, part, bytes(changed))
    with pytest.raises(CryptoError):
        opener.open(sealed.envelope)


def test_alerts_of_the_bench_differ_and_have_the_size_they_claim() -> None:
    requests = workload.submissions(50, authority=AUTHORITY, recipients=[RECEIVER])
    assert {request.draft.body.ByteSize() for request in requests} == {workload.BODY_BYTES}
    assert len({request.request_id for request in requests}) == 50
    assert len({request.draft.body.SerializeToString() for request in requests}) == 50
