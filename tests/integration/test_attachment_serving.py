"""Who is given the sealed form of a file, and how fetching deals with partners that do what they should not."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from gateway.clock import SystemClock
from gateway.crypto.attachment import ChunkStream, sealed_size
from gateway.crypto.keys import AttachmentKey
from gateway.errors import FieldInvalid, NotFound, PartnerUnreachable, QuotaExceeded
from gateway.exchange.attached import AttachmentRules, id_of
from gateway.exchange.fetch_attachment import MAX_WRONG, FetchService
from gateway.exchange.read_attachment import FETCHES_BURST, AttachmentReader
from gateway.ids import MessageId
from gateway.model.envelope import Outcome
from gateway.model.header import Urgency
from gateway.model.reference import Attachment
from gateway.ports import (
    AttachmentState,
    AttachmentUse,
    CustodyEvent,
    EndUpload,
    EraseMessage,
    FindAttachments,
    KeepAttachment,
    PostponeWanted,
    ReadCustody,
)
from gateway.store import migrate, open_store
from gateway.store.attachment_files import DirectoryFiles
from gateway.workers.attachments import UrgentFirst
from tests.contract.samples import CN, LA, NOW, TH, VN, Maker, log_entry, receipt, receipts, receive, submit
from tests.contract.test_attachments import begin, custody, upload, use

SIZE, CHUNK = 3 * 4096 + 10, 4096
DATA = bytes(range(256)) * 49
DATA = DATA[:SIZE]
KEY = AttachmentKey(bytes(range(32)))


def item(media_type: str = "application/pdf", key: AttachmentKey = KEY) -> Attachment:
    import hashlib

    return Attachment(
        name="a.pdf",
        media_type=media_type,
        size_bytes=SIZE,
        sha256=hashlib.sha256(DATA).digest(),
        key=key.export_secret(),
        chunk_bytes=CHUNK,
    )


def sealed(data: bytes = DATA) -> bytes:
    stream = ChunkStream.begin(KEY, len(data), CHUNK)
    return stream.header + b"".join(stream.seal(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK))


@dataclass
class World:
    """A gateway's store and files, and a partner that answers what it is told to."""

    store: object
    files: DirectoryFiles
    answers: list
    asked: list
    attached: dict

    async def open(self, sender, message_id):
        """As MessageReader; the body is the item itself."""
        if message_id not in self.attached:
            raise NotFound("no such message")
        return SimpleNamespace(body_bytes=message_id)

    def decode_body(self, message_id):
        """As Codec."""
        return SimpleNamespace(content=SimpleNamespace(attachments=(self.attached[message_id],)))

    def usable(self, partner):
        """As PartnerDirectory."""
        return SimpleNamespace(partner=partner)

    async def connect(self, identity, card):
        raise NotImplementedError

    probe = fetch_card = exchange_checkpoints = prove_receipt = connect

    async def fetch_attachment(self, identity, card, message_id, attachment_id, offset):
        """As a carrier."""
        self.asked.append((card.partner, offset))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for at in range(offset, len(answer), 1000):
            yield answer[at : min(at + 1000, len(answer))]
        if len(answer) < sealed_size(SIZE, CHUNK):
            raise PartnerUnreachable("cut")

    async def no_wait(self, partner):
        """Nothing is urgent."""

    def fetching(self, **rules) -> FetchService:
        allowed = {
            "max_bytes": 1 << 30,
            "total_bytes": 1 << 40,
            "keep_free_bytes": 0,
            "media_types": frozenset({"application/*"}),
        }
        return FetchService(
            store=self.store,
            files=self.files,
            codec=self,
            clock=SystemClock(read=lambda: NOW / 1000),
            reader=self,
            directory=self,
            carrier=self,
            identity=lambda: None,
            rules=AttachmentRules(**(allowed | rules)),
            urgent=self.no_wait,
        )

    def serving(self) -> AttachmentReader:
        return AttachmentReader(
            store=self.store,
            files=self.files,
            codec=self,
            clock=SystemClock(read=lambda: NOW / 1000),
            reader=self,
            own=CN,
            urgent=self.no_wait,
        )

    async def wanted(self, attachment: Attachment, make: Maker, sender=TH) -> MessageId:
        """Receive a message that names a file."""
        named = AttachmentUse(attachment_id=id_of(attachment), place=0, size_bytes=SIZE, chunk_bytes=CHUNK)
        message = replace(make.received(sender), attachments=(named,))
        await self.store.write(receive(message, sender=sender))
        self.attached[message.header.message_id] = attachment
        return message.header.message_id

    async def row(self, attachment: Attachment):
        (row,) = await self.store.read(FindAttachments((id_of(attachment),)))
        return row

    async def due(self, attachment: Attachment):
        """Let a file that waits be due at once."""
        await self.store.write(PostponeWanted(attachment_id=id_of(attachment), retry_ms=NOW, failed=False))


