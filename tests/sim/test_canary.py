"""With TLS stripped off, frames of a link still show nothing of what messages say."""

from gateway.rpc.convert.envelope import frame_to_proto
from tests.fixtures.canary import Canary
from tests.sim.nations import Nation, Network, SimLink, until


async def test_frames_behind_tls_show_nothing_of_a_message(tmp_path, monkeypatch):
    canary = Canary()
    seen = bytearray()
    send = SimLink.send

    async def tapped(link, frame):
        seen.extend(frame_to_proto(frame).SerializeToString())
        await send(link, frame)

    monkeypatch.setattr(SimLink, "send", tapped)
    network = Network()
    cn, th = [await Nation.start(code, tmp_path, network) for code in ("cn", "th")]
    await cn.befriend(th)
    await th.befriend(cn)
    cn.run()
    try:
        result = await cn.send("th", canary.text)

        async def received() -> bool:
            return await cn.state_at(result.message_id, "th") == "received"

        await until(received)
        assert canary.found_in((await th.reader.open(cn.partner, result.message_id)).body_bytes)
        assert len(seen) > 1000
        assert not canary.found_in(bytes(seen))
    finally:
        await cn.stop()
        await th.stop()
