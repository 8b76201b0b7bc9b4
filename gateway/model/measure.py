"""What a request asks to be done, one measure each. Field meanings and sizes as in assistance.proto."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.model.person import Place, YesNo
from gateway.model.text import LocalizedText


class MeasureType(IntEnum):
    """What is to be done."""

    PRESERVE = 1
    EXTEND_PRESERVATION = 2
    PARTIAL_TRAFFIC_DISCLOSURE = 3
    SUBSCRIBER_DATA = 4
    TRAFFIC_DATA = 5
    CONTENT_DATA = 6
    TRACE_ASSETS = 7
    FREEZE_ASSETS = 8
    RETURN_ASSETS_TO_VICTIMS = 9
    SERVE_DOCUMENTS = 10
    TAKE_STATEMENT = 11
    VIDEO_HEARING = 12
    LOCATE_PERSON = 13
    JOINT_OPERATION = 14
    TRANSFER_OF_PROCEEDINGS = 15
    BLOCK_INFRASTRUCTURE = 16
    SPONTANEOUS_INFORMATION = 17


class SelectorType(IntEnum):
    """What a selector is."""

    EMAIL = 1
    TELEPHONE = 2
    ACCOUNT = 3
    """A user name at the provider named."""
    IP_ADDRESS = 4
    """One host, never a network."""
    DOMAIN = 5
    URL = 6
    IMEI = 7
    IMSI = 8
    IBAN = 9
    BANK_ACCOUNT = 10
    WALLET = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """One account, number or address, and the time it is asked about. Lists are closed, so no pattern or network."""

    selector_type: SelectorType
    value: str
    from_ms: int
    until_ms: int


class DataClass(IntEnum):
    """What a provider may hold."""

    SUBSCRIBER = 1
    TRAFFIC = 2
    CONTENT = 3
    DEVICE = 4
    PAYMENT = 5
    ACCESS_LOG = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Preservation:
    """Data not to be lost until a request for it arrives."""

    provider: str
    selectors: tuple[Selector, ...]
    data_classes: tuple[DataClass, ...]
    until_ms: int
    """Until when it is to be kept."""
    follow_up_ms: int | None = None
    """By when the request for the data itself is meant to come; needed for the first preservation."""
    extends: str = ""
    """Reference of the preservation to be extended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """Data to be handed over."""

    provider: str
    selectors: tuple[Selector, ...]
    data_classes: tuple[DataClass, ...]
    real_time: YesNo
    """Whether it is collected as it arises."""
    preservation_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where money is: exactly one of IBAN, account number and wallet."""

    holder: str = ""
    """As the institution has it."""
    institution: str = ""
    institution_code: str = ""
    """BIC."""
    branch: str = ""
    iban: str = ""
    """Without spaces."""
    number: str = ""
    wallet: str = ""
    wallet_network: str = ""
    """For example "bitcoin" or "tron"; needed with a wallet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount; never a floating-point number."""

    amount: str
    """Decimal, with a point."""
    unit: str
    """ISO 4217, or the token's own code, for example "USDT"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetMeasure:
    """Assets to be traced, frozen or returned."""

    accounts: tuple[Account, ...]
    amount: Money | None = None
    """Needed to freeze and to return."""
    traced: tuple[LocalizedText, ...] = ()
    """How the money was followed to here; needed to freeze."""
    victims: tuple[str, ...] = ()
    """References of persons; needed to return."""
    order_reference: str = ""
    """Of the court's or prosecutor's order."""
    from_ms: int | None = None
    until_ms: int | None = None


class ServiceMode(IntEnum):
    """How a document is served."""

    PERSONAL = 1
    POST = 2
    THROUGH_AUTHORITY = 3
    ELECTRONIC = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentService:
    """Documents to be handed to a person."""

    addressee: str
    """Reference of a person."""
    documents: tuple[bytes, ...]
    """SHA-256 of attachments of this request."""
    due_ms: int
    mode: ServiceMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """A statement to be taken, or a hearing by video."""

    persons: tuple[str, ...]
    """References."""
    questions: tuple[LocalizedText, ...]
    from_ms: int | None = None
    """When the hearing can be; needed for video."""
    until_ms: int | None = None
    oath: YesNo
    counsel_present: YesNo
    link: str = ""
    """How the hearing is connected; needed for video."""
    languages: tuple[str, ...] = ()
    """BCP 47, of interpreters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSearch:
    """A person to be located."""

    person: str
    """Reference."""
    reason: tuple[LocalizedText, ...]
    last_place: Place | None = None
    ask_consent: YesNo
    """Whether the person is to be asked before anything but their safety is told. YES unless the law of the
    request forbids it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointOperation:
    """An operation of several authorities on one ground."""

    objective: tuple[LocalizedText, ...]
    area: Place
    agencies: tuple[str, ...]
    command: tuple[LocalizedText, ...]
    rules_on_force: tuple[LocalizedText, ...]
    rules_on_victims: tuple[LocalizedText, ...] = ()
    """What happens with people found. Without it the request is held."""
    screening_team: str = ""
    evidence_lead: str
    media_line: tuple[LocalizedText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProceedingsTransfer:
    """A case to be taken over."""

    court: str
    """Where it is now."""
    file_reference: str
    persons: tuple[str, ...]
    """References."""
    reason: tuple[LocalizedText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InfrastructureBlock:
    """Domains, addresses and accounts to be taken down."""

    selectors: tuple[Selector, ...]
    reason: tuple[LocalizedText, ...]
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpontaneousInformation:
    """Told without being asked (UNTOC Article 18 (4) and (5))."""

    information: tuple[LocalizedText, ...]
    conditions: tuple[LocalizedText, ...] = ()


MeasureParticulars = (
    Preservation
    | Disclosure
    | AssetMeasure
    | DocumentService
    | Testimony
    | PersonSearch
    | JointOperation
    | ProceedingsTransfer
    | InfrastructureBlock
    | SpontaneousInformation
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One act asked for. The receiver decides on each by itself."""

    measure_id: str
    """Unique in the request; decisions and answers name it."""
    measure_type: MeasureType
    remarks: tuple[LocalizedText, ...] = ()
    particulars: MeasureParticulars
    """What this measure needs; the type says which."""


MEASURE_NAMES: Final[dict[type, str]] = {
    Preservation: "preservation",
    Disclosure: "disclosure",
    AssetMeasure: "assets",
    DocumentService: "service",
    Testimony: "testimony",
    PersonSearch: "search",
    JointOperation: "operation",
    ProceedingsTransfer: "transfer",
    InfrastructureBlock: "block",
    SpontaneousInformation: "information",
}
"""Under what name the particulars stand in assistance.proto."""
