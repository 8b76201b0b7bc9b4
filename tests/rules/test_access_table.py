"""The page that says who may call what."""

from gateway.rpc.methods import METHODS
from tests.rules.tree import ROOT
from tools.access_table import text


def test_the_page_is_fresh():
    # When this fails: python tools/access_table.py docs/reference/access.md
    assert (ROOT / "docs/reference/access.md").read_text(encoding="utf-8") == text()


def test_every_method_is_on_the_page_once_for_each_listener_it_is_on():
    rows = [line for line in text().splitlines() if line.startswith("| `") and "/" in line.split("`")[1]]
    rows = [row for row in rows if row.split("`")[1].split("/")[0] != "spiffe:"]
    assert len(rows) == sum(len(row.listeners) for row in METHODS.values())
