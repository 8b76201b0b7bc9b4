"""Laws of sealing and opening, whatever is sealed and whatever comes in."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.crypto.suite1 import MAX_BODY_BYTES, padded_size
from gateway.errors import GatewayError
from gateway.model.envelope import Envelope, MerklePath
from gateway.rpc.convert import WireCodec
from tests.unit.crypto.parties import LA, NOW, TH, VN, Party, envelope_for, item, seal

LAW = settings(deadline=None, derandomize=True)
SENDER, RECIPIENT, THIRD = Party(TH), Party(VN), Party(LA)
OPENER = RECIPIENT.opener()
ENVELOPE = envelope_for(seal(SENDER, [RECIPIENT, THIRD], [item(b"body", ((LA, b""), (VN, b"")))] * 3), 1, VN)
PARTS = ["header", "ciphertext", "record", "signature", "encapsulation"]


def open_(envelope):
    return OPENER.open(envelope, sender=TH, verify_keys=SENDER.verify_keys, now_ms=NOW)


@settings(LAW, max_examples=50)
@given(bodies=st.lists(st.binary(max_size=3000), min_size=1, max_size=20), both=st.lists(st.booleans(), min_size=20))
def test_what_is_sealed_is_what_is_opened(bodies, both):
    recipients = [((VN, b""), (LA, b"")) if two else ((VN, b""),) for two in both]
    items = [item(body, to) for body, to in zip(bodies, recipients, strict=False)]
    batch = seal(SENDER, [RECIPIENT, THIRD], items)
    for index, body in enumerate(bodies):
        opened = open_(envelope_for(batch, index, VN))
        assert opened.body_bytes == body
        assert opened.digest == batch.envelopes[index].digest
    assert len({sealed.digest for sealed in batch.envelopes}) == len(bodies)
    assert len({sealed.signature for sealed in batch.envelopes}) == 1


@settings(LAW, max_examples=300)
@given(part=st.sampled_from(PARTS), data=st.data())
def test_a_changed_part_is_refused_with_a_typed_error(part, data):
    original = getattr(ENVELOPE, part)
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, len(original)))
    changed = original[:start] + data.draw(st.binary(max_size=40)) + original[end:]
    if changed != original:
        with pytest.raises(GatewayError):
            open_(replace(ENVELOPE, **{part: changed}))


@settings(LAW, max_examples=300)
@given(
    path=st.builds(MerklePath, st.integers(-2, 1 << 33), st.integers(-2, 1 << 33), st.binary(max_size=700)),
    part=st.sampled_from(["record_path", "batch_path"]),
)
def test_a_changed_path_is_refused_with_a_typed_error(path, part):
    if path != getattr(ENVELOPE, part):
        with pytest.raises(GatewayError):
            open_(replace(ENVELOPE, **{part: path}))


PATHS = st.builds(MerklePath, st.integers(0, 8), st.integers(0, 8), st.binary(max_size=96))


@settings(LAW, max_examples=300)
@given(
    st.builds(
        Envelope,
        header=st.one_of(st.binary(max_size=300), st.just(ENVELOPE.header)),
        ciphertext=st.binary(max_size=200),
        record=st.one_of(st.binary(max_size=300), st.just(ENVELOPE.record)),
        record_path=PATHS,
        batch_path=PATHS,
        signature=st.binary(max_size=80),
        encapsulation=st.binary(max_size=60),
    )
)
def test_rubbish_is_refused_with_a_typed_error(envelope):
    with pytest.raises(GatewayError):
        open_(envelope)
    with contextlib.suppress(GatewayError):
        assert len(OPENER.digest_of(envelope)) == 32


@LAW
@given(st.integers(36, MAX_BODY_BYTES + 36))
def test_padding_is_monotone_idempotent_and_cheap(size):
    padded = padded_size(size)
    assert size <= padded <= size * 1.12 + 1
    assert padded_size(padded) == padded
    assert padded_size(size - 1) <= padded


def test_the_codec_here_is_the_real_one():
    assert WireCodec().encode_header(open_(ENVELOPE).header) == ENVELOPE.header
