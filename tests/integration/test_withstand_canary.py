"""Content of messages is found nowhere but in messages: no file, log, error, dump or byte on the line has it."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from concord.v1 import exchange_service_pb2 as pb

from tests.fixtures.canary import Canary
from tests.fixtures.gateways import eventually
from tests.fixtures.ledger import settled
from tests.fixtures.load import System
from tests.fixtures.proxy import Proxy
from tests.fixtures.quick_gateways import QuickGateway, introduce, quick_gateways


def spoil(canary: Canary, how: str) -> pb.SubmitMessageRequest:
    """Return a draft that must be refused, with the canary where the error is."""
    request = canary.request("th")
    draft = request.draft
    info = draft.body.alert.infos[0]
    match how:
        case "request_id":
            request.request_id = canary.latin
        case "recipient":
            draft.recipients[:] = [canary.latin]
        case "unknown partner":
            draft.recipients[:] = ["vn"]
        case "language":
            info.language = canary.latin
        case "control character":
            info.headline = f"{canary.text}\x07"
        case "direction override":
            info.description = f"{canary.text}\u202e"
        case "scope":
            draft.body.alert.scope = canary.latin
        case "web":
            info.web = f"javascript:{canary.text}"
        case "geometry":
            info.areas[0].description = canary.text
            info.areas[0].circles[0].center.latitude = 91
        case "purpose":
            draft.body.handling.purpose = canary.latin
        case "legal basis":
            draft.body.legal_basis[0].instrument = f"{canary.text}\x00"
        case "reference":
            draft.body.alert.references.add(sender=canary.text, identifier="")
        case "thread":
            draft.thread_id = canary.latin.encode()
        case "too long":
            info.description = canary.text * 20_000
        case "too large":
            draft.body.alert.provenance.original = canary.text.encode() * 60_000
        case "mode":
            draft.mode = 3
    return request


SPOILED = [
    "request_id", "recipient", "unknown partner", "language", "control character", "direction override", "scope", "web",
    "geometry", "purpose", "legal basis", "reference", "thread", "too long", "too large",
]  # fmt: skip


def told(error: grpc.aio.AioRpcError) -> bytes:
    """Return everything a client gets to see of an error."""
    metadata = [*(error.trailing_metadata() or ()), *(error.initial_metadata() or ())]
    parts = [error.details() or "", error.debug_error_string() or "", repr(error)]
    return b"\n".join(
        [part.encode() for part in parts] + [v if isinstance(v, bytes) else v.encode() for _, v in metadata]
    )


async def errors_of(system: System, canary: Canary) -> dict[str, bytes]:
    """Provoke errors with the canary in them, and return what was told of each."""
    found = {}
    stub = system.stub
    garbage = canary.request("th").SerializeToString()[:-7] + b"\xff" + canary.text.encode()
    raw = system._channel.unary_unary("/concord.v1.ExchangeService/SubmitMessage")
    calls = {
        **{how: lambda how=how: stub.SubmitMessage(spoil(canary, how), timeout=10) for how in SPOILED},
        "validate": lambda: stub.ValidateMessage(
            pb.ValidateMessageRequest(draft=spoil(canary, "language").draft), timeout=10
        ),
        "garbage": lambda: raw(garbage, timeout=10),
        "page token": lambda: stub.ListMessages(pb.ListMessagesRequest(page_token=canary.text), timeout=10),
        "sender": lambda: stub.GetMessage(
            pb.GetMessageRequest(message_id=bytes(16), sender=canary.latin[:2]), timeout=10
        ),
        "cursor": lambda: stub.WatchMessages(pb.WatchMessagesRequest(since_cursor=canary.text)).read(),
    }
    for name, call in calls.items():
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call()
        found[name] = told(caught.value)
    stream = stub.SubmitMessages()
    await stream.write(pb.SubmitMessagesRequest(requests=[spoil(canary, how) for how in SPOILED if how != "too large"]))
    await stream.done_writing()
    async for response in stream:
        for result in response.results:
            assert result.HasField("error")
            found[f"stream {result.error.field} {result.error.reason}"] = result.error.SerializeToString()
    return found


def open_and_deleted(gateway: QuickGateway) -> list[bytes]:
    """Return the content of files that the process has open and nobody can see any more."""
    found = []
    for link in Path(f"/proc/{gateway.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()).endswith(" (deleted)"):
                found.append(link.read_bytes())
    return found


async def test_content_of_messages_is_found_in_no_file_no_log_no_error_and_not_on_the_line(tmp_path):
    canary = Canary()
    (tmp_path / "tmp").mkdir()
    environment = {"TMPDIR": str(tmp_path / "tmp"), "SQLITE_TMPDIR": str(tmp_path / "tmp"), "CONCORD_TRACEBACK": "1"}
    cn, th = [QuickGateway(code, tmp_path / code, environment=dict(environment)) for code in ("cn", "th")]
    async with Proxy("127.0.0.1", th.federation_port) as line:
        line.seen = bytearray()
        th.public = f"127.0.0.1:{line.port}"
        try:
            await asyncio.to_thread(introduce, [cn, th])
            async with System(cn) as sender, System(th) as receiver, receiver.following() as feed:
                for _ in range(12):
                    await sender.submit(canary.request("th"))
                errors = await errors_of(sender, canary)
                await settled(sender)
                await eventually(lambda: len(feed.events) >= 12)
                # The test can find it where it belongs.
                assert canary.found_in(feed.events[0].message.body.SerializeToString())
                for event in feed.events:
                    await receiver.acknowledge("cn", event.message_id)
                for gateway in (cn, th):
                    assert not [name for data in open_and_deleted(gateway) for name in canary.found_in(data)]
                assert not canary.found_under(tmp_path)
        finally:
            # As after a power cut: nothing is tidied up.
            for gateway in (cn, th):
                await asyncio.to_thread(gateway.kill)
    assert len(errors) > 25
    assert {name: canary.found_in(data) for name, data in errors.items() if canary.found_in(data)} == {}
    assert len(line.seen) > 12 * 1000
    assert not canary.found_in(bytes(line.seen))
    assert not canary.found_under(tmp_path)
    # Logs and files were really written.
    assert (tmp_path / "cn.log").stat().st_size > 0
    assert (tmp_path / "th" / "data" / "store.db-wal").stat().st_size > 0


def test_the_forms_of_the_canary_are_recognised():
    canary = Canary()
    data = f"<a>{canary.text}</a>"
    for hidden in (data.encode(), data.encode("utf-16-le"), data.encode("utf-16-be"), data.encode().hex().encode()):
        assert canary.found_in(hidden)
    for shift in range(3):
        encoded = subprocess.run(
            ["base64", "-w0"], input=b"x" * shift + data.encode(), capture_output=True, check=True
        ).stdout
        assert canary.found_in(encoded)
    assert not canary.found_in(Canary().text.encode()[:20])


def test_a_gateway_that_crashes_leaves_no_core_dump(tmp_path, monkeypatch):
    # Whoever starts it may allow core dumps: it does not.
    monkeypatch.chdir(tmp_path)
    with quick_gateways(tmp_path, "cn") as (cn,):
        limits = Path(f"/proc/{cn.pid}/limits").read_text()
        (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        os.kill(cn.pid, signal.SIGABRT)
        assert cn.wait_end() == -signal.SIGABRT
        assert not [path for path in tmp_path.rglob("core*") if path.is_file()]


def test_a_gateway_can_be_neither_dumped_nor_read_by_other_programs_of_its_user():
    code = (
        "import ctypes, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY));"
        "from gateway.hardening import forbid_core_dumps; forbid_core_dumps();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        code = code.replace("resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY));", "")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "(0,", "0)"]
