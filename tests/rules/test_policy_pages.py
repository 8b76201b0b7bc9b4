"""The pages about rules and facts, and the words of rules."""

import re
import unicodedata

import pytest

from gateway.policy.catalogue import LANGUAGES, all_words, words_for
from gateway.policy.cedar import safeguards
from tests.rules.tree import ROOT
from tools import facts_reference
from tools import safeguards as safeguards_page

SCRIPTS = {"zh": "CJK", "ar": "ARABIC", "th": "THAI", "lo": "LAO", "my": "MYANMAR", "km": "KHMER", "ru": "CYRILLIC"}
BESIDE = {"safeguard/facts-missing", "safeguard/undecided"}


def test_matrix_is_fresh():
    # When this fails: python tools/safeguards.py docs/reference/safeguards.md
    assert (ROOT / "docs/reference/safeguards.md").read_text(encoding="utf-8") == safeguards_page.text()


def test_list_of_facts_is_fresh():
    # When this fails: python tools/facts_reference.py docs/reference/facts.md
    assert (ROOT / "docs/reference/facts.md").read_text(encoding="utf-8") == facts_reference.text()


def test_matrix_names_every_rule():
    rows = [line.split("`")[1] for line in safeguards_page.text().splitlines() if line.startswith("| `")]
    assert set(rows) >= set(safeguards().rules)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_has_words_in_every_language(language):
    words = all_words(language)
    assert set(words) == set(all_words("en")) >= set(safeguards().rules) | BESIDE
    for rule, said in words.items():
        for text in (said.what, said.why, said.remedy):
            assert len(text) >= 5, rule
            assert text == text.strip(), rule
            assert unicodedata.is_normalized("NFC", text), rule
            if language in SCRIPTS:
                plain = re.sub(r"`[^`]*`", "", text)
                letters = [letter for letter in plain if letter.isalpha()]
                own = [letter for letter in letters if unicodedata.name(letter).startswith(SCRIPTS[language])]
                assert len(own) * 2 > len(letters), (rule, text)
            elif language != "en":
                # Not left in English.
                assert said != all_words("en")[rule]


def test_no_two_rules_say_the_same():
    for language in LANGUAGES:
        assert len({said.what for said in all_words(language).values()}) == len(all_words(language))


def test_words_of_an_unknown_language_are_english_and_of_an_unknown_rule_none():
    assert words_for("hold/h4-minor", "xx") == words_for("hold/h4-minor", "en")
    assert words_for("hold/h99") is None
    with pytest.raises(KeyError):
        all_words("xx")
