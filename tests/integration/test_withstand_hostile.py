"""A partner that turns hostile: it has a good identity and sends what it should not. All is refused, and signed for."""

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass, replace

import grpc
import pytest
from concord.v1 import federation_service_pb2 as pb
from concord.v1.federation_service_pb2_grpc import FederationServiceStub

from gateway.cli.admin import AdminClient
from gateway.clock import SystemClock
from gateway.crypto.cards import seal_key_of, verify_key_at
from gateway.crypto.certificates import der_to_pem
from gateway.crypto.digests import batch_frame
from gateway.crypto.envelope import SealingItem, envelope_digest, seal_batch
from gateway.crypto.keyring import Keyring
from gateway.crypto.merkle import leaf_hash, root_and_paths, root_from_path
from gateway.crypto.receipts import sign_receipts, verify_proof, verify_receipts
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.installation import find_passphrase, open_home
from gateway.model.envelope import Envelope, Outcome, Receipt
from gateway.model.header import Kind, Mode, Urgency
from gateway.model.partner import Card, KeyPurpose, gateway_name
from gateway.ports import OutgoingFrame
from gateway.rpc.convert import WireCodec
from gateway.rpc.convert.envelope import answer_from_proto, frame_to_proto
from gateway.rpc.convert.message import draft_from_proto
from gateway.rpc.convert.partner import signed_card_from_proto
from tests.fixtures.killing_gateway import unstretched_passphrases
from tests.fixtures.ledger import settled
from tests.fixtures.load import System, count_rows, query, reason_of, requests
from tests.fixtures.quick_gateways import QuickGateway, quick_gateways

CODEC = WireCodec()
CN, TH, LA = PartnerId("cn"), PartnerId("th"), PartnerId("la")
DAY_MS = 86_400_000
AUTHORITY = {"la": "la/meteorology-hydrology", "cn": "cn/emergency-management"}


def card_of(gateway: QuickGateway) -> Card:
    with AdminClient(gateway.home) as admin:
        return CODEC.decode_card(signed_card_from_proto(admin.own_card().card).card)


def keyring_of(gateway: QuickGateway) -> Keyring:
    passphrase = find_passphrase(gateway.passphrase_file, {})
    with unstretched_passphrases():
        return open_home(gateway.home, passphrase).keyring


@dataclass
class World:
    """A live gateway "th", an honest "cn", and "la", whose keys somebody hostile holds."""

    cn: QuickGateway
    th: QuickGateway
    cards: dict[PartnerId, Card]
    rings: dict[PartnerId, Keyring]

    def seal(self, sender=LA, recipient=TH, *, authority=None, body=None, **changes) -> Envelope:
        """Seal an alert as one partner for another, as their gateways would but for the changes."""
        now_ms = SystemClock().now_ms()
        (request,) = requests(1, recipient.code, authority=authority or AUTHORITY[sender.code])
        message_id = MessageId.new(now_ms)
        values = {
            "message_id": message_id,
            "kind": Kind.ALERT,
            "thread_id": ThreadId(message_id.raw),
            "in_reply_to": None,
            "supersedes": None,
            "mode": Mode.EXERCISE,
            "urgency": Urgency.U2,
            "create_ms": now_ms,
            "expire_ms": now_ms + DAY_MS,
            "body_bytes": body if body is not None else draft_from_proto(request.draft).body_bytes,
            "recipients": ((recipient, b""),),
        }
        batch = seal_batch(
            [SealingItem(**{**values, **changes})],
            sender=sender,
            sign_key=self.rings[sender].envelope,
            seal_keys={recipient: seal_key_of(self.cards[recipient], now_ms)},
            codec=CODEC,
            now_ms=now_ms,
        )
        (sealed,) = batch.envelopes
        (record,) = sealed.records
        return Envelope(
            header=sealed.header_bytes,
            ciphertext=sealed.ciphertext,
            record=record.record_bytes,
            record_path=record.path,
            batch_path=sealed.batch_path,
            signature=sealed.signature,
            encapsulation=batch.encapsulations[record.encapsulation_digest],
        )

    def forge(self, envelope: Envelope, **header) -> Envelope:
        """Change the header of an envelope of "la" and sign it again."""
        header_bytes = CODEC.encode_header(replace(CODEC.decode_header(envelope.header), **header))
        digest = digest_of(replace(envelope, header=header_bytes))
        root, (path,) = root_and_paths([leaf_hash(digest)])
        signature = self.rings[LA].envelope.sign(batch_frame(LA, root, 1))
        return replace(envelope, header=header_bytes, batch_path=path, signature=signature)

    @contextlib.asynccontextmanager
    async def link(self):
        """Open a link to "th" with the identity of "la"."""
        ring = self.rings[LA]
        credentials = grpc.ssl_channel_credentials(
            b"".join(der_to_pem(root) for root in self.cards[TH].tls_roots), ring.tls_key_pem, ring.tls_certificate_pem
        )
        options = [("grpc.ssl_target_name_override", gateway_name(TH))]
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.th.federation_port}", credentials, options) as channel:
            yield FederationServiceStub(channel).Link()

    async def send(self, *envelopes: Envelope, receipts=()):
        """Send one frame on a link of its own; return the answer."""
        async with self.link() as call:
            await call.write(frame_to_proto(OutgoingFrame(sequence=1, envelopes=envelopes, receipts=receipts)))
            answer = await call.read()
            assert isinstance(answer, pb.LinkResponse)
            return answer_from_proto(answer)

    def told(self, answer) -> list[tuple[bytes, Outcome, str]]:
        """Return what an answer states, verified with the receipt key of "th"."""
        batch = answer.receipts
        assert batch is not None
        now_ms = SystemClock().now_ms()
        key = verify_key_at(self.cards[TH], batch.signing_key_id, KeyPurpose.RECEIPT, now_ms, 0)
        stated = [receipt for receipt, _ in verify_receipts(batch, key, CODEC)]
        return [(receipt.envelope_digest, receipt.outcome, receipt.reason) for receipt in stated]

    def stored(self) -> tuple[int, int, int]:
        """Return how many messages and events "th" has, and how many of the messages have their key."""
        with contextlib.closing(sqlite3.connect(self.th.store)) as store:
            store.execute("attach ? as keys", (str(self.th.store.with_name("keys.db")),))
            (key_count,) = store.execute(
                "select count(*) from received join keys.message_key using (key_id) where wrapped != x''"
            ).fetchone()
        return count_rows(self.th, "received"), count_rows(self.th, "event"), key_count


