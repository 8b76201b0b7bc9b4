"""Signed notes and verifier keys: one way to write each, and nothing counts but what a known key has signed."""

import base64

import pytest

from gateway.crypto.keys import SignKey
from gateway.crypto.mldsa import MLDSASignKey
from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge, ProofRejected
from gateway.translog.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    NoteSignature,
    add_signatures,
    open_note,
    parse_note,
    signature_of,
    write_note,
)
from gateway.translog.note_keys import NoteKey, NoteSigner, SignatureKind
from tests.unit.translog.logs import LOG, LOG_PQ, NOW_S, WITNESSES, MemoryLog

# The example of Go's package note: another implementation's key and signature.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
SIGNERS = [LOG, LOG_PQ, *WITNESSES]
TEXT = "first\n\nlast\n"
GOOD = write_note(TEXT, [signature_of(TEXT, LOG, NOW_S)])
LINE = GOOD.decode().split("\n\n")[-1]


def test_a_note_of_another_implementation_verifies():
    (signed,) = open_note(parse_note(PETERS_NOTE), [NoteKey.parse(PETER)])
    assert (signed.key.name, signed.time_s) == ("PeterNeumann", None)
    with pytest.raises(ProofRejected):
        open_note(parse_note(PETERS_NOTE.replace(b"don't", b"do")), [NoteKey.parse(PETER)])


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: f"{signer.name}-{signer.kind.name}")
def test_each_kind_signs_and_is_read_back(signer):
    text = MemoryLog(3).head.text
    key = NoteKey.parse(str(signer.note_key))
    assert key == signer.note_key
    note = parse_note(write_note(text, [signature_of(text, signer, NOW_S)]))
    (signed,) = open_note(note, [key])
    assert signed.key == key
    assert signed.time_s == (None if signer.kind is SignatureKind.ED25519 else NOW_S)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: f"{signer.name}-{signer.kind.name}")
