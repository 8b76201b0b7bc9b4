"""Fetch: files of received messages, from their sender, until each is here, verified, or refused.

What arrives is opened chunk by chunk on its way to disk, so that nothing that was not sealed for this body is ever
kept, and a break costs one chunk. The bytes count as received when their digest is the one in the signed body.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.crypto.attachment import HEADER_BYTES, TAG_BYTES, ChunkStream, sealed_size
from gateway.crypto.keys import AttachmentKey
from gateway.errors import (
    AttachmentRefused,
    AttachmentRejected,
    Busy,
    GatewayError,
    NotFound,
    PartnerFrozen,
    PartnerUnknown,
    PartnerUnreachable,
)
from gateway.exchange.attached import AttachmentRules, attached_to, id_of
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.reader import MessageReader
from gateway.exchange.steps import GATEWAY, partner_principal, step
from gateway.exchange.stored_stream import FilePlace, Progress, progress
from gateway.exchange.upload_attachment import GRACE_MS, KEEP_MS
from gateway.ids import MessageId, PartnerId
from gateway.model.reference import Attachment
from gateway.ports import (
    AttachmentBytes,
    AttachmentCarrier,
    AttachmentFiles,
    AttachmentRow,
    Carrier,
    Codec,
    CustodyEvent,
    CustodyStep,
    EndUpload,
    ErasingAttachments,
    KeepAttachment,
    LinkIdentity,
    LogEntry,
    NoteErased,
    OldUploads,
    PostponeWanted,
    RefuseAttachment,
    Store,
    TakeWanted,
)
from gateway.translog.entry import EventType

log = structlog.get_logger(__name__)

CLAIM_MS: Final = 60_000
RENEW_MS: Final = 15_000
"""A file that is being fetched is this process's alone for a minute, and again while bytes come."""
FIRST_RETRY_MS: Final = 1_000
LAST_RETRY_MS: Final = 600_000
GIVE_UP_MS: Final = 30 * 24 * 3_600_000
"""As long as a message lives: what cannot be had in this time is not waited for."""
MAX_WRONG: Final = 5
"""Times that a file may come and not be what was promised."""
TIDY_ROWS: Final = 64


@dataclass(slots=True)
class _Job:
    row: AttachmentRow
    sender: PartnerId
    message_id: MessageId
    item: Attachment
    place: FilePlace
    progress: Progress
    claimed_ms: int


