"""Documentation that leads somewhere."""

import re
from pathlib import Path

from tests.rules.tree import ROOT, files, text

INLINE = r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)"
REFERENCE = r"^\[[^\]]+\]: +(\S+)"
LINK = re.compile(f"{INLINE}|{REFERENCE}", re.MULTILINE)


FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def without_code(markdown: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", markdown))


def anchors(markdown: str) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", markdown))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_documents_resolves():
    broken = []
    for path in files():
        if path.suffix != ".md":
            continue
        for match in LINK.finditer(without_code(text(path))):
            target = match.group(1) or match.group(2)
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = target.partition("#")
            place = (ROOT / path.parent / name).resolve() if name else ROOT / path
            if not place.exists() or not place.is_relative_to(ROOT):
                broken.append(f"{path}: {target}")
            elif anchor and place.suffix == ".md" and anchor not in anchors(place.read_text(encoding="utf-8")):
                broken.append(f"{path}: {target} (no such heading)")
    assert broken == []


def test_decisions_are_numbered_without_a_gap():
    numbers = sorted(
        int(path.name[:4]) for path in files() if path.parent == Path("docs/decisions") and path.name[:4].isdigit()
    )
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_is_listed():
    index = text(Path("docs/decisions/README.md"))
    missing = [
        path.name
        for path in files()
        if path.parent == Path("docs/decisions") and path.name != "README.md" and path.name not in index
    ]
    assert missing == []


def test_link_checker_reads_links_and_leaves_code_alone():
    assert LINK.search("see [trust](trust.md)").group(1) == "trust.md"
    assert LINK.search("see [trust][t]\n\n[t]: trust.md").group(2) == "trust.md"
    assert not LINK.search(without_code("`[a](b.md)`\n```\n[c](d.md)\n```\n"))
    assert anchors("# A b, c!\n```\n# not\n```\n") == {"a-b-c"}
