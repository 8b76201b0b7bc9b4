"""What is printed fits the terminal it is printed on, and is whole on a pipe."""

import io
import os
import pty
import struct
import termios

import pytest

from gateway.cli.failure import ExitCode, Failure
from gateway.cli.layout import cells, hanging, table_lines, wrapped
from gateway.cli.output import Output

COLUMNS = ["partner", "waiting", "link", "dead", "why", "what to do"]
COMMAND = "`concord partner test th --home /srv/concord/home`"
ROWS = [
    ["th", "1", "backing off", "", "'th' does not answer (gateway.th.example:7443: nothing listens there)", COMMAND],
    ["la", "0", "connected", "", "", ""],
]


@pytest.mark.parametrize("width", [50, 60, 80, 100, 132])
def test_a_table_fits_the_terminal_and_loses_nothing(width):
    lines = table_lines(COLUMNS, ROWS, width)
    assert all(cells(line) <= width or COMMAND in line for line in lines)
    text = " ".join(" ".join(lines).split())
    for row in ROWS:
        for cell in row:
            assert all(word in text for word in cell.split())
    assert COMMAND in text, "a command that is folded cannot be copied"


def test_columns_that_do_not_fit_stand_below_their_row_under_their_name():
    lines = table_lines(COLUMNS, ROWS, 60)
    assert lines[0].split() == ["partner", "waiting", "link"]
    assert [line.split()[0] for line in lines[2:]] == ["th", "why", "(gateway.th.example:7443:", "there)", "what", "la"]


def test_on_a_pipe_a_row_is_a_line_however_long():
    lines = table_lines(COLUMNS, ROWS, None)
    assert len(lines) == 2 + len(ROWS)
    assert ROWS[0][4] in lines[2]
    assert not any(line.endswith(" ") for line in lines)


def test_letters_of_two_places_and_of_none_are_counted_as_they_are_shown():
    lines = table_lines(["a", "b"], [["台风", "x"], ["น้ำท่วม", "y"], ["abcdefg", "z"]], None)
    assert [cells(line) for line in lines[2:]] == [cells(lines[-1])] * 3


def test_words_are_not_broken_and_lines_hang_below_their_text():
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("a-word-that-is-longer than", 5) == ["a-word-that-is-longer", "than"]
    assert wrapped("", 5) == [""]
    assert hanging("why  ", "one two three four five six", 25) == ["why  one two three four", "     five six"]
    assert hanging("a head that is all there is  ", "one two", 30) == ["a head that is all there is  one two"]


class Terminal:
    """A terminal of so many columns, and what was written on it."""

    def __init__(self, columns: int) -> None:
        self._parent, child = pty.openpty()
        termios.tcsetwinsize(child, (24, columns)) if hasattr(termios, "tcsetwinsize") else _resize(child, columns)
        self.stream = os.fdopen(child, "w", encoding="utf-8")

    def close(self) -> str:
        self.stream.flush()
        os.set_blocking(self._parent, False)
        text = b""
        while True:
            try:
                part = os.read(self._parent, 65536)
            except BlockingIOError:
                break
            text += part
        self.stream.close()
        os.close(self._parent)
        return text.decode()


def _resize(descriptor: int, columns: int) -> None:
    import fcntl

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def test_table_fields_and_failure_fit_a_real_terminal(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal(80)
    output = Output(False, terminal.stream, terminal.stream)
    output.table(COLUMNS, ROWS, "none")
    output.fields([("problem", ROWS[0][4] + " " + ROWS[0][4]), ("next", "x")])
    what = "nothing was added: " + "word " * 20
    output.failure(Failure(what, reason="X", code=ExitCode.REFUSED, why="why " * 40, advice="do " * 40))
    lines = terminal.close().splitlines()
    assert len(lines) > 15
    assert max(map(cells, lines)) <= 80


def test_a_head_is_bold_only_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = Terminal(80), io.StringIO()
    Output(False, terminal.stream).table(["a"], [["x"]], "none")
    Output(False, pipe).table(["a"], [["x"]], "none")
    assert "\x1b[1m" in terminal.close()
    assert "\x1b" not in pipe.getvalue()
