"""Lays out tables and long lines for the width there is, as pure text.

In a terminal a table that is too wide moves its widest columns below the row, because a cell folded letter by letter
can be neither read nor copied. On a pipe nothing is folded: one row, one line.
"""

import re
from collections.abc import Sequence
from typing import Final

_GAP: Final = "   "
_INDENT: Final = "     "
NARROWEST: Final = 40
"""Below this nothing is laid out to fit: the terminal's own wrapping is no worse."""
_WORD = re.compile(r"[^\s`]*`[^`]*`\S*|\S+")
"""A command in backticks is one word: broken over two lines it could not be copied."""


def cells(text: str) -> int:
    """Return how many places of a terminal a text takes: two for Chinese, none for a vowel above another letter."""
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int | None) -> list[str]:
    """Return a text in lines of at most so many places, broken between words; a longer word stays whole."""
    if width is None or cells(text) <= width:
        return [text]
    lines = [""]
    for word in _WORD.findall(text):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and cells(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def hanging(head: str, text: str, width: int | None) -> list[str]:
    """Return lines of which the first begins with the head and the others stand below its text."""
    room = None if width is None else width - cells(head)
    if room is not None and room < NARROWEST // 2:
        room = None
    first, *rest = wrapped(text, room)
    return [head + first, *(" " * cells(head) + line for line in rest)]


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return a table: its head, a rule, and its rows.

    Args:
        columns: Names, which may be empty.
        rows: As many cells each as there are columns.
        width: Of the terminal; None does not limit.
    """
    sizes = [max(map(cells, column)) for column in zip(columns, *rows, strict=True)]
    shown = list(range(len(columns)))
    below: list[int] = []
    if width is not None:
        width = max(width, NARROWEST)
        if _total(sizes, shown) > width:
            # What is empty in every row says nothing.
            shown = [at for at in shown if at == 0 or any(row[at] for row in rows)]
        while _total(sizes, shown) > width and len(shown) > 1:
            widest = max(shown[1:], key=lambda at: sizes[at])
            shown.remove(widest)
            below.append(widest)
    below.sort()
    lines = [_line(columns, sizes, shown), " " + "─" * (_total(sizes, shown) - 1)]
    label = max((cells(columns[at]) for at in below), default=0)
    for row in rows:
        lines.append(_line(row, sizes, shown))
        for at in below:
            if row[at]:
                head = _INDENT + columns[at] + " " * (label - cells(columns[at]) + 2)
                lines += hanging(head, row[at], width)
    return lines


def _total(sizes: Sequence[int], shown: Sequence[int]) -> int:
    return 1 + sum(sizes[at] for at in shown) + len(_GAP) * (len(shown) - 1)


def _line(row: Sequence[str], sizes: Sequence[int], shown: Sequence[int]) -> str:
    padded = (row[at] + " " * (sizes[at] - cells(row[at])) for at in shown)
    return " " + _GAP.join(padded).rstrip()
