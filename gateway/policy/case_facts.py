"""States the facts about a case that rules may look at, from its body and the clear part of its message.

What the other side only claims is a claim here as well: dual criminality is stated, never established. What a body says
is not known counts as what protects more. Officers' findings (approvals, country flags, consents of third states) are
given in by whoever keeps them; the body cannot claim them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

from gateway.ids import PartnerId
from gateway.model.assistance import DualCriminalityState, OffenceCharacter, Request
from gateway.model.assistance import Translation as RequestTranslation
from gateway.model.case import Answer, CaseOutcome, Update
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.measure import AssetMeasure, Disclosure, InfrastructureBlock, JointOperation, Preservation
from gateway.model.measure import Measure as AskedMeasure
from gateway.model.measure import MeasureType as AskedType
from gateway.model.message import Body
from gateway.model.person import (
    ConsentScope,
    Exposure,
    MinorState,
    MrzCheck,
    PersonRole,
    Protection,
    YesNo,
)
from gateway.model.person import Person as NamedPerson
from gateway.model.referral import Ask, CaseType, Referral, ScreeningResult
from gateway.model.states import partner_of
from gateway.model.text import LocalizedText, TextOrigin
from gateway.policy.facts import (
    Approval,
    AsylumClaim,
    Direction,
    Facts,
    Matter,
    Measure,
    MeasureType,
    Minor,
    Occupation,
    Person,
    Role,
    Translation,
    not_applicable,
)

DAY_MS: Final = 86_400_000
_PROTECTED: Final = frozenset({Protection.ASYLUM, Protection.REFUGEE, Protection.WITNESS})
_SCREENED: Final = frozenset({ScreeningResult.VICTIM, ScreeningResult.PRESUMED_VICTIM, ScreeningResult.NO_INDICATION})
_TRAFFICKING: Final = frozenset({CaseType.SUSPECTED_TRAFFICKING, CaseType.SCAM_COMPOUND})
_BYSTANDERS: Final = frozenset({PersonRole.REPORTER, PersonRole.NEXT_OF_KIN})
# Words of the model and of the rules are the same; a test holds them together.
_MATTERS: Final = {item: cast("Matter", item.name.lower()) for item in OffenceCharacter}
_ROLES: Final = {item: cast("Role", item.name.lower()) for item in PersonRole}
_MEASURES: Final = {item: cast("MeasureType", item.name.lower()) for item in AskedType}
_OCCUPATIONS: Final = {
    item: cast("Occupation", item.name.lower()) for item in Exposure if item is not Exposure.IMMUNITY
}
_MINORS: Final[dict[MinorState, Minor]] = {
    MinorState.YES: "yes",
    MinorState.NO: "no",
    MinorState.DISPUTED: "disputed",
    MinorState.UNKNOWN: "disputed",
}
_CLAIMS: Final[dict[Protection, AsylumClaim]] = {
    Protection.NONE: "none",
    Protection.WITNESS: "none",
    Protection.ASYLUM: "pending",
    Protection.REFUGEE: "pending",
    Protection.UNKNOWN: "unknown",
}
_TRANSLATIONS: Final[Mapping[RequestTranslation, Translation]] = MappingProxyType(
    {
        RequestTranslation.ORIGINAL: "none",
        RequestTranslation.CERTIFIED: "certified",
        RequestTranslation.UNCERTIFIED: "human",
        RequestTranslation.MACHINE: "machine",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Officers:
    """Who of our side did what with a draft, as the keeper of decisions knows it."""

    drafters: frozenset[str] = frozenset()
    executors: frozenset[str] = frozenset()
    approvals: tuple[Approval, ...] = ()


NOBODY: Final = Officers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What is known of a message beside its body."""

    direction: Direction
    sender: PartnerId
    recipients: frozenset[PartnerId]
    mode: Mode
    operating_mode: Mode
    urgency: Urgency
    now_ms: int


