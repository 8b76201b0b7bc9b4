"""Rules for referrals: what each type of case needs, and on what ground each person in it is spoken of.

A referral is help. What it asks is for the person, so it needs the person's consent or a vital interest, never a law
that compels.
"""

from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.person import MinorState, Person
from gateway.model.person import YesNo as Yes
from gateway.model.person_rules import SUBJECT_ROLES, check_ground, check_persons, check_place
from gateway.model.reference_rules import check_attachments, check_references, check_zone
from gateway.model.referral import (
    Ask,
    CaseType,
    ContactMethod,
    Detention,
    Evacuation,
    Hotline,
    NotificationRegime,
    NotificationWish,
    Referral,
    ScreeningResult,
)
from gateway.model.trafficking import Trafficking

TRACED: Final = frozenset(
    {
        CaseType.MISSING_PERSON,
        CaseType.SUSPECTED_TRAFFICKING,
        CaseType.SCAM_COMPOUND,
        CaseType.KIDNAP,
        CaseType.HOTLINE_FOLLOWUP,
    }
)
"""Somebody is looked for: without when and where they were last heard of nobody can begin."""
NEEDS: Final[dict[CaseType, tuple[str, ...]]] = {
    CaseType.DETAINED: ("detention",),
    CaseType.EVACUATION: ("evacuation",),
    CaseType.HOTLINE_FOLLOWUP: ("hotline",),
    CaseType.SUSPECTED_TRAFFICKING: ("trafficking",),
    CaseType.SCAM_COMPOUND: ("trafficking",),
}
"""The block without which a case of a type says nothing that can be acted on."""
_SCREENED: Final = frozenset({ScreeningResult.VICTIM, ScreeningResult.PRESUMED_VICTIM, ScreeningResult.NO_INDICATION})


def check_referral(referral: Referral, at: str = "referral") -> None:
    """Check a referral by itself.

    Raises:
        FieldInvalid: A rule is broken; the first one found is named.
    """
    if not referral.asks:
        raise FieldInvalid(f"{at}.asks", "must say what is asked")
    if not referral.summary:
        raise FieldInvalid(f"{at}.summary", "must not be empty")
    references = check_persons(referral.persons, f"{at}.persons")
    _check_subjects(referral, at)
    reporter = referral.reporter
    if reporter.person and reporter.person not in references:
        raise FieldInvalid(f"{at}.reporter.person", "names nobody among the persons")
    traced = ("last_contact", "last_place") if referral.case_type in TRACED else ()
    for name in (*NEEDS.get(referral.case_type, ()), *traced):
        if getattr(referral, name) is None:
            raise FieldInvalid(f"{at}.{name}", f"is needed for a case of type {referral.case_type.name}")
    if referral.last_contact is not None and referral.last_contact.time_ms is None and not referral.last_contact.words:
        raise FieldInvalid(f"{at}.last_contact.words", "must say what is known of the time when it is not known")
    if referral.last_place is not None:
        check_place(referral.last_place, f"{at}.last_place")
    if referral.danger_now is Yes.YES and not referral.danger:
        raise FieldInvalid(f"{at}.danger", "must say what the danger is")
    _check_screening(referral, at)
    _check_safe_contact(referral, at)
    _check_blocks(referral, at)
    check_attachments(referral.attachments, f"{at}.attachments")
    check_references(referral.related, f"{at}.related")


def _check_subjects(referral: Referral, at: str) -> None:
    subjects = [(index, person) for index, person in enumerate(referral.persons) if person.role in SUBJECT_ROLES]
    # Thousands who wait at an assembly point are counted, not named.
    if not subjects and not (referral.case_type is CaseType.EVACUATION and referral.evacuation is not None):
        raise FieldInvalid(f"{at}.persons", "must have somebody whom the case is about")
    for index, person in subjects:
        check_ground(person, f"{at}.persons[{index}]")
    if referral.case_type is CaseType.MINOR_AT_RISK and not any(_may_be_minor(person) for _, person in subjects):
        raise FieldInvalid(f"{at}.persons", "must have a person who is or may be under 18")


def _may_be_minor(person: Person) -> bool:
    return person.minor is not MinorState.NO


def _check_blocks(referral: Referral, at: str) -> None:
    if referral.detention is not None:
        check_detention(referral.detention, f"{at}.detention")
    elif Ask.CONSULAR_ACCESS in referral.asks:
        raise FieldInvalid(f"{at}.detention", "is needed when consular access is asked")
    if referral.evacuation is not None:
        if referral.case_type is not CaseType.EVACUATION:
            raise FieldInvalid(f"{at}.evacuation", "belongs to a case of type EVACUATION")
        _check_evacuation(referral, referral.evacuation, f"{at}.evacuation")
    if referral.hotline is not None:
        _check_hotline(referral.hotline, f"{at}.hotline")
    if referral.trafficking is not None:
        _check_trafficking(referral.trafficking, f"{at}.trafficking")


