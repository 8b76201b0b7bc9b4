"""A log checked page by page: everything is looked at, little is held, and the event loop does none of the hashing."""

import asyncio
import contextlib
import shutil
import sqlite3
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.crypto.cards import card_digest, sign_card
from gateway.crypto.keys import SignKey
from gateway.crypto.mldsa import MLDSASignKey
from gateway.errors import ProofRejected
from gateway.exchange import check_log as checking
from gateway.exchange.check_log import CHECK_ROWS, check_log
from gateway.exchange.log_keys import SLACK_MS, log_keys
from gateway.ids import PartnerId
from gateway.model.partner import KeyPurpose
from gateway.ports import Checkpoints, ReadLog
from tests.sim.nations import CODEC, Nation, Network, Secrets
from tests.sim.test_partner_logs import grow

SIZES = (1, 1, 2, 252, 1, 3, 700, 256, 31, 1)
"""Checkpoints beside one another, on the edge of a tile and on both sides of it, and pages without one."""


@dataclass(frozen=True)
class Made:
    """A home with a log, and the sizes that were signed."""

    home: Path
    secrets: Secrets
    signed: list[int]


async def make(home: Path) -> Made:
    nation = await Nation.start("cn", home, Network())
    signed = [await grow(nation, count) for count in SIZES]
    await nation.stop()
    return Made(home, nation.secrets, signed)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return asyncio.run(make(tmp_path_factory.mktemp("checked")))


async def opened(made: Made, at: Path, change: str = "") -> Nation:
    """Start a nation on a copy, changed as told."""
    (at / "cn").mkdir()
    for path in (made.home / "cn").glob("*.db*"):
        shutil.copy2(path, at / "cn")
    if change:
        with contextlib.closing(sqlite3.connect(at / "cn" / "store.db")) as store:
            assert store.execute(change).rowcount == 1
            store.commit()
    return await Nation.start("cn", at, Network(), made.secrets)


async def checked(nation: Nation, store=None) -> checking.CheckProgress:
    head = await nation.log.head()
    last = None
    async for last in check_log(store or nation.store, head, nation.log.card_keys()):
        assert last.checked <= head.size
    assert last is not None
    assert last.done
    return last


class Watched:
    """A store that notes how much is asked of it at once."""

    def __init__(self, store) -> None:
        self._store = store
        self.largest = 0

    async def read(self, query):
        if isinstance(query, ReadLog | Checkpoints):
            assert query.max_rows <= CHECK_ROWS
        answer = await self._store.read(query)
        if isinstance(answer, tuple):
            self.largest = max(self.largest, len(answer))
        return answer


async def test_every_entry_tile_and_checkpoint_is_checked_in_small_pages_away_from_the_loop(
    made, tmp_path, monkeypatch
):
    nation = await opened(made, tmp_path)
    threads = set()
    hashed, signed = checking.leaf_hash, checking.open_signed_in_time

    def leaf_hash(data):
        threads.add(threading.get_ident())
        return hashed(data)

    def open_signed_in_time(*given):
        threads.add(threading.get_ident())
        return signed(*given)

    try:
        size = made.signed[-1]
        monkeypatch.setattr(checking, "leaf_hash", leaf_hash)
        monkeypatch.setattr(checking, "open_signed_in_time", open_signed_in_time)
        store = Watched(nation.store)
        found = await checked(nation, store)
        assert (found.problems, found.checked, found.disclosed, found.erased) == ([], size, size, 0)
        assert found.checkpoints == len(SIZES)
        assert store.largest == CHECK_ROWS
        assert threading.get_ident() not in threads
    finally:
        await nation.stop()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "update log_checkpoint set note = (select note from log_checkpoint where size={s[1]}) where size={s[2]}",
            "the checkpoint of {s[2]} entries states another tree than the entries make",
        ),
        (
            "update log_checkpoint set note = cast('no note' as blob) where size = {s[3]}",
            "the checkpoint of {s[3]} entries: ",
        ),
        ("update log_checkpoint set size = 5000 where size = {s[4]}", "a checkpoint of 5000 entries is signed"),
        ("delete from log_entry where position = 700", "entries from 512 on are missing"),
        ("update log_disclosure set detail = 'x' where position = 9", "entry 8: "),
        ("update log_tile set hashes = zeroblob(8192) where id = 2", "tile 0/2 is not the one that the entries make"),
        ("update log_state set root = zeroblob(32)", "the root of the entries is not the root that is stored"),
    ],
)
async def test_what_is_wrong_is_named_wherever_it_is(made, tmp_path, change, problem):
    nation = await opened(made, tmp_path, change.format(s=made.signed))
    try:
        (found,) = (await checked(nation)).problems
        assert found.startswith(problem.format(s=made.signed))
    finally:
        await nation.stop()


async def rotated(nation: Nation, *, at_ms: int, revoke: bool) -> None:
    """Replace the log's keys on our card, as of an instant."""
    before = nation.directory.own_card()
    card = CODEC.decode_card(before.card)
    log = {KeyPurpose.LOG, KeyPurpose.LOG_COSIGN}
    nation.secrets = replace(nation.secrets, log=SignKey.generate(), cosign=MLDSASignKey.generate())
    new = CODEC.decode_card(nation.make_card(card.sequence + 1, card_digest(before.card)).card)
    past = tuple(
        replace(key, end_ms=min(key.end_ms, at_ms), revoke_ms=at_ms if revoke else None)
        for key in card.keys
        if key.purpose in log
    )
    signed = sign_card(
        replace(new, keys=(*new.keys, *past)), identity=nation.secrets.identity, previous_identity=None, codec=CODEC
    )
    await nation.directory.put_own(signed)
    nation.keys.replace(nation.own_keys())


@pytest.mark.parametrize("revoke", [False, True])
async def test_what_a_key_signed_before_it_was_replaced_or_revoked_is_sound(tmp_path, revoke):
    nation = await Nation.start("cn", tmp_path, Network())
    try:
        for _ in range(2):
            await grow(nation, 3)
            seen = await nation.log.show(PartnerId("th"), 0)
            # The clock of keys goes on; what they signed a moment ago was signed in time.
            await rotated(nation, at_ms=nation.clock.now_ms(), revoke=revoke)
            assert await nation.log.hear_own(PartnerId("th"), seen.checkpoint) > 0
        await grow(nation, 3)
        found = await checked(nation)
        assert (found.problems, found.checkpoints) == ([], 3)
        head = await nation.log.head()
        keys = nation.log.own_keys(head.origin)
        assert len(keys) == 6, "whoever verifies older checkpoints needs them"
        assert len(log_keys(head.origin, nation.log.card_keys())) == (2 if revoke else 6)
    finally:
        await nation.stop()


async def test_what_a_key_signed_after_it_was_revoked_is_not_sound(tmp_path):
    nation = await Nation.start("cn", tmp_path, Network())
    try:
        await grow(nation, 3)
        note = (await nation.log.show(PartnerId("th"), 0)).checkpoint
        await rotated(nation, at_ms=nation.clock.now_ms() - SLACK_MS - 60_000, revoke=True)
        (problem,) = (await checked(nation)).problems
        assert "signed while a key of it did not count" in problem
        with pytest.raises(ProofRejected):
            await nation.log.hear_own(PartnerId("th"), note)
        assert nation.log.problem is None
        # As somebody else's newest it is not believed at all, whenever it says that it was signed.
        with pytest.raises(ProofRejected):
            await nation.log.theirs.hear(PartnerId("cn"), note)
    finally:
        await nation.stop()
