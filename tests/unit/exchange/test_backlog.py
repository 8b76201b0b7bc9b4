"""The bounded memory of one partner's queue."""

import os

from gateway.exchange.deliver import FRAME_ROWS, READY_BYTES, READY_ROWS, SHARE_BYTES, Backlog, Prefetch
from gateway.exchange.sealed_rows import ReadyEnvelope
from gateway.ids import EnvelopeId, MessageId, PartnerId, ThreadId
from gateway.model.envelope import Envelope, MerklePath
from gateway.model.header import Urgency

PATH = MerklePath(0, 1, b"")


def envelope(
    urgency: Urgency = Urgency.U3,
    *,
    thread: bytes | None = None,
    message: bytes | None = None,
    size: int = 100,
    expire_ms: int = 1 << 50,
) -> ReadyEnvelope:
    """Return an envelope that is ready to leave; its bytes are of no matter here."""
    return ReadyEnvelope(
        partner=PartnerId("th"),
        message_id=MessageId(message or os.urandom(16)),
        envelope_id=EnvelopeId(os.urandom(16)),
        thread_id=None if thread is None else ThreadId(thread),
        urgency=urgency,
        expire_ms=expire_ms,
        digest=os.urandom(32),
        envelope=Envelope(
            header=b"h", ciphertext=b"c" * size, record=b"r", record_path=PATH, batch_path=PATH, signature=b"s" * 64,
            encapsulation=b"e",
        ),
    )  # fmt: skip


def caught_up(prefetch: Prefetch | None = None) -> Backlog:
    """Return a backlog that knows the database holds nothing else."""
    backlog = Backlog(prefetch or Prefetch(64 << 20))
    backlog.begin_load()
    backlog.end_load(None)
    return backlog


def test_most_urgent_leaves_first_and_equals_keep_their_order() -> None:
    backlog = caught_up()
    items = [envelope(urgency) for urgency in (Urgency.U3, Urgency.U1, Urgency.U3, Urgency.U0, Urgency.U1)]
    for item in items:
        backlog.offer(item)
    assert [item.digest for item in backlog.take(0)] == [items[i].digest for i in (3, 1, 4)]
    assert [item.digest for item in backlog.take(0)] == [items[i].digest for i in (0, 2)]
    assert backlog.in_flight == 5


def test_an_urgent_frame_is_not_filled_up_with_routine_and_routine_shares_one() -> None:
    backlog = caught_up()
    items = [envelope(Urgency.U3), envelope(Urgency.U2), envelope(Urgency.U0, expire_ms=1)]
    for item in items:
        backlog.offer(item)
    assert [item.digest for item in backlog.take(0)] == [items[2].digest]
    assert [item.digest for item in backlog.take(0)] == [items[1].digest, items[0].digest]
    gone = envelope(Urgency.U0, expire_ms=1)
    backlog.offer(gone)
    backlog.offer(envelope(Urgency.U3))
    assert len(backlog.take(1)) == 1


def test_earlier_messages_of_a_thread_inherit_the_urgency_of_a_later_one() -> None:
    backlog = caught_up()
    thread = os.urandom(16)
    first = envelope(Urgency.U3, message=thread)
    other = envelope(Urgency.U1)
    second = envelope(Urgency.U2, thread=thread)
    flash = envelope(Urgency.U0, thread=thread)
    for item in (first, other, second, flash):
        backlog.offer(item)
    assert [item.digest for item in backlog.take(0)] == [item.digest for item in (first, second, flash, other)]


def test_newcomers_do_not_overtake_rows_that_wait_in_the_database() -> None:
    backlog = Backlog(Prefetch(64 << 20))
    backlog.offer(envelope(Urgency.U3))
    assert len(backlog) == 0
    assert backlog.behind_from is Urgency.U0


def test_memory_is_bounded_and_overflow_is_remembered() -> None:
    backlog = caught_up()
    for _ in range(READY_ROWS + 10):
        backlog.offer(envelope())
    assert len(backlog) == READY_ROWS
    assert backlog.behind_from is Urgency.U3


