"""Measure Concord: `python -m tests.bench [--quick] [--only PART]`, or `make bench`.

Prints a table and writes build/bench.json. Floor and gateway are measured in turn, round by round, so that whatever
else the machine does falls on both; a figure is the median of its rounds. docs/decisions/0004-speed.md says what the
figures mean and where the time goes.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from tests.bench import bulk
from tests.bench.attachment import figures as attachment_figures
from tests.bench.cap import parse_per_s
from tests.bench.exchange import Exchange
from tests.bench.fanout import fanout_s
from tests.bench.floor import Floor
from tests.bench.log import postgres_figures, sqlite_figures
from tests.bench.processes import ROOT

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much to measure."""

    rounds: int
    streamed: int
    unary: int
    alone: int
    """Messages sent one at a time in each round."""
    alerts: int
    backlog: int
    stored: int
    logged: tuple[int, int]
    """Entries of the exchange log; a shared store is measured at the first size only."""
    file_bytes: int


FULL = Size(
    rounds=3,
    streamed=10_000,
    unary=4_000,
    alone=70,
    alerts=5,
    backlog=100_000,
    stored=1_000_000,
    logged=(100_000, 1_000_000),
    file_bytes=256 << 20,
)
QUICK = Size(
    rounds=2,
    streamed=2_000,
    unary=600,
    alone=25,
    alerts=2,
    backlog=5_000,
    stored=20_000,
    logged=(4_000, 20_000),
    file_bytes=16 << 20,
)
"""About a minute: shows that everything runs; its figures are rough, and those of large stores are of small ones."""


def rates(size: Size) -> Figures:
    """Compare throughput and idle latency of floor and gateway."""
    seen: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    with ExitStack() as stack:
        ends = {"floor": stack.enter_context(Floor()), "exchange": stack.enter_context(Exchange())}
        for _ in range(size.rounds):
            for manner, count in (("", size.streamed), ("_unary", size.unary)):
                for name, end in ends.items():
                    before = _cpu_s(end.pids)
                    rate = end.unary(count) if manner else end.streamed(count)
                    seen.setdefault(f"{name}{manner}.msgs_per_s", []).append(rate)
                    for role, used_s in _cpu_s(end.pids).items():
                        cpu.setdefault(f"{name}{manner} {role}", []).append((used_s - before[role]) / count * 1e6)
            for name, end in ends.items():
                seen.setdefault(f"{name}.ms", []).extend(end.latencies_ms(size.alone))
    for name, values in cpu.items():
        note(f"{name}: {statistics.median(values):.0f} us of CPU a message")
    figures: Figures = {}
    for name, values in seen.items():
        if name.endswith(".ms"):
            hundredths = statistics.quantiles(values, n=100)
            figures[name.replace(".ms", ".p50_ms")] = hundredths[49]
            figures[name.replace(".ms", ".p99_ms")] = hundredths[98]
        else:
            note(f"{name} by round: {', '.join(str(round(value)) for value in values)}")
            figures[name] = statistics.median(values)
    for manner in ("", "_unary"):
        ratio = figures[f"exchange{manner}.msgs_per_s"] / figures[f"floor{manner}.msgs_per_s"]
        figures[f"exchange{manner}.ratio_to_floor"] = ratio
    return figures


def _cpu_s(pids: dict[str, int]) -> dict[str, float]:
    used = {role: psutil.Process(pid).cpu_times() for role, pid in pids.items()}
    return {role: times.user + times.system for role, times in used.items()}


def fanout(size: Size) -> Figures:
    """One alert to a hundred partners."""
    times = fanout_s(size.alerts)
    note(f"fan-out, each alert: {', '.join(f'{value:.3f}' for value in times)} s")
    return {"fanout100.s": statistics.median(times)}


def backlog(size: Size) -> Figures:
    """Memory while a partner is away and a backlog waits for it and drains."""
    with Exchange() as exchange:
        before_mb, peak_mb, first_s = exchange.backlog_rss_mb(size.backlog)
    note(
        f"backlog of {size.backlog}: {before_mb:.0f} MB before, {peak_mb:.0f} MB at most; first receipt {first_s:.2f} s"
    )
    return {"backlog1e5.rss_mb": peak_mb}


