"""Everything that rules may look at, as one frozen value.

Rules never see a message: whoever knows bodies states facts about them here, and what is written by names, places and
words of people stays outside. A fact that is None has not been established, and an exchange about which a fact is
missing is not allowed. What cannot be said about a kind (an alert has no measures) is empty, not missing.

Cedar has no quantifier over records, so what a rule asks of any person or any measure is worked out here
(`context`); the rules themselves stand in gateway/policy/safeguards.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final, Literal, get_args, get_type_hints

from gateway.ids import AuthorityId, PartnerId
from gateway.model.header import Kind, Mode, Urgency

Direction = Literal["outgoing", "incoming", "use"]
"""Wants to leave; came in and wants to be acted on; is to be used here (read out, exported, handed to a system)."""
Matter = Literal["ordinary", "political", "military", "religious", "racial", "fiscal"]
"""What an offence is about (INTERPOL Constitution Art. 3). Fiscal matter alone refuses nothing (UNTOC 18(22))."""
EvidenceFlag = Literal["torture_marked", "torture_suspected"]
CountryFlag = Literal["torture", "unfair_trial"]
Translation = Literal["none", "human", "certified", "machine"]
ForeignSignature = Literal["none", "valid", "invalid", "unknown"]
DualCriminality = Literal["established", "stated", "unstated", "absent"]
Minor = Literal["yes", "no", "disputed"]
AsylumClaim = Literal["none", "pending", "unknown"]
Occupation = Literal[
    "none",
    "journalist",
    "lawyer",
    "rights_defender",
    "political_figure",
    "former_official",
    "minority_activist",
]
Role = Literal["subject", "victim", "presumed_victim", "witness", "suspect", "next_of_kin", "reporter"]
OfficerRole = Literal["drafter", "approver", "duty_lead"]
"""Roles that may decide (DESIGN 9). Auditors, operators and systems never do."""
MeasureType = Literal[
    "preserve",
    "extend_preservation",
    "partial_traffic_disclosure",
    "subscriber_data",
    "traffic_data",
    "content_data",
    "trace_assets",
    "freeze_assets",
    "return_assets_to_victims",
    "serve_documents",
    "take_statement",
    "video_hearing",
    "locate_person",
    "joint_operation",
    "transfer_of_proceedings",
    "block_infrastructure",
    "spontaneous_information",
]
"""As domain.md 1.5."""

DATA_MEASURES: Final = frozenset(
    {
        "preserve",
        "extend_preservation",
        "partial_traffic_disclosure",
        "subscriber_data",
        "traffic_data",
        "content_data",
    }
)
"""Ask for stored or passing data, so they name accounts and a time window; else they would be a search."""
WINDOWED_MEASURES: Final = DATA_MEASURES - {"subscriber_data", "extend_preservation"}
"""Who holds an account, and keeping what is kept already, have no time window of their own."""
COERCIVE_MEASURES: Final = frozenset(
    {
        "partial_traffic_disclosure",
        "subscriber_data",
        "traffic_data",
        "content_data",
        "freeze_assets",
        "block_infrastructure",
        "take_statement",
        "joint_operation",
    }
)
"""Need force of law where they are carried out; preservation alone is not refused for want of dual criminality."""
MAX_SELECTORS: Final = 64
"""Per measure, as assistance.proto."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What rules may know of a person: nothing that says who it is."""

    role: Role
    protected: bool
    """An asylum seeker, refugee or protected witness."""
    nationalities: frozenset[PartnerId]
    persecuted_by: frozenset[PartnerId]
    minor: Minor
    consent: bool
    """Given, in scope, and not withdrawn."""
    vital_interest: bool
    """On record with a reason, where consent cannot be asked."""
    located: bool
    """The message says where the person is."""
    best_interest_note: bool
    guardian_conflict: bool
    trafficking_indicators: bool
    screened: bool
    """Screening is done and the non-punishment note is on file."""
    occupation: Occupation
    immunity: bool
    """Immunity or privilege may apply."""
    asylum_claim: AsylumClaim
    identity_verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One act asked for."""

    measure_type: MeasureType
    selectors: int
    """How many accounts, numbers or addresses it names."""
    open_ended: bool
    """The list ends in 'and others', a pattern or a whole service."""
    window_days: int | None
    """Length of the period asked about; None when there is no end or no beginning."""
    real_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An officer's decision on this very release or acceptance, for the rules that it answers."""

    officer: str
    """The officer's id at home."""
    role: OfficerRole
    rules: frozenset[str]
    """Rule ids. Approving as such answers 'agreement/release-officers'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an exchange that somebody has to decide on."""

    direction: Direction
    kind: Kind
    mode: Mode
    operating_mode: Mode
    """The gateway's own."""
    operational_queue: bool | None
    """It would stand among work that people act on for real."""
    urgency: Urgency
    sender: PartnerId
    recipients: frozenset[PartnerId]
    authority: AuthorityId
    """That speaks: of the sender's."""
    purpose: str
    """Of this exchange or use; one of the agreement's."""
    legal_bases: frozenset[str]
    bound_purposes: frozenset[str] | None
    """Purposes under which the content was received, when it came from elsewhere. Empty: it is our own."""
    originators: frozenset[PartnerId] | None
    """Other states whose content it passes on."""
    originator_consents: frozenset[PartnerId] | None
    """Those whose consent to these recipients is on file."""
    personal_data: bool | None
    """A text carries data of persons; for alerts."""
    persons: tuple[Person, ...] | None
    measures: tuple[Measure, ...] | None
    offence_matters: frozenset[Matter] | None
    """What the offences are about, as an officer has found."""
    death_penalty_possible: bool | None
    assurance: bool | None
    """An assurance that it will not be imposed or carried out is on file, and accepted."""
    country_flags: frozenset[CountryFlag] | None
    """Set by the state that is asked, about the state that asks."""
    dual_criminality: DualCriminality | None
    """Established under our own law, only stated by the other side, not stated, or absent."""
    prior_judgment: bool | None
    """The same facts have been judged before."""
    forced_return: bool | None
    """Somebody would be brought to a country against their will."""
    victim_plan: bool | None
    """What happens to victims who are found is laid down."""
    evidence_flags: frozenset[EvidenceFlag] | None
    drafters: frozenset[str]
    """Officers who drafted, edited or proposed it."""
    executors: frozenset[str]
    """Officers who would carry it out."""
    approvals: tuple[Approval, ...]
    sources: int | None
    """Independent sources of what it says."""
    translation: Translation | None
    """The best there is in a language of the recipient's; 'none' where none is needed."""
    foreign_signature: ForeignSignature | None
    """On the original of another system's format; 'none' where there is no such original."""
    retention_days: int | None
    """How long it is to be kept."""


