"""What a message of a case says of its case, as far as the state needs it.

Measures are named by their senders, in words that may give away what is asked. They are kept under keyed digests.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from gateway.crypto.blind_index import measure_key
from gateway.crypto.keys import KeyEncryptionKey
from gateway.ids import ThreadId
from gateway.model.alert import Alert
from gateway.model.assistance import Request
from gateway.model.case import Answer, CaseDecision, MeasureOutcome, Update, UseReport, Verdict, Withdrawal
from gateway.model.measure import MeasureType
from gateway.model.message import Body, Ping
from gateway.model.referral import Referral
from gateway.ports import CaseEntry
from gateway.workflow.case import CaseKind, Deed, Opening
from gateway.workflow.measure import Course

_RESULTS: Final = {
    MeasureOutcome.DONE: "answer",
    MeasureOutcome.NOTHING_FOUND: "answer",
    MeasureOutcome.NOT_DONE: "answer",
    MeasureOutcome.PARTLY: "part",
    MeasureOutcome.PRESERVED: "preserve",
}
_Keys = Callable[[Iterable[str]], tuple[bytes, ...]]
_VERDICTS: Final = {verdict: verdict.name.lower() for verdict in Verdict}


def case_entry_of(body: Body, thread: ThreadId, key: KeyEncryptionKey) -> CaseEntry | None:
    """Return what a message says of its case; None for alerts and pings."""
    content = body.content
    if isinstance(content, (Alert, Ping)):
        return None

    def keys(names: Iterable[str]) -> tuple[bytes, ...]:
        return tuple(measure_key(key, thread.raw, name) for name in names)

    match content:
        case Referral():
            return CaseEntry(opening=Opening(kind=CaseKind.REFERRAL))
        case Request():
            courses = [
                Course.PRESERVE if item.measure_type is MeasureType.PRESERVE else Course.ANSWER
                for item in content.measures
            ]
            named = tuple(zip(keys(item.measure_id for item in content.measures), courses, strict=True))
            return CaseEntry(opening=Opening(kind=CaseKind.REQUEST, measures=named))
        case Update():
            return CaseEntry(deeds=(Deed(word=content.event, measures=keys(content.measures)),))
        case CaseDecision():
            word = _VERDICTS[content.verdict]
            return CaseEntry(deeds=(Deed(word=word, measures=keys(content.measures), until_ms=content.until_ms),))
        case Withdrawal():
            return CaseEntry(deeds=(Deed(word="withdraw", measures=keys(content.measures)),))
        case UseReport():
            return CaseEntry(deeds=(Deed(word="close" if content.closing else ""),))
        case Answer():
            return CaseEntry(deeds=tuple(_answered(content, keys)))
        case _:
            return CaseEntry(deeds=(Deed(),))


def _answered(answer: Answer, keys: _Keys) -> Iterator[Deed]:
    for result in answer.results:
        yield Deed(
            word=_RESULTS[result.outcome], measures=keys((result.measure_id,)), until_ms=result.preserved_until_ms
        )
    if answer.outcome is not None and answer.final:
        yield Deed(word="resolve")
    elif not answer.results:
        yield Deed()