@pytest.fixture
async def world(tmp_path):
    url = f"sqlite://{tmp_path / 'store'}"
    import asyncio

    await asyncio.to_thread(lambda: asyncio.run(migrate(url)))
    store = await open_store(url)
    yield World(store, DirectoryFiles(tmp_path / "files"), [], [], {})
    await store.close()


async def collected(pieces) -> bytes:
    return b"".join([piece async for piece in pieces])


async def test_only_recipients_that_have_not_refused_are_given_a_file(world):
    make, store = Maker(), world.store
    await store.write(begin(upload("a", size_bytes=SIZE)))
    name = upload("a").attachment_id
    await store.write(KeepAttachment(attachment_id=name, digest=b"d" * 32, custody=custody("a", CustodyEvent.UPLOADED)))
    form = sealed()
    world.files.append(name, 0, form)
    world.files.finish(name)
    message = replace(make.sealed(TH, LA), attachments=(use("a"),))
    other = make.sealed(TH)
    await store.write(submit(message, other))
    await store.write(receipts(receipt(message.digest, Outcome.REFUSED, LA, reason="NO"), partner=LA))
    serving = world.serving()
    assert await collected(serving.serve(TH, message.message_id, name, 0)) == form
    assert await collected(serving.serve(TH, message.message_id, name, len(form) - 5)) == form[-5:]
    for partner, message_id, attachment_id in (
        (VN, message.message_id, name),
        (LA, message.message_id, name),
        (TH, other.message_id, name),
        (TH, MessageId(b"m" * 16), name),
        (TH, message.message_id, b"x" * 32),
        (CN, message.message_id, name),
    ):
        with pytest.raises(NotFound):
            await collected(serving.serve(partner, message_id, attachment_id, 0))
    with pytest.raises(FieldInvalid):
        await collected(serving.serve(TH, message.message_id, name, len(form)))
    relayed = [step for step in await store.read(ReadCustody(name, 9)) if step.event is CustodyEvent.RELAYED]
    assert {(step.actor, step.partner) for step in relayed} == {("partner/th", "th")}
    await store.write(EraseMessage(sender=CN, message_id=message.message_id, log=log_entry()))
    with pytest.raises(NotFound):
        await collected(serving.serve(TH, message.message_id, name, 0))
    for _ in range(FETCHES_BURST - 1):
        with pytest.raises(NotFound):
            await collected(serving.serve(VN, message.message_id, name, 0))
    with pytest.raises(QuotaExceeded):
        await collected(serving.serve(VN, message.message_id, name, 0))


async def test_a_file_comes_in_pieces_over_breaks_and_is_verified(world):
    await world.wanted(item(), Maker())
    form, service = sealed(), world.fetching()
    world.answers += [PartnerUnreachable("away"), form[:6000], form]
    for _ in range(3):
        assert await service.fetch_next()
        await world.due(item())
    row = await world.row(item())
    assert row.state is AttachmentState.STORED
    assert world.files.read(id_of(item()), 0, 1 << 20) == form
    # From the last chunk on that was whole, and what was behind it once more.
    assert [offset for _, offset in world.asked] == [0, 0, 24 + CHUNK + 17]
    assert not await service.fetch_next()


