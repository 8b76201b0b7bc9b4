"""The documents tell the truth: what they show is run, and prints what they say.

The rules of a transcript are in tests/fixtures/transcript.py. A page that begins with `<!-- given: ... -->` starts from
two gateways, homes `cn` and `th`, that know each other.
"""

import os
import re
from pathlib import Path

import pytest

from tests.fixtures.gateways import GatewayProcess, free_port
from tests.fixtures.postgres import postgres_server, postgres_url
from tests.fixtures.transcript import Interrupt, Memory, Reader, Staying, Step, TranscriptFailed, read, reader

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    Path("README.md"),
    *(
        path.relative_to(ROOT)
        for folder in ("tutorials", "how-to")
        for path in sorted((ROOT / "docs" / folder).glob("*.md"))
    ),
]
GIVEN = "<!-- given: cn and th are up and know each other -->"
PORTS = ("7443", "7444", "7543", "7544", "9464")
"""Ports that the documents use; tests take free ones."""
__all__ = ["postgres_server", "postgres_url"]  # fixtures, found here by name

DATABASE = "postgresql://concord@/concord"
"""Stands in the documents for a database of the reader's."""
# What `make` installs is installed, so only the recipe is run.
PRELUDE = f'make() {{ command make --no-print-directory -C "{ROOT}" -o .venv/.run "$@"; }}; export -f make'


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a newcomer who has activated the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONCORD_", "PYTEST"))}
    home = folder / "home"
    home.mkdir()
    return kept | {
        "HOME": str(home),
        "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "PYTHONWARNINGS": "",
    }


def links(folder: Path) -> Path:
    """Make a folder that looks like a clone."""
    clone = folder / "clone"
    clone.mkdir()
    for name in (".venv", "examples", "protos", "partners"):
        (clone / name).symlink_to(ROOT / name)
    return clone


class Pair:
    """Two gateways that know each other, for all pages that are given them; a page leaves them as it likes."""

    def __init__(self, folder: Path) -> None:
        self.clone = links(folder)
        self.environment = environment(folder)
        self.gateways = [GatewayProcess(code, self.clone / code) for code in ("cn", "th")]
        self.running: dict[str, Staying] = {}
        self._starter = Reader(self.clone, self.environment)

    def make(self) -> None:
        """Make them, start them, and let them get to know each other."""
        (self.clone / "stick").mkdir()
        for gateway in self.gateways:
            gateway.run(
                "init", gateway.code,
                "--listen-federation", f"127.0.0.1:{gateway.federation_port}",
                "--listen-exchange", f"127.0.0.1:{gateway.exchange_port}",
                "--generate-passphrase-file", str(gateway.passphrase_file),
                *self.recovery(gateway.code),
            )  # fmt: skip
        self.start()
        for gateway, other in (self.gateways, self.gateways[::-1]):
            gateway.befriend(other)

    @property
    def ports(self) -> list[str]:
        """In the order of PORTS."""
        return [str(port) for item in self.gateways for port in (item.federation_port, item.exchange_port)]

    def recovery(self, code: str) -> list[str]:
        """Return the words that make a recovery key, on a stick."""
        file = self.clone / "stick" / f"{code}.recovery"
        words = ["--recovery-file", str(file), "--generate-recovery-passphrase-file", f"{file}.passphrase"]
        return words if code == "th" else []

    def start(self) -> None:
        """Start what does not run."""
        for gateway in self.gateways:
            running = self.running.get(gateway.code)
            if running is None or running.process.poll() is not None:
                command = f"concord up --home {gateway.code} --passphrase-file {gateway.code}.passphrase"
                expected = ("...", f"{gateway.code} is up in mode exercise: ...")
                self.running[gateway.code] = self._starter.start(Step(command, expected, 0))

    def close(self) -> None:
        """End them."""
        self._starter.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Pair(tmp_path_factory.mktemp("pair"))
    try:
        made.make()
        yield made
    finally:
        made.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_document_shows_what_happens(page, tmp_path, request):
    text = (ROOT / page).read_text(encoding="utf-8")
    if DATABASE in text:
        text = text.replace(DATABASE, request.getfixturevalue("postgres_url"))
    if GIVEN in text:
        both = request.getfixturevalue("pair")
        both.start()
        folder, variables, given = both.clone, both.environment, tuple(both.running.values())
        ports = [*both.ports, str(free_port())]
    else:
        folder, variables, ports, given = links(tmp_path), environment(tmp_path), [str(free_port()) for _ in PORTS], ()
    for told, real in zip(PORTS, ports, strict=True):
        text = text.replace(told, real)
    with reader(folder, variables, PRELUDE, given) as newcomer:
        newcomer.follow(read(text))


