"""Rules for requests: the contents without which a central authority would send it back, and what measures need."""

from collections.abc import Set as AbstractSet
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.assistance import ApprovalAct, DualCriminalityState, Request
from gateway.model.measure import (
    AssetMeasure,
    DataClass,
    Disclosure,
    DocumentService,
    InfrastructureBlock,
    JointOperation,
    Measure,
    MeasureType,
    PersonSearch,
    Preservation,
    ProceedingsTransfer,
    SpontaneousInformation,
    Testimony,
)
from gateway.model.person import MinorState, PersonRole
from gateway.model.person import YesNo as Yes
from gateway.model.person_rules import check_persons, check_place
from gateway.model.reference_rules import check_attachments, check_contact, check_references
from gateway.model.selectors import check_accounts, check_selectors

_PARTICULARS: Final[dict[MeasureType, type]] = {
    MeasureType.PRESERVE: Preservation,
    MeasureType.EXTEND_PRESERVATION: Preservation,
    MeasureType.PARTIAL_TRAFFIC_DISCLOSURE: Disclosure,
    MeasureType.SUBSCRIBER_DATA: Disclosure,
    MeasureType.TRAFFIC_DATA: Disclosure,
    MeasureType.CONTENT_DATA: Disclosure,
    MeasureType.TRACE_ASSETS: AssetMeasure,
    MeasureType.FREEZE_ASSETS: AssetMeasure,
    MeasureType.RETURN_ASSETS_TO_VICTIMS: AssetMeasure,
    MeasureType.SERVE_DOCUMENTS: DocumentService,
    MeasureType.TAKE_STATEMENT: Testimony,
    MeasureType.VIDEO_HEARING: Testimony,
    MeasureType.LOCATE_PERSON: PersonSearch,
    MeasureType.JOINT_OPERATION: JointOperation,
    MeasureType.TRANSFER_OF_PROCEEDINGS: ProceedingsTransfer,
    MeasureType.BLOCK_INFRASTRUCTURE: InfrastructureBlock,
    MeasureType.SPONTANEOUS_INFORMATION: SpontaneousInformation,
}
_CLASSES: Final = {
    MeasureType.PARTIAL_TRAFFIC_DISCLOSURE: {DataClass.TRAFFIC},
    MeasureType.SUBSCRIBER_DATA: {DataClass.SUBSCRIBER, DataClass.PAYMENT, DataClass.DEVICE},
    MeasureType.TRAFFIC_DATA: {DataClass.TRAFFIC, DataClass.ACCESS_LOG, DataClass.DEVICE},
    MeasureType.CONTENT_DATA: {DataClass.CONTENT},
}
"""What a measure may ask for: content never travels under a lighter measure's name and approval."""
_REAL_TIME: Final = frozenset({MeasureType.TRAFFIC_DATA, MeasureType.CONTENT_DATA})
_WITHOUT_FACTS: Final = frozenset({MeasureType.SERVE_DOCUMENTS, MeasureType.SPONTANEOUS_INFORMATION})
"""UNTOC Article 18 (15) (d) spares requests to serve documents the facts; (4) information is no request at all."""
_VICTIMS: Final = frozenset({PersonRole.VICTIM, PersonRole.PRESUMED_VICTIM})


def check_request(request: Request, at: str = "request") -> None:
    """Check a request by itself.

    Raises:
        FieldInvalid: A rule is broken; the first one found is named.
    """
    for name in ("requesting", "conducting", "central"):
        if not getattr(request, name).name.strip():
            raise FieldInvalid(f"{at}.{name}.name", "must not be empty")
    check_contact(request.contact, f"{at}.contact")
    check_contact(request.duty_contact, f"{at}.duty_contact")
    if request.duty_contact.round_the_clock is not Yes.YES or not request.duty_contact.telephone:
        raise FieldInvalid(f"{at}.duty_contact", "must answer a telephone round the clock")
    types = {measure.measure_type for measure in request.measures}
    if not types:
        raise FieldInvalid(f"{at}.measures", "must ask for something")
    _check_grounds(request, at, light=types <= _WITHOUT_FACTS)
    references = check_persons(request.persons, f"{at}.persons")
    check_attachments(request.attachments, f"{at}.attachments")
    check_references(request.related, f"{at}.related")
    digests = {item.sha256 for item in request.attachments}
    seen: set[str] = set()
    for index, measure in enumerate(request.measures):
        if measure.measure_id in seen:
            raise FieldInvalid(f"{at}.measures[{index}].measure_id", "is that of another measure too")
        seen.add(measure.measure_id)
        check_measure(measure, references, digests, f"{at}.measures[{index}]")
    _check_terms(request, at)
    _check_touched(request, at)
    _check_approvals(request, at)


