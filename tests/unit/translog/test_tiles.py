"""Tiles: one path each, bundles read strictly, and a frontier that is all one needs to grow a tree."""

import pytest

from gateway.errors import LogInconsistent, MessageMalformed, MessageTooLarge
from gateway.translog.merkle import MAX_SIZE, leaf_hash, tree_root
from gateway.translog.tiles import (
    MAX_BUNDLE_BYTES,
    Coordinates,
    Frontier,
    encode_bundle,
    parse_bundle,
    parse_tile_path,
    tile_path,
    tiles_of,
)
from tests.unit.translog.logs import MemoryLog, MemoryTiles

PATHS = {
    "tile/0/000": (0, 0, 256),
    "tile/0/001.p/112": (0, 1, 112),
    "tile/1/x001/000": (1, 1000, 256),
    # The example of the specification.
    "tile/2/x001/x234/067": (2, 1234067, 256),
    "tile/entries/999.p/1": (None, 999, 1),
    "tile/entries/x001/x234/067.p/255": (None, 1234067, 255),
}


@pytest.mark.parametrize("path", PATHS)
def test_a_tile_has_one_path(path):
    assert tile_path(*PATHS[path]) == path
    assert parse_tile_path(path) == Coordinates(*PATHS[path])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/8/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/x000/000",
        "tile/0/x000/x001/000",
        "tile/0/x001/x000",
        "tile/0/001/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/",
        "tile/0/000/",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/٠٠٠",
        "tile/0/X001/000",
        "tile/0/" + "x999/" * 7 + "999",
        "tile/0/" + "x999/" * 6 + "999",
    ],
)
def test_any_other_path_is_refused(path):
    with pytest.raises(MessageMalformed):
        parse_tile_path(path)


def test_the_tiles_of_a_tree_are_those_of_the_specification():
    tiles = list(tiles_of(70_000))
    assert sum(level == 0 and width == 256 for level, _, width in tiles) == 273
    assert [tile for tile in tiles if tile[0] or tile[2] < 256] == [(0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert list(tiles_of(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tiles_of(0)) == []


def test_a_bundle_comes_back():
    entries = (b"", b"a", b"\x00" * 65_535)
    assert parse_bundle(encode_bundle(entries), 3) == entries
    assert encode_bundle([b"ab"]) == b"\0\x02ab"
    with pytest.raises(MessageTooLarge):
        encode_bundle([bytes(65_536)])


@pytest.mark.parametrize(
    ("data", "width"),
    [(b"", 1), (b"\0", 1), (b"\0\x02a", 1), (b"\0\x01a", 2), (b"\0\x01a\0", 1), (b"\0\x01a\0\0", 1), (b"\0\0", 0)],
)
def test_a_bundle_that_is_not_its_entries_is_refused(data, width):
    with pytest.raises(MessageMalformed):
        parse_bundle(data, width)


def test_a_bundle_of_any_size_is_not_even_read():
    with pytest.raises(MessageTooLarge):
        parse_bundle(bytes(MAX_BUNDLE_BYTES + 1), 256)


def test_a_tree_grown_from_what_is_stored_is_the_tree_grown_at_once():
    sizes = [1, 254, 255, 256, 257, 511, 512, 513, 1024, 65_535, 65_536, 65_537, 65_800]
    log, whole = MemoryLog(), MemoryLog(sizes[-1], step=sizes[-1])
    for size in sizes:
        # As after a restart: only tiles and size are known.
        log.frontier = Frontier.load(log.tiles, log.frontier.size)
        log.grow(size - log.frontier.size)
        assert log.frontier.root == tree_root(whole.tiles, size)
        assert Frontier.load(log.tiles, size) == log.frontier
    assert log.tiles.kept == whole.tiles.kept


def test_only_tiles_that_change_are_given_back():
    frontier = MemoryLog(65_790).frontier
    grown = frontier.append([leaf_hash(b"x")] * 3)
    assert [(tile.level, tile.number, tile.width) for tile in grown.tiles] == [(0, 256, 256), (0, 257, 1), (1, 1, 1)]
    assert frontier.append([]).tiles == ()
    assert frontier.append([]).frontier == frontier


def test_leaf_hashes_of_another_length_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError):
        Frontier.empty().append([bytes(31)])
    with pytest.raises(ValueError):
        Frontier(MAX_SIZE, (), ()).append([bytes(32)])
    with pytest.raises(LogInconsistent):
        Frontier.load(MemoryTiles(), MAX_SIZE + 1)
