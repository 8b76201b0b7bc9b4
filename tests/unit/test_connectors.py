"""Connectors in the gateway: a failing one is started again, is told of, and stops nobody else."""

import asyncio
import contextlib

import pytest

from gateway.clock import SystemClock
from gateway.errors import ConfigInvalid, StoreUnavailable
from gateway.installation.connectors import CursorFile
from gateway.workers import connectors
from gateway.workers.connectors import Connectors, Supervised
from tests.fixtures.gateways import eventually


class Notes:
    """The part of a desk that the supervisor reads."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}


class Scripted:
    """A connector that does what it is told, a step a start."""

    def __init__(self, *steps) -> None:
        self.steps = list(steps)
        self.starts = 0

    def open(self):
        self.starts += 1
        if self.steps and isinstance(self.steps[0], ConfigInvalid):
            raise self.steps.pop(0)
        return self

    async def run(self) -> None:
        if not self.steps:
            await asyncio.Event().wait()
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step


@contextlib.asynccontextmanager
async def running(**scripts):
    items = tuple(
        Supervised(name=name, kind="test", desk=Notes(), open=script.open) for name, script in scripts.items()
    )
    supervisor = Connectors(items, SystemClock(), first_pause_s=0.001)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, items, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_whatever_way_one_fails_it_is_started_again_and_the_other_does_not_notice():
    bad = Scripted(
        ConfigInvalid("cannot"),
        StoreUnavailable("not now"),
        RuntimeError("a secret it read"),
        OSError(28, "full"),
        None,
    )
    good = Scripted()
    async with running(bad=bad, good=good) as (supervisor, _, task):
        await eventually(lambda: bad.starts == 6)
        await eventually(lambda: supervisor.status()[0].state == "running")
        first, second = supervisor.status()
        assert (first.failures, first.problems) == (5, ())
        assert (second.state, second.failures, good.starts) == ("running", 0, 1)
        assert not task.done()


async def test_what_is_wrong_is_told_without_what_was_read(monkeypatch):
    monkeypatch.setattr(connectors, "LONGEST_PAUSE_S", 3600.0)
    script = Scripted(*[RuntimeError("a secret it read")] * 100)
    async with running(bad=script) as (supervisor, items, _):
        items[0].desk.notes["feed x"] = "the server answered 500"
        await eventually(lambda: supervisor.status()[0].failures >= 3)
        (status,) = supervisor.status()
        assert status.state == "failing"
        assert status.problems == ("RuntimeError", "feed x: the server answered 500")


async def test_a_connector_that_does_not_end_does_not_keep_the_gateway(monkeypatch):
    monkeypatch.setattr(connectors, "PATIENCE_S", 0.05)
    released = asyncio.Event()

    class Stubborn(Scripted):
        async def run(self) -> None:
            while not released.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await released.wait()

    stubborn = Stubborn()
    async with running(bad=stubborn) as (_, _, task):
        await eventually(lambda: stubborn.starts)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.done()
        released.set()
        await asyncio.sleep(0)


async def test_a_cursor_survives_and_what_is_no_cursor_is_text_for_its_reader(tmp_path):
    cursor = CursorFile(tmp_path, "a")
    assert await cursor.load() == ""
    await cursor.save("YzEAAAAAAAAABQ")
    assert await CursorFile(tmp_path, "a").load() == "YzEAAAAAAAAABQ"
    assert await CursorFile(tmp_path, "b").load() == ""
    (tmp_path / "connectors" / "a.cursor").write_bytes(b"\xff" * 10_000)
    assert len(await cursor.load()) <= connectors_bound()


def connectors_bound() -> int:
    from gateway.installation.connectors import MAX_CURSOR_BYTES

    return MAX_CURSOR_BYTES


@pytest.mark.parametrize("name", ["a", "b-2"])
async def test_cursors_are_private(tmp_path, name):
    await CursorFile(tmp_path, name).save("x")
    path = tmp_path / "connectors" / f"{name}.cursor"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
