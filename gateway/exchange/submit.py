"""Submit: from a draft to a sealed, durable message that waits for its recipients (DESIGN section 3, steps 1 to 5).

Drafts come in batches: what was queued together is checked, sealed and committed together, so that one signature, one
encapsulation per recipient and one commit serve all. The caller is answered only when the commit is on disk.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from gateway.clock import Clock
from gateway.crypto.envelope import SealedBatch, SealingItem, seal_batch
from gateway.crypto.keys import SealKey
from gateway.errors import (
    ApprovalRequired,
    AuthorityNotYours,
    ConcurrentUpdate,
    FieldInvalid,
    GatewayError,
    MessageTooLarge,
    PolicyDenied,
    RequestIdReused,
    StateConflict,
)
from gateway.exchange.alert_chains import AlertChains, entry_of
from gateway.exchange.case_entries import case_entry_of
from gateway.exchange.case_states import CaseStates
from gateway.exchange.continuing import check_continuation, continuation, continues
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.key_pool import KeyPool
from gateway.exchange.observer import UNOBSERVED, Observer
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.quota import Quota
from gateway.exchange.sealed_rows import ReadyEnvelope, rows_of
from gateway.exchange.submission import Holding, Policy, Submission, Submitter, Validation, take_all
from gateway.exchange.threads import Threads
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.message import Body, Draft
from gateway.model.rules import check_draft
from gateway.policy.decision import Allow, Deny, Hold
from gateway.ports import (
    AlertEntry,
    CaseEntry,
    Codec,
    CommitSubmissions,
    FindRequest,
    Store,
    SubmissionResult,
    SubmissionStatus,
    ThreadHeads,
)
from gateway.values import dataclass

T = TypeVar("T")
MAX_BODY_BYTES: Final = 2_000_000
"""Largest body; envelope.proto takes 2 MiB of ciphertext. Larger things are attachments."""
OFFLOAD_RECIPIENTS: Final = 8
"""From this many encapsulations (about 0.3 ms each) sealing leaves the event loop."""
MAX_ROUNDS: Final = 8
"""How often a batch is sealed again because a thread's head moved, before the caller is asked to repeat."""


@dataclass(slots=True)
class _Job:
    index: int
    submission: Submission
    expire_ms: int
    message_id: MessageId
    thread_id: ThreadId
    entry: AlertEntry | CaseEntry | None
    """Of the body, which stays the same in every round; None of a ping."""