def million(size: Size) -> Figures:
    """Throughput on stores that hold a million sealed messages."""
    with Exchange() as exchange:
        exchange.streamed(2 * bulk.TEMPLATES)
        exchange.stop()
        started = time.monotonic()
        for gateway in (exchange.sender, exchange.receiver):
            held = bulk.fill(gateway.home, size.stored)
            note(f"{gateway.code}'s store holds {held} messages ({time.monotonic() - started:.0f} s so far)")
        exchange.restart()
        values = [exchange.streamed(size.streamed) for _ in range(size.rounds)]
    note(f"with a full store, by round: {', '.join(str(round(value)) for value in values)} msg/s")
    return {"exchange.msgs_per_s_at_1e6": statistics.median(values)}


def cap(_size: Size) -> Figures:
    """Measure how many CAP alerts are read per second."""
    return {"cap.parse_per_s": parse_per_s()}


def log(size: Size) -> Figures:
    """Grow, prove and check the exchange log."""
    small, large = size.logged
    return sqlite_figures({"1e5": small, "1e6": large}, note) | postgres_figures({"1e5": small}, note)


def attachment(size: Size) -> Figures:
    """Carry a file from one gateway to another."""
    figures, said = attachment_figures(size.file_bytes, size.rounds)
    note(said)
    return figures


PARTS: dict[str, Callable[[Size], Figures]] = {
    "rates": rates,
    "fanout": fanout,
    "backlog": backlog,
    "million": million,
    "cap": cap,
    "log": log,
    "attachment": attachment,
}

KEYS = (
    "floor.msgs_per_s",
    "floor_unary.msgs_per_s",
    "exchange.msgs_per_s",
    "exchange_unary.msgs_per_s",
    "exchange.ratio_to_floor",
    "exchange_unary.ratio_to_floor",
    "exchange.p50_ms",
    "exchange.p99_ms",
    "floor.p50_ms",
    "floor.p99_ms",
    "fanout100.s",
    "exchange.msgs_per_s_at_1e6",
    "backlog1e5.rss_mb",
    "cap.parse_per_s",
    "log.integrate_per_s_at_1e5",
    "log.integrate_per_s_at_1e6",
    "log.prove_ms_at_1e5",
    "log.prove_ms_at_1e6",
    "log.check_per_s_at_1e5",
    "log.check_per_s_at_1e6",
    "log_postgresql.integrate_per_s_at_1e5",
    "log_postgresql.prove_ms_at_1e5",
    "log_postgresql.check_per_s_at_1e5",
    "attachment_floor.mib_per_s",
    "attachment.mib_per_s",
    "attachment.ratio_to_floor",
    "attachment_upload.mib_per_s",
)


def aims(figures: Figures) -> dict[str, tuple[str, bool]]:
    """Return, for figures that have one, the aim in words and whether it is met."""
    found: dict[str, tuple[str, bool]] = {}
    for name in ("exchange.ratio_to_floor", "exchange_unary.ratio_to_floor"):
        if name in figures:
            found[name] = ("at least 0.6", figures[name] >= 0.6)
    if "exchange.p50_ms" in figures:
        most = 2 * figures["floor.p50_ms"]
        found["exchange.p50_ms"] = (f"at most {most:.2f}, twice the floor", figures["exchange.p50_ms"] <= most)
    if {"exchange.msgs_per_s", "exchange.msgs_per_s_at_1e6"} <= figures.keys():
        least = 0.9 * figures["exchange.msgs_per_s"]
        value = figures["exchange.msgs_per_s_at_1e6"]
        found["exchange.msgs_per_s_at_1e6"] = (f"at least {least:.0f}, nine tenths", value >= least)
    return found


def note(text: str) -> None:
    """Say something on the way."""
    print(f"  {text}", flush=True)


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute, rough figures, build/bench-quick.json")
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="run only this part; may be repeated")
    options = parser.parse_args()
    started = time.monotonic()
    figures: Figures = {}
    for name, part in PARTS.items():
        if options.only is None or name in options.only:
            print(f"{name}: {(part.__doc__ or '').splitlines()[0]}", flush=True)
            figures |= part(QUICK if options.quick else FULL)
    wanted = aims(figures)
    print()
    for name in KEYS:
        if name in figures:
            aim, met = wanted.get(name, ("", True))
            print(f"{name:37} {figures[name]:12.3f}  {aim}{'' if met else '  NOT MET'}")
    path = ROOT / "build" / ("bench-quick.json" if options.quick else "bench.json")
    path.write_text(json.dumps({name: round(figures[name], 3) for name in KEYS if name in figures}, indent=2) + "\n")
    print(f"\n{path.relative_to(ROOT)} written after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
