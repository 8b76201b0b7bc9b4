"""What is handed in, what would become of it, and what its use case needs of policy and of officers."""

from typing import Protocol

from gateway.exchange.sealed_rows import Release
from gateway.ids import AuthorityId, MessageId, PartnerId
from gateway.model.message import Body, Draft
from gateway.policy.decision import Decided, Decision, Hold
from gateway.ports import SubmissionResult
from gateway.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """A national system and the authorities it may speak for."""

    principal: str
    authorities: frozenset[AuthorityId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One draft handed in."""

    submitter: Submitter
    request_id: bytes
    request_digest: bytes
    """SHA-256 of the draft's bytes: tells a repeat from a reuse."""
    draft: Draft
    trace: bytes = b""
    """Trace context of the call; empty when it is not sampled."""
    release: Release | None = None
    """Set when officers have decided that a held draft leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What would happen to a draft."""

    decision: Decision
    body_bytes: int
    recipients: tuple[PartnerId, ...]
    expire_ms: int
    supersedes: MessageId | None = None
    """The message whose place it would take."""


async def take_all(_: Body) -> None:
    """Take whatever files a body names."""


class Policy(Protocol):
    """Decides what may leave."""

    def outgoing(self, draft: Draft) -> Decision: ...
    def releasing(self, draft: Draft, decided: Decided) -> Decision: ...
    def default_lifetime_ms(self, draft: Draft) -> int: ...


class Holding(Protocol):
    """Keeps a draft until officers have decided; see exchange.hold."""

    async def hold(self, submission: Submission, draft: Draft, expire_ms: int, hold: Hold) -> SubmissionResult: ...
    def released(self, submission: Submission, result: SubmissionResult) -> None: ...
