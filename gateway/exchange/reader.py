"""Read: stored messages, and the stream of events that a national system follows.

A cursor is a position in the order of commit. It stays good as long as the events after it are kept.
"""

import base64
import binascii
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.crypto.at_rest import open_content, open_stored_body
from gateway.errors import CursorExpired, CursorInvalid, NotFound, PageTokenInvalid, StoreCorrupt
from gateway.exchange.key_pool import unwrap
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.steps import step
from gateway.ids import MessageId, PartnerId
from gateway.ports import (
    AppendLog,
    Codec,
    EventRange,
    EventRow,
    EventsSince,
    FindMessage,
    ListMessages,
    MessageRow,
    Store,
    StoredMessage,
)
from gateway.translog.entry import EventType
from gateway.workflow.alert import AlertState, state_at

MAX_PAGE: Final = 1000
DEFAULT_PAGE: Final = 100
WATCH_ROWS: Final = 256
WATCH_POLL_S: Final = 2.0
"""A lost wake-up delays an event by at most this."""
_FAR_MS: Final = 1 << 52


class Signal(Protocol):
    """Wakes whoever waits for news."""

    async def wait(self, timeout_s: float) -> bool:
        """Return True when woken since the last call, False after the time-out."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """A stored message and its body."""

    stored: StoredMessage
    body_bytes: bytes | None
    """None once erased."""


class MessageReader:
    """Answers what is stored.

    Args:
        new_signal: Makes a signal that is woken by new events.
    """

    def __init__(
        self, *, store: Store, codec: Codec, clock: Clock, keys: KeyHolder, new_signal: Callable[[], Signal]
    ) -> None:
        self._store = store
        self._clock = clock
        self._codec = codec
        self._keys = keys
        self._new_signal = new_signal

    async def open(self, sender: PartnerId, message_id: MessageId) -> OpenedMessage:
        """Return a message with its body. Whoever shows the body calls `note_shown` before.

        Raises:
            NotFound: No such message, or it still waits for its predecessor.
            StoreCorrupt: It is damaged.
        """
        stored = await self._store.read(FindMessage(sender=sender, message_id=message_id))
        if stored is None:
            raise NotFound("no such message")
        self._check(stored)
        body_bytes = self._open(stored)
        return OpenedMessage(dataclasses.replace(stored, row=at(stored.row, self._clock.now_ms())), body_bytes)

    async def note_shown(self, opened: Sequence[OpenedMessage], *, actor: str) -> None:
        """Put in the exchange log, durably, that these messages are shown: no content is read unrecorded.

        Raises:
            StoreUnavailable: It cannot be recorded, so nothing may be shown.
        """
        now_ms = self._clock.now_ms()
        steps = tuple(
            step(
                EventType.MESSAGE_SHOWN,
                now_ms,
                actor=actor,
                partner=item.stored.row.sender.code,
                subject=item.stored.row.message_id.raw,
                thread=item.stored.row.thread_id.raw,
                digest=item.stored.digest,
            )
            for item in opened
            if item.body_bytes is not None
        )
        if steps:
            await self._store.write(AppendLog(steps))

    async def note_listed(self, *, actor: str, count: int) -> None:
        """Put in the exchange log, durably, that a list was shown."""
        many = "1 message" if count == 1 else f"{count} messages"
        listed = step(EventType.LIST_SHOWN, self._clock.now_ms(), actor=actor, detail=many)
        await self._store.write(AppendLog((listed,)))

    def _check(self, stored: StoredMessage) -> None:
        """Compare what the database says about a message with its header, which was signed.

        Raises:
            StoreCorrupt: They differ.
        """
        row, header = stored.row, self._codec.decode_header(stored.header)
        said = (row.message_id, row.sender, row.kind, row.mode, row.urgency, row.thread_id, row.content_commitment)
        signed = (
            header.message_id,
            header.sender,
            header.kind,
            header.mode,
            header.urgency,
            header.thread_id,
            header.content_commitment,
        )
        if said != signed or (row.create_ms, row.expire_ms) != (header.create_ms, header.expire_ms):
            raise StoreCorrupt("what is stored about a message does not match its header")

    def _open(self, stored: StoredMessage) -> bytes | None:
        if stored.content_sealed is None or stored.wrapped_message_key is None:
            return None
        key = unwrap(self._keys.current.key_encryption, stored.wrapped_message_key, stored.key_id)
        content_key, ciphertext, _ = open_content(key, stored.content_sealed)
        return open_stored_body(content_key, stored.header, ciphertext, self._codec)

    async def list(self, *, sent: bool | None, page_size: int, page_token: str) -> tuple[tuple[MessageRow, ...], str]:
        """Return a page of messages, newest first, and the token of the next page (empty: no more).

        Raises:
            PageTokenInvalid: Not a token of this call.
        """
        size = min(page_size, MAX_PAGE) if page_size > 0 else DEFAULT_PAGE
        before_ms, before_id = _parse_token(page_token) if page_token else (_FAR_MS, b"\xff" * 16)
        rows = await self._store.read(
            ListMessages(sent=sent, before_ms=before_ms, before_id=before_id, max_rows=size + 1)
        )
        now_ms = self._clock.now_ms()
        rows = tuple(at(row, now_ms) for row in rows)
        if len(rows) <= size:
            return rows, ""
        last = rows[size - 1]
        return rows[:size], _encode(b"p1" + last.create_ms.to_bytes(8, "big") + last.message_id.raw)

    async def find(self, beginning: str, *, sent: bool | None) -> tuple[MessageRow, ...]:
        """Return the messages whose id, written as a UUID, begins so, newest first; without content."""
        found: list[MessageRow] = []
        token = ""
        while True:
            rows, token = await self.list(sent=sent, page_size=MAX_PAGE, page_token=token)
            found += (row for row in rows if str(row.message_id).startswith(beginning))
            if not token:
                return tuple(found)

    async def watch(self, since_cursor: str) -> AsyncIterator[tuple[tuple[EventRow, ...], str]]:
        """Yield events after a cursor, first those stored, then live, each batch with the cursor after it.

        Raises:
            CursorInvalid: Not a cursor of this gateway.
            CursorExpired: Events after it are no longer kept.
        """
        position = _parse_cursor(since_cursor) if since_cursor else 0
        first, last = await self._store.read(EventRange())
        if position > last:
            raise CursorInvalid("the cursor lies after the last event of this gateway")
        if since_cursor and position + 1 < first:
            raise CursorExpired("events after this cursor are no longer kept")
        signal = self._new_signal()
        try:
            while True:
                rows = await self._store.read(EventsSince(position=position, max_rows=WATCH_ROWS))
                if not rows:
                    await signal.wait(WATCH_POLL_S)
                    continue
                position = rows[-1].position
                yield rows, _encode(b"c1" + position.to_bytes(8, "big"))
        finally:
            signal.close()


def at(row: MessageRow, now_ms: int) -> MessageRow:
    """Return a row as it is at an instant: an alert may be over, which is written nowhere."""
    if not row.alert_state:
        return row
    state = state_at(AlertState[row.alert_state.upper()], row.expire_ms, now_ms).word
    return row if state == row.alert_state else dataclasses.replace(row, alert_state=state)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    # Lenient decoders take several texts for the same bytes; one text, one cursor.
    if _encode(data) != text:
        raise ValueError(text)
    return data


def _parse_cursor(text: str) -> int:
    try:
        data = _decode(text)
    except (ValueError, binascii.Error):
        raise CursorInvalid("the cursor was not made by this gateway") from None
    if len(data) != 10 or data[:2] != b"c1":
        raise CursorInvalid("the cursor was not made by this gateway")
    return int.from_bytes(data[2:], "big")


def _parse_token(text: str) -> tuple[int, bytes]:
    try:
        data = _decode(text)
    except (ValueError, binascii.Error):
        raise PageTokenInvalid("the page token was not made by this gateway") from None
    before_ms = int.from_bytes(data[2:10], "big")
    # An instant that no message has is more than the database takes.
    if len(data) != 26 or data[:2] != b"p1" or before_ms > _FAR_MS:
        raise PageTokenInvalid("the page token was not made by this gateway")
    return before_ms, data[10:]
