"""Files between real gateways: handed in, sealed, fetched by the recipient, taken out equal; and how it may fail."""

import asyncio
import contextlib
import hashlib
import os
import time
import uuid
from pathlib import Path

import grpc
import pytest
from concord.v1 import exchange_service_pb2 as pb
from concord.v1.exchange_service_pb2_grpc import ExchangeServiceStub

from gateway.client import AsyncClient
from gateway.client.errors import error_of_call
from gateway.errors import (
    AttachmentRefused,
    ConfigInvalid,
    FieldInvalid,
    NotFound,
    RequestIdReused,
)
from tests.fixtures.file_gateways import PATIENT, client, credentials, file_gateways, referral, sent, write_file
from tests.fixtures.proxy import Proxy

MIB = 1 << 20
PDF = "application/pdf"
LONGEST_S = 60.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    base = tmp_path_factory.mktemp("files")
    with (
        file_gateways(base, settings="attachments.max_mb = 128") as (th, la),
        client(th) as at_th,
        client(la) as at_la,
    ):
        yield (th, at_th), (la, at_la)


def files_of(gateway) -> list[Path]:
    """What lies in a gateway's directory of attachments."""
    return sorted((gateway.home / "data" / "attachments").glob("*"))


def wait_for(condition, what: str, limit_s: float = LONGEST_S):
    """Return a condition's first true value."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not in time: {what}")
        time.sleep(0.05)


def arrived(at_la, message_id, state: str = "stored"):
    """Return the receiver's view of the only file of a message, once it is in a state."""

    def found():
        with contextlib.suppress(NotFound):
            (view,) = at_la.attachments(message_id, sender="th")
            return view if view.state == state else None
        return None

    return wait_for(found, f"file {state}")


@pytest.mark.timeout(240)
def test_a_file_of_64_mib_goes_through_in_flat_memory(pair, tmp_path):
    (th, at_th), (la, at_la) = pair
    source, target = tmp_path / "วิดีโอ.pdf", tmp_path / "out"
    digest = write_file(source, 64 * MIB + 5)
    # Once small, so that what is loaded and made at a first use is not counted.
    write_file(tmp_path / "first", 3 * MIB)
    first = sent(at_th, at_th.upload(tmp_path / "first", PDF))
    arrived(at_la, first.message_id)
    at_la.download(first.message_id, 0, tmp_path / "first-out", sender="th")
    before = [gateway.rss_mb() for gateway in (th, la)]
    for gateway in (th, la):
        gateway.reset_peak()
    attachment = at_th.upload(source, PDF)
    assert (attachment.sha256, attachment.size_bytes, attachment.name) == (digest, 64 * MIB + 5, source.name)
    accepted = sent(at_th, attachment)
    view = arrived(at_la, accepted.message_id)
    named = at_la.download(accepted.message_id, 0, target, sender="th")
    assert hashlib.sha256(target.read_bytes()).digest() == digest == named.sha256
    assert not named.key
    assert not view.attachment.key
    grown = [gateway.peak_mb() - rss for gateway, rss in zip((th, la), before, strict=True)]
    assert max(grown) < 40, grown
    # Custody, on both sides; the file is named there by the digest of its sealed form, equal on both.
    (ours,) = wait_for(
        lambda: [v for v in at_th.attachments(accepted.message_id) if len(v.custody) == 2], "relayed is recorded"
    )
    assert [step.event for step in ours.custody] == ["uploaded", "relayed"]
    assert [step.actor for step in ours.custody] == ["system/national", "partner/la"]
    (theirs,) = at_la.attachments(accepted.message_id, sender="th")
    assert [step.event for step in theirs.custody] == ["received", "shown"]
    assert ours.sealed_sha256 == theirs.sealed_sha256
    sealed = next(path for path in files_of(la) if path.stat().st_size > 64 * MIB)
    assert hashlib.sha256(sealed.read_bytes()).digest() == theirs.sealed_sha256
    assert sealed.stat().st_mode & 0o077 == 0
    log = la.ask("log", "search", "--type", "attachment-shown")
    assert any(theirs.sealed_sha256.hex() in str(entry) for entry in (log if isinstance(log, list) else [log]))


def test_nothing_of_a_file_lies_anywhere_in_clear(pair, tmp_path):
    (th, at_th), (la, at_la) = pair
    secret = os.urandom(24).hex().encode()
    (tmp_path / "name-of-a-person.pdf").write_bytes(secret * 50)
    attachment = at_th.upload(tmp_path / "name-of-a-person.pdf", PDF)
    accepted = sent(at_th, attachment)
    arrived(at_la, accepted.message_id)
    for gateway in (th, la):
        for path in (gateway.home / "data").rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                for word in (secret, b"name-of-a-person", attachment.key, attachment.sha256):
                    assert word not in data, (path, word)


