"""Commands that are printed can be run as they are printed."""

import io
import json
import os
import shlex
from pathlib import Path

import pytest

from gateway import errors
from gateway.cli import main
from gateway.cli.application import build
from gateway.cli.failure import failure_of
from gateway.cli.output import Output
from gateway.cli.runnable import NOUNS, on_home, program_of, runnable
from tests.unit.cli.test_application import commands

HOME = Path("/srv/a home")


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("see `concord inbox list`", "see `C inbox list --home '/srv/a home'`"),
        ("run: concord partner test th", "run: C --home '/srv/a home' partner test th"),
        ("`concord outbox`, `concord up`", "`C outbox --home '/srv/a home'`, `C up --home '/srv/a home'`"),
        ("start it with `concord up --home x`, or not", "start it with `C up --home x`, or not"),
        ("concord outbox; or --home", "C --home '/srv/a home' outbox; or --home"),
        ("a defect in concord: ValueError", "a defect in concord: ValueError"),
        ("concord is well; concord.toml is not", "concord is well; concord.toml is not"),
        ("run its own `partner test`", "run its own `partner test`"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_command_in_a_text_gets_program_and_home(text, completed):
    assert runnable(text, HOME, "C") == completed


def test_a_home_that_was_not_named_is_not_added():
    assert runnable("see `concord outbox`", None, "concord") == "see `concord outbox`"


def test_every_first_word_of_a_command_is_known():
    assert {path[0] for path in commands()} == NOUNS
    assert build() is not None


def test_the_advice_of_every_error_parses_as_a_command_when_completed():
    known = commands()
    for kind in leaves():
        text = runnable(kind.advice, Path("/h"), "concord")
        for part in text.split("`")[1::2]:
            if part.startswith("concord "):
                words = shlex.split(part)
                assert words[-2:] == ["--home", "/h"], text
                assert tuple(words[1:3]) in known or tuple(words[1:2]) in known, text


def leaves(kind=errors.GatewayError):
    for child in kind.__subclasses__():
        yield child
        yield from leaves(child)


def test_a_program_is_named_so_that_the_shell_finds_it(tmp_path):
    own = tmp_path / "my venv" / "bin" / "concord"
    own.parent.mkdir(parents=True)
    own.touch()
    python = own.with_name("python")
    other = tmp_path / "concord"
    other.touch()
    by_path = shlex.quote(str(own))
    assert program_of(own, python, str(own), tmp_path / "elsewhere") == "concord"
    assert program_of(own, python, None, tmp_path) == "'my venv/bin/concord'"
    assert program_of(own, python, str(other), Path("/")) == shlex.quote(str(own.relative_to("/")))
    assert program_of(own, python, None, tmp_path / "elsewhere") == by_path
    # Run as a module: the program beside the interpreter does the same.
    assert program_of(Path("gateway/cli/__main__.py"), python, str(own), tmp_path) == "concord"
    assert program_of(Path("__main__.py"), tmp_path / "none" / "python", None, tmp_path) == "concord"


def test_the_advice_of_a_failure_names_the_home_to_people_and_programs():
    out, err = io.StringIO(), io.StringIO()
    Output(True, out, err, home=HOME).failure(failure_of(errors.PartnerUnreachable("th")))
    told = json.loads(out.getvalue())["error"]["advice"]
    assert "--home '/srv/a home'" in told
    assert told in err.getvalue()


def test_a_list_that_is_empty_names_the_home(capsys, tmp_path):
    Output(False, home=tmp_path).table(["a"], [], "None yet: concord system add NAME")
    assert f"--home {tmp_path} system add NAME" in capsys.readouterr().out


def test_a_gateway_that_does_not_run_is_started_by_the_command_that_is_printed(capsys, tmp_path):
    home = tmp_path / "the home"
    assert main(["status", "--home", str(home)]) == 2
    told = capsys.readouterr().err
    words = shlex.split(told.partition("`")[2].partition("`")[0])
    assert words[1:] == ["up", "--home", str(home)]
    assert words[0] == "concord" or os.access(words[0], os.X_OK)
    assert on_home("up", home).endswith(f"up --home {shlex.quote(str(home))}")