def test_a_newcomer_during_a_load_is_taken_once() -> None:
    backlog = Backlog(Prefetch(64 << 20))
    twice, late = envelope(), envelope()
    backlog.begin_load()
    backlog.offer(twice)
    backlog.offer(late)
    backlog.load(twice)
    backlog.end_load(None)
    assert [item.digest for item in backlog.take(0)] == [twice.digest, late.digest]
    assert backlog.behind_from is None


def test_an_incomplete_load_leaves_newcomers_to_the_database() -> None:
    backlog = Backlog(Prefetch(64 << 20))
    backlog.begin_load()
    backlog.offer(envelope())
    backlog.load(envelope())
    backlog.end_load(Urgency.U3)
    assert len(backlog) == 1
    assert backlog.behind_from is Urgency.U3


def test_what_is_in_flight_is_not_loaded_again_until_the_link_is_lost() -> None:
    backlog = caught_up()
    item = envelope()
    backlog.offer(item)
    backlog.take(0)
    backlog.load(item)
    assert len(backlog) == 0
    backlog.forget()
    backlog.load(item)
    assert len(backlog) == 1


def test_expired_envelopes_do_not_leave() -> None:
    backlog = caught_up()
    backlog.offer(envelope(expire_ms=1000))
    assert backlog.take(1000) == ()
    assert backlog.in_flight == 0


def test_a_frame_is_bounded_in_rows_and_bytes_but_one_large_envelope_travels() -> None:
    backlog = caught_up()
    for _ in range(FRAME_ROWS + 1):
        backlog.offer(envelope())
    assert len(backlog.take(0)) == FRAME_ROWS
    assert len(backlog.take(0)) == 1
    backlog.offer(envelope(size=2_000_000))
    backlog.offer(envelope(size=10))
    assert len(backlog.take(0)) == 1
    assert len(backlog.take(0)) == 1


def test_all_links_together_hold_no_more_than_their_bound_and_each_keeps_a_share() -> None:
    prefetch = Prefetch(200_000)
    greedy, modest = caught_up(prefetch), caught_up(prefetch)
    for _ in range(50):
        greedy.offer(envelope(size=10_000))
    assert prefetch.used_bytes <= 200_000 + 11_000
    assert greedy.behind_from is Urgency.U3
    for _ in range(50):
        modest.offer(envelope(size=10_000))
    assert 0 < len(modest) <= SHARE_BYTES // 10_000 + 1


def test_what_leaves_memory_is_counted_off_however_it_leaves() -> None:
    prefetch = Prefetch(1 << 20)
    backlog = caught_up(prefetch)
    items = [envelope(), envelope(expire_ms=5), envelope()]
    for item in items:
        backlog.offer(item)
    backlog.take(10)
    backlog.land(items[0].digest)
    assert prefetch.used_bytes == items[2].envelope.size_bytes
    backlog.forget()
    assert prefetch.used_bytes == 0


def test_an_envelope_that_was_read_before_it_was_offered_leaves_once() -> None:
    backlog = Backlog(Prefetch(64 << 20))
    item = envelope()
    backlog.begin_load()
    backlog.load(item)
    backlog.end_load(None)
    backlog.offer(item)
    assert len(backlog) == 1
    assert [taken.digest for taken in backlog.take(0)] == [item.digest]


def full_of_routine() -> Backlog:
    """Return a backlog whose memory is full, with more routine in the database."""
    backlog = caught_up()
    for _ in range(READY_ROWS + 1):
        backlog.offer(envelope(Urgency.U3))
    return backlog


def test_a_flash_message_is_taken_into_full_memory_in_the_place_of_routine() -> None:
    backlog = full_of_routine()
    flash = envelope(Urgency.U0)
    backlog.offer(flash)
    assert len(backlog) == READY_ROWS
    assert backlog.take(0)[0].digest == flash.digest
    assert backlog.behind_from is Urgency.U3


