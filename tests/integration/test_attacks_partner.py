"""What a partner gone bad, or a stranger on the network, does to a real gateway, and that the others go on."""

import asyncio
import os
import socket
import time
from dataclasses import replace

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_status import rpc_status

from gateway.crypto.receipts import sign_receipts
from gateway.exchange.directory import CARDS_BURST
from gateway.model.envelope import Outcome, Receipt
from gateway.model.header import Urgency
from gateway.rpc.methods import MAX_LINKS
from gateway.rpc.status import from_status
from tests.fixtures.hostile import CODEC, HostilePartner, Target
from tests.fixtures.quick_gateways import QuickGateway, quick_gateways

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def th(tmp_path_factory):
    with quick_gateways(tmp_path_factory.mktemp("attacks"), "th") as (gateway,):
        yield gateway


@pytest.fixture(scope="module")
def honest(th) -> HostilePartner:
    partner = HostilePartner("la")
    partner.join(th)
    return partner


@pytest.fixture(scope="module")
def target(th) -> Target:
    return Target.of(th)


_CODES = iter(("cn", "vn", "kh", "mm", "my", "sg", "ph", "id", "bn", "jp", "kr", "au"))


@pytest.fixture
def bad(th) -> HostilePartner:
    """A new enemy for each test, so that none profits from what another has used up."""
    partner = HostilePartner(next(_CODES))
    partner.join(th)
    return partner


async def delivers(honest: HostilePartner, target: Target) -> float:
    """Let the honest partner deliver a flash message; return how long it took, in seconds."""
    began = time.perf_counter()
    answer = await honest.deliver(target, *honest.seal(target, [honest.item(target, urgency=Urgency.U0)]))
    (receipt,) = answer.receipts.receipts
    assert CODEC.decode_receipt(receipt).outcome is Outcome.RECEIVED
    return time.perf_counter() - began


async def reason(call) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    told = from_status(rpc_status.from_call(caught.value))
    assert told is not None
    return told.reason


def copy_of_name(root: bytes) -> bytes:
    """Return another root with the same name and key id."""
    known = x509.load_der_x509_certificate(root)
    key = ec.generate_private_key(ec.SECP256R1())
    # TLS compares names without regard to case and white space.
    (name,) = known.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f" {name.value.upper()} ")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(known.not_valid_before_utc)
        .not_valid_after(known.not_valid_after_utc)
    )
    for extension in known.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


# --- cards -------------------------------------------------------------------------------------------------------


async def test_a_root_with_the_name_of_another_partners_root_is_refused(honest, bad, target):
    """TLS would take it for the other's issuer and lock the other out."""
    shadow = copy_of_name(honest.card.tls_roots[0])
    for roots in ((shadow, *bad.card.tls_roots), (*bad.card.tls_roots, shadow, *honest.card.tls_roots)):
        assert await reason(bad.offer(target, bad.signed(sequence=2, tls_roots=roots))) == "CARD_REJECTED"
    await delivers(honest, target)


async def test_a_root_that_tls_cannot_load_is_refused(honest, bad, target):
    leaf = x509.load_pem_x509_certificate(bad.keyring.tls_certificate_pem)
    for root in (b"garbage", leaf.public_bytes(serialization.Encoding.DER), bad.card.tls_roots[0] + b"\x00"):
        assert await reason(bad.offer(target, bad.signed(sequence=2, tls_roots=(root,)))) == "CARD_REJECTED"
    await delivers(honest, target)


@pytest.mark.parametrize("sequence", [1 << 63, (1 << 64) - 1])
async def test_a_card_whose_number_no_database_keeps_is_refused(bad, target, sequence):
    assert await reason(bad.offer(target, bad.signed(sequence=sequence))) == "CARD_REJECTED"


async def test_cards_without_end_do_not_fill_the_disk(bad, target):
    card = bad.signed()
    for _ in range(CARDS_BURST):
        card = bad.follow(card)
        await bad.offer(target, card)
    assert await reason(bad.offer(target, bad.follow(card))) == "QUOTA_EXCEEDED"
    # The card that is known costs nothing, and is still answered.
    await bad.offer(target, card)


async def test_another_partners_card_and_an_older_or_forked_one_are_refused(honest, bad, target):
    first = bad.follow(bad.signed())
    await bad.offer(target, first)
    third = bad.follow(first)
    await bad.offer(target, third)
    for card in (
        honest.signed(sequence=9),
        bad.signed(partner=honest.partner, sequence=9),
        bad.signed(),
        first,
        bad.follow(first, time_zone="Asia/Bangkok"),
        bad.signed(sequence=4, previous_digest=b"f" * 32),
    ):
        assert await reason(bad.offer(target, card)) == "CARD_REJECTED"


# --- memory and time ---------------------------------------------------------------------------------------------


async def test_strangers_who_connect_by_the_hundred_do_not_end_the_gateway(th: QuickGateway, honest, target):
    for _ in range(2):
        connections = [socket.create_connection(("127.0.0.1", target.port), 5) for _ in range(1000)]
        await delivers(honest, target)
        for connection in connections:
            connection.close()
        await asyncio.sleep(0.05)
        await delivers(honest, target)
    assert th.exit_code() is None


async def test_a_partner_holds_two_links_and_a_third_ends_the_oldest(bad, honest, target):
    async with bad.channel(target) as channel:
        links = []
        for _ in range(MAX_LINKS + 1):
            link = bad.stub(channel).Link()
            await link.write(bad.frame())
            assert (await link.read()).sequence == 1
            links.append(link)
        assert await reason(links[0].read()) == "QUOTA_EXCEEDED"
        for link in links[1:]:
            await link.write(bad.frame(sequence=2))
            assert (await link.read()).sequence == 2
    await delivers(honest, target)


async def test_streams_of_large_frames_whose_answers_nobody_reads_leave_memory_and_others_alone(
    th: QuickGateway, bad, honest, target
):
    (small,) = bad.seal(target, [bad.item(target)])
    frame = bad.frame([replace(small, ciphertext=os.urandom(2 << 20))])

    async def pump(link) -> None:
        for sequence in range(1, 50):
            copy = type(frame)()
            copy.CopyFrom(frame)
            copy.sequence = sequence
            await link.write(copy)

    before_mb = th.rss_mb()
    async with bad.channel(target) as channel:
        links = [bad.stub(channel).Link() for _ in range(16)]
        pumps = [asyncio.create_task(pump(link)) for link in links]
        await asyncio.sleep(0.5)
        took = [await delivers(honest, target) for _ in range(3)]
        grown_mb = th.rss_mb() - before_mb
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    # Without a bound: 1.5 GB and 5 s.
    assert grown_mb < 500
    assert min(took) < 3


async def test_a_frame_of_more_receipts_than_the_gateway_can_verify_between_two_others_is_refused(bad, target):
    def batch(number: int):
        receipts = [
            Receipt(
                envelope_digest=(number << 16 | place).to_bytes(32, "big"),
                outcome=Outcome.DECIDED,
                time_ms=1,
                reason="",
                log_position=0,
                log_leaf=b"",
            )
            for place in range(1024)
        ]
        return sign_receipts(receipts, issuer=bad.partner, sign_key=bad.keyring.receipt, codec=CODEC)[0]

    async with bad.channel(target) as channel:
        link = bad.stub(channel).Link()
        await link.write(bad.frame(receipts=[batch(1)]))
        assert (await link.read()).receipts_stored
        await link.write(bad.frame(receipts=[batch(2), batch(3)], sequence=2))
        assert await reason(link.read()) == "FIELD_INVALID"
