"""Files beside messages: what is read to be uploaded, and where downloads go. Shared by both clients.

What a sender calls a file is a stranger's text: it is never a path here, and nothing is ever written over.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import reference_pb2

from gateway.client.values import new_request_id
from gateway.errors import AttachmentRejected, ConfigInvalid

PIECE_BYTES: Final = 1 << 20
"""exchange_service.proto: the most that one frame carries."""
PART: Final = ".part"
MAX_NAME_BYTES: Final = 100
_NOT_IN_NAMES: Final = re.compile(r"[^\w.-]+")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z", re.IGNORECASE)


class FileSource:
    """A file that is uploaded: read twice, once for its digest and once to be sent.

    Args:
        path: Where it lies.
        media_type: What it is, as type/subtype.
        name: What the recipient is told; its own name unless given.
        upload_id: Keep one (`new_request_id`) to go on after this program's own end.

    Raises:
        ConfigInvalid: It cannot be read.
    """

    def __init__(self, path: Path | str, media_type: str, name: str | None, upload_id: str | None) -> None:
        self._path = Path(path)
        digest, size = hashlib.sha256(), 0
        for piece in self.pieces(0):
            digest.update(piece)
            size += len(piece)
        self.size_bytes = size
        self.begin = pb.UploadAttachmentRequest(
            begin=pb.UploadBegin(
                upload_id=upload_id or new_request_id(),
                name=name or self._path.name,
                media_type=media_type,
                size_bytes=size,
                sha256=digest.digest(),
            )
        )

    def pieces(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from an offset on.

        Raises:
            ConfigInvalid: It cannot be read.
        """
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(offset)
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise ConfigInvalid(f"'{self._path}' cannot be read: {error.strerror}") from None

    def frames(self, offset: int) -> Iterator[pb.UploadAttachmentRequest]:
        """Yield the frames after the first one, from an offset on."""
        for piece in self.pieces(offset):
            yield pb.UploadAttachmentRequest(data=piece)
        yield pb.UploadAttachmentRequest(finish=pb.UploadFinish())


class FileTarget:
    """Where a download goes: beside its place until it is whole, then there, never over what lies there.

    Raises:
        ConfigInvalid: Something lies there, or it cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._part = self._path.with_name(self._path.name + PART)
        self._attachment: reference_pb2.Attachment | None = None
        if self._path.exists() or self._path.is_symlink():
            raise ConfigInvalid(f"'{self._path}' is there already, and nothing is written over")
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.fdopen(os.open(self._part, flags, 0o600), "r+b", buffering=0)
        except OSError as error:
            raise ConfigInvalid(f"'{self._part}' cannot be written: {error.strerror}") from None
        self.offset = self._file.seek(0, os.SEEK_END)
        """Bytes that are here: an earlier try goes on."""

    def request(self, message_id: bytes, sender: str, index: int) -> pb.DownloadAttachmentRequest:
        """Return the request for what is missing."""
        return pb.DownloadAttachmentRequest(message_id=message_id, sender=sender, index=index, offset=self.offset)

    def take(self, answer: pb.DownloadAttachmentResponse) -> None:
        """Write what came.

        Raises:
            ConfigInvalid: The disk does not take it.
        """
        if answer.HasField("attachment"):
            self._attachment = answer.attachment
        data = memoryview(answer.data)
        try:
            while data:
                count = self._file.write(data)
                self.offset += count
                data = data[count:]
        except OSError as error:
            raise ConfigInvalid(f"'{self._part}' cannot be written: {error.strerror}") from None

    @property
    def whole(self) -> bool:
        """All bytes are here."""
        return self._attachment is not None and self.offset >= self._attachment.size_bytes

    def finish(self) -> reference_pb2.Attachment:
        """Check the digest, put the file in its place, and return what the message says of it.

        Raises:
            AttachmentRejected: It is not the file that the message names; it is removed.
            ConfigInvalid: Something lies in its place by now.
        """
        if self._attachment is None:
            raise AttachmentRejected("nothing came")
        digest = hashlib.sha256()
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            digest.update(piece)
        if self.offset != self._attachment.size_bytes or not hmac.compare_digest(
            digest.digest(), self._attachment.sha256
        ):
            self.close()
            self._part.unlink(missing_ok=True)
            raise AttachmentRejected("digest")
        os.fsync(self._file.fileno())
        self.close()
        try:
            # A link, not a rename: it fails where something lies.
            os.link(self._part, self._path)
            self._part.unlink()
        except OSError as error:
            raise ConfigInvalid(f"'{self._path}' cannot be made: {error.strerror}") from None
        return self._attachment

    def close(self) -> None:
        """Keep what came for the next try."""
        self._file.close()


def safe_name(name: str, index: int) -> str:
    """Return a file name that resembles what a sender called a file, and that no system reads more into."""
    plain = _NOT_IN_NAMES.sub("_", name).lstrip(".-_").rstrip(".")
    while len(plain.encode()) > MAX_NAME_BYTES:
        # The ending says what it is; the beginning gives way.
        plain = plain[1:].lstrip(".-_")
    if not plain or _RESERVED.match(plain):
        plain = "file"
    return f"{index}-{plain}"
