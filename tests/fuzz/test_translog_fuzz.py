"""Bytes into every parser of the exchange log: a value that reads back the same, or a typed error."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.translog.checkpoint import open_checkpoint
from gateway.translog.disclosure import disclose, parse_json, to_json, verify_disclosure
from gateway.translog.entry import EventType, LogEvent, leaf
from gateway.translog.merkle import inclusion_proof
from gateway.translog.note import parse_note, write_note
from gateway.translog.note_keys import NoteKey
from gateway.translog.proof import parse_proof, verify_proof, write_proof
from gateway.translog.tiles import encode_bundle, parse_bundle, parse_tile_path, tile_path
from gateway.translog.tree_head import parse_tree_head
from tests.unit.translog.logs import LOG, LOG_PQ, ORIGIN, WITNESSES, MemoryLog

SMALL = MemoryLog(300)
# Without ML-DSA: its thousands of bytes of base64 are all alike, and the keys are asked for at every byte.
NOTE = SMALL.checkpoint([LOG]).note
PROOF = write_proof(299, inclusion_proof(SMALL.tiles, 299, 300), NOTE, b"extra")
SALTS = bytes(range(80))
EVENT = LogEvent(
    type=EventType.MESSAGE_RECEIVED, time_ms=1_795_651_200_123, actor="partner:cn", partner="cn", subject=bytes(16)
)
LEAF = leaf(EVENT, SALTS)
BUNDLE = encode_bundle([b"", b"a", b"bc"])


def note(data):
    found = parse_note(data)
    assert write_note(found.text, found.signatures) == data


def checkpoint(data):
    opened = open_checkpoint(data, origin=ORIGIN, log_keys=[LOG.note_key])
    assert opened.note == data
    assert parse_tree_head(opened.head.text) == opened.head
    # Whatever came in: what the log signed is what is believed.
    assert opened.head == SMALL.head


def proof(data):
    found = parse_proof(data)
    assert write_proof(found.index, found.hashes, found.checkpoint, found.extra) == data
    proven = verify_proof(found, SMALL.leaves[299], origin=ORIGIN, log_keys=[LOG.note_key])
    assert (proven.index, proven.checkpoint.head) == (299, SMALL.head)


def key(data):
    text = data.decode("utf-8", "surrogateescape")
    assert str(NoteKey.parse(text)) == text


def disclosure(data):
    found = parse_json(data)
    assert parse_json(to_json(found).encode()) == found
    shown = verify_disclosure(LEAF, found)
    assert shown.time_ms in {None, EVENT.time_ms}
    assert shown.actor in {None, EVENT.actor}


def tree_head(data):
    text = data.decode("utf-8", "surrogateescape")
    assert parse_tree_head(text).text == text


def path(data):
    text = data.decode("utf-8", "surrogateescape")
    found = parse_tile_path(text)
    assert tile_path(found.level, found.number, found.width) == text


def bundle(data, width=3):
    assert encode_bundle(parse_bundle(data, width)) == data


SEEDS = {
    note: NOTE,
    checkpoint: NOTE,
    proof: PROOF,
    key: str(LOG.note_key).encode(),
    disclosure: to_json(disclose(EVENT, SALTS)).encode(),
    tree_head: SMALL.head.text.encode(),
    path: b"tile/0/x001/234.p/56",
    bundle: BUNDLE,
}
PARSERS = pytest.mark.parametrize("parser", SEEDS, ids=lambda parser: parser.__name__)
FUZZ = functools.partial(settings, deadline=None, derandomize=True)


def hold(parser, data):
    """Return whether the bytes were taken; anything but a value or a typed error fails."""
    try:
        parser(data)
    except GatewayError:
        return False
    return True


@PARSERS
def test_the_seed_is_taken(parser):
    assert hold(parser, SEEDS[parser])


@PARSERS
def test_every_cut_is_refused(parser):
    seed = SEEDS[parser]
    taken = [length for length in range(len(seed)) if hold(parser, seed[:length])]
    # A tile's path without its width is that of the full tile, and a shorter width is another one's.
    assert taken == ([15, 19] if parser is path else [])


@PARSERS
def test_every_byte_exchanged_dropped_or_doubled(parser):
    seed = SEEDS[parser]
    for at in range(len(seed)):
        for other in (0x00, 0x0A, 0x20, 0x2B, 0x30, 0x80, 0xFF, seed[at] ^ 1, seed[at] ^ 0x20, seed[at] ^ 0x80):
            hold(parser, seed[:at] + bytes([other]) + seed[at + 1 :])
        hold(parser, seed[:at] + seed[at + 1 :])
        hold(parser, seed[:at] + seed[at : at + 1] + seed[at:])


@PARSERS
@FUZZ(max_examples=150)
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8"))))
def test_any_bytes(parser, data):
    hold(parser, data)
    seed = SEEDS[parser]
    hold(parser, seed + data)
    hold(parser, data + seed)
    middle = len(seed) // 2
    hold(parser, seed[:middle] + data + seed[middle:])


def test_no_byte_of_a_fully_signed_checkpoint_can_change_what_is_believed():
    signers = [LOG, LOG_PQ]
    whole = SMALL.checkpoint(signers).note
    keys = [signer.note_key for signer in signers]
    taken = []
    # The text and heads of lines at every byte; the long base64 in steps.
    for at in [*range(220), *range(220, len(whole), 41), *range(len(whole) - 8, len(whole))]:
        changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        try:
            open_checkpoint(changed, origin=ORIGIN, log_keys=keys, witnesses=[WITNESSES[0].note_key])
        except GatewayError:
            continue
        taken.append(at)
    assert taken == []
