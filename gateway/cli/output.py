"""What a command prints: tables for people or JSON for programs on stdout; progress and errors on stderr.

Texts of messages come from outside and are shown on terminals: control characters and bidirectional overrides are
made visible, because an escape sequence in a headline could otherwise rewrite what the operator reads.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from gateway.cli.failure import Failure
from gateway.cli.layout import hanging, table_lines
from gateway.cli.runnable import program, runnable

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_WIDTH: Final = 80
_UNSAFE = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), 0x2028, 0x2029, 0xFEFF)},
}
_UNSAFE_IN_JSON = {code: f"\\u{code:04x}" for code in _UNSAFE if code >= 0x7F}
"""JSON itself escapes what is below, and its readers read these back; some of them end a line for such readers."""


def visible(text: str) -> str:
    """Return the text in one line with everything that steers a terminal or reorders letters spelled out."""
    return text.translate(_UNSAFE)


def width_of(stream: TextIO) -> int | None:
    """Return how wide the terminal behind a stream is; None when there is none, and nothing is to be folded."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH


class Ticker(Protocol):
    """Moves a progress display on."""

    def __call__(self, done: int, note: str = "") -> None: ...


def _no_tick(done: int, note: str = "") -> None:  # noqa: ARG001
    return None


class Output:
    """Where a command's results go.

    Args:
        home: The home that the user named, for the commands that are printed; None when none was.
    """

    def __init__(
        self, as_json: bool, stdout: TextIO | None = None, stderr: TextIO | None = None, *, home: Path | None = None
    ) -> None:
        self.as_json = as_json
        self.home = home
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr

    def runnable(self, text: str) -> str:
        """Return a text of ours with its commands written so that they run as they stand."""
        return runnable(text, self.home, program())

    def record(self, data: Mapping[str, Any]) -> None:
        """Print one JSON object on a line of its own. Does nothing for people: they get text or a table."""
        if self.as_json:
            # A terminal that is not UTF-8 gets escapes that JSON knows.
            plain = (self.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8"
            line = json.dumps(data, ensure_ascii=plain, separators=(",", ":"))
            self.stdout.write(line.translate(_UNSAFE_IN_JSON) + "\n")
            self.stdout.flush()

    def text(self, line: str = "") -> None:
        """Print a line for people; the caller has made foreign text visible. Does nothing with --json."""
        if not self.as_json:
            self.stdout.write(line + "\n")
            self.stdout.flush()

    def paragraph(self, text: str) -> None:
        """Print a text for people, indented, in lines that fit the terminal."""
        self.text("\n".join(hanging("  ", visible(text), width_of(self.stdout))))

    def fields(self, rows: Iterable[tuple[str, str]]) -> None:
        """Print names and values for people."""
        pairs = [(name, visible(value)) for name, value in rows]
        longest = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            self.text("\n".join(hanging(f"{name.ljust(longest)}  ", value, width_of(self.stdout))))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
        """Print a table for people, or a sentence when it has no rows."""
        if self.as_json:
            return
        listed = [[visible(cell) for cell in row] for row in rows]
        if not listed:
            self.text(self.runnable(empty))
            return
        width = width_of(self.stdout)
        head, *others = table_lines(columns, listed, width)
        bold = ("\x1b[1m", "\x1b[0m") if width is not None and "NO_COLOR" not in os.environ else ("", "")
        self.text("\n".join([f"{bold[0]}{head}{bold[1]}", *others]))

    def note(self, line: str) -> None:
        """Say something about the work on stderr."""
        self.stderr.write(visible(line) + "\n")
        self.stderr.flush()

    def progress(self, title: str, total: int | None) -> AbstractContextManager[Ticker]:
        """Show progress on stderr while the block runs, if somebody is there to see it."""
        if not self.stderr.isatty():
            return nullcontext(_no_tick)
        return _Progress(self._console(self.stderr), title, total)

    def failure(self, failure: Failure) -> None:
        """Print what, why, what to do and the reason on stderr; with --json the object on stdout too."""
        failure.advice = self.runnable(failure.advice)
        self.record({"error": failure.as_json()})
        width = width_of(self.stderr)
        lines = hanging("concord: ", visible(failure.what), width)
        for name, words in (
            ("why", failure.why),
            ("do", failure.advice),
            ("rules", ", ".join(map(str, failure.details.get("rule_ids", ())))),
            ("code", failure.reason),
        ):
            if words:
                lines += hanging(f"  {name.ljust(5)} ", visible(words), width)
        self.stderr.write("\n".join(lines) + "\n")
        self.stderr.flush()

    @staticmethod
    def _console(file: TextIO) -> "Console":
        from rich.console import Console

        return Console(file=file, highlight=False, markup=False, emoji=False)


class _Progress(AbstractContextManager[Ticker]):
    def __init__(self, console: "Console", title: str, total: int | None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = [SpinnerColumn(), TextColumn("{task.description}")]
        counted = [BarColumn(), MofNCompleteColumn()] if total else []
        note = TextColumn("{task.fields[note]}", markup=False)
        self._progress = Progress(*columns, *counted, TimeElapsedColumn(), note, console=console, transient=True)
        self._task = self._progress.add_task(title, total=total, note="")

    def __enter__(self) -> Ticker:
        self._progress.start()
        return self._tick

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _tick(self, done: int, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=visible(note))
