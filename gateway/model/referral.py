"""Help for people: a case referral. Field meanings and sizes as in referral.proto."""

from dataclasses import dataclass
from enum import IntEnum

from gateway.model.person import Person, Place, YesNo
from gateway.model.reference import Attachment, MessageReference
from gateway.model.text import LocalizedText
from gateway.model.trafficking import Trafficking


class CaseType(IntEnum):
    """What has happened."""

    MISSING_PERSON = 1
    SUSPECTED_TRAFFICKING = 2
    SCAM_COMPOUND = 3
    DETAINED = 4
    HOTLINE_FOLLOWUP = 5
    EVACUATION = 6
    KIDNAP = 7
    DEATH = 8
    MINOR_AT_RISK = 9
    MEDICAL = 10
    WRECK_OR_AIR_ACCIDENT = 11


class Ask(IntEnum):
    """What is asked of the recipient."""

    LOCATE = 1
    WELFARE_CHECK = 2
    CONSULAR_ACCESS = 3
    RESCUE = 4
    RELEASE = 5
    SHELTER = 6
    TRAVEL_DOCUMENT = 7
    REPATRIATION = 8
    NOTIFY_KIN = 9


class Relation(IntEnum):
    """What the reporter is to the person."""

    SELF = 1
    PARENT = 2
    SPOUSE = 3
    CHILD = 4
    SIBLING = 5
    OTHER_KIN = 6
    FRIEND = 7
    COLLEAGUE = 8
    EMPLOYER = 9
    ORGANISATION = 10
    AUTHORITY = 11
    STRANGER = 12
    ANONYMOUS = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Who told of the case. Family may be the recruiter, so the relation is never left out."""

    relation: Relation
    person: str = ""
    """Reference of a person of this referral. Empty: not among them."""
    organisation: str = ""
    words: str = ""


class ContactMeans(IntEnum):
    """How somebody was in contact."""

    CALL = 1
    MESSAGE = 2
    VIDEO = 3
    MEETING = 4
    LETTER = 5
    ONLINE = 6
    UNKNOWN = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LastContact:
    """When, how and in what words the person was last heard of."""

    time_ms: int | None = None
    """Absent: not known; then the words say what is."""
    means: ContactMeans
    words: tuple[LocalizedText, ...] = ()
    """The person's own where they are known."""


class ContactMethod(IntEnum):
    """How the person may be reached without endangering them."""

    DO_NOT_CONTACT = 1
    """Do not call back."""
    CALL = 2
    MESSAGE = 3
    THROUGH_KIN = 4
    THROUGH_POST = 5
    IN_PERSON = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeContact:
    """How and when the person may be reached."""

    method: ContactMethod
    hours: str = ""
    """For example "21:00-22:00", in the zone named."""
    time_zone: str = ""
    """IANA."""
    words: str = ""


class ScreeningResult(IntEnum):
    """Of screening for trafficking. A presumption is enough for protection."""

    NOT_DONE = 1
    PENDING = 2
    VICTIM = 3
    PRESUMED_VICTIM = 4
    NO_INDICATION = 5
    DECLINED = 6
    """The person did not want it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """Whether somebody looked, and what they found."""

    result: ScreeningResult
    screened_by: str = ""
    """Office; needed once there is a result."""
    time_ms: int | None = None
    words: str = ""


class NotificationWish(IntEnum):
    """Whether a detained person wants the consulate to be told (VCCR Article 36)."""

    REQUESTED = 1
    NOT_REQUESTED = 2
    REFUSED = 3
    """The person expressly opposes it: Article 36 (1) (c)."""
    UNKNOWN = 4


class NotificationRegime(IntEnum):
    """Whether the consulate is told on request or always."""

    ON_REQUEST = 1
    MANDATORY = 2
    """By a bilateral convention, within hours that it sets."""
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Detention:
    """The facts of Article 36 of the Vienna Convention on Consular Relations."""

    place: Place
    detain_ms: int | None = None
    authority: str
    """Who holds the person."""
    charge: str = ""
    """Empty: none is known."""
    rights_told: YesNo
    """Whether the person was told of the rights of Article 36."""
    rights_told_ms: int | None = None
    notification: NotificationWish
    regime: NotificationRegime
    regime_hours: int | None = None
    """Within which the consulate is to be told."""
    visit_asked: YesNo
    visit_granted: YesNo
    counsel: YesNo
    interpreter: YesNo


class AgeBand(IntEnum):
    """Ages as relief services count them."""

    UNDER_5 = 1
    FROM_5_TO_11 = 2
    FROM_12_TO_17 = 3
    FROM_18_TO_59 = 4
    FROM_60 = 5
    UNKNOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeCount:
    """How many people of an age."""

    band: AgeBand
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evacuation:
    """How many, from where, by what."""

    head_counts: tuple[AgeCount, ...]
    """Each band once."""
    with_passport: int | None = None
    """Of the heads counted."""
    without_passport: int | None = None
    assembly_point: Place
    transport: str = ""
    manifest_reference: str = ""
    """Of the list of passengers, in the sender's own numbering."""
    manifest_sha256: bytes | None = None
    """Names the attachment that is the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hotline:
    """The calls a case grew from."""

    call_reference: str
    """In the hotline's own numbering."""
    calls_merged: int
    """How many calls tell of this case, the first included."""
    first_call_ms: int | None = None
    last_call_ms: int | None = None
    line: str = ""
    """Which hotline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """A person in need and what the recipient is asked to do."""

    case_type: CaseType
    persons: tuple[Person, ...] = ()
    asks: tuple[Ask, ...]
    summary: tuple[LocalizedText, ...]
    reporter: Reporter
    last_contact: LastContact | None = None
    last_place: Place | None = None
    danger_now: YesNo
    danger: tuple[LocalizedText, ...] = ()
    """What the danger is."""
    captor_account: tuple[LocalizedText, ...] = ()
    """What is told of captors and recruiters."""
    trafficking: Trafficking | None = None
    screening: Screening
    may_be_told: tuple[str, ...] = ()
    """Who may learn of the case: references of persons, or offices. Empty: nobody but the recipients."""
    language: str
    """The person's, BCP 47; "und" when not known."""
    safe_contact: SafeContact
    detention: Detention | None = None
    evacuation: Evacuation | None = None
    hotline: Hotline | None = None
    attachments: tuple[Attachment, ...] = ()
    related: tuple[MessageReference, ...] = ()
    interpol_reference: str = ""
    """Number of a notice; nothing else of it travels."""