async def test_the_other_client_goes_the_same_way_and_takes_ranges(pair, tmp_path):
    (th, at_th), (la, at_la) = pair
    digest = write_file(tmp_path / "a", 2 * MIB + 17)
    data = (tmp_path / "a").read_bytes()
    async with AsyncClient(f"localhost:{th.exchange_port}", credentials(th), retry=PATIENT) as one:
        attachment = await one.upload(tmp_path / "a", PDF, name="evidence.pdf")
        accepted = await one.submit(referral(attachment))
    await asyncio.to_thread(arrived, at_la, accepted.message_id)
    async with AsyncClient(f"localhost:{la.exchange_port}", credentials(la), retry=PATIENT) as two:
        # What an earlier try left is gone on from.
        (tmp_path / "b.part").write_bytes(data[: MIB + 3])
        named = await two.download(accepted.message_id, 0, tmp_path / "b", sender="th")
        assert (tmp_path / "b").read_bytes() == data
        assert named.sha256 == digest
        assert len(await two.attachments(accepted.message_id, sender="th")) == 1
        with pytest.raises(ConfigInvalid):
            await two.download(accepted.message_id, 0, tmp_path / "b", sender="th")
        # A part that is of another file is found out by the digest, and is gone.
        (tmp_path / "c.part").write_bytes(b"x" * MIB)
        with pytest.raises(Exception, match="damaged"):
            await two.download(accepted.message_id, 0, tmp_path / "c", sender="th")
        assert not list(tmp_path.glob("c*"))
    async with la.channel() as channel:
        stub = ExchangeServiceStub(channel)
        for offset, length in ((0, 1), (MIB - 1, 2), (MIB, MIB), (2 * MIB + 16, 0), (5, 2 * MIB)):
            request = pb.DownloadAttachmentRequest(
                message_id=accepted.message_id.raw, sender="th", index=0, offset=offset, length=length
            )
            got = b"".join([answer.data async for answer in stub.DownloadAttachment(request)])
            assert got == data[offset : offset + length if length else None]
        for index, offset, length, reason in (
            (1, 0, 0, "NOT_FOUND"),
            (0, len(data) + 1, 0, "FIELD_INVALID"),
            (0, 1, len(data), "FIELD_INVALID"),
            (300, 0, 0, "FIELD_INVALID"),
        ):
            request = pb.DownloadAttachmentRequest(
                message_id=accepted.message_id.raw, sender="th", index=index, offset=offset, length=length
            )
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                [answer async for answer in stub.DownloadAttachment(request)]
            assert error_of_call(raised.value).reason == reason


def begin(data: bytes, **changes) -> pb.UploadAttachmentRequest:
    fields = {
        "upload_id": str(uuid.uuid4()),
        "name": "a.pdf",
        "media_type": PDF,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).digest(),
    }
    return pb.UploadAttachmentRequest(begin=pb.UploadBegin(**(fields | changes)))


def data_frames(data: bytes):
    for start in range(0, len(data), MIB):
        yield pb.UploadAttachmentRequest(data=data[start : start + MIB])


FINISH = pb.UploadAttachmentRequest(finish=pb.UploadFinish())


async def uploaded(gateway, *frames: pb.UploadAttachmentRequest, until: int | None = None):
    """Send frames and return the last answer, or the one that says how much is on disk."""
    async with gateway.channel() as channel:
        call = ExchangeServiceStub(channel).UploadAttachment(iter(frames), timeout=LONGEST_S)
        last = None
        async for answer in call:
            last = answer
            if until is not None and answer.received_bytes >= until:
                call.cancel()
                break
        return last


