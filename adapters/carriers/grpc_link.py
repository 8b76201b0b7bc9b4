"""The carrier for partners that are online: FederationService.Link over mutual TLS.

The channel trusts only the roots in the partner's own card and asks for the partner's own name, so that neither another
partner's authority nor another machine of the same state can stand in for the gateway. gRPC's retries are off: only the
outbox repeats, because only it has ids that make a repeat harmless.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
from concord.v1 import federation_service_pb2 as pb
from concord.v1.federation_service_pb2_grpc import FederationServiceStub
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from gateway.errors import FieldInvalid, MessageMalformed, PartnerUnreachable
from gateway.ids import MessageId, PartnerId
from gateway.model.partner import Card, SignedCard, gateway_name
from gateway.ports import FrameAnswer, LinkIdentity, OutgoingFrame, ProbeAnswer, ShownLogs, ShownProof
from gateway.rpc.convert.envelope import answer_from_proto, frame_to_proto
from gateway.rpc.convert.field import check_rules
from gateway.rpc.convert.logs import shown_logs_from_proto, shown_logs_to_request
from gateway.rpc.convert.partner import signed_card_from_proto, signed_card_to_proto

CONNECT_TIMEOUT_S: Final = 5.0
"""Name, TCP, TLS and one call; a satellite link needs about 2 s."""
CALL_TIMEOUT_S: Final = 10.0
FETCH_TIMEOUT_S: Final = 3600.0
PIECE_TIMEOUT_S: Final = 60.0
"""Longer than a partner may let a file wait for what is urgent (10 s) and 256 KiB take at 64 kbit/s."""
MAX_ANSWER_BYTES: Final = 4 << 20
_DOMAIN: Final = "concord.v1"

T = TypeVar("T")


class GrpcLink:
    """An open link. Frames are answered in their order."""

    def __init__(self, partner: PartnerId, channel: grpc.aio.Channel, call: Any) -> None:
        self._partner = partner
        self._channel = channel
        self._call = call
        self._closed = False

    async def send(self, frame: OutgoingFrame) -> None:
        """Send, waiting while the link is full.

        Raises:
            PartnerUnreachable: The link is gone.
        """
        try:
            await self._call.write(frame_to_proto(frame))
        except grpc.aio.AioRpcError as error:
            raise _unreachable(self._partner, error) from None
        except (grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError):
            # The other side ended the stream: answers() says why, if there is more to say.
            raise PartnerUnreachable(f"the link to '{self._partner}' was closed") from None
        except asyncio.CancelledError:
            self._raise_if_closed()
            raise

    async def answers(self) -> AsyncIterator[FrameAnswer]:
        """Yield answers until the partner ends the link.

        Raises:
            PartnerUnreachable: The link broke, or the partner answers what cannot be read.
        """
        try:
            async for response in self._call:
                check_rules(response, "answer")
                yield answer_from_proto(response)
        except grpc.aio.AioRpcError as error:
            raise _unreachable(self._partner, error) from None
        except (FieldInvalid, MessageMalformed) as error:
            raise PartnerUnreachable(f"'{self._partner}' answered a frame that breaks a rule: {error.text}") from None
        except asyncio.CancelledError:
            self._raise_if_closed()
            raise

    def _raise_if_closed(self) -> None:
        """Tell apart a link that we closed from a task that is cancelled: gRPC raises the same for both."""
        if self._closed:
            raise PartnerUnreachable(f"the link to '{self._partner}' was closed") from None

    async def close(self) -> None:
        """Close. Frames without an answer count as not sent."""
        self._closed = True
        self._call.cancel()
        await self._channel.close()


class GrpcCarrier:
    """Moves envelopes and receipts to partners that answer at one of their card's endpoints."""

    def __init__(self, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self._connect_timeout_s = connect_timeout_s

    async def connect(self, identity: LinkIdentity, card: Card) -> GrpcLink:
        """Open a link to the partner the card describes, at the first of its endpoints that answers.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """

        async def open_link(_: str, channel: grpc.aio.Channel, stub: Any) -> GrpcLink:
            # A stream shows a refusal only when it is read; a call shows at once whether both sides accept each other.
            await stub.Probe(pb.ProbeRequest(), timeout=self._connect_timeout_s)
            return GrpcLink(card.partner, channel, stub.Link())

        return await self._try_endpoints(identity, card, open_link, keep=True)

    async def fetch_card(self, identity: LinkIdentity, card: Card, own: SignedCard) -> SignedCard:
        """Exchange current cards; what comes back is not verified.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """

        async def fetch(_: str, __: grpc.aio.Channel, stub: Any) -> SignedCard:
            request = pb.GetCardRequest(card=signed_card_to_proto(own))
            response = await stub.GetCard(request, timeout=CALL_TIMEOUT_S)
            return signed_card_from_proto(response.card)

        return await self._try_endpoints(identity, card, fetch, keep=False)

    async def exchange_checkpoints(self, identity: LinkIdentity, card: Card, shown: ShownLogs) -> ShownLogs:
        """Show checkpoints with their proof and return those of the partner, not verified.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """

        async def exchange(_: str, __: grpc.aio.Channel, stub: Any) -> ShownLogs:
            request = shown_logs_to_request(shown)
            return shown_logs_from_proto(await stub.ExchangeCheckpoints(request, timeout=CALL_TIMEOUT_S))

        return await self._try_endpoints(identity, card, exchange, keep=False)

    async def prove_receipt(
        self, identity: LinkIdentity, card: Card, log_leaf: bytes, message_id: MessageId
    ) -> ShownProof:
        """Ask for the proof of a step that a receipt names, not verified.

        Raises:
            PartnerUnreachable: No answer, or not the partner, or it has no such step.
        """

        async def ask(_: str, __: grpc.aio.Channel, stub: Any) -> ShownProof:
            request = pb.ProveReceiptRequest(log_leaf=log_leaf, message_id=message_id.raw)
            response = await stub.ProveReceipt(request, timeout=CALL_TIMEOUT_S)
            return ShownProof(response.leaf, response.proof, response.disclosure)

        return await self._try_endpoints(identity, card, ask, keep=False)

    async def fetch_attachment(
        self, identity: LinkIdentity, card: Card, message_id: MessageId, attachment_id: bytes, offset: int
    ) -> AsyncIterator[bytes]:
        """Yield the sealed form of a file from an offset on, over a connection of its own: no link waits for it.

        Raises:
            PartnerUnreachable: No answer, not the partner, it has no such file, or the line broke.
        """

        async def begin(_: str, channel: grpc.aio.Channel, stub: Any) -> tuple[grpc.aio.Channel, Any, Any]:
            request = pb.FetchAttachmentRequest(message_id=message_id.raw, attachment_id=attachment_id, offset=offset)
            call = stub.FetchAttachment(request, timeout=FETCH_TIMEOUT_S)
            return channel, call, await asyncio.wait_for(call.read(), PIECE_TIMEOUT_S)

        channel, call, answer = await self._try_endpoints(identity, card, begin, keep=True)
        try:
            while answer is not grpc.aio.EOF:
                yield answer.data
                answer = await asyncio.wait_for(call.read(), PIECE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _unreachable(card.partner, error) from None
        except TimeoutError:
            raise PartnerUnreachable(f"'{card.partner}' stopped in the middle of a file") from None
        finally:
            call.cancel()
            await channel.close()

    async def probe(self, identity: LinkIdentity, card: Card) -> ProbeAnswer:
        """Ask the partner what it sees of us.

        Raises:
            PartnerUnreachable: No answer, or not the partner.
        """

        async def ask(endpoint: str, _: grpc.aio.Channel, stub: Any) -> ProbeAnswer:
            response = await stub.Probe(pb.ProbeRequest(), timeout=self._connect_timeout_s)
            return ProbeAnswer(
                endpoint=endpoint,
                partner=response.partner,
                certificate_digest=response.certificate_digest,
                time_ms=response.time_ms,
            )

        return await self._try_endpoints(identity, card, ask, keep=False)

    async def _try_endpoints(
        self,
        identity: LinkIdentity,
        card: Card,
        use: Callable[[str, grpc.aio.Channel, Any], Awaitable[T]],
        *,
        keep: bool,
    ) -> T:
        if not card.endpoints:
            raise PartnerUnreachable(f"the card of '{card.partner}' names no endpoint")
        causes = []
        for endpoint in card.endpoints:
            channel = _channel(endpoint, identity, card)
            kept = False
            try:
                result = await use(endpoint, channel, FederationServiceStub(channel))
                kept = keep
            except grpc.aio.AioRpcError as error:
                causes.append(f"{endpoint}: {cause_of(error)}")
            except TimeoutError:
                causes.append(f"{endpoint}: no answer in time")
            except (FieldInvalid, MessageMalformed) as error:
                causes.append(f"{endpoint}: the answer breaks a rule: {error.text}")
            else:
                return result
            finally:
                if not kept:
                    await channel.close()
        raise PartnerUnreachable(f"'{card.partner}' does not answer ({'; '.join(causes)})")


def _channel(endpoint: str, identity: LinkIdentity, card: Card) -> grpc.aio.Channel:
    roots = "".join(ssl.DER_cert_to_PEM_cert(der) for der in card.tls_roots).encode("ascii")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=roots,
        private_key=identity.private_key_pem,
        certificate_chain=identity.certificate_chain_pem,
    )
    options = [
        ("grpc.ssl_target_name_override", gateway_name(card.partner)),
        ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        # Links of two gateways must not share a connection by way of gRPC's global pool.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
    return grpc.aio.secure_channel(endpoint, credentials, options=options)


def _unreachable(partner: PartnerId, error: grpc.aio.AioRpcError) -> PartnerUnreachable:
    return PartnerUnreachable(f"the link to '{partner}' broke: {cause_of(error)}")


_CAUSES: Final = (
    ("Connection refused", "connection refused: nothing listens there"),
    ("No route to host", "no route to the host"),
    ("Network is unreachable", "the network is unreachable"),
    ("timed out", "no answer to the connection"),
    ("DNS resolution failed", "the name cannot be resolved"),
    ("Name or service not known", "the name cannot be resolved"),
    ("CERTIFICATE_VERIFY_FAILED", "TLS: its certificate does not lead to the roots in its card"),
    ("Hostname Verification", "TLS: its certificate is not that of the partner's gateway"),
    ("Peer name", "TLS: its certificate is not that of the partner's gateway"),
    ("handshake", "TLS: no agreement; does it know our current card, and we its?"),
    ("Ssl", "TLS: no agreement; does it know our current card, and we its?"),
    ("Socket closed", "closed by the other side; does it know our current card?"),
    ("Connection reset", "closed by the other side; does it know our current card?"),
    ("recvmsg", "closed by the other side"),
    ("GOAWAY", "the other side is stopping"),
    # grpc.aio puts this in the place of the status when the stream ends under a write.
    ("Internal error from Core", "the other side ended the link"),
)
"""Words of gRPC's details, the most telling first, and what they mean to an operator."""


def cause_of(error: grpc.aio.AioRpcError) -> str:
    """Return in words why a call failed: the partner's own words when it spoke, else what the connection says."""
    told = _told(error)
    if told:
        return told
    details = error.details() or ""
    for sign, meaning in _CAUSES:
        if sign.lower() in details.lower():
            return meaning
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "no answer in time"
        case grpc.StatusCode.CANCELLED:
            return "the link was closed"
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return "a message was larger than the other side takes"
        case code:
            return code.name.lower().replace("_", " ")


def _told(error: grpc.aio.AioRpcError) -> str:
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        info = error_details_pb2.ErrorInfo()
        try:
            status = status_pb2.Status.FromString(value)
            found = any(detail.Unpack(info) and info.domain == _DOMAIN for detail in status.details)
        except DecodeError:
            return ""
        if found:
            return f"it answers {_printable(info.reason, 63)}: {_printable(status.message, 200)}"
    return ""


def _printable(words: str, length: int) -> str:
    """Return a stranger's words as they may go to our operators' screens: bounded, and printable only."""
    return "".join(character for character in words[:length] if character.isprintable())
