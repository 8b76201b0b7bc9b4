"""The house: who reads the time, and that every room has a place in the order of imports."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.rules.tree import ROOT, python_files, text

READS_TIME = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}


def readings(source: str) -> list[int]:
    """Return the lines that name a function which reads the machine's clock, called or handed on."""
    lines: list[int] = []
    module = ast.parse(source)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(module):
        match node:
            # A message field called time is not the module of that name.
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (
                owner in imported and (owner, name) in READS_TIME
            ):
                lines.append(node.lineno)
            case ast.Attribute(value=ast.Attribute(attr=owner), attr=name) if (owner, name) in READS_TIME - {
                ("time",) * 2
            }:
                lines.append(node.lineno)
            case ast.ImportFrom(module="time", names=names):
                lines += [node.lineno for alias in names if ("time", alias.name) in READS_TIME]
            case _:
                pass
    return lines


def test_only_the_clock_reads_the_time():
    found = {path.as_posix(): readings(text(path)) for path in python_files("gateway", "adapters")}
    assert {path: lines for path, lines in found.items() if lines and path != "gateway/clock.py"} == {}
    assert found["gateway/clock.py"]


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "import time\nread = time.time",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now(None)",
        "from time import time_ns",
    ],
)
def test_every_way_to_read_the_time_is_seen(source: str):
    assert readings(source)


def test_durations_are_not_the_time():
    assert readings("import time\ntime.monotonic()\ntime.perf_counter()") == []


def contracts() -> dict[str, dict]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["name"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def rooms() -> set[str]:
    parts = {path.parts[1] for path in python_files("gateway") if path != Path("gateway/__init__.py")}
    return {f"gateway.{part.removesuffix('.py')}" for part in parts} - {"gateway.__main__"}


def test_every_room_has_a_layer():
    layers = contracts()["imports point down only"]["layers"]
    placed = {module.strip(" ()") for layer in layers for module in layer.split("|")}
    assert rooms() - placed == set()
