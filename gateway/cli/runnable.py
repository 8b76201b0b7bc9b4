"""Commands in what is printed, written so that they run as they stand.

That is by the path that reaches this program, and on the home that the user named. The gateway's advice says
`concord partner test th`; it cannot know how it is asked. Only texts of ours go through here: in a partner's words
nothing is completed.
"""

import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Final

NAME: Final = "concord"
NOUNS: Final = frozenset(
    (
        *("init", "up", "status", "demo", "send", "inbox", "outbox", "partner", "system", "auditor", "alert", "log"),
        *("case", "client", "config", "policy", "backup", "attachment", "officer", "decide"),
    )
)
"""First words of a command: `concord is ...` in a sentence is none."""
_COMMAND = re.compile(rf"\b{NAME} (?=([a-z]+)\b)")
_END = re.compile(r"`|;|\n|: |\Z")


@cache
def program() -> str:
    """Return how a user calls this program: by name where the shell finds it so, else by its path."""
    return program_of(Path(sys.argv[0]), Path(sys.executable), shutil.which(NAME), Path.cwd())


def program_of(called: Path, python: Path, found: str | None, here: Path) -> str:
    """Return the words that call this program.

    Args:
        called: As it was called.
        python: The interpreter that runs it; its directory has the program too.
        found: What a shell finds under the name.
        here: The working directory; what lies below it is named from there.
    """
    own = called if called.name == NAME else python.with_name(NAME)
    if not own.is_file():
        return NAME
    if found is not None and own.samefile(found):
        return NAME
    own = here / own
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def on_home(words: str, home: Path) -> str:
    """Return the command line that runs these words of the program on a home."""
    return f"{program()} {words} --home {shlex.quote(str(home))}"


def runnable(text: str, home: Path | None, called: str) -> str:
    """Return a text of ours with its commands completed.

    Args:
        home: The home that was named; None when a command finds it by itself.
        called: How the program is called.
    """
    parts, start = [], 0
    for match in _COMMAND.finditer(text):
        if match[1] not in NOUNS:
            continue
        end = _END.search(text, match.end())
        stop = end.start() if end is not None else len(text)
        command = text[match.end() : stop]
        parts.append(text[start : match.start()] + called)
        if home is None or "--home" in command:
            parts.append(f" {command}")
        elif text[stop : stop + 1] == "`":
            parts.append(f" {command} --home {shlex.quote(str(home))}")
        else:
            # Where such a command ends only a reader knows; every command takes --home in front.
            parts.append(f" --home {shlex.quote(str(home))} {command}")
        start = stop
    return "".join(parts) + text[start:]
