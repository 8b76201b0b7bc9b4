"""What may and may not lie in the tree."""

import re
from pathlib import Path

import pytest

from tests.rules.tree import ROOT, files, python_files, text

MAX_LINES = 400
LONGER = {
    "gateway/errors.py": "the whole error taxonomy, from which its catalogue is made",
    "gateway/ports.py": "the whole contract between the exchange and the outside, read as one",
}
# Written in pieces, so that this file does not break its own rule.
PRIVATE = re.compile("BEGIN [A-Z ]*PRIVATE " + "KEY|AGE-SECRET-" + "KEY-1|AGE-PLUGIN-[A-Z0-9]+-1[A-Z0-9]")
MACHINE = re.compile(r"(?<![\w.$}~-])/(?:" + "work|root|ho" + r"me)/[\w.-]")
REGISTRY = re.compile(
    r"(?:pypi|pythonhosted|npmjs|crates|rubygems)\.(?:org|io|com)|--(?:extra-)?index-url|--trusted-host"
)
# What belongs to the making of the tree and not to the tree.
WORDS = re.compile(
    r"\b(?:co-authored-" + r"by|chat" + r"bots?|assist" + r"ants?\b|FIX" + r"ME|issue #?\d+)", re.IGNORECASE
)
OPEN_END = re.compile(r"\bTO" + r"DO\b(?!\(#\d+\): \S)")
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "misc"}


def matches(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in files()
        for number, line in enumerate(text(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_files_are_short_enough_to_have_one_reason_to_change():
    lengths = {path.as_posix(): len(text(path).splitlines()) for path in python_files("gateway", "adapters")}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES and path not in LONGER} == {}


def test_exceptions_for_length_are_still_needed():
    assert [path for path in LONGER if len(text(Path(path)).splitlines()) <= MAX_LINES] == []


def test_no_file_has_a_name_that_says_nothing():
    assert [path for path in python_files("gateway", "adapters", "tools", "tests") if path.stem in VAGUE] == []


def test_no_private_key_is_in_the_tree():
    assert matches(PRIVATE) == []
    assert [path for path in files() if path.suffix in {".age", ".key", ".p12", ".pfx"}] == []


def test_certs_holds_no_certificates():
    assert [path for path in files() if path.parts[0] == "certs" and path.name != "README.md"] == []


def test_no_file_knows_a_machine():
    assert matches(MACHINE) == []


def test_no_file_names_a_package_registry():
    # This file spells the patterns out.
    assert [match for match in matches(REGISTRY) if not match.startswith("tests/rules/test_tree.py:")] == []


def test_no_file_tells_how_it_was_made():
    assert matches(WORDS) == []
    assert matches(OPEN_END) == []


def test_generated_code_is_not_committed():
    assert [path for path in files() if path.parts[0] == "generated" or path.stem.endswith(("_pb2", "_pb2_grpc"))] == []


def test_packages_for_tests_have_no_init_files():
    assert [path for path in python_files("tests") if path.name == "__init__.py"] == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (PRIVATE, "-----BEGIN EC PRIVATE " + "KEY-----"),
        (PRIVATE, "AGE-SECRET-" + "KEY-1QQQ"),
        (MACHINE, "see /" + "work/main/x"),
        (MACHINE, "path=/" + "home/user"),
        (REGISTRY, "https://pypi." + "org/simple"),
        (WORDS, "as asked in issue" + " #12"),
        (OPEN_END, "# TO" + "DO later"),
    ],
)
def test_patterns_find_what_they_are_for(pattern: re.Pattern[str], line: str):
    assert pattern.search(line)


def test_top_level_is_as_designed():
    folders = {path.parts[0] for path in files() if len(path.parts) > 1}
    code = {"adapters", "gateway", "protos", "tests", "tools"}
    assert folders <= code | {".ci", "certs", "docs", "examples", "partners", "policies", "requirements"}
    assert (ROOT / "README.md").is_file()
