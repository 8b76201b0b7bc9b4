"""The page that lists what bodies of cases carry."""

from tests.rules.tree import ROOT
from tools.bodies_reference import text


def test_page_is_fresh():
    # When this fails: make gen; python tools/bodies_reference.py docs/reference/bodies.md
    assert (ROOT / "docs/reference/bodies.md").read_text(encoding="utf-8") == text()
