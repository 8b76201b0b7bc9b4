"""Proof files: written in one way, and believed only together with the leaf, the keys and the witnesses asked for."""

import base64

import pytest

from gateway.errors import MessageMalformed, MessageTooLarge, ProofRejected
from gateway.translog.merkle import inclusion_proof
from gateway.translog.note import add_signatures, signature_of
from gateway.translog.proof import HEADER, MAX_EXTRA_BYTES, MAX_PROOF_BYTES, parse_proof, verify_proof, write_proof
from tests.unit.translog.logs import LOG, LOG_PQ, NOW_S, ORIGIN, WITNESSES, MemoryLog

LOG_OF_300 = MemoryLog(300)
KEYS = [LOG.note_key, LOG_PQ.note_key]
INDEX = 259
HASHES = inclusion_proof(LOG_OF_300.tiles, INDEX, 300)
NOTE = LOG_OF_300.checkpoint().note
PROOF = write_proof(INDEX, HASHES, NOTE)


def verify(data, leaf=LOG_OF_300.leaves[INDEX], **more):
    return verify_proof(parse_proof(data), leaf, origin=ORIGIN, log_keys=KEYS, **more)


def test_a_proof_proves_its_entry():
    proven = verify(PROOF)
    assert (proven.index, proven.leaf, proven.checkpoint.note) == (INDEX, LOG_OF_300.leaves[INDEX], NOTE)
    assert PROOF.startswith(f"{HEADER}\nindex 259\n".encode())


def test_every_entry_of_a_small_log_has_its_proof():
    for size in range(1, 9):
        log = MemoryLog(size)
        note = log.checkpoint().note
        for index in range(size):
            data = write_proof(index, inclusion_proof(log.tiles, index, size), note)
            assert verify(data, log.leaves[index]).index == index


def test_it_proves_no_other_entry_place_or_tree():
    with pytest.raises(ProofRejected):
        verify(PROOF, b"other")
    with pytest.raises(ProofRejected):
        verify(write_proof(INDEX - 1, HASHES, NOTE))
    with pytest.raises(ProofRejected):
        verify(write_proof(INDEX, HASHES[:-1], NOTE))
    with pytest.raises(ProofRejected):
        verify(write_proof(INDEX, (*HASHES, bytes(32)), NOTE))
    with pytest.raises(ProofRejected):
        verify(write_proof(INDEX, HASHES, MemoryLog(299).checkpoint().note.replace(b"299", b"300")))
    with pytest.raises(ProofRejected):
        verify(write_proof(INDEX, HASHES, LOG_OF_300.checkpoint([LOG]).note))


def test_witnesses_are_asked_for():
    with pytest.raises(ProofRejected):
        verify(PROOF, witnesses=[signer.note_key for signer in WITNESSES], quorum=1)
    note = add_signatures(NOTE, [signature_of(LOG_OF_300.head.text, WITNESSES[0], NOW_S)])
    proven = verify(write_proof(INDEX, HASHES, note), witnesses=[signer.note_key for signer in WITNESSES], quorum=1)
    assert len(proven.checkpoint.signed) == 3


def test_extra_data_comes_back_and_nothing_vouches_for_it():
    assert parse_proof(write_proof(INDEX, HASHES, NOTE, b"extra")).extra == b"extra"
    assert verify(write_proof(INDEX, HASHES, NOTE, b"anything")) == verify(PROOF)
    with pytest.raises(MessageMalformed):
        write_proof(INDEX, HASHES, NOTE, bytes(MAX_EXTRA_BYTES + 1))


def changed(old, new):
    assert old in PROOF
    return PROOF.replace(old, new, 1)


FIRST = base64.b64encode(HASHES[0])
BAD = {
    "empty": b"",
    "header only": HEADER.encode() + b"\n",
    "other version": changed(b"@v1", b"@v2"),
    "byte order mark": b"\xef\xbb\xbf" + PROOF,
    "line before": b"\n" + PROOF,
    "no index": changed(b"index 259\n", b""),
    "two indexes": changed(b"index 259\n", b"index 259\nindex 259\n"),
    "leading zero": changed(b"index 259", b"index 0259"),
    "underscore": changed(b"index 259", b"index 2_59"),
    "two spaces": changed(b"index 259", b"index  259"),
    "space after": changed(b"index 259", b"index 259 "),
    "negative": changed(b"index 259", b"index -1"),
    "other digits": changed(b"index 259", "index ٢".encode()),
    "index outside the tree": changed(b"index 259", b"index 300"),
    "carriage returns": PROOF.replace(b"\n", b"\r\n"),
    "junk in a hash": changed(FIRST, b"!" + FIRST),
    "short hash": changed(FIRST, base64.b64encode(HASHES[0][:31])),
    "long hash": changed(FIRST, base64.b64encode(HASHES[0] + b"x")),
    "no padding": changed(FIRST, FIRST.rstrip(b"=")),
    "space in a hash": changed(FIRST, FIRST + b" "),
    "too many hashes": changed(FIRST, b"\n".join([FIRST] * 64)),
    "no blank line": changed(b"\n\n", b"\n"),
    "two blank lines": changed(b"\n\n", b"\n\n\n"),
    "no checkpoint": PROOF.partition(b"\n\n")[0] + b"\n\n",
    "unsigned checkpoint": PROOF[: PROOF.rindex(b"\n\n") + 1],
    "malformed checkpoint": changed(b"\n300\n", b"\n0300\n"),
    "extra after the index": changed(b"index 259\n", b"index 259\nextra YWJj\n"),
    "empty extra": changed(b"index 259\n", b"extra \nindex 259\n"),
    "two extras": changed(b"index 259\n", b"extra YWJj\nextra YWJj\nindex 259\n"),
    "bad extra": changed(b"index 259\n", b"extra YWJ\nindex 259\n"),
    "line after": PROOF + b"x",
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_proof_is_refused(case):
    with pytest.raises(MessageMalformed):
        parse_proof(BAD[case])


def test_a_proof_that_is_too_large_is_not_even_read():
    with pytest.raises(MessageTooLarge):
        parse_proof(bytes(MAX_PROOF_BYTES + 1))


def test_what_would_read_otherwise_is_not_written():
    for index, hashes in ((-1, HASHES), (300, HASHES), (INDEX, [b"short"])):
        with pytest.raises(MessageMalformed):
            write_proof(index, hashes, NOTE)
