"""The client for programs without an event loop."""

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc
from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import message_pb2, reference_pb2
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from google.protobuf.message import Message

from gateway.client.connection import OPTIONS, SERVICE, AccessToken, Credentials, Metadata, is_by_age
from gateway.client.core import Handed, RetryPolicy, SubmitWindow, WatchPosition
from gateway.client.errors import Unreachable, error_of_call
from gateway.client.files import FileSource, FileTarget
from gateway.client.values import Accepted, Submitted, Watched, accepted_of, message_id_of, new_request_id
from gateway.errors import GatewayError
from gateway.ids import MessageId

CALL_TIMEOUT_S: Final = 10.0
STREAM_AGE_S: Final = 300.0
"""Streams begin anew this often, so that none hangs on a line that forgot it."""


class Client:
    """A national system's line to its gateway. Threads may share it; close it at the end, or use it as a context.

    Args:
        target: host:port of the gateway's exchange listener.
        credentials: Certificate, key and roots.
        access_token: When the gateway asks for one.
        retry: Patience with a gateway that is away.
        timeout_s: Deadline of each try of a call.
        stream_age_s: When streams begin anew.
    """

    def __init__(
        self,
        target: str,
        credentials: Credentials,
        *,
        access_token: AccessToken | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
        stream_age_s: float = STREAM_AGE_S,
    ) -> None:
        self._channel = grpc.secure_channel(target, credentials.for_channel(), options=OPTIONS)
        self._stub: Any = ExchangeServiceStub(self._channel)
        self._access_token = access_token
        self._retry = retry or RetryPolicy()
        self._timeout_s = timeout_s
        self._stream_age_s = stream_age_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and all that runs on it."""
        self._channel.close()

    def submit(self, draft: message_pb2.Draft, request_id: str | None = None) -> Accepted:
        """Hand in a draft; return when it is on the gateway's disk.

        Args:
            draft: What is to leave.
            request_id: Keep one with the draft (`new_request_id`) to repeat the call after this program's own end.

        Raises:
            GatewayError: The refusal; or TimedOut or Unreachable, after which only a repeat tells what became of it.
        """
        request_id = request_id or new_request_id()
        answer = self._call("SubmitMessage", pb.SubmitMessageRequest(request_id=request_id, draft=draft))
        return accepted_of(request_id, answer)

    def validate(self, draft: message_pb2.Draft) -> pb.ValidateMessageResponse:
        """Return what would happen to a draft; nothing is kept.

        Raises:
            GatewayError: A rule for fields is broken; what policy says is no error but the verdict.
        """
        answer: pb.ValidateMessageResponse = self._call("ValidateMessage", pb.ValidateMessageRequest(draft=draft))
        return answer

    def get(self, message_id: MessageId | str | bytes, sender: str = "") -> pb.MessageView:
        """Return a message: one of ours, or with its sender one that was received.

        Raises:
            NotFound: There is none, or it is not for this system.
        """
        request = pb.GetMessageRequest(message_id=message_id_of(message_id).raw, sender=sender)
        view: pb.MessageView = self._call("GetMessage", request).message
        return view

    def list(
        self, direction: pb.Direction.ValueType = pb.DIRECTION_UNSPECIFIED, *, page_size: int = 100
    ) -> Iterator[pb.MessageView]:
        """Yield messages without bodies, newest first, page after page as they are taken.

        Raises:
            GatewayError: A page could not be read.
        """
        token = ""
        while True:
            request = pb.ListMessagesRequest(direction=direction, page_size=page_size, page_token=token)
            page = self._call("ListMessages", request)
            yield from page.messages
            if not page.next_page_token or page.next_page_token == token:
                return
            token = page.next_page_token

    def acknowledge(self, message_id: MessageId | str | bytes, sender: str) -> pb.AcknowledgeMessageResponse:
        """State to the sender, signed, that this system has taken a received message over.

        Raises:
            GatewayError: NotFound, StateConflict or no answer.
        """
        request = pb.AcknowledgeMessageRequest(message_id=message_id_of(message_id).raw, sender=sender)
        answer: pb.AcknowledgeMessageResponse = self._call("AcknowledgeMessage", request)
        return answer

    def mark_alert(self, message_id: MessageId | str | bytes, sender: str, mark: pb.AlertMark.ValueType) -> str:
        """Record what this state does with a received alert; return the state it is in.

        Raises:
            GatewayError: NotFound, StateConflict, ConcurrentUpdate or no answer.
        """
        request = pb.MarkAlertRequest(message_id=message_id_of(message_id).raw, sender=sender, mark=mark)
        answer: pb.MarkAlertResponse = self._call("MarkAlert", request)
        return answer.alert_state

    def submit_many(self, drafts: Iterable[Handed]) -> Iterator[Submitted]:
        """Hand in many drafts over one stream; yield what became of each, in their order.

        Drafts are taken as room comes free, so the whole may be larger than memory. For a trickle use `submit`: results
        come when the window is full or the drafts are all taken.

        Args:
            drafts: Each alone, or with the request_id that is kept with it.

        Raises:
            GatewayError: The stream was refused as a whole, or broke too often without progress.
        """
        window, source, more = SubmitWindow(self._retry), iter(drafts), True
        while more or window.awaits or window.unsent:
            frames: queue.SimpleQueue[pb.SubmitMessagesRequest | None] = queue.SimpleQueue()
            call = self._stub.SubmitMessages(
                iter(frames.get, None), timeout=self._stream_age_s, metadata=self._metadata("SubmitMessages")
            )
            try:
                while True:
                    more = _fill(window, source, more=more)
                    while (frame := window.frame()) is not None:
                        frames.put(frame)
                    if window.awaits:
                        answer = _next(call)
                        if answer is None:
                            _sleep_ms(window.broke(None))
                            break
                        window.answer(answer)
                        yield from window.results()
                        _sleep_ms(window.take_wait_ms())
                    elif not more and not window.unsent:
                        break
                    else:
                        yield from window.results()
                yield from window.results()
            except _Ended as ended:
                _sleep_ms(window.broke(error_of_call(ended.error)))
            finally:
                # gRPC's own thread waits for frames: it must not wait for ever.
                frames.put(None)
                call.cancel()

    def upload(
        self, path: Path | str, media_type: str, *, name: str | None = None, upload_id: str | None = None
    ) -> reference_pb2.Attachment:
        """Hand in a file; return what the draft says of it. Goes on by itself where a line broke.

        Args:
            path: The file.
            media_type: As type/subtype.
            name: What the recipient is told; the file's own name unless given.
            upload_id: Keep one (`new_request_id`) to go on after this program's own end.

        Raises:
            GatewayError: The refusal, or the line broke too often without progress.
        """
        source, furthest, failures = FileSource(path, media_type, name, upload_id), 0, 0
        while True:
            offsets: queue.SimpleQueue[int | None] = queue.SimpleQueue()

            def frames(offsets: queue.SimpleQueue[int | None] = offsets) -> Iterator[pb.UploadAttachmentRequest]:
                yield source.begin
                offset = offsets.get()
                if offset is not None:
                    yield from source.frames(offset)

            call = self._stub.UploadAttachment(
                frames(), timeout=self._stream_age_s, metadata=self._metadata("UploadAttachment")
            )
            error: GatewayError = Unreachable("the gateway ended the stream")
            try:
                while (answer := _next(call)) is not None:
                    if answer.HasField("attachment"):
                        found: reference_pb2.Attachment = answer.attachment
                        return found
                    offsets.put(answer.received_bytes)
                    if answer.received_bytes > furthest:
                        furthest, failures = answer.received_bytes, 0
            except _Ended as ended:
                error = error_of_call(ended.error)
            finally:
                # gRPC's own thread waits for where to begin: it must not wait for ever.
                offsets.put(None)
                call.cancel()
            failures += 1
            self._wait_or_raise(failures, error)

    def download(
        self, message_id: MessageId | str | bytes, index: int, path: Path | str, *, sender: str = ""
    ) -> reference_pb2.Attachment:
        """Write a message's file to a path where nothing lies, and return what the message says of it.

        Its digest is checked. What came of a try that failed lies beside the path, and the next one goes on from there.

        Raises:
            GatewayError: AttachmentPending while the gateway has not got it; another refusal.
        """
        target, failures = FileTarget(path), 0
        try:
            while not target.whole:
                request = target.request(message_id_of(message_id).raw, sender, index)
                call = self._stub.DownloadAttachment(
                    request, timeout=self._stream_age_s, metadata=self._metadata("DownloadAttachment")
                )
                error: GatewayError = Unreachable("the gateway ended the stream")
                try:
                    while (answer := _next(call)) is not None:
                        target.take(answer)
                except _Ended as ended:
                    error = error_of_call(ended.error)
                finally:
                    call.cancel()
                if not target.whole:
                    failures = 1 if target.offset > request.offset else failures + 1
                    self._wait_or_raise(failures, error)
            return target.finish()
        finally:
            target.close()

    def attachments(self, message_id: MessageId | str | bytes, *, sender: str = "") -> tuple[pb.AttachmentView, ...]:
        """Return the files of a message and where each stands.

        Raises:
            NotFound: There is no such message for this system.
        """
        request = pb.ListAttachmentsRequest(message_id=message_id_of(message_id).raw, sender=sender)
        return tuple(self._call("ListAttachments", request).attachments)

    def _wait_or_raise(self, failures: int, error: GatewayError) -> None:
        delay_ms = self._retry.delay_ms(failures, error)
        if delay_ms is None:
            raise error
        _sleep_ms(delay_ms)

    def watch(self, cursor: str | None = None) -> Iterator[Watched]:
        """Yield events after a cursor, first those stored, then each as it comes, over restarts of the gateway too.

        In one run each event comes once. Keep the cursor of what was dealt with, and begin there next time.

        Raises:
            CursorExpired: Events after the cursor are no longer kept: list what is there, then watch without one.
            GatewayError: Another refusal. That the gateway is away ends nothing; it is waited for.
        """
        position = WatchPosition(cursor or "", self._retry)
        while True:
            call = self._stub.WatchMessages(
                position.request(), timeout=self._stream_age_s, metadata=self._metadata("WatchMessages")
            )
            wait_ms = 0
            try:
                while (response := _next(call)) is not None:
                    yield from position.take(response)
                wait_ms = position.broke(None)
            except _Ended as ended:
                error = error_of_call(ended.error)
                wait_ms = position.broke(error, by_age=is_by_age(error))
            finally:
                call.cancel()
            _sleep_ms(wait_ms)

    def _metadata(self, method: str) -> Metadata:
        return self._access_token.metadata(SERVICE + method) if self._access_token is not None else ()

    def _call(self, method: str, request: Message) -> Any:
        call: Callable[..., Any] = getattr(self._stub, method)
        failures = 0
        while True:
            try:
                return call(request, timeout=self._timeout_s, metadata=self._metadata(method))
            except grpc.RpcError as raised:
                error = error_of_call(raised)
            failures += 1
            delay_ms = self._retry.delay_ms(failures, error)
            if delay_ms is None:
                raise error
            _sleep_ms(delay_ms)


class _Ended(Exception):
    """A stream's own failure, apart from what the caller of a generator may throw into it."""

    def __init__(self, error: grpc.RpcError) -> None:
        super().__init__()
        self.error = error


def _next(call: Any) -> Any:
    """Return the next answer of a stream; None at its end.

    Raises:
        _Ended: It failed.
    """
    try:
        return next(call, None)
    except grpc.RpcError as error:
        raise _Ended(error) from None


def _fill(window: SubmitWindow, source: Iterator[Handed], *, more: bool) -> bool:
    """Take drafts in while there is room; return whether there may be more."""
    while more and window.has_room:
        try:
            window.add(next(source))
        except StopIteration:
            return False
    return more


def _sleep_ms(duration_ms: int) -> None:
    if duration_ms > 0:
        time.sleep(duration_ms / 1000)
