"""Rules that see a whole draft of a case: its thread, its urgency, who is among the recipients, and the clock."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.alert import Alert
from gateway.model.assistance import Request
from gateway.model.case import Answer, CaseDecision, Recall, RecallConfirmation, Update, UseReport, Withdrawal
from gateway.model.content_rules import CONTENT_NAMES
from gateway.model.header import MAX_AHEAD_MS, Urgency
from gateway.model.message import Body, Draft, Ping
from gateway.model.operation import Operation, OperationOpening
from gateway.model.person import Person, Place, YesNo
from gateway.model.person_rules import check_born
from gateway.model.referral import CaseType, Referral
from gateway.model.wording import check_past

_REPLIES: Final = (Answer, CaseDecision, RecallConfirmation)
_FOLLOWS: Final = (*_REPLIES, Update, Withdrawal, UseReport, Recall)
_FLASH: Final = frozenset({CaseType.KIDNAP, CaseType.EVACUATION})
"""Where life is at risk or many are moved, whatever is known of danger now (domain notes, U0)."""
_QUICK: Final = frozenset({Urgency.U0, Urgency.U1})


def check_case_header(body: Body, *, urgency: Urgency, continues: bool, replies: bool, at: str = "") -> None:
    """Check that a case's content stands where it belongs; sender and receiver ask the same.

    Args:
        body: Whose content it is; alerts and pings pass.
        urgency: Of the message.
        continues: Whether the message continues a thread.
        replies: Whether it names a message that it replies to.
        at: Path of the fields of the header, with its dot.

    Raises:
        FieldInvalid: A rule is broken.
    """
    content = body.content
    if isinstance(content, (Alert, Ping)):
        return
    if isinstance(content, _FOLLOWS) and not continues:
        raise FieldInvalid(f"{at}thread_id", "is needed: this continues a thread")
    if isinstance(content, Operation) and not isinstance(content.entry, OperationOpening) and not continues:
        raise FieldInvalid(f"{at}thread_id", "is needed: only an opening begins an operation")
    if isinstance(content, _REPLIES) and not replies:
        raise FieldInvalid(f"{at}in_reply_to", "is needed: this replies to a message")
    if isinstance(content, Referral):
        _check_referral_urgency(content, urgency, f"{at}urgency")
    if isinstance(content, Request) and urgency in _QUICK and not content.urgency_reason.strip():
        raise FieldInvalid("body.request.urgency_reason", f"is needed for urgency {urgency.name}")


def check_case_draft(draft: Draft, now_ms: int) -> None:
    """Check what a case owes as a draft; the content itself has been checked.

    Raises:
        FieldInvalid: A rule is broken.
    """
    content = draft.body.content
    check_case_header(
        draft.body,
        urgency=draft.urgency,
        continues=draft.thread_id is not None,
        replies=draft.in_reply_to is not None,
    )
    if isinstance(content, Operation) and isinstance(content.entry, OperationOpening):
        _check_members(draft, content.entry)
    # Clocks may differ by as much as for messages.
    check_past(content, f"body.{CONTENT_NAMES[type(content)]}", now_ms + MAX_AHEAD_MS)
    due = {Request: ("due_time", "due_ms"), Recall: ("confirm_time", "confirm_ms")}.get(type(content))
    if due is not None:
        due_ms = getattr(content, due[1])
        if due_ms is not None and due_ms <= now_ms:
            raise FieldInvalid(f"body.{CONTENT_NAMES[type(content)]}.{due[0]}", "is not in the future")
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    for person, at in _persons(content):
        check_born(person, today, at)
    if len(draft.recipients) > 1:
        for place, at in _personal_places(content):
            if place.point is not None:
                raise FieldInvalid(f"{at}.point", "must be a cell where more than one partner reads it")


def _check_referral_urgency(referral: Referral, urgency: Urgency, at: str) -> None:
    danger = referral.danger_now is YesNo.YES
    if urgency is Urgency.U0 and not danger and referral.case_type not in _FLASH:
        raise FieldInvalid(at, "is U0, but nobody is said to be in danger now")
    if danger and urgency not in _QUICK:
        raise FieldInvalid(at, f"is {urgency.name}, but somebody is in danger now: U0 or U1")


def _check_members(draft: Draft, opening: OperationOpening) -> None:
    members = {member.partner for member in opening.members}
    if draft.body.authority.partner not in members:
        raise FieldInvalid("body.operation.opening.members", "must name the sender too")
    for index, partner in enumerate(draft.recipients):
        if partner not in members:
            raise FieldInvalid(f"recipients[{index}]", "is no member of the operation")


def _persons(content: object) -> Iterator[tuple[Person, str]]:
    names = {Referral: "referral", Request: "request", Update: "update", Answer: "answer"}
    name = names.get(type(content))
    if name is not None:
        for index, person in enumerate(getattr(content, "persons", ())):
            yield person, f"body.{name}.persons[{index}]"


def _personal_places(content: object) -> Iterator[tuple[Place, str]]:
    """Yield the places that lead to a person; an operation's own ground is for all its members."""
    for person, at in _persons(content):
        for index, place in enumerate(person.places):
            yield place, f"{at}.places[{index}]"
    match content:
        case Referral():
            if content.last_place is not None:
                yield content.last_place, "body.referral.last_place"
            if content.detention is not None:
                yield content.detention.place, "body.referral.detention.place"
            if content.trafficking is not None and content.trafficking.exploitation_place is not None:
                yield content.trafficking.exploitation_place, "body.referral.trafficking.exploitation_place"
        case Update() | Answer():
            name = "update" if isinstance(content, Update) else "answer"
            for index, place in enumerate(content.places):
                yield place, f"body.{name}.places[{index}]"
        case _:
            return