NOTHING_KNOWN: Final[dict[str, Any]] = {
    name: None for name, hint in get_type_hints(Facts).items() if NoneType in get_args(hint)
}
"""The facts that may be missing, all missing."""

_NEUTRAL: Final[dict[str, Any]] = {
    "persons": (),
    "measures": (),
    "offence_matters": frozenset(),
    "death_penalty_possible": False,
    "assurance": False,
    "country_flags": frozenset(),
    "dual_criminality": "unstated",
    "prior_judgment": False,
    "forced_return": False,
    "victim_plan": False,
    "evidence_flags": frozenset(),
    "personal_data": False,
}
_REQUEST_ONLY: Final = frozenset(
    {"measures", "offence_matters", "death_penalty_possible", "assurance", "country_flags", "dual_criminality"}
    | {"prior_judgment", "victim_plan"}
)
"""Facts about coercive power. A referral asks for help and has none; an update, answer or recall may carry them."""


def not_applicable(kind: Kind) -> dict[str, Any]:
    """Return the facts that cannot be said about a kind, with the value that says nothing."""
    if kind in {Kind.ALERT, Kind.PING}:
        empty = frozenset(_NEUTRAL) - {"personal_data"}
    elif kind is Kind.REFERRAL:
        empty = _REQUEST_ONLY | {"personal_data"}
    else:
        empty = frozenset({"personal_data"})
    return {name: _NEUTRAL[name] for name in empty}


