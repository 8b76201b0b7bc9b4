"""From an act on a case to the message that says it.

What leaves speaks with the handling and on the legal basis of what began the case.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.cli.call import Call
from gateway.cli.failure import ExitCode, usage

if TYPE_CHECKING:
    from concord.v1.admin_service_pb2 import CaseView
    from concord.v1.message_pb2 import Body

    from gateway.model.case import MeasureResult
    from gateway.model.message import CaseContent, Draft
    from gateway.model.text import LocalizedText


@dataclass(frozen=True, slots=True)
class Wishes:
    """What every act has: which case, who speaks, in which language, and whether it is only tried."""

    case_id: str
    partner: str
    authority: str
    language: str
    dry_run: bool
    request_id: str


def words(text: str, language: str) -> "tuple[LocalizedText, ...]":
    """Return a text as it travels; nothing for none."""
    from gateway.model.text import LocalizedText, TextOrigin

    return (LocalizedText(language, text, TextOrigin.ORIGINAL, authentic=True),) if text else ()


def named(text: str) -> tuple[str, ...]:
    """Return names that stand with commas between."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def one_of(kind: Any, text: str, option: str) -> Any:
    """Return the member of an enumeration that a word names.

    Raises:
        Failure: None.
    """
    found = kind.__members__.get(text.strip().upper())
    if found is None:
        raise usage(f"'{text}' is no {option}", advice=f"name one of {', '.join(item.name.lower() for item in kind)}")
    return found


def results(given: Sequence[str], until: str, text: str, language: str) -> "tuple[MeasureResult, ...]":
    """Return what came of measures, from MEASURE=WORD.

    Raises:
        Failure: One says neither.
    """
    from gateway.cli.when import parse_when
    from gateway.clock import SystemClock
    from gateway.model.case import MeasureOutcome, MeasureResult
    from gateway.model.person import YesNo

    now_ms = SystemClock().now_ms()
    found = []
    for item in given:
        name, _, said = item.partition("=")
        if not name or not said:
            raise usage(f"'{item}' is no result of a measure", advice="write m1=done, m1=partly or m1=preserved")
        outcome = one_of(MeasureOutcome, said, "--result")
        kept = outcome is MeasureOutcome.PRESERVED
        if kept and not until:
            raise usage("until when the data are preserved is not said", advice="add --until, for example 90d")
        found.append(
            MeasureResult(
                measure_id=name,
                outcome=outcome,
                words=words(text, language),
                preserved_until_ms=parse_when(until, now_ms, "until") if kept else None,
                # Nobody has said: whoever knows more hands the answer in with its own words.
                torture_suspected=YesNo.UNKNOWN,
            )
        )
    return tuple(found)


def act(call: Call, wishes: Wishes, content: "CaseContent | Callable[[CaseView], CaseContent]") -> ExitCode | None:
    """Hand in an act on a case, or say what would leave, and show where the case stands then."""
    from gateway.cli.case import find, next_due
    from gateway.cli.send import accepted_data, show_validation, submit, validate
    from gateway.cli.views import id_text

    with call.admin() as admin:
        case = find(admin, wishes.case_id, wishes.partner)
        opening = admin.show(id_text(case.message_id), include_sent=True)
        if not opening.HasField("message"):
            raise usage("the message that began the case is not there any more", reason="NOT_FOUND")
        made = content(case) if callable(content) else content
        draft = draft_of(call, case, opening.message.body, made, wishes.authority)
        if wishes.dry_run:
            return show_validation(call, draft, validate(admin, draft))
        accepted, used = submit(admin, draft, wishes.request_id, spans_from_now=False)
        after = find(admin, id_text(case.thread_id), case.partner)
    call.output.record({**accepted_data(accepted, used, draft.recipients), "state": after.state, "turn": after.turn})
    who = {"us": "it is our turn", "them": f"it is the turn of '{case.partner}'"}.get(after.turn, "nothing is due")
    due = f": {next_due(after)}" if after.dues else ""
    call.output.text(f"The {case.kind} is now {after.state.replace('_', ' ')}; {who}{due}.")
    return None


def draft_of(call: Call, case: "CaseView", opening: "Body", content: "CaseContent", authority: str) -> "Draft":
    """Return the draft of a message in a case, with the handling and the legal basis of what began it.

    Raises:
        Failure, GatewayError: Something is missing or wrong.
    """
    from gateway.config import load_config
    from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
    from gateway.model.header import Mode, Urgency
    from gateway.model.message import Body, Draft, Handling, LegalBasis, Onward, Tlp
    from gateway.rpc.convert.message import encode_body

    config = load_config(call.home)
    ours = case.sender == config.partner.code
    speaker = AuthorityId.parse(authority, "as") if authority else None
    if speaker is None:
        speaker = AuthorityId.parse(case.authority, "as") if ours else config.default_authority
    if speaker is None:
        raise usage("for whom it speaks is not said", advice="add --as, or set default_authority in concord.toml")
    body = Body(
        authority=speaker,
        handling=Handling(tlp=Tlp(opening.handling.tlp), purpose=opening.handling.purpose, onward=Onward.NONE),
        legal_basis=tuple(LegalBasis(item.instrument, item.article) for item in opening.legal_basis),
        content=content,
    )
    return Draft(
        body=body,
        body_bytes=encode_body(body),
        recipients=(PartnerId(case.partner),),
        mode=Mode(case.mode),
        urgency=Urgency(case.urgency),
        expire_ms=None,
        thread_id=ThreadId(case.thread_id),
        in_reply_to=MessageId(case.message_id),
        supersedes=None,
    )


def withdrawal(case: "CaseView", measures: tuple[str, ...], reason: "tuple[LocalizedText, ...]") -> "CaseContent":
    """Return the message that takes a case back, or some measures of it."""
    from gateway.ids import MessageId
    from gateway.model.case import Withdrawal
    from gateway.workflow.measure import HELD, OPEN

    live = {state.word for state in OPEN | HELD}
    # Each by its name: what has ended meanwhile stays as it ended.
    every = tuple(item.measure_id for item in case.measures if item.state in live)
    return Withdrawal(message_id=MessageId(case.message_id), measures=measures or every, reason=reason)


def closing(case: "CaseView", text: "tuple[LocalizedText, ...]") -> "CaseContent":
    """Return the message that closes a case.

    Raises:
        Failure: How the results were used is not said.
    """
    from gateway.model.case import MeasureUse, Update, UseReport
    from gateway.model.person import YesNo

    if case.kind == "referral":
        return Update(event="confirm", text=text)
    if not text:
        raise usage("how the results were used is not said", advice="add --text")
    uses = tuple(
        MeasureUse(measure_id=item.measure_id, words=text, within_purpose=YesNo.UNKNOWN) for item in case.measures
    )
    return UseReport(uses=uses, items_returned=YesNo.UNKNOWN, closing=True)
