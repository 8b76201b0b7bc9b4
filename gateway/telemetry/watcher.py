"""Counts and draws what the use cases tell (gateway.exchange.observer)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import errors
from gateway.exchange.observer import Answered
from gateway.exchange.sealed_rows import ReadyEnvelope
from gateway.ids import MessageId, PartnerId
from gateway.model.envelope import Outcome
from gateway.model.header import Urgency
from gateway.ports import SubmissionStatus
from gateway.telemetry import catalogue
from gateway.telemetry.meters import Meters
from gateway.telemetry.reasons import known_reason
from gateway.telemetry.tracing import Tracing


class Watcher:
    """An observer that counts, or draws, or both."""

    def __init__(self, meters: Meters | None, tracing: Tracing | None) -> None:
        self._meters = meters
        self._tracing = tracing

    def began(self) -> int:
        """Return the instant for spans; see Observer."""
        return 0 if self._tracing is None else self._tracing.now_ns()

    def submitted(self, began: int, submissions: Sequence[Any], answers: Sequence[Any]) -> None:
        """Count a batch; see Observer."""
        if self._meters is not None:
            counts = Counter(
                (*_answer(answer), submission.draft.urgency.name)
                for submission, answer in zip(submissions, answers, strict=True)
            )
            for values, count in counts.items():
                self._meters.add(catalogue.SUBMISSIONS, count, *values)
        if self._tracing is not None and began:
            traces = Counter(submission.trace for submission in submissions if submission.trace)
            if traces:
                self._tracing.committed(began, traces)

    def released(self, message_id: MessageId, trace: bytes) -> None:
        """Follow a message; see Observer."""
        if self._tracing is not None:
            self._tracing.follow(message_id, trace)

    def sending(self, partner: PartnerId, envelopes: Sequence[ReadyEnvelope]) -> tuple[bytes, ...]:
        """Count a frame and return its contexts; see Observer."""
        if self._meters is not None:
            self._frame(self._meters, partner, "sent", len(envelopes))
        return () if self._tracing is None else self._tracing.contexts([item.message_id for item in envelopes])

    def settled(self, partner: PartnerId, answered: Sequence[Answered], now_ms: int) -> None:
        """Count receipts; see Observer."""
        meters = self._meters
        if meters is not None:
            waited: dict[tuple[Urgency, str], list[float]] = {}
            for answer in answered:
                waited_s = max(0, now_ms - answer.item.message_id.time_ms) / 1000
                waited.setdefault((answer.item.urgency, _outcome(answer)), []).append(waited_s)
            for (urgency, outcome), values in waited.items():
                meters.delivery.record(values, urgency.name, outcome)
                target_s = catalogue.RECEIPT_TARGET_S[urgency]
                if max(values) > target_s:
                    late = sum(value > target_s for value in values)
                    meters.add(catalogue.BREACHES, late, partner.code, urgency.name)
        if self._tracing is not None:
            self._tracing.delivered(
                partner,
                [(a.item.message_id, a.item.urgency, _outcome(a), known_reason(a.reason)) for a in answered],
            )

    def taken_in(
        self, began: int, partner: PartnerId, traces: Sequence[bytes], counts: Mapping[tuple[str, str], int]
    ) -> None:
        """Count a partner's frame; see Observer."""
        if self._meters is not None:
            self._frame(self._meters, partner, "received", sum(counts.values()))
            for (outcome, reason), count in counts.items():
                if count:
                    self._meters.add(catalogue.RECEIVED, count, partner.code, outcome, known_reason(reason))
        if self._tracing is not None and traces:
            self._tracing.taken_in(began, partner, traces)

    @staticmethod
    def _frame(meters: Meters, partner: PartnerId, direction: str, envelopes: int) -> None:
        meters.add(catalogue.FRAMES, 1, partner.code, direction)
        if envelopes:
            meters.add(catalogue.ENVELOPES, envelopes, partner.code, direction)


def _answer(answer: Any) -> tuple[str, str]:
    if isinstance(answer, errors.GatewayError):
        return "refused", known_reason(answer.reason)
    return ("repeated" if answer.status is SubmissionStatus.REPEATED else "accepted"), ""


def _outcome(answer: Answered) -> str:
    return "received" if answer.outcome is Outcome.RECEIVED else "refused"
