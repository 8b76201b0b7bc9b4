import asyncio
import hashlib
import time

import grpc
import pytest
from concord.v1 import federation_service_pb2 as pb
from concord.v1.federation_service_pb2_grpc import FederationServiceStub
from grpc_status import rpc_status
from structlog.testing import capture_logs

from adapters.carriers.grpc_link import GrpcCarrier
from gateway.crypto.certificates import pem_to_der
from gateway.errors import EnvelopeRejected, PartnerUnreachable, StoreUnavailable
from gateway.model.envelope import Envelope, MerklePath, ReceiptBatch
from gateway.ports import OutgoingFrame
from gateway.rpc.convert.envelope import frame_to_proto
from gateway.rpc.methods import FRAME_BYTES
from gateway.rpc.status import INTERNAL_TEXT, from_status
from tests.integration.rpc_setup import (
    LA,
    SIGNED,
    TH,
    VN,
    card_of,
    channel,
    federation,
    identity_of,
    state,
    system_identity,
    until,
)

TH_STATE, VN_STATE, LA_STATE = state(TH), state(VN), state(LA)
ROOT = TH_STATE.authority[1]


def frame(sequence: int, *, receipts: bool = True, envelopes: int = 0) -> OutgoingFrame:
    batch = ReceiptBatch(issuer=VN, signing_key_id=b"k" * 8, receipts=(b"r",), signature=b"s" * 64)
    envelope = Envelope(
        header=b"h",
        ciphertext=b"c",
        record=b"r",
        record_path=MerklePath(0, 1, b""),
        batch_path=MerklePath(0, 1, b""),
        signature=b"s" * 64,
        encapsulation=b"e" * 1168,
    )
    return OutgoingFrame(sequence=sequence, envelopes=(envelope,) * envelopes, receipts=(batch,) if receipts else ())


