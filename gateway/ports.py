"""What the exchange needs from the outside, as Protocols: the store, the carriers, the codec.

The store takes *operations*: small frozen values whose ids, times and signatures were made before. Applying one
is a pure function of the value and the rows, so a failed group can be tried again one by one. An operation
returns what happened; only `Store.write` decides when it is durable, and it returns only then. No network call
happens inside a transaction, because an operation cannot make one.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from enum import IntEnum
from typing import Final, Generic, Protocol, TypeVar, runtime_checkable

from gateway.ids import AuthorityId, EnvelopeId, MessageId, OfficerId, PartnerId, ThreadId
from gateway.model.alert import AlertType
from gateway.model.envelope import Envelope, MerklePath, Receipt, ReceiptBatch, ReceiptProof
from gateway.model.header import Header, Kind, Mode, RecipientRecord, Supersedes, Urgency
from gateway.model.message import Body
from gateway.model.partner import Card, SignedCard
from gateway.translog.entry import LogEvent
from gateway.values import dataclass
from gateway.workflow.alert import AlertEvent, AlertState
from gateway.workflow.alert_chain import KnownAlert
from gateway.workflow.approval import ApprovalState, Need
from gateway.workflow.case import Case, Deed, Opening, Turn
from gateway.workflow.claim import Claim
from gateway.workflow.table import Cause

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Operation(Generic[T_co]):
    """A write whose result is T_co. Subclasses are frozen dataclasses."""

    __slots__ = ()


class Query(Generic[T_co]):
    """A read whose result is T_co. Subclasses are frozen dataclasses."""

    __slots__ = ()


class Store(Protocol):
    """Durable state. One port, two engines, one contract suite."""

    @property
    def shared(self) -> bool:
        """Other processes may write to the same database."""
        ...

    async def write(self, operation: Operation[T]) -> T:
        """Apply an operation and return its result once it is on disk.

        Raises:
            StoreUnavailable: Nothing was written; the same call may succeed later.
            StoreCorrupt: The database is damaged; the store takes no more writes.
        """
        ...

    async def read(self, query: Query[T]) -> T:
        """Answer a query from what is committed.

        Raises:
            StoreUnavailable: The database does not answer.
            StoreCorrupt: A page, row or blob is damaged.
        """
        ...

    def subscribe(self, topic: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call wake in the event loop after a commit that touched the topic, from whatever replica; return how to stop.

        Topics: "outbox/<partner>", "events.new" (an event has no position yet), "events" (positions were given),
        "cards". Wake-ups may be spurious and, after a lost connection, missing: whoever waits also looks by itself
        now and then.
        """
        ...

    def on_commit(self, tell: Callable[[int, float], None]) -> None:
        """Call tell after each commit with the operations that shared it and the seconds it took; from any thread."""
        ...

    async def close(self) -> None:
        """Finish what is queued and close."""
        ...


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A step for the exchange log: the leaf, made before, and what the leaf commits to."""

    leaf: bytes
    salts: bytes
    event: LogEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEntry:
    """What an alert says of itself, as far as its place among others needs it."""

    key: bytes
    """Keyed digest of the three things with which CAP names it."""
    alert_type: AlertType
    references: tuple[bytes, ...]
    """Such digests of the alerts it names, newest first, itself left out."""
    self_reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentUse:
    """A file that a message names, as the store knows it: nothing of its name, content or key."""

    attachment_id: bytes
    place: int
    """Among the attachments of the message, from 0."""
    size_bytes: int
    chunk_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEntry:
    """What a case's message says of its case, as far as the state needs it."""

    opening: Opening | None = None
    deeds: tuple[Deed, ...] = ()
    """In order. None of them: it is in the thread, and changes nothing."""


