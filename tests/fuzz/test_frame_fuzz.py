"""Bytes of a partner into the link, both ways, through the code that takes them in: real keys, rules, stores and logs.

However a frame is changed, what is stated as received is an envelope as it was sealed; however an answer is changed,
what is stored of it is a receipt as it was signed.
"""

import asyncio

import pytest
from concord.v1 import federation_service_pb2 as pb
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.crypto.cards import fingerprint
from gateway.crypto.receipts import sign_receipts
from gateway.errors import GatewayError
from gateway.exchange.courier import Courier
from gateway.exchange.deliver import Backlog, Prefetch
from gateway.exchange.sealed_rows import ready_from_row
from gateway.ids import PartnerId
from gateway.model.envelope import Outcome, Receipt
from gateway.model.header import Urgency
from gateway.ports import Deferral, FrameAnswer, OutgoingFrame, TakeLease, WaitingEnvelopes
from gateway.rpc.callers import Caller
from gateway.rpc.convert.envelope import answer_from_proto, answer_to_proto, frame_to_proto
from gateway.rpc.convert.field import check_rules
from gateway.rpc.federation_servicer import FederationServicer
from gateway.rpc.guard import _parse, _Route
from gateway.rpc.methods import CallerKind, row_of
from tests.fixtures.hostile import CODEC, HostilePartner, Target
from tests.fuzz.changes import FUZZ, flips, neighbours, sprinkled
from tests.sim.nations import Nation, Network

TH, VN = PartnerId("th"), PartnerId("vn")
CLOCK = SystemClock()
LINK = pb.DESCRIPTOR.services_by_name["FederationService"].methods_by_name["Link"]
ROUTE = _Route(LINK.full_name, row_of(LINK), pb.LinkRequest, None)
CALLER = Caller(kind=CallerKind.PARTNER, principal="partner/vn", partner=VN)
AT_ONCE = 64
"""Frames taken in together: they share commits."""


class Receiver:
    """The gateway th, to which vn sends bytes."""

    def __init__(self, nation: Nation) -> None:
        self.nation = nation
        self.servicer = FederationServicer(
            receiving=nation.receive, cards=nation.directory, log=nation.log, log_reading=None, clock=CLOCK
        )

    async def take(self, data: bytes) -> list[Receipt]:
        """Return what is stated about the envelopes of a frame; nothing when it is refused, by a typed error."""
        stated = []
        try:
            async for answer in self.servicer.link(_once(data), CALLER):
                stated += [CODEC.decode_receipt(item) for item in answer.receipts.receipts]
                stated += [CODEC.decode_receipt(item.receipt) for item in answer.repeats]
        except GatewayError:
            return []
        return stated

    async def take_all(self, changed) -> list[Receipt]:
        stated: list[Receipt] = []
        changed = list(changed)
        for start in range(0, len(changed), AT_ONCE):
            for found in await asyncio.gather(*map(self.take, changed[start : start + AT_ONCE])):
                stated += found
        return stated


async def _once(data: bytes):
    yield _parse(ROUTE, data)


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def receiver(loop, tmp_path_factory):
    nation = loop.run_until_complete(Nation.start("th", tmp_path_factory.mktemp("frames"), Network()))
    yield Receiver(nation)
    loop.run_until_complete(nation.stop())


@pytest.fixture(scope="module")
def partner(loop, receiver):
    """vn, which th knows."""
    partner = HostilePartner("vn")
    known = fingerprint(partner.keyring.identity.verify_key.public)
    loop.run_until_complete(receiver.nation.directory.add(partner.signed(), known))
    return partner


def new_frame(receiver, partner):
    """Return a frame with two envelopes sealed together, a later receipt and trace contexts; digests; envelopes."""
    nation = receiver.nation
    target = Target(TH, 0, b"", nation.secrets.seal.seal_key)
    envelopes = partner.seal(target, [partner.item(target), partner.item(target)])
    later = Receipt(
        envelope_digest=b"d" * 32, outcome=Outcome.ACKNOWLEDGED_BY_SYSTEM, time_ms=CLOCK.now_ms(), reason="",
        log_position=0, log_leaf=b"",
    )  # fmt: skip
    batch, _ = sign_receipts([later], issuer=VN, sign_key=partner.keyring.receipt, codec=CODEC)
    frame = frame_to_proto(
        OutgoingFrame(sequence=1, envelopes=envelopes, receipts=(batch,), traces=(b"\x01" * 25, b""))
    )
    digests = {nation.keys.opener.digest_of(item) for item in envelopes}
    return frame.SerializeToString(), digests, envelopes


