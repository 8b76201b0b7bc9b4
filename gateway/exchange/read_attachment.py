"""Read: what a message's files are and where they stand, their bytes for our systems, their sealed form for partners.

Nothing is shown unrecorded: the step in the exchange log is durable before the first byte leaves. A partner gets the
sealed form, and only of files of messages that went to it and that it has not refused.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.crypto.attachment import HEADER_BYTES, TAG_BYTES, ChunkStream, sealed_size
from gateway.crypto.keys import AttachmentKey
from gateway.errors import AttachmentPending, AttachmentRejected, FieldInvalid, NotFound, StoreCorrupt
from gateway.exchange.attached import attached_to, id_of
from gateway.exchange.quota import Quota
from gateway.exchange.reader import MessageReader, OpenedMessage
from gateway.exchange.steps import partner_principal, step
from gateway.ids import MessageId, PartnerId
from gateway.model.header import Urgency
from gateway.model.reference import Attachment
from gateway.ports import (
    AttachmentFiles,
    AttachmentRow,
    AttachmentState,
    Codec,
    CustodyEvent,
    CustodyRow,
    CustodyStep,
    FindAttachments,
    FindMessage,
    NamedAttachments,
    NoteCustody,
    ReadCustody,
    Store,
)
from gateway.translog.entry import EventType

PIECE_BYTES: Final = 256 << 10
"""Of one answer of a stream: 1 s on a line of 2 Mbit/s, so that a pause for what is urgent is soon."""
MAX_CUSTODY: Final = 256
FETCHES_PER_S: Final = 2
FETCHES_BURST: Final = 200
"""Fetches that one partner may begin."""
_NOT_FOR: Final = frozenset({"refused", "expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentView:
    """A file of a message and where it stands."""

    place: int
    attachment: Attachment
    row: AttachmentRow | None
    """None: it was sent before there were files beside messages."""
    here_bytes: int
    """Of the sealed form, on disk."""
    custody: tuple[CustodyRow, ...]


class AttachmentReader:
    """Gives files to those who may have them.

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
        own: PartnerId,
        urgent: Callable[[PartnerId], Awaitable[None]],
    ) -> None:
        self._store = store
        self._files = files
        self._codec = codec
        self._clock = clock
        self._reader = reader
        self._own = own
        self._urgent = urgent
        self._fetches = Quota(per_second=FETCHES_PER_S, burst=FETCHES_BURST)

    async def open(self, sender: PartnerId, message_id: MessageId) -> OpenedMessage:
        """Return the message whose files are asked for.

        Raises:
            NotFound: No such message.
        """
        return await self._reader.open(sender, message_id)

    def attached(self, opened: OpenedMessage) -> tuple[Attachment, ...]:
        """Return what a message says of its files; nothing once it is erased."""
        return () if opened.body_bytes is None else attached_to(self._codec.decode_body(opened.body_bytes))

    async def views(self, opened: OpenedMessage, *, actor: str) -> tuple[AttachmentView, ...]:
        """Return the files of a message; that their names were shown is recorded."""
        attached = self.attached(opened)
        if not attached:
            return ()
        await self._reader.note_shown([opened], actor=actor)
        ids = [id_of(item) for item in attached]
        rows = {row.attachment_id: row for row in await self._store.read(FindAttachments(tuple(ids)))}
        views = []
        for place, (item, name) in enumerate(zip(attached, ids, strict=True)):
            views.append(
                AttachmentView(
                    place=place,
                    attachment=item,
                    row=rows.get(name),
                    here_bytes=await asyncio.to_thread(self._files.stored_bytes, name),
                    custody=await self._store.read(ReadCustody(name, MAX_CUSTODY)),
                )
            )
        return tuple(views)

    async def download(
        self, opened: OpenedMessage, place: int, *, offset: int, length: int, actor: str
    ) -> AsyncIterator[bytes]:
        """Yield bytes of a file in clear, from an offset on; length 0: to its end.

        Chunks before the offset are read too, as each opens only behind the one before it.

        Raises:
            NotFound: The message has no such file, or has been erased.
            FieldInvalid: The range lies outside of the file.
            AttachmentPending: It has not arrived yet.
            AttachmentRejected: What arrived was refused, or it cannot be had.
            StoreCorrupt: It is damaged on disk.
        """
        attached = self.attached(opened)
        if not 0 <= place < len(attached):
            raise NotFound("the message has no such attachment")
        item = attached[place]
        end = item.size_bytes if not length else offset + length
        if offset > item.size_bytes or end > item.size_bytes:
            raise FieldInvalid("offset", "lies with length outside of the file")
        name = id_of(item)
        row = await self._stored(name)
        row_of = opened.stored.row
        log = step(
            EventType.ATTACHMENT_SHOWN,
            self._clock.now_ms(),
            actor=actor,
            partner=row_of.sender.code,
            subject=row_of.message_id.raw,
            thread=row_of.thread_id.raw,
            digest=row.digest,
            detail=f"{end - offset} bytes from {offset}",
        )
        await self._store.write(NoteCustody((CustodyStep(attachment_id=name, event=CustodyEvent.SHOWN, log=log),)))
        header = await asyncio.to_thread(self._files.read, name, 0, HEADER_BYTES)
        try:
            stream = ChunkStream.follow(AttachmentKey(item.key), header, item.size_bytes, item.chunk_bytes)
            at, sealed_at = 0, HEADER_BYTES
            while at < end:
                chunk = await asyncio.to_thread(self._next, name, stream, sealed_at)
                sealed_at += len(chunk) + TAG_BYTES
                first, last = max(0, offset - at), min(len(chunk), end - at)
                for start in range(first, last, PIECE_BYTES):
                    yield chunk[start : min(start + PIECE_BYTES, last)]
                at += len(chunk)
        except AttachmentRejected as error:
            raise StoreCorrupt(f"a stored file does not open: {error.step}") from None

    def _next(self, name: bytes, stream: ChunkStream, offset: int) -> bytes:
        return stream.open(self._files.read(name, offset, stream.next_bytes + TAG_BYTES))

    async def _stored(self, name: bytes) -> AttachmentRow:
        rows = await self._store.read(FindAttachments((name,)))
        if not rows or rows[0].state >= AttachmentState.ERASING:
            raise NotFound("the file is not here")
        if rows[0].state is AttachmentState.REFUSED:
            raise AttachmentRejected(rows[0].reason)
        if rows[0].state is not AttachmentState.STORED:
            raise AttachmentPending("the file has not arrived yet")
        return rows[0]

    async def serve(
        self, partner: PartnerId, message_id: MessageId, attachment_id: bytes, offset: int
    ) -> AsyncIterator[bytes]:
        """Yield the sealed form of a file for a recipient of its message, from an offset on.

        Raises:
            NotFound: No such file of a message to this partner; nothing more is said.
            FieldInvalid: The offset lies outside of it.
            QuotaExceeded: Too many fetches of this partner.
        """
        now_ms = self._clock.now_ms()
        self._fetches.take(partner.code, Urgency.U3, now_ms)
        stored = await self._store.read(FindMessage(sender=self._own, message_id=message_id))
        to_it = stored is not None and any(
            delivery.partner == partner and delivery.state not in _NOT_FOR for delivery in stored.deliveries
        )
        named = await self._store.read(NamedAttachments(sender=self._own, message_id=message_id))
        if stored is None or not to_it or attachment_id not in named:
            raise NotFound("no such attachment")
        rows = await self._store.read(FindAttachments((attachment_id,)))
        if not rows or rows[0].state is not AttachmentState.STORED:
            raise NotFound("no such attachment")
        size = sealed_size(rows[0].size_bytes, rows[0].chunk_bytes)
        if offset >= size:
            raise FieldInvalid("offset", "lies behind the end of the file")
        while offset < size:
            await self._urgent(partner)
            piece = await asyncio.to_thread(self._files.read, attachment_id, offset, min(PIECE_BYTES, size - offset))
            if not piece:
                raise StoreCorrupt("a stored file is shorter than it was")
            offset += len(piece)
            yield piece
        log = step(
            EventType.ATTACHMENT_RELAYED,
            self._clock.now_ms(),
            actor=partner_principal(partner),
            partner=partner.code,
            subject=message_id.raw,
            thread=stored.row.thread_id.raw,
            digest=rows[0].digest,
        )
        await self._store.write(
            NoteCustody((CustodyStep(attachment_id=attachment_id, event=CustodyEvent.RELAYED, log=log),))
        )
