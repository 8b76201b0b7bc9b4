"""The reference page and the code name the same codes."""

import re
from pathlib import Path

from adapters.connectors.cap.findings import Code, Refusal

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "cap.md").read_text()
SOURCE = "\n".join(path.read_text() for path in (ROOT / "adapters" / "connectors" / "cap").glob("*.py"))


def table(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(cap\.[a-z0-9_]+)` \|", section, re.MULTILINE)


def test_findings_of_code_and_page_are_the_same() -> None:
    assert table("Findings") == sorted(code.value for code in Code)


def test_refusals_of_code_and_page_are_the_same() -> None:
    assert table("Refusals") == sorted(refusal.value for refusal in Refusal)


def test_every_code_is_used_and_none_is_written_out() -> None:
    for member in (*Code, *Refusal):
        assert re.search(rf"\b{type(member).__name__}\.{member.name}\b", SOURCE), member
        assert SOURCE.count(f'"{member.value}"') == 1, member


def test_no_code_means_two_things() -> None:
    assert not {code.value for code in Code} & {refusal.value for refusal in Refusal}
