"""Checkpoints: written in one way, and a value only when the signatures asked for are there."""

import base64
import copy
import pickle

import pytest

from gateway.errors import FieldInvalid, MessageMalformed, MessageTooLarge, ProofRejected
from gateway.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from gateway.translog.merkle import EMPTY_ROOT
from gateway.translog.note import NoteSignature, add_signatures, signature_of, write_note
from gateway.translog.note_keys import mldsa_message
from gateway.translog.tree_head import TreeHead, parse_tree_head
from tests.unit.translog.logs import LOG, LOG_PQ, NOW_S, ORIGIN, WITNESSES, MemoryLog

HEAD = MemoryLog(70_000, step=70_000).head
ROOT = base64.b64encode(HEAD.root).decode()
KEYS = [LOG.note_key, LOG_PQ.note_key]
WITNESS_KEYS = [signer.note_key for signer in WITNESSES]


def test_what_is_written_is_read_back():
    assert parse_tree_head(HEAD.text) == HEAD
    assert HEAD.text == f"{ORIGIN}\n70000\n{ROOT}\n"
    empty = TreeHead(ORIGIN, 0, EMPTY_ROOT)
    assert parse_tree_head(empty.text) == empty


def test_extension_lines_of_other_logs_are_kept_apart():
    head = parse_tree_head(HEAD.text + "more\nlines\n")
    assert head.extensions == ("more", "lines")
    assert head.text == HEAD.text + "more\nlines\n"


