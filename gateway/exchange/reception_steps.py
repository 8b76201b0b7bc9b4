"""What the exchange log says of the envelopes of a frame: received, or refused and why."""

from collections.abc import Sequence
from typing import Final

from gateway.crypto.envelope import OpenedEnvelope
from gateway.errors import Busy
from gateway.exchange.quota import Quota
from gateway.exchange.steps import described, partner_principal, step
from gateway.ids import PartnerId
from gateway.model.header import Urgency
from gateway.ports import LogEntry
from gateway.translog.entry import EventType

REFUSALS_PER_S: Final = 5
REFUSALS_BURST: Final = 1000
"""Refused envelopes of one partner that are recorded one by one: 200 MB a day at most. Each still gets its receipt."""


class ReceptionSteps:
    """Makes the steps of frames; counts what is refused, so that nobody can fill our disk with it."""

    def __init__(self) -> None:
        self._refusals = Quota(per_second=REFUSALS_PER_S, burst=REFUSALS_BURST)

    def steps(
        self,
        partner: PartnerId,
        received: Sequence[tuple[int, OpenedEnvelope, str]],
        refused: Sequence[tuple[int, bytes, str, bytes]],
        now_ms: int,
    ) -> dict[int, LogEntry]:
        """Return the steps by index in the frame.

        Args:
            received: Index, envelope, and for whom its sender speaks (empty for a ping).
            refused: Index, envelope digest, reason, and the message id that the envelope claims.
        """
        actor = partner_principal(partner)
        steps: dict[int, LogEntry] = {}
        for index, item, authority in received:
            header = item.header
            steps[index] = step(
                EventType.MESSAGE_RECEIVED,
                now_ms,
                actor=actor,
                partner=partner.code,
                subject=header.message_id.raw,
                thread=header.thread_id.raw,
                digest=item.digest,
                detail=f"{described(header)} for {authority}" if authority else described(header),
            )
        for index, digest, reason, claimed in refused:
            try:
                self._refusals.take(partner.code, Urgency.U3, now_ms)
            except Busy:
                break
            steps[index] = step(
                EventType.MESSAGE_REFUSED,
                now_ms,
                actor=actor,
                partner=partner.code,
                subject=claimed,
                digest=digest,
                reason=reason,
            )
        return steps
