"""A file's chunks open only as what they were sealed as: in their place, in their file, whole."""

import hashlib
import json
from pathlib import Path

import pytest

from gateway.crypto.attachment import HEADER_BYTES, TAG_BYTES, ChunkStream, FileDigests, attachment_id, sealed_size
from gateway.crypto.keys import AttachmentKey
from gateway.errors import AttachmentRejected

CHUNK = 4096
VECTORS = Path(__file__).parents[2] / "vectors" / "attachment"
KEY = AttachmentKey(bytes(range(32)))


def content(size: int) -> bytes:
    return hashlib.shake_128(b"file").digest(size)


def seal(data: bytes, key: AttachmentKey = KEY, chunk: int = CHUNK) -> tuple[bytes, list[bytes]]:
    stream = ChunkStream.begin(key, len(data), chunk)
    return stream.header, [stream.seal(data[start : start + chunk]) for start in range(0, len(data), chunk)]


def opened(header: bytes, chunks: list[bytes], size: int, key: AttachmentKey = KEY, chunk: int = CHUNK) -> bytes:
    stream = ChunkStream.follow(key, header, size, chunk)
    clear = b"".join(stream.open(item) for item in chunks)
    if stream.left_bytes:
        raise AttachmentRejected("cut short")
    return clear


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7])
def test_what_was_sealed_opens_and_has_the_size_foretold(size):
    data = content(size)
    header, chunks = seal(data)
    assert opened(header, chunks, size) == data
    assert len(header) + sum(map(len, chunks)) == sealed_size(size, CHUNK)


def damaged(header: bytes, chunks: list[bytes]):
    other_header, other = seal(content(3 * CHUNK + 7)[::-1])
    same_key_header, same_key = seal(content(3 * CHUNK + 7))
    a, b, c, d = chunks
    flip = bytes([b[100] ^ 1])
    yield "cut short by a chunk", header, [a, b, c], 3 * CHUNK + 7
    yield "cut short and said to be shorter", header, [a, b, c], 3 * CHUNK
    yield "cut short within a chunk", header, [a, b, c, d[:-1]], 3 * CHUNK + 7
    yield "lengthened", header, [a, b, c, d, d], 3 * CHUNK + 7
    yield "two chunks changed places", header, [a, c, b, d], 3 * CHUNK + 7
    yield "a chunk twice", header, [a, a, b, c], 3 * CHUNK + 7
    yield "a chunk left out", header, [a, c, c, d], 3 * CHUNK + 7
    yield "a chunk of another file", header, [a, other[1], c, d], 3 * CHUNK + 7
    yield "a chunk of the same file sealed again", header, [a, same_key[1], c, d], 3 * CHUNK + 7
    yield "a flipped bit", header, [a, b[:100] + flip + b[101:], c, d], 3 * CHUNK + 7
    yield "a flipped bit in the header", bytes([header[0] ^ 1]) + header[1:], chunks, 3 * CHUNK + 7
    yield "the header of another file", other_header, chunks, 3 * CHUNK + 7
    yield "a header cut short", header[:-1], chunks, 3 * CHUNK + 7
    yield "an empty chunk", header, [b"", b, c, d], 3 * CHUNK + 7
    yield "another size stated", header, chunks, 3 * CHUNK + 8


def test_nothing_else_opens():
    header, chunks = seal(content(3 * CHUNK + 7))
    taken = []
    for name, changed_header, changed, size in damaged(header, chunks):
        try:
            opened(changed_header, changed, size)
            taken.append(name)
        except AttachmentRejected:
            continue
    assert not taken
    with pytest.raises(AttachmentRejected):
        opened(header, chunks, 3 * CHUNK + 7, AttachmentKey(bytes(32)))
    with pytest.raises(AttachmentRejected):
        opened(header, [b"".join(chunks)], 3 * CHUNK + 7, chunk=4 * CHUNK)


def test_the_final_tag_stands_on_the_last_chunk_and_nowhere_else():
    # Two files that agree in all but their length: the shorter one's last chunk is not the longer one's second.
    stream = ChunkStream.begin(KEY, 2 * CHUNK, CHUNK)
    first = stream.seal(content(CHUNK))
    reader = ChunkStream.follow(KEY, stream.header, 2 * CHUNK, CHUNK)
    reader.open(first)
    with pytest.raises(AttachmentRejected):
        reader.open(first)


def test_sealing_goes_on_behind_what_was_opened():
    data = content(3 * CHUNK + 7)
    header, chunks = seal(data)
    again = ChunkStream.follow(KEY, header, len(data), CHUNK)
    for item in chunks[:2]:
        again.open(item)
    assert [again.seal(data[2 * CHUNK : 3 * CHUNK]), again.seal(data[3 * CHUNK :])] == chunks[2:]
    assert opened(header, chunks, len(data)) == data


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK + 1])
def test_a_chunk_of_the_wrong_size_is_not_sealed(size):
    stream = ChunkStream.begin(KEY, 2 * CHUNK, CHUNK)
    with pytest.raises(AttachmentRejected):
        stream.seal(bytes(size))


def test_nothing_is_sealed_behind_the_end():
    stream = ChunkStream.begin(KEY, 5, CHUNK)
    stream.seal(b"whole")
    with pytest.raises(AttachmentRejected):
        stream.seal(b"x")


def test_digests_are_over_both_forms():
    digests = FileDigests()
    digests.add(b"", b"header")
    digests.add(b"clear", b"sealed")
    digests.check(hashlib.sha256(b"clear").digest())
    assert digests.sealed == hashlib.sha256(b"headersealed").digest()
    with pytest.raises(AttachmentRejected):
        digests.check(hashlib.sha256(b"other").digest())


def test_the_id_depends_on_all_that_the_body_says_of_the_bytes():
    ids = {
        attachment_id(KEY, bytes(32), 5, CHUNK),
        attachment_id(AttachmentKey(bytes(32)), bytes(32), 5, CHUNK),
        attachment_id(KEY, b"x" * 32, 5, CHUNK),
        attachment_id(KEY, bytes(32), 6, CHUNK),
        attachment_id(KEY, bytes(32), 5, 2 * CHUNK),
    }
    assert len(ids) == 5


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_a_vector_says_what_must_happen(path):
    vector = json.loads(path.read_text())
    assert set(vector) == {"comment", "key", "size_bytes", "chunk_bytes", "sha256", "id", "sealed", "expect"}
    key, sealed = AttachmentKey(bytes.fromhex(vector["key"])), bytes.fromhex(vector["sealed"])
    size, chunk = vector["size_bytes"], vector["chunk_bytes"]
    assert attachment_id(key, bytes.fromhex(vector["sha256"]), size, chunk).hex() == vector["id"]

    def read() -> bytes:
        header, rest = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
        step = chunk + TAG_BYTES
        clear = opened(header, [rest[at : at + step] for at in range(0, len(rest), step)], size, key, chunk)
        digests = FileDigests()
        digests.add(clear, b"")
        digests.check(bytes.fromhex(vector["sha256"]))
        return clear

    if vector["expect"] == "ok":
        assert hashlib.sha256(read()).hexdigest() == vector["sha256"]
    else:
        with pytest.raises(AttachmentRejected) as raised:
            read()
        assert raised.value.reason == vector["expect"]


def test_there_are_vectors():
    assert len(list(VECTORS.glob("*.json"))) >= 5
