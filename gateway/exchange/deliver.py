"""Deliver: what of one partner's queue is in memory. When it is tried, gateway.exchange.schedule says.

`Backlog` keeps a bounded part of the queue; the database is the truth.
"""

from collections import deque
from typing import Final

from gateway.exchange.sealed_rows import ReadyEnvelope
from gateway.model.header import Urgency

FRAME_ROWS: Final = 128
FRAME_BYTES: Final = 1 << 20
"""A frame stays well under the 4 MiB that a link takes; one larger envelope travels alone."""
READY_ROWS: Final = 1024
READY_BYTES: Final = 4 << 20
"""Kept in memory for one partner, whatever waits."""
SHARE_BYTES: Final = 64 << 10
"""What a partner may always have in memory, so that no other partner's backlog stops it."""


class Prefetch:
    """Counts the bytes that all links together hold in memory.

    Args:
        max_bytes: From here on a link holds no more than SHARE_BYTES (or one large envelope).
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used_bytes = 0


class Backlog:
    """The part of one partner's queue that is in memory.

    Invariant: an envelope is in memory, or in flight, or no more urgent than `behind_from` and the database will be
    read. So forgetting everything and setting `behind_from` to U0 is always safe.
    """

    def __init__(self, prefetch: Prefetch) -> None:
        self._prefetch = prefetch
        self._ready: dict[Urgency, deque[ReadyEnvelope]] = {urgency: deque() for urgency in Urgency}
        self._held: set[bytes] = set()
        """Digests in memory or in flight."""
        self._rows = 0
        self._bytes = 0
        self._in_flight: dict[bytes, ReadyEnvelope] = {}
        self._late: list[ReadyEnvelope] | None = None
        """Newcomers while the database is being read; None at other times."""
        self.behind_from: Urgency | None = Urgency.U0
        """From this urgency down the database may hold rows that are not here; None when it holds no others."""

    def __len__(self) -> int:
        return self._rows

    @property
    def in_flight(self) -> int:
        """Envelopes sent and not answered."""
        return len(self._in_flight)

    @property
    def full(self) -> bool:
        """No room for more."""
        if self._rows >= READY_ROWS or self._bytes >= READY_BYTES:
            return True
        return self._prefetch.used_bytes >= self._prefetch.max_bytes and self._bytes >= SHARE_BYTES

    def offer(self, envelope: ReadyEnvelope) -> None:
        """Take an envelope that has just become durable, or note that the database has more."""
        if envelope.digest in self._held:
            # Read from the database between its commit and this call.
            return
        if self._late is not None and len(self._late) < READY_ROWS:
            self._late.append(envelope)
            return
        # Keep the queue's order: with rows waiting in the database, a newcomer of the same urgency must not overtake.
        if self.behind_from is not None and envelope.urgency >= self.behind_from:
            return
        if self._late is None:
            if envelope.thread_id is not None:
                # Before room is made: what the newcomer follows must not give way to it.
                self._promote(envelope)
            if self._make_room(envelope):
                self._add(envelope)
                return
        self.fall_behind(envelope.urgency)

    def fall_behind(self, urgency: Urgency) -> None:
        """Note that the database may hold rows of this urgency that are not here."""
        if self.behind_from is None or urgency < self.behind_from:
            self.behind_from = urgency

    @property
    def urgent(self) -> bool:
        """U0 or U1 is in memory, to leave next."""
        return bool(self._ready[Urgency.U0] or self._ready[Urgency.U1])

    @property
    def urgent_uncertain(self) -> bool:
        """U0 or U1 may wait in the database while something less urgent would be sent from memory."""
        known = self.behind_from
        return known is not None and known <= Urgency.U1 and self._holds_below(known)

    def _holds_below(self, urgency: Urgency) -> bool:
        return any(self._ready[lower] for lower in Urgency if lower > urgency)

    def full_for(self, urgency: Urgency) -> bool:
        """No room for more of this urgency, even in the place of something less urgent."""
        return self.full and not self._holds_below(urgency)

    def begin_load(self, *, urgent_only: bool = False) -> None:
        """The database is about to be read: newcomers are kept apart until it is known whether they were in it."""
        self._late = []
        self.behind_from = Urgency.U2 if urgent_only else None

    def load(self, envelope: ReadyEnvelope) -> None:
        """Take a row read from the database, unless it is here or in flight."""
        if envelope.digest not in self._held:
            self._make_room(envelope)
            self._add(envelope)

    def end_load(self, stopped_at: Urgency | None) -> None:
        """The reading is over; from the urgency at which it stopped down, rows may still wait in the database."""
        late, self._late = self._late or [], None
        if stopped_at is not None:
            self.fall_behind(stopped_at)
        for envelope in late:
            self.offer(envelope)

    def holds(self, digest: bytes) -> bool:
        """Say whether an envelope is in memory or in flight."""
        return digest in self._held

    def _add(self, envelope: ReadyEnvelope) -> None:
        self._ready[envelope.urgency].append(envelope)
        self._held.add(envelope.digest)
        self._rows += 1
        self._count(envelope.envelope.size_bytes)

    def _make_room(self, newcomer: ReadyEnvelope) -> bool:
        """Leave the last of the least urgent to the database while memory is full; say whether there is room now."""
        missing = newcomer.envelope.size_bytes
        for urgency in reversed(Urgency):
            queue = self._ready[urgency]
            # What is in flight may fill memory by itself: then it is enough that the newcomer takes what others had.
            while self.full and missing > 0 and urgency > newcomer.urgency and queue:
                item = queue.pop()
                self._held.discard(item.digest)
                self._rows -= 1
                self._count(-item.envelope.size_bytes)
                missing -= item.envelope.size_bytes
                self.fall_behind(item.urgency)
        return missing <= 0 or not self.full

    def _count(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        self._prefetch.used_bytes += size_bytes

    def _promote(self, newcomer: ReadyEnvelope) -> None:
        """Let earlier messages of the newcomer's thread inherit its urgency, in their order."""
        for urgency in Urgency:
            if urgency <= newcomer.urgency:
                continue
            queue = self._ready[urgency]
            same = [item for item in queue if item.thread_id == newcomer.thread_id or _begins(item, newcomer)]
            if same:
                self._ready[urgency] = deque(item for item in queue if item not in same)
                self._ready[newcomer.urgency].extend(same)

    def take(self, now_ms: int) -> tuple[ReadyEnvelope, ...]:
        """Move the next frame's envelopes into flight, most urgent first.

        What is U0 or U1, or what such a message pulls along, shares no frame with what is not: a frame is taken in as a
        whole, and filled up with routine it would arrive seconds later on a slow line. Routine gets the next frame.
        Expired ones are dropped: they are buried elsewhere.
        """
        frame: list[ReadyEnvelope] = []
        size = 0
        for urgency in Urgency:
            if frame and urgency is Urgency.U2:
                break
            queue = self._ready[urgency]
            while queue and len(frame) < FRAME_ROWS:
                item = queue[0]
                item_bytes = item.envelope.size_bytes
                if frame and size + item_bytes > FRAME_BYTES:
                    return self._launch(frame)
                queue.popleft()
                self._rows -= 1
                if item.expire_ms <= now_ms:
                    self._held.discard(item.digest)
                    self._count(-item_bytes)
                    continue
                frame.append(item)
                size += item_bytes
        return self._launch(frame)

    def _launch(self, frame: list[ReadyEnvelope]) -> tuple[ReadyEnvelope, ...]:
        for item in frame:
            self._in_flight[item.digest] = item
        return tuple(frame)

    def land(self, digest: bytes) -> ReadyEnvelope | None:
        """Take an answered envelope out of flight."""
        item = self._in_flight.pop(digest, None)
        if item is not None:
            self._held.discard(digest)
            self._count(-item.envelope.size_bytes)
        return item

    def drop(self, digest: bytes) -> None:
        """Leave what is in memory to the database, where another envelope has taken its place."""
        for urgency, queue in self._ready.items():
            for item in queue:
                if item.digest == digest:
                    queue.remove(item)
                    self._held.discard(digest)
                    self._rows -= 1
                    self._count(-item.envelope.size_bytes)
                    self.fall_behind(urgency)
                    return

    def forget(self) -> None:
        """The link is gone: nothing is in flight, and the database is read again."""
        for queue in self._ready.values():
            queue.clear()
        self._held.clear()
        self._in_flight.clear()
        self._late = None
        self._rows = 0
        self._count(-self._bytes)
        self.behind_from = Urgency.U0


def _begins(item: ReadyEnvelope, newcomer: ReadyEnvelope) -> bool:
    return newcomer.thread_id is not None and item.message_id.raw == newcomer.thread_id.raw
