"""A message: its body with handling, and the draft that a national system hands in."""

from enum import IntEnum
from typing import Final

from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
from gateway.model.alert import Alert
from gateway.model.assistance import Request
from gateway.model.case import Answer, CaseDecision, Recall, RecallConfirmation, Update, UseReport, Withdrawal
from gateway.model.header import Kind, Mode, Supersedes, Urgency
from gateway.model.operation import Operation
from gateway.model.referral import Referral
from gateway.values import dataclass


class Tlp(IntEnum):
    """Traffic Light Protocol 2.0 (FIRST); 0 means not stated."""

    UNSPECIFIED = 0
    CLEAR = 1
    GREEN = 2
    AMBER = 3
    AMBER_STRICT = 4
    RED = 5


class Onward(IntEnum):
    """Whether a recipient may pass the content on; 0 means not stated, which is read as none."""

    UNSPECIFIED = 0
    NONE = 1
    ASK = 2
    LISTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What recipients may do with the content."""

    tlp: Tlp
    purpose: str
    onward: Onward
    onward_partners: tuple[PartnerId, ...] = ()
    retain_until_ms: int | None = None
    review_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """Instrument and article that the exchange rests on."""

    instrument: str
    article: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Proof that a link works end to end. Carries nothing about anybody."""

    nonce: bytes


CaseContent = (
    Referral
    | Request
    | Operation
    | Update
    | Answer
    | CaseDecision
    | Withdrawal
    | UseReport
    | Recall
    | RecallConfirmation
)
"""What officers release and decide on."""
Content = Alert | Ping | CaseContent
KIND_OF: Final[dict[type, Kind]] = {
    Alert: Kind.ALERT,
    Ping: Kind.PING,
    Referral: Kind.REFERRAL,
    Request: Kind.REQUEST,
    Operation: Kind.OPERATION,
    Update: Kind.UPDATE,
    CaseDecision: Kind.UPDATE,
    Withdrawal: Kind.UPDATE,
    UseReport: Kind.UPDATE,
    Answer: Kind.ANSWER,
    Recall: Kind.RECALL,
    RecallConfirmation: Kind.RECALL,
}
"""As what a content travels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The sealed content of a message."""

    authority: AuthorityId
    handling: Handling
    legal_basis: tuple[LegalBasis, ...]
    content: Content

    @property
    def kind(self) -> Kind:
        """The kind that goes into the header."""
        return KIND_OF[type(self.content)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message before it is sealed."""

    body: Body
    body_bytes: bytes
    """The body as encoded once at the edge; what is sealed, never encoded again."""
    recipients: tuple[PartnerId, ...]
    mode: Mode
    urgency: Urgency
    expire_ms: int | None
    """None: the agreement's default for the kind."""
    thread_id: ThreadId | None
    """None: a new thread."""
    in_reply_to: MessageId | None
    supersedes: Supersedes | None
