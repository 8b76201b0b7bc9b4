"""The tree that the rules look at: what is committed or would be."""

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Made by tools, or binary by nature.
_NOT_OURS = {".git", ".venv", ".tools", ".hypothesis", "build", "dist", "generated", "__pycache__"}


@functools.cache
def files() -> tuple[Path, ...]:
    """Return every file that git tracks or would track, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
        found = [Path(name) for name in listed if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        # A source archive without history.
        found = [
            path.relative_to(ROOT)
            for path in ROOT.rglob("*")
            if path.is_file() and not _NOT_OURS & set(path.relative_to(ROOT).parts)
        ]
    return tuple(sorted(found))


def python_files(*rooms: str) -> tuple[Path, ...]:
    """Return the Python files below some top-level folders."""
    return tuple(path for path in files() if path.suffix == ".py" and path.parts[0] in rooms)


@functools.cache
def text(path: Path) -> str:
    """Return a file's text; empty when it is not text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
