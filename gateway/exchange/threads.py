"""What a message that continues a thread must agree with: the thread's mode, and the messages that it names.

An exercise must never look like a part of something actual, nor the other way round; and only who sent a message may
put another one in its place.
"""

from collections.abc import Iterable
from typing import Self

from gateway.errors import FieldInvalid, ModeDiffers, SupersedesInvalid
from gateway.ids import MessageId, PartnerId, ThreadId
from gateway.model.header import Header, Mode, Supersedes
from gateway.ports import KnownThreads, NamedMessage, Store
from gateway.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """What a message says of itself and of the messages before it."""

    message: NamedMessage
    in_reply_to: MessageId | None
    supersedes: Supersedes | None

    @property
    def named(self) -> tuple[MessageId, ...]:
        """Ids of the messages it names."""
        replaced = self.supersedes.message_id if self.supersedes is not None else None
        return tuple(item for item in (self.in_reply_to, replaced) if item is not None)

    @property
    def begins(self) -> bool:
        """It is the first of its thread, whose id is its own."""
        return self.message.thread_id.raw == self.message.message_id.raw


class Threads:
    """What is known of the threads that a batch continues, and what the batch adds to it."""

    def __init__(
        self, ours: dict[ThreadId, Mode], theirs: dict[ThreadId, Mode], messages: Iterable[NamedMessage]
    ) -> None:
        self._ours = ours
        self._begun: dict[ThreadId, Mode] = {}
        self._theirs = theirs
        self._messages: dict[MessageId, list[NamedMessage]] = {}
        for message in messages:
            self._messages.setdefault(message.message_id, []).append(message)

    @classmethod
    async def read(cls, store: Store, partner: PartnerId, items: Iterable[Continuation]) -> Self | None:
        """Look up what the messages of one sender continue; None, and nothing read, when all begin something new."""
        threads: dict[ThreadId, None] = {}
        ids: dict[MessageId, None] = {}
        for item in items:
            if not item.begins:
                threads[item.message.thread_id] = None
            ids.update(dict.fromkeys(item.named))
        if not threads and not ids:
            return None
        known = await store.read(KnownThreads(partner=partner, threads=tuple(threads), message_ids=tuple(ids)))
        return cls(dict(known.ours), dict(known.theirs), known.messages)

    def check(self, item: Continuation, field: str) -> None:
        """Compare a message with what is known of what it continues. What is not known is in nobody's way.

        Args:
            field: Where the message comes from, for the error.

        Raises:
            ModeDiffers: The thread, or a message that it names, is of another mode.
            SupersedesInvalid: It would replace what is not its authority's, or not of its kind or content.
            FieldInvalid: It answers a message of another thread.
        """
        message = item.message
        if not item.begins and self._mode(message.thread_id) not in (None, message.mode):
            raise ModeDiffers("the thread is of another mode")
        if item.in_reply_to is not None:
            self._check_reply(message, self._messages.get(item.in_reply_to, []), field)
        if item.supersedes is not None:
            self._check_supersedes(message, item.supersedes)

    def check_known(self, item: Continuation, field: str) -> None:
        """Refuse to name what is not known here: our own systems can only mean what they have seen.

        Raises:
            FieldInvalid: A message it names is not known, or the superseded one's commitment is another.
        """
        if item.in_reply_to is not None and item.in_reply_to not in self._messages:
            raise FieldInvalid(f"{field}.in_reply_to", "names no message known here")
        if item.supersedes is not None:
            known = self._messages.get(item.supersedes.message_id, [])
            own = [old for old in known if old.sender == item.message.sender]
            if not own:
                raise FieldInvalid(f"{field}.supersedes_id", "names no message that we sent")
            if own[0].content_commitment != item.supersedes.content_commitment:
                raise FieldInvalid(f"{field}.supersedes_commitment", "is not the commitment of the message it names")

    def add(self, item: Continuation) -> None:
        """Let the messages behind it in the batch be compared with this one too."""
        message = item.message
        if item.begins:
            # Before what others said in a thread of this id: whoever else knows the id could have been quicker than
            # its sender, and spoilt the thread for it.
            self._begun[message.thread_id] = message.mode
        else:
            self._theirs.setdefault(message.thread_id, message.mode)
        self._messages.setdefault(message.message_id, []).append(message)

    def _mode(self, thread: ThreadId) -> Mode | None:
        return self._ours.get(thread) or self._begun.get(thread) or self._theirs.get(thread)

    @staticmethod
    def _check_reply(message: NamedMessage, known: list[NamedMessage], field: str) -> None:
        # An id is its sender's choice, so two may have chosen the same; one that agrees suffices.
        if not known:
            return
        alike = [other for other in known if other.mode is message.mode]
        if not alike:
            raise ModeDiffers("the message that it answers is of another mode")
        if all(other.thread_id != message.thread_id for other in alike):
            raise FieldInvalid(f"{field}.in_reply_to", "names a message of another thread")

    def _check_supersedes(self, message: NamedMessage, supersedes: Supersedes) -> None:
        known = self._messages.get(supersedes.message_id, [])
        own = [old for old in known if old.sender == message.sender]
        if known and not own:
            raise SupersedesInvalid("the message that it would replace is another sender's")
        for old in own:
            if old.mode is not message.mode:
                raise ModeDiffers("the message that it would replace is of another mode")
            if old.kind is not message.kind:
                raise SupersedesInvalid("the message that it would replace is of another kind")
            if old.authority != message.authority:
                raise SupersedesInvalid("the message that it would replace is another authority's")
            if old.content_commitment != supersedes.content_commitment:
                raise SupersedesInvalid("the message that it would replace has another content")


def header_continues(header: Header) -> bool:
    """Say whether a header names a thread that another message began, or another message."""
    begins = header.thread_id.raw == header.message_id.raw
    return not begins or header.in_reply_to is not None or header.supersedes is not None


def continuation_of(header: Header, authority: str) -> Continuation:
    """Return what a header says of itself and of the messages before it; for whom is not in it."""
    return Continuation(
        message=NamedMessage(
            sender=header.sender,
            message_id=header.message_id,
            thread_id=header.thread_id,
            kind=header.kind,
            mode=header.mode,
            authority=authority,
            content_commitment=header.content_commitment,
        ),
        in_reply_to=header.in_reply_to,
        supersedes=header.supersedes,
    )
