"""Upload: from a national system's stream to a sealed file, chunk by chunk, resumable at every chunk.

What a file is (size, digest, name, kind) is said before its first byte and cannot change under one upload_id. A break
costs nothing but the chunk under way: the next stream goes on behind what lies on disk and opens. Memory holds one
chunk and one frame, however large the file. Until a message names the file only its uploader can; after KEEP_MS
without one it is erased.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.crypto.at_rest import open_upload, seal_upload
from gateway.crypto.attachment import CHUNK_BYTES, ChunkStream, FileDigests, attachment_id, sealed_size
from gateway.crypto.keys import AttachmentKey
from gateway.errors import FieldInvalid, QuotaExceeded, RequestIdReused, StateConflict, StoreUnavailable
from gateway.exchange.attached import AttachmentRules, attached_to, id_of
from gateway.exchange.key_pool import KeyPool, unwrap
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.steps import step
from gateway.exchange.stored_stream import FilePlace, progress
from gateway.model.message import Body
from gateway.model.reference import Attachment
from gateway.model.reference_rules import check_attachments
from gateway.ports import (
    AttachmentFiles,
    AttachmentRow,
    AttachmentState,
    BeginStatus,
    BeginUpload,
    CustodyEvent,
    CustodyStep,
    FindAttachments,
    FindUpload,
    KeepAttachment,
    Store,
)
from gateway.translog.entry import EventType

KEEP_MS: Final = 24 * 3_600_000
"""How long a message that names an uploaded file may take to come."""
GRACE_MS: Final = 3_600_000
"""So much later what no message names is erased: no message can be on its way any more that names it."""
MAX_UPLOADS: Final = 256
"""Of one caller, in KEEP_MS."""
_FULL_RETRY_MS: Final = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """What a caller says of a file before its first byte."""

    upload_id: bytes
    """16 bytes, chosen by the caller."""
    name: str
    media_type: str
    size_bytes: int
    sha256: bytes


class Upload:
    """One stream of an upload. Not safe for two tasks at once."""

    def __init__(
        self, service: "UploadService", principal: str, place: FilePlace, described: Attachment, upload_id: bytes
    ) -> None:
        self._service = service
        self._principal = principal
        self._place = place
        self._described = described
        self._upload_id = upload_id
        self._buffer = bytearray()
        self._stream: ChunkStream | None = None
        self._digests = FileDigests()
        self._offset = 0
        self.done = False
        """The file was whole before."""
        self.ended = False
        """A newer stream has taken the upload over."""

    @property
    def received_bytes(self) -> int:
        """Bytes in clear that lie on disk: where the next stream goes on."""
        if self.done:
            return self._place.size_bytes
        return 0 if self._stream is None else self._place.size_bytes - self._stream.left_bytes

    async def resume(self) -> None:
        """Follow what lies on disk."""
        found = await asyncio.to_thread(progress, self._service.files, self._place)
        self._stream, self._digests, self._offset = found.stream, found.digests, found.offset

    async def write(self, data: bytes) -> None:
        """Take the next bytes in.

        Raises:
            FieldInvalid: More than the file has.
            StateConflict: Another stream has taken the upload over.
            StoreUnavailable: The disk does not take them.
        """
        if self.ended:
            raise StateConflict("another stream has taken this upload over")
        left = self._place.size_bytes - self.received_bytes - len(self._buffer)
        if len(data) > left:
            raise FieldInvalid("data", "is more than the size that was stated")
        self._buffer += data
        while True:
            size = self._next_bytes()
            if not size or len(self._buffer) < size:
                return
            chunk = bytes(self._buffer[:size])
            del self._buffer[:size]
            await asyncio.to_thread(self._append, chunk)

    def _next_bytes(self) -> int:
        if self._stream is None:
            return min(self._place.size_bytes, self._place.chunk_bytes)
        return self._stream.next_bytes

    def _append(self, chunk: bytes) -> None:
        stream, header = self._stream, b""
        if stream is None:
            stream = ChunkStream.begin(self._place.key, self._place.size_bytes, self._place.chunk_bytes)
            header = stream.header
        # If we die behind this, the next stream seals the same bytes again: what the file is was fixed by its digest.
        sealed = stream.seal(chunk)
        self._service.files.append(self._place.attachment_id, self._offset, header + sealed)
        self._digests.add(b"", header)
        self._digests.add(chunk, sealed)
        self._stream = stream
        self._offset += len(header) + len(sealed)

    async def finish(self) -> Attachment:
        """Return what a draft says of the file, once it is whole and on disk.

        Raises:
            FieldInvalid: Bytes are missing.
            AttachmentRejected: The digest is not the one stated; all that came is gone, and the upload begins anew.
            StoreUnavailable: Not now; the same call may succeed later.
        """
        if self.done:
            return self._described
        if self.received_bytes != self._place.size_bytes:
            raise FieldInvalid("finish", "bytes of the file are missing")
        service, place = self._service, self._place
        try:
            self._digests.check(self._described.sha256)
        except Exception:
            self.ended = True
            await asyncio.to_thread(service.files.remove, place.attachment_id)
            raise
        await asyncio.to_thread(service.files.finish, place.attachment_id)
        digest = self._digests.sealed
        log = step(
            EventType.ATTACHMENT_UPLOADED,
            service.clock.now_ms(),
            actor=self._principal,
            subject=self._upload_id,
            digest=digest,
            detail=f"{place.size_bytes} bytes",
        )
        custody = CustodyStep(attachment_id=place.attachment_id, event=CustodyEvent.UPLOADED, log=log)
        await service.store.write(KeepAttachment(attachment_id=place.attachment_id, digest=digest, custody=custody))
        self.done = True
        return self._described


class UploadService:
    """Takes files from national systems."""

    def __init__(
        self,
        *,
        store: Store,
        files: AttachmentFiles,
        clock: Clock,
        keys: KeyHolder,
        pool: KeyPool,
        rules: AttachmentRules,
    ) -> None:
        self.store = store
        self.files = files
        self.clock = clock
        self._keys = keys
        self._pool = pool
        self._rules = rules
        self._open: dict[bytes, Upload] = {}

    async def begin(self, principal: str, request: UploadRequest) -> Upload:
        """Begin an upload, or go on with it.

        Raises:
            FieldInvalid: Name, size or digest break a rule.
            AttachmentRefused: Such files are not taken.
            RequestIdReused: The upload_id is another file's.
            StateConflict: It is too old to go on with.
            QuotaExceeded: There is no room now.
        """
        key = AttachmentKey.generate()
        described = Attachment(
            name=request.name,
            media_type=request.media_type,
            size_bytes=request.size_bytes,
            sha256=request.sha256,
            key=key.export_secret(),
            chunk_bytes=CHUNK_BYTES,
        )
        check_attachments((described,), "attachments")
        self._rules.check(request.size_bytes, request.media_type)
        row = await self._row(principal, request, described)
        if row.state is AttachmentState.UPLOADING or (row.state is AttachmentState.STORED and row.key_id):
            described = self._described(row)
        else:
            raise StateConflict("this upload is over: its file went into a message long ago, or was erased")
        said = (request.name, request.media_type, request.size_bytes, request.sha256)
        if said != (described.name, described.media_type, described.size_bytes, described.sha256):
            raise RequestIdReused("this upload_id was used before for another file")
        place = FilePlace(row.attachment_id, AttachmentKey(described.key), row.size_bytes, row.chunk_bytes)
        upload = Upload(self, principal, place, described, request.upload_id)
        former = self._open.get(row.attachment_id)
        if former is not None:
            former.ended = True
        self._open[row.attachment_id] = upload
        if row.state is AttachmentState.STORED:
            upload.done = True
        else:
            await upload.resume()
        return upload

    def end(self, upload: Upload) -> None:
        """A stream is over."""
        for attached, other in tuple(self._open.items()):
            if other is upload:
                del self._open[attached]

    async def _row(self, principal: str, request: UploadRequest, described: Attachment) -> AttachmentRow:
        fresh = self._pool.take()
        words = json.dumps(
            {
                "key": described.key.hex(),
                "name": described.name,
                "media_type": described.media_type,
                "sha256": described.sha256.hex(),
            }
        )
        key = AttachmentKey(described.key)
        row = AttachmentRow(
            attachment_id=attachment_id(key, described.sha256, described.size_bytes, described.chunk_bytes),
            state=AttachmentState.UPLOADING,
            principal=principal,
            upload_id=request.upload_id,
            size_bytes=described.size_bytes,
            chunk_bytes=described.chunk_bytes,
            create_ms=self.clock.now_ms(),
            digest=b"",
            key_id=fresh.key_id,
            sealed=seal_upload(fresh.key, words.encode()),
            wrapped_key=fresh.wrapped,
            attempts=0,
            retry_ms=0,
            reason="",
        )
        free = await asyncio.to_thread(self.files.free_bytes)
        needed = sealed_size(row.size_bytes, row.chunk_bytes) + self._rules.keep_free_bytes
        status = await self.store.write(
            BeginUpload(
                row=row,
                wrapped_message_key=fresh.wrapped,
                # An upload that began before goes on: its room was taken then.
                total_bytes=self._rules.total_bytes if free >= needed else 0,
                max_uploads=MAX_UPLOADS,
            )
        )
        if status is BeginStatus.FULL:
            raise QuotaExceeded(_FULL_RETRY_MS)
        found = await self.store.read(FindUpload(principal=principal, upload_id=request.upload_id))
        if found is None:
            raise StoreUnavailable("the upload is not there any more")
        return found

    def _described(self, row: AttachmentRow) -> Attachment:
        if row.wrapped_key is None:
            raise StateConflict("this upload is over: its key was destroyed")
        key = unwrap(self._keys.current.key_encryption, row.wrapped_key, row.key_id)
        words = json.loads(open_upload(key, row.sealed))
        return Attachment(
            name=words["name"],
            media_type=words["media_type"],
            size_bytes=row.size_bytes,
            sha256=bytes.fromhex(words["sha256"]),
            key=bytes.fromhex(words["key"]),
            chunk_bytes=row.chunk_bytes,
        )

    async def check_uploaded(self, body: Body) -> None:
        """Return when every file that a body names is here: a message must not promise what nobody can fetch.

        Raises:
            FieldInvalid: One is not, or its upload is too old.
        """
        attached = attached_to(body)
        if not attached:
            return
        ids = [id_of(item) for item in attached]
        found = {row.attachment_id: row for row in await self.store.read(FindAttachments(tuple(ids)))}
        oldest_ms = self.clock.now_ms() - KEEP_MS
        for place, name in enumerate(ids):
            row = found.get(name)
            if row is None or row.state is not AttachmentState.STORED or (row.key_id and row.create_ms < oldest_ms):
                raise FieldInvalid(
                    f"body.attachments[{place}]", "was not uploaded here within a day (UploadAttachment)"
                )