def digest_of(envelope: Envelope) -> bytes:
    root = root_from_path(leaf_hash(envelope.record), envelope.record_path)
    return envelope_digest(envelope.header, envelope.ciphertext, envelope.record_path.size, root)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with quick_gateways(tmp_path_factory.mktemp("hostile"), "cn", "th", "la") as (cn, th, la):
        by_id = {CN: cn, TH: th, LA: la}
        cards = {partner: card_of(gateway) for partner, gateway in by_id.items()}
        rings = {partner: keyring_of(gateway) for partner, gateway in by_id.items()}
        la.kill()
        yield World(cn, th, cards, rings)


async def test_what_the_hostile_partner_sends_in_good_form_is_received(world):
    """Else the refusals below would prove nothing."""
    envelope = world.seal()
    assert world.told(await world.send(envelope)) == [(digest_of(envelope), Outcome.RECEIVED, "")]


def forgeries(world: World) -> dict[str, tuple[Envelope, str]]:
    """Return envelopes that must be refused, each with the reason."""
    now_ms = SystemClock().now_ms()
    return {
        "sealed for another": (world.seal(recipient=CN), "ENVELOPE_REJECTED"),
        "another partner's, passed on": (world.seal(sender=CN), "ENVELOPE_REJECTED"),
        "in another partner's name": (world.forge(world.seal(), sender=CN), "ENVELOPE_REJECTED"),
        "unsigned change": (
            replace(world.seal(), header=world.forge(world.seal(), urgency=Urgency.U0).header),
            "ENVELOPE_REJECTED",
        ),
        "signed change of what is encrypted": (world.forge(world.seal(), urgency=Urgency.U0), "ENVELOPE_REJECTED"),
        "another suite": (world.forge(world.seal(), suite=2), "SUITE_UNKNOWN"),
        "expired": (world.seal(create_ms=now_ms - 2 * DAY_MS, expire_ms=now_ms - DAY_MS), "EXPIRED"),
        "made in the future": (world.seal(create_ms=now_ms + 360_000), "CLOCK_SKEWED"),
        "immortal": (world.seal(expire_ms=now_ms + 31 * DAY_MS), "FIELD_INVALID"),
        "another state's authority": (world.seal(authority="cn/emergency-management"), "FIELD_INVALID"),
        "an authority outside the agreement": (world.seal(authority="la/nobody-we-know"), "POLICY_DENIED"),
        "for real in an exercise": (world.seal(mode=Mode.ACTUAL), "POLICY_DENIED"),
        "no body": (world.seal(body=b"\xff\xff not a body"), "MESSAGE_MALFORMED"),
        "another kind than its body": (world.seal(kind=Kind.REQUEST), "FIELD_INVALID"),
    }


