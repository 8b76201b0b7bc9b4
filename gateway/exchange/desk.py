"""Desk: all that a connector sees of the gateway.

A connector is somebody's code that reads somebody else's bytes. It gets this narrow view under a principal of its own,
and speaks only for the authorities that its table in the settings names.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.errors import CursorExpired, CursorInvalid, GatewayError, NotFound, PolicyDenied, StateConflict
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.reader import OpenedMessage
from gateway.exchange.submission import Policy, Submission, Submitter
from gateway.ids import MessageId, PartnerId
from gateway.model.envelope import Outcome
from gateway.model.message import Body, Draft, LegalBasis
from gateway.model.partner import Profile
from gateway.policy.decision import Allow, Deny, Hold
from gateway.ports import Codec, DeskMessage, EventRow, HandedIn, MessageRow, SubmissionResult
from gateway.workflow.alert import RECEIVER, AlertEvent, AlertState

_LABEL: Final = b"concord/connector-request/v1"
MAX_NOTES: Final = 100
"""Sources and sinks of one connector; more are not told one by one."""


class Cursor(Protocol):
    """Where a connector is in the stream of events, on disk."""

    async def load(self) -> str: ...
    async def save(self, cursor: str) -> None: ...


class Submitting(Protocol):
    """What is needed of workers.coalesce.CoalescedSubmit or exchange.submit.SubmitService."""

    async def submit(self, submissions: Sequence[Submission]) -> list[SubmissionResult | GatewayError]: ...


class Reading(Protocol):
    """What is needed of exchange.reader.MessageReader."""

    async def open(self, sender: PartnerId, message_id: MessageId) -> OpenedMessage: ...
    async def note_shown(self, opened: Sequence[OpenedMessage], *, actor: str) -> None: ...
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


class ConnectorDesk:
    """The gateway as one connector sees it; see ports.Desk.

    Args:
        submitter: The connector's principal and the authorities it may speak for.
        lost: Told once when events were skipped because the cursor was too old or from another database.
    """

    def __init__(
        self,
        *,
        submitter: Submitter,
        directory: PartnerDirectory,
        profile: Profile,
        policy: Policy,
        codec: Codec,
        clock: Clock,
        submitting: Submitting,
        reading: Reading,
        acknowledging: Acknowledging,
        marking: Marking,
        cursor: Cursor,
        lost: Callable[[str], None],
    ) -> None:
        self._submitter = submitter
        self._directory = directory
        self._profile = profile
        self._policy = policy
        self._codec = codec
        self._clock = clock
        self._submitting = submitting
        self._reading = reading
        self._acknowledging = acknowledging
        self._marking = marking
        self._cursor = cursor
        self._lost = lost
        self.notes: dict[str, str] = {}

    @property
    def own(self) -> PartnerId:
        """This state."""
        return self._directory.own

    def now_ms(self) -> int:
        """Read the gateway's clock."""
        return self._clock.now_ms()

    async def submit(self, handed: HandedIn, source: str, content: bytes) -> SubmissionResult:
        """Accept a draft; see ports.Desk.submit."""
        # The digest leaves out whatever may change between two readings of the same content: which partners are
        # known, how the settings map urgency, how long the alert still lasts. Otherwise a file read again after a
        # crash would be refused as a reuse of its request_id.
        digest = hashlib.sha256(_framed(self._submitter.principal, source, content)).digest()
        submission = Submission(
            submitter=self._submitter, request_id=digest[:16], request_digest=digest, draft=self._draft(handed)
        )
        (answer,) = await self._submitting.submit([submission])
        if isinstance(answer, GatewayError):
            if handed.recipients is None and not submission.draft.recipients:
                # Asked only now: a repeat of what was accepted earlier gets its first answer all the same.
                why = "no agreement in force lets this alert go to any known partner"
                raise PolicyDenied(("agreement/none",), why)
            raise answer
        return answer

    def _draft(self, handed: HandedIn) -> Draft:
        draft = self._encoded(handed, handed.body, handed.recipients or ())
        if handed.recipients is None:
            draft = replace(draft, recipients=self._covered(draft))
        bases = self._legal_basis(draft)
        if draft.body.legal_basis or not bases:
            return draft
        return self._encoded(handed, replace(draft.body, legal_basis=bases), draft.recipients)

    def _covered(self, draft: Draft) -> tuple[PartnerId, ...]:
        """Return the partners that it may go to at once; when there is none, those that officers may let it go to."""
        at_once: list[PartnerId] = []
        held: list[PartnerId] = []
        for partner in self._directory.partners():
            if partner == self.own or self._directory.known(partner).frozen:
                continue
            match self._policy.outgoing(replace(draft, recipients=(partner,))):
                case Allow():
                    at_once.append(partner)
                case Hold():
                    held.append(partner)
                case Deny():
                    pass
        # Never both in one draft: it would wait for officers as a whole.
        return tuple(at_once or held)

    def _encoded(self, handed: HandedIn, body: Body, recipients: tuple[PartnerId, ...]) -> Draft:
        body_bytes = self._codec.encode_body(body)
        # Field rules are checked where bytes become values; what recipients would refuse must not leave.
        self._codec.decode_body(body_bytes)
        return Draft(
            body=body,
            body_bytes=body_bytes,
            recipients=recipients,
            mode=handed.mode,
            urgency=handed.urgency,
            expire_ms=handed.expire_ms,
            thread_id=None,
            in_reply_to=None,
            supersedes=None,
        )

    def _legal_basis(self, draft: Draft) -> tuple[LegalBasis, ...]:
        """Return the legal bases of an own agreement that covers the draft; whether it is in force is for policy."""
        for agreement in self._profile.agreements:
            if (
                draft.body.kind in agreement.kinds
                and draft.body.authority in agreement.authorities
                and agreement.partners >= set(draft.recipients)
            ):
                return tuple(LegalBasis(basis, "") for basis in agreement.legal_bases)
        return ()

    async def events(self) -> AsyncIterator[tuple[EventRow, ...]]:
        """Yield events after the durable cursor; see ports.Desk.events."""
        since = await self._cursor.load()
        while True:
            try:
                async for rows, cursor in self._reading.watch(since):
                    yield rows
                    await self._cursor.save(cursor)
                    since = cursor
            except (CursorInvalid, CursorExpired) as error:
                # Better to do everything again, which is harmless by contract, than to stand still for ever.
                self._lost(error.text)
                since = ""
                await self._cursor.save(since)

    async def page(self, token: str, size: int) -> tuple[tuple[MessageRow, ...], str]:
        """Return a page of messages; see ports.Desk.page."""
        rows, following = await self._reading.list(sent=None, page_size=size, page_token=token)
        return tuple(row for row in rows if self._may_see(row)), following

    async def message(self, sender: PartnerId, message_id: MessageId) -> DeskMessage:
        """Return one message; see ports.Desk.message."""
        opened = await self._reading.open(sender, message_id)
        if not self._may_see(opened.stored.row):
            raise NotFound("no such message")
        await self._reading.note_shown([opened], actor=self._submitter.principal)
        body = self._codec.decode_body(opened.body_bytes) if opened.body_bytes is not None else None
        return DeskMessage(row=opened.stored.row, body=body)

    def _may_see(self, row: MessageRow) -> bool:
        """What came in is for all connectors of the state; what went out for those who speak for its authority."""
        return not row.sent or any(authority.name == row.authority for authority in self._submitter.authorities)

    async def acknowledge(self, sender: PartnerId, message_id: MessageId) -> None:
        """State that a system of ours has taken a message over."""
        await self._acknowledging.acknowledge(
            sender, message_id, Outcome.ACKNOWLEDGED_BY_SYSTEM, actor=self._submitter.principal
        )

    async def handed_on(self, row: MessageRow) -> None:
        """Record that an alert was handed on; see ports.Desk.handed_on."""
        if row.sent or not row.alert_state or AlertEvent.RELAY not in RECEIVER[AlertState[row.alert_state.upper()]]:
            return
        # What its issuer ends at this very moment was handed on all the same; there is nothing left to say.
        with contextlib.suppress(StateConflict, NotFound):
            await self._marking.mark(row.sender, row.message_id, AlertEvent.RELAY, actor=self._submitter.principal)

    def note(self, what: str, problem: str) -> None:
        """Keep how a source or sink does, for the status."""
        if not problem:
            self.notes.pop(what, None)
        elif what in self.notes or len(self.notes) < MAX_NOTES:
            self.notes[what] = problem[:500]


def _framed(principal: str, source: str, content: bytes) -> bytes:
    parts = (_LABEL, principal.encode(), source.encode(), content)
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
