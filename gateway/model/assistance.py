"""Coercive power: a mutual-assistance request. Field meanings and sizes as in assistance.proto."""

from dataclasses import dataclass
from enum import IntEnum

from gateway.model.measure import Measure
from gateway.model.person import Person, YesNo
from gateway.model.reference import Attachment, ContactPoint, MessageReference
from gateway.model.text import LocalizedText


class OffenceCharacter(IntEnum):
    """What kind of offence it is. The last four are never a ground for assistance."""

    ORDINARY = 1
    FISCAL = 2
    POLITICAL = 3
    MILITARY = 4
    RELIGIOUS = 5
    RACIAL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """What the law says that was broken."""

    provision: str
    """Law and article."""
    legal_text: tuple[LocalizedText, ...]
    maximum_penalty: str
    death_penalty: YesNo
    """Whether it can be imposed."""
    offence_class: int
    """Section of ICCS, 1 to 11."""
    character: OffenceCharacter


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """An authority in the request."""

    id: str = ""
    """For example "th/royal-police". Empty: not one that exchanges messages."""
    name: str


class ProceedingNature(IntEnum):
    """What the assistance is for."""

    INQUIRY = 1
    INVESTIGATION = 2
    PROSECUTION = 3
    TRIAL = 4
    ENFORCEMENT = 5
    ASSET_RECOVERY = 6


class ProcedureWish(IntEnum):
    """How the assistance is wanted."""

    OATH = 1
    CERTIFICATION = 2
    CHAIN_OF_CUSTODY = 3
    OFFICERS_PRESENT = 4
    RECORDING = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidentiality:
    """Whether the request is to be kept secret."""

    asked: YesNo
    reason: str = ""
    """Needed when it is."""
    may_be_told: tuple[str, ...] = ()


class Translation(IntEnum):
    """What the language of the request is worth."""

    ORIGINAL = 1
    CERTIFIED = 2
    UNCERTIFIED = 3
    MACHINE = 4


class Reciprocity(IntEnum):
    """Whether the requesting state would do the same."""

    BY_TREATY = 1
    UNDERTAKEN = 2
    NOT_UNDERTAKEN = 3


class DualCriminalityState(IntEnum):
    """Whether the act is an offence in both states."""

    STATED = 1
    NOT_REQUIRED = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DualCriminality:
    """What is said about the offence under the receiver's law."""

    state: DualCriminalityState
    words: tuple[LocalizedText, ...] = ()
    """Needed when stated."""


class Undertaking(IntEnum):
    """What the requesting state promises."""

    USE_LIMITATION = 1
    RETURN_OF_ITEMS = 2
    NO_ONWARD_TRANSFER = 3
    SAFE_CONDUCT = 4
    COSTS = 5
    CONFIDENTIALITY = 6


class EarlierRelation(IntEnum):
    """How another request is related."""

    EARLIER = 1
    PARALLEL = 2
    PRESERVATION = 3
    CONFIRMED = 4
    """Made by voice or another channel before, and confirmed here in writing (UNTOC Article 18 (14))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRequest:
    """An earlier or parallel request."""

    relation: EarlierRelation
    reference: str
    message: MessageReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorJudgment:
    """Whether the same facts were judged before."""

    exists: YesNo
    words: tuple[LocalizedText, ...] = ()
    """Needed when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTerms:
    """What happens to personal data."""

    retain_until_ms: int
    review_ms: int | None = None
    subject_rights: tuple[LocalizedText, ...] = ()
    """Where persons ask what is kept and have it corrected."""


class ApprovalAct(IntEnum):
    """What an office did."""

    DRAFTED = 1
    APPROVED = 2
    SIGNED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalStep:
    """One step of the chain that let the request go. Offices, never names."""

    office: str
    act: ApprovalAct
    time_ms: int
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request with all that UNTOC Article 18 (15) asks for. Its legal basis stands in the body."""

    requesting: Office
    conducting: Office
    """Who conducts the case."""
    central: Office
    contact: ContactPoint
    duty_contact: ContactPoint
    """Answers round the clock."""
    nature: ProceedingNature
    stage: str = ""
    subject: tuple[LocalizedText, ...]
    facts: tuple[LocalizedText, ...] = ()
    """May be missing when all that is asked is to serve documents."""
    offences: tuple[Offence, ...] = ()
    evidence_link: tuple[LocalizedText, ...] = ()
    """How facts, persons and what is sought hang together."""
    measures: tuple[Measure, ...]
    persons: tuple[Person, ...] = ()
    purpose_of_use: tuple[LocalizedText, ...]
    procedure: tuple[ProcedureWish, ...] = ()
    procedure_words: tuple[LocalizedText, ...] = ()
    due_ms: int | None = None
    due_reason: str = ""
    """Needed with a due time."""
    urgency_reason: str = ""
    """Needed for U0 and U1."""
    confidentiality: Confidentiality
    language: str
    """BCP 47, of the authentic text."""
    translation: Translation
    reciprocity: Reciprocity
    dual_criminality: DualCriminality
    undertakings: tuple[Undertaking, ...] = ()
    undertaking_words: tuple[LocalizedText, ...] = ()
    earlier: tuple[EarlierRequest, ...] = ()
    prior_judgment: PriorJudgment
    data_terms: DataTerms
    victims_touched: YesNo
    minors_touched: YesNo
    torture_suspected: YesNo
    """Whether any evidence it rests on is suspected to come from torture."""
    death_penalty_assurance: tuple[LocalizedText, ...] = ()
    """That it is not imposed or not carried out."""
    approvals: tuple[ApprovalStep, ...]
    """Oldest first."""
    attachments: tuple[Attachment, ...] = ()
    related: tuple[MessageReference, ...] = ()
