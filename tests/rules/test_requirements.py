"""Lock files: everything pinned, everything hashed, no source named."""

import re

import pytest

from tests.rules.tree import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def entries(lock: str) -> list[str]:
    return [line for line in lock.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(path):
    lock = path.read_text(encoding="utf-8")
    assert len(entries(lock)) > 10
    assert [
        entry
        for entry in entries(lock)
        if not re.fullmatch(
            r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?==\S+( *;[^\\]*?)?( +--hash=sha256:[0-9a-f]{64})+ *", entry
        )
    ] == []


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_no_source_of_packages_is_named(path):
    lock = path.read_text(encoding="utf-8")
    assert "://" not in lock
    assert not re.search(r"^\s*-", re.sub(r"^\s+--hash=\S+.*$", "", lock, flags=re.MULTILINE), re.MULTILINE)


def test_what_runs_is_what_was_tested():
    # The same package in both files has the same version: tests say something about what is deployed.
    pins = [
        dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in LOCKS
    ]
    run, dev = (pins[[path.stem for path in LOCKS].index(name)] for name in ("run", "dev"))
    assert {name: (version, dev.get(name)) for name, version in run.items() if dev.get(name) != version} == {}