@pytest.fixture(scope="module")
def sent(receiver, partner):
    """One such frame."""
    return new_frame(receiver, partner)


def uniform(data: bytes, envelopes) -> set[int]:
    """Return places inside long parts of random bytes, of which a sample does."""
    found: set[int] = set()
    for part in (envelopes[0].encapsulation, *(item.ciphertext for item in envelopes)):
        start = data.index(part)
        found |= {at for at in range(start + 4, start + len(part) - 4) if at % 23}
    return found


def test_a_frame_changed_at_every_byte_says_of_no_envelope_what_is_not_so(loop, receiver, partner):
    data, digests, envelopes = new_frame(receiver, partner)
    places = [at for at in range(len(data)) if at not in uniform(data, envelopes)]
    stated = loop.run_until_complete(receiver.take_all(flips(data, places)))
    assert {item.envelope_digest for item in stated if item.outcome is Outcome.RECEIVED} <= digests
    assert {item.outcome for item in stated} == {Outcome.RECEIVED, Outcome.REFUSED}
    stated = loop.run_until_complete(receiver.take(data))
    assert {(item.envelope_digest, item.outcome) for item in stated} == {(d, Outcome.RECEIVED) for d in digests}


def test_a_frame_cut_dropped_or_doubled_anywhere(loop, receiver, partner):
    data, digests, _ = new_frame(receiver, partner)
    stated = loop.run_until_complete(receiver.take_all(neighbours(data, range(0, len(data), 29))))
    assert {item.envelope_digest for item in stated if item.outcome is Outcome.RECEIVED} <= digests
    assert len(loop.run_until_complete(receiver.take(data))) == len(digests)


