"""The command as a whole: quick, documented, and misuse has one shape."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gateway.cli import main
from gateway.cli.application import build
from gateway.cli.reference import DOCUMENT, reference

HEAVY = ("grpc", "google.protobuf", "pydantic_settings", "cryptography", "nacl", "sqlalchemy", "rich.table", "lxml")


def commands():
    def walk(path, command):
        for name, child in getattr(command, "commands", {}).items():
            yield (*path, name), child
            yield from walk((*path, name), child)

    return dict(walk((), typer.main.get_command(build())))


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCORD_HOME", str(tmp_path / "home"))


def error_of(capsys):
    captured = capsys.readouterr()
    lines = captured.out.strip().splitlines()
    return json.loads(lines[-1])["error"], captured.err


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from gateway.cli import main
status = main(["--help"])
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert status == 0 and not loaded, (status, loaded)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Exit codes" in ran.stdout


def test_every_command_takes_home_and_json_and_says_what_it_does():
    for path, command in commands().items():
        assert command.help, path
        if not getattr(command, "commands", None):
            names = {name for parameter in command.params for name in parameter.opts}
            assert {"--home", "--json"} <= names, path


def test_every_option_says_what_it_is_for():
    for path, command in commands().items():
        for parameter in command.params:
            assert parameter.help or parameter.hidden, (path, parameter.name)


def test_no_command_takes_a_secret_as_an_argument():
    for command in commands().values():
        for parameter in command.params:
            assert parameter.name not in {"passphrase", "password", "secret", "key"}


def test_reference_is_fresh():
    assert DOCUMENT.read_text(encoding="utf-8") == reference(), "run: python -m gateway.cli.reference"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["status", "--nonsense"],
        ["send", "alert", "x.xml"],
        ["alert", "check"],
        ["partner", "show"],
        ["inbox", "list", "--limit", "many"],
        ["inbox", "list", "--limit", "0"],
        ["partner", "rotate", "everything"],
        ["init", "Thailand"],
        ["config", "check"],
    ],
)
def test_misuse_exits_with_1_and_an_error_object(arguments, capsys):
    assert main([*arguments, "--json"]) == 1
    error, told = error_of(capsys)
    assert error["exit_code"] == 1
    assert error["reason"] in {"USAGE", "FIELD_INVALID", "CONFIG_INVALID"}
    assert error["message"] in told
    assert error["reason"] in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["outbox"],
        ["inbox"],
        ["inbox", "list"],
        ["partner", "list"],
        ["partner", "card"],
        ["partner", "test", "th"],
    ],
)
def test_gateway_that_is_not_there_exits_with_2_and_says_how_to_start_it(arguments, capsys):
    assert main([*arguments, "--json"]) == 2
    error, _ = error_of(capsys)
    assert error["reason"] == "GATEWAY_UNREACHABLE"
    assert "concord up" in error["advice"]


def test_home_and_json_may_stand_before_the_command(capsys, tmp_path):
    assert main(["--home", str(tmp_path / "other"), "--json", "status"]) == 2
    error, _ = error_of(capsys)
    assert str(tmp_path / "other") in error["message"]


def test_home_given_to_a_group_reaches_its_command(capsys, tmp_path):
    assert main(["inbox", "--home", str(tmp_path / "other"), "--json", "list"]) == 2
    error, _ = error_of(capsys)
    assert str(tmp_path / "other") in error["message"]


def test_nobody_is_asked_for_a_passphrase_without_a_terminal(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("CONCORD_PASSPHRASE_FILE", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert main(["init", "th", "--json"]) == 1
    error, _ = error_of(capsys)
    assert error["reason"] == "PASSPHRASE_MISSING"
    assert not (tmp_path / "home").exists()


def test_failed_init_takes_its_passphrase_file_back(capsys, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "something").touch()
    assert main(["init", "th", "--json", "--generate-passphrase-file", str(tmp_path / "p")]) == 1
    error, _ = error_of(capsys)
    assert error["reason"] == "STATE_CONFLICT"
    assert not (tmp_path / "p").exists()


def test_defect_is_told_as_one_and_shows_no_content(capsys, monkeypatch):
    monkeypatch.delenv("CONCORD_TRACEBACK", raising=False)

    def broken(*_):
        raise RuntimeError("canary-content")

    monkeypatch.setattr("gateway.config.load_config", broken)
    assert main(["config", "show", "--json"]) == 3
    error, told = error_of(capsys)
    assert error["reason"] == "INTERNAL"
    assert "canary-content" not in told + json.dumps(error)


def test_reader_that_leaves_early_is_no_error(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}.xml").write_bytes(b"<x/>")
    command = f"{sys.executable} -m gateway.cli alert check --json {tmp_path} | head -1; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ran.stderr
    assert "INTERNAL" not in ran.stderr


def test_source_is_run_as_a_module():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "gateway.cli", "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)
    assert ran.stdout.startswith("concord ")