def test_what_gives_way_is_the_last_of_the_least_urgent_and_is_read_again() -> None:
    backlog = caught_up()
    items = [envelope(Urgency.U2 if i % 2 else Urgency.U3) for i in range(READY_ROWS)]
    for item in items:
        backlog.offer(item)
    backlog.offer(envelope(Urgency.U1))
    assert not backlog.holds(items[-2].digest)
    assert all(backlog.holds(item.digest) for item in items if item is not items[-2])
    assert backlog.behind_from is Urgency.U3
    for _ in range(READY_ROWS):
        backlog.offer(envelope(Urgency.U1))
    assert len(backlog) == READY_ROWS
    assert backlog.behind_from is Urgency.U1
    backlog.load(items[0])
    assert backlog.holds(items[0].digest)


def test_memory_stays_bounded_in_bytes_when_flash_messages_are_large() -> None:
    prefetch = Prefetch(64 << 20)
    backlog = caught_up(prefetch)
    for _ in range(READY_ROWS):
        backlog.offer(envelope(size=READY_BYTES // READY_ROWS))
    for _ in range(20):
        backlog.offer(envelope(Urgency.U0, size=1 << 20))
    assert prefetch.used_bytes < READY_BYTES + (2 << 20)
    assert backlog.behind_from is Urgency.U0


def test_what_is_in_flight_and_fills_memory_does_not_drive_routine_out_for_nothing() -> None:
    backlog = caught_up()
    for _ in range(5):
        backlog.offer(envelope(size=1_000_000))
    for _ in range(5):
        backlog.take(0)
    backlog.load(envelope(size=500))
    backlog.load(envelope(size=500))
    backlog.offer(envelope(Urgency.U0, size=100))
    assert len(backlog) == 2
    assert backlog.take(0)[0].urgency is Urgency.U0


def test_a_message_does_not_give_way_to_the_one_that_follows_it() -> None:
    backlog = caught_up()
    thread = os.urandom(16)
    for _ in range(READY_ROWS - 1):
        backlog.offer(envelope(Urgency.U3))
    first = envelope(Urgency.U3, message=thread)
    backlog.offer(first)
    flash = envelope(Urgency.U0, thread=thread)
    backlog.offer(flash)
    assert [item.digest for item in backlog.take(0)[:2]] == [first.digest, flash.digest]


def test_an_unread_flash_message_is_looked_for_only_while_less_urgent_ones_would_leave_first() -> None:
    backlog = caught_up()
    backlog.offer(envelope(Urgency.U1))
    backlog.fall_behind(Urgency.U2)
    assert not backlog.urgent_uncertain
    backlog.fall_behind(Urgency.U1)
    assert not backlog.urgent_uncertain
    backlog.fall_behind(Urgency.U0)
    assert backlog.urgent_uncertain
    backlog.take(0)
    assert not backlog.urgent_uncertain


def test_a_reading_of_urgent_rows_makes_room_and_leaves_the_rest_to_the_database() -> None:
    backlog = full_of_routine()
    backlog.fall_behind(Urgency.U0)
    backlog.begin_load(urgent_only=True)
    flash, late = envelope(Urgency.U0), envelope(Urgency.U1)
    backlog.load(flash)
    backlog.offer(late)
    backlog.offer(envelope(Urgency.U2))
    assert not backlog.full_for(Urgency.U1)
    backlog.end_load(None)
    assert [item.digest for item in backlog.take(0)[:2]] == [flash.digest, late.digest]
    assert backlog.behind_from is Urgency.U2
    assert len(backlog) == READY_ROWS - 2


def test_more_newcomers_than_are_kept_during_a_reading_are_left_to_the_database() -> None:
    backlog = Backlog(Prefetch(64 << 20))
    backlog.begin_load()
    for _ in range(READY_ROWS):
        backlog.offer(envelope(Urgency.U2))
    backlog.offer(envelope(Urgency.U1))
    assert backlog.behind_from is Urgency.U1
    backlog.end_load(None)
    assert len(backlog) == 0
    assert backlog.behind_from is Urgency.U1
