"""FederationService: what partner gateways call."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Protocol

import structlog
from concord.v1 import federation_service_pb2 as pb

from gateway.clock import Clock
from gateway.errors import (
    Busy,
    CallerUnknown,
    FrameMalformed,
    LogForked,
    LogInconsistent,
    LogRolledBack,
    NotFound,
    PartnerLogWentBack,
    Rejected,
)
from gateway.exchange.quota import Quota
from gateway.exchange.read_log import ProvedEntry
from gateway.ids import MessageId, PartnerId
from gateway.model.header import Urgency
from gateway.model.partner import SignedCard
from gateway.ports import Deferral, FrameAnswer, OutgoingFrame, ShownLogs, ShownProof
from gateway.rpc.callers import Caller
from gateway.rpc.convert.envelope import answer_to_proto, frame_from_proto
from gateway.rpc.convert.logs import shown_logs_from_proto, shown_logs_to_response
from gateway.rpc.convert.partner import signed_card_from_proto, signed_card_to_proto
from gateway.rpc.pipeline import answer_in_order
from gateway.translog.disclosure import disclose, to_json
from gateway.translog.entry import Facet

log = structlog.get_logger(__name__)

SHOWN_TO_PARTNERS: Final = (Facet.WHAT, Facet.WHEN, Facet.WHOM, Facet.WHICH)
LOG_CALLS_PER_S: Final = 2
LOG_CALLS_BURST: Final = 200
"""Checkpoints and proofs that one partner may ask for: a checkpoint takes 3 ms to verify, and is due once a minute."""
WINDOW_FRAMES: Final = 4
"""Frames of one link worked on at once. A sender keeps more in flight (workers.open_link), so that one is there."""


class Receiving(Protocol):
    """What is needed of exchange.receive.ReceiveService."""

    async def take_in(self, partner: PartnerId, frame: OutgoingFrame) -> FrameAnswer: ...


class Cards(Protocol):
    """What is needed of exchange.directory.PartnerDirectory."""

    def own_card(self) -> SignedCard: ...
    async def offer(self, partner: PartnerId, signed: SignedCard) -> bool: ...


class Log(Protocol):
    """What is needed of exchange.keep_log.LogKeeper."""

    @property
    def theirs(self) -> "PartnersLogs": ...
    async def show(self, partner: PartnerId, since: int) -> ShownLogs: ...
    async def hear_own(self, partner: PartnerId, note: bytes) -> int: ...


class PartnersLogs(Protocol):
    """What is needed of exchange.partner_logs.PartnerLogs."""

    async def hear(
        self,
        partner: PartnerId,
        note: bytes,
        *,
        proven_from: int = ...,
        consistency: Sequence[bytes] = ...,
        beginning: ShownProof | None = ...,
    ) -> object: ...


class LogReading(Protocol):
    """What is needed of exchange.read_log.LogReader."""

    async def prove_leaf(self, leaf: bytes, message_id: bytes, partner: PartnerId) -> ProvedEntry: ...


class Files(Protocol):
    """What is needed of exchange.read_attachment.AttachmentReader."""

    def serve(
        self, partner: PartnerId, message_id: MessageId, attachment_id: bytes, offset: int
    ) -> AsyncIterator[bytes]: ...


class FederationServicer:
    """Takes in what partners send and exchanges cards.

    Args:
        heard: Told of each sign of life of a partner, so that its link is tried again at once.
    """

    def __init__(
        self,
        *,
        receiving: Receiving,
        cards: Cards,
        log: Log,
        log_reading: LogReading,
        clock: Clock,
        heard: Callable[[PartnerId], None] = lambda _: None,
        files: Files | None = None,
    ) -> None:
        self._files = files
        self._receiving = receiving
        self._cards = cards
        self._log = log
        self._log_reading = log_reading
        self._clock = clock
        self._heard = heard
        self._log_calls = Quota(per_second=LOG_CALLS_PER_S, burst=LOG_CALLS_BURST)

    async def link(self, requests: AsyncIterator[pb.LinkRequest], caller: Caller) -> AsyncIterator[pb.LinkResponse]:
        """Take in frames, several at once, and answer them in their order."""
        partner = _partner(caller)
        self._heard(partner)

        async def answer(frame: pb.LinkRequest) -> pb.LinkResponse:
            self._heard(partner)
            return answer_to_proto(await self._take_in(partner, frame_from_proto(frame)))

        async for response in answer_in_order(_in_sequence(requests), answer, WINDOW_FRAMES):
            yield response

    async def _take_in(self, partner: PartnerId, frame: OutgoingFrame) -> FrameAnswer:
        try:
            return await self._receiving.take_in(partner, frame)
        except Busy as error:
            # Nothing of the frame was stored and nothing is stated about it: the sender keeps it, and the link.
            return FrameAnswer(
                sequence=frame.sequence,
                receipts=None,
                repeats=(),
                deferrals=tuple(Deferral(index=index, reason=error.reason) for index in range(len(frame.envelopes))),
                card=None,
                receipts_stored=False,
            )

    async def get_card(self, request: pb.GetCardRequest, caller: Caller) -> pb.GetCardResponse:
        """Take the caller's card if it is newer than the one here, and return ours."""
        partner = _partner(caller)
        self._heard(partner)
        if request.HasField("card"):
            await self._cards.offer(partner, signed_card_from_proto(request.card))
        return pb.GetCardResponse(card=signed_card_to_proto(self._cards.own_card()))

    async def probe(self, request: pb.ProbeRequest, caller: Caller) -> pb.ProbeResponse:  # noqa: ARG002 - empty
        """Say what we see of the caller."""
        partner = _partner(caller)
        self._heard(partner)
        return pb.ProbeResponse(
            partner=partner.code, certificate_digest=caller.certificate_digest, time_ms=self._clock.now_ms()
        )

    async def exchange_checkpoints(
        self, request: pb.ExchangeCheckpointsRequest, caller: Caller
    ) -> pb.ExchangeCheckpointsResponse:
        """Keep what the caller shows of its log and of ours, and show the same."""
        partner = _partner(caller)
        self._heard(partner)
        self._log_calls.take(partner.code, Urgency.U3, self._clock.now_ms())
        shown, known = shown_logs_from_proto(request), 0
        # If our own tree is not what we once signed, or nothing that we signed, the partner still gets its answer.
        with contextlib.suppress(LogRolledBack, LogInconsistent, Rejected):
            known = await self._log.hear_own(partner, shown.seen)
        try:
            await self._log.theirs.hear(
                partner,
                shown.checkpoint,
                proven_from=shown.proven_from,
                consistency=shown.consistency,
                beginning=shown.beginning,
            )
        except (LogForked, PartnerLogWentBack) as error:
            log.critical("checkpoint.contradicts", partner=partner.code, reason=error.reason)
        return shown_logs_to_response(await self._log.show(partner, known))

    async def prove_receipt(self, request: pb.ProveReceiptRequest, caller: Caller) -> pb.ProveReceiptResponse:
        """Prove the step that a receipt of ours to the caller names. Who of us did it stays with us."""
        partner = _partner(caller)
        self._log_calls.take(partner.code, Urgency.U3, self._clock.now_ms())
        proved = await self._log_reading.prove_leaf(request.log_leaf, request.message_id, partner)
        record = proved.record
        shown = "" if record.event is None else to_json(disclose(record.event, record.salts, SHOWN_TO_PARTNERS))
        return pb.ProveReceiptResponse(leaf=record.leaf, proof=proved.proof, disclosure=shown)

    async def fetch_attachment(
        self, request: pb.FetchAttachmentRequest, caller: Caller
    ) -> AsyncIterator[pb.FetchAttachmentResponse]:
        """Give a recipient the sealed form of a file."""
        partner = _partner(caller)
        self._heard(partner)
        if self._files is None:
            raise NotFound("no such attachment")
        pieces = self._files.serve(partner, MessageId(request.message_id), request.attachment_id, request.offset)
        async for piece in pieces:
            yield pb.FetchAttachmentResponse(data=piece)


def _partner(caller: Caller) -> PartnerId:
    if caller.partner is None:
        raise CallerUnknown("the caller is not a partner's gateway")
    return caller.partner


async def _in_sequence(requests: AsyncIterator[pb.LinkRequest]) -> AsyncIterator[pb.LinkRequest]:
    """Pass frames on that count 1, 2, 3: answers are matched to frames by their number."""
    expected = 0
    async for frame in requests:
        expected += 1
        if frame.sequence != expected:
            raise FrameMalformed(f"frame {expected} of the link carries number {frame.sequence}")
        yield frame
