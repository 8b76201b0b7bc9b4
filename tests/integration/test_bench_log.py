"""What the bench measures of the log is a sound log: real entries, the real integrator, proofs and checks that hold."""

from tests.bench.log import sqlite_figures


def test_the_bench_measures_a_log_that_is_sound_at_both_sizes() -> None:
    said: list[str] = []
    figures = sqlite_figures({"1e5": 600, "1e6": 900}, said.append)
    names = ("integrate_per_s", "prove_ms", "check_per_s")
    assert set(figures) == {f"log.{name}_at_{size}" for name in names for size in ("1e5", "1e6")}
    assert all(value > 0 for value in figures.values())
    assert [line.split(",")[1].split(":")[0] for line in said] == [" 600 entries", " 900 entries"]
