"""Writes tests/vectors/attachment: `python -m tests.vectors.attachment_vectors`.

libsodium chooses headers at random, so the files are made once and then only added to.
"""

import hashlib
import json
from pathlib import Path

from gateway.crypto.attachment import TAG_BYTES, ChunkStream, attachment_id
from gateway.crypto.keys import AttachmentKey

FOLDER = Path(__file__).parent / "attachment"
CHUNK = 4096
KEY = AttachmentKey(bytes(range(32)))


def sealed(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return header and chunks."""
    stream = ChunkStream.begin(KEY, len(data), CHUNK)
    return stream.header, [stream.seal(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]


def vector(comment: str, data: bytes, form: bytes, *, expect: str, size: int | None = None, sha: bytes = b"") -> str:
    """Return a vector as text."""
    size_bytes, digest = size or len(data), sha or hashlib.sha256(data).digest()
    content = {
        "comment": comment,
        "key": KEY.export_secret().hex(),
        "size_bytes": size_bytes,
        "chunk_bytes": CHUNK,
        "sha256": digest.hex(),
        "id": attachment_id(KEY, digest, size_bytes, CHUNK).hex(),
        "sealed": form.hex(),
        "expect": expect,
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> None:
    """Write them."""
    refused = "ATTACHMENT_REJECTED"
    data = hashlib.shake_128(b"attachment").digest(2 * CHUNK + 5)
    header, (first, second, last) = sealed(data)
    whole = header + first + second + last
    short = hashlib.shake_128(b"attachment").digest(1)
    short_header, (only,) = sealed(short)
    exact = data[: 2 * CHUNK]
    exact_header, exact_chunks = sealed(exact)
    made = {
        "ok_three_chunks": vector("three chunks, the last one short", data, whole, expect="ok"),
        "ok_one_byte": vector("the smallest file", short, short_header + only, expect="ok"),
        "ok_exact": vector("the last chunk is full", exact, exact_header + b"".join(exact_chunks), expect="ok"),
        "cut_at_a_chunk": vector("the last chunk is missing", data, whole[: -len(last)], expect=refused),
        "cut_and_restated": vector(
            "cut at a chunk, with the size to match: its new last chunk is not final",
            exact,
            whole[: -len(last)],
            expect=refused,
        ),
        "reordered": vector("two chunks changed places", data, header + second + first + last, expect=refused),
        "flipped": vector(
            "one bit of the second chunk", data, header + first + bytes([second[0] ^ 1]) + second[1:] + last,
            expect=refused,
        ),
        "another_digest": vector("the body promised another file", data, whole, expect=refused, sha=bytes(32)),
        "tag_missing": vector("the last tag is cut off", data, whole[:-TAG_BYTES], expect=refused),
    }  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    for name, text in made.items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            path.write_text(text)


if __name__ == "__main__":
    main()