def test_no_bit_of_a_signature_can_change(signer):
    text = MemoryLog(3).head.text
    good = signer.sign(text, NOW_S)
    for place in {*range(16), len(good) // 2, len(good) - 1}:
        bad = bytearray(good)
        bad[place] ^= 1
        with pytest.raises(ProofRejected):
            signer.note_key.verify(text, bytes(bad))
    for bad in (b"", good[:-1], good + b"\0", b"\xff" * len(good)):
        with pytest.raises(ProofRejected):
            signer.note_key.verify(text, bad)
    with pytest.raises(ProofRejected):
        signer.note_key.verify(text.replace("log", "lag"), good)


def test_a_signature_says_nothing_for_another_kind_or_name():
    text = MemoryLog(3).head.text
    secret = SignKey.from_secret(b"\x09" * 32)
    plain, timed = (NoteSigner("a.example", kind, secret) for kind in list(SignatureKind)[:2])
    assert plain.note_key.id != timed.note_key.id
    with pytest.raises(ProofRejected):
        timed.note_key.verify(text, plain.sign(text, NOW_S))
    with pytest.raises(ProofRejected):
        plain.note_key.verify(text, timed.sign(text, NOW_S)[8:])
    pq = [NoteSigner(name, SignatureKind.MLDSA44_COSIGNATURE, WITNESSES[0].key) for name in ("a.example", "b.example")]
    with pytest.raises(ProofRejected):
        pq[1].note_key.verify(text, pq[0].sign(text, NOW_S))


def test_cosignatures_are_over_checkpoints_only():
    for signer in (LOG_PQ, *WITNESSES):
        with pytest.raises(MessageMalformed):
            signer.sign(TEXT, NOW_S)


def test_keys_of_the_wrong_kind_are_refused():
    for kind, key in (
        (SignatureKind.ED25519, MLDSASignKey.from_secret(bytes(32)).verify_key),
        (SignatureKind.MLDSA44_COSIGNATURE, SignKey.from_secret(bytes(32)).verify_key),
    ):
        with pytest.raises(FieldInvalid):
            NoteKey("a.example", kind, key)


def test_unknown_keys_are_passed_over_and_a_bad_signature_of_a_known_one_is_not():
    known, other = LOG.note_key, WITNESSES[1].note_key
    stranger = NoteSignature("stranger.example", b"abcd", bytes(5000))
    same_name = NoteSignature(known.name, b"abcd", bytes(64))
    same_id = NoteSignature("stranger.example", known.id, bytes(64))
    note = add_signatures(GOOD, [stranger, same_name, same_id])
    assert [signed.key for signed in open_note(parse_note(note), [known, other])] == [known]
    with pytest.raises(ProofRejected):
        open_note(parse_note(note), [other])
    with pytest.raises(ProofRejected):
        open_note(parse_note(note), [])
    forged = add_signatures(GOOD, [NoteSignature(other.name, other.id, bytes(72))])
    with pytest.raises(ProofRejected):
        open_note(parse_note(forged), [known, other])


def test_a_key_signs_once():
    twice = add_signatures(GOOD, [signature_of(TEXT, LOG, NOW_S)])
    with pytest.raises(ProofRejected):
        open_note(parse_note(twice), [LOG.note_key])


def test_sixteen_post_quantum_signatures_fit_and_the_most_allowed_too():
    text = MemoryLog(3).head.text
    for count in (16, MAX_SIGNATURES):
        lines = [NoteSignature(f"w{number}.example", b"abcd", bytes(2428)) for number in range(count)]
        note = write_note(text, [signature_of(text, LOG_PQ, NOW_S), *lines[1:]])
        assert len(open_note(parse_note(note), [LOG_PQ.note_key])) == 1


BAD_NOTES = {
    "empty": b"",
    "no blank line": GOOD.replace(b"\n\n", b"\n"),
    "no signature": TEXT.encode() + b"\n",
    "no end": GOOD[:-1],
    "text only": b"text\n",
    "no text": ("\n" + LINE).encode(),
    "only blank lines": b"\n\n\n",
    "carriage returns": GOOD.replace(b"\n", b"\r\n"),
    "one carriage return": GOOD.replace(b"first", b"first\r"),
    "tab": GOOD.replace(b"first", b"fi\trst"),
    "nul": GOOD.replace(b"first", b"first\0"),
    "not UTF-8": GOOD.replace(b"first", b"\xff"),
    "surrogate": GOOD.replace(b"first", b"\xed\xa0\x80"),
    "hyphen for a dash": GOOD.replace("—".encode(), b"-"),
    "no space after the dash": GOOD.replace("— ".encode(), "—".encode()),
    "two spaces after the dash": GOOD.replace("— ".encode(), "—  ".encode()),
    "two spaces before the signature": GOOD.replace(b"2026 ", b"2026  "),
    "space at the end": GOOD[:-1] + b" \n",
    "no name": GOOD.replace(LOG.name.encode() + b" ", b" "),
    "plus in the name": GOOD.replace(b"gw.th", b"gw+th"),
    "no-break space in the name": GOOD.replace(b"gw.th", "gw\u00a0th".encode()),
    "direction in the name": GOOD.replace(b"gw.th", "gw\u202eth".encode()),
    "long name": GOOD.replace(LOG.name.encode(), b"a" * 256),
    "junk in base64": GOOD[:-10] + b"!!" + GOOD[-10:],
    "no padding": GOOD.replace(b"==\n", b"\n").replace(b"=\n", b"\n"),
    "url-safe base64": GOOD.replace(b"+", b"-").replace(b"/l", b"_l"),
    "no signature bytes": b"text\n\n" + "— a YWJjZA==\n".encode(),
    "short key id": b"text\n\n" + "— a YWI=\n".encode(),
    "stray bits in base64": b"text\n\n" + "— a YWJjZGX=\n".encode(),
    "empty line after": GOOD + b"\n",
    "line after": GOOD + b"x\n",
    "too many signatures": b"text\n\n" + "— a YWJjZGU=\n".encode() * (MAX_SIGNATURES + 1),
    "long signature": b"text\n\n" + "— a ".encode() + base64.b64encode(bytes(5130)) + b"\n",
}


@pytest.mark.parametrize("case", BAD_NOTES)
def test_a_malformed_note_is_refused(case):
    assert BAD_NOTES[case] != GOOD
    with pytest.raises(MessageMalformed):
        parse_note(BAD_NOTES[case])


def test_a_note_that_is_too_large_is_not_even_read():
    with pytest.raises(MessageTooLarge):
        parse_note(b"\xff" * (MAX_NOTE_BYTES + 1))


def test_what_would_read_otherwise_is_not_written():
    signature = signature_of(TEXT, LOG, NOW_S)
    for text, signatures in ((TEXT, []), ("no end", [signature]), ("", [signature]), ("a\r\n", [signature])):
        with pytest.raises(MessageMalformed):
            write_note(text, signatures)


VKEY = str(LOG.note_key)
NAME, KEY_ID, KEY = VKEY.split("+", 2)
BAD_KEYS = {
    "empty": "",
    "no parts": "a",
    "two parts": f"{NAME}+{KEY_ID}",
    "no name": f"+{KEY_ID}+{KEY}",
    "space": f"{NAME} +{KEY_ID}+{KEY}",
    "other name": f"x{NAME}+{KEY_ID}+{KEY}",
    "other id": f"{NAME}+00000000+{KEY}",
    "upper case id": f"{NAME}+{KEY_ID.upper()}+{KEY}",
    "short id": f"{NAME}+{KEY_ID[:-1]}+{KEY}",
    "line feed": f"{VKEY}\n",
    "junk in base64": f"{NAME}+{KEY_ID}+{KEY[:8]}!{KEY[8:]}",
    "no key": f"{NAME}+{KEY_ID}+",
    "unknown kind": f"{NAME}+{KEY_ID}+{base64.b64encode(bytes([2]) + bytes(32)).decode()}",
    "short key": f"{NAME}+{KEY_ID}+{base64.b64encode(bytes([1]) + bytes(31)).decode()}",
    "ML-DSA of Ed25519's length": f"{NAME}+{KEY_ID}+{base64.b64encode(bytes([6]) + bytes(32)).decode()}",
    "huge": f"{NAME}+{KEY_ID}+{'A' * 100_000}",
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_malformed_verifier_key_is_refused(case):
    with pytest.raises(MessageMalformed):
        NoteKey.parse(BAD_KEYS[case])


def test_a_key_of_low_order_is_refused():
    with pytest.raises(FieldInvalid):
        NoteKey.parse(f"{NAME}+{KEY_ID}+{base64.b64encode(bytes([1]) + bytes(32)).decode()}")


def test_keys_of_others_are_read():
    key = NoteKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert (key.name, key.kind, key.id.hex()) == ("sum.golang.org", SignatureKind.ED25519, "033de0ae")
