"""The part of ExchangeService that moves files: what this state's own systems upload and download."""

from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import reference_pb2

from gateway.errors import FieldInvalid, NotFound
from gateway.exchange.read_attachment import AttachmentReader, AttachmentView
from gateway.exchange.reader import OpenedMessage
from gateway.exchange.submission import Submitter
from gateway.exchange.upload_attachment import UploadRequest, UploadService
from gateway.ids import MessageId, PartnerId
from gateway.model.reference import Attachment
from gateway.ports import AttachmentState, MessageRow
from gateway.rpc.callers import Caller
from gateway.rpc.convert.field import partner_from_text
from gateway.rpc.convert.view import request_id_from_text, time_to_proto

_STATES: Final = {
    AttachmentState.UPLOADING: "missing",
    AttachmentState.STORED: "stored",
    AttachmentState.WANTED: "wanted",
    AttachmentState.REFUSED: "refused",
    AttachmentState.ERASING: "erased",
    AttachmentState.ERASED: "erased",
}


class Files(Protocol):
    """Where files go and come from."""

    @property
    def uploads(self) -> UploadService: ...
    @property
    def reader(self) -> AttachmentReader: ...


class AttachmentMethods:
    """Lets national systems send and fetch files.

    Args:
        own: This state.
        files: None: this gateway keeps none.
        submitter: Returns for whom a caller speaks.
    """

    def __init__(self, own: PartnerId, files: Files | None, submitter: Callable[[Caller], Submitter]) -> None:
        self._own_state = own
        self._held_files = files
        self._who = submitter

    def _files(self) -> Files:
        if self._held_files is None:
            raise NotFound("this gateway keeps no attachments")
        return self._held_files

    async def upload_attachment(
        self, requests: AsyncIterator[pb.UploadAttachmentRequest], caller: Caller
    ) -> AsyncIterator[pb.UploadAttachmentResponse]:
        """Take a file in, from where an earlier stream of it stopped."""
        self._who(caller)
        uploads = self._files().uploads
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "begin":
            raise FieldInvalid("begin", "must come first")
        begin = first.begin
        upload = await uploads.begin(
            caller.principal,
            UploadRequest(
                upload_id=request_id_from_text(begin.upload_id),
                name=begin.name,
                media_type=begin.media_type,
                size_bytes=begin.size_bytes,
                sha256=begin.sha256,
            ),
        )
        try:
            told = upload.received_bytes
            yield pb.UploadAttachmentResponse(received_bytes=told)
            async for request in requests:
                match request.WhichOneof("part"):
                    case "data":
                        await upload.write(request.data)
                        if upload.received_bytes > told:
                            told = upload.received_bytes
                            yield pb.UploadAttachmentResponse(received_bytes=told)
                    case "finish":
                        attachment = await upload.finish()
                        yield pb.UploadAttachmentResponse(
                            received_bytes=upload.received_bytes,
                            attachment=attachment_to_proto(attachment, key=attachment.key),
                        )
                        return
                    case _:
                        raise FieldInvalid("begin", "must come once")
        finally:
            uploads.end(upload)

    async def download_attachment(
        self, request: pb.DownloadAttachmentRequest, caller: Caller
    ) -> AsyncIterator[pb.DownloadAttachmentResponse]:
        """Give a file's bytes to a system that may see its message."""
        reader = self._files().reader
        opened = await self._opened(request.sender, request.message_id, caller)
        attached = reader.attached(opened)
        if request.index >= len(attached):
            raise NotFound("the message has no such attachment")
        head = attachment_to_proto(attached[request.index])
        pieces = reader.download(
            opened, request.index, offset=request.offset, length=request.length, actor=caller.principal
        )
        # With the first piece, also where none is left: what the file is must be known to who goes on at its end.
        piece = await anext(pieces, b"")
        yield pb.DownloadAttachmentResponse(attachment=head, data=piece)
        async for piece in pieces:
            yield pb.DownloadAttachmentResponse(data=piece)

    async def list_attachments(self, request: pb.ListAttachmentsRequest, caller: Caller) -> pb.ListAttachmentsResponse:
        """Return the files of a message and where each stands."""
        opened = await self._opened(request.sender, request.message_id, caller)
        views = await self._files().reader.views(opened, actor=caller.principal)
        return pb.ListAttachmentsResponse(attachments=[_view_to_proto(view) for view in views])

    async def _opened(self, sender: str, message_id: bytes, caller: Caller) -> OpenedMessage:
        partner = partner_from_text(sender, "sender") if sender else self._own_state
        submitter = self._who(caller)
        opened = await self._files().reader.open(partner, MessageId(message_id))
        if not may_see(opened.stored.row, submitter):
            raise NotFound("no such message")
        return opened


def may_see(row: MessageRow, submitter: Submitter) -> bool:
    """What came in is for all systems of the state; what went out is for those who speak for its authority."""
    if not row.sent or row.submitter == submitter.principal:
        return True
    return any(authority.name == row.authority for authority in submitter.authorities)


def attachment_to_proto(item: Attachment, *, key: bytes = b"") -> reference_pb2.Attachment:
    """Return what a body says of a file, with its key only for the draft."""
    return reference_pb2.Attachment(
        name=item.name,
        media_type=item.media_type,
        size_bytes=item.size_bytes,
        sha256=item.sha256,
        key=key,
        chunk_bytes=item.chunk_bytes,
    )


def _view_to_proto(view: AttachmentView) -> pb.AttachmentView:
    row = view.row
    return pb.AttachmentView(
        index=view.place,
        attachment=attachment_to_proto(view.attachment),
        state="missing" if row is None else _STATES[row.state],
        reason="" if row is None else row.reason,
        here_bytes=view.here_bytes,
        sealed_sha256=b"" if row is None else row.digest,
        custody=[
            pb.AttachmentStep(
                time=time_to_proto(step.time_ms),
                event=step.event.name.lower(),
                actor=step.actor,
                partner=step.partner,
                reason=step.reason,
            )
            for step in view.custody
        ],
    )
