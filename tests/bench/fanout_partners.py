"""A hundred partners in one process: each with keys, a card, a certificate and a listener of its own.

They are stand-ins: they really verify, open and sign, but keep nothing, so that what is measured is the sender.
Runs as `python -m tests.bench.fanout_partners --card FILE`, see `processes.serve`.
"""

import argparse
import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from concord.v1 import federation_service_pb2 as pb
from concord.v1 import partner_pb2
from concord.v1.federation_service_pb2_grpc import FederationServiceServicer, add_FederationServiceServicer_to_server

from gateway.clock import SystemClock
from gateway.crypto.cards import verify_first_card, verify_key_at
from gateway.crypto.certificates import der_to_pem
from gateway.crypto.envelope import EnvelopeOpener
from gateway.crypto.keyring import Keyring
from gateway.crypto.keys import VerifyKey
from gateway.crypto.receipts import sign_receipts
from gateway.exchange.own_card import renew_card
from gateway.ids import PartnerId
from gateway.model.envelope import Outcome, Receipt
from gateway.model.partner import Card, KeyPurpose, SignedCard
from gateway.ports import FrameAnswer
from gateway.profiles import load_profiles
from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.envelope import answer_to_proto, frame_from_proto
from gateway.rpc.convert.partner import signed_card_from_proto, signed_card_to_proto
from tests.bench.processes import serve

CODEC = WireCodec()
CLOCK = SystemClock()


class Partner(FederationServiceServicer):
    """One partner: opens what the sender sends it and answers with signed receipts."""

    def __init__(self, keyring: Keyring, sender: Card) -> None:
        now_ms = CLOCK.now_ms()
        self.keyring = keyring
        self.card: SignedCard | None = None
        self._sender = sender
        self._opener = EnvelopeOpener(keyring.partner, keyring.open_keys(now_ms, 0), frozenset(), CODEC)

    async def Link(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.LinkResponse]:
        """Answer each frame with receipts for all it carries."""
        async for request in request_iterator:
            yield self._answer(request)

    async def Probe(self, request: Any, context: Any) -> pb.ProbeResponse:
        """Answer, so that the link opens."""
        return pb.ProbeResponse(partner=self._sender.partner.code, time_ms=CLOCK.now_ms())

    async def GetCard(self, request: Any, context: Any) -> pb.GetCardResponse:
        """Return the card."""
        assert self.card is not None
        return pb.GetCardResponse(card=signed_card_to_proto(self.card))

    def _answer(self, request: pb.LinkRequest) -> pb.LinkResponse:
        now_ms = CLOCK.now_ms()
        frame = frame_from_proto(request)

        def verify_key(key_id: bytes) -> VerifyKey:
            return verify_key_at(self._sender, key_id, KeyPurpose.ENVELOPE, now_ms, 0)

        receipts = []
        for envelope in frame.envelopes:
            opened = self._opener.open(envelope, sender=self._sender.partner, verify_keys=verify_key, now_ms=now_ms)
            CODEC.decode_body(opened.body_bytes)
            receipts.append(
                Receipt(
                    envelope_digest=opened.digest,
                    outcome=Outcome.RECEIVED,
                    time_ms=now_ms,
                    reason="",
                    log_position=0,
                    log_leaf=b"",
                )
            )
        batch = None
        if receipts:
            keyring = self.keyring
            batch, _ = sign_receipts(receipts, issuer=keyring.partner, sign_key=keyring.receipt, codec=CODEC)
        return answer_to_proto(
            FrameAnswer(
                sequence=frame.sequence, receipts=batch, repeats=(), deferrals=(), card=None,
                receipts_stored=bool(frame.receipts),
            )
        )  # fmt: skip


async def run(sender_card: bytes, partners_dir: Path) -> None:
    """Listen as every partner of the folder but the sender, until the input ends."""
    now_ms = CLOCK.now_ms()
    sender = verify_first_card(signed_card_from_proto(partner_pb2.SignedCard.FromString(sender_card)), CODEC).card
    roots = b"".join(der_to_pem(der) for der in sender.tls_roots)
    servers, cards = [], []
    for code, profile in load_profiles(partners_dir).items():
        if code == sender.partner:
            continue
        partner = Partner(Keyring.generate(PartnerId.parse(code.code), now_ms), sender)
        server = grpc.aio.server()
        add_FederationServiceServicer_to_server(partner, server)
        keyring = partner.keyring
        credentials = grpc.ssl_server_credentials(
            [(keyring.tls_key_pem, keyring.tls_certificate_pem)], root_certificates=roots, require_client_auth=True
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        partner.keyring, partner.card = renew_card(
            keyring, profile, (f"127.0.0.1:{port}",), current=None, codec=CODEC, now_ms=now_ms
        )
        await server.start()
        servers.append(server)
        cards.append(
            {
                "card": base64.b64encode(signed_card_to_proto(partner.card).SerializeToString()).decode(),
                "identity": partner.keyring.identity.verify_key.public.hex(),
            }
        )
    await serve({"cards": cards}, {})
    await asyncio.gather(*(server.stop(0) for server in servers))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--card", required=True, type=Path, help="the sender's card, a SignedCard in wire format")
    parser.add_argument("--partners-dir", required=True, type=Path)
    options = parser.parse_args()
    asyncio.run(run(options.card.read_bytes(), options.partners_dir))


if __name__ == "__main__":
    main()
