"""Files beside messages, on both engines: uploads, what is fetched, who names it, custody, erasure."""

from dataclasses import replace

from gateway.ports import (
    AttachmentBytes,
    AttachmentRow,
    AttachmentState,
    AttachmentUse,
    BeginStatus,
    BeginUpload,
    CustodyEvent,
    CustodyStep,
    EndUpload,
    EraseMessage,
    ErasingAttachments,
    FindAttachments,
    FindUpload,
    KeepAttachment,
    NamedAttachments,
    NoteCustody,
    NoteErased,
    OldUploads,
    PostponeWanted,
    ReadCustody,
    RefuseAttachment,
    TakeWanted,
)
from gateway.translog.entry import EventType
from tests.contract.samples import CN, LA, NOW, TH, blob, log_entry, receive, submit

SYSTEM = "system/hotline"
SIZE = 5000


def upload(label: str, **changes) -> AttachmentRow:
    row = AttachmentRow(
        attachment_id=blob(("file", label)),
        state=AttachmentState.UPLOADING,
        principal=SYSTEM,
        upload_id=blob(("upload", label), 16),
        size_bytes=SIZE,
        chunk_bytes=4096,
        create_ms=NOW,
        digest=b"",
        key_id=blob(("file key id", label), 16),
        sealed=blob(("sealed", label), 200),
        wrapped_key=blob(("file key", label), 72),
        attempts=0,
        retry_ms=0,
        reason="",
    )
    return replace(row, **changes)


def begin(row: AttachmentRow, *, total_bytes: int = 1 << 40, max_uploads: int = 100) -> BeginUpload:
    return BeginUpload(row=row, wrapped_message_key=row.wrapped_key, total_bytes=total_bytes, max_uploads=max_uploads)


def use(label: str, place: int = 0) -> AttachmentUse:
    return AttachmentUse(attachment_id=blob(("file", label)), place=place, size_bytes=SIZE, chunk_bytes=4096)


def custody(label: str, event: CustodyEvent, number: int = 0) -> CustodyStep:
    entry = log_entry(EventType.ATTACHMENT_UPLOADED, blob(("custody", label, event, number), 16))
    event_at = replace(entry.event, time_ms=NOW + number)
    return CustodyStep(attachment_id=blob(("file", label)), event=event, log=replace(entry, event=event_at))


async def found(store, label: str) -> AttachmentRow:
    (row,) = await store.read(FindAttachments((blob(("file", label)),)))
    return row


async def kept(store, label: str) -> None:
    step = custody(label, CustodyEvent.UPLOADED)
    await store.write(begin(upload(label)))
    assert await store.write(KeepAttachment(attachment_id=step.attachment_id, digest=b"d" * 32, custody=step))


async def erase(store, sender, message_id) -> None:
    assert await store.write(EraseMessage(sender=sender, message_id=message_id, log=log_entry()))


async def test_an_upload_begins_once_and_goes_on(store):
    row = upload("a")
    assert await store.write(begin(row)) is BeginStatus.BEGUN
    other = replace(upload("b"), upload_id=row.upload_id)
    assert await store.write(begin(other)) is BeginStatus.BEGUN
    assert await store.read(FindUpload(principal=SYSTEM, upload_id=row.upload_id)) == row
    assert await store.read(FindUpload(principal="system/other", upload_id=row.upload_id)) is None
    assert await store.read(FindAttachments((other.attachment_id,))) == ()


async def test_there_is_room_for_so_much_and_so_many(store):
    await store.write(begin(upload("a")))
    assert await store.write(begin(upload("b"), total_bytes=2 * SIZE - 1)) is BeginStatus.FULL
    assert await store.write(begin(upload("b"), max_uploads=1)) is BeginStatus.FULL
    elsewhere = upload("b", principal="system/other")
    assert await store.write(begin(elsewhere, max_uploads=1)) is BeginStatus.BEGUN
    # What has begun goes on although it is full by now.
    assert await store.write(begin(upload("a"), total_bytes=0)) is BeginStatus.BEGUN
    assert await store.read(AttachmentBytes(SYSTEM)) == (2 * SIZE, SIZE)


async def test_a_file_that_no_message_names_is_erased_with_its_key(store):
    await kept(store, "a")
    name = blob(("file", "a"))
    assert await store.read(OldUploads(before_ms=NOW, max_rows=9)) == ()
    assert await store.read(OldUploads(before_ms=NOW + 1, max_rows=9)) == (name,)
    await store.write(EndUpload(name))
    assert await store.read(OldUploads(before_ms=NOW + 1, max_rows=9)) == ()
    row = await found(store, "a")
    assert (row.state, row.key_id, row.wrapped_key) == (AttachmentState.ERASING, b"", None)
    assert await store.read(ErasingAttachments(9)) == (name,)
    await store.write(NoteErased(custody("a", CustodyEvent.ERASED, 1)))
    assert await store.read(ErasingAttachments(9)) == ()
    steps = await store.read(ReadCustody(name, 9))
    assert [step.event for step in steps] == [CustodyEvent.UPLOADED, CustodyEvent.ERASED]
    assert await store.read(AttachmentBytes(SYSTEM)) == (0, 0)


