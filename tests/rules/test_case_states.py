"""The page that draws the states of cases."""

import re

from gateway.workflow.due import MEASURE_CLOCKS
from tests.rules.tree import ROOT
from tools.case_states import span, text


def test_page_is_fresh():
    # When this fails: python tools/case_states.py docs/reference/case-states.md
    assert (ROOT / "docs/reference/case-states.md").read_text(encoding="utf-8") == text()


def test_every_diagram_is_closed_and_names_states_by_words_that_mermaid_takes():
    blocks = re.findall(r"```mermaid\n(.*?)\n```", text(), re.DOTALL)
    assert len(blocks) == 16
    for block in blocks:
        first, *lines = block.splitlines()
        assert first == "stateDiagram-v2"
        for line in lines:
            assert re.fullmatch(r"    (\[\*\]|[a-z_]+) --> (\[\*\]|[a-z_]+)(: [a-z_]+ \([a-z, ]+\))?", line), line
            # Words of the language itself cannot be states.
            assert not re.search(r"\b(state|note|end|direction|fork|join|choice)\b --> | --> (state|note|end)\b", line)


def test_lengths_of_time_are_said_as_people_say_them():
    assert [span(ms) for ms in (120_000, 3_600_000, 86_400_000, 259_200_000)] == ["2 min", "1 h", "24 h", "3 days"]
    assert all(state.word in text() for state in MEASURE_CLOCKS)