BAD_TEXTS = {
    "empty": "",
    "two lines": f"{ORIGIN}\n70000\n",
    "no end": f"{ORIGIN}\n70000\n{ROOT}",
    "empty origin": f"\n70000\n{ROOT}\n",
    "space in the origin": f"gw th\n70000\n{ROOT}\n",
    "plus in the origin": f"gw+th\n70000\n{ROOT}\n",
    "long origin": f"{'a' * 256}\n70000\n{ROOT}\n",
    "hidden character in the origin": f"gw\u200bth\n70000\n{ROOT}\n",
    "leading zero": f"{ORIGIN}\n070000\n{ROOT}\n",
    "underscore": f"{ORIGIN}\n70_000\n{ROOT}\n",
    "space before the size": f"{ORIGIN}\n 70000\n{ROOT}\n",
    "space after the size": f"{ORIGIN}\n70000 \n{ROOT}\n",
    "plus sign": f"{ORIGIN}\n+70000\n{ROOT}\n",
    "minus sign": f"{ORIGIN}\n-1\n{ROOT}\n",
    "hexadecimal": f"{ORIGIN}\n0x10\n{ROOT}\n",
    "other digits": f"{ORIGIN}\n٧٠\n{ROOT}\n",
    "no size": f"{ORIGIN}\n\n{ROOT}\n",
    "size beyond 63 bits": f"{ORIGIN}\n{1 << 63}\n{ROOT}\n",
    "size of many digits": f"{ORIGIN}\n{'9' * 1000}\n{ROOT}\n",
    "carriage returns": HEAD.text.replace("\n", "\r\n"),
    "junk in base64": f"{ORIGIN}\n70000\n{ROOT[:9]}!{ROOT[9:]}\n",
    "no padding": f"{ORIGIN}\n70000\n{ROOT.rstrip('=')}\n",
    "space after the root": f"{ORIGIN}\n70000\n{ROOT} \n",
    "short root": f"{ORIGIN}\n70000\n{base64.b64encode(HEAD.root[:31]).decode()}\n",
    "long root": f"{ORIGIN}\n70000\n{base64.b64encode(HEAD.root + b'x').decode()}\n",
    "root of an empty tree": f"{ORIGIN}\n0\n{ROOT}\n",
    "empty extension": f"{HEAD.text}\n",
    "empty extension among others": f"{HEAD.text}a\n\nb\n",
    "many extensions": HEAD.text + "a\n" * 9,
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_a_malformed_checkpoint_is_refused_although_it_is_signed(case):
    with pytest.raises(MessageMalformed):
        parse_tree_head(BAD_TEXTS[case])
    # Ed25519 note signatures are over any text: a log that signs such a text is still not believed.
    try:
        note = write_note(BAD_TEXTS[case], [signature_of(BAD_TEXTS[case], LOG, NOW_S)])
    except MessageMalformed:
        return
    with pytest.raises(MessageMalformed):
        open_checkpoint(note, origin=ORIGIN, log_keys=[LOG.note_key])


def test_a_text_that_is_too_large_is_refused():
    with pytest.raises(MessageTooLarge):
        parse_tree_head(HEAD.text + "a" * 4096 + "\n")


def test_a_checkpoint_opens_with_all_its_keys():
    made = sign_checkpoint(HEAD, [LOG, LOG_PQ], NOW_S)
    opened = open_checkpoint(made.note, origin=ORIGIN, log_keys=KEYS)
    assert opened == made
    assert (opened.origin, opened.size, opened.root) == (ORIGIN, 70_000, HEAD.root)
    assert [(signed.key, signed.time_s) for signed in opened.signed] == [(KEYS[0], None), (KEYS[1], NOW_S)]


@pytest.mark.parametrize("signer", [LOG, LOG_PQ], ids=["Ed25519", "ML-DSA"])
def test_one_of_two_keys_does_not_speak_for_the_log(signer):
    note = sign_checkpoint(HEAD, [signer], NOW_S).note
    assert open_checkpoint(note, origin=ORIGIN, log_keys=[signer.note_key]).size == 70_000
    with pytest.raises(ProofRejected):
        open_checkpoint(note, origin=ORIGIN, log_keys=KEYS)


def test_witnesses_are_counted_by_name():
    note = sign_checkpoint(HEAD, [LOG, LOG_PQ], NOW_S).note
    lines = [signature_of(HEAD.text, signer, NOW_S + 1) for signer in WITNESSES]
    one, both = add_signatures(note, lines[:1]), add_signatures(note, lines)

    def opened(data, quorum, witnesses=WITNESS_KEYS):
        return open_checkpoint(data, origin=ORIGIN, log_keys=KEYS, witnesses=witnesses, quorum=quorum)

    assert len(opened(both, 2).signed) == 4
    assert len(opened(one, 1).signed) == 3
    assert len(opened(note, 0).signed) == 2
    for data, quorum in ((note, 1), (one, 2)):
        with pytest.raises(ProofRejected):
            opened(data, quorum)
    # What stands in a witness's name and is not its own spoils the note, even where it is not needed.
    forged = NoteSignature(lines[1].name, lines[1].key_id, lines[1].signature[:-1] + b"\0")
    with pytest.raises(ProofRejected):
        opened(add_signatures(one, [forged]), 1)
    for quorum, witnesses in ((3, WITNESS_KEYS), (-1, WITNESS_KEYS), (1, []), (1, [KEYS[0]])):
        with pytest.raises(FieldInvalid):
            opened(both, quorum, witnesses)


def test_another_logs_checkpoint_is_refused():
    other = HEAD.text.replace("th", "cn")
    note = write_note(other, [signature_of(other, LOG, NOW_S)])
    with pytest.raises(ProofRejected):
        open_checkpoint(note, origin=ORIGIN, log_keys=[LOG.note_key])
    with pytest.raises(FieldInvalid):
        open_checkpoint(note, origin=ORIGIN.replace("th", "cn"), log_keys=[LOG.note_key])
    for keys in ([], WITNESS_KEYS):
        with pytest.raises(FieldInvalid):
            open_checkpoint(note, origin=ORIGIN, log_keys=keys)


def test_only_a_log_signs_in_its_name():
    for signers in ([], [LOG, WITNESSES[0]]):
        with pytest.raises(FieldInvalid):
            sign_checkpoint(HEAD, signers, NOW_S)
    with pytest.raises(MessageMalformed):
        sign_checkpoint(TreeHead(ORIGIN, 0, HEAD.root), [LOG], NOW_S)


def test_nobody_else_makes_a_checkpoint_or_changes_one():
    made = sign_checkpoint(HEAD, [LOG], NOW_S)
    with pytest.raises(TypeError):
        Checkpoint(HEAD, made.note, (), object())
    with pytest.raises(AttributeError):
        made.note = b""
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(made)


def test_the_cosigned_message_is_byte_for_byte_that_of_the_specification():
    message = mldsa_message("w.example", 5, TreeHead("log.example", 7, bytes(range(32))))
    assert message == (
        b"subtree/v1\n\0"
        b"\x09w.example"
        b"\0\0\0\0\0\0\0\x05"
        b"\x0blog.example"
        b"\0\0\0\0\0\0\0\0"
        b"\0\0\0\0\0\0\0\x07" + bytes(range(32))
    )
