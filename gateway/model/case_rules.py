"""Rules for what follows in a thread: updates, answers, decisions, withdrawals, use reports, recalls, operations."""

from collections.abc import Sequence
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.case import (
    Answer,
    CaseDecision,
    CaseOutcome,
    Ground,
    MeasureOutcome,
    Recall,
    RecallAction,
    RecallConfirmation,
    RecallResult,
    Update,
    UseReport,
    Verdict,
    Withdrawal,
)
from gateway.model.operation import (
    LinkedMessages,
    MemberRole,
    Membership,
    MembershipChange,
    Operation,
    OperationClosing,
    OperationOpening,
    OperationTurn,
    PeopleCount,
    SituationEntry,
)
from gateway.model.person import Person
from gateway.model.person_rules import SUBJECT_ROLES, check_ground, check_persons, check_place
from gateway.model.reference_rules import check_attachments, check_contact, check_references
from gateway.model.states import is_state_code

_HAS_ROLES: Final = frozenset(
    {MembershipChange.INVITE, MembershipChange.APPLY, MembershipChange.ADMIT, MembershipChange.JOIN}
)
_HAS_REASON: Final = frozenset(
    {MembershipChange.REFUSE, MembershipChange.DECLINE, MembershipChange.LEAVE, MembershipChange.REMOVE}
)
OWED: Final[dict[str, frozenset[Verdict]]] = {
    "grounds": frozenset({Verdict.REFUSE}),
    "disclosed": frozenset({Verdict.REFUSE, Verdict.CONSULT, Verdict.POSTPONE}),
    "conditions": frozenset({Verdict.ACCEPT_WITH_CONDITIONS}),
    "questions": frozenset({Verdict.ASK}),
    "redirect_to": frozenset({Verdict.REDIRECT}),
    "until_ms": frozenset({Verdict.POSTPONE}),
}
"""Which decisions must say what."""
PERMITTED: Final[dict[str, frozenset[Verdict]]] = OWED | {
    "grounds": frozenset({Verdict.REFUSE, Verdict.CONSULT, Verdict.POSTPONE}),
    "disclosed": frozenset(Verdict),
}
"""Which decisions may say what."""


def check_update(update: Update, at: str = "update") -> None:
    """Check an update.

    Raises:
        FieldInvalid: It says nothing, or a part of it breaks a rule.
    """
    if update.measures and not update.event:
        raise FieldInvalid(f"{at}.event", "is needed: measures say what the event is about")
    said = (update.event, update.text, update.questions, update.persons, update.places, update.attachments)
    if not any(said) and not update.related:
        raise FieldInvalid(at, "must say something")
    _check_people(update.persons, f"{at}.persons")
    for index, place in enumerate(update.places):
        check_place(place, f"{at}.places[{index}]")
    check_attachments(update.attachments, f"{at}.attachments")
    check_references(update.related, f"{at}.related")


def check_answer(answer: Answer, at: str = "answer") -> None:
    """Check an answer, or a part of one.

    Raises:
        FieldInvalid: It answers nothing or two things at once, or a part of it breaks a rule.
    """
    if answer.part < 1:
        raise FieldInvalid(f"{at}.part", "is counted from 1")
    if answer.outcome is not None and answer.results:
        raise FieldInvalid(f"{at}.outcome", "answers a referral; results answer a request")
    if answer.final and answer.outcome is None and not answer.results:
        raise FieldInvalid(f"{at}.outcome", "is needed in the final part, or results")
    if not (answer.outcome or answer.results or answer.text):
        raise FieldInvalid(f"{at}.text", "must say something")
    if answer.outcome is CaseOutcome.FOUND_SAFE_NO_CONTACT_WANTED:
        # Whoever wants no contact is told of as safe, and by nothing that leads to them.
        for name in ("persons", "places", "attachments", "text"):
            if getattr(answer, name):
                raise FieldInvalid(f"{at}.{name}", "must be empty: the person wants no contact")
    _check_people(answer.persons, f"{at}.persons")
    for index, place in enumerate(answer.places):
        check_place(place, f"{at}.places[{index}]")
    check_attachments(answer.attachments, f"{at}.attachments")
    digests = {item.sha256 for item in answer.attachments}
    seen: set[str] = set()
    for index, result in enumerate(answer.results):
        here = f"{at}.results[{index}]"
        if result.measure_id in seen:
            raise FieldInvalid(f"{here}.measure_id", "has a result already")
        seen.add(result.measure_id)
        if (result.outcome is MeasureOutcome.PRESERVED) != (result.preserved_until_ms is not None):
            raise FieldInvalid(f"{here}.preserved_until_time", "must be given exactly when data was preserved")
        if result.outcome is MeasureOutcome.NOT_DONE and not result.words:
            raise FieldInvalid(f"{here}.words", "must say why it was not done")
        for number, digest in enumerate(result.evidence):
            if digest not in digests:
                raise FieldInvalid(f"{here}.evidence[{number}]", "is the digest of no attachment")


def check_decision(decision: CaseDecision, at: str = "decision") -> None:
    """Check a decision as it is told to the other side.

    Raises:
        FieldInvalid: It lacks what a decision of its kind owes, or has what belongs to another.
    """
    verdict = decision.verdict
    for name, verdicts in OWED.items():
        value = getattr(decision, name)
        given = value is not None and value not in {(), ""}
        field = "until_time" if name == "until_ms" else name
        if verdict in verdicts and not given:
            raise FieldInvalid(f"{at}.{field}", f"is owed by a decision to {verdict.name}")
        if given and verdict not in PERMITTED[name]:
            raise FieldInvalid(f"{at}.{field}", f"does not belong to a decision to {verdict.name}")
    if verdict is Verdict.REFUSE and Ground.ONGOING_CASE in decision.grounds:
        index = decision.grounds.index(Ground.ONGOING_CASE)
        raise FieldInvalid(f"{at}.grounds[{index}]", "is a ground to postpone, not to refuse")
    ids = [item.condition_id for item in decision.conditions]
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise FieldInvalid(f"{at}.conditions[{index}].condition_id", "is that of another condition too")