async def test_a_file_stays_until_the_last_message_that_names_it_is_erased(store, make):
    await kept(store, "a")
    first, second = (replace(make.sealed(TH), attachments=(use("a"),)) for _ in range(2))
    await store.write(submit(first, second))
    assert await store.read(NamedAttachments(sender=CN, message_id=first.message_id)) == (blob(("file", "a")),)
    assert await store.read(NamedAttachments(sender=LA, message_id=first.message_id)) == ()
    await store.write(EndUpload(blob(("file", "a"))))
    row = await found(store, "a")
    assert (row.state, row.key_id) == (AttachmentState.STORED, b"")
    await erase(store, CN, first.message_id)
    assert await store.read(NamedAttachments(sender=CN, message_id=first.message_id)) == ()
    assert (await found(store, "a")).state is AttachmentState.STORED
    await erase(store, CN, second.message_id)
    assert (await found(store, "a")).state is AttachmentState.ERASING


async def test_erasing_a_message_destroys_the_key_of_a_young_upload_too(store, make):
    await kept(store, "a")
    message = replace(make.sealed(TH), attachments=(use("a"),))
    await store.write(submit(message))
    await erase(store, CN, message.message_id)
    assert (await found(store, "a")).wrapped_key is None


async def test_what_a_received_message_names_is_fetched_by_one_at_a_time(store, make):
    message = replace(make.received(TH), attachments=(use("a"), use("b", 1)))
    await store.write(receive(message))
    row, naming = await store.write(TakeWanted(now_ms=NOW, until_ms=NOW + 100))
    assert (row.state, row.principal, row.size_bytes) == (AttachmentState.WANTED, "partner/th", SIZE)
    assert naming == ((TH, message.header.message_id),)
    other, _ = await store.write(TakeWanted(now_ms=NOW, until_ms=NOW + 100))
    assert {row.attachment_id, other.attachment_id} == {blob(("file", "a")), blob(("file", "b"))}
    assert await store.write(TakeWanted(now_ms=NOW + 99, until_ms=NOW + 200)) is None
    # The claim of one that died runs out; one that failed waits as long as it is told.
    assert await store.write(PostponeWanted(attachment_id=row.attachment_id, retry_ms=NOW + 500, failed=True))
    again, _ = await store.write(TakeWanted(now_ms=NOW + 100, until_ms=NOW + 200))
    assert again.attachment_id == other.attachment_id
    late, _ = await store.write(TakeWanted(now_ms=NOW + 500, until_ms=NOW + 600))
    assert late.attempts in {0, 1}
    assert {item.attempts for item in await store.read(FindAttachments((row.attachment_id,)))} == {1}


async def test_a_fetched_file_is_kept_once(store, make):
    await store.write(receive(replace(make.received(TH), attachments=(use("a"),))))
    name, step = blob(("file", "a")), custody("a", CustodyEvent.RECEIVED)
    assert await store.write(KeepAttachment(attachment_id=name, digest=b"d" * 32, custody=step))
    assert not await store.write(KeepAttachment(attachment_id=name, digest=b"e" * 32, custody=step))
    assert not await store.write(PostponeWanted(attachment_id=name, retry_ms=NOW, failed=False))
    row = await found(store, "a")
    assert (row.state, row.digest) == (AttachmentState.STORED, b"d" * 32)
    assert [item.event for item in await store.read(ReadCustody(name, 9))] == [CustodyEvent.RECEIVED]
    # Another message that names it wants nothing; so does one of ours, sent back.
    await store.write(receive(replace(make.received(TH), attachments=(use("a"),))))
    assert await store.write(TakeWanted(now_ms=NOW + 9, until_ms=NOW + 10)) is None


async def test_what_was_refused_is_fetched_anew_for_another_message(store, make):
    await store.write(receive(replace(make.received(TH), attachments=(use("a"),))))
    name, step = blob(("file", "a")), custody("a", CustodyEvent.REFUSED)
    assert await store.write(RefuseAttachment(attachment_id=name, reason="ATTACHMENT_REFUSED", custody=step))
    assert not await store.write(RefuseAttachment(attachment_id=name, reason="x", custody=step))
    row = await found(store, "a")
    assert (row.state, row.reason) == (AttachmentState.REFUSED, "ATTACHMENT_REFUSED")
    assert await store.write(TakeWanted(now_ms=NOW + 9, until_ms=NOW + 10)) is None
    message = replace(make.received(LA), attachments=(use("a"),))
    await store.write(receive(message, sender=LA))
    row, naming = await store.write(TakeWanted(now_ms=NOW + 9, until_ms=NOW + 10))
    assert (row.attempts, {sender for sender, _ in naming}) == (0, {TH, LA})


async def test_an_erased_message_wants_nothing(store, make):
    message = replace(make.received(TH), attachments=(use("a"),))
    await store.write(receive(message))
    await erase(store, TH, message.header.message_id)
    assert await store.write(TakeWanted(now_ms=NOW + 9, until_ms=NOW + 10)) is None
    assert await store.read(ErasingAttachments(9)) == (blob(("file", "a")),)


async def test_custody_keeps_its_order_and_its_newest_steps(store):
    await kept(store, "a")
    steps = tuple(custody("a", CustodyEvent.SHOWN, number) for number in range(1, 6))
    await store.write(NoteCustody(steps))
    rows = await store.read(ReadCustody(blob(("file", "a")), 3))
    assert [row.time_ms for row in rows] == [NOW + 3, NOW + 4, NOW + 5]
    assert {row.actor for row in rows} == {"system/early-warning"}
