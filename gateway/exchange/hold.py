"""Hold: a draft that officers must release is kept, whole and encrypted, until they have decided.

It gets the id, the salt and the key of the message that it may become, so that what is shown, approved, sent and one
day erased is one thing. Nothing of it leaves before.
"""

from collections.abc import Callable

from gateway.clock import Clock
from gateway.crypto.at_rest import open_held, seal_held
from gateway.crypto.keys import MessageKey
from gateway.crypto.release import content_commitment, new_salt, release_digest
from gateway.errors import NotFound, PolicyDenied, RequestIdReused, StoreCorrupt
from gateway.exchange.key_pool import KeyPool, unwrap
from gateway.exchange.officers import officer_of
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.steps import step
from gateway.exchange.submission import Policy, Submission
from gateway.ids import MessageId, OfficerId, ThreadId
from gateway.model.message import Draft
from gateway.policy.decision import RELEASE, Allow, Deny, Hold
from gateway.ports import Codec, HeldDraft, HoldDraft, LogEntry, Store, StoredHeld, SubmissionResult, SubmissionStatus
from gateway.translog.entry import EventType
from gateway.values import dataclass
from gateway.workflow.approval import DECIDES, ApprovalState, Need


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedDraft:
    """A held draft with its content."""

    stored: StoredHeld
    draft: Draft
    salt: bytes
    key: MessageKey


class HoldService:
    """Keeps held drafts, and opens them."""

    def __init__(self, *, store: Store, codec: Codec, clock: Clock, keys: KeyHolder, pool: KeyPool) -> None:
        self._store = store
        self._codec = codec
        self._clock = clock
        self._keys = keys
        self._pool = pool
        self._on_held: list[Callable[[HeldDraft], None]] = []
        self._on_released: list[Callable[[Submission, SubmissionResult], None]] = []

    def on_held(self, tell: Callable[[HeldDraft], None]) -> None:
        """Call tell after a draft has become durable, once for each; it must not raise and must not wait."""
        self._on_held.append(tell)

    def on_released(self, tell: Callable[[Submission, SubmissionResult], None]) -> None:
        """Call tell after a released draft, or the withdrawal of one, has become a durable message."""
        self._on_released.append(tell)

    def released(self, submission: Submission, result: SubmissionResult) -> None:
        """Tell whoever wants to know."""
        for tell in self._on_released:
            tell(submission, result)

    async def hold(self, submission: Submission, draft: Draft, expire_ms: int, hold: Hold) -> SubmissionResult:
        """Keep a draft; the answer means that it is on disk, and is the same for a repeat.

        Args:
            submission: As handed in.
            draft: The same with what it continues named.
            expire_ms: When it expires.
            hold: What it waits for.

        Raises:
            RequestIdReused: The request_id was used before for another draft.
        """
        now_ms = self._clock.now_ms()
        message_id = MessageId.new(now_ms)
        thread_id = draft.thread_id or ThreadId(message_id.raw)
        fresh = self._pool.take()
        salt = new_salt()
        commitment = content_commitment(salt, draft.body_bytes)
        digest = release_digest(
            draft, message_id=message_id, thread_id=thread_id, expire_ms=expire_ms, content_commitment=commitment
        )
        author = officer_of(submission.submitter.principal)
        authors: frozenset[OfficerId] = frozenset() if author is None else frozenset({author})
        held = HeldDraft(
            proposal_id=message_id,
            thread_id=thread_id,
            new_thread=draft.thread_id is None,
            kind=draft.body.kind,
            mode=draft.mode,
            urgency=draft.urgency,
            in_reply_to=draft.in_reply_to,
            supersedes=draft.supersedes,
            recipients=draft.recipients,
            create_ms=now_ms,
            expire_ms=expire_ms,
            content_commitment=commitment,
            digest=digest,
            authority=draft.body.authority.name,
            submitter=submission.submitter.principal,
            request_id=submission.request_id,
            request_digest=submission.request_digest,
            key_id=fresh.key_id,
            body_sealed=seal_held(fresh.key, salt, draft.body_bytes),
            needs=needs_of(hold),
            state=ApprovalState.DRAFT,
            version=1,
            authors=authors,
            proposer=None,
            propose_ms=0,
            due_ms=expire_ms,
        )
        log = step(
            EventType.APPROVAL_HELD,
            now_ms,
            actor=submission.submitter.principal,
            subject=message_id.raw,
            thread=thread_id.raw,
            digest=digest,
            detail=f"{held.kind.name.lower()} {held.mode.name.lower()} {held.urgency.name} for {held.authority}",
        )
        result = await self._store.write(HoldDraft(draft=held, wrapped_message_key=fresh.wrapped, log=log))
        if result.status is SubmissionStatus.REUSED:
            raise RequestIdReused("this request_id was used before for another draft")
        if result.status is SubmissionStatus.NEW:
            for tell in self._on_held:
                tell(held)
        return result

    def open(self, stored: StoredHeld) -> OpenedDraft:
        """Return a held draft with its content.

        Raises:
            NotFound: It was erased.
            StoreCorrupt: What is stored is not what was held.
        """
        held = stored.draft
        if not stored.wrapped_message_key:
            raise NotFound("the draft was erased")
        key = unwrap(self._keys.current.key_encryption, stored.wrapped_message_key, held.key_id)
        salt, body_bytes = open_held(key, held.body_sealed)
        draft = Draft(
            body=self._codec.decode_body(body_bytes),
            body_bytes=body_bytes,
            recipients=held.recipients,
            mode=held.mode,
            urgency=held.urgency,
            expire_ms=held.expire_ms,
            thread_id=None if held.new_thread else held.thread_id,
            in_reply_to=held.in_reply_to,
            supersedes=held.supersedes,
        )
        # Somebody with the database alone must not be able to have one thing shown and another one sent.
        if digest_of(held, draft, salt) != held.digest:
            raise StoreCorrupt("a held draft is not the one that officers were shown")
        return OpenedDraft(stored=stored, draft=draft, salt=salt, key=key)


def digest_of(held: HeldDraft, draft: Draft, salt: bytes) -> bytes:
    """Return the release digest of a draft as it would leave in this one's place."""
    return release_digest(
        draft,
        message_id=held.proposal_id,
        thread_id=held.thread_id,
        expire_ms=held.expire_ms,
        content_commitment=content_commitment(salt, draft.body_bytes),
    )


def needs_of(hold: Hold) -> tuple[Need, ...]:
    """Return who must decide. Where policy leaves it open, one officer beside whoever proposes, for each rule."""
    needs = tuple(Need(need.rule_id, need.roles, need.number) for need in hold.needs)
    return needs or tuple(Need(rule, DECIDES, 1) for rule in hold.rule_ids)


def needs_now(policy: Policy, draft: Draft) -> tuple[Need, ...]:
    """Return who must decide on a draft by what is agreed now.

    Raises:
        PolicyDenied: It may not leave at all.
    """
    match policy.outgoing(draft):
        case Hold() as hold:
            return needs_of(hold)
        case Allow():
            # It was held once, and no change of an agreement lets out what waits: officers do.
            return (Need(RELEASE, DECIDES, 1),)
        case Deny(rule_ids=rules, explanation=why):
            raise PolicyDenied(rules, why)


def entry_about(held: HeldDraft, kind: EventType, now_ms: int, *, actor: str, reason: str = "") -> LogEntry:
    """Return an entry for the exchange log about a held draft."""
    return step(
        kind,
        now_ms,
        actor=actor,
        subject=held.proposal_id.raw,
        thread=held.thread_id.raw,
        digest=held.digest,
        reason=reason,
        detail=f"version {held.version}",
    )