class FetchService:
    """Fetches what received messages name, and removes what no message names any more.

    Args:
        urgent: Waits while something urgent waits for a partner.
    """

    def __init__(
        self,
        *,
        store: Store,
        files: AttachmentFiles,
        codec: Codec,
        clock: Clock,
        reader: MessageReader,
        directory: PartnerDirectory,
        carrier: Carrier,
        identity: Callable[[], LinkIdentity],
        rules: AttachmentRules,
        urgent: Callable[[PartnerId], Awaitable[None]],
    ) -> None:
        self._store = store
        self._files = files
        self._codec = codec
        self._clock = clock
        self._reader = reader
        self._directory = directory
        self._carrier = carrier if isinstance(carrier, AttachmentCarrier) else None
        self._identity = identity
        self._rules = rules
        self._urgent = urgent
        self._fetching: set[PartnerId] = set()
        """One file of a partner at a time: one that lets us wait delays nobody else's."""

    async def fetch_next(self) -> bool:
        """Fetch the file that is due longest, as far as it comes. False when none is due.

        Raises:
            Busy: The store does not answer now.
        """
        now_ms = self._clock.now_ms()
        taken = await self._store.write(TakeWanted(now_ms=now_ms, until_ms=now_ms + CLAIM_MS))
        if taken is None:
            return False
        row, naming = taken
        if not naming:
            await self._store.write(EndUpload(row.attachment_id))
            return True
        sender, message_id = naming[row.attempts % len(naming)]
        if sender in self._fetching:
            await self._store.write(
                PostponeWanted(attachment_id=row.attachment_id, retry_ms=now_ms + FIRST_RETRY_MS, failed=False)
            )
            return True
        self._fetching.add(sender)
        try:
            job = await self._job(row, sender, message_id, now_ms)
            await self._fetch(job)
        except (AttachmentRefused, AttachmentRejected) as error:
            await self._wrong(row, sender, message_id, error)
        except (Busy, NotFound, PartnerFrozen, PartnerUnknown) as error:
            await self._later(row, sender, message_id, error)
        finally:
            self._fetching.discard(sender)
        return True

    async def _job(self, row: AttachmentRow, sender: PartnerId, message_id: MessageId, now_ms: int) -> _Job:
        opened = await self._reader.open(sender, message_id)
        if opened.body_bytes is None:
            raise NotFound("the message is erased")
        attached = attached_to(self._codec.decode_body(opened.body_bytes))
        item = next((item for item in attached if id_of(item) == row.attachment_id), None)
        if item is None:
            raise NotFound("the message names no such file")
        self._rules.check(item.size_bytes, item.media_type)
        total, theirs = await self._store.read(AttachmentBytes(partner_principal(sender)))
        free = await asyncio.to_thread(self._files.free_bytes)
        rules = self._rules
        place = FilePlace(row.attachment_id, AttachmentKey(item.key), item.size_bytes, item.chunk_bytes)
        found = await asyncio.to_thread(progress, self._files, place)
        missing = sealed_size(item.size_bytes, item.chunk_bytes) - found.offset
        # One partner may fill half of the room, so that there is always some for the others.
        if (
            total + item.size_bytes > rules.total_bytes
            or theirs + item.size_bytes > max(rules.total_bytes // 2, rules.max_bytes)
            or free < missing + rules.keep_free_bytes
        ):
            log.warning("attachment.no_room", partner=sender.code, bytes=item.size_bytes)
            raise PartnerUnreachable("there is no room for the file now")
        return _Job(row, sender, message_id, item, place, found, now_ms)

    async def _fetch(self, job: _Job) -> None:
        card = self._directory.usable(job.sender)
        if self._carrier is None:
            raise PartnerUnreachable("this carrier fetches no files")
        whole = sealed_size(job.item.size_bytes, job.item.chunk_bytes)
        if job.progress.offset < whole:
            pieces = self._carrier.fetch_attachment(
                self._identity(), card, job.message_id, job.row.attachment_id, job.progress.offset
            )
            buffer = bytearray()
            async for piece in pieces:
                if len(buffer) + len(piece) + job.progress.offset > whole:
                    raise AttachmentRejected("size")
                buffer += piece
                await self._take_in(job, buffer)
                await self._renew(job)
                await self._urgent(job.sender)
            if job.progress.offset < whole:
                raise PartnerUnreachable("the file ended too early")
        job.progress.digests.check(job.item.sha256)
        await asyncio.to_thread(self._files.finish, job.row.attachment_id)
        digest = job.progress.digests.sealed
        custody = self._custody(
            job.row.attachment_id,
            CustodyEvent.RECEIVED,
            self._step(EventType.ATTACHMENT_RECEIVED, job.sender, job.message_id, digest=digest),
        )
        kept = await self._store.write(
            KeepAttachment(attachment_id=job.row.attachment_id, digest=digest, custody=custody)
        )
        if not kept:
            # Its message was erased meanwhile.
            await asyncio.to_thread(self._files.remove, job.row.attachment_id)

    async def _take_in(self, job: _Job, buffer: bytearray) -> None:
        """Open and keep each chunk that is whole."""
        while True:
            stream, header = job.progress.stream, b""
            if stream is None:
                if len(buffer) < HEADER_BYTES:
                    return
                header = bytes(buffer[:HEADER_BYTES])
                stream = ChunkStream.follow(job.place.key, header, job.place.size_bytes, job.place.chunk_bytes)
            length = stream.next_bytes + TAG_BYTES
            if not stream.next_bytes or len(buffer) < len(header) + length:
                return
            sealed = bytes(buffer[len(header) : len(header) + length])
            del buffer[: len(header) + length]
            await asyncio.to_thread(self._keep, job, stream, header, sealed)

    def _keep(self, job: _Job, stream: ChunkStream, header: bytes, sealed: bytes) -> None:
        clear = stream.open(sealed)
        self._files.append(job.row.attachment_id, job.progress.offset, header + sealed)
        job.progress.digests.add(b"", header)
        job.progress.digests.add(clear, sealed)
        job.progress.stream = stream
        job.progress.offset += len(header) + len(sealed)

    async def _renew(self, job: _Job) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - job.claimed_ms < RENEW_MS:
            return
        job.claimed_ms = now_ms
        wanted = await self._store.write(
            PostponeWanted(attachment_id=job.row.attachment_id, retry_ms=now_ms + CLAIM_MS, failed=False)
        )
        if not wanted:
            raise NotFound("nobody waits for the file any more")

    async def _later(self, row: AttachmentRow, sender: PartnerId, message_id: MessageId, error: GatewayError) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - row.create_ms > GIVE_UP_MS:
            await self._refuse(row, sender, message_id, PartnerUnreachable.reason)
            return
        retry_ms = now_ms + min(LAST_RETRY_MS, FIRST_RETRY_MS << min(row.attempts, 20))
        log.info("attachment.later", partner=sender.code, reason=error.reason, why=error.text)
        await self._store.write(PostponeWanted(attachment_id=row.attachment_id, retry_ms=retry_ms, failed=True))

    async def _wrong(
        self,
        row: AttachmentRow,
        sender: PartnerId,
        message_id: MessageId,
        error: AttachmentRefused | AttachmentRejected,
    ) -> None:
        """Keep nothing of what is not what was promised. What is not taken at all is not asked for again."""
        await asyncio.to_thread(self._files.remove, row.attachment_id)
        if isinstance(error, AttachmentRejected):
            log.warning("attachment.rejected", partner=sender.code, reason=error.reason, why=error.step)
            if row.attempts + 1 < MAX_WRONG:
                await self._later(row, sender, message_id, error)
                return
        await self._refuse(row, sender, message_id, error.reason)

    async def _refuse(self, row: AttachmentRow, sender: PartnerId, message_id: MessageId, reason: str) -> None:
        refused = self._step(EventType.ATTACHMENT_REFUSED, sender, message_id, reason=reason)
        custody = self._custody(row.attachment_id, CustodyEvent.REFUSED, refused)
        await self._store.write(RefuseAttachment(attachment_id=row.attachment_id, reason=reason, custody=custody))

    def _step(
        self, kind: EventType, sender: PartnerId, message_id: MessageId, *, digest: bytes = b"", reason: str = ""
    ) -> LogEntry:
        return step(
            kind,
            self._clock.now_ms(),
            actor=GATEWAY,
            partner=sender.code,
            subject=message_id.raw,
            digest=digest,
            reason=reason,
        )

    def _custody(self, attachment_id: bytes, event: CustodyEvent, entry: LogEntry) -> CustodyStep:
        return CustodyStep(attachment_id=attachment_id, event=event, log=entry)

    async def tidy(self) -> None:
        """Destroy the keys of old uploads, and remove the bytes of what no message names any more.

        Raises:
            Busy: The store does not answer now.
        """
        now_ms = self._clock.now_ms()
        old = OldUploads(before_ms=now_ms - KEEP_MS - GRACE_MS, max_rows=TIDY_ROWS)
        for attachment_id in await self._store.read(old):
            await self._store.write(EndUpload(attachment_id))
        for attachment_id in await self._store.read(ErasingAttachments(TIDY_ROWS)):
            await asyncio.to_thread(self._files.remove, attachment_id)
            erased = step(EventType.ATTACHMENT_ERASED, self._clock.now_ms(), actor=GATEWAY)
            await self._store.write(NoteErased(self._custody(attachment_id, CustodyEvent.ERASED, erased)))
