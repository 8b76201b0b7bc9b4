"""How commands fail and print."""

import io
import json

import pytest

from gateway import errors
from gateway.cli.failure import INPUT_REASONS, ExitCode, Failure, exit_code_of, failure_of
from gateway.cli.output import Output, visible


def leaves(kind=errors.GatewayError):
    for child in kind.__subclasses__():
        if child.reason:
            yield child
        yield from leaves(child)


@pytest.mark.parametrize("kind", sorted(leaves(), key=lambda kind: kind.__name__))
def test_every_error_has_an_exit_code_that_says_whether_to_try_again(kind):
    code = exit_code_of(kind.reason, kind.retryable)
    assert (code is ExitCode.UNREACHABLE) == kind.retryable
    if issubclass(kind, errors.Broken):
        assert code is ExitCode.REFUSED


def test_reason_nobody_knows_counts_as_refused_and_not_as_a_slip():
    assert exit_code_of("SOMETHING_NEW", False) is ExitCode.REFUSED


def test_input_reasons_are_reasons_of_the_catalogue():
    assert {kind.reason for kind in leaves()} >= INPUT_REASONS


def test_policy_denial_names_its_rules_to_people_and_programs():
    out, err = io.StringIO(), io.StringIO()
    failure = failure_of(errors.PolicyDenied(("agreement/kind",), "not agreed"), "could not submit the draft")
    Output(True, out, err).failure(failure)
    told = json.loads(out.getvalue())["error"]
    assert told["reason"] == "POLICY_DENIED"
    assert told["details"]["rule_ids"] == ["agreement/kind"]
    assert told["exit_code"] == 3
    assert "agreement/kind" in err.getvalue()
    assert told["advice"] in err.getvalue()


def test_error_for_people_leaves_stdout_empty():
    out, err = io.StringIO(), io.StringIO()
    Output(False, out, err).failure(
        Failure("broken", reason="X", code=ExitCode.REFUSED, why="because", advice="mend it")
    )
    assert out.getvalue() == ""
    assert [part in err.getvalue() for part in ("broken", "because", "mend it", "X")] == [True] * 4


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x07", "\u202eexe.gpj", "a\nb", "\u2028", "\x9b31m", "\ufeff", "\x00"])
def test_text_that_steers_a_terminal_is_spelled_out(hostile):
    shown = visible(f"headline {hostile} end")
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2028\u2029\ufeff")
    assert "\\" in shown


def test_scripts_of_all_partners_stay_readable():
    text = "台风预警 พายุไต้ฝุ่น ພາຍຸ မုန်တိုင်း ព្យុះ Bão عاصفة"
    assert visible(text) == text


def test_markup_in_foreign_text_is_not_obeyed():
    out = io.StringIO()
    Output(False, out, io.StringIO()).table(["a"], [["[red]x[/red] :boom: [link=http://e]y[/link]"]], "none")
    assert "[red]x[/red] :boom: [link=http://e]y[/link]" in out.getvalue()


def test_table_that_is_piped_is_not_cut():
    out = io.StringIO()
    Output(False, out, io.StringIO()).table(["a", "b"], [["x" * 90, "y" * 90]], "none")
    assert "x" * 90 in out.getvalue()
    assert "y" * 90 in out.getvalue()


def test_json_to_a_stream_that_is_not_utf8_is_still_json():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1", errors="backslashreplace")
    Output(True, stream, io.StringIO()).record({"headline": "台风 é"})
    assert json.loads(raw.getvalue().decode("latin-1")) == {"headline": "台风 é"}


def test_progress_is_silent_without_a_terminal():
    err = io.StringIO()
    with Output(False, io.StringIO(), err).progress("working", 3) as tick:
        tick(1)
    assert err.getvalue() == ""
