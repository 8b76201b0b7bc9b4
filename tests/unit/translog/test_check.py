"""A log checked from its leaves: any damage is found, and named where it is."""

import dataclasses

import pytest

from gateway.errors import LogInconsistent
from gateway.translog.check import LogCheck
from gateway.translog.static import static_files
from gateway.translog.tiles import encode_bundle
from tests.unit.translog.logs import MemoryLog

SIZE = 66_000
WHOLE = MemoryLog(SIZE, step=SIZE)
HEADS = [MemoryLog(size, step=size).head for size in (0, 1, 256, 300, 65_536)] + [WHOLE.head] * 2


def damaged(level, number, at):
    """Return the log with one bit of a stored tile changed."""
    log = MemoryLog()
    log.leaves, log.frontier, log.tiles.kept = WHOLE.leaves, WHOLE.frontier, dict(WHOLE.tiles.kept)
    tile = bytearray(log.tiles.kept[level, number])
    tile[at * 32 + 5] ^= 1
    log.tiles.kept[level, number] = bytes(tile)
    return log


def check(log, leaves=WHOLE.leaves, heads=HEADS, size=SIZE, root=WHOLE.frontier.root, step=997):
    pass_ = LogCheck(log.tiles, heads)
    for at in range(0, len(leaves), step):
        pass_.feed(leaves[at : at + step])
    pass_.finish(size, root)


def place(*arguments, **changes):
    with pytest.raises(LogInconsistent) as caught:
        check(*arguments, **changes)
    return caught.value.place


def test_a_sound_log_passes():
    check(WHOLE)
    check(WHOLE, step=SIZE)
    check(MemoryLog(), leaves=[], heads=HEADS[:1], size=0, root=HEADS[0].root)


@pytest.mark.parametrize(
    ("tile", "expected"),
    [
        ((0, 0, 7), "entry 7"),
        ((0, 3, 255), "entry 1023"),
        ((0, 257, 200), "entry 65992"),
        ((1, 0, 255), "tile 1/0, hash 255"),
        ((1, 1, 0), "tile 1/1, hash 0"),
        ((2, 0, 0), "tile 2/0, hash 0"),
    ],
)
def test_a_changed_bit_of_a_tile_is_found_where_it_is(tile, expected):
    assert place(damaged(*tile)) == expected


@pytest.mark.parametrize("entry", [0, 255, 256, 65_535, 65_999])
def test_a_changed_entry_is_found(entry):
    leaves = list(WHOLE.leaves)
    leaves[entry] = b"other"
    assert place(WHOLE, leaves=leaves, heads=[]) == f"entry {entry}"


def test_entries_that_are_gone_added_or_exchanged_are_found():
    leaves = WHOLE.leaves
    assert place(WHOLE, leaves=leaves[:-1], heads=[]) == "entry 65999"
    assert place(WHOLE, leaves=leaves[1:], heads=[]) == "entry 0"
    assert place(WHOLE, leaves=[*leaves, b"x"], heads=[]) == "entry 66001"
    assert place(WHOLE, leaves=[*leaves[:500], leaves[501], leaves[500], *leaves[502:]], heads=[]) == "entry 500"


def test_a_checkpoint_that_says_something_else_is_found():
    for at, head in enumerate(HEADS):
        lie = dataclasses.replace(head, root=bytes(32))
        heads = [*HEADS[:at], lie, *HEADS[at + 1 :]]
        assert place(WHOLE, heads=heads) == f"checkpoint of size {head.size}"
    later = dataclasses.replace(WHOLE.head, size=SIZE + 1)
    assert place(WHOLE, heads=[*HEADS, later]) == f"checkpoint of size {SIZE + 1}"


def test_a_root_or_tile_length_that_is_wrong_is_found():
    assert place(WHOLE, root=bytes(32)) == f"tree of size {SIZE}"
    log = damaged(0, 257, 0)
    log.tiles.kept[0, 257] = log.tiles.kept[0, 257][:-32]
    assert place(log) == "tile 0/257"


def test_a_pass_goes_on_where_an_earlier_one_ended():
    first = LogCheck(WHOLE.tiles, HEADS)
    first.feed(WHOLE.leaves[:300])
    second = LogCheck(WHOLE.tiles, HEADS, first.frontier)
    second.feed(WHOLE.leaves[300:])
    second.finish(SIZE, WHOLE.frontier.root)
    # What it began with is judged too: the checkpoint at 300.
    lie = dataclasses.replace(HEADS[3], root=bytes(32))
    with pytest.raises(LogInconsistent):
        LogCheck(WHOLE.tiles, [lie], first.frontier)


def test_checkpoints_out_of_order_are_a_mistake_of_the_caller():
    pass_ = LogCheck(WHOLE.tiles, [HEADS[2], HEADS[1]])
    with pytest.raises(ValueError):
        pass_.feed(WHOLE.leaves[:300])


def test_a_static_export_holds_every_file_and_the_checkpoint_last():
    log = MemoryLog(300)
    checkpoint = log.checkpoint()
    files = dict(static_files(checkpoint, log.tiles, log))
    assert list(files) == [
        "tile/0/000", "tile/entries/000", "tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1", "checkpoint",
    ]  # fmt: skip
    assert files["checkpoint"] == checkpoint.note
    assert files["tile/entries/001.p/44"] == encode_bundle(log.leaves[256:])
    assert list(dict(static_files(MemoryLog().checkpoint(), log.tiles, log))) == ["checkpoint"]


def test_an_export_of_an_older_checkpoint_is_that_of_the_log_then():
    log = MemoryLog(300)
    checkpoint, then = log.checkpoint(), dict(static_files(log.checkpoint(), log.tiles, log))
    log.grow(500)
    assert {path: data for path, data in static_files(checkpoint, log.tiles, log) if path != "checkpoint"} == {
        path: data for path, data in then.items() if path != "checkpoint"
    }


def test_an_export_that_contradicts_itself_is_not_made():
    log = MemoryLog(300)
    checkpoint = log.checkpoint()
    log.leaves[3] = b"other"
    with pytest.raises(LogInconsistent) as caught:
        dict(static_files(checkpoint, log.tiles, log))
    assert caught.value.place == "entries of tile 0/0"
    with pytest.raises(LogInconsistent) as caught:
        dict(static_files(checkpoint, MemoryLog(299).tiles, log))
    assert caught.value.place == "tile 0/1"
    other = MemoryLog(300)
    other.tiles.kept[1, 0] = bytes(32)
    with pytest.raises(LogInconsistent) as caught:
        dict(static_files(checkpoint, other.tiles, log))
    assert caught.value.place == "checkpoint of size 300"
    cut = MemoryLog(300)
    cut.tiles.kept[0, 0] = cut.tiles.kept[0, 0][:-32]
    with pytest.raises(LogInconsistent) as caught:
        dict(static_files(checkpoint, cut.tiles, log))
    assert caught.value.place == "tile 0/0"
