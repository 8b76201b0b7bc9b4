"""Removing a partner between running nations, and pairing with it anew."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.administration import Administration
from gateway.crypto.receipts import verify_proof
from gateway.errors import FieldInvalid, MessagesWait, PartnerUnknown
from gateway.ids import PartnerId
from gateway.model.envelope import Outcome
from gateway.model.partner import KeyPurpose
from gateway.ports import OutgoingFrame, Partners, QueueSummaries, WaitingReceipts
from gateway.rpc.rejected import RejectedCallers
from tests.sim.nations import CODEC, Nation, Network, until

CN, TH, LA = PartnerId("cn"), PartnerId("th"), PartnerId("la")


@pytest.fixture
async def world(tmp_path: Path):
    """Three nations that know one another, workers running; what is added to it is stopped with it."""
    network = Network()
    nations = [await Nation.start(code, tmp_path, network) for code in ("cn", "th", "la")]
    for nation in nations:
        for other in nations:
            if other is not nation:
                await nation.befriend(other)
        nation.run()
    yield nations
    for nation in nations:
        await nation.stop()


def operator_of(nation: Nation) -> Administration:
    parts = SimpleNamespace(
        clock=nation.clock, directory=nation.directory, links=nation.links, expiry=nation.expiry, store=nation.store,
        registry=None, config=SimpleNamespace(partner=nation.partner),
    )  # fmt: skip
    return Administration(
        parts,
        endpoints=lambda: ("", ""),
        warnings=lambda: (),
        rejected=RejectedCallers(nation.clock),
        first_system=None,
    )


async def in_state(nation: Nation, result, partner: str, state: str) -> None:
    async def reached() -> bool:
        return await nation.state_at(result.message_id, partner) == state

    await until(reached)


async def test_a_partner_for_whom_nothing_waits_is_forgotten_and_its_evidence_stays(world) -> None:
    cn, th, _ = world
    sent, got = await cn.send("th"), await th.send("cn")
    await in_state(cn, sent, "th", "received")
    await in_state(th, got, "cn", "received")
    worker = cn.links.worker(TH)
    assert worker is not None
    assert await operator_of(cn).remove_partner(TH, discard_waiting=False) == 0
    assert cn.links.worker(TH) is None
    assert cn.directory.partners() == (LA,)
    assert TH not in cn.directory.tls_roots()
    (answer,) = await cn.submit.submit([cn.submission(cn.draft("th"))])
    assert isinstance(answer, PartnerUnknown)
    with pytest.raises(PartnerUnknown):
        await cn.receive.take_in(TH, OutgoingFrame(sequence=1, envelopes=(), receipts=()))
    # What was exchanged is still there, with the receipt of then, and can still be read and taken over.
    (delivery,) = (await cn.found(CN, sent.message_id)).deliveries
    assert (delivery.state, delivery.proof.issuer) == ("received", TH)
    assert (await cn.reader.open(TH, got.message_id)).body_bytes is not None
    await cn.acknowledge.acknowledge(TH, got.message_id, Outcome.ACKNOWLEDGED_BY_SYSTEM, actor="system/desk")
    with pytest.raises(PartnerUnknown):
        await operator_of(cn).remove_partner(TH, discard_waiting=False)


async def test_what_waits_is_in_the_way_until_it_is_given_up_with_our_signed_negative(world) -> None:
    cn, th, _ = world
    cn.network.down.add(TH)
    results = [await cn.send("th la", f"n{number}") for number in range(300)]
    operator = operator_of(cn)
    with pytest.raises(MessagesWait) as caught:
        await operator.remove_partner(TH, discard_waiting=False)
    assert "300 messages wait for 'th'" in caught.value.text
    assert not cn.directory.known(TH).frozen
    assert cn.links.worker(TH) is not None
    assert await operator.remove_partner(TH, discard_waiting=True) == 300
    assert cn.directory.partners() == (LA,)
    (delivery,) = [item for item in (await cn.found(CN, results[-1].message_id)).deliveries if item.partner == TH]
    assert (delivery.state, delivery.reason) == ("expired", PartnerUnknown.reason)
    proof = delivery.proof
    key = cn.directory.verify_key(CN, KeyPurpose.RECEIPT, proof.signing_key_id, cn.clock.now_ms())
    receipt = verify_proof(proof, key, CODEC)
    assert receipt.outcome is Outcome.EXPIRED
    # Nobody else's copy is touched, and nothing reaches the one removed.
    for result in results:
        await in_state(cn, result, "la", "received")
    cn.network.down.clear()
    summaries = await cn.store.read(QueueSummaries())
    assert [(item.partner, item.waiting, item.dead) for item in summaries] == [(TH, 0, 300)]
    assert await th.found(CN, results[0].message_id) is None


@pytest.mark.parametrize("discard", [False, True])
async def test_nobody_removes_itself_or_who_is_not_there(world, discard) -> None:
    cn, *_ = world
    for partner, error in ((CN, FieldInvalid), (PartnerId("vn"), PartnerUnknown)):
        with pytest.raises(error):
            await operator_of(cn).remove_partner(partner, discard_waiting=discard)
    assert cn.directory.own_card()


@pytest.mark.parametrize("fresh", [False, True])
async def test_a_partner_removed_can_be_paired_anew_also_with_another_identity(world, tmp_path, fresh) -> None:
    cn, th, _ = world
    first = await cn.send("th")
    await in_state(cn, first, "th", "received")
    got = await th.send("cn")
    await in_state(th, got, "cn", "received")
    cn.network.down.add(TH)
    await cn.acknowledge.acknowledge(TH, got.message_id, Outcome.ACKNOWLEDGED_BY_SYSTEM, actor="system/desk")
    await operator_of(cn).remove_partner(TH, discard_waiting=True)
    assert await cn.store.read(WaitingReceipts(partner=TH, max_rows=9)) == ()
    if fresh:
        # Another house with other keys, whose cards are counted from 1 again.
        world.remove(th)
        await th.stop()
        (tmp_path / "anew").mkdir()
        th = await Nation.start("th", tmp_path / "anew", cn.network)
        world.append(th)
        await th.befriend(cn)
        th.run()
    await cn.befriend(th)
    cn.network.down.clear()
    assert not cn.directory.known(TH).frozen
    there, back = await cn.send("th"), await th.send("cn")
    await in_state(cn, there, "th", "received")
    await in_state(th, back, "cn", "received")
    assert await cn.state_at(first.message_id, "th") == "received"


async def test_cards_read_before_a_partner_was_added_do_not_remove_it_again(tmp_path: Path) -> None:
    network = Network()
    cn, th = [await Nation.start(code, tmp_path, network) for code in ("cn", "th")]
    plain, first, go_on = cn.store.read, asyncio.Event(), asyncio.Event()

    async def slow(query):
        rows = await plain(query)
        if isinstance(query, Partners) and not first.is_set():
            first.set()
            await go_on.wait()
        return rows

    cn.store.read = slow
    told = []
    cn.directory.on_change(told.append)
    refreshing = asyncio.create_task(cn.directory.load())
    await first.wait()
    adding = asyncio.create_task(cn.befriend(th))

    async def stored() -> bool:
        return TH in {row.partner for row in await plain(Partners())}

    await until(stored)
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.gather(refreshing, adding)
    assert cn.directory.partners() == (TH,)
    assert told == [TH]
    await asyncio.gather(cn.stop(), th.stop())