async def refusal(call) -> tuple[grpc.StatusCode, str]:
    """Return code and reason with which a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    told = from_status(status) if status is not None else None
    return caught.value.code(), told.reason if told else ""


def stub(of, port: int) -> FederationServiceStub:
    """A stub whose channel lives as long as the stub."""
    return FederationServiceStub(channel(of, ROOT, port))


async def probe(identity, port: int):
    async with channel(identity, ROOT, port) as open_channel:
        return await FederationServiceStub(open_channel).Probe(pb.ProbeRequest(), timeout=5)


async def test_a_partner_is_known_by_its_certificate():
    async with federation(TH_STATE, VN_STATE) as th:
        answer = await probe(VN_STATE.identity, th.port)
        assert answer.partner == "vn"
        leaf = pem_to_der(VN_STATE.identity.certificate_chain_pem)
        assert answer.certificate_digest == hashlib.sha256(leaf).digest()
        assert th.heard == [VN]
        assert th.rejected.latest() == ()


async def test_another_partners_authority_cannot_mint_the_name():
    async with federation(TH_STATE, VN_STATE, LA_STATE) as th:
        assert await refusal(probe(LA_STATE.claims(VN), th.port)) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "CALLER_UNKNOWN",
        )
        (rejected,) = th.rejected.latest()
        assert rejected.reason == "CALLER_UNKNOWN"
        assert len(rejected.fingerprint) == 64
        assert (rejected.claimed_id, rejected.listener.value) == ("spiffe://vn/gateway", "federation")
        assert (rejected.detail, rejected.count) == ("the certificate does not lead to a root of this partner", 1)
        assert rejected.address.startswith("ipv4:127.0.0.1:")
        # Both go on being themselves.
        assert (await probe(VN_STATE.identity, th.port)).partner == "vn"
        assert (await probe(LA_STATE.identity, th.port)).partner == "la"


async def test_who_is_no_partner_is_refused():
    async with federation(TH_STATE, VN_STATE) as th:
        # By TLS when nothing leads to a known root, by the guard when a known authority names a stranger.
        assert (await refusal(probe(LA_STATE.identity, th.port)))[0] is grpc.StatusCode.UNAVAILABLE
        assert (await refusal(probe(None, th.port)))[0] is grpc.StatusCode.UNAVAILABLE
        assert await refusal(probe(VN_STATE.claims(LA), th.port)) == (grpc.StatusCode.NOT_FOUND, "PARTNER_UNKNOWN")


async def test_systems_and_our_own_gateway_are_no_partners():
    async with federation(TH_STATE, VN_STATE) as th:
        for identity, reason in (
            (system_identity(VN_STATE, "early-warning"), "CALLER_UNKNOWN"),
            (system_identity(TH_STATE, "early-warning"), "CALLER_UNKNOWN"),
            (TH_STATE.identity, "PARTNER_UNKNOWN"),
        ):
            assert (await refusal(probe(identity, th.port)))[1] == reason


async def test_an_expired_certificate_is_refused():
    async with federation(TH_STATE, VN_STATE) as th:
        old = identity_of(VN_STATE.authority, VN, now_ms=1_600_000_000_000)
        assert (await refusal(probe(old, th.port)))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_frozen_partner_is_refused_and_a_thawed_one_is_not():
    async with federation(TH_STATE, VN_STATE) as th:
        link = stub(VN_STATE.identity, th.port)
        await link.Probe(pb.ProbeRequest(), timeout=5)
        th.directory.change(VN, frozen=True)
        assert await refusal(link.Probe(pb.ProbeRequest(), timeout=5)) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "PARTNER_FROZEN",
        )
        th.directory.change(VN, frozen=False)
        assert (await link.Probe(pb.ProbeRequest(), timeout=5)).partner == "vn"


async def open_link(identity, port: int):
    call = stub(identity, port).Link()
    await call.write(frame_to_proto(frame(1)))
    assert (await call.read()).sequence == 1
    return call


async def test_freezing_a_partner_closes_its_streams_within_a_second_and_no_others():
    async with federation(TH_STATE, VN_STATE, LA_STATE) as th:
        theirs = await open_link(VN_STATE.identity, th.port)
        others = await open_link(LA_STATE.identity, th.port)
        assert th.listener.guard.open_streams == 2
        began = time.monotonic()
        th.directory.change(VN, frozen=True)
        assert await refusal(theirs.read()) == (grpc.StatusCode.FAILED_PRECONDITION, "PARTNER_FROZEN")
        assert time.monotonic() - began < 1
        await others.write(frame_to_proto(frame(2)))
        assert (await others.read()).sequence == 2


async def test_removing_a_partner_closes_its_streams_and_an_added_one_is_let_in():
    async with federation(TH_STATE, VN_STATE, LA_STATE) as th:
        theirs = await open_link(VN_STATE.identity, th.port)
        others = await open_link(LA_STATE.identity, th.port)
        connected = stub(VN_STATE.identity, th.port)
        await connected.Probe(pb.ProbeRequest(), timeout=5)
        card = th.directory.cards[VN]
        th.directory.remove(VN)
        assert await refusal(theirs.read()) == (grpc.StatusCode.NOT_FOUND, "PARTNER_UNKNOWN")
        # A connection made before is worth nothing either.
        assert (await refusal(connected.Probe(pb.ProbeRequest(), timeout=5)))[1] == "PARTNER_UNKNOWN"
        await others.write(frame_to_proto(frame(2)))
        assert (await others.read()).sequence == 2
        th.directory.change(VN, card)
        assert (await connected.Probe(pb.ProbeRequest(), timeout=5)).partner == "vn"
        assert th.listener.guard.open_streams == 1
        others.cancel()


async def test_a_card_with_other_roots_closes_streams_that_no_longer_lead_to_them():
    async with federation(TH_STATE, VN_STATE) as th:
        link = await open_link(VN_STATE.identity, th.port)
        th.directory.change(VN, card_of(VN_STATE, roots=(VN_STATE.root, LA_STATE.root)))
        await link.write(frame_to_proto(frame(2)))
        assert (await link.read()).sequence == 2
        th.directory.change(VN, card_of(VN_STATE, roots=(LA_STATE.root,)))
        assert await refusal(link.read()) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN")


async def test_a_certificate_is_renewed_without_a_restart():
    async with federation(TH_STATE, VN_STATE) as th:
        await probe(VN_STATE.identity, th.port)
        other = state(TH)
        th.shown[0] = other.identity
        async with channel(VN_STATE.identity, other.authority[1], th.port) as renewed:
            answer = await FederationServiceStub(renewed).Probe(pb.ProbeRequest(), timeout=5)
        assert answer.partner == "vn"
        assert (await refusal(probe(VN_STATE.identity, th.port)))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_partner_added_while_running_is_let_in():
    async with federation(TH_STATE) as th:
        assert (await refusal(probe(VN_STATE.identity, th.port)))[0] is grpc.StatusCode.UNAVAILABLE
        th.directory.change(VN, card_of(VN_STATE))
        assert (await probe(VN_STATE.identity, th.port)).partner == "vn"


async def test_frames_are_answered_in_their_order_with_several_in_work():
    async with federation(TH_STATE, VN_STATE) as th:
        th.receiving.gate = asyncio.Event()
        call = stub(VN_STATE.identity, th.port).Link()
        for sequence in range(1, 13):
            await call.write(frame_to_proto(frame(sequence)))
        await until(lambda: th.receiving.running == 4)
        th.receiving.gate.set()
        await call.done_writing()
        answers = [(answer.sequence, answer.receipts_stored) async for answer in call]
        assert answers == [(number, True) for number in range(1, 13)]
        assert await call.code() is grpc.StatusCode.OK
        assert th.receiving.most == 4
        assert [partner for partner, _ in th.receiving.frames] == [VN] * 12


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff", "FRAME_MALFORMED"),
        (pb.LinkRequest(sequence=1, encapsulations=[b"short"]).SerializeToString(), "FRAME_MALFORMED"),
        (pb.LinkRequest(sequence=7).SerializeToString(), "FRAME_MALFORMED"),
        (b"\x0a" * (FRAME_BYTES + 1), "MESSAGE_TOO_LARGE"),
    ],
    ids=["bytes", "rule", "number", "size"],
)
async def test_a_frame_that_cannot_be_taken_closes_the_link_after_the_answers_before_it(data, reason):
    async with federation(TH_STATE, VN_STATE) as th, channel(VN_STATE.identity, ROOT, th.port) as raw:
        call = raw.stream_stream("/concord.v1.FederationService/Link")()
        if reason == "MESSAGE_TOO_LARGE" or data[:1] == b"\xff":
            await call.write(frame_to_proto(frame(1)).SerializeToString())
            assert pb.LinkResponse.FromString(await call.read()).sequence == 1
        await call.write(data)
        assert await refusal(call.read()) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_a_store_that_takes_nothing_defers_the_frame_and_keeps_the_link():
    async with federation(TH_STATE, VN_STATE) as th:
        th.receiving.error = StoreUnavailable()
        call = stub(VN_STATE.identity, th.port).Link()
        await call.write(frame_to_proto(frame(1, envelopes=2)))
        answer = await call.read()
        assert [(item.index, item.reason) for item in answer.deferrals] == [
            (0, "STORE_UNAVAILABLE"),
            (1, "STORE_UNAVAILABLE"),
        ]
        assert not answer.receipts_stored
        th.receiving.error = None
        await call.write(frame_to_proto(frame(2)))
        assert (await call.read()).receipts_stored
        call.cancel()


async def test_receipts_that_do_not_verify_close_the_link_without_saying_why():
    async with federation(TH_STATE, VN_STATE) as th:
        th.receiving.error = EnvelopeRejected("receipt issuer")
        call = stub(VN_STATE.identity, th.port).Link()
        await call.write(frame_to_proto(frame(1)))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert from_status(rpc_status.from_call(caught.value)).reason == "ENVELOPE_REJECTED"
        assert "issuer" not in caught.value.details()


async def test_a_bug_answers_an_incident_and_no_detail():
    async with federation(TH_STATE, VN_STATE) as th:
        th.receiving.error = ValueError("name of a person")
        call = stub(VN_STATE.identity, th.port).Link()
        with capture_logs() as logs:
            await call.write(frame_to_proto(frame(1)))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INTERNAL, INTERNAL_TEXT)
        told = from_status(rpc_status.from_call(caught.value))
        (logged,) = [entry for entry in logs if entry["event"] == "call.failed"]
        assert told.incident_id == logged["incident_id"]
        assert logged["error_type"] == "ValueError"
        assert "take_in" in logged["frames"]
        assert "person" not in str(logs)
        assert "person" not in repr(caught.value.trailing_metadata())


async def test_a_stream_ends_cleanly_at_its_age_with_its_last_answers():
    async with federation(TH_STATE, VN_STATE, max_stream_age_s=0.2) as th:
        th.receiving.gate = asyncio.Event()
        call = stub(VN_STATE.identity, th.port).Link()
        await call.write(frame_to_proto(frame(1)))
        asyncio.get_running_loop().call_later(0.3, th.receiving.gate.set)
        assert [answer.sequence async for answer in call] == [1]
        assert await call.code() is grpc.StatusCode.OK


async def test_stopping_ends_links_cleanly_with_their_last_answers():
    async with federation(TH_STATE, VN_STATE) as th:
        call = await open_link(VN_STATE.identity, th.port)
        began = time.monotonic()
        await th.listener.stop(5)
        assert time.monotonic() - began < 2
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_a_caller_that_goes_away_is_no_incident():
    async with federation(TH_STATE, VN_STATE) as th:
        with capture_logs() as logs:
            call = await open_link(VN_STATE.identity, th.port)
            call.cancel()
            await until(lambda: th.listener.guard.open_streams == 0)
        assert logs == []


async def test_a_call_without_a_deadline_is_refused():
    async with federation(TH_STATE, VN_STATE) as th:
        link = stub(VN_STATE.identity, th.port)
        assert await refusal(link.Probe(pb.ProbeRequest())) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
        code, reason = await refusal(link.Probe(pb.ProbeRequest(), timeout=0.08))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert reason in {"DEADLINE_TOO_SHORT", ""}


async def test_methods_of_other_listeners_do_not_exist_here():
    async with federation(TH_STATE, VN_STATE) as th, channel(VN_STATE.identity, ROOT, th.port) as raw:
        for name in ("ExchangeService/SubmitMessage", "AdminService/GetStatus", "FederationService/Unknown"):
            code, _ = await refusal(raw.unary_unary(f"/concord.v1.{name}")(b"", timeout=5))
            assert code is grpc.StatusCode.UNIMPLEMENTED


# --- the carrier -----------------------------------------------------------------------------------------------


async def test_the_carrier_links_and_brings_answers():
    async with federation(TH_STATE, VN_STATE) as th:
        link = await GrpcCarrier().connect(VN_STATE.identity, th.card)
        for number in range(1, 4):
            await link.send(frame(number, envelopes=3))
        answers = link.answers()
        assert [(await anext(answers)).sequence for _ in range(3)] == [1, 2, 3]
        taken = [item for _, item in th.receiving.frames]
        assert sorted(item.sequence for item in taken) == [1, 2, 3]
        assert all(item.envelopes[0].ciphertext == b"c" for item in taken)
        await link.close()


async def test_the_carrier_exchanges_cards_and_probes():
    async with federation(TH_STATE, VN_STATE) as th:
        carrier = GrpcCarrier()
        assert await carrier.fetch_card(VN_STATE.identity, th.card, SIGNED) == SIGNED
        assert th.directory.offered == [(VN, SIGNED)]
        answer = await carrier.probe(VN_STATE.identity, th.card)
        assert (answer.partner, answer.endpoint) == ("vn", th.endpoint)
        assert abs(answer.time_ms - time.time_ns() // 1_000_000) < 5000


async def test_the_carrier_takes_the_next_endpoint_when_one_does_not_answer():
    async with federation(TH_STATE, VN_STATE) as th:
        card = card_of(TH_STATE, "127.0.0.1:1", th.endpoint)
        link = await GrpcCarrier().connect(VN_STATE.identity, card)
        await link.close()


async def unreachable(coroutine) -> str:
    with pytest.raises(PartnerUnreachable) as caught:
        await coroutine
    return caught.value.text


async def test_the_carrier_says_in_words_why_a_partner_is_not_reached():
    async with federation(TH_STATE, VN_STATE) as th:
        connect = GrpcCarrier().connect
        assert "connection refused" in await unreachable(connect(VN_STATE.identity, card_of(TH_STATE, "127.0.0.1:1")))
        assert "names no endpoint" in await unreachable(connect(VN_STATE.identity, card_of(TH_STATE)))
        # Its certificate leads elsewhere: somebody else listens at its address, or its card is old.
        wrong = card_of(TH_STATE, th.endpoint, roots=(LA_STATE.root,))
        assert "TLS" in await unreachable(connect(VN_STATE.identity, wrong))
        # It does not know us.
        assert "closed by the other side" in await unreachable(connect(LA_STATE.identity, th.card))


async def test_the_carrier_insists_on_the_partners_own_gateway():
    """Another machine of the same state has a certificate of the same authority, but not the gateway's name."""
    impostor = system_identity(TH_STATE, "early-warning")
    async with federation(TH_STATE, VN_STATE) as th:
        th.shown[0] = impostor
        assert "TLS" in await unreachable(GrpcCarrier().connect(VN_STATE.identity, th.card))


