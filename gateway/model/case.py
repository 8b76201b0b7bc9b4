"""What follows a referral or request in its thread. Field meanings and sizes as in case.proto."""

from dataclasses import dataclass
from enum import IntEnum

from gateway.ids import MessageId, PartnerId
from gateway.model.person import Person, Place, YesNo
from gateway.model.reference import Attachment, MessageReference
from gateway.model.text import LocalizedText


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """News: more facts, a question or its reply, a change of state."""

    event: str = ""
    """Event of the thread's state table, for example "start". Empty: none."""
    text: tuple[LocalizedText, ...] = ()
    questions: tuple[LocalizedText, ...] = ()
    persons: tuple[Person, ...] = ()
    places: tuple[Place, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    related: tuple[MessageReference, ...] = ()
    measures: tuple[str, ...] = ()
    """Ids of the measures that the event is about. Empty: the whole."""


class CaseOutcome(IntEnum):
    """How a referral ended."""

    FOUND_SAFE = 1
    FOUND_SAFE_NO_CONTACT_WANTED = 2
    RESCUED = 3
    RELEASED = 4
    REPATRIATED = 5
    DEPORTED = 6
    DECEASED = 7
    NOT_FOUND = 8
    NOT_A_CASE = 9
    HANDED_TO_REQUEST = 10


class MeasureOutcome(IntEnum):
    """What became of a measure."""

    DONE = 1
    PARTLY = 2
    NOTHING_FOUND = 3
    NOT_DONE = 4
    PRESERVED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureResult:
    """The result of one measure."""

    measure_id: str
    """As the request names it."""
    outcome: MeasureOutcome
    words: tuple[LocalizedText, ...] = ()
    done_ms: int | None = None
    preserved_until_ms: int | None = None
    """Needed when preserved."""
    reference: str = ""
    """In the executing authority's own numbering."""
    torture_suspected: YesNo
    """Whether the evidence is suspected to come from torture."""
    evidence: tuple[bytes, ...] = ()
    """SHA-256 of attachments of this answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One part of the reply on the substance. An outcome answers a referral, results answer a request."""

    part: int
    """From 1."""
    final: bool
    """No part follows."""
    outcome: CaseOutcome | None = None
    results: tuple[MeasureResult, ...] = ()
    text: tuple[LocalizedText, ...] = ()
    persons: tuple[Person, ...] = ()
    places: tuple[Place, ...] = ()
    use_conditions: tuple[LocalizedText, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Verdict(IntEnum):
    """What an authority decides."""

    ACCEPT = 1
    ACCEPT_WITH_CONDITIONS = 2
    REFUSE = 3
    ASK = 4
    REDIRECT = 5
    CONSULT = 6
    """Before refusing (UNTOC Article 18 (26))."""
    POSTPONE = 7
    AGREE_TO_CONDITIONS = 8
    """The requester's reply to conditions."""


class Ground(IntEnum):
    """Why a request is refused or postponed.

    Bank secrecy and fiscal matter are missing on purpose: UNTOC 18 (8), (22).
    """

    SOVEREIGNTY_SECURITY_ORDRE_PUBLIC = 1
    FORM_DEFECT = 2
    DOMESTIC_LAW = 3
    DUAL_CRIMINALITY = 4
    POLITICAL_OFFENCE = 5
    MILITARY_OFFENCE = 6
    DISCRIMINATORY_PURPOSE = 7
    NE_BIS_IN_IDEM = 8
    DEATH_PENALTY_NO_ASSURANCE = 9
    TORTURE_RISK = 10
    FAIR_TRIAL_RISK = 11
    NON_REFOULEMENT = 12
    DISPROPORTIONATE = 13
    NO_RECIPROCITY = 14
    NO_USE_UNDERTAKING = 15
    IMMUNITY_PRIVILEGE = 16
    ONGOING_CASE = 17
    """A ground to postpone, never to refuse."""
    DATA_PROTECTION = 18
    NOT_LOCATED = 19
    ART3_INTERPOL = 20
    VICTIM_HARM = 21


class ConditionType(IntEnum):
    """What an acceptance depends on."""

    USE_LIMITATION = 1
    NO_DEATH_PENALTY = 2
    CONFIDENTIALITY = 3
    RETURN_OF_ITEMS = 4
    NO_ONWARD_TRANSFER = 5
    PRESENCE = 6
    OTHER = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of an acceptance."""

    condition_id: str
    condition_type: ConditionType
    words: tuple[LocalizedText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDecision:
    """What the receiving authority decided, as the sender is told."""

    verdict: Verdict
    measures: tuple[str, ...] = ()
    """Ids of the measures decided on. Empty: the whole."""
    grounds: tuple[Ground, ...] = ()
    disclosed: tuple[LocalizedText, ...] = ()
    """Reasons as told; owed for every refusal (UNTOC Article 18 (23))."""
    conditions: tuple[Condition, ...] = ()
    questions: tuple[LocalizedText, ...] = ()
    redirect_to: str = ""
    """Authority that is competent, for example "th/royal-police"."""
    until_ms: int | None = None
    """Until when it is postponed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Takes a referral or request back before it is answered."""

    message_id: MessageId
    """Of the message withdrawn."""
    measures: tuple[str, ...] = ()
    """Empty: the whole."""
    reason: tuple[LocalizedText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureUse:
    """How the result of one measure was used."""

    measure_id: str
    words: tuple[LocalizedText, ...]
    within_purpose: YesNo


@dataclass(frozen=True, slots=True, kw_only=True)
class UseReport:
    """What the requester did with what it was given."""

    uses: tuple[MeasureUse, ...]
    items_returned: YesNo
    delete_ms: int | None = None
    """When the data was deleted."""
    text: tuple[LocalizedText, ...] = ()
    closing: bool
    """Nothing more is to be reported."""


class RecallAction(IntEnum):
    """What receivers are to do."""

    DESTROY = 1
    CORRECT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Takes a message back, or corrects it. Every receiver must confirm."""

    message_id: MessageId
    content_commitment: bytes
    reason: tuple[LocalizedText, ...]
    action: RecallAction
    correction: MessageReference | None = None
    """The message that is right; needed to correct."""
    confirm_ms: int
    """By when receivers confirm."""


class RecallResult(IntEnum):
    """What a receiver did."""

    DESTROYED = 1
    CORRECTED = 2
    KEPT_BY_LAW = 3
    NOT_HELD = 4
    PASSED_ON = 5
    """Done here; those to whom it went on have not all confirmed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnwardRecall:
    """Somebody the message had been passed on to."""

    partner: PartnerId
    told: YesNo


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallConfirmation:
    """A receiver's answer to a recall."""

    message_id: MessageId
    """Of the message recalled."""
    content_commitment: bytes
    result: RecallResult
    words: tuple[LocalizedText, ...] = ()
    """Needed when it is kept."""
    done_ms: int
    onward: tuple[OnwardRecall, ...] = ()
    """Everybody it went on to."""
