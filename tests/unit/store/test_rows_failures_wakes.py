"""Small parts of the store: columns and back, drivers' errors in our words, subscriptions."""

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import LeaseLost, StoreCorrupt, StoreUnavailable
from gateway.ids import PartnerId
from gateway.model.envelope import MerklePath, ReceiptProof
from gateway.store.failures import postgres_failure, sqlite_failure
from gateway.store.rows import check_row, checksum, digest_head, pack_path, pack_proof, unpack_path, unpack_proof
from gateway.store.wakes import Wakes


@pytest.mark.parametrize(
    "path", [MerklePath(0, 1, b""), MerklePath(5, 64, bytes(192)), MerklePath(2**64 - 1, 2**64 - 1, b"x")]
)
def test_path_comes_back_as_it_was(path):
    assert unpack_path(pack_path(path)) == path


@pytest.mark.parametrize("size", [0, 1, 15])
def test_short_path_is_damage(size):
    with pytest.raises(StoreCorrupt):
        unpack_path(bytes(size))


def test_receipt_comes_back_as_it_was():
    proof = ReceiptProof(
        issuer=PartnerId("th"), signing_key_id=b"k", receipt=b"r", path=MerklePath(1, 2, bytes(32)), signature=b"s"
    )
    assert unpack_proof(pack_proof(proof)) == proof


def test_row_that_differs_from_its_checksum_is_damage():
    good = checksum(b"one", b"two")
    check_row("row", good, b"one", b"two")
    with pytest.raises(StoreCorrupt):
        check_row("row", good, b"one", b"twp")


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, b"\x80" + bytes(31), b"\x7f" + b"\xff" * 31])
def test_head_of_a_digest_fits_a_signed_number(digest):
    assert -(2**63) <= digest_head(digest) < 2**63


class Canary(sqlite3.OperationalError):
    def __init__(self, code, name):
        super().__init__("secret content")
        self.sqlite_errorcode = code
        self.sqlite_errorname = name


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, StoreUnavailable),
        (sqlite3.SQLITE_IOERR, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable),
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_READONLY, StoreUnavailable),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_CONSTRAINT, RuntimeError),
        (sqlite3.SQLITE_MISMATCH, RuntimeError),
    ],
)
def test_sqlite_errors_become_ours_without_their_text(code, expected):
    failure = sqlite_failure(Canary(code, "NAME"), "CommitReceived")
    assert type(failure) is expected
    assert "secret" not in str(failure)


def test_errors_of_ours_pass_and_mistakes_stay_mistakes():
    lost = LeaseLost("x")
    assert sqlite_failure(lost, "x") is lost
    assert postgres_failure(lost, "x") is lost
    assert type(sqlite_failure(MemoryError(), "x")) is StoreUnavailable
    for classify in (sqlite_failure, postgres_failure):
        failure = classify(ValueError("secret content"), "CommitReceived")
        assert type(failure) is RuntimeError
        assert "secret" not in str(failure)


def driver_error(state):
    error = Exception("secret content")
    error.sqlstate = state  # type: ignore[attr-defined]
    return DBAPIError("SELECT secret", None, error)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("53100", StoreUnavailable),
        ("53300", StoreUnavailable),
        ("57P01", StoreUnavailable),
        ("57P03", StoreUnavailable),
        ("08006", StoreUnavailable),
        ("58030", StoreUnavailable),
        ("25006", StoreUnavailable),
        ("3D000", StoreUnavailable),
        ("XX001", StoreCorrupt),
        ("XX002", StoreCorrupt),
        ("23505", RuntimeError),
        ("22P02", RuntimeError),
        ("XX000", RuntimeError),
    ],
)
def test_postgres_errors_become_ours_without_their_text(state, expected):
    failure = postgres_failure(driver_error(state), "CommitReceived")
    assert type(failure) is expected
    assert "secret" not in str(failure)


@pytest.mark.parametrize("error", [ConnectionRefusedError("x"), TimeoutError("x"), PoolTimeout("x"), OSError("x")])
def test_lost_connection_is_unavailable(error):
    assert type(postgres_failure(error, "x")) is StoreUnavailable


def test_wake_goes_to_subscribers_of_the_topic_until_they_stop():
    wakes, woken = Wakes(), []
    stops = [wakes.subscribe("a", lambda: woken.append(1)), wakes.subscribe("a", lambda: woken.append(2))]
    wakes.subscribe("b", lambda: woken.append(3))
    wakes.wake(["a", "none"])
    assert woken == [1, 2]
    stops[0]()
    stops[0]()
    wakes.wake({"a"})
    assert woken == [1, 2, 2]
    woken.clear()
    wakes.wake_all()
    assert sorted(woken) == [2, 3]


def test_subscriber_that_stops_while_being_woken_harms_no_other():
    wakes, woken = Wakes(), []
    stop = wakes.subscribe("a", lambda: (woken.append(1), stop()))
    wakes.subscribe("a", lambda: woken.append(2))
    wakes.wake(["a"])
    wakes.wake(["a"])
    assert woken == [1, 2, 2]
