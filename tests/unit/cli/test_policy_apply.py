"""concord policy operator, apply, applied: two people, two keys."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli import main
from tests.fixtures.killing_gateway import unstretched_passphrases
from tests.unit.installation.test_applied import WORDS, change, write


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("MODE", "PARTNER", "PARTNERS_DIR"):
        monkeypatch.delenv(f"CONCORD_{name}", raising=False)
    made = tmp_path / "th"
    made.mkdir()
    shutil.copytree(Path(__file__).parents[3] / "partners", tmp_path / "partners")
    write(made)
    (tmp_path / "words").write_text(WORDS, encoding="utf-8")
    (tmp_path / "words").chmod(0o600)
    return made


@pytest.fixture(autouse=True)
def quick():
    with unstretched_passphrases():
        yield


def run(home, capsys, *words):
    code = main(["--home", str(home), "policy", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def key(home, name, command="apply", *more):
    words = (command, *more, "--key-file", home.parent / f"{name}.key")
    return (*words, "--operator-passphrase-file", home.parent / "words")


def test_two_operators_apply_what_a_home_has(home, capsys):
    for name in ("first", "second"):
        code, said = run(home, capsys, *key(home, name, "operator", name))
        assert (code, said["operator"]) == (0, name)
    code, said = run(home, capsys, *key(home, "first"))
    assert (code, said["applied"], said["pending_by"]) == (0, None, ["first"])
    code, said = run(home, capsys, *key(home, "first"))
    assert (code, said["error"]["reason"]) == (1, "STATE_CONFLICT")
    code, said = run(home, capsys, *key(home, "second"))
    assert (code, said["applied"], said["applied_by"]) == (0, said["files"], ["first", "second"])
    change(home)
    code, said = run(home, capsys, "applied")
    assert code == 0
    assert said["drift"] == ["partners/th.toml has changed"]
    assert said["files"] != said["applied"]
    assert main(["--home", str(home), "policy", "applied"]) == 0
    assert "partners/th.toml has changed" in capsys.readouterr().out


def test_what_cannot_be_read_is_not_applied(home, capsys):
    for name in ("first", "second"):
        run(home, capsys, *key(home, name, "operator", name))
    (home.parent / "partners" / "th.toml").write_text("partner = 3\n", encoding="utf-8")
    code, said = run(home, capsys, *key(home, "first"))
    assert (code, said["error"]["reason"]) == (1, "CONFIG_INVALID")
    assert not (home / "policy").exists()


def test_a_stranger_is_refused_with_advice(home, capsys):
    for name in ("first", "second"):
        run(home, capsys, *key(home, name, "operator", name))
    for name in ("first", "second"):
        run(home, capsys, *key(home, name))
    run(home, capsys, *key(home, "third", "operator", "third"))
    code, said = run(home, capsys, *key(home, "third"))
    assert (code, said["error"]["reason"]) == (3, "POLICY_NOT_APPLIED")
    assert "concord policy apply" in said["error"]["advice"]


def test_a_passphrase_that_was_made_is_taken_back_when_no_key_is(home, capsys):
    made = home.parent / "made"
    words = ("operator", "Bad Name", "--key-file", home.parent / "k", "--generate-operator-passphrase-file", made)
    code, said = run(home, capsys, *words)
    assert (code, said["error"]["reason"]) == (1, "FIELD_INVALID")
    assert not made.exists()
    code, said = run(home, capsys, *("operator", "good.name", *words[2:]))
    assert (code, made.exists()) == (0, True)


def test_nobody_is_asked_where_nobody_is(home, capsys):
    code, said = run(home, capsys, "apply", "--key-file", home.parent / "k")
    assert (code, said["error"]["reason"]) == (1, "PASSPHRASE_MISSING")


def test_config_check_says_that_a_home_would_not_start(home, capsys):
    write(home, "actual")
    assert main(["--home", str(home), "config", "check", "--json"]) == 0
    (warning,) = [text for text in json.loads(capsys.readouterr().out)["warnings"] if "would not start" in text]
    assert "names no operators" in warning
