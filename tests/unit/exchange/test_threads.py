"""What a message must agree with: its thread's mode and the messages that it names."""

import pytest

from gateway.errors import FieldInvalid, ModeDiffers, SupersedesInvalid
from gateway.exchange.threads import Continuation, Threads
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.header import Kind, Mode, Supersedes
from gateway.ports import NamedMessage

TH, LA = PartnerId("th"), PartnerId("la")
THREAD, OTHER = ThreadId(b"t" * 16), ThreadId(b"o" * 16)
OLD, NEW = MessageId(b"1" * 16), MessageId(b"2" * 16)
ACTUAL, EXERCISE = Mode.ACTUAL, Mode.EXERCISE


def message(message_id=NEW, **changes) -> NamedMessage:
    given = {
        "sender": TH, "thread_id": THREAD, "kind": Kind.ALERT, "mode": ACTUAL, "authority": "th/police",
        "content_commitment": b"c" * 32,
    }  # fmt: skip
    return NamedMessage(message_id=message_id, **given | changes)


def continuing(*, reply=None, supersedes=None, commitment=b"c" * 32, **changes) -> Continuation:
    replaced = None if supersedes is None else Supersedes(message_id=supersedes, content_commitment=commitment)
    return Continuation(message=message(**changes), in_reply_to=reply, supersedes=replaced)


def threads(*known: NamedMessage, ours=None, theirs=None) -> Threads:
    return Threads(dict(ours or {}), dict(theirs or {}), known)


@pytest.mark.parametrize(
    ("known", "item", "error"),
    [
        (threads(), continuing(), None),
        (threads(ours={THREAD: ACTUAL}), continuing(), None),
        (threads(theirs={THREAD: ACTUAL}), continuing(), None),
        (threads(theirs={OTHER: EXERCISE}), continuing(), None),
        (threads(ours={THREAD: EXERCISE}), continuing(), ModeDiffers),
        (threads(theirs={THREAD: EXERCISE}), continuing(), ModeDiffers),
        (threads(ours={THREAD: ACTUAL}, theirs={THREAD: EXERCISE}), continuing(), None),
        (threads(ours={THREAD: EXERCISE}, theirs={THREAD: ACTUAL}), continuing(), ModeDiffers),
        # Replies.
        (threads(), continuing(reply=OLD), None),
        (threads(message(OLD, sender=LA)), continuing(reply=OLD), None),
        (threads(message(OLD, mode=EXERCISE)), continuing(reply=OLD), ModeDiffers),
        (threads(message(OLD, thread_id=OTHER)), continuing(reply=OLD), FieldInvalid),
        (threads(message(OLD, sender=LA, mode=EXERCISE), message(OLD)), continuing(reply=OLD), None),
        # Replacements.
        (threads(), continuing(supersedes=OLD), None),
        (threads(message(OLD)), continuing(supersedes=OLD), None),
        (threads(message(OLD, thread_id=OTHER)), continuing(supersedes=OLD), None),
        (threads(message(OLD, sender=LA), message(OLD)), continuing(supersedes=OLD), None),
        (threads(message(OLD, mode=EXERCISE)), continuing(supersedes=OLD), ModeDiffers),
        (threads(message(OLD, sender=LA)), continuing(supersedes=OLD), SupersedesInvalid),
        (threads(message(OLD, kind=Kind.RECALL)), continuing(supersedes=OLD), SupersedesInvalid),
        (threads(message(OLD, authority="th/health")), continuing(supersedes=OLD), SupersedesInvalid),
        (threads(message(OLD)), continuing(supersedes=OLD, commitment=b"d" * 32), SupersedesInvalid),
    ],
)
def test_message_is_compared_with_what_it_continues(known, item, error):
    if error is None:
        known.check(item, "header")
        return
    with pytest.raises(error):
        known.check(item, "header")


@pytest.mark.parametrize(
    ("known", "item", "field"),
    [
        (threads(message(OLD)), continuing(reply=OLD, supersedes=OLD), None),
        (threads(), continuing(), None),
        (threads(), continuing(reply=OLD), "draft.in_reply_to"),
        (threads(), continuing(supersedes=OLD), "draft.supersedes_id"),
        (threads(message(OLD, sender=LA)), continuing(supersedes=OLD), "draft.supersedes_id"),
        (threads(message(OLD)), continuing(supersedes=OLD, commitment=b"d" * 32), "draft.supersedes_commitment"),
    ],
)
def test_our_own_systems_name_only_what_is_known(known, item, field):
    if field is None:
        known.check_known(item, "draft")
        return
    with pytest.raises(FieldInvalid) as caught:
        known.check_known(item, "draft")
    assert caught.value.field == field


def test_what_comes_later_in_a_batch_is_compared_with_what_comes_before_it():
    known = threads()
    known.add(continuing(mode=EXERCISE))
    with pytest.raises(ModeDiffers):
        known.check(continuing(message_id=OLD), "header")
    with pytest.raises(ModeDiffers):
        known.check(continuing(message_id=OLD, thread_id=OTHER, supersedes=NEW), "header")


def test_who_spoils_a_thread_before_its_first_message_comes_does_not_stop_its_sender():
    begin, follow = {"message_id": MessageId(THREAD.raw)}, {"message_id": NEW}
    known = threads(theirs={THREAD: EXERCISE})
    known.check(continuing(**begin), "header")
    known.add(continuing(**begin))
    known.check(continuing(**follow), "header")
    # But in a thread of our own nobody begins anew.
    known = threads(ours={THREAD: EXERCISE})
    known.add(continuing(**begin))
    with pytest.raises(ModeDiffers):
        known.check(continuing(**follow), "header")