def missing(facts: Facts) -> tuple[str, ...]:
    """Return the names of facts that have not been established, in alphabetical order."""
    return tuple(sorted(name for name in NOTHING_KNOWN if getattr(facts, name) is None))


def context(facts: Facts, *, retention_default_days: int) -> dict[str, Any]:
    """Return what Cedar sees, as safeguards/schema.cedarschema describes it.

    A missing fact is left out, and what is worked out from it too; the schema then refuses the whole.
    """
    seen: dict[str, Any] = {
        "kind": facts.kind.name.lower(),
        "mode": facts.mode.name.lower(),
        "operating_mode": facts.operating_mode.name.lower(),
        "urgency": facts.urgency.value - 1,
        "sender": facts.sender.code,
        "recipients": _words(facts.recipients),
        "authority": facts.authority.name,
        "purpose": facts.purpose,
        "legal_bases": _words(facts.legal_bases),
        "drafters": _words(facts.drafters),
        "executors": _words(facts.executors),
        "approvers": _words({approval.officer for approval in facts.approvals}),
        "retention_default_days": retention_default_days,
    }
    for name in NOTHING_KNOWN.keys() - {"persons", "measures"}:
        value = getattr(facts, name)
        if value is not None:
            seen[name] = _words(value) if isinstance(value, frozenset) else value
    if facts.persons is not None:
        seen |= _about_persons(facts.persons)
    if facts.measures is not None:
        seen |= _about_measures(facts.measures)
    return seen


def _about_persons(persons: tuple[Person, ...]) -> dict[str, Any]:
    protected = [person for person in persons if person.protected]
    threats = [person.nationalities | person.persecuted_by for person in protected]
    return {
        "persons": len(persons),
        "protected_from": _words({state for states in threats for state in states}),
        # Nobody knows from whom: then from everybody.
        "protected_from_all": any(not states for states in threats),
        "adult_located_unwilling": any(
            person.located and person.minor == "no" and not (person.consent or person.vital_interest)
            for person in persons
        ),
        "minor_unsettled": any(
            person.minor != "no" and (person.guardian_conflict or not person.best_interest_note) for person in persons
        ),
        "suspect_unscreened": any(
            person.role == "suspect" and person.trafficking_indicators and not person.screened for person in persons
        ),
        "occupations": _words({person.occupation for person in persons} - {"none"}),
        "immunity": any(person.immunity for person in persons),
        "asylum_unsettled": any(person.asylum_claim != "none" for person in persons),
        "identity_unverified": any(not person.identity_verified for person in persons),
    }


def _about_measures(measures: tuple[Measure, ...]) -> dict[str, Any]:
    asking_data = [measure for measure in measures if measure.measure_type in DATA_MEASURES]
    types = {measure.measure_type for measure in measures}
    return {
        "measures": _words(types),
        "coercive": not types.isdisjoint(COERCIVE_MEASURES),
        "real_time": any(measure.real_time for measure in measures),
        # Of all measures together: what is split over many is as much.
        "selectors": sum(measure.selectors for measure in measures),
        # A request for data that names nobody's account asks for everybody's.
        "open_ended": any(measure.open_ended for measure in measures)
        or any(measure.selectors < 1 for measure in asking_data),
        "unbounded_in_time": any(
            measure.window_days is None for measure in asking_data if measure.measure_type in WINDOWED_MEASURES
        ),
    }


def _words(values: Iterable[object]) -> list[str]:
    return sorted({str(value) for value in values})


def officers_who_answer(facts: Facts, rule: str, roles: frozenset[str]) -> Iterator[str]:
    """Yield the officers who have decided on a rule in one of the roles; who wrote or executes it does not count."""
    for approval in facts.approvals:
        own = approval.officer in facts.drafters or approval.officer in facts.executors
        if rule in approval.rules and approval.role in roles and not own:
            yield approval.officer
