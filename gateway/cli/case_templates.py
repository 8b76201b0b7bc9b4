"""Files to begin with: a referral and a request of fictional people that pass every check as they stand."""

from typing import TYPE_CHECKING

from gateway.clock import SystemClock

if TYPE_CHECKING:
    from gateway.model.assistance import Request
    from gateway.model.person import Person
    from gateway.model.referral import Referral
    from gateway.model.text import LocalizedText

DAY_MS = 86_400_000


def referral() -> "Referral":
    """Return a referral: a caller tells of a person held in a compound."""
    from gateway.model.person import Place, YesNo
    from gateway.model.referral import (
        Ask,
        CaseType,
        ContactMeans,
        ContactMethod,
        Hotline,
        LastContact,
        Referral,
        Relation,
        Reporter,
        SafeContact,
        Screening,
        ScreeningResult,
    )
    from gateway.model.trafficking import (
        DecisionMaker,
        PalermoAct,
        PalermoMeans,
        PalermoPurpose,
        Trafficking,
        TraffickingStatus,
    )

    now_ms = SystemClock().now_ms() // 1000 * 1000
    return Referral(
        case_type=CaseType.SCAM_COMPOUND,
        persons=(_person(now_ms),),
        asks=(Ask.LOCATE, Ask.RESCUE),
        summary=_words("A caller says that her brother is held in a compound near the border."),
        reporter=Reporter(relation=Relation.SIBLING, organisation="consular hotline"),
        last_contact=LastContact(
            time_ms=now_ms - 7_200_000, means=ContactMeans.CALL, words=_words("They took the others' telephones.")
        ),
        last_place=Place(description="A compound near the border", country="MMR"),
        danger_now=YesNo.YES,
        danger=_words("He has been beaten."),
        trafficking=Trafficking(
            acts=(PalermoAct.HARBOURING,),
            means=(PalermoMeans.DECEPTION,),
            purposes=(PalermoPurpose.FORCED_CRIMINALITY,),
            status=TraffickingStatus.POSSIBLE_VICTIM_OF_TRAFFICKING,
            decided_by=DecisionMaker.NGO,
        ),
        screening=Screening(result=ScreeningResult.NOT_DONE),
        language="th",
        safe_contact=SafeContact(method=ContactMethod.DO_NOT_CONTACT),
        hotline=Hotline(call_reference="20261126-0417", calls_merged=2, first_call_ms=now_ms - 3_600_000),
    )


def request() -> "Request":
    """Return a request: data of an account are to be preserved."""
    from gateway.model.assistance import (
        ApprovalAct,
        ApprovalStep,
        Confidentiality,
        DataTerms,
        DualCriminality,
        DualCriminalityState,
        Offence,
        OffenceCharacter,
        Office,
        PriorJudgment,
        ProceedingNature,
        Reciprocity,
        Request,
        Translation,
    )
    from gateway.model.measure import DataClass, Measure, MeasureType, Preservation, Selector, SelectorType
    from gateway.model.person import YesNo
    from gateway.model.reference import ContactPoint

    now_ms = SystemClock().now_ms() // 1000 * 1000
    contact = ContactPoint(
        name="Duty desk",
        telephone="+6625728442",
        email="desk@central.example",
        languages=("en",),
        round_the_clock=YesNo.YES,
        time_zone="Asia/Bangkok",
    )
    preserve = Preservation(
        provider="Mail provider",
        selectors=(
            Selector(
                selector_type=SelectorType.EMAIL,
                value="account@mail.example",
                from_ms=now_ms - 30 * DAY_MS,
                until_ms=now_ms,
            ),
        ),
        data_classes=(DataClass.TRAFFIC,),
        until_ms=now_ms + 90 * DAY_MS,
        follow_up_ms=now_ms + 60 * DAY_MS,
    )
    return Request(
        requesting=Office(name="Central authority"),
        conducting=Office(name="Cyber crime division"),
        central=Office(name="Central authority"),
        contact=contact,
        duty_contact=contact,
        nature=ProceedingNature.INVESTIGATION,
        subject=_words("Fraud by telephone"),
        facts=_words("Victims were made to pay into accounts of a compound."),
        offences=(
            Offence(
                provision="Penal Code, section 343",
                legal_text=_words("Whoever deceives the public is punished."),
                maximum_penalty="5 years of imprisonment",
                death_penalty=YesNo.NO,
                offence_class=7,
                character=OffenceCharacter.ORDINARY,
            ),
        ),
        evidence_link=_words("The account was used to instruct the callers."),
        measures=(Measure(measure_id="m1", measure_type=MeasureType.PRESERVE, particulars=preserve),),
        purpose_of_use=_words("Evidence in this investigation."),
        urgency_reason="The provider deletes after 90 days.",
        confidentiality=Confidentiality(asked=YesNo.NO),
        language="en",
        translation=Translation.ORIGINAL,
        reciprocity=Reciprocity.BY_TREATY,
        dual_criminality=DualCriminality(
            state=DualCriminalityState.STATED, words=_words("Fraud is an offence in both states.")
        ),
        prior_judgment=PriorJudgment(exists=YesNo.NO),
        data_terms=DataTerms(retain_until_ms=now_ms + 365 * DAY_MS),
        victims_touched=YesNo.NO,
        minors_touched=YesNo.NO,
        torture_suspected=YesNo.NO,
        approvals=(ApprovalStep(office="Attorney General", act=ApprovalAct.SIGNED, time_ms=now_ms - 3_600_000),),
    )


def _person(now_ms: int) -> "Person":
    from gateway.model.person import (
        MinorState,
        NameUse,
        Person,
        PersonName,
        PersonRole,
        Protection,
        VitalInterest,
    )

    return Person(
        reference="p1",
        role=PersonRole.PRESUMED_VICTIM,
        names=(PersonName(script="Latn", full="Somchai Example", use=NameUse.LEGAL),),
        nationalities=("THA",),
        minor=MinorState.NO,
        protection=Protection.NONE,
        vital_interest=VitalInterest(
            reason=_words("His life is in danger and he cannot be asked."),
            declared_by="Duty lead, consular desk",
            declare_ms=now_ms - 3_600_000,
        ),
    )


def _words(text: str) -> "tuple[LocalizedText, ...]":
    from gateway.model.text import LocalizedText, TextOrigin

    return (LocalizedText("en", text, TextOrigin.ORIGINAL, authentic=True),)
