"""How fast the exchange log grows, proves an entry and is checked, in a store of each engine.

Entries are loaded beside the store: going the way of messages would take an hour. The tree over them is made by the
gateway's own integrator in its own transactions, and what is measured asks the store as the gateway does.
"""

import asyncio
import contextlib
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from random import Random
from typing import Final

from gateway.assembly import own_keys
from gateway.clock import SystemClock
from gateway.config import packaged_partners_dir
from gateway.crypto.keyring import Keyring
from gateway.errors import PartnerUnknown
from gateway.exchange.directory import PartnerDirectory
from gateway.exchange.keep_log import LogKeeper
from gateway.exchange.own_card import renew_card
from gateway.exchange.own_keys import KeyHolder
from gateway.exchange.read_log import LogReader
from gateway.ids import PartnerId
from gateway.ports import IntegrateLog, ProveInclusion, ReadLog, RootAt, Store
from gateway.profiles import load_profiles
from gateway.rpc.convert import WireCodec
from gateway.store import migrate, open_store
from gateway.store.transaction import LogColumns
from gateway.translog.merkle import leaf_hash, verify_inclusion
from gateway.workers.log import INTEGRATE_ENTRIES
from tests.bench.exchange import bench_folder
from tests.bench.log_load import load_postgres, load_sqlite, steps

OWN: Final = PartnerId("cn")
CHECKPOINTS: Final = 10
"""Signed while the log grows to one size. A busy gateway signs one in 20,000 entries: every ten seconds."""
PROOFS: Final = 400
CHECKED: Final = 250_000
"""Entries after which the check of a larger log has shown its rate: each costs the same."""
WHOLE: Final = 20
"""Entries proved as for an auditor: with checkpoint, file, and the record that it was shown."""

Figures = dict[str, float]
Say = Callable[[str], None]
Load = Callable[[Iterator[LogColumns], int], Awaitable[None]]
"""Adds rows to a closed store; the first gets this position."""


def sqlite_figures(sizes: Mapping[str, int], say: Say) -> Figures:
    """Measure the embedded engine; sizes by the ends of their keys, the smallest first."""
    folder = bench_folder("log")

    async def load(rows: Iterator[LogColumns], first: int) -> None:
        await asyncio.to_thread(load_sqlite, folder, rows, first)

    try:
        return asyncio.run(_figures("log", f"sqlite://{folder}", sizes, load, say))
    finally:
        shutil.rmtree(folder)


def postgres_figures(sizes: Mapping[str, int], say: Say) -> Figures:
    """Measure the shared engine; nothing where it is not installed."""
    from tests.fixtures.postgres import running, wheel

    install = wheel()
    if install is None:
        say("PostgreSQL is not installed here")
        return {}
    with running(install) as server:
        url = server.create_database()
        return asyncio.run(
            _figures("log_postgresql", url, sizes, lambda rows, first: load_postgres(url, rows, first), say)
        )


async def _figures(name: str, url: str, sizes: Mapping[str, int], load: Load, say: Say) -> Figures:
    await migrate(url)
    clock = SystemClock()
    keyring = Keyring.generate(OWN, clock.now_ms())
    figures: Figures = {}
    for words, size in sizes.items():
        async with _opened(url, keyring, clock) as (store, keeper, _):
            await _grow(store, keeper, size)
            held = (await keeper.head()).size
        began = time.perf_counter()
        await load(steps(size - held, clock.now_ms()), held + 1)
        load_s = time.perf_counter() - began
        async with _opened(url, keyring, clock) as (store, keeper, reader):
            figures[f"{name}.integrate_per_s_at_{words}"] = await _grow(store, keeper, (size - held) // CHECKPOINTS)
            figures[f"{name}.prove_ms_at_{words}"] = await _prove_ms(store, size)
            whole_ms = await _prove_whole_ms(reader, size)
            checked, check_s, checkpoints = await _check(reader, size)
        figures[f"{name}.check_per_s_at_{words}"] = checked / check_s
        say(
            f"{name}, {size} entries: loaded in {load_s:.0f} s; {checked} checked in {check_s:.1f} s with {checkpoints}"
            f" checkpoints; a proof as auditors get it, recorded, {whole_ms:.1f} ms"
        )
    return figures


@contextlib.asynccontextmanager
async def _opened(url: str, keyring: Keyring, clock: SystemClock) -> AsyncIterator[tuple[Store, LogKeeper, LogReader]]:
    """Open the store with those parts of a gateway that work on the log."""
    codec = WireCodec()
    store = await open_store(url)
    try:
        directory = PartnerDirectory(OWN, store, codec, clock)
        await directory.load()
        try:
            directory.known(OWN)
        except PartnerUnknown:
            profile = load_profiles(packaged_partners_dir())[OWN]
            _, card = renew_card(
                keyring, profile, ("127.0.0.1:7443",), current=None, codec=codec, now_ms=clock.now_ms()
            )
            await directory.put_own(card)
        keys = KeyHolder(own_keys(keyring, clock.now_ms()), codec)
        keeper = LogKeeper(directory=directory, store=store, clock=clock, keys=keys)
        await keeper.open()
        yield store, keeper, LogReader(store=store, clock=clock, keeper=keeper)
    finally:
        await store.close()


async def _grow(store: Store, keeper: LogKeeper, sign_every: int) -> float:
    """Integrate all that waits and sign it; return the entries integrated per second, signing left out."""
    spent_s, done, signed = 0.0, 0, 0
    while True:
        began = time.perf_counter()
        grown = await store.write(IntegrateLog(INTEGRATE_ENTRIES))
        spent_s += time.perf_counter() - began
        done += grown
        if not grown or done - signed >= sign_every:
            signed = done
            await keeper.sign_checkpoint()
        if not grown:
            return done / spent_s


async def _prove_ms(store: Store, size: int) -> float:
    """Return the median time in which the store answers with the proof of a random entry; each is verified."""
    chance = Random(size)
    root = await store.read(RootAt(size))
    times: list[float] = []
    for index in chance.sample(range(size), PROOFS):
        began = time.perf_counter()
        hashes = await store.read(ProveInclusion(index=index, size=size))
        times.append(time.perf_counter() - began)
        (record,) = await store.read(ReadLog(first=index, max_rows=1))
        verify_inclusion(leaf_hash(record.leaf), index, size, root, hashes)
    return statistics.median(times) * 1000


async def _prove_whole_ms(reader: LogReader, size: int) -> float:
    chance = Random(size)
    times: list[float] = []
    for index in chance.sample(range(size), WHOLE):
        began = time.perf_counter()
        await reader.prove(index=index, message_id=b"", actor="auditor/bench")
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def _check(reader: LogReader, size: int) -> tuple[int, float, int]:
    """Compute the log anew, or its beginning; return the entries checked, the time and the checkpoints verified.

    Raises:
        RuntimeError: Something does not hold, so that no figure is worth anything.
    """
    began = time.perf_counter()
    last = None
    async with contextlib.aclosing(reader.check()) as checking:
        async for last in checking:
            if last.checked >= CHECKED:
                break
    check_s = time.perf_counter() - began
    if last is None or last.problems or last.disclosed < min(size, CHECKED):
        raise RuntimeError(f"the log of {size} entries is not sound: {last}")
    return last.checked, check_s, last.checkpoints
