"""Systems and auditors registered at a running gateway: they may call at once, and no longer than that."""

import asyncio
import stat

import grpc
from concord.v1 import audit_service_pb2 as audit_pb
from concord.v1 import exchange_service_pb2 as pb
from concord.v1.audit_service_pb2_grpc import AuditServiceStub
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from grpc_status import rpc_status

from gateway.client import preflight
from gateway.rpc.status import from_status
from tests.fixtures.gateways import GatewayProcess


def secure(home: GatewayProcess, prefix: str) -> grpc.aio.Channel:
    folder = home.home / "certs"
    credentials = grpc.ssl_channel_credentials(
        (folder / "authority.pem").read_bytes(),
        (folder / f"{prefix}.key.pem").read_bytes(),
        (folder / f"{prefix}.pem").read_bytes(),
    )
    # Each its own connection: a certificate is shown once for each.
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.secure_channel(f"localhost:{home.exchange_port}", credentials, options=options)


async def reason(call) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        status = rpc_status.from_call(error)
        told = from_status(status) if status is not None else None
        return told.reason if told is not None else error.code().name
    return ""


def listed(raw: grpc.aio.Channel):
    return ExchangeServiceStub(raw).ListMessages(pb.ListMessagesRequest(), timeout=20)


async def test_registrations_count_at_once_and_end_at_once(tmp_path):
    th = GatewayProcess("th", tmp_path / "th")
    th.init()
    th.start()

    async def run(*words: str, expect: int = 0):
        return await asyncio.to_thread(th.run, *words, expect=expect)

    async def ask(*words: str):
        return await asyncio.to_thread(th.ask, *words)

    try:
        added = await ask("system", "add", "flood", "--authority", "th/disaster-prevention")
        assert (added["name"], added["authorities"], added["in_settings"]) == (
            "flood",
            ["th/disaster-prevention"],
            False,
        )
        assert stat.S_IMODE((th.home / "certs/system-flood.key.pem").stat().st_mode) == 0o600
        assert stat.S_IMODE((th.home / "systems.json").stat().st_mode) == 0o600
        hostile = {
            ("system", "add", "flood", "--authority", "th/disaster-prevention"): "STATE_CONFLICT",
            ("system", "add", "other", "--authority", "vn/police"): "FIELD_INVALID",
            ("system", "add", "fl\u200bood", "--authority", "th/disaster-prevention"): "FIELD_INVALID",
            ("system", "add", "\u202edoolf", "--authority", "th/disaster-prevention"): "FIELD_INVALID",
            ("system", "add", "../flood", "--authority", "th/disaster-prevention"): "FIELD_INVALID",
            ("system", "remove", "nobody", "--yes"): "NOT_FOUND",
        }
        for words, expected in hostile.items():
            done = await asyncio.to_thread(th.run, *words, expect=None)
            assert done.returncode in {1, 3}, words
            assert expected in done.stderr, (words, done.stderr)
        unknown = await asyncio.to_thread(th.run, "system", "add", "typo", "--authority", "th/disaster", expect=1)
        assert "'th/disaster' is not in the profile of 'th'" in unknown.stderr
        assert "th/disaster-prevention, th/foreign-affairs, th/royal-police" in unknown.stderr
        assert sorted(path.name for path in (th.home / "certs").iterdir() if path.name.startswith(".")) == []

        await run("auditor", "add", "court")
        async with secure(th, "system-flood") as flood, secure(th, "auditor-court") as court:
            assert await reason(listed(flood)) == ""
            head = AuditServiceStub(court).GetHead(audit_pb.GetHeadRequest(), timeout=20)
            assert await reason(head) not in {"CALLER_UNKNOWN", "METHOD_NOT_ALLOWED"}
            assert await reason(listed(court)) == "METHOD_NOT_ALLOWED"

            # An auditor is checked in the service that is his, a system in its own.
            for who, answers in (("auditor-court", "as an auditor, in AuditService"), ("system-flood", "answers us")):
                report = await asyncio.to_thread(
                    preflight,
                    f"localhost:{th.exchange_port}",
                    roots=th.home / "certs/authority.pem",
                    chain=th.home / f"certs/{who}.pem",
                    key=th.home / f"certs/{who}.key.pem",
                    timeout_s=20.0,
                )
                assert report.fault is None, str(report)
                assert answers in report.steps[-1].what

            # A renewed certificate serves beside the one before.
            await run("system", "renew", "flood")
            async with secure(th, "system-flood") as renewed:
                assert await reason(listed(renewed)) == ""
            assert await reason(listed(flood)) == ""

            watching = ExchangeServiceStub(flood).WatchMessages(pb.WatchMessagesRequest())
            ended = asyncio.create_task(reason(_read(watching)))
            # On the same connection, after it: when this is answered, the stream has been taken.
            assert await reason(listed(flood)) == ""
            await asyncio.to_thread(th.run, "system", "remove", "flood", "--yes")
            async with asyncio.timeout(20):
                assert await ended == "CALLER_UNKNOWN"
            assert await reason(listed(flood)) == "CALLER_UNKNOWN"

            # The name given again opens nothing to the certificates that it had before.
            await run("system", "add", "flood", "--authority", "th/disaster-prevention")
            assert await reason(listed(flood)) == "CALLER_UNKNOWN"
            async with secure(th, "system-flood") as again:
                assert await reason(listed(again)) == ""

        # One of concord.toml goes too, and stays away after a restart; what was added stays.
        await run("system", "remove", "national", "--yes")
        async with secure(th, "system-national") as national:
            assert await reason(listed(national)) == "CALLER_UNKNOWN"
        rejected = await ask("partner", "rejected")
        found = [item for item in rejected if item["claimed_id"] == "spiffe://th/system/national"]
        assert [(item["listener"], item["reason"], item["count"]) for item in found] == [
            ("exchange", "CALLER_UNKNOWN", 1)
        ]
        assert all(item["advice"] and item["detail"] and item["first_time"] for item in rejected)
        assert await asyncio.to_thread(th.stop) == 0
        await asyncio.to_thread(th.start)
        assert (await ask("system", "list"))["name"] == "flood"
        async with secure(th, "system-flood") as again, secure(th, "system-national") as national:
            assert await reason(listed(again)) == ""
            assert await reason(listed(national)) == "CALLER_UNKNOWN"
    finally:
        th.kill()


async def _read(stream) -> None:
    async for _ in stream:
        pass