def check_withdrawal(withdrawal: Withdrawal, at: str = "withdrawal") -> None:
    """Check a withdrawal.

    Raises:
        FieldInvalid: It gives no reason.
    """
    if not withdrawal.reason:
        raise FieldInvalid(f"{at}.reason", "must say why")


def check_use_report(report: UseReport, at: str = "use_report") -> None:
    """Check a use report.

    Raises:
        FieldInvalid: It reports nothing, or one measure twice.
    """
    if not report.uses:
        raise FieldInvalid(f"{at}.uses", "must report something")
    ids = [item.measure_id for item in report.uses]
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise FieldInvalid(f"{at}.uses[{index}].measure_id", "is reported twice")


def check_recall(recall: Recall, at: str = "recall") -> None:
    """Check a recall.

    Raises:
        FieldInvalid: It gives no reason, or no correction where there is to be one.
    """
    if len(recall.content_commitment) != 32:
        raise FieldInvalid(f"{at}.content_commitment", "must be 32 bytes")
    if not recall.reason:
        raise FieldInvalid(f"{at}.reason", "must say why")
    if (recall.action is RecallAction.CORRECT) != (recall.correction is not None):
        raise FieldInvalid(f"{at}.correction", "must be given exactly when the message is to be corrected")
    if recall.correction is not None and recall.correction.message_id == recall.message_id:
        raise FieldInvalid(f"{at}.correction.message_id", "is the message recalled")


def check_recall_confirmation(confirmation: RecallConfirmation, at: str = "recall_confirmation") -> None:
    """Check the confirmation of a recall.

    Raises:
        FieldInvalid: It keeps the content and does not say by what law, or names a partner twice.
    """
    if len(confirmation.content_commitment) != 32:
        raise FieldInvalid(f"{at}.content_commitment", "must be 32 bytes")
    if confirmation.result is RecallResult.KEPT_BY_LAW and not confirmation.words:
        raise FieldInvalid(f"{at}.words", "must say by what law it is kept")
    partners = [item.partner for item in confirmation.onward]
    for index, partner in enumerate(partners):
        if partner in partners[:index]:
            raise FieldInvalid(f"{at}.onward[{index}].partner", "is named twice")


def check_operation(operation: Operation, at: str = "operation") -> None:
    """Check one entry of an operation.

    Raises:
        FieldInvalid: A rule is broken.
    """
    check_attachments(operation.attachments, f"{at}.attachments")
    match operation.entry:
        case OperationOpening() as opening:
            _check_opening(opening, f"{at}.opening")
        case Membership() as membership:
            _check_membership(membership, f"{at}.membership")
        case SituationEntry() as situation:
            if situation.place is not None:
                check_place(situation.place, f"{at}.situation.place")
            _check_counts(situation.counts, f"{at}.situation.counts")
        case LinkedMessages() as links:
            check_references(links.messages, f"{at}.links.messages")
        case OperationClosing() as closing:
            _check_counts(closing.counts, f"{at}.closing.counts")
        case OperationTurn() as turn:
            if not turn.reason:
                raise FieldInvalid(f"{at}.turn.reason", "must say why")


def _check_opening(opening: OperationOpening, at: str) -> None:
    check_place(opening.area, f"{at}.area")
    partners = [member.partner for member in opening.members]
    for index, member in enumerate(opening.members):
        if member.partner in partners[:index]:
            raise FieldInvalid(f"{at}.members[{index}].partner", "is named twice")
        if not member.roles:
            raise FieldInvalid(f"{at}.members[{index}].roles", "must say what the partner does")
        if member.contact is not None:
            check_contact(member.contact, f"{at}.members[{index}].contact")
    owners = sum(MemberRole.OWNER in member.roles for member in opening.members)
    if owners != 1:
        raise FieldInvalid(f"{at}.members", f"has {owners} owners; an operation has exactly one")


def _check_membership(membership: Membership, at: str) -> None:
    if (membership.change in _HAS_ROLES) != bool(membership.roles):
        raise FieldInvalid(f"{at}.roles", "must be given exactly when a partner comes in")
    if membership.change in _HAS_REASON and not membership.reason:
        raise FieldInvalid(f"{at}.reason", "must say why")
    if MemberRole.OWNER in membership.roles:
        raise FieldInvalid(f"{at}.roles", "cannot make another owner")


def _check_counts(counts: Sequence[PeopleCount], at: str) -> None:
    seen: set[tuple[int, int, str]] = set()
    for index, item in enumerate(counts):
        key = (item.state, item.band, item.nationality)
        if key in seen:
            raise FieldInvalid(f"{at}[{index}]", "is counted twice")
        seen.add(key)
        if item.nationality and not is_state_code(item.nationality):
            raise FieldInvalid(f"{at}[{index}].nationality", "is no code of ICAO Doc 9303, as in 'THA'")


def _check_people(persons: tuple[Person, ...], at: str) -> None:
    check_persons(persons, at)
    for index, person in enumerate(persons):
        if person.role in SUBJECT_ROLES:
            check_ground(person, f"{at}[{index}]")
