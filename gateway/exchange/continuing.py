"""What a draft continues, as threads and messages that are stored are compared with it."""

from gateway.exchange.threads import Continuation, Threads
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.message import Draft
from gateway.ports import NamedMessage


def continues(draft: Draft) -> bool:
    """Say whether a draft names a thread or another message."""
    return draft.thread_id is not None or draft.in_reply_to is not None or draft.supersedes is not None


def continuation(draft: Draft, message_id: MessageId, thread_id: ThreadId, own: PartnerId) -> Continuation:
    """Return a draft as threads are compared with it."""
    return Continuation(
        message=NamedMessage(
            sender=own,
            message_id=message_id,
            thread_id=thread_id,
            kind=draft.body.kind,
            mode=draft.mode,
            authority=draft.body.authority.name,
            content_commitment=b"",
        ),
        in_reply_to=draft.in_reply_to,
        supersedes=draft.supersedes,
    )


def check_continuation(threads: Threads, item: Continuation) -> None:
    """Check that a draft agrees with what it continues.

    Raises:
        GatewayError: It does not; names the field.
    """
    threads.check_known(item, "draft")
    threads.check(item, "draft")