async def test_each_forgery_is_refused_with_its_reason_and_leaves_nothing_behind(world):
    before = world.stored()
    wrong = {}
    for name, (envelope, reason) in forgeries(world).items():
        told = world.told(await world.send(envelope))
        if told != [(digest_of(envelope), Outcome.REFUSED, reason)]:
            wrong[name] = told
    assert wrong == {}
    assert world.stored() == before


async def test_forgeries_in_one_frame_do_not_harm_the_good_envelope_among_them(world):
    cases = forgeries(world)
    good = world.seal()
    before = world.stored()
    told = world.told(await world.send(*(envelope for envelope, _ in cases.values()), good))
    assert [reason for _, _, reason in told[:-1]] == [reason for _, reason in cases.values()]
    assert told[-1] == (digest_of(good), Outcome.RECEIVED, "")
    assert [after - was for after, was in zip(world.stored(), before, strict=True)] == [1, 1, 1]


async def test_a_replayed_envelope_gets_the_same_receipt_and_is_shown_once(world):
    envelope = world.seal()
    first = await world.send(envelope)
    stored = world.stored()
    key = verify_key_at(world.cards[TH], first.receipts.signing_key_id, KeyPurpose.RECEIPT, SystemClock().now_ms(), 0)
    for _ in range(3):
        again = await world.send(envelope)
        assert again.receipts is None
        (proof,) = again.repeats
        assert proof.receipt == first.receipts.receipts[0]
        assert verify_proof(proof, key, CODEC).envelope_digest == digest_of(envelope)
    twice = await world.send(world.seal(), envelope)
    assert len(twice.repeats) == 1
    assert world.stored()[0] == stored[0] + 1


async def test_a_known_message_id_with_another_content_is_refused(world):
    envelope = world.seal()
    await world.send(envelope)
    before = world.stored()
    other = world.seal(message_id=CODEC.decode_header(envelope.header).message_id)
    assert world.told(await world.send(other)) == [(digest_of(other), Outcome.REFUSED, "MESSAGE_ID_REUSED")]
    assert world.stored() == before


async def test_a_partner_cannot_speak_about_deliveries_to_others(world):
    """It learns a digest, say from a colluding recipient, and claims that the message was refused or acknowledged."""
    async with System(world.th) as system:
        (request,) = requests(1, "cn", authority="th/disaster-prevention")
        answer = await system.submit(request)
        await settled(system)
        (digest,) = query(world.th, "select digest from sent where message_id = ?", answer.message_id)[0]
        for outcome in (Outcome.REFUSED, Outcome.ACKNOWLEDGED_BY_SYSTEM, Outcome.RECEIVED):
            receipt = Receipt(
                envelope_digest=digest,
                outcome=outcome,
                time_ms=SystemClock().now_ms(),
                reason="",
                log_position=0,
                log_leaf=b"",
            )
            batch, _ = sign_receipts([receipt], issuer=LA, sign_key=world.rings[LA].receipt, codec=CODEC)
            await world.send(receipts=(batch,))
            # Nor in the name of the one who may.
            forged, _ = sign_receipts([receipt], issuer=CN, sign_key=world.rings[LA].receipt, codec=CODEC)
            async with world.link() as call:
                await call.write(frame_to_proto(OutgoingFrame(sequence=1, envelopes=(), receipts=(forged,))))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call.read()
            assert reason_of(caught.value) == "ENVELOPE_REJECTED"
        (delivery,) = (await system.get(answer.message_id)).deliveries
        assert (delivery.partner, delivery.state, delivery.proof.issuer) == ("cn", "received", "cn")
        events = [event for event in (await system.replay()).events if event.message_id == answer.message_id]
        assert [(event.type, event.partner) for event in events] == [("delivery.received", "cn")]


async def test_a_flood_of_forgeries_does_not_keep_others_out(world):
    """The partner's own quota and window bound what it can cost; another partner's messages pass meanwhile."""
    cases = [envelope for envelope, _ in forgeries(world).values()] * 12
    async with System(world.cn) as system, world.link() as call:

        async def flood() -> None:
            for sequence in range(1, 30):
                frame = OutgoingFrame(sequence=sequence, envelopes=tuple(cases[:128]), receipts=())
                await call.write(frame_to_proto(frame))
                await call.read()

        flooding = asyncio.create_task(flood())
        await system.submit_all(requests(10, "th"))
        await settled(system, 10)
        flooding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flooding
