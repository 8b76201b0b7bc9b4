"""Laws of frames, trees and receipts."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.crypto.at_rest import open_content, seal_content
from gateway.crypto.cards import fingerprint, same_fingerprint
from gateway.crypto.framing import pae
from gateway.crypto.keys import ContentKey, MessageKey, SignKey
from gateway.crypto.merkle import leaf_hash, node_hash, root, root_and_paths, root_from_path
from gateway.crypto.receipts import sign_receipts, verify_proof, verify_receipts
from gateway.errors import EnvelopeRejected, GatewayError
from gateway.model.envelope import MerklePath, Outcome, Receipt, ReceiptProof
from tests.unit.crypto.parties import CODEC, TH

LAW = settings(deadline=None, derandomize=True)
KEY = SignKey.from_secret(bytes(32))
FRAMES = st.tuples(st.text(alphabet="abc/", max_size=4), st.lists(st.binary(max_size=4), max_size=4))


@LAW
@given(FRAMES, FRAMES)
def test_different_fields_never_have_the_same_frame(one, other):
    assert (pae(one[0], *one[1]) == pae(other[0], *other[1])) == (one == other)


def definition(leaves):
    """RFC 6962 section 2.1, word for word."""
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(definition(leaves[:split]), definition(leaves[split:]))


LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


@LAW
@given(LEAVES)
def test_a_tree_is_that_of_rfc_6962(leaves):
    hashes = [leaf_hash(leaf) for leaf in leaves]
    expected, paths = root_and_paths(hashes)
    assert expected == root(hashes) == definition(leaves)
    for index, path in enumerate(paths):
        assert (path.index, path.size) == (index, len(leaves))
        assert root_from_path(hashes[index], path) == expected


@LAW
@given(LEAVES, st.data())
def test_no_other_leaf_or_path_leads_to_the_root(leaves, data):
    hashes = [leaf_hash(leaf) for leaf in leaves]
    expected, paths = root_and_paths(hashes)
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(
        st.builds(
            MerklePath,
            st.integers(0, len(leaves)),
            st.just(len(leaves)),
            st.one_of(st.just(paths[index].hashes), st.binary(max_size=260)),
        )
    )
    leaf = data.draw(st.sampled_from(hashes))
    try:
        reached = root_from_path(leaf, other)
    except EnvelopeRejected:
        return
    assert (reached == expected) == (other == paths[other.index] and leaf == hashes[other.index])


RECEIPTS = st.lists(
    st.builds(
        Receipt,
        envelope_digest=st.binary(min_size=32, max_size=32),
        outcome=st.sampled_from(Outcome),
        time_ms=st.integers(0, 4_000_000_000_000),
        reason=st.sampled_from(["", "EXPIRED", "KEY_RETIRED"]),
        log_position=st.integers(0, 2**63),
        log_leaf=st.one_of(st.just(b""), st.binary(min_size=32, max_size=32)),
    ),
    min_size=1,
    max_size=30,
)


@settings(LAW, max_examples=50)
@given(RECEIPTS)
def test_receipts_come_back_in_order_together_and_alone(receipts):
    batch, proofs = sign_receipts(receipts, issuer=TH, sign_key=KEY, codec=CODEC)
    assert [receipt for receipt, _ in verify_receipts(batch, KEY.verify_key, CODEC)] == receipts
    assert [verify_proof(proof, KEY.verify_key, CODEC) for proof in proofs] == receipts


@settings(LAW, max_examples=100)
@given(
    st.builds(
        ReceiptProof,
        issuer=st.just(TH),
        signing_key_id=st.one_of(st.just(KEY.id), st.binary(max_size=9)),
        receipt=st.binary(max_size=300),
        path=st.builds(MerklePath, st.integers(-1, 9), st.integers(-1, 9), st.binary(max_size=100)),
        signature=st.binary(max_size=70),
    )
)
def test_a_rubbish_proof_is_refused_with_a_typed_error(proof):
    with pytest.raises(GatewayError):
        verify_proof(proof, KEY.verify_key, CODEC)


@LAW
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_what_is_stored_comes_back(ciphertext, record):
    key, content_key = MessageKey(bytes(32)), ContentKey(b"\x01" * 32)
    assert open_content(key, seal_content(key, content_key, ciphertext, record)) == (content_key, ciphertext, record)


@LAW
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.text(alphabet=" -", max_size=3))
def test_fingerprints_are_equal_for_equal_keys_only(one, other, noise):
    assert same_fingerprint(fingerprint(one), noise.join(fingerprint(one))) is True
    assert same_fingerprint(fingerprint(one), fingerprint(other)) is (one == other)


@LAW
@given(st.text(max_size=60))
def test_a_fingerprint_typed_wrong_raises_nothing(text):
    assert same_fingerprint(text, fingerprint(hashlib.sha256(b"x").digest())) is False
