"""What operators may do with a running gateway: the answers behind the AdminService.

Operators run the gateway; what they do changes keys, partners and queues, never content.
"""

import asyncio
import dataclasses
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from gateway.assembly import Parts
from gateway.crypto.cards import fingerprint
from gateway.errors import ConcurrentUpdate, FieldInvalid, GatewayError, MessagesWait, NotFound
from gateway.exchange.case_reader import CaseView
from gateway.exchange.directory import KEY_GRACE_MS, KnownPartner
from gateway.exchange.reader import OpenedMessage, at
from gateway.exchange.schedule import LinkState
from gateway.exchange.steps import OPERATOR, step
from gateway.exchange.submission import Submission, Submitter, Validation
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.model.message import Draft
from gateway.model.partner import KeyPurpose, SignedCard
from gateway.ports import (
    AppendLog,
    CaseRow,
    CountMessages,
    FindMessage,
    MessageRow,
    QueueSummaries,
    QueueSummary,
    StoredMessage,
    SubmissionResult,
)
from gateway.probe import prove_link
from gateway.rpc.admin_servicer import GatewayStatus, PartnerStatus, QueueStatus, TestStep
from gateway.rpc.case_views import overdue_words
from gateway.rpc.rejected import RejectedCaller, RejectedCallers
from gateway.system_desk import SystemDesk
from gateway.telemetry.current import current_trace
from gateway.translog.entry import EventType
from gateway.workers.rotation import tended
from gateway.workflow.alert import AlertEvent, AlertState

ROTATIONS = ("seal", "envelope", "receipt", "identity", "tls")
REMOVAL_ROUNDS = 8
"""How often more is given up that was accepted for a partner at the moment in which it is removed."""


