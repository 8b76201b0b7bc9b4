"""Every metric, every span and every attribute there is. docs/reference/telemetry.md is generated from here.

Names follow OpenTelemetry: dots, units of UCUM. Prometheus shows dots as underscores and appends unit and `_total`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.model.header import Urgency


class Form(StrEnum):
    """How a metric counts."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric and the only labels it may carry."""

    name: str
    form: Form
    unit: str
    """UCUM; what is in braces is a word for people and not shown by Prometheus."""
    labels: tuple[str, ...]
    text: str
    buckets: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """Its name as Prometheus shows it, for a histogram without _bucket, _sum, _count."""
        name = self.name.replace(".", "_")
        suffix = {"s": "_seconds", "By": "_bytes"}.get(self.unit, "")
        return name + suffix + ("_total" if self.form is Form.COUNTER else "")


RECEIPT_TARGET_S: Final = {Urgency.U0: 120, Urgency.U1: 300, Urgency.U2: 900, Urgency.U3: 3600}
"""By when a machine's receipt must be there: domain notes 1.6."""
ACKNOWLEDGE_TARGET_S: Final = {Urgency.U0: 900, Urgency.U1: 3600, Urgency.U2: 14_400, Urgency.U3: 86_400}
"""By when somebody must have acknowledged: domain notes 1.6."""
_DELIVERY_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0,
    86400.0,
)  # fmt: skip
"""From an idle link (5 ms) over every target of RECEIPT_TARGET_S to a partner that was away for a day."""
_CALL_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 3600.0)
_COMMIT_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_GROUP: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


def _counter(name: str, unit: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name=name, form=Form.COUNTER, unit=unit, labels=labels, text=text)


def _gauge(name: str, unit: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name=name, form=Form.GAUGE, unit=unit, labels=labels, text=text)


def _histogram(name: str, unit: str, labels: tuple[str, ...], text: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name=name, form=Form.HISTOGRAM, unit=unit, labels=labels, text=text, buckets=buckets)


