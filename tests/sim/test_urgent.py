"""What urgent messages may expect of a link, whatever else waits for the same partner."""

import asyncio
from pathlib import Path

import pytest

from gateway.exchange import deliver
from gateway.exchange.schedule import LinkState
from gateway.ids import PartnerId
from gateway.model.header import Urgency
from gateway.ports import OutgoingFrame, TakeLease
from gateway.workers import open_link
from tests.sim.nations import CODEC, Nation, Network, SimLink, until

TH = PartnerId("th")


@pytest.fixture
async def world(tmp_path: Path):
    """Two nations that know each other, workers running, links up, a message a frame."""
    network = Network()
    cn, th = [await Nation.start(code, tmp_path, network) for code in ("cn", "th")]
    await cn.befriend(th)
    await th.befriend(cn)
    cn.run()
    th.run()
    await settled(cn, await cn.send("th"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliver, "FRAME_ROWS", 1)
        yield cn, th
    await cn.stop()
    await th.stop()


async def settled(nation: Nation, *results) -> None:
    async def is_settled() -> bool:
        return all([await nation.state_at(result.message_id, "th") == "received" for result in results])

    await until(is_settled)


class HeldLine:
    """A line to one nation on which frames wait, in their order, until it is released."""

    def __init__(self, target: Nation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[OutgoingFrame] = []
        self.released = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        send, turn = SimLink.send, asyncio.Lock()

        async def in_turn(link: SimLink, frame: OutgoingFrame) -> None:
            async with turn:
                await self.released.wait()
                await send(link, frame)

        async def hold(link: SimLink, frame: OutgoingFrame) -> None:
            if link._target is target:
                self.sent.append(frame)
                self._tasks.append(asyncio.create_task(in_turn(link, frame)))
            else:
                await send(link, frame)

        monkeypatch.setattr(SimLink, "send", hold)

    async def carries(self, frames: int) -> None:
        async def reached() -> bool:
            return len(self.sent) >= frames

        await until(reached)

    def place_of(self, result) -> int:
        headers = [CODEC.decode_header(envelope.header) for frame in self.sent for envelope in frame.envelopes]
        return [header.message_id for header in headers].index(result.message_id)


async def test_a_flash_message_that_another_replica_accepted_does_not_wait_for_the_routine_in_memory(
    world, monkeypatch
) -> None:
    cn, th = world
    line = HeldLine(th, monkeypatch)
    routine = [await cn.send("th") for _ in range(10)]
    await line.carries(open_link.WINDOW_FRAMES)
    worker = cn.links.worker(TH)
    monkeypatch.setattr(worker, "offer", lambda envelope: None)
    flash = await cn.send("th", urgency=Urgency.U0)
    worker._stored_elsewhere()
    line.released.set()
    await settled(cn, flash, *routine)
    assert line.place_of(flash) <= open_link.WINDOW_FRAMES + 1


async def test_large_frames_of_routine_leave_the_line_short_and_a_flash_message_passes(world, monkeypatch) -> None:
    cn, th = world
    monkeypatch.setattr(open_link, "CALM_BYTES", 1)
    line = HeldLine(th, monkeypatch)
    routine = [await cn.send("th") for _ in range(10)]
    await line.carries(2)
    await asyncio.sleep(0.03)
    assert len(line.sent) == 2
    flash = await cn.send("th", urgency=Urgency.U0)
    await line.carries(3)
    assert line.place_of(flash) == 2
    line.released.set()
    await settled(cn, flash, *routine)


async def test_small_frames_of_routine_get_the_whole_window(world, monkeypatch) -> None:
    cn, th = world
    line = HeldLine(th, monkeypatch)
    routine = [await cn.send("th") for _ in range(10)]
    await line.carries(open_link.WINDOW_FRAMES)
    line.released.set()
    await settled(cn, *routine)


async def test_back_off_grows_on_a_link_that_connects_and_then_fails_until_an_answer_is_settled(
    world, monkeypatch
) -> None:
    cn, th = world
    worker = cn.links.worker(TH)
    # Time is not waited for, only counted.
    monkeypatch.setattr(worker.schedule, "wait_ms", lambda now_ms: 0)
    cn.network.lose_rate = 1.0
    result = await cn.send("th")

    async def failed_often() -> bool:
        return worker.schedule.failures >= 4

    await until(failed_often)
    cn.network.lose_rate = 0.0
    await settled(cn, result)
    assert worker.schedule.failures == 0


async def test_who_cannot_connect_leaves_the_lease_to_a_replica_that_can(world) -> None:
    cn, _ = world
    cn.network.down.add(TH)
    await cn.send("th")
    worker = cn.links.worker(TH)

    async def failed(times: int) -> bool:
        return worker.schedule.failures >= times and worker.state is LinkState.BACKING_OFF

    # The first failure ends the link that stood, the second one is the refused connection.
    await until(lambda: failed(1))
    worker.schedule.next_ms = 0
    worker._signal.wake()
    await until(lambda: failed(2))
    now_ms = cn.clock.now_ms()
    lease = TakeLease(partner=TH, holder="another replica", now_ms=now_ms, until_ms=now_ms + 1000)
    assert await cn.store.write(lease) is not None


async def test_gateway_that_stops_while_a_link_is_ending_stops(world) -> None:
    cn, _ = world
    link = cn.links.worker(TH)._open
    ending, release = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await release.wait()

    link._settling.add(link._task(slow_to_end()))
    cn.network.down.add(TH)
    await cn.send("th")
    await ending.wait()
    links = cn._tasks[0]
    links.cancel()
    await asyncio.sleep(0)
    release.set()
    _, still_running = await asyncio.wait([links], timeout=20)
    assert not still_running