def _check_screening(referral: Referral, at: str) -> None:
    screening = referral.screening
    if screening.result in _SCREENED and not (screening.screened_by.strip() and screening.time_ms is not None):
        missing = "time" if screening.screened_by.strip() else "screened_by"
        raise FieldInvalid(f"{at}.screening.{missing}", "is needed once there is a result")


def _check_safe_contact(referral: Referral, at: str) -> None:
    contact = referral.safe_contact
    if contact.time_zone:
        check_zone(contact.time_zone, f"{at}.safe_contact.time_zone")
    if contact.hours and not contact.time_zone:
        raise FieldInvalid(f"{at}.safe_contact.time_zone", "is needed with hours")
    if contact.hours and contact.method is ContactMethod.DO_NOT_CONTACT:
        raise FieldInvalid(f"{at}.safe_contact.hours", "must be empty when the person must not be contacted")


def check_detention(detention: Detention, at: str) -> None:
    """Check the facts of VCCR Article 36.

    Raises:
        FieldInvalid: A rule is broken.
    """
    check_place(detention.place, f"{at}.place")
    if detention.rights_told_ms is not None and detention.rights_told is not Yes.YES:
        raise FieldInvalid(f"{at}.rights_told_time", "is given, but rights_told is not YES")
    if detention.detain_ms is not None and (detention.rights_told_ms or detention.detain_ms) < detention.detain_ms:
        raise FieldInvalid(f"{at}.rights_told_time", "is before detain_time")
    if (detention.regime is NotificationRegime.MANDATORY) != (detention.regime_hours is not None):
        raise FieldInvalid(f"{at}.regime_hours", "must be given exactly when notification is MANDATORY")
    if detention.visit_granted is Yes.YES and detention.visit_asked is Yes.NO:
        raise FieldInvalid(f"{at}.visit_granted", "is YES, but no visit was asked for")
    # Article 36 (1) (c): no action on behalf of somebody who expressly opposes it.
    if detention.notification is NotificationWish.REFUSED and detention.visit_asked is Yes.YES:
        raise FieldInvalid(
            f"{at}.visit_asked", "is YES, but the person opposes consular help (VCCR Article 36 (1) (c))"
        )


def _check_evacuation(referral: Referral, evacuation: Evacuation, at: str) -> None:
    if not evacuation.head_counts:
        raise FieldInvalid(f"{at}.head_counts", "must count the people")
    bands = [item.band for item in evacuation.head_counts]
    for index, band in enumerate(bands):
        if band in bands[:index]:
            raise FieldInvalid(f"{at}.head_counts[{index}].band", "is counted twice")
    total = sum(item.count for item in evacuation.head_counts)
    if total == 0:
        raise FieldInvalid(f"{at}.head_counts", "count nobody")
    if (evacuation.with_passport or 0) + (evacuation.without_passport or 0) > total:
        raise FieldInvalid(f"{at}.without_passport", f"and with_passport make more than the {total} counted")
    check_place(evacuation.assembly_point, f"{at}.assembly_point")
    digest = evacuation.manifest_sha256
    if digest is not None and digest not in {item.sha256 for item in referral.attachments}:
        raise FieldInvalid(f"{at}.manifest_sha256", "is the digest of no attachment")


def _check_hotline(hotline: Hotline, at: str) -> None:
    if not hotline.call_reference.strip():
        raise FieldInvalid(f"{at}.call_reference", "must not be empty")
    if hotline.calls_merged < 1:
        raise FieldInvalid(f"{at}.calls_merged", "counts the first call too")
    first_ms, last_ms = hotline.first_call_ms, hotline.last_call_ms
    if first_ms is not None and last_ms is not None and last_ms < first_ms:
        raise FieldInvalid(f"{at}.last_call_time", "is before first_call_time")


def _check_trafficking(trafficking: Trafficking, at: str) -> None:
    palermo = (trafficking.acts, trafficking.means, trafficking.purposes)
    if not any((*palermo, trafficking.exploitation, trafficking.controls)):
        raise FieldInvalid(at, "must say what speaks for trafficking")
    if (trafficking.status is None) != (trafficking.decided_by is None):
        raise FieldInvalid(f"{at}.decided_by", "must be given exactly when a status is")
    for name in ("recruitment_place", "exploitation_place"):
        place = getattr(trafficking, name)
        if place is not None:
            check_place(place, f"{at}.{name}")