SUBMISSIONS: Final = _counter(
    "concord.submissions", "{submission}", ("outcome", "reason", "urgency"),
    "Drafts handed in. Outcome: accepted, repeated, refused; the reason of a refusal is that of its error. "
    "Urgency: empty for one whose urgency cannot be read.",
)  # fmt: skip
RECEIVED: Final = _counter(
    "concord.received", "{envelope}", ("partner", "outcome", "reason"),
    "Envelopes judged. Outcome: received, ping, repeated, refused, deferred (nothing was stated; it comes again).",
)  # fmt: skip
DELIVERY: Final = _histogram(
    "concord.delivery.duration", "s", ("urgency", "outcome"),
    "From the submission to the verified and stored receipt of one recipient. Outcome: received, refused.",
    _DELIVERY_S,
)  # fmt: skip
BREACHES: Final = _counter(
    "concord.clock.breaches", "{receipt}", ("partner", "urgency"),
    "Receipts that came later than the target: U0 2 min, U1 5 min, U2 15 min, U3 1 h. "
    "What still waits is not in it: see concord.queue.age.",
)  # fmt: skip
UNACKNOWLEDGED: Final = _counter(
    "concord.clock.unacknowledged", "{message}", ("partner", "urgency", "direction"),
    "Messages that nobody had acknowledged by the target: U0 15 min, U1 1 h, U2 4 h, U3 24 h after they were made. "
    "Each counts once, when it passes, whether it had arrived or not. Direction: sent (by us; the partner is late), "
    "received (we are; a mark counts, too). What passes while the gateway is down is not in it. Every replica counts.",
)  # fmt: skip
FRAMES: Final = _counter(
    "concord.link.frames", "{frame}", ("partner", "direction"), "Frames on links. Direction: sent, received."
)
ENVELOPES: Final = _counter(
    "concord.link.envelopes", "{envelope}", ("partner", "direction"), "Envelopes in those frames."
)
REFUSED_CALLS: Final = _counter(
    "concord.calls.refused", "{call}", ("listener", "method", "reason"),
    "Calls that ended with an error of ours. Each has a line call.refused or call.failed in the log.",
)  # fmt: skip
REFUSED_CALLERS: Final = _counter(
    "concord.callers.refused", "{call}", ("listener", "reason"),
    "Calls turned away at the door: caller not known, frozen, or not allowed to call the method.",
)  # fmt: skip
CALLS: Final = _histogram(
    "concord.call.duration", "s", ("listener", "method", "code"),
    "Calls by gRPC code. A stream counts once, when it ends, with all its life.",
    _CALL_S,
)  # fmt: skip
COMMIT: Final = _histogram(
    "concord.store.commit.duration", "s", (), "One commit, from its first statement to the disk.", _COMMIT_S
)
COMMIT_GROUP: Final = _histogram(
    "concord.store.commit.operations", "{operation}", (), "Operations that shared a commit.", _GROUP
)
STORE_AVAILABLE: Final = _gauge(
    "concord.store.available", "1", (), "1 while the store takes writes, 0 while it does not. Tried every 5 s."
)
QUEUE_LENGTH: Final = _gauge("concord.queue.length", "{message}", ("partner", "urgency"), "Messages that wait.")
QUEUE_AGE: Final = _gauge(
    "concord.queue.age", "s", ("partner", "urgency"), "How long the oldest of them has waited; 0 when none waits."
)
QUEUE_DEAD: Final = _gauge("concord.queue.dead", "{message}", ("partner",), "Messages that expired undelivered.")
LINK_STATE: Final = _gauge(
    "concord.link.state", "1", ("partner", "state"),
    "1 for the state a link is in, 0 for the others: idle, connected, backing_off, frozen, leased_elsewhere.",
)  # fmt: skip
LINK_FAILURES: Final = _gauge(
    "concord.link.failures", "{attempt}", ("partner",), "Failed attempts since the link last carried; the breaker."
)
LINK_BACKOFF: Final = _gauge("concord.link.backoff", "s", ("partner",), "Until the next attempt; 0 when none is due.")
LOG_PENDING: Final = _gauge(
    "concord.log.pending", "{entry}", (), "Entries of the exchange log that are not integrated."
)
LOG_CHECKPOINT_AGE: Final = _gauge(
    "concord.log.checkpoint.age",
    "s",
    (),
    "Since the last checkpoint was signed; 0 while it covers all. Absent before the first.",
)
KEY_EXPIRY: Final = _gauge(
    "concord.key.expiry", "s", ("partner", "purpose"),
    "Until a key ends, ours and on partners' cards. Below 0: ended. "
    "Purpose: identity, envelope, receipt, seal, log, log_cosign.",
)  # fmt: skip
CERTIFICATE_EXPIRY: Final = _gauge(
    "concord.certificate.expiry", "s", ("purpose",),
    "Until a certificate of ours ends. Purpose: authority, link (shown to partners), system (shown to our systems).",
)  # fmt: skip
SNAPSHOT_AGE: Final = _gauge(
    "concord.telemetry.snapshot.age", "s", (),
    "How old what concord.queue.* says is. It rises when the store does not answer.",
)  # fmt: skip
MEMORY: Final = _gauge("process.memory.usage", "By", (), "Resident memory of the process.")

METRICS: Final = (
    SUBMISSIONS, RECEIVED, DELIVERY, BREACHES, UNACKNOWLEDGED, QUEUE_LENGTH, QUEUE_AGE, QUEUE_DEAD, LINK_STATE,
    LINK_FAILURES, LINK_BACKOFF, FRAMES, ENVELOPES, CALLS, REFUSED_CALLS, REFUSED_CALLERS, STORE_AVAILABLE, COMMIT,
    COMMIT_GROUP, LOG_PENDING, LOG_CHECKPOINT_AGE, KEY_EXPIRY, CERTIFICATE_EXPIRY, SNAPSHOT_AGE, MEMORY,
)  # fmt: skip

CALL_SPAN: Final = "concord.call"
COMMIT_SPAN: Final = "concord.commit"
DELIVER_SPAN: Final = "concord.deliver"
TAKE_IN_SPAN: Final = "concord.take_in"
SPANS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    CALL_SPAN: (("rpc.system", "rpc.method", "concord.reason"), "A call of one of our own systems or of an operator."),
    COMMIT_SPAN: (("concord.count",), "Check, seal and commit of the batch that the call's drafts were in."),
    DELIVER_SPAN: (
        ("concord.partner", "concord.urgency", "concord.outcome", "concord.reason", "concord.count"),
        "From the commit to the verified receipt of one partner.",
    ),
    TAKE_IN_SPAN: (("concord.partner", "concord.count"), "At the receiver: verify, open, judge, commit a frame."),
}
"""Spans and the only attributes they may carry."""
