"""ExchangeService: what this state's own systems call."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

from concord.v1 import exchange_service_pb2 as pb

from gateway.errors import CallerUnknown, FieldInvalid, GatewayError, NotFound
from gateway.exchange.reader import OpenedMessage
from gateway.exchange.submission import Submission, Submitter, Validation
from gateway.ids import MessageId, PartnerId
from gateway.model.envelope import Outcome
from gateway.model.message import Draft
from gateway.ports import EventRow, MessageRow, SubmissionResult
from gateway.rpc.attachment_methods import AttachmentMethods, Files, may_see
from gateway.rpc.callers import Caller
from gateway.rpc.convert.field import partner_from_text
from gateway.rpc.convert.message import draft_from_proto
from gateway.rpc.convert.view import (
    accepted_to_proto,
    event_to_proto,
    mark_from_proto,
    opened_to_proto,
    request_digest,
    request_id_from_text,
    row_to_proto,
    time_to_proto,
    validation_to_proto,
)
from gateway.rpc.methods import CallerKind
from gateway.rpc.pipeline import answer_in_order
from gateway.rpc.status import error_detail
from gateway.telemetry.calls import UNWATCHED, Calls
from gateway.telemetry.current import current_trace
from gateway.workflow.alert import AlertEvent, AlertState

WINDOW_FRAMES: Final = 8
"""Frames of one stream worked on at once: keeps two batches of 128 full with frames of 32."""
MAX_FRAME_REQUESTS: Final = 256
"""exchange_service.proto, SubmitMessagesRequest.requests."""
RECEIVED: Final = "message.received"


class Submitting(Protocol):
    """What is needed of workers.coalesce.CoalescedSubmit or exchange.submit.SubmitService."""

    async def submit(self, submissions: Sequence[Submission]) -> list[SubmissionResult | GatewayError]: ...
    async def validate(self, submitter: Submitter, draft: Draft) -> Validation: ...


class Reading(Protocol):
    """What is needed of exchange.reader.MessageReader."""

    async def open(self, sender: PartnerId, message_id: MessageId) -> OpenedMessage: ...
    async def note_shown(self, opened: Sequence[OpenedMessage], *, actor: str) -> None: ...
    async def note_listed(self, *, actor: str, count: int) -> None: ...
    async def list(
        self, *, sent: bool | None, page_size: int, page_token: str
    ) -> tuple[tuple[MessageRow, ...], str]: ...
    def watch(self, since_cursor: str) -> AsyncIterator[tuple[tuple[EventRow, ...], str]]: ...


class Acknowledging(Protocol):
    """What is needed of exchange.acknowledge.AcknowledgeService."""

    async def acknowledge(self, sender: PartnerId, message_id: MessageId, outcome: Outcome, *, actor: str) -> int: ...


class Marking(Protocol):
    """What is needed of exchange.mark_alert.AlertMarker."""

    async def mark(self, sender: PartnerId, message_id: MessageId, event: AlertEvent, *, actor: str) -> AlertState: ...


class ExchangeServicer(AttachmentMethods):
    """Lets national systems submit, follow and take over messages.

    Args:
        own: This state.
        submitters: For whom each principal speaks, for example "system/early-warning".
    """

    def __init__(
        self,
        *,
        own: PartnerId,
        submitting: Submitting,
        reading: Reading,
        acknowledging: Acknowledging,
        marking: Marking,
        submitters: Mapping[str, Submitter],
        calls: Calls = UNWATCHED,
        files: Files | None = None,
    ) -> None:
        super().__init__(own, files, self._submitter)
        self._calls = calls
        self._own = own
        self._submitting = submitting
        self._reading = reading
        self._acknowledging = acknowledging
        self._marking = marking
        self._submitters = submitters

    def _submitter(self, caller: Caller) -> Submitter:
        try:
            return self._submitters[caller.principal]
        except KeyError:
            raise CallerUnknown(f"'{caller.principal}' is not registered here") from None

    async def submit_message(self, request: pb.SubmitMessageRequest, caller: Caller) -> pb.SubmitMessageResponse:
        """Accept one draft."""
        submission = self._submission(request, self._submitter(caller))
        (answer,) = await self._submitting.submit([submission])
        if isinstance(answer, GatewayError):
            raise answer
        return accepted_to_proto(answer)

    async def submit_messages(
        self, requests: AsyncIterator[pb.SubmitMessagesRequest], caller: Caller
    ) -> AsyncIterator[pb.SubmitMessagesResponse]:
        """Accept drafts by the frame, several frames at once; each draft gets its own answer."""
        submitter = self._submitter(caller)

        async def answer(frame: pb.SubmitMessagesRequest) -> pb.SubmitMessagesResponse:
            with self._calls.frame():
                return await self._submit_frame(frame, submitter)

        async for response in answer_in_order(requests, answer, WINDOW_FRAMES):
            yield response

    async def _submit_frame(self, frame: pb.SubmitMessagesRequest, submitter: Submitter) -> pb.SubmitMessagesResponse:
        if not 1 <= len(frame.requests) <= MAX_FRAME_REQUESTS:
            raise FieldInvalid("requests", f"must be 1 to {MAX_FRAME_REQUESTS}")
        answers: list[SubmissionResult | GatewayError | None] = []
        submissions: list[Submission] = []
        for request in frame.requests:
            try:
                submissions.append(self._submission(request, submitter))
                answers.append(None)
            except GatewayError as error:
                answers.append(error)
        accepted = iter(await self._submitting.submit(submissions) if submissions else ())
        response = pb.SubmitMessagesResponse()
        for request, known in zip(frame.requests, answers, strict=True):
            outcome = known if known is not None else next(accepted)
            result = response.results.add(request_id=request.request_id[:64])
            if isinstance(outcome, GatewayError):
                result.error.CopyFrom(error_detail(outcome))
            else:
                result.accepted.CopyFrom(accepted_to_proto(outcome))
        return response

    def _submission(self, request: pb.SubmitMessageRequest, submitter: Submitter) -> Submission:
        try:
            return _submission(request, submitter)
        except GatewayError as error:
            self._calls.unreadable(request.draft.urgency, error.reason)
            raise

    async def validate_message(self, request: pb.ValidateMessageRequest, caller: Caller) -> pb.ValidateMessageResponse:
        """Say what would happen to a draft and keep nothing."""
        submitter = self._submitter(caller)
        return validation_to_proto(await self._submitting.validate(submitter, draft_from_proto(request.draft)))

    async def get_message(self, request: pb.GetMessageRequest, caller: Caller) -> pb.GetMessageResponse:
        """Return one message: a received one, or one that the caller's authorities sent."""
        sender = partner_from_text(request.sender, "sender") if request.sender else self._own
        opened = await self._reading.open(sender, MessageId(request.message_id))
        if not may_see(opened.stored.row, self._submitter(caller)):
            raise NotFound("no such message")
        await self._reading.note_shown([opened], actor=self._submitter(caller).principal)
        return pb.GetMessageResponse(message=opened_to_proto(opened))

    async def list_messages(self, request: pb.ListMessagesRequest, caller: Caller) -> pb.ListMessagesResponse:
        """Return a page of messages; it may hold fewer than asked for, when others sent some of them."""
        submitter = self._submitter(caller)
        sent = {pb.DIRECTION_SENT: True, pb.DIRECTION_RECEIVED: False}.get(request.direction)
        rows, token = await self._reading.list(sent=sent, page_size=request.page_size, page_token=request.page_token)
        shown = [row_to_proto(row) for row in rows if may_see(row, submitter)]
        await self._reading.note_listed(actor=submitter.principal, count=len(shown))
        return pb.ListMessagesResponse(messages=shown, next_page_token=token)

    async def watch_messages(
        self, request: pb.WatchMessagesRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchMessagesResponse]:
        """Yield events from a cursor on, received messages with their bodies."""
        submitter = self._submitter(caller)
        async for rows, cursor in self._reading.watch(request.since_cursor):
            # All at once: one by one, each read would wait for a turn of a loop that is busy taking in the next ones.
            found = await asyncio.gather(*(self._open(row) for row in rows))
            with_body = [
                opened
                for row, opened in zip(rows, found, strict=True)
                if opened is not None and row.type == RECEIVED and may_see(opened.stored.row, submitter)
            ]
            await self._reading.note_shown(with_body, actor=submitter.principal)
            seen = (_event(row, opened, submitter) for row, opened in zip(rows, found, strict=True))
            events = [event for event in seen if event is not None]
            # A batch of which nothing is for this caller still moves its cursor on.
            yield pb.WatchMessagesResponse(events=events, cursor=cursor)

    async def _open(self, row: EventRow) -> OpenedMessage | None:
        try:
            return await self._reading.open(row.sender, row.message_id)
        except NotFound:
            return None

    async def acknowledge_message(
        self, request: pb.AcknowledgeMessageRequest, caller: Caller
    ) -> pb.AcknowledgeMessageResponse:
        """State to the sender that a system or officer of ours has taken a message over."""
        submitter = self._submitter(caller)
        by_officer = caller.kind is CallerKind.OFFICER
        time_ms = await self._acknowledging.acknowledge(
            partner_from_text(request.sender, "sender"),
            MessageId(request.message_id),
            Outcome.ACKNOWLEDGED_BY_OFFICER if by_officer else Outcome.ACKNOWLEDGED_BY_SYSTEM,
            actor=submitter.principal,
        )
        return pb.AcknowledgeMessageResponse(acknowledge_time=time_to_proto(time_ms))

    async def mark_alert(self, request: pb.MarkAlertRequest, caller: Caller) -> pb.MarkAlertResponse:
        """Record what this state does with a received alert."""
        state = await self._marking.mark(
            partner_from_text(request.sender, "sender"),
            MessageId(request.message_id),
            mark_from_proto(request.mark),
            actor=self._submitter(caller).principal,
        )
        return pb.MarkAlertResponse(alert_state=state.word)


def _submission(request: pb.SubmitMessageRequest, submitter: Submitter) -> Submission:
    request_id = request_id_from_text(request.request_id)
    if not request.HasField("draft"):
        raise FieldInvalid("draft", "is required")
    draft = draft_from_proto(request.draft)
    return Submission(
        submitter=submitter,
        request_id=request_id,
        request_digest=request_digest(request.draft),
        draft=draft,
        trace=current_trace(),
    )


def _event(row: EventRow, opened: OpenedMessage | None, submitter: Submitter) -> pb.Event | None:
    if opened is None:
        # Erased since: that it came or went is still told, without its content.
        return event_to_proto(row, None) if row.type == RECEIVED else None
    if not may_see(opened.stored.row, submitter):
        return None
    return event_to_proto(row, opened_to_proto(opened) if row.type == RECEIVED else None)