class Administration:
    """Implements rpc.admin_servicer.AdminBackend.

    Args:
        endpoints: Returns where the federation and exchange listeners are, once they listen.
        warnings: Returns what an operator should know, in sentences.
        rejected: Callers that were turned away.
        first_system: Makes sure that the exchange listener is open.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        endpoints: Callable[[], tuple[str, str]],
        warnings: Callable[[], tuple[str, ...]],
        rejected: RejectedCallers,
        first_system: Callable[[], Awaitable[None]],
    ) -> None:
        self.systems = SystemDesk(
            parts.registry,
            authority=lambda: (parts.keyring.authority_key_pem, parts.keyring.authority_certificate_pem),
            own=parts.config.partner,
            authorities=lambda: tuple(authority.id for authority in parts.profile.authorities),
            clock=parts.clock,
            first=first_system,
            record=lambda detail: self._record(EventType.ADMINISTRATION_ACT, detail=detail),
        )
        self._rejected = rejected
        self._parts = parts
        self._endpoints = endpoints
        self._warnings = warnings
        self._start_ms = parts.clock.now_ms()
        self._rotating = asyncio.Lock()

    async def status(self) -> GatewayStatus:
        """Return how the gateway is."""
        parts = self._parts
        counts = await parts.store.read(CountMessages())
        head = await parts.log_keeper.head()
        problem = parts.log_keeper.problem
        federation, exchange = self._endpoints()
        return GatewayStatus(
            partner=parts.config.partner,
            mode=parts.config.mode.name.lower(),
            version=version("concord-gateway"),
            start_ms=self._start_ms,
            messages_sent=counts.sent,
            messages_received=counts.received,
            waiting=counts.waiting,
            federation_endpoint=federation,
            exchange_endpoint=exchange,
            partners=len(parts.directory.partners()),
            store=parts.config.store.partition("://")[0],
            warnings=self._warnings(),
            connectors=parts.connectors.status(),
            log_size=head.size,
            log_checkpoint_ms=None if head.checkpoint is None else head.checkpoint.time_ms,
            log_problem="" if problem is None else problem.text,
            log_findings=await parts.log_keeper.theirs.findings(),
            telemetry=parts.telemetry.state(),
            cases_overdue=tuple(map(overdue_words, await parts.cases.overdue())),
        )

    async def rejected_callers(self) -> tuple[RejectedCaller, ...]:
        """Return callers that were turned away."""
        return self._rejected.latest()

    async def queues(self) -> tuple[QueueStatus, ...]:
        """Return for every partner what waits, why, and whose turn it is."""
        summaries = {item.partner: item for item in await self._parts.store.read(QueueSummaries())}
        return tuple(self._queue(partner, summaries.get(partner)) for partner in self._parts.directory.partners())

    def _queue(self, partner: PartnerId, summary: QueueSummary | None) -> QueueStatus:
        state, reason, next_ms = self._link(partner)
        waiting = summary.waiting if summary is not None else 0
        turn, advice = _turn(partner, state, waiting)
        return QueueStatus(
            partner=partner,
            waiting=waiting,
            oldest_ms=summary.oldest_ms if summary is not None else None,
            urgency=summary.urgency if summary is not None else None,
            link_state=state.value,
            reason=reason,
            next_attempt_ms=next_ms,
            turn=turn,
            advice=advice,
            dead=summary.dead if summary is not None else 0,
        )

    def _link(self, partner: PartnerId) -> tuple[LinkState, str, int | None]:
        worker = self._parts.links.worker(partner)
        if self._parts.directory.known(partner).frozen:
            return LinkState.FROZEN, "an operator here froze the exchange", None
        if worker is None:
            return LinkState.IDLE, "", None
        backing_off = worker.state is LinkState.BACKING_OFF
        return worker.state, worker.schedule.reason, worker.schedule.next_ms if backing_off else None

    async def partners(self) -> tuple[PartnerStatus, ...]:
        """Return what is known of every partner."""
        directory = self._parts.directory
        return tuple(self._partner(directory.known(partner)) for partner in directory.partners())

    def _partner(self, known: KnownPartner) -> PartnerStatus:
        card = known.card
        own_agreements = self._parts.profile.agreements
        now_ms = self._parts.clock.now_ms()
        ends = [key.end_ms for key in card.keys_for(KeyPurpose.SEAL) if key.revoke_ms is None and key.end_ms > now_ms]
        names = {name.language: name.name for name in card.names}
        return PartnerStatus(
            partner=card.partner,
            name=names.get("en", card.partner.code),
            card_sequence=card.sequence,
            fingerprint=known.fingerprint,
            frozen=known.frozen,
            endpoint=card.endpoints[0] if card.endpoints else "",
            seal_key_end_ms=max(ends, default=None),
            last_success_ms=known.last_success_ms,
            link_state=self._link(card.partner)[0].value,
            agreement=any(card.partner in agreement.partners for agreement in own_agreements),
        )

    async def own_card(self) -> tuple[SignedCard, str]:
        """Return our current card and its fingerprint."""
        return self._parts.directory.own_card(), fingerprint(self._parts.keyring.identity.verify_key.public)

    async def add_partner(self, card: SignedCard, claimed: str) -> PartnerStatus:
        """Add or renew a partner."""
        return self._partner(await self._parts.directory.add(card, claimed))

    async def set_frozen(self, partner: PartnerId, *, frozen: bool) -> PartnerStatus:
        """Stop or resume exchange with a partner."""
        return self._partner(await self._parts.directory.freeze(partner, frozen=frozen))

    async def remove_partner(self, partner: PartnerId, *, discard_waiting: bool) -> int:
        """Forget a partner; return how many messages that waited for it were given up.

        Raises:
            PartnerUnknown: No card of it was added.
            FieldInvalid: It is this gateway itself.
            MessagesWait: Messages wait for it and are not to be given up; nothing was changed.
            ConcurrentUpdate: More kept being accepted for it; it is frozen now.
        """
        parts = self._parts
        if partner == parts.directory.own:
            raise FieldInvalid("partner", "is this gateway itself")
        if not discard_waiting:
            waiting = await parts.directory.remove(partner)
            if waiting:
                raise MessagesWait(partner.code, waiting)
            return 0
        # First: what is stated as given up must not leave a moment later, and nothing more may be accepted.
        await parts.directory.freeze(partner, frozen=True)
        await parts.links.stop(partner)
        discarded = 0
        for _ in range(REMOVAL_ROUNDS):
            discarded += await parts.expiry.bury_all(partner)
            if not await parts.directory.remove(partner):
                return discarded
        raise ConcurrentUpdate(f"messages for '{partner}' kept being accepted")

    async def rotate(self, purpose: str, *, revoke: bool) -> tuple[SignedCard, str]:
        """Make new keys of a purpose and a card that says so.

        Raises:
            FieldInvalid: There is no such purpose.
        """
        if purpose not in ROTATIONS:
            raise FieldInvalid("purpose", f"must be one of {', '.join(ROTATIONS)}")
        if purpose == "tls" and revoke:
            raise FieldInvalid("revoke", "is not for TLS keys: their certificates end by themselves")
        parts = self._parts
        async with self._rotating:
            now_ms = parts.clock.now_ms()
            keyring = parts.keyring
            match purpose:
                case "seal":
                    changed = keyring.rotate_seal(now_ms, revoke=revoke)
                case "envelope":
                    changed = keyring.rotate_envelope(now_ms, revoke=revoke)
                case "receipt":
                    changed = keyring.rotate_receipt(now_ms, revoke=revoke)
                case "identity":
                    changed = keyring.rotate_identity(now_ms, revoke=revoke)
                case _:
                    hosts = [endpoint.rpartition(":")[0].strip("[]") for endpoint in parts.config.endpoints]
                    changed = keyring.rotate_tls(now_ms, [*hosts, "localhost", "127.0.0.1"])
            await parts.use(changed)
            kind = EventType.KEY_REVOKED if revoke else EventType.KEY_ROTATED
            await self._record(kind, detail=purpose)
        return await self.own_card()

    async def begin_log(self, origin: str, reason: str) -> str:
        """End the exchange log, which cannot go on, and return the name of the one that begins.

        Raises:
            StateConflict: The log is another one, or can go on.
            FieldInvalid: The reason cannot stand in an entry.
            ConcurrentUpdate: Another replica was faster.
        """
        return (await self._parts.log_keeper.begin(origin, reason, actor=OPERATOR)).origin

    async def tend_keys(self) -> None:
        """Rotate what is due and destroy what is past its grace."""
        parts = self._parts
        async with self._rotating:
            await parts.use(tended(parts.keyring, parts.clock.now_ms(), KEY_GRACE_MS))

    async def submit_local(self, request_id: bytes, request_digest: bytes, draft: Draft) -> SubmissionResult:
        """Submit as the operator, for an authority of this state."""
        submission = Submission(
            submitter=self._operator(draft),
            request_id=request_id,
            request_digest=request_digest,
            draft=draft,
            trace=current_trace(),
        )
        (answer,) = await self._parts.submit.submit([submission])
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    async def validate_local(self, draft: Draft) -> Validation:
        """Say what would happen to a draft."""
        return await self._parts.submit.validate(self._operator(draft), draft)

    def _operator(self, draft: Draft) -> Submitter:
        authority = draft.body.authority
        # The agreements decide which of our authorities may send; another state's never may.
        own: frozenset[AuthorityId] = frozenset({authority} if authority.partner == self._parts.config.partner else ())
        return Submitter(principal=OPERATOR, authorities=own)

    async def inbox(self, page_size: int, page_token: str, *, include_sent: bool) -> tuple[tuple[MessageRow, ...], str]:
        """Return a page of received messages, newest first, and the next page's token."""
        sent = None if include_sent else False
        return await self._parts.reader.list(sent=sent, page_size=page_size, page_token=page_token)

    async def find(self, beginning: str, *, include_sent: bool) -> tuple[MessageRow, ...]:
        """Return the messages whose id begins so, newest first."""
        return await self._parts.reader.find(beginning, sent=None if include_sent else False)

    async def open(self, row: MessageRow) -> OpenedMessage:
        """Return a message with its body. Whoever shows of it calls one of the next two before."""
        return await self._parts.reader.open(row.sender, row.message_id)

    async def note_shown(self, opened: OpenedMessage) -> None:
        """Put in the exchange log that the operator is shown a message."""
        await self._parts.reader.note_shown([opened], actor=OPERATOR)

    async def note_listed(self, count: int) -> None:
        """Put in the exchange log that the operator is shown a list of headlines."""
        await self._parts.reader.note_listed(actor=OPERATOR, count=count)

    async def cases(self, *, live: bool, max_rows: int) -> tuple[CaseView, ...]:
        """Return cases without content, what changed last first."""
        return await self._parts.cases.newest(live=live, max_rows=max_rows, actor=OPERATOR)

    async def find_cases(self, beginning: str, partner: PartnerId | None) -> tuple[CaseRow, ...]:
        """Return the cases whose thread or first message has an id that begins so."""
        return await self._parts.cases.find(beginning, partner)

    async def show_case(self, row: CaseRow) -> CaseView:
        """Return a case with its history; the exchange log says that it was shown."""
        return await self._parts.cases.show(row, actor=OPERATOR)

    async def mark_alert(self, sender: PartnerId, message_id: MessageId, event: AlertEvent) -> AlertState:
        """Record what we do with a received alert and return where it stands; see AlertMarker.mark."""
        return await self._parts.marker.mark(sender, message_id, event, actor=OPERATOR)

    async def delivery(self, message_id: MessageId) -> StoredMessage:
        """Return a message that we sent.

        Raises:
            NotFound: We sent no such message.
        """
        stored = await self._parts.store.read(FindMessage(sender=self._parts.config.partner, message_id=message_id))
        if stored is None:
            raise NotFound("no such message was sent from here")
        return dataclasses.replace(stored, row=at(stored.row, self._parts.clock.now_ms()))

    async def test_partner(self, partner: PartnerId) -> tuple[TestStep, ...]:
        """Prove the link to a partner, step by step.

        Raises:
            PartnerUnknown: No card of it was added.
        """
        await self._record(EventType.ADMINISTRATION_ACT, partner=partner.code, detail="partner test")
        return await prove_link(self._parts, partner, os.urandom(16))

    async def _record(self, kind: EventType, *, partner: str = "", detail: str = "") -> None:
        """Put in the exchange log what an operator did."""
        now_ms = self._parts.clock.now_ms()
        done = step(kind, now_ms, actor=OPERATOR, partner=partner, detail=detail)
        await self._parts.store.write(AppendLog((done,)))


def _turn(partner: PartnerId, state: LinkState, waiting: int) -> tuple[str, str]:
    """Say whose turn it is and what to do, in the words of a duty desk."""
    if not waiting:
        return "nobody", ""
    match state:
        case LinkState.FROZEN:
            return "us", f"ask the operator who froze it; resume with `concord partner freeze {partner} --thaw`"
        case LinkState.BACKING_OFF:
            return (
                "them",
                f"find out where it stops: `concord partner test {partner}`; telephone their desk if it is urgent",
            )
        case LinkState.LEASED_ELSEWHERE:
            return "us", "another replica of this gateway carries this link"
        case LinkState.CONNECTED:
            return "them", "being sent now"
        case LinkState.IDLE:
            return "us", "connecting"