async def test_what_is_wrong_with_an_upload_is_told(pair):
    (th, _), _ = pair
    data = os.urandom(MIB + 10)
    known = begin(data)
    await uploaded(th, known, *data_frames(data), FINISH)
    same_id = {"upload_id": known.begin.upload_id}
    cases = (
        ("nothing", [pb.UploadAttachmentRequest()], "FIELD_INVALID"),
        ("no beginning", [pb.UploadAttachmentRequest(data=b"x")], "FIELD_INVALID"),
        ("an end at once", [FINISH], "FIELD_INVALID"),
        ("two beginnings", [begin(data), begin(data)], "FIELD_INVALID"),
        ("no upload_id", [begin(data, upload_id="")], "FIELD_INVALID"),
        ("no size", [begin(data, size_bytes=0)], "FIELD_INVALID"),
        ("more than 2 GiB", [begin(data, size_bytes=(2 << 30) + 1)], "FIELD_INVALID"),
        ("more than is taken here", [begin(data, size_bytes=129 * MIB)], "ATTACHMENT_REFUSED"),
        ("no digest", [begin(data, sha256=b"")], "FIELD_INVALID"),
        ("a program", [begin(data, media_type="application/x-msdownload")], "ATTACHMENT_REFUSED"),
        ("a page", [begin(data, media_type="text/html")], "ATTACHMENT_REFUSED"),
        ("no kind", [begin(data, media_type="pdf")], "FIELD_INVALID"),
        ("no name", [begin(data, name="")], "FIELD_INVALID"),
        ("a path", [begin(data, name="../../etc/passwd")], "FIELD_INVALID"),
        ("a path of another system", [begin(data, name="C:\\a")], "FIELD_INVALID"),
        ("a name that turns letters round", [begin(data, name="a\u202efdp.exe")], "FIELD_INVALID"),
        ("a name of two lines", [begin(data, name="a\nb")], "FIELD_INVALID"),
        ("too few bytes", [begin(data), *data_frames(data[:MIB]), FINISH], "FIELD_INVALID"),
        ("too many bytes", [begin(data), *data_frames(data + b"x"), FINISH], "FIELD_INVALID"),
        ("other bytes", [begin(data), *data_frames(data[::-1]), FINISH], "ATTACHMENT_REJECTED"),
        ("another file", [begin(data[::-1], **same_id)], "REQUEST_ID_REUSED"),
        ("another name", [begin(data, name="b.pdf", **same_id)], "REQUEST_ID_REUSED"),
    )
    for what, frames, reason in cases:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await uploaded(th, *frames)
        assert error_of_call(raised.value).reason == reason, what
    too_large = pb.UploadAttachmentRequest(data=bytes(MIB + 5000))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await uploaded(th, begin(data), too_large)
    assert error_of_call(raised.value).reason == "MESSAGE_TOO_LARGE"


async def test_an_upload_goes_on_where_it_stopped_and_counts_once(pair):
    (th, at_th), _ = pair
    data = os.urandom(3 * MIB + 100)
    head = begin(data)
    frames = list(data_frames(data))
    await uploaded(th, head, *frames[:2], until=2 * MIB)
    again = await uploaded(th, head, until=0)
    assert again.received_bytes == 2 * MIB
    # A power cut: what lies behind the last chunk that was written is not believed.
    th.kill()
    size = 24 + 2 * (MIB + 17)
    part = next(path for path in files_of(th) if path.suffix == ".part" and path.stat().st_size == size)
    with part.open("r+b") as file:
        file.seek(24 + MIB + 17 + 100)
        file.write(b"damage")
    th.start()
    again = await uploaded(th, head, until=0)
    assert again.received_bytes == MIB
    done = await uploaded(th, head, *frames[1:], FINISH)
    assert done.attachment.sha256 == hashlib.sha256(data).digest()
    repeated = await uploaded(th, head, FINISH)
    assert repeated.attachment == done.attachment
    assert not [path for path in files_of(th) if path == part]
    sent(at_th, done.attachment)


def test_a_draft_names_only_what_was_uploaded(pair, tmp_path):
    (_, at_th), _ = pair
    (tmp_path / "a").write_bytes(b"evidence")
    attachment = at_th.upload(tmp_path / "a", PDF)
    for field, value in (("sha256", b"s" * 32), ("key", b"k" * 32), ("size_bytes", 9), ("chunk_bytes", 4096)):
        changed = type(attachment)()
        changed.CopyFrom(attachment)
        setattr(changed, field, value)
        with pytest.raises(FieldInvalid) as raised:
            at_th.submit(referral(changed))
        assert raised.value.field == "body.attachments[0]"
        with pytest.raises(FieldInvalid):
            at_th.validate(referral(changed))
    at_th.validate(referral(attachment))


def test_refusals_come_as_typed_errors_of_the_client(pair, tmp_path):
    (_, at_th), _ = pair
    (tmp_path / "a").write_bytes(b"evidence")
    with pytest.raises(AttachmentRefused):
        at_th.upload(tmp_path / "a", "text/html")
    upload_id = str(uuid.uuid4())
    at_th.upload(tmp_path / "a", PDF, upload_id=upload_id)
    (tmp_path / "a").write_bytes(b"other evidence")
    with pytest.raises(RequestIdReused):
        at_th.upload(tmp_path / "a", PDF, upload_id=upload_id)
    with pytest.raises(ConfigInvalid):
        at_th.upload(tmp_path / "none", PDF)
    with pytest.raises(NotFound):
        at_th.attachments(uuid.uuid4().bytes)