async def test_the_carrier_passes_on_the_partners_own_words():
    async with federation(TH_STATE, VN_STATE, LA_STATE) as th:
        # vn's certificate leads to a root that th trusts for the handshake, but not for vn.
        th.directory.cards[VN] = card_of(VN_STATE, roots=(LA_STATE.root,))
        th.directory.cards[LA] = card_of(LA_STATE, roots=(VN_STATE.root,))
        assert "CALLER_UNKNOWN" in await unreachable(GrpcCarrier().connect(VN_STATE.identity, th.card))


async def test_a_link_that_breaks_is_told_to_sender_and_reader():
    async with federation(TH_STATE, VN_STATE) as th:
        link = await GrpcCarrier().connect(VN_STATE.identity, th.card)
        await link.send(frame(1))
        answers = link.answers()
        await anext(answers)
        th.directory.change(VN, frozen=True)
        assert "PARTNER_FROZEN" in await unreachable(anext(answers))
        await unreachable(link.send(frame(2)))
        await link.close()


async def test_answers_end_quietly_when_the_partner_ends_the_link():
    async with federation(TH_STATE, VN_STATE, max_stream_age_s=0.05) as th:
        link = await GrpcCarrier().connect(VN_STATE.identity, th.card)
        assert [answer async for answer in link.answers()] == []
        await unreachable(link.send(frame(1)))
        await link.close()


async def test_a_closed_link_is_told_to_its_reader():
    async with federation(TH_STATE, VN_STATE) as th:
        link = await GrpcCarrier().connect(VN_STATE.identity, th.card)
        waiting = asyncio.ensure_future(anext(link.answers()))
        await asyncio.sleep(0)
        await link.close()
        assert "was closed" in await unreachable(waiting)
        await unreachable(link.send(frame(1)))