# --- sending -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EncapsulationRow:
    """A batch secret's encapsulation, shared by the envelopes whose records name its digest."""

    digest: bytes
    encapsulation: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """What waits for one recipient of one envelope."""

    partner: PartnerId
    record_sealed: bytes
    """The RecipientRecord under the message key."""
    record_path: MerklePath
    encapsulation_digest: bytes
    previous_digest: bytes
    """Envelope digest before this one to this partner in this thread; empty for the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedMessage:
    """A message sealed for all its recipients, as the sender keeps it."""

    message_id: MessageId
    envelope_id: EnvelopeId
    kind: Kind
    mode: Mode
    urgency: Urgency
    thread_id: ThreadId
    new_thread: bool
    """The thread begins here, so no head can be in the way."""
    in_reply_to: MessageId | None
    supersedes: Supersedes | None
    create_ms: int
    expire_ms: int
    content_commitment: bytes
    authority: str
    submitter: str
    """Principal that submitted, for example system/early-warning."""
    request_id: bytes
    """16 bytes; unique for the submitter."""
    request_digest: bytes
    digest: bytes
    """Envelope digest."""
    header: bytes
    content_sealed: bytes
    """Ciphertext and content key under the message key."""
    batch_path: MerklePath
    signature: bytes
    key_id: bytes
    """16 bytes that name the message key in the key store."""
    wrapped_message_key: bytes | None
    """The message key under the key-encryption key, for the key store; None when it is there already."""
    outbox: tuple[OutboxRow, ...]
    log: LogEntry
    alert: AlertEntry | None = None
    case: CaseEntry | None = None
    """None: it is no alert."""
    attachments: tuple[AttachmentUse, ...] = ()
    release: "Released | None" = None
    """The held draft that it was, and the decision that lets it leave; None: nobody had to decide."""


@dataclass(frozen=True, slots=True)
class StoreKeys(Operation[None]):
    """Put message keys in the key store before there are messages for them."""

    rows: tuple[tuple[bytes, bytes], ...]
    """key_id, wrapped key."""


class SubmissionStatus(IntEnum):
    """What became of a submission."""

    NEW = 1
    REPEATED = 2
    """The same request before: the stored answer counts."""
    REUSED = 3
    """The request_id was used for another draft."""
    HEAD_MOVED = 4
    """Another message of the thread was sealed in between: seal again."""
    DECIDED_OTHERWISE = 5
    """It was a held draft, and somebody did something to it in between."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a held draft waits for, as whoever handed it in is told."""

    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class SubmissionResult:
    """What became of one message of CommitSubmissions."""

    status: SubmissionStatus
    message_id: MessageId
    thread_id: ThreadId
    content_commitment: bytes
    create_ms: int
    expire_ms: int
    held: Waiting | None = None
    """Set when officers must decide first: then nothing has left, and message_id names the proposal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitSubmissions(Operation[tuple[SubmissionResult, ...]]):
    """Accept messages: message, envelope, one outbox row per recipient, key; one result per message, in order.

    Within a thread the head per recipient moves by compare-and-swap. A waiting row of the same thread and partner
    takes over the urgency of a more urgent newcomer (and a new place in the queue, keeping the thread's order).
    """

    messages: tuple[SealedMessage, ...]
    encapsulations: tuple[EncapsulationRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceEnvelope(Operation[bool]):
    """Put a message sealed again in the place of one outbox row (KEY_RETIRED). False: the row waits no longer.

    Adds an envelope row for the new envelope_id; the old envelope stays for its other recipients. Checks the lease
    epoch and moves the thread head from the old digest to the new one if it still is the old one.
    """

    partner: PartnerId
    epoch: int
    message_id: MessageId
    old_envelope_id: EnvelopeId
    envelope_id: EnvelopeId
    digest: bytes
    header: bytes
    content_sealed: bytes
    batch_path: MerklePath
    signature: bytes
    outbox: OutboxRow
    encapsulation: EncapsulationRow
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEnvelope:
    """An outbox row ready to be sent."""

    sequence: int
    """Place in the partner's queue; rises."""
    message_id: MessageId
    envelope_id: EnvelopeId
    urgency: Urgency
    expire_ms: int
    digest: bytes
    header: bytes
    content_sealed: bytes
    key_id: bytes
    wrapped_message_key: bytes
    record_sealed: bytes
    record_path: MerklePath
    batch_path: MerklePath
    signature: bytes
    encapsulation_digest: bytes
    encapsulation: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEnvelopes(Query[tuple[WaitingEnvelope, ...]]):
    """The next rows of one urgency for a partner, after a place in the queue, in order, bounded in rows and bytes."""

    partner: PartnerId
    urgency: Urgency
    after_sequence: int
    max_rows: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReceipt:
    """A verified receipt for an envelope we sent."""

    receipt: Receipt
    proof: ReceiptProof
    salts: bytes
    """For the step in the exchange log that a new rung is: only the store knows whose message it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitReceipts(Operation[None]):
    """Store receipts: RECEIVED and REFUSED end a row's waiting; every new rung becomes an event.

    A receipt for an envelope not known, or a rung already stored, changes nothing. An envelope that was replaced by
    ReplaceEnvelope stays known to all outcomes but REFUSED and EXPIRED: those say nothing about the one in its place.

    Raises (from Store.write):
        LeaseLost: epoch is given and is no longer the partner's lease.
    """

    partner: PartnerId
    epoch: int | None
    """Fencing epoch of the lease under which the envelopes were sent; None: they came on the partner's own link."""
    receipts: tuple[StoredReceipt, ...]
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiringEnvelope:
    """An outbox row past its expiry."""

    partner: PartnerId
    message_id: MessageId
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiringEnvelopes(Query[tuple[ExpiringEnvelope, ...]]):
    """Waiting rows whose expiry is past."""

    now_ms: int
    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopesFor(Query[tuple[ExpiringEnvelope, ...]]):
    """Waiting rows for one partner, whenever they expire, erased ones too."""

    partner: PartnerId
    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuryEnvelopes(Operation[int]):
    """Move rows that still wait to dead letter with our own signed negative (Outcome.EXPIRED). Returns how many."""

    rows: tuple[tuple[PartnerId, MessageId, StoredReceipt], ...]
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadHeads(Query[dict[tuple[ThreadId, PartnerId], bytes]]):
    """Digest of the last envelope sealed to each partner in each thread; absent when there is none."""

    threads: tuple[ThreadId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMessage:
    """A message, as far as others that name it must agree with it."""

    sender: PartnerId
    message_id: MessageId
    thread_id: ThreadId
    kind: Kind
    mode: Mode
    authority: str
    content_commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadsKnown:
    """What is stored of threads and of messages, sent and received, held ones too."""

    ours: dict[ThreadId, Mode]
    """Threads in which we sent."""
    theirs: dict[ThreadId, Mode]
    """Threads in which something was received: the mode of the sender's own first message, or else of another."""
    messages: tuple[NamedMessage, ...]
    """All of the ids asked for; several senders may have used the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownThreads(Query[ThreadsKnown]):
    """What is known of threads that a sender continues and of messages that it names."""

    partner: PartnerId
    threads: tuple[ThreadId, ...]
    message_ids: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """A case with one partner, as our side knows it."""

    thread_id: ThreadId
    partner: PartnerId
    message_id: MessageId
    """Of what began it; its sender is ours or the partner, as the side says."""
    authority: str
    """That asks."""
    mode: Mode
    urgency: Urgency
    case: Case
    create_ms: int
    expire_ms: int
    """Of the message that began it."""
    change_ms: int
    """When its state, or that of a measure, changed last."""
    word_ms: int | None
    """When the side that was asked last said anything."""
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStep:
    """One line of a case's history."""

    number: int
    time_ms: int
    cause: Cause
    sender: PartnerId
    message_id: MessageId | None
    """None: time brought it about."""
    turn: Turn | None
    """None: news, or what did not count."""
    finding: str
    """Why a message of the partner did not count; empty when it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindCases(Query[tuple[CaseRow, ...]]):
    """The cases of threads."""

    threads: tuple[ThreadId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCases(Query[tuple[CaseRow, ...]]):
    """Cases, what changed last first."""

    live: bool
    """Only those in which something is still to come."""
    after: CaseRow | None
    """Those behind this one; None: from the first."""
    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseHistory(Query[tuple[CaseStep, ...]]):
    """What happened in a case, oldest first."""

    thread_id: ThreadId
    partner: PartnerId


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTime(Operation[bool]):
    """Record what time brought about in a case; False when the case has changed meanwhile."""

    thread_id: ThreadId
    partner: PartnerId
    sender: PartnerId
    """Of the message that began it."""
    steps: int
    """As it was read."""
    case: Case
    """As it is now."""
    turns: tuple[Turn, ...]
    now_ms: int
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class FindAlerts(Query[tuple[KnownAlert, ...]]):
    """Alerts of a partner by id; by key its newest of each mode, else anybody's; and what came after its own."""

    partner: PartnerId
    message_ids: tuple[MessageId, ...]
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSecrets:
    """What is needed to seal a sent message again."""

    header: bytes
    content_sealed: bytes
    key_id: bytes
    wrapped_message_key: bytes
    thread_id: ThreadId
    previous_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSecrets(Query[MessageSecrets | None]):
    """The sealed content and key of a sent envelope; None once erased or unknown."""

    envelope_id: EnvelopeId
    partner: PartnerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A waiting envelope that names another one as its predecessor."""

    envelope_id: EnvelopeId
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFollower(Query[Follower | None]):
    """What waits for a partner and names this envelope as the one before it in its thread."""

    partner: PartnerId
    thread_id: ThreadId
    previous_digest: bytes


# --- links ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeLease(Operation[int | None]):
    """Take or keep a partner's link lease; the epoch on success, None while another holder's lease runs.

    A new holder raises the epoch by one; the same holder keeps it.
    """

    partner: PartnerId
    holder: str
    now_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DropLease(Operation[None]):
    """Give a lease up if it is still ours."""

    partner: PartnerId
    holder: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSummary:
    """What waits for one partner."""

    partner: PartnerId
    waiting: int
    oldest_ms: int | None
    urgency: Urgency | None
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSummaries(Query[tuple[QueueSummary, ...]]):
    """One summary per partner that has a row waiting or dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """What waits for one partner at one urgency."""

    partner: PartnerId
    urgency: Urgency
    waiting: int
    oldest_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepths(Query[tuple[tuple[QueueDepth, ...], dict[PartnerId, int]]]):
    """What waits by partner and urgency, and how many are dead by partner; those with none are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unacknowledged:
    """Messages that nobody has acknowledged, by partner."""

    sent: Mapping[PartnerId, int]
    """Neither taken over by the recipient's system nor dead."""
    received: Mapping[PartnerId, int]
    """Neither taken over nor marked here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountUnacknowledged(Query[Unacknowledged]):
    """Unacknowledged messages of an urgency that were made after one instant and not after another."""

    urgency: Urgency
    after_ms: int
    until_ms: int


# --- receiving -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMessage:
    """A message already stored for a sender."""

    message_id: MessageId
    content_commitment: bytes
    proof: ReceiptProof
    """The receipt given then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMessages(Query[dict[MessageId, KnownMessage]]):
    """Which of these ids are known from this sender (erased ones too)."""

    sender: PartnerId
    message_ids: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A verified and opened message, as the receiver keeps it."""

    header: Header
    header_bytes: bytes
    digest: bytes
    authority: str
    content_sealed: bytes
    """Body bytes with salt, ciphertext and record under the message key."""
    record_path: MerklePath
    batch_path: MerklePath
    signature: bytes
    encapsulation_digest: bytes
    previous_digest: bytes
    key_id: bytes
    wrapped_message_key: bytes | None
    """As in SealedMessage."""
    proof: ReceiptProof
    """Our own RECEIVED receipt."""
    hold_until_ms: int
    """How long to wait for a missing predecessor before showing the message with a gap."""
    log: LogEntry
    alert: AlertEntry | None = None
    case: CaseEntry | None = None
    """As in SealedMessage."""
    attachments: tuple[AttachmentUse, ...] = ()
    """Files to be fetched from the sender from now on."""


class ReceptionStatus(IntEnum):
    """What became of a received message."""

    STORED = 1
    HELD = 2
    """Stored and receipted; shown when its predecessor comes or the wait is over."""
    RACED = 3
    """The id came to be known in between: judge again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitReceived(Operation[tuple[ReceptionStatus, ...]]):
    """Store received messages with their receipts, in order; all or, when any raced, none.

    A message whose predecessor (previous_digest) is not stored is held; when its sender has too many held already, it
    is shown at once, marked with a gap (STORED). A message that others wait for frees them: so many in this
    transaction, and those left over with the following FreeHeld.
    """

    sender: PartnerId
    messages: tuple[ReceivedMessage, ...]
    encapsulations: tuple[EncapsulationRow, ...]
    now_ms: int
    others: tuple[LogEntry, ...] = ()
    """Steps for what else was in the frame: envelopes that were refused, pings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeHeld(Operation[int]):
    """Show held messages whose wait is over, marked with a gap. Returns how many.

    Bounded, as is what one message frees: call again, now or later, while it returns more than 0.
    """

    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeReceived(Operation[int | None]):
    """Record that a received message was taken over and queue the signed receipt for its sender.

    Returns the time of the acknowledgement (the first one, when repeated); None when there is no such message.
    """

    sender: PartnerId
    message_id: MessageId
    proof: ReceiptProof
    now_ms: int
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMark:
    """What became of an alert that our side marked."""

    before: AlertState
    after: AlertState | None
    """None: the state before does not allow it, and nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkAlert(Operation[AlertMark | None]):
    """Record what our side does with a received alert; the log entry is kept when it changes anything.

    Returns None when there is no such received alert.
    """

    sender: PartnerId
    message_id: MessageId
    event: AlertEvent
    now_ms: int
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingReceipt:
    """A later rung that the sender of an envelope has not confirmed yet."""

    sequence: int
    proof: ReceiptProof


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingReceipts(Query[tuple[WaitingReceipt, ...]]):
    """Later rungs waiting for a partner, in order."""

    partner: PartnerId
    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DropWaitingReceipts(Operation[None]):
    """The partner has stored these later rungs."""

    partner: PartnerId
    epoch: int
    sequences: tuple[int, ...]


# --- events and views ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignPositions(Operation[int]):
    """Give the next positions to events that have none, in the order of commit. Returns how many.

    One at a time: positions are dense and never rise past an event that could still appear below.
    """

    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """Something a national system may want to know."""

    position: int
    type: str
    """message.received, delivery.(received|refused|acknowledged|expired),
    alert.(quarantined|validated|superseded|cancelled|relayed|noted|declined)."""
    time_ms: int
    sender: PartnerId
    message_id: MessageId
    partner: PartnerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSince(Query[tuple[EventRow, ...]]):
    """Events after a position, in order."""

    position: int
    max_rows: int


@dataclass(frozen=True, slots=True)
class EventRange(Query[tuple[int, int]]):
    """First position kept and last position given; (1, 0) when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One recipient's progress."""

    partner: PartnerId
    state: str
    """waiting, received, acknowledged, refused, expired."""
    time_ms: int | None
    reason: str
    proof: ReceiptProof | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """A stored message without its content."""

    sent: bool
    sender: PartnerId
    message_id: MessageId
    kind: Kind
    mode: Mode
    urgency: Urgency
    thread_id: ThreadId
    create_ms: int
    expire_ms: int
    content_commitment: bytes
    authority: str
    state: str
    """Sent: released. Received: received, held, acknowledged."""
    gap: bool
    submitter: str
    alert_state: str = ""
    """Word of workflow.alert.AlertState; empty: no alert. The reader sees to expiry."""
    alert_reason: str = ""
    """Why it is in quarantine: workflow.alert_chain.Problem."""
    predecessor: MessageId | None = None
    successor: MessageId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A stored message with what is needed to open it."""

    row: MessageRow
    header: bytes
    digest: bytes
    content_sealed: bytes | None
    """None once erased."""
    key_id: bytes
    wrapped_message_key: bytes | None
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindMessage(Query[StoredMessage | None]):
    """One message by sender and id. Held ones are found only when asked for."""

    sender: PartnerId
    message_id: MessageId
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMessages(Query[tuple[MessageRow, ...]]):
    """Messages newest first, strictly older than (before_ms, before_id). Held ones are left out."""

    sent: bool | None
    before_ms: int
    before_id: bytes
    max_rows: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is."""

    sent: int
    received: int
    waiting: int


@dataclass(frozen=True, slots=True)
class CountMessages(Query[Counts]):
    """How many messages were sent and received, and how many rows wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRequest(Query[SubmissionResult | None]):
    """The answer given to a request before: REPEATED, or REUSED when the digest differs; None when new."""

    submitter: str
    request_id: bytes
    request_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseMessage(Operation[bool]):
    """Destroy a message's key: its content can never be opened again; digests, signatures and receipts stay.

    A held draft goes by the same name: sender is this state. False when there is no such message.
    """

    sender: PartnerId
    message_id: MessageId
    log: LogEntry


# --- held drafts ---------------------------------------------------------------------------------------------


class DecisionAct(IntEnum):
    """What somebody did to a held draft. Numbers are stored."""

    PROPOSED = 1
    APPROVED = 2
    REFUSED = 3
    WITHDRAWN = 4
    EDITED = 5
    ASKED = 6
    SENT_ALONE = 7
    BROKE_GLASS = 8
    UPHELD = 9
    FAULTED = 10
    LAPSED = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One act on a held draft. Nobody changes one, and none is taken away."""

    number: int
    """The version of the draft that it was done to: rises, and no two have the same."""
    act: DecisionAct
    officer: str
    """Pseudonym; empty: the clock."""
    roles: frozenset[str]
    """Every role that the officer held."""
    rules: frozenset[str]
    """What was decided on."""
    ground: str
    """Code of a refusal, else empty."""
    digest: bytes
    """The release digest that the officer named."""
    time_ms: int
    words_sealed: bytes
    """What was said, under the draft's key; empty for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDraft:
    """A draft that waits for officers, or did."""

    proposal_id: MessageId
    """The message_id that it leaves under."""
    thread_id: ThreadId
    new_thread: bool
    kind: Kind
    mode: Mode
    urgency: Urgency
    in_reply_to: MessageId | None
    supersedes: Supersedes | None
    recipients: tuple[PartnerId, ...]
    create_ms: int
    expire_ms: int
    content_commitment: bytes
    digest: bytes
    """The release digest."""
    authority: str
    submitter: str
    request_id: bytes
    request_digest: bytes
    key_id: bytes
    body_sealed: bytes
    """Salt and body under the draft's own key, which becomes the message's."""
    needs: tuple[Need, ...]
    state: ApprovalState
    version: int
    """Rises with everything that is done to it but claiming."""
    authors: frozenset[OfficerId]
    proposer: OfficerId | None
    propose_ms: int
    due_ms: int
    """When it lapses by itself, or has to be reviewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHeld:
    """A held draft with all that was done to it."""

    draft: HeldDraft
    wrapped_message_key: bytes
    """Empty once erased."""
    claim: Claim | None
    decisions: tuple[DecisionRow, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldDraft(Operation[SubmissionResult]):
    """Keep a draft for officers: NEW, or REPEATED or REUSED as CommitSubmissions says."""

    draft: HeldDraft
    wrapped_message_key: bytes | None
    """None when it is in the key store already."""
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeHeld(Operation[bool]):
    """Do something to a held draft that lets nothing leave. False: its version is another one by now."""

    proposal_id: MessageId
    version: int
    state: ApprovalState
    decision: DecisionRow
    log: LogEntry
    draft: HeldDraft | None = None
    """What takes its place: after a proposal or an edit. Ids, request, key and time of making stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The decision that lets a held draft leave, for the commit with which it does."""

    proposal_id: MessageId
    version: int
    state: ApprovalState
    decision: DecisionRow
    due_ms: int
    log: LogEntry
    proposer: OfficerId | None = None
    """Set when it leaves without a proposal before: by the fast lane, or behind broken glass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimHeld(Operation[bool]):
    """Put a claim in the place of another. False: that other one is not there any more, or there is no such draft."""

    proposal_id: MessageId
    before: Claim | None
    after: Claim | None
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class FindHeld(Query[StoredHeld | None]):
    """One held draft."""

    proposal_id: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class ListHeld(Query[tuple[tuple[HeldDraft, Claim | None], ...]]):
    """Held drafts without their bodies, newest first, before a place in this order."""

    open_only: bool
    """Those that somebody can still do something to."""
    before_ms: int
    before_id: bytes
    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DueHeld(Query[tuple[HeldDraft, ...]]):
    """Held drafts without their bodies whose time is over and that nobody has decided on."""

    now_ms: int
    max_rows: int


# --- partners ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerRow:
    """A partner and its current card."""

    partner: PartnerId
    card: SignedCard
    sequence: int
    frozen: bool
    last_success_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutCard(Operation[bool]):
    """Store a verified card as a partner's current one, and keep the one before.

    False when the stored sequence is not expected_sequence any more (0 for a new partner): compare-and-swap.
    """

    partner: PartnerId
    card: SignedCard
    digest: bytes
    sequence: int
    expected_sequence: int
    now_ms: int
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezePartner(Operation[bool]):
    """Freeze or thaw. False when there is no such partner."""

    partner: PartnerId
    frozen: bool
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePartner(Operation[int | None]):
    """Forget a partner. Returns how many rows wait for it and are in the way: 0 when it is removed. None: unknown.

    Its cards, and all that was sent and received, stay as evidence; receipts that wait for it will not be sent. A card
    stored for it later is a new partner's first one.
    """

    partner: PartnerId
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSuccess(Operation[None]):
    """Remember when a partner was last heard from."""

    partner: PartnerId
    now_ms: int


@dataclass(frozen=True, slots=True)
class Partners(Query[tuple[PartnerRow, ...]]):
    """All partners, in order of id. Our own card is the row of our own id."""


# --- exchange log ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AppendLog(Operation[None]):
    """Enqueue steps that belong to no other operation."""

    entries: tuple[LogEntry, ...]


@dataclass(frozen=True, slots=True)
class OpenLog(Operation[str]):
    """Name the log when it has no name yet; return its name, which never changes."""

    origin: str


@dataclass(frozen=True, slots=True)
class IntegrateLog(Operation[int]):
    """Hash enqueued entries into the tree, in the order of their positions. Returns how many; one at a time."""

    max_entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement of a log's size and root."""

    size: int
    root: bytes
    time_ms: int
    note: bytes
    """The signed note, as it is shown to anyone."""


@dataclass(frozen=True, slots=True)
class CommitCheckpoint(Operation[bool]):
    """Keep a checkpoint of ours before anyone sees it, and mark it in the key store.

    False when the tree is not the one it states any more, or a newer one is there.
    """

    log: int
    """Number of the log that it is of."""
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneCheckpoints(Operation[int | None]):
    """Drop checkpoints of ours that are older than an instant, but the last of each hour and of each log.

    Looks at max_rows of them and returns where to go on; None at the end.
    """

    before_ms: int
    after: int
    """Where the last call stopped; 0 at first."""
    max_rows: int
    keep: tuple[int, ...]
    """Sizes, of the log that is kept now, that somebody is known to go by."""


class Seen(IntEnum):
    """What a partner's checkpoint is to those seen before."""

    NEWER = 1
    KNOWN = 2
    OLDER = 3
    FORK = 4
    """Another tree of the same size under the same name, or a larger one that does not follow: kept for good."""
    TOO_MANY = 5
    """The partner has given its log more names than anybody has use for; not kept."""
    UNPROVEN = 6
    """Larger, and nothing was shown from one that is kept; not kept."""
    WENT_BACK = 7
    """Smaller, from a log that has to know better: kept beside the newer one."""


class Finding(IntEnum):
    """What a checkpoint that is kept says about its log. Numbers are stored."""

    NONE = 0
    FORKED = 1
    WENT_BACK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerLogBegun:
    """What a partner's log that follows another one says of it, and the proof: kept as it was shown."""

    partner: PartnerId
    origin: str
    time_ms: int
    """When it was seen here."""
    digest: bytes
    detail: str
    """As translog.succession reads them."""
    leaf: bytes
    proof: bytes
    disclosure: str


@dataclass(frozen=True, slots=True)
class PartnerLogsBegun(Query[tuple[PartnerLogBegun, ...]]):
    """What partners' logs say of those before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepPartnerCheckpoint(Operation[Seen]):
    """Remember the newest checkpoint seen of a partner's log, and any that speaks against the log.

    A checkpoint that is kept is never replaced by one that was not proved to follow from it.
    """

    partner: PartnerId
    origin: str
    checkpoint: Checkpoint
    basis: tuple[int, bytes] | None
    """Size and root of a checkpoint, kept when this one was judged, that the partner's proof was held against."""
    follows: bool
    """What the proof came to."""
    knows_newer: bool
    """The partner showed it although it knew that we saw a newer one, or could not but know."""
    begun: PartnerLogBegun | None
    """What a log of a new name says of the one before, when that is proved; kept with its first checkpoint."""
    newer_log: LogEntry | None
    """Recorded with a newer one."""
    fork_log: LogEntry
    """Recorded with one that contradicts another."""
    back_log: LogEntry
    """Recorded with the first one that shows that the log went back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogVerdict:
    """Why our log is not signed any more."""

    problem: str
    origin: str
    size: int
    root: bytes
    """The largest head that is known to have been signed, by us or as a partner shows it; of which log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CondemnLog(Operation[None]):
    """Remember beyond a restart that a log is not to be signed any more. The first verdict stays."""

    number: int
    time_ms: int
    verdict: LogVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginLog(Operation[bool]):
    """End the log of a number and begin the next one. Its first entry says what became of the one before.

    What waits for the tree goes into the old one first, if that is sound; otherwise into the new one, where no position
    was given yet. False when another log is kept by now, or one of this name was kept before.
    """

    number: int
    origin: str
    """Of the log that begins."""
    sound: bool
    """Whether the old tree can still grow."""
    problem: str
    reason: str
    signed: tuple[str, int, bytes]
    """Name, size and root that are known to have been signed last."""
    time_ms: int
    actor: str
    salts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedLog:
    """A log of ours that another one has followed."""

    number: int
    origin: str
    size: int
    root: bytes
    end_ms: int
    problem: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndedLogs(Query[tuple[EndedLog, ...]]):
    """Our logs that ended, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """Where a log of ours stands."""

    number: int
    """1 for the first; another one follows only when a log cannot go on."""
    origin: str
    size: int
    """Entries in the tree."""
    root: bytes
    waiting: int
    """Entries enqueued and not yet in the tree."""
    checkpoint: Checkpoint | None
    """The newest one."""
    mark: tuple[int, bytes] | None
    """Size and root that were signed last, as the key store remembers them; None for a log that ended."""
    verdict: LogVerdict | None
    """Why it is not signed any more, if that is known for good."""


PRESENT: Final = 0
"""In place of a log's number: the one that is kept now."""


@dataclass(frozen=True, slots=True)
class ReadLogHead(Query[LogHead | None]):
    """Where a log of ours stands; None when there is none of this number."""

    log: int = PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveInclusion(Query[tuple[bytes, ...]]):
    """The inclusion proof of an index (from 0) in a tree of a size that is not larger than ours."""

    index: int
    size: int
    log: int = PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveConsistency(Query[tuple[bytes, ...]]):
    """The consistency proof between two sizes of our tree."""

    old_size: int
    new_size: int


@dataclass(frozen=True, slots=True)
class RootAt(Query[bytes]):
    """The root that our tree had at a size."""

    size: int


@dataclass(frozen=True, slots=True)
class ReadTile(Query[bytes | None]):
    """The hashes of a tile, as many as there are; None when there is none."""

    level: int
    number: int
    log: int = PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """An entry of the tree as it is stored."""

    index: int
    leaf: bytes
    event: LogEvent | None
    """None once erased."""
    salts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLog(Query[tuple[LogRecord, ...]]):
    """Entries of the tree from an index on, in order."""

    first: int
    max_rows: int
    log: int = PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """What is searched for; empty means any."""

    types: tuple[int, ...] = ()
    partner: str = ""
    actor: str = ""
    subject: bytes = b""
    thread: bytes = b""
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMatches:
    """A page of what was found, newest first, and what there is in all."""

    records: tuple[LogRecord, ...]
    total: int
    """Matching entries in the whole range, not only on this page."""
    searched: int
    """Entries in the range that could be searched: erased ones cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLog(Query[LogMatches]):
    """Entries that match, with an index below before, newest first."""

    filter: LogFilter
    before: int
    max_rows: int
    log: int = PRESENT
    counted: bool = True
    """Whether to count all that matches and all there is, which reads the whole log."""


@dataclass(frozen=True, slots=True)
class Checkpoints(Query[tuple[Checkpoint, ...]]):
    """Our checkpoints of a size above after, the smallest first."""

    after: int
    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCheckpoint:
    """A checkpoint of a partner's log that we keep."""

    partner: PartnerId
    origin: str
    checkpoint: Checkpoint
    finding: Finding


@dataclass(frozen=True, slots=True)
class PartnerCheckpoints(Query[tuple[SeenCheckpoint, ...]]):
    """What we keep of partners' logs, or of one partner's."""

    partner: PartnerId | None = None


@dataclass(frozen=True, slots=True)
class EraseDisclosure(Operation[bool]):
    """Erase what an entry discloses; leaf, tree and proofs stay. False when there is nothing to erase."""

    index: int
    log: LogEntry
    """The erasure itself is a step."""


# --- attachments ---------------------------------------------------------------------------------------------


class AttachmentState(IntEnum):
    """Where a file stands here. Numbers are stored."""

    UPLOADING = 1
    STORED = 2
    WANTED = 3
    """A received message names it; it is being fetched."""
    REFUSED = 4
    """Not what was promised, of a kind or size that is not taken, or not to be had."""
    ERASING = 5
    """No message names it any more; its bytes may still lie on disk."""
    ERASED = 6


class CustodyEvent(IntEnum):
    """What this gateway did with a file. Numbers are stored."""

    UPLOADED = 1
    RELAYED = 2
    RECEIVED = 3
    REFUSED = 4
    SHOWN = 5
    ERASED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyStep:
    """A step of a file's custody, with its entry for the exchange log."""

    attachment_id: bytes
    event: CustodyEvent
    log: LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyRow:
    """A step of a file's custody as it is kept."""

    event: CustodyEvent
    time_ms: int
    actor: str
    partner: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRow:
    """A file as the store knows it. How it is called, and its key, is sealed."""

    attachment_id: bytes
    state: AttachmentState
    principal: str
    """Who uploaded it, or the partner whose message named it first."""
    upload_id: bytes
    size_bytes: int
    """In clear."""
    chunk_bytes: int
    create_ms: int
    digest: bytes
    """SHA-256 of the sealed form once it is whole; empty before."""
    key_id: bytes
    """Of the key of an upload, in the key store; empty when it was received or may be used in no more messages."""
    sealed: bytes
    """Key, name and kind of an upload, under that key."""
    wrapped_key: bytes | None
    """That key, wrapped; None once erased, and in what TakeWanted returns."""
    attempts: int
    retry_ms: int
    reason: str


class BeginStatus(IntEnum):
    """What became of BeginUpload."""

    BEGUN = 1
    """There is a row with this upload_id: this one, or one from before."""
    FULL = 2
    """The files here, or those of this caller, have reached their limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginUpload(Operation[BeginStatus]):
    """Make the row of an upload, unless the caller has begun one under the same upload_id."""

    row: AttachmentRow
    wrapped_message_key: bytes | None
    """As in SealedMessage."""
    total_bytes: int
    """All files here may have so many."""
    max_uploads: int
    """Of one caller, not in messages yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAttachment(Operation[bool]):
    """A file is whole and on disk. False when nobody waits for it any more."""

    attachment_id: bytes
    digest: bytes
    custody: CustodyStep


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseAttachment(Operation[bool]):
    """A wanted file will not be fetched. False when nobody waits for it any more."""

    attachment_id: bytes
    reason: str
    custody: CustodyStep


@dataclass(frozen=True, slots=True)
class NoteCustody(Operation[None]):
    """Record steps that change nothing else."""

    steps: tuple[CustodyStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeWanted(Operation[tuple[AttachmentRow, tuple[tuple[PartnerId, MessageId], ...]] | None]):
    """Take the wanted file that is due longest, for this process alone until an instant, with those that name it."""

    now_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PostponeWanted(Operation[bool]):
    """Say when a wanted file may be taken again. False when it is not wanted any more."""

    attachment_id: bytes
    retry_ms: int
    failed: bool
    """Counts as an attempt."""


@dataclass(frozen=True, slots=True)
class EndUpload(Operation[None]):
    """Destroy the key of an upload. A file that messages name stays: their bodies have its key; another is erased."""

    attachment_id: bytes


@dataclass(frozen=True, slots=True)
class NoteErased(Operation[None]):
    """The bytes of an erased file are gone."""

    custody: CustodyStep


@dataclass(frozen=True, slots=True)
class FindAttachments(Query[tuple[AttachmentRow, ...]]):
    """Rows by attachment_id."""

    attachment_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindUpload(Query[AttachmentRow | None]):
    """The row of an upload."""

    principal: str
    upload_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OldUploads(Query[tuple[bytes, ...]]):
    """Ids of uploads that were begun before an instant and whose keys are still there."""

    before_ms: int
    max_rows: int


@dataclass(frozen=True, slots=True)
class AttachmentBytes(Query[tuple[int, int]]):
    """Bytes in clear of all files that are here or on their way, and of those that came from one principal."""

    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAttachments(Query[tuple[bytes, ...]]):
    """Ids of the files that a message names; none when it is erased."""

    sender: PartnerId
    message_id: MessageId


@dataclass(frozen=True, slots=True)
class ErasingAttachments(Query[tuple[bytes, ...]]):
    """Ids of erased files whose bytes may still lie on disk."""

    max_rows: int


@dataclass(frozen=True, slots=True)
class ReadCustody(Query[tuple[CustodyRow, ...]]):
    """What was done with a file, the oldest first, at most the newest so many."""

    attachment_id: bytes
    max_rows: int


class AttachmentFiles(Protocol):
    """Sealed files on disk, by attachment_id. Calls block: they run in a thread."""

    def free_bytes(self) -> int:
        """Return how much room the disk has."""
        ...

    def stored_bytes(self, attachment_id: bytes) -> int:
        """Return the size of a file, whole or in part; 0 when there is none."""
        ...

    def read(self, attachment_id: bytes, offset: int, length: int) -> bytes:
        """Return bytes of a file, fewer at its end, none when there is no such file.

        Raises:
            StoreUnavailable: The disk does not give them.
        """
        ...

    def append(self, attachment_id: bytes, offset: int, data: bytes) -> None:
        """Write at an offset of a partial file that is not beyond its end; what was behind it is gone.

        Raises:
            StoreUnavailable: The disk does not take it.
        """
        ...

    def finish(self, attachment_id: bytes) -> None:
        """Have a partial file on disk for good, and whole from now on.

        Raises:
            StoreUnavailable: The disk does not take it.
        """
        ...

    def remove(self, attachment_id: bytes) -> None:
        """Remove a file, whole or partial, if there is one."""
        ...


# --- encoding, carriers --------------------------------------------------------------------------------------


class Codec(Protocol):
    """Bytes to values and back, at the one edge that knows the wire format.

    decode_* check size, presence, known enums and field rules, and raise MessageMalformed or FieldInvalid.
    """

    def encode_header(self, header: Header) -> bytes: ...
    def decode_header(self, data: bytes) -> Header: ...
    def encode_record(self, record: RecipientRecord) -> bytes: ...
    def decode_record(self, data: bytes) -> RecipientRecord: ...
    def encode_receipt(self, receipt: Receipt) -> bytes: ...
    def decode_receipt(self, data: bytes) -> Receipt: ...
    def encode_card(self, card: Card) -> bytes: ...
    def decode_card(self, data: bytes) -> Card: ...
    def encode_body(self, body: Body) -> bytes: ...
    def decode_body(self, data: bytes) -> Body: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """An envelope of a frame about which the receiver states nothing yet."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingFrame:
    """What is sent in one piece."""

    sequence: int
    envelopes: tuple[Envelope, ...]
    receipts: tuple[ReceiptBatch, ...]
    traces: tuple[bytes, ...] = ()
    """Trace contexts beside the envelopes, in their order, empty where there is none; () when no call was sampled.
    From a partner they are claims: nothing but what is drawn depends on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAnswer:
    """What came back for one frame."""

    sequence: int
    receipts: ReceiptBatch | None
    repeats: tuple[ReceiptProof, ...]
    deferrals: tuple[Deferral, ...]
    card: SignedCard | None
    receipts_stored: bool


class Link(Protocol):
    """An open link to a partner. Frames are answered in their order."""

    async def send(self, frame: OutgoingFrame) -> None:
        """Send, waiting while the link is full.

        Raises:
            PartnerUnreachable: The link is gone.
        """
        ...

    def answers(self) -> AsyncIterator[FrameAnswer]:
        """Yield answers until the link ends.

        Raises:
            PartnerUnreachable: The link broke.
        """
        ...

    async def close(self) -> None:
        """Close. Frames without an answer count as not sent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkIdentity:
    """How we show ourselves on a link."""

    partner: PartnerId
    certificate_chain_pem: bytes
    private_key_pem: bytes

    def __repr__(self) -> str:
        return f"LinkIdentity({self.partner})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What a partner says of us."""

    endpoint: str
    """The endpoint that answered."""
    partner: str
    """As whom it knows us."""
    certificate_digest: bytes
    """SHA-256 of the certificate it saw."""
    time_ms: int
    """Its clock."""


@dataclass(frozen=True, slots=True)
class ShownProof:
    """What a partner shows of a step in its log, not verified."""

    leaf: bytes
    proof: bytes
    disclosure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLogs:
    """What one gateway shows another of both their logs, not verified."""

    checkpoint: bytes
    """Its own newest; empty before the first."""
    seen: bytes
    """The newest that it saw of the other's log; empty when it saw none."""
    proven_from: int
    """Size from which the consistency proof leads to its checkpoint; 0 when it proves nothing."""
    consistency: tuple[bytes, ...]
    beginning: ShownProof | None
    """Of a log that follows another one: its first entry, for whoever has not seen the log yet."""


class Carrier(Protocol):
    """Moves envelopes and receipts to one partner."""

    async def connect(self, identity: LinkIdentity, card: Card) -> Link:
        """Open a link to the partner the card describes, verified against the card's own roots.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """
        ...

    async def probe(self, identity: LinkIdentity, card: Card) -> ProbeAnswer:
        """Ask the partner what it sees of us.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """
        ...

    async def fetch_card(self, identity: LinkIdentity, card: Card, own: SignedCard) -> SignedCard:
        """Exchange current cards.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """
        ...

    async def exchange_checkpoints(self, identity: LinkIdentity, card: Card, shown: ShownLogs) -> ShownLogs:
        """Show where our log stands and what we saw of the partner's; return the same from it, not verified.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """
        ...

    async def prove_receipt(
        self, identity: LinkIdentity, card: Card, log_leaf: bytes, message_id: MessageId
    ) -> ShownProof:
        """Ask for the proof that the step a receipt names is in the partner's log; nothing of it is verified.

        Raises:
            PartnerUnreachable: No answer, or not the partner, or it has no such step.
        """
        ...


@runtime_checkable
class AttachmentCarrier(Protocol):
    """A carrier that can also fetch files, which not every one can."""

    def fetch_attachment(
        self, identity: LinkIdentity, card: Card, message_id: MessageId, attachment_id: bytes, offset: int
    ) -> AsyncIterator[bytes]:
        """Yield the sealed form of a file from an offset on, piece by piece as they are taken.

        Raises:
            PartnerUnreachable: No answer, not the partner, it has no such file, or the line broke.
        """
        ...


# --- connectors ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """What a connector hands in: a draft before it is encoded."""

    body: Body
    """Without a legal basis, the one of the agreement is put in."""
    recipients: tuple[PartnerId, ...] | None
    """None: every known partner that an agreement in force lets the authority send it to."""
    mode: Mode
    urgency: Urgency
    expire_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskMessage:
    """A stored alert, as a connector sees it."""

    row: MessageRow
    body: Body | None
    """None once erased."""


class Desk(Protocol):
    """All that a connector sees of the gateway."""

    @property
    def own(self) -> PartnerId:
        """This state."""
        ...

    def now_ms(self) -> int:
        """Read the gateway's clock."""
        ...

    async def submit(self, handed: HandedIn, source: str, content: bytes) -> SubmissionResult:
        """Accept a draft; returns once it is durable.

        The request_id follows from the connector, the source and the content: handing the same content in again,
        whatever happened in between, is a repeat and gets the first answer.

        Raises:
            GatewayError: Refused (Rejected), or not now (Busy).
        """
        ...

    def events(self) -> AsyncIterator[tuple[EventRow, ...]]:
        """Yield events after the connector's own durable cursor, first those stored, then live.

        The cursor moves when the next batch is asked for, so a batch that was not finished comes again after a
        crash: what is done with an event must bear being done twice.
        """
        ...

    async def page(self, token: str, size: int) -> tuple[tuple[MessageRow, ...], str]:
        """Return a page of messages, sent and received, newest first, and the token of the next page.

        Raises:
            PageTokenInvalid: Not a token of this call.
        """
        ...

    async def message(self, sender: PartnerId, message_id: MessageId) -> DeskMessage:
        """Return one message.

        Raises:
            NotFound: No such message, or not for this connector.
        """
        ...

    async def acknowledge(self, sender: PartnerId, message_id: MessageId) -> None:
        """State to the sender that a system of ours has taken the message over.

        Raises:
            NotFound: No such received message.
            StateConflict: We sent it ourselves.
        """
        ...

    async def handed_on(self, row: MessageRow) -> None:
        """Record that a received alert was handed on to those whom it is to warn, once; nothing for any other message.

        Raises:
            Busy: It cannot be recorded now.
        """
        ...

    def note(self, what: str, problem: str) -> None:
        """Say in the status how a source or sink does; an empty problem clears it."""
        ...


class Connector(Protocol):
    """Moves opened messages between the gateway and one national system."""

    async def run(self) -> None:
        """Work until cancelled. Raising or returning is a failure: it is started again after a pause."""
        ...


class ConnectorKind(Protocol):
    """What an entry point in the group concord.connectors names: a class without arguments, made once."""

    def options(self, data: Mapping[str, object], folder: str, authorities: frozenset[AuthorityId]) -> object:
        """Check the options of one [[connector]] table.

        Args:
            folder: The gateway's home, from which relative paths count.
            authorities: For whom the connector may speak.

        Raises:
            pydantic.ValidationError: They cannot be used. The gateway adds file and line.
        """
        ...

    def open(self, options: object, desk: Desk) -> Connector:
        """Make a connector. Nothing runs yet."""
        ...


class Notifier(Protocol):
    """Tells a person."""

    async def notify(self, subject: str, text: str) -> None: ...
