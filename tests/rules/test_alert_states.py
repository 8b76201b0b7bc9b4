"""The page that draws the states of an alert."""

from tests.rules.tree import ROOT
from tools.alert_states import text


def test_page_is_fresh():
    # When this fails: python tools/alert_states.py docs/reference/alert-states.md
    assert (ROOT / "docs/reference/alert-states.md").read_text(encoding="utf-8") == text()