@pytest.mark.parametrize(
    "answer",
    [
        sealed()[:24] + b"\0" * (len(sealed()) - 24),
        sealed() + b"x",
        sealed(DATA[::-1]),
        sealed()[: 24 + CHUNK + 17] * 4,
    ],
    ids=["noise", "too long", "another file", "a chunk again and again"],
)
async def test_what_was_not_promised_is_not_kept_and_in_the_end_refused(world, answer):
    await world.wanted(item(), Maker())
    service = world.fetching()
    world.answers += [answer] * MAX_WRONG
    for _ in range(MAX_WRONG):
        assert await service.fetch_next()
        assert world.files.stored_bytes(id_of(item())) == 0
        await world.due(item())
    row = await world.row(item())
    assert (row.state, row.reason) == (AttachmentState.REFUSED, "ATTACHMENT_REJECTED")
    assert not await service.fetch_next()
    (step,) = await world.store.read(ReadCustody(id_of(item()), 9))
    assert (step.event, step.reason, step.partner) == (CustodyEvent.REFUSED, "ATTACHMENT_REJECTED", "th")


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        ({"max_bytes": SIZE - 1}, AttachmentState.REFUSED),
        ({"media_types": frozenset({"image/*"})}, AttachmentState.REFUSED),
        ({"total_bytes": SIZE - 1}, AttachmentState.WANTED),
        ({"keep_free_bytes": 1 << 60}, AttachmentState.WANTED),
    ],
)
async def test_what_is_not_taken_is_not_asked_for(world, rules, state):
    await world.wanted(item(), Maker())
    await world.fetching(**rules).fetch_next()
    assert (await world.row(item())).state is state
    assert not world.asked


async def test_another_sender_is_asked_when_the_first_one_has_it_not(world):
    make = Maker()
    await world.wanted(item(), make)
    await world.wanted(item(), make, LA)
    world.answers += [PartnerUnreachable("has it not"), sealed()]
    service = world.fetching()
    for _ in range(2):
        await service.fetch_next()
        await world.due(item())
    assert {partner for partner, _ in world.asked} == {TH, LA}
    assert (await world.row(item())).state is AttachmentState.STORED


async def test_a_file_whose_message_was_erased_meanwhile_is_not_kept(world):
    message_id = await world.wanted(item(), Maker())
    form = sealed()

    async def no_wait(partner):
        await world.store.write(EraseMessage(sender=TH, message_id=message_id, log=log_entry()))

    world.no_wait = no_wait
    world.answers.append(form)
    service = world.fetching()
    await service.fetch_next()
    await service.tidy()
    assert (await world.row(item())).state is AttachmentState.ERASED
    assert world.files.stored_bytes(id_of(item())) == 0


async def test_an_upload_that_nothing_names_is_removed(world):
    row = upload("a", create_ms=NOW - 26 * 3_600_000)
    await world.store.write(begin(row))
    world.files.append(row.attachment_id, 0, b"part")
    await world.fetching().tidy()
    assert world.files.stored_bytes(row.attachment_id) == 0
    (row,) = await world.store.read(FindAttachments((row.attachment_id,)))
    assert (row.state, row.wrapped_key) == (AttachmentState.ERASED, None)
    await world.store.write(EndUpload(row.attachment_id))


async def test_files_wait_while_something_urgent_waits(world, monkeypatch):
    monkeypatch.setattr("gateway.workers.attachments.URGENT_POLL_S", 0.001)
    make = Maker()
    urgent, waited = UrgentFirst(world.store), []
    message = make.sealed(TH, urgency=Urgency.U0)
    await world.store.write(submit(message, make.sealed(LA, urgency=Urgency.U2)))
    import asyncio

    async def wait(partner):
        await urgent.wait(partner)
        waited.append(partner)

    waiting = asyncio.create_task(wait(TH))
    await wait(LA)
    assert waited == [LA]
    await world.store.write(receipts(receipt(message.digest)))
    async with asyncio.timeout(20):
        await waiting
    assert waited == [LA, TH]
