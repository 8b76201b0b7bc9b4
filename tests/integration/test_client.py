"""The client against real gateways: two that know each other, for all of it."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from concord.v1 import exchange_service_pb2 as pb
from concord.v1 import message_pb2

from gateway.client import (
    AsyncClient,
    Client,
    Credentials,
    RetryPolicy,
    Unreachable,
    alert_draft,
    explain,
    new_request_id,
    told,
)
from gateway.errors import AuthorityNotYours, CursorInvalid, FieldInvalid, GatewayError, NotFound, RequestIdReused
from tests.fixtures.quick_gateways import quick_gateways

ROOT = Path(__file__).resolve().parents[2]
PATIENT = RetryPolicy(attempts=60, most_ms=500)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory):
    with quick_gateways(tmp_path_factory.mktemp("client"), "cn", "th") as both:
        yield both


def credentials(gateway) -> Credentials:
    certs = gateway.home / "certs"
    return Credentials.from_files(
        roots=certs / "authority.pem", chain=certs / "system-national.pem", key=certs / "system-national.key.pem"
    )


def client(gateway, kind=Client, **settings):
    return kind(f"localhost:{gateway.exchange_port}", credentials(gateway), retry=PATIENT, timeout_s=30, **settings)


def draft(text: str = "River above alarm level", authority: str = "cn/foreign-affairs", recipients=("th",)):
    return alert_draft(authority=authority, recipients=recipients, headlines={"en": text}, event="Flood")


@pytest.mark.timeout(240)
def test_an_alert_goes_out_is_seen_and_is_acknowledged(gateways):
    cn, th = gateways
    with client(cn) as sender, client(th) as receiver:
        offered = draft()
        assert sender.validate(offered).verdict == pb.ValidateMessageResponse.VERDICT_ALLOW
        request_id = new_request_id()
        accepted = sender.submit(offered, request_id)
        assert sender.submit(offered, request_id) == accepted
        with pytest.raises(RequestIdReused):
            sender.submit(draft("Other"), request_id)
        arrived = next(item for item in receiver.watch() if item.message_id == accepted.message_id)
        assert arrived.event.message.body.alert.infos[0].headline == "River above alarm level"
        receiver.acknowledge(arrived.message_id, "cn")
        view = receiver.get(str(arrived.message_id), "cn")
        assert view.content_commitment == accepted.content_commitment
        kinds = []
        for item in sender.watch():
            if item.message_id == accepted.message_id:
                kinds.append(item.event.type)
            if kinds[-1:] == ["delivery.acknowledged"]:
                break
        assert kinds == ["delivery.received", "delivery.acknowledged"]
        # From the cursor of an event on, it does not come again.
        later = sender.submit(draft("Second"))
        after = next(sender.watch(item.cursor))
        assert after.message_id == later.message_id


@pytest.mark.timeout(240)
async def test_many_are_handed_in_at_once_listed_and_watched_over_a_restart(gateways):
    cn, th = gateways
    count = 300
    known = new_request_id()
    one = draft("Once")
    offered = [
        *(draft(f"Number {number}") for number in range(count)),
        (known, one),
        draft("Not ours", authority="th/early-warning"),
        draft("Too large " + "x" * 2_200_000),
        (known, one),
    ]
    async with client(cn, AsyncClient) as sender, client(th, AsyncClient, stream_age_s=2.0) as receiver:
        results = [result async for result in sender.submit_many(offered)]
        assert [result.index for result in results] == list(range(count + 4))
        assert all(result.accepted for result in results[: count + 1])
        assert results[count].accepted == results[count + 3].accepted
        assert [result.error.reason for result in results[count + 1 : count + 3]] == [
            "AUTHORITY_NOT_YOURS",
            "MESSAGE_TOO_LARGE",
        ]
        expected = {result.accepted.message_id for result in results if result.accepted}
        assert len(expected) == count + 1
        seen = []
        restarted = None
        async for item in receiver.watch():
            if item.message_id in expected:
                seen.append(item.message_id)
            if restarted is None and len(seen) > 20:
                restarted = asyncio.create_task(asyncio.to_thread(restart, th))
            if len(seen) >= len(expected) and restarted.done():
                break
            if len(seen) == len(expected) and not restarted.done():
                await restarted
                break
        assert len(seen) == len(set(seen))
        assert set(seen) == expected
        listed = [view.message_id async for view in sender.list(pb.DIRECTION_SENT, page_size=100)]
        assert {item.raw for item in expected} <= set(listed)
        assert len(listed) == len(set(listed))
        one_by_one = sender.submit_many(item for item in [draft("Last")])
        assert (await anext(one_by_one)).accepted


def restart(gateway) -> None:
    gateway.kill()
    gateway.launch()
    gateway.wait_ready()


@pytest.mark.timeout(240)
def test_streamed_submissions_survive_a_restart_of_the_gateway(gateways):
    cn, _ = gateways
    stop = threading.Event()

    def offered():
        for number in range(600):
            if number == 320:
                worker.start()
            yield draft(f"Through a restart {number}")

    worker = threading.Thread(target=lambda: (restart(cn), stop.set()))
    with client(cn) as sender:
        results = list(sender.submit_many(offered()))
        worker.join(60)
        assert stop.is_set()
        assert all(result.accepted for result in results)
        assert len({result.accepted.message_id for result in results}) == 600
        sent = [view.message_id for view in sender.list(pb.DIRECTION_SENT, page_size=1000)]
        assert len(sent) == len(set(sent))


@pytest.mark.timeout(120)
def test_refusals_are_the_gateways_own_errors_and_are_not_repeated(gateways):
    cn, _ = gateways
    with client(cn) as sender:
        cases = [
            (AuthorityNotYours, lambda: sender.submit(draft(authority="cn/public-security"))),
            (FieldInvalid, lambda: sender.submit(draft(recipients=("th", "th")))),
            (FieldInvalid, lambda: sender.submit(message_pb2.Draft())),
            (FieldInvalid, lambda: sender.submit(draft(), "not-a-uuid")),
            (NotFound, lambda: sender.get(b"\0" * 16)),
            (FieldInvalid, lambda: sender.get("nothing")),
            (CursorInvalid, lambda: next(sender.watch("rubbish"))),
            (FieldInvalid, lambda: next(sender.list(page_size=-1))),
            (GatewayError, lambda: sender.acknowledge(b"\0" * 16, "th")),
        ]
        for kind, call in cases:
            with pytest.raises(kind) as caught:
                call()
            assert caught.value.advice
            text = explain(caught.value)
            assert f"code  {caught.value.reason}" in text
            assert f"do    {caught.value.advice}" in text
        with pytest.raises(FieldInvalid) as caught:
            sender.submit(draft(recipients=("th", "th")))
        assert told(caught.value).field_violations[0].field == caught.value.field


def test_a_gateway_that_is_away_is_reported_after_the_tries_allowed(gateways):
    impatient = RetryPolicy(attempts=2, first_ms=1, most_ms=1)
    with Client("localhost:1", credentials(gateways[0]), retry=impatient, timeout_s=30) as nobody:
        with pytest.raises(Unreachable) as caught:
            nobody.submit(draft())
        assert told(caught.value).maybe_done
        with pytest.raises(Unreachable):
            list(nobody.submit_many([draft()]))


def test_the_client_is_imported_without_anything_of_a_server():
    blocked = (
        "sqlalchemy nacl cryptography pyrage aiohttp structlog typer rich pydantic pydantic_settings lxml alembic "
        "authlib joserfc opentelemetry protovalidate asyncpg grpc_health grpc_reflection"
    )
    program = f"""
import sys
for name in {blocked.split()!r}:
    sys.modules[name] = None
import gateway.client
mine = ("gateway", "gateway.errors", "gateway.ids", "gateway.clock", "gateway.values")
print(*[n for n in sys.modules if n.split(".")[0] in ("gateway", "adapters")
        and n not in mine and not n.startswith("gateway.client")])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stdout.strip()) == (0, ""), ran.stderr