def test_pages_show_commands():
    shown = {page: read((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
    assert sum(len(steps) for steps in shown.values()) > 50
    assert len(shown[Path("README.md")]) >= 3


def test_few_blocks_are_left_out():
    left_out = [
        f"{page}: {match}"
        for page in PAGES
        for match in re.findall(r"<!-- not run: .* -->", (ROOT / page).read_text(encoding="utf-8"))
    ]
    assert len(left_out) <= 9, left_out


def test_every_program_shown_is_the_file_that_is_run():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for name, shown in re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", text, re.DOTALL):
            assert shown in (ROOT / name).read_text(encoding="utf-8"), (page, name)
        assert len(re.findall(r"```python", text)) == len(re.findall(r"<!-- file: \S+ -->\n```python", text))


# --- the rules of a transcript -----------------------------------------------------------------------------------


def test_a_block_is_read_as_commands_with_what_they_print():
    text = "```console\n$ one \\\n    two\nprints\n$ three\n```\n<!-- interrupt: one -->\n```sh\n$ not this\n```\n"
    assert read(text) == [Step("one two", ("prints",), 2), Step("three", (), 5), Interrupt("one", 7)]


def test_a_block_that_is_marked_is_not_run():
    assert read("<!-- not run: needs a machine of its own -->\n```console\n$ reboot\n```\n") == []
    assert len(read("<!-- not run: needs a machine of its own -->\ntext\n```console\n$ reboot\n```\n")) == 1


def test_a_block_that_begins_with_output_is_refused():
    with pytest.raises(TranscriptFailed):
        read("```console\nprints\n```\n")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (("a", "b"), "a\nb\n", True),
        (("a", "b"), "b\na\n", False),
        (("a",), "a\nb\n", False),
        (("a", "..."), "a\nb\nc\n", True),
        (("...", "c"), "a\nb\nc\n", True),
        (("a ... c",), "a b c\n", True),
        (("a ... c",), "a c\n", True),
        (("a ... c",), "a\nb c\n", False),
        (("took 3 ms at 2026-11-23 10:00:01Z",), "took   17 ms at 2027-01-02T03:04:05.678Z\n", True),
        (("took 3 ms",), "took 3 parsecs\n", False),
        (("+ 1 ms th", "+ 2 ms la"), "+ 5 ms la\n+ 6 ms th\n", True),
        (("+ 1 ms th", "+ 2 ms la"), "+ 5 ms la\n+ 6 ms la\n", False),
        (("th", "la"), "la\nth\n", False),
        ((), "", True),
        ((), "something\n", False),
    ],
)
def test_what_is_printed_is_compared(expected, printed, same):
    assert Memory().matches(expected, printed) is same


def test_values_of_a_run_are_remembered():
    memory = Memory()
    told, real = "01a2096f-8856-71a3-bb39-92c3d22286ab", "11111111-2222-7333-8444-555555555555"
    assert memory.matches((f"sent {told}", f"again {told}"), f"sent {real}\nagain {real}\n")
    assert memory.applied(f"show {told}") == f"show {real}"
    assert not memory.matches((f"got {told}",), f"got {real[:-1]}6\n")
    assert not Memory().matches((f"sent {told}", f"again {told}"), f"sent {real}\nagain {real[:-1]}6\n")


def test_a_command_that_fails_fails_the_document(tmp_path):
    with reader(tmp_path, environment(tmp_path)) as newcomer:
        with pytest.raises(TranscriptFailed):
            newcomer.follow(read("```console\n$ false\n```\n"))
        newcomer.follow(read("```console\n$ false\n$ echo $?\n1\n$ cd /; X=3\n$ echo $X $PWD\n3 /\n```\n"))
        with pytest.raises(TranscriptFailed):
            newcomer.follow(read("```console\n$ echo other\nthis\n```\n"))
