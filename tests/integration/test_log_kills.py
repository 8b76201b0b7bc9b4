"""A gateway dies while entries are integrated and checkpoints are signed: its log comes back sound and whole."""

import asyncio

import pytest
from concord.v1 import exchange_service_pb2 as pb

from gateway.cli.admin import AdminClient
from gateway.translog.merkle import EMPTY_ROOT
from tests.fixtures.ledger import settled
from tests.fixtures.load import System, query, requests
from tests.fixtures.quick_gateways import QuickGateway, quick_gateways

pytestmark = pytest.mark.timeout(180)

SOON = {"gateway.workers.log:INTEGRATE_S": 0.0, "gateway.workers.log:CHECKPOINT_S": 0.01}
"""Nearly every commit now integrates or signs."""
POINTS = [
    ("keys-before", 3), ("keys-after", 3), ("main-before", 3), ("main-after", 3),
    ("main-before", 8), ("main-after", 9), ("keys-before", 6), ("keys-after", 7),
]  # fmt: skip


def checkpoints(gateway: QuickGateway) -> dict[int, bytes]:
    return dict(query(gateway, "select size, root from log_checkpoint"))


def released(gateway: QuickGateway) -> set[bytes]:
    return {row[0] for row in query(gateway, "select subject from log_disclosure where type = 2")}


async def sound(gateway: QuickGateway) -> None:
    def check():
        with AdminClient(gateway.home) as admin:
            *_, last = admin.log_check()
            return last, admin.log_head()

    last, head = await asyncio.to_thread(check)
    assert last.done
    assert last.sound, list(last.problems)
    assert head.problem == ""
    assert last.checkpoints >= 1


async def submit_until(sender: System, wanted: list[pb.SubmitMessageRequest], ended: asyncio.Event, first: int) -> None:
    while not ended.is_set():
        batch = requests(2, "th", first=first + len(wanted))
        wanted.extend(batch)
        await sender.submit_all(batch)


async def test_a_log_survives_a_kill_at_each_commit_point(tmp_path):
    with quick_gateways(tmp_path, "cn", "th", constants=SOON) as (cn, _):
        signed: dict[int, bytes] = {0: EMPTY_ROOT}
        accepted: list[bytes] = []
        async with System(cn) as sender:
            for number, point in enumerate(POINTS):
                wanted: list[pb.SubmitMessageRequest] = []
                ended = asyncio.Event()
                await asyncio.to_thread(cn.kill)
                cn.kill_at = point
                cn.launch()
                submitting = asyncio.create_task(submit_until(sender, wanted, ended, 1000 * number))
                assert await asyncio.to_thread(cn.wait_end) == -9, point
                ended.set()
                cn.kill_at = None
                # What was signed before the kill, and perhaps shown to somebody, is never contradicted.
                for size, root in checkpoints(cn).items():
                    assert signed.setdefault(size, root) == root, (point, size)
                await asyncio.to_thread(cn.start)
                await submitting
                accepted += [sender.answers[request.request_id].message_id for request in wanted]
                await sound(cn)
                now = checkpoints(cn)
                assert all(now.get(size) == root for size, root in signed.items() if size), point
            await settled(sender)
        assert released(cn) >= set(accepted)
        steps = query(cn, "select subject, count(*) from log_disclosure where type = 2 group by subject")
        assert all(count == 1 for _, count in steps), "a message was released twice"
        await sound(cn)