def _check_grounds(request: Request, at: str, *, light: bool) -> None:
    for name in ("subject", "purpose_of_use"):
        if not getattr(request, name):
            raise FieldInvalid(f"{at}.{name}", "must not be empty")
    for name in ("facts", "evidence_link"):
        if not light and not getattr(request, name):
            raise FieldInvalid(f"{at}.{name}", "is needed unless all that is asked is to serve documents")
    only_told = {item.measure_type for item in request.measures} == {MeasureType.SPONTANEOUS_INFORMATION}
    if not only_told and not request.offences:
        raise FieldInvalid(f"{at}.offences", "must name what the law says was broken")
    for index, offence in enumerate(request.offences):
        if not offence.legal_text:
            raise FieldInvalid(f"{at}.offences[{index}].legal_text", "must not be empty")
        if not 1 <= offence.offence_class <= 11:
            raise FieldInvalid(f"{at}.offences[{index}].offence_class", "must be a section of ICCS, 1 to 11")


def _check_terms(request: Request, at: str) -> None:
    if (request.due_ms is not None) != bool(request.due_reason.strip()):
        field = "due_reason" if request.due_ms is not None else "due_time"
        raise FieldInvalid(f"{at}.{field}", "is needed: a deadline and its reason go together")
    if request.confidentiality.asked is Yes.YES and not request.confidentiality.reason.strip():
        raise FieldInvalid(f"{at}.confidentiality.reason", "is needed when secrecy is asked for")
    if request.dual_criminality.state is DualCriminalityState.STATED and not request.dual_criminality.words:
        raise FieldInvalid(f"{at}.dual_criminality.words", "must say which offence it is under the receiver's law")
    if request.prior_judgment.exists is Yes.YES and not request.prior_judgment.words:
        raise FieldInvalid(f"{at}.prior_judgment.words", "must say what was judged")
    for index, earlier in enumerate(request.earlier):
        if not earlier.reference.strip():
            raise FieldInvalid(f"{at}.earlier[{index}].reference", "must not be empty")
    if request.data_terms.review_ms is not None and request.data_terms.review_ms > request.data_terms.retain_until_ms:
        raise FieldInvalid(f"{at}.data_terms.review_time", "is after the data is deleted")


def _check_touched(request: Request, at: str) -> None:
    if request.victims_touched is Yes.NO and any(person.role in _VICTIMS for person in request.persons):
        raise FieldInvalid(f"{at}.victims_touched", "is NO, but a victim is among the persons")
    if request.minors_touched is Yes.NO and any(person.minor is MinorState.YES for person in request.persons):
        raise FieldInvalid(f"{at}.minors_touched", "is NO, but a person under 18 is among the persons")


def _check_approvals(request: Request, at: str) -> None:
    times = [step.time_ms for step in request.approvals]
    if times != sorted(times):
        raise FieldInvalid(f"{at}.approvals", "must run from the oldest step to the newest")
    if not any(step.act in {ApprovalAct.APPROVED, ApprovalAct.SIGNED} for step in request.approvals):
        raise FieldInvalid(f"{at}.approvals", "must say which office approved or signed the request")


def check_measure(measure: Measure, persons: AbstractSet[str], digests: AbstractSet[bytes], at: str) -> None:
    """Check one measure; persons are the references and digests the attachments that it may name.

    Raises:
        FieldInvalid: A rule is broken.
    """
    expected = _PARTICULARS[measure.measure_type]
    if type(measure.particulars) is not expected:
        raise FieldInvalid(f"{at}.measure_type", f"does not go with what is asked: {expected.__name__} belongs to it")
    match measure.particulars:
        case Preservation() as item:
            _check_preservation(measure.measure_type, item, f"{at}.preservation")
        case Disclosure() as item:
            _check_disclosure(measure.measure_type, item, f"{at}.disclosure")
        case AssetMeasure() as item:
            _check_assets(measure.measure_type, item, persons, f"{at}.assets")
        case DocumentService() as item:
            _check_known((item.addressee,), persons, f"{at}.service.addressee")
            for index, digest in enumerate(item.documents):
                if digest not in digests:
                    raise FieldInvalid(f"{at}.service.documents[{index}]", "is the digest of no attachment")
        case Testimony() as item:
            _check_testimony(measure.measure_type, item, persons, f"{at}.testimony")
        case PersonSearch() as item:
            _check_known((item.person,), persons, f"{at}.search.person")
            if item.last_place is not None:
                check_place(item.last_place, f"{at}.search.last_place")
        case JointOperation() as item:
            check_place(item.area, f"{at}.operation.area")
        case ProceedingsTransfer() as item:
            _check_known(item.persons, persons, f"{at}.transfer.persons")
        case InfrastructureBlock() as item:
            check_selectors(item.selectors, f"{at}.block.selectors")
        case SpontaneousInformation():
            pass