def case_facts(body: Body, way: Way, officers: Officers = NOBODY) -> Facts:
    """Return the facts of a case's message; for kinds other than alerts and pings."""
    content = body.content
    stated: dict[str, Any] = {
        # What cannot be said of the kind, and what a content without its own words about it does not touch.
        **not_applicable(Kind.REFERRAL),
        "persons": (),
        "evidence_flags": frozenset(),
        "forced_return": False,
        "sources": 1,
        "translation": _translation(getattr(content, "text", ())),
    }
    match content:
        case Referral():
            stated |= _of_referral(content)
        case Request():
            stated |= _of_request(content)
        case Answer():
            stated |= _of_answer(content)
        case Update():
            placed = bool(content.places)
            stated["persons"] = tuple(
                _person(item, indicators=False, screened=False, placed=placed) for item in content.persons
            )
        case _:
            pass
    retain_ms = body.handling.retain_until_ms
    return Facts(
        direction=way.direction,
        kind=body.kind,
        mode=way.mode,
        operating_mode=way.operating_mode,
        # Exercises and tests stand apart from what people act on for real.
        operational_queue=way.mode is Mode.ACTUAL,
        urgency=way.urgency,
        sender=way.sender,
        recipients=way.recipients,
        authority=body.authority,
        purpose=body.handling.purpose,
        legal_bases=frozenset(item.instrument for item in body.legal_basis),
        bound_purposes=frozenset(),
        originators=frozenset(),
        originator_consents=frozenset(),
        foreign_signature="none",
        # Not stated: the agreement's own time counts, and nothing is kept longer than it says.
        retention_days=0 if retain_ms is None else max(0, -((way.now_ms - retain_ms) // DAY_MS)),
        drafters=officers.drafters,
        executors=officers.executors,
        approvals=officers.approvals,
        **stated,
    )


def _of_referral(referral: Referral) -> dict[str, Any]:
    indicators = referral.trafficking is not None or referral.case_type in _TRAFFICKING
    screened = referral.screening.result in _SCREENED
    return {
        "persons": tuple(_person(item, indicators=indicators, screened=screened) for item in referral.persons),
        "forced_return": Ask.REPATRIATION in referral.asks and any(map(_unwilling_to_return, referral.persons)),
        "sources": referral.hotline.calls_merged if referral.hotline is not None else 1,
        "translation": _translation(referral.summary),
    }


def _of_request(request: Request) -> dict[str, Any]:
    indicators = request.victims_touched is not YesNo.NO
    raids = [item.particulars for item in request.measures if isinstance(item.particulars, JointOperation)]
    return {
        "persons": tuple(_person(item, indicators=indicators, screened=False) for item in request.persons),
        "measures": tuple(map(_measure, request.measures)),
        "offence_matters": frozenset(_MATTERS[item.character] for item in request.offences),
        "death_penalty_possible": any(item.death_penalty is not YesNo.NO for item in request.offences),
        "assurance": bool(request.death_penalty_assurance),
        "country_flags": frozenset(),
        # Whether it is an offence here, an officer of ours establishes.
        "dual_criminality": "stated" if request.dual_criminality.state is DualCriminalityState.STATED else "unstated",
        "prior_judgment": request.prior_judgment.exists is not YesNo.NO,
        "victim_plan": bool(raids) and all(item.rules_on_victims for item in raids),
        "evidence_flags": frozenset({"torture_suspected"} if request.torture_suspected is YesNo.YES else ()),
        "translation": _TRANSLATIONS[request.translation],
    }


def _of_answer(answer: Answer) -> dict[str, Any]:
    suspected = any(item.torture_suspected is YesNo.YES for item in answer.results)
    places = bool(answer.places)
    return {
        "persons": tuple(_person(item, indicators=False, screened=False, placed=places) for item in answer.persons),
        "evidence_flags": frozenset({"torture_suspected"} if suspected else ()),
        "forced_return": answer.outcome is CaseOutcome.DEPORTED,
    }


def _person(person: NamedPerson, *, indicators: bool, screened: bool, placed: bool = False) -> Person:
    # Who is not known to be of age is treated as a child, but for those who only tell of somebody.
    grown = person.minor is MinorState.UNKNOWN and person.role in _BYSTANDERS
    return Person(
        role=_ROLES[person.role],
        protected=person.protection in _PROTECTED,
        nationalities=_partners(person.nationalities),
        persecuted_by=_partners(person.feared_states),
        minor="no" if grown else _MINORS[person.minor],
        consent=_agreed(person, ConsentScope.SHARE),
        vital_interest=person.vital_interest is not None,
        located=placed or bool(person.places),
        # No body says so yet: an officer decides.
        best_interest_note=False,
        guardian_conflict=False,
        trafficking_indicators=indicators,
        screened=screened,
        occupation=next((_OCCUPATIONS[item] for item in person.exposures if item in _OCCUPATIONS), "none"),
        immunity=Exposure.IMMUNITY in person.exposures,
        asylum_claim=_CLAIMS[person.protection],
        identity_verified=any(item.mrz_check is MrzCheck.PASSED for item in person.documents),
    )


def _agreed(person: NamedPerson, scope: ConsentScope) -> bool:
    consent = person.consent
    return consent is not None and consent.withdraw_ms is None and scope in consent.scope


def _unwilling_to_return(person: NamedPerson) -> bool:
    return person.role not in _BYSTANDERS and not _agreed(person, ConsentScope.RETURN)


def _partners(codes: tuple[str, ...]) -> frozenset[PartnerId]:
    return frozenset(partner for partner in map(partner_of, codes) if partner is not None)


def _measure(measure: AskedMeasure) -> Measure:
    what = measure.particulars
    selectors, window_days, real_time = 0, None, False
    if isinstance(what, (Preservation, Disclosure, InfrastructureBlock)):
        selectors = len(what.selectors)
        spans = [item.until_ms - item.from_ms for item in what.selectors]
        window_days = -(-max(spans) // DAY_MS) if spans else None
    elif isinstance(what, AssetMeasure):
        selectors = len(what.accounts)
    if isinstance(what, Disclosure):
        real_time = what.real_time is not YesNo.NO
    return Measure(
        measure_type=_MEASURES[measure.measure_type],
        selectors=selectors,
        # The model lets no pattern, network or open end through (gateway.model.selectors).
        open_ended=False,
        window_days=window_days,
        real_time=real_time,
    )


def _translation(texts: tuple[LocalizedText, ...]) -> Translation:
    origins = {text.origin for text in texts}
    if TextOrigin.CERTIFIED in origins:
        return "certified"
    if TextOrigin.HUMAN in origins:
        return "human"
    return "machine" if TextOrigin.MACHINE in origins else "none"
