"""Who a case is about. Field meanings and sizes as in person.proto."""

from dataclasses import dataclass
from enum import IntEnum

from gateway.model.alert import Point
from gateway.model.text import LocalizedText


class YesNo(IntEnum):
    """An answer that may not be left out: not known is an answer too."""

    YES = 1
    NO = 2
    UNKNOWN = 3


class PersonRole(IntEnum):
    """What a person is in the case."""

    SUBJECT = 1
    VICTIM = 2
    PRESUMED_VICTIM = 3
    WITNESS = 4
    SUSPECT = 5
    NEXT_OF_KIN = 6
    REPORTER = 7


class NameOrder(IntEnum):
    """Which part of a name comes first as it is written."""

    FAMILY_FIRST = 1
    GIVEN_FIRST = 2
    SINGLE = 3
    """A mononym, as is usual in Myanmar: it has no parts."""


class NameUse(IntEnum):
    """Where a name comes from."""

    LEGAL = 1
    ALSO_KNOWN_AS = 2
    BIRTH = 3
    FORMER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonName:
    """A name in one script. A mononym is normal: family and given are optional."""

    script: str
    """ISO 15924, for example "Thai"; "Zzzz" when the script is not known."""
    full: str
    """As it is written, in Unicode normal form C."""
    family: str | None = None
    given: str | None = None
    order: NameOrder | None = None
    """Needed when the name has parts."""
    use: NameUse
    scheme: str = ""
    """How it was turned into this script, for example "Hanyu Pinyin" or "ICAO 9303"."""


class Calendar(IntEnum):
    """The calendar a date is written in."""

    GREGORIAN = 1
    BUDDHIST = 2
    """Of Thailand: counted from 1 January since 2484 (1941), from 1 April before."""
    HIJRI = 3
    """Kept as written: which day it was depends on who saw the moon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialDate:
    """A date known to the year, the month or the day, in the calendar it was written in."""

    calendar: Calendar
    year: int
    month: int | None = None
    """Precision: absent when only the year is known."""
    day: int | None = None
    """Only with a month."""
    as_written: str = ""
    """Character for character, with whatever digits and words the source had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeRange:
    """An age when the date of birth is not known."""

    from_years: int
    to_years: int
    time_ms: int
    """When the person was that old."""


class Sex(IntEnum):
    """As on a travel document (ICAO Doc 9303 part 4)."""

    FEMALE = 1
    MALE = 2
    X = 3


class MrzCheck(IntEnum):
    """What the check digits of a machine-readable zone say."""

    NOT_READ = 1
    PASSED = 2
    FAILED = 3
    """Read, and at least one digit is wrong: misread, or forged."""


class DocumentHolder(IntEnum):
    """Where a document is."""

    PERSON = 1
    WITHHELD = 2
    """By an exploiter or employer."""
    SEIZED = 3
    """By an authority."""
    LOST = 4
    DESTROYED = 5
    NEVER_ISSUED = 6
    UNKNOWN = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class TravelDocument:
    """A passport, identity card, visa or border pass."""

    document_type: str = ""
    """ICAO Doc 9303: P, V, or A, C, I for cards, and a second letter. Empty: a document that Doc 9303 does not
    know."""
    description: str = ""
    """What it is in words, for example "border pass"; needed without a type."""
    issuer: str
    """ICAO code of the state or organisation, for example "THA"."""
    number: str = ""
    """As printed, without spaces. Empty: not known."""
    expiry: PartialDate | None = None
    mrz: str = ""
    """Lines of the machine-readable zone, a line end between. Empty: not read."""
    mrz_check: MrzCheck
    """What the sender found; the receiver computes it again."""
    holder: DocumentHolder


class TelephoneHolder(IntEnum):
    """Whose telephone it is: who calls it must know."""

    PERSON = 1
    KIN = 2
    CAPTOR_OR_RECRUITER = 3
    EMPLOYER = 4
    OTHER = 5
    UNKNOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Telephone:
    """A number and whose it is."""

    number: str
    """E.164: plus sign and 7 to 15 digits."""
    holder: TelephoneHolder


class MinorState(IntEnum):
    """Whether a person is under 18."""

    YES = 1
    NO = 2
    DISPUTED = 3
    UNKNOWN = 4


class Protection(IntEnum):
    """Why a person must be kept from a state."""

    NONE = 1
    ASYLUM = 2
    REFUGEE = 3
    WITNESS = 4
    UNKNOWN = 5


class Exposure(IntEnum):
    """What makes a person a likely target of misuse."""

    JOURNALIST = 1
    LAWYER = 2
    RIGHTS_DEFENDER = 3
    POLITICAL_FIGURE = 4
    FORMER_OFFICIAL = 5
    MINORITY_ACTIVIST = 6
    IMMUNITY = 7
    """Holds immunity or privilege."""


class ConsentScope(IntEnum):
    """What a person has agreed to."""

    SHARE = 1
    """That the recipients are told."""
    CONTACT = 2
    NOTIFY_KIN = 3
    RETURN = 4
    """To be brought home."""
    ONWARD = 5
    """That recipients pass it on."""


class ConsentGiver(IntEnum):
    """Who gave consent."""

    PERSON = 1
    PARENT = 2
    GUARDIAN = 3
    COURT = 4
    OTHER_KIN = 5


class ConsentForm(IntEnum):
    """How consent was given."""

    WRITTEN = 1
    RECORDED = 2
    SPOKEN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What was agreed to, by whom, when and how; and when it was taken back."""

    scope: tuple[ConsentScope, ...]
    given_by: ConsentGiver
    give_ms: int
    how: ConsentForm
    words: str = ""
    withdraw_ms: int | None = None
    """From here on it counts no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalInterest:
    """Why a case goes on without consent: life or health is at stake and the person cannot be asked."""

    reason: tuple[LocalizedText, ...]
    declared_by: str
    """Office that answers for it."""
    declare_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where, as exactly as the readers need: a point for the pair that handles a case, a cell for more."""

    description: str = ""
    country: str = ""
    """ICAO code. Empty: not known."""
    locode: str = ""
    """UN/LOCODE without space, for example "THMAS"."""
    point: Point | None = None
    accuracy_m: float | None = None
    """Radius in metres; needed with a point."""
    cell: str = ""
    """H3 index instead of a point, resolution 7 (5 square kilometres) or coarser."""
    time_ms: int | None = None
    """When the person or thing was there."""
    source: str = ""
    """Who says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person. What is not known is absent or unknown, never guessed."""

    reference: str
    """Pseudonym inside the thread; other fields name the person by it."""
    role: PersonRole
    names: tuple[PersonName, ...] = ()
    birth_date: PartialDate | None = None
    age: AgeRange | None = None
    sex: Sex | None = None
    nationalities: tuple[str, ...] = ()
    """ICAO codes; XXA stateless, XXB refugee, XXC other refugee, XXX unspecified."""
    documents: tuple[TravelDocument, ...] = ()
    telephones: tuple[Telephone, ...] = ()
    minor: MinorState
    protection: Protection
    feared_states: tuple[str, ...] = ()
    """ICAO codes of states that the person fears, beside those of nationality."""
    exposures: tuple[Exposure, ...] = ()
    consent: Consent | None = None
    vital_interest: VitalInterest | None = None
    places: tuple[Place, ...] = ()
    """Where the person was seen or is, newest first."""
    languages: tuple[str, ...] = ()
    """BCP 47, most wanted first."""
    description: tuple[LocalizedText, ...] = ()
    """Marks, clothes, health: what helps to recognise or to treat."""