class SubmitService:
    """Takes drafts from systems and officers.

    Args:
        ready: Told of each envelope once it is durable, so that an open link can send it without reading it back.
        offload: Runs a function away from the event loop and returns its result.
        check_files: Raises FieldInvalid for a body that names a file which was not uploaded.
        holding: Keeps what officers must release; without it such drafts are refused.
    """

    def __init__(
        self,
        *,
        directory: PartnerDirectory,
        policy: Policy,
        store: Store,
        codec: Codec,
        clock: Clock,
        keys: KeyHolder,
        pool: KeyPool,
        quota: Quota,
        ready: Callable[[ReadyEnvelope], None],
        offload: Callable[[Callable[[], SealedBatch]], Awaitable[SealedBatch]],
        observer: Observer = UNOBSERVED,
        check_files: Callable[[Body], Awaitable[None]] = take_all,
        holding: Holding | None = None,
    ) -> None:
        self._observer = observer
        self._check_files = check_files
        self._holding = holding
        self._directory = directory
        self._policy = policy
        self._store = store
        self._codec = codec
        self._clock = clock
        self._keys = keys
        self._pool = pool
        self._quota = quota
        self._ready = ready
        self._offload = offload
        self._chains = AlertChains(store=store, own=directory.own, clock=clock)
        self._cases = CaseStates(store)

    async def validate(self, submitter: Submitter, draft: Draft) -> Validation:
        """Run every check of `submit` but quotas and repeats, and keep nothing.

        Raises:
            GatewayError: As `submit` would answer, except policy, which is in the result.
        """
        draft, expire_ms = await self.examined(submitter, draft)
        return Validation(
            decision=self._policy.outgoing(draft),
            body_bytes=len(draft.body_bytes),
            recipients=draft.recipients,
            expire_ms=expire_ms,
            supersedes=draft.supersedes.message_id if draft.supersedes is not None else None,
        )

    async def examined(self, submitter: Submitter, draft: Draft) -> tuple[Draft, int]:
        """Return a draft with what it continues named, and when it expires; raises as `submit` would answer."""
        expire_ms = self._check_draft(submitter, draft, now_ms := self._clock.now_ms())
        await self._check_files(draft.body)
        (continued,) = await self._chains.continued([(draft, entry_of(draft.body, self._keys.current.key_encryption))])
        if isinstance(continued, GatewayError):
            raise continued
        draft = continued
        message_id = MessageId.new(now_ms)
        item = continuation(draft, message_id, draft.thread_id or ThreadId(message_id.raw), self._directory.own)
        threads = await Threads.read(self._store, self._directory.own, [item])
        if threads is not None:
            check_continuation(threads, item)
        thread_id = item.message.thread_id
        entry = case_entry_of(draft.body, thread_id, self._keys.current.key_encryption)
        await self._cases.check(draft, thread_id, entry)
        return draft, expire_ms

    async def submit(self, submissions: Sequence[Submission]) -> list[SubmissionResult | GatewayError]:
        """Accept what may leave; answer each submission with its result or its error, in order.

        A result means durable: the message, its rows for every recipient and its key are on disk.

        Raises:
            StoreUnavailable: Nothing of the batch was accepted.
        """
        began = self._observer.began()
        now_ms = self._clock.now_ms()
        answers: list[SubmissionResult | GatewayError | None] = [None] * len(submissions)
        jobs: list[_Job] = []
        for index, submission in enumerate(submissions):
            try:
                expire_ms = self._check(submission, now_ms)
                await self._check_files(submission.draft.body)
            except ApprovalRequired as error:
                answers[index] = await self._repeated(submission) or await self._held(submission, error, now_ms)
                continue
            except GatewayError as error:
                answers[index] = await self._repeated(submission) or error
                continue
            message_id = MessageId.new(now_ms) if submission.release is None else submission.release.message_id
            thread_id = submission.draft.thread_id or ThreadId(message_id.raw)
            body, key = submission.draft.body, self._keys.current.key_encryption
            entry = entry_of(body, key) or case_entry_of(body, thread_id, key)
            jobs.append(_Job(index, submission, expire_ms, message_id, thread_id, entry))
        for _ in range(MAX_ROUNDS):
            if not jobs:
                break
            jobs = await self._round(jobs, answers, now_ms)
        for job in jobs:
            answers[job.index] = ConcurrentUpdate("other messages of the thread kept coming in between")
        told = [answer for answer in answers if answer is not None]
        self._observer.submitted(began, submissions, told)
        return told

    async def _round(
        self, jobs: list[_Job], answers: list[SubmissionResult | GatewayError | None], now_ms: int
    ) -> list[_Job]:
        """Seal and commit once; return the jobs to try again."""
        again: list[_Job] = []
        jobs = await self._continued(jobs, answers)
        threads = tuple({job.thread_id for job in jobs if job.submission.draft.thread_id is not None})
        heads = await self._store.read(ThreadHeads(threads=threads)) if threads else {}
        # After the heads: what comes in between moves a head, and all is looked at again.
        jobs = await self._agreeing(jobs, answers)
        jobs = await self._possible(jobs, answers)
        jobs, seal_keys = self._seal_keys(jobs, answers, now_ms)
        if not jobs:
            return again
        items = [_item(job, heads, now_ms) for job in jobs]
        recipients = {partner for item in items for partner, _ in item.recipients}
        keys = self._keys.current

        def seal() -> SealedBatch:
            return seal_batch(
                items,
                sender=keys.partner,
                sign_key=keys.envelope,
                seal_keys=seal_keys,
                codec=self._codec,
                now_ms=now_ms,
            )

        batch = await self._offload(seal) if len(recipients) >= OFFLOAD_RECIPIENTS else seal()
        rows, ready = rows_of(batch, [(job.submission, job.entry) for job in jobs], self._pool)
        encapsulations = ready.encapsulations
        results = await self._store.write(CommitSubmissions(messages=rows, encapsulations=encapsulations))
        for job, result, envelopes in zip(jobs, results, ready.envelopes, strict=True):
            match result.status:
                case SubmissionStatus.NEW:
                    answers[job.index] = result
                    if job.submission.release is not None and self._holding:
                        self._holding.released(job.submission, result)
                    if job.submission.trace:
                        self._observer.released(job.message_id, job.submission.trace)
                    for envelope in envelopes:
                        self._ready(envelope)
                case SubmissionStatus.REPEATED:
                    answers[job.index] = result
                case SubmissionStatus.REUSED:
                    answers[job.index] = RequestIdReused("this request_id was used before for another draft")
                case SubmissionStatus.HEAD_MOVED:
                    again.append(job)
                case SubmissionStatus.DECIDED_OTHERWISE:
                    answers[job.index] = ConcurrentUpdate("somebody else has done something to it in between")
        return again

    def _seal_keys(
        self, jobs: list[_Job], answers: list[SubmissionResult | GatewayError | None], now_ms: int
    ) -> tuple[list[_Job], dict[PartnerId, SealKey]]:
        """Answer those whose recipients have gone meanwhile; return the others with the keys to seal for."""
        sealable: list[_Job] = []
        found: dict[PartnerId, SealKey] = {}
        for job in jobs:
            try:
                for partner in job.submission.draft.recipients:
                    found[partner] = self._directory.seal_key(partner, now_ms)
            except GatewayError as error:
                answers[job.index] = error
            else:
                sealable.append(job)
        return sealable, found

    async def _continued(self, jobs: list[_Job], answers: list[SubmissionResult | GatewayError | None]) -> list[_Job]:
        """Name the predecessors of updates and cancellations; answer those that have none, return the others."""
        drafts = [job.submission.draft for job in jobs]
        entries = [job.entry if isinstance(job.entry, AlertEntry) else None for job in jobs]
        found = await self._chains.continued(list(zip(drafts, entries, strict=True)))
        left: list[_Job] = []
        for job, draft in zip(jobs, found, strict=True):
            if isinstance(draft, GatewayError):
                answers[job.index] = await self._repeated(job.submission) or draft
                continue
            if draft is not job.submission.draft and job.submission.release is not None:
                # Officers have approved a draft that takes the place of one alert, and by now another has done so.
                answers[job.index] = StateConflict("what it continues has changed: possible is to propose a new draft")
                continue
            if draft is not job.submission.draft:
                job.submission = replace(job.submission, draft=draft)
                job.thread_id = draft.thread_id or job.thread_id
            left.append(job)
        return left

    async def _agreeing(self, jobs: list[_Job], answers: list[SubmissionResult | GatewayError | None]) -> list[_Job]:
        """Answer those that do not agree with what they continue; return the others."""
        own = self._directory.own
        if not any(continues(job.submission.draft) for job in jobs):
            return jobs
        items = [continuation(job.submission.draft, job.message_id, job.thread_id, own) for job in jobs]
        threads = await Threads.read(self._store, own, items)
        if threads is None:
            return jobs
        agreeing: list[_Job] = []
        for job, item in zip(jobs, items, strict=True):
            try:
                check_continuation(threads, item)
            except GatewayError as error:
                answers[job.index] = await self._repeated(job.submission) or error
            else:
                threads.add(item)
                agreeing.append(job)
        return agreeing

    async def _possible(self, jobs: list[_Job], answers: list[SubmissionResult | GatewayError | None]) -> list[_Job]:
        """Answer those that their case does not allow now; return the others."""
        if not any(isinstance(job.entry, CaseEntry) for job in jobs):
            return jobs
        found = await self._cases.refusals([(job.submission.draft, job.thread_id, job.entry) for job in jobs])
        left: list[_Job] = []
        for job, refusal in zip(jobs, found, strict=True):
            if refusal is None:
                left.append(job)
            else:
                answers[job.index] = await self._repeated(job.submission) or refusal
        return left

    def _check(self, submission: Submission, now_ms: int) -> int:
        draft = submission.draft
        expire_ms = self._check_draft(submission.submitter, draft, now_ms)
        release = submission.release
        match self._policy.outgoing(draft) if release is None else self._policy.releasing(draft, release.decided):
            case Allow():
                pass
            case Hold(rule_ids=rules, explanation=why):
                raise ApprovalRequired(rules, why)
            case Deny(rule_ids=rules, explanation=why):
                raise PolicyDenied(rules, why)
        if not release:
            self._quota.take(submission.submitter.principal, draft.urgency, now_ms)
        return expire_ms

    async def _held(
        self, submission: Submission, why: ApprovalRequired, now_ms: int
    ) -> SubmissionResult | GatewayError:
        """Keep a draft for officers, after all checks that it would meet on its way out."""
        try:
            draft, expire_ms = await self.examined(submission.submitter, submission.draft)
            hold = self._policy.outgoing(draft)
            if self._holding is None or submission.release or not isinstance(hold, Hold):
                return why
            self._quota.take(submission.submitter.principal, draft.urgency, now_ms)
            return await self._holding.hold(submission, draft, expire_ms, hold)
        except GatewayError as error:
            return error

    def _check_draft(self, submitter: Submitter, draft: Draft, now_ms: int) -> int:
        if len(draft.body_bytes) > MAX_BODY_BYTES:
            raise MessageTooLarge("the body", len(draft.body_bytes), MAX_BODY_BYTES)
        if draft.body.authority not in submitter.authorities:
            raise AuthorityNotYours(f"'{submitter.principal}' may not speak for '{draft.body.authority}'")
        for partner in draft.recipients:
            self._directory.usable(partner)
            self._directory.seal_key(partner, now_ms)
        check_draft(draft, now_ms)
        if draft.in_reply_to is not None and draft.thread_id is None:
            raise FieldInvalid("draft.thread_id", "is needed when in_reply_to is set")
        return draft.expire_ms if draft.expire_ms is not None else now_ms + self._policy.default_lifetime_ms(draft)

    async def _repeated(self, submission: Submission) -> SubmissionResult | None:
        """A repeat gets the first answer even when the draft would not pass any more, for example after its expiry."""
        if submission.release is not None:
            return None
        found = await self._store.read(
            FindRequest(
                submitter=submission.submitter.principal,
                request_id=submission.request_id,
                request_digest=submission.request_digest,
            )
        )
        return found if found is not None and found.status is SubmissionStatus.REPEATED else None


def _item(job: _Job, heads: dict[tuple[ThreadId, PartnerId], bytes], now_ms: int) -> SealingItem:
    draft = job.submission.draft
    return SealingItem(
        message_id=job.message_id,
        kind=draft.body.kind,
        thread_id=job.thread_id,
        in_reply_to=draft.in_reply_to,
        supersedes=draft.supersedes,
        mode=draft.mode,
        urgency=draft.urgency,
        create_ms=now_ms,
        expire_ms=job.expire_ms,
        body_bytes=draft.body_bytes,
        recipients=tuple((partner, heads.get((job.thread_id, partner), b"")) for partner in draft.recipients),
        salt=None if job.submission.release is None else job.submission.release.salt,
    )
