"""A sealed file on disk, whole or in part, followed chunk by chunk. Calls block: they run in a thread."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.crypto.attachment import HEADER_BYTES, TAG_BYTES, ChunkStream, FileDigests
from gateway.crypto.keys import AttachmentKey
from gateway.errors import AttachmentRejected
from gateway.ports import AttachmentFiles


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Which file, and what opens it."""

    attachment_id: bytes
    key: AttachmentKey
    size_bytes: int
    chunk_bytes: int


@dataclass(slots=True)
class Progress:
    """How far a file has come."""

    stream: ChunkStream | None
    """None before its header is known."""
    digests: FileDigests
    offset: int
    """Of the sealed form; what lies behind it on disk does not count."""


def opened_chunks(files: AttachmentFiles, place: FilePlace) -> Iterator[tuple[bytes, bytes, ChunkStream]]:
    """Yield each chunk that lies on disk whole, in clear and sealed, with the stream behind it.

    Raises:
        AttachmentRejected: A chunk is not the next one of this file.
    """
    header = files.read(place.attachment_id, 0, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return
    stream = ChunkStream.follow(place.key, header, place.size_bytes, place.chunk_bytes)
    offset = HEADER_BYTES
    while size := stream.next_bytes:
        sealed = files.read(place.attachment_id, offset, size + TAG_BYTES)
        if len(sealed) < size + TAG_BYTES:
            return
        yield stream.open(sealed), sealed, stream
        offset += len(sealed)


def progress(files: AttachmentFiles, place: FilePlace) -> Progress:
    """Return how much of a file lies on disk and is sound; what is not is to be written over.

    A power cut may have left bytes that were never written; they do not open, and the file goes on before them.
    """
    found = Progress(None, FileDigests(), 0)
    try:
        for clear, sealed, stream in opened_chunks(files, place):
            if found.stream is None:
                found.stream, found.offset = stream, HEADER_BYTES
                found.digests.add(b"", stream.header)
            found.digests.add(clear, sealed)
            found.offset += len(sealed)
    except AttachmentRejected:
        # The stream may have been moved by what failed only in its tag: it is followed once more, as far as it is good.
        return _up_to(files, place, found.offset)
    return found


def _up_to(files: AttachmentFiles, place: FilePlace, end: int) -> Progress:
    found = Progress(None, FileDigests(), 0)
    if end <= HEADER_BYTES:
        return found
    for clear, sealed, stream in opened_chunks(files, place):
        if found.stream is None:
            found.stream, found.offset = stream, HEADER_BYTES
            found.digests.add(b"", stream.header)
        found.digests.add(clear, sealed)
        found.offset += len(sealed)
        if found.offset >= end:
            break
    return found