@FUZZ(max_examples=40)
@given(data=st.data())
def test_frames_put_together_from_parts_of_others(loop, receiver, sent, data):
    whole, digests, _ = sent
    frames = []
    for _ in range(8):
        frame = pb.LinkRequest.FromString(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            shuffle(frame, data)
        frames.append(frame.SerializeToString())
    stated = loop.run_until_complete(receiver.take_all(frames))
    assert {item.envelope_digest for item in stated if item.outcome is Outcome.RECEIVED} <= digests


def shuffle(frame, data) -> None:
    """Change a frame in a way that every rule of its form still may keep."""
    one, other = frame.envelopes[0], frame.envelopes[-1]
    match data.draw(st.integers(0, 9)):
        case 0:
            field = data.draw(st.sampled_from(("header", "ciphertext", "record", "signature")))
            mine, theirs = getattr(one, field), getattr(other, field)
            setattr(one, field, theirs)
            setattr(other, field, mine)
        case 1:
            one.record_path.CopyFrom(other.batch_path)
        case 2:
            path = data.draw(st.sampled_from((one.batch_path, one.record_path, other.batch_path)))
            path.index = data.draw(st.integers(0, 2**32 - 1))
            path.size = data.draw(st.integers(0, 2**32 - 1))
        case 3:
            one.batch_path.hashes = data.draw(st.binary(max_size=2)) * 32
        case 4:
            one.header = data.draw(sprinkled(one.header)) or b"h"
        case 5:
            one.record = data.draw(sprinkled(one.record)) or b"r"
        case 6:
            frame.envelopes.add().CopyFrom(other)
        case 7:
            frame.sequence = data.draw(st.integers(0, 2**64 - 1))
        case 8:
            batch = frame.receipts.add()
            batch.CopyFrom(frame.receipts[0])
            batch.issuer = data.draw(st.sampled_from(("vn", "th", "xx", "zz\n", "")))
            batch.receipts.append(data.draw(st.binary(max_size=300)))
        case 9:
            del frame.encapsulations[:]
            one.encapsulation = data.draw(st.sampled_from((b"", bytes(1168), bytes(7))))


@FUZZ(max_examples=80)
@given(data=st.binary(max_size=300))
def test_any_bytes_as_a_frame(loop, receiver, data):
    loop.run_until_complete(receiver.take(data))


# --- what comes back ---------------------------------------------------------------------------------------------


class Sender:
    """The gateway la, which has sent a frame to th and reads what th answers."""

    def __init__(self, nation: Nation, epoch: int, ready) -> None:
        self.nation, self.epoch, self.ready = nation, epoch, ready
        self.courier = Courier(
            directory=nation.directory, store=nation.store, codec=CODEC, clock=CLOCK, keys=nation.keys
        )

    async def settle(self, data: bytes) -> bool:
        """Read an answer as the carrier does and settle it; False when it is refused, by a typed error."""
        try:
            answer = pb.LinkResponse.FromString(data)
        except DecodeError:
            # gRPC's own parser: the call ends.
            return False
        backlog = Backlog(Prefetch(1 << 20))
        try:
            check_rules(answer, "answer")
            await self.courier.settle(TH, self.epoch, backlog, self.ready, answer_from_proto(answer))
        except GatewayError:
            return False
        return True


@pytest.fixture(scope="module")
def answered(loop, tmp_path_factory):
    """A sender, and the answer that it waits for, with everything an answer can hold."""
    base = tmp_path_factory.mktemp("answers")

    async def make():
        network = Network()
        la, th = await Nation.start("la", base, network), await Nation.start("th", base, network)
        await la.befriend(th)
        await th.befriend(la)
        accepted = [await la.send("th") for _ in range(2)]
        epoch = await la.store.write(TakeLease(partner=TH, holder="h", now_ms=CLOCK.now_ms(), until_ms=1 << 50))
        rows = await la.store.read(
            WaitingEnvelopes(partner=TH, urgency=Urgency.U3, after_sequence=0, max_rows=9, max_bytes=1 << 20)
        )
        ready = tuple(ready_from_row(row, TH, la.keys.current.key_encryption) for row in rows)
        assert len(ready) == 2
        first = await th.receive.take_in(
            la.partner, OutgoingFrame(sequence=1, envelopes=(ready[0].envelope,), receipts=())
        )
        both = await th.receive.take_in(
            la.partner, OutgoingFrame(sequence=1, envelopes=tuple(item.envelope for item in ready), receipts=())
        )
        assert first.receipts is not None
        answer = FrameAnswer(
            sequence=1, receipts=both.receipts, repeats=both.repeats, deferrals=(Deferral(index=1, reason="BUSY"),),
            card=th.directory.own_card(), receipts_stored=True,
        )  # fmt: skip
        return la, th, Sender(la, epoch, ready), accepted, answer_to_proto(answer).SerializeToString()

    la, th, sender, accepted, data = loop.run_until_complete(make())
    yield sender, accepted, data
    loop.run_until_complete(la.stop())
    loop.run_until_complete(th.stop())


def states(loop, sender, accepted) -> list[str]:
    return [loop.run_until_complete(sender.nation.state_at(item.message_id, "th")) for item in accepted]


def test_an_answer_changed_at_any_byte(loop, answered):
    sender, accepted, data = answered
    before = states(loop, sender, accepted)
    # Keys and certificates fill the card, which comes last.
    places = [*range(1000), *range(1000, len(data), 5)]
    refused = [changed for changed in flips(data, places) if not loop.run_until_complete(sender.settle(changed))]
    assert len(refused) > len(places) // 2
    assert {*states(loop, sender, accepted)} <= {*before, "received"}
    assert loop.run_until_complete(sender.settle(data))
    assert states(loop, sender, accepted) == ["received", "received"]


@FUZZ(max_examples=60)
@given(data=st.data())
def test_answers_cut_and_sprinkled(loop, answered, data):
    sender, _, whole = answered
    for _ in range(8):
        loop.run_until_complete(sender.settle(data.draw(sprinkled(whole))))
    loop.run_until_complete(sender.settle(whole[: data.draw(st.integers(0, len(whole)))]))


@FUZZ(max_examples=60)
@given(data=st.data())
def test_answers_that_keep_the_form_and_say_too_much(loop, answered, data):
    sender, accepted, whole = answered
    answer = pb.LinkResponse.FromString(whole)
    number = st.integers(0, 2**32 - 1)
    changes = data.draw(st.sets(st.integers(0, 5), min_size=1, max_size=3))
    if 0 in changes:
        for _ in range(data.draw(st.integers(1, 2))):
            index = data.draw(st.one_of(st.integers(0, 2), number))
            answer.deferrals.add(index=index, reason=data.draw(st.sampled_from(("KEY_RETIRED", "BUSY", "", "\u202e"))))
    if 1 in changes:
        answer.repeats.add().CopyFrom(answer.repeats[0])
    if 2 in changes:
        answer.repeats[0].path.index, answer.repeats[0].path.size = data.draw(number), data.draw(number)
    if 3 in changes:
        answer.receipts.receipts.append(data.draw(st.binary(max_size=300)))
    if 4 in changes:
        answer.ClearField(data.draw(st.sampled_from(("receipts", "repeats", "card", "deferrals"))))
    if 5 in changes:
        answer.card.signatures.add().CopyFrom(answer.card.signatures[0])
    loop.run_until_complete(sender.settle(answer.SerializeToString()))
    assert {*states(loop, sender, accepted)} <= {"queued", "received"}