def _check_preservation(kind: MeasureType, item: Preservation, at: str) -> None:
    check_selectors(item.selectors, f"{at}.selectors")
    if kind is MeasureType.PRESERVE and item.follow_up_ms is None:
        raise FieldInvalid(
            f"{at}.follow_up_time", "is needed: what is preserved is asked for by a request that follows"
        )
    if item.follow_up_ms is not None and item.follow_up_ms > item.until_ms:
        raise FieldInvalid(f"{at}.follow_up_time", "is after the data may be lost")
    if (kind is MeasureType.EXTEND_PRESERVATION) != bool(item.extends.strip()):
        raise FieldInvalid(f"{at}.extends", "must be given exactly when a preservation is extended")


def _check_disclosure(kind: MeasureType, item: Disclosure, at: str) -> None:
    check_selectors(item.selectors, f"{at}.selectors")
    for index, data_class in enumerate(item.data_classes):
        if data_class not in _CLASSES[kind]:
            raise FieldInvalid(f"{at}.data_classes[{index}]", f"is not what a measure of type {kind.name} asks for")
    if item.real_time is Yes.UNKNOWN:
        raise FieldInvalid(f"{at}.real_time", "must be YES or NO")
    if item.real_time is Yes.YES and kind not in _REAL_TIME:
        raise FieldInvalid(f"{at}.real_time", f"is not what a measure of type {kind.name} asks for")


def _check_assets(kind: MeasureType, item: AssetMeasure, persons: AbstractSet[str], at: str) -> None:
    check_accounts(item.accounts, f"{at}.accounts")
    _check_known(item.victims, persons, f"{at}.victims")
    if kind is not MeasureType.TRACE_ASSETS and item.amount is None:
        raise FieldInvalid(f"{at}.amount", f"is needed for a measure of type {kind.name}")
    if kind is MeasureType.FREEZE_ASSETS and not item.traced:
        raise FieldInvalid(f"{at}.traced", "must say how the money was followed to these accounts")
    if kind is MeasureType.RETURN_ASSETS_TO_VICTIMS and not item.victims:
        raise FieldInvalid(f"{at}.victims", "must name to whom the assets are returned")
    if kind is MeasureType.TRACE_ASSETS and (item.from_ms is None or item.until_ms is None):
        raise FieldInvalid(f"{at}.{'from_time' if item.from_ms is None else 'until_time'}", "is needed to trace")
    _check_window(item.from_ms, item.until_ms, at)


def _check_testimony(kind: MeasureType, item: Testimony, persons: AbstractSet[str], at: str) -> None:
    _check_known(item.persons, persons, f"{at}.persons")
    if kind is MeasureType.VIDEO_HEARING:
        for field, value in (("from_time", item.from_ms), ("until_time", item.until_ms), ("link", item.link.strip())):
            if value in {None, ""}:
                raise FieldInvalid(f"{at}.{field}", "is needed for a hearing by video")
    _check_window(item.from_ms, item.until_ms, at)


def _check_window(from_ms: int | None, until_ms: int | None, at: str) -> None:
    if from_ms is not None and until_ms is not None and until_ms <= from_ms:
        raise FieldInvalid(f"{at}.until_time", "must be after from_time")


def _check_known(names: tuple[str, ...], persons: AbstractSet[str], at: str) -> None:
    for index, name in enumerate(names):
        if name not in persons:
            where = at if at.endswith((".person", ".addressee")) else f"{at}[{index}]"
            raise FieldInvalid(where, "names nobody among the persons of the request")