@pytest.mark.timeout(240)
def test_damage_on_the_way_is_refused_and_the_file_comes_when_it_is_sound(pair, tmp_path):
    (th, at_th), (la, at_la) = pair
    digest = write_file(tmp_path / "a", 2 * MIB + 9)
    before = set(files_of(th))
    attachment = at_th.upload(tmp_path / "a", PDF)
    (stored,) = set(files_of(th)) - before
    sound = bytearray(stored.read_bytes())
    sound[MIB + 500] ^= 1
    stored.write_bytes(sound)
    accepted = sent(at_th, attachment)
    wait_for(lambda: b"attachment.rejected" in la.log.read_bytes(), "the damage is found")
    assert at_la.attachments(accepted.message_id, sender="th")[0].state == "wanted"
    sound[MIB + 500] ^= 1
    stored.write_bytes(sound)
    arrived(at_la, accepted.message_id)
    named = at_la.download(accepted.message_id, 0, tmp_path / "b", sender="th")
    assert named.sha256 == digest


def test_the_commands_move_a_file_and_tell_its_custody(pair, tmp_path):
    (th, at_th), (la, at_la) = pair
    source = tmp_path / "บันทึก; rm -rf.pdf"
    source.write_bytes(b"evidence")
    put = th.ask("attachment", "put", str(source), "--type", PDF, "--out", str(tmp_path / "a.json"))
    assert put["sha256"] == hashlib.sha256(b"evidence").hexdigest()
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
    assert "key" not in put
    refused = th.ask("attachment", "put", str(source), "--type", PDF, "--out", str(tmp_path / "a.json"), expect=1)
    assert refused["error"]["reason"] == "USAGE"
    from concord.v1 import reference_pb2
    from google.protobuf.json_format import Parse

    accepted = sent(at_th, Parse((tmp_path / "a.json").read_text(), reference_pb2.Attachment()))
    arrived(at_la, accepted.message_id)
    message = str(accepted.message_id)
    assert la.ask("attachment", "list", message, "--from", "th")["state"] == "stored"
    out = tmp_path / "out.pdf"
    la.run("attachment", "get", message, "0", "--from", "th", "--out", str(out))
    assert out.read_bytes() == b"evidence"
    assert la.ask("attachment", "get", message, "0", "--from", "th", "--out", str(out), expect=1)["error"]
    assert la.ask("attachment", "get", message, "1", "--from", "th", expect=1)["error"]["reason"] == "NOT_FOUND"
    steps = la.ask("attachment", "custody", message, "0", "--from", "th")
    assert [step["event"] for step in steps] == ["received", "shown"]
    assert "บันทึก" in la.run("attachment", "list", message, "--from", "th").stdout


@pytest.mark.timeout(240)
async def test_a_fetch_goes_on_behind_what_came_before_the_line_broke(tmp_path):
    size = 24 * MIB
    async with contextlib.AsyncExitStack() as stack:
        with contextlib.ExitStack() as processes:
            proxy = Proxy("127.0.0.1", 1)
            await stack.enter_async_context(proxy)
            th, la = await asyncio.to_thread(
                processes.enter_context, file_gateways(tmp_path, public=f"127.0.0.1:{proxy.port}")
            )
            proxy._target = ("127.0.0.1", th.federation_port)
            proxy.conditions.bytes_per_s = 8 * MIB
            digest = write_file(tmp_path / "a", size)
            with client(th) as at_th, client(la) as at_la:
                attachment = await asyncio.to_thread(at_th.upload, tmp_path / "a", PDF)
                accepted = await asyncio.to_thread(sent, at_th, attachment)
                async with asyncio.timeout(LONGEST_S):
                    while sum(path.stat().st_size for path in files_of(la)) < 5 * MIB:
                        await asyncio.sleep(0.02)
                await proxy.cut()
                kept = sum(path.stat().st_size for path in files_of(la))
                assert kept < size
                passed = proxy.forwarded_bytes
                proxy.conditions.bytes_per_s = None
                await asyncio.to_thread(arrived, at_la, accepted.message_id)
                # What had come did not come again.
                assert proxy.forwarded_bytes - passed < size - kept + 4 * MIB
                await asyncio.to_thread(at_la.download, accepted.message_id, 0, tmp_path / "b", sender="th")
                assert hashlib.sha256((tmp_path / "b").read_bytes()).digest() == digest
