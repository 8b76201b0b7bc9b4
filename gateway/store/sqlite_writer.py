"""The thread that writes: groups of operations, two commits in order, checkpoints while nobody waits."""

import asyncio
import contextlib
import queue
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.errors import StoreCorrupt, StoreUnavailable
from gateway.ports import Operation
from gateway.store.failures import sqlite_failure
from gateway.store.handlers import GROUP_BYTES, GROUP_OPERATIONS, apply_all, weigh
from gateway.store.sqlite_home import STORE_FILE, attach_keys, connect, tune
from gateway.store.sqlite_transaction import KeyStore, SqliteTransaction, load_counters
from gateway.store.tables import KEY_SCHEMA

_LINGER_S: Final = 0.001
_BUSY_GROUP: Final = 8
"""A group this large says that more is on its way: waiting a little longer saves a commit."""
_CHECKPOINT_PAGES: Final = 4000
"""16 MB of WAL: a checkpoint of so much takes some 30 ms here, and comes once in some thousand messages."""
_IDLE_CHECKPOINT_S: Final = 0.25

Waiting = tuple[Operation[Any], "asyncio.Future[Any]"]
CommitPoint = Callable[[str], None]
"""Called with keys-before, keys-after, main-before, main-after around the two commits of a group."""
Done = Sequence[tuple["asyncio.Future[Any]", Any]]


class Writer:
    """The thread that writes."""

    def __init__(
        self,
        home: Path,
        waiting: "queue.SimpleQueue[Waiting | None]",
        finish: Callable[[Done, Iterable[str]], None],
        at_commit_point: CommitPoint | None,
    ) -> None:
        self._queue = waiting
        self._finish = finish
        self._point = at_commit_point or (lambda _: None)
        self._main = connect(home / STORE_FILE, "rw")
        tune(self._main, "main")
        self._main.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        self._cursor = self._main.cursor()
        # Attached, so that statements name the keys as on the other engine; in a connection of its own, because
        # a commit over two files is not atomic and the order of the two must be ours.
        keys = connect(None, "rw")
        attach_keys(keys, home, "rw")
        tune(keys, KEY_SCHEMA)
        keys.execute(f"PRAGMA {KEY_SCHEMA}.secure_delete=ON")
        keys.execute(f"PRAGMA {KEY_SCHEMA}.wal_autocheckpoint={_CHECKPOINT_PAGES}")
        self._keys = KeyStore(keys)
        self._counters = load_counters(self._main)
        self._corrupt: StoreCorrupt | None = None
        self._unchecked = False
        self.tell: Callable[[int, float], None] | None = None
        """Hears of each commit: operations and seconds."""

    def run(self) -> None:
        """Write until told to stop."""
        last_size = 0
        stopping = False
        while not stopping:
            group = self._next_group(last_size)
            if group and group[-1] is None:
                stopping = True
            operations = [item for item in group if item is not None]
            last_size = len(operations)
            if operations:
                self._write(operations)
        self._keys.close()
        self._cursor.close()
        self._main.close()

    def _next_group(self, last_size: int) -> list[Waiting | None]:
        try:
            first = self._queue.get(timeout=_IDLE_CHECKPOINT_S if self._unchecked else None)
        except queue.Empty:
            self._checkpoint()
            return []
        group: list[Waiting | None] = []
        size_bytes = 0
        lingered = last_size < _BUSY_GROUP
        item = first
        while True:
            group.append(item)
            if item is None:
                return group
            size_bytes += weigh(item[0])
            if len(group) >= GROUP_OPERATIONS or size_bytes >= GROUP_BYTES:
                return group
            if not lingered and self._queue.empty():
                lingered = True
                time.sleep(_LINGER_S)
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group

    def _write(self, group: Sequence[Waiting]) -> None:
        if self._corrupt is not None:
            self._finish([(future, StoreCorrupt(self._corrupt.text)) for _, future in group], ())
            return
        alone = len(group) == 1
        self._unchecked = True
        try:
            results, topics = self._commit([operation for operation, _ in group], alone=alone)
        except Exception as error:  # noqa: BLE001 - handed to the callers
            failure = sqlite_failure(error, type(group[0][0]).__name__)
            if alone or isinstance(failure, StoreUnavailable | StoreCorrupt):
                self._note(failure)
                self._finish([(future, failure) for _, future in group], ())
            else:
                for item in group:
                    self._write([item])
        else:
            self._finish([(future, result) for (_, future), result in zip(group, results, strict=True)], topics)

    def _note(self, failure: BaseException) -> None:
        if isinstance(failure, StoreCorrupt):
            self._corrupt = failure

    def _commit(self, operations: Sequence[Operation[Any]], *, alone: bool) -> tuple[list[Any], set[str]]:
        """Apply and commit; raise with nothing written."""
        began_s = time.perf_counter()
        counters = dict(self._counters)
        tx = SqliteTransaction(self._cursor, counters, alone=alone)
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            results = apply_all(tx, operations)
            if tx.keys or tx.erased or tx.mark is not None:
                self._point("keys-before")
                self._keys.write(tx.keys, tx.erased, tx.mark)
                self._point("keys-after")
            self._point("main-before")
            self._cursor.execute("COMMIT")
            self._point("main-after")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._main.rollback()
            raise
        self._counters = counters
        if self.tell is not None:
            self.tell(len(operations), time.perf_counter() - began_s)
        return results, tx.topics

    def _checkpoint(self) -> None:
        """Move the WAL into the database while nobody waits, so that under load it seldom must be."""
        self._unchecked = False
        try:
            self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._keys.checkpoint("PASSIVE")
        except sqlite3.Error as error:
            # Nothing is lost: the WAL stays. Damage is remembered; a full disk shows itself at the next write.
            self._note(sqlite_failure(error, "a checkpoint"))
