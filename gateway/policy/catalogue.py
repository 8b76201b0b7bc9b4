"""What each rule says to people, in ten languages, from gateway/policy/words/<language>.toml.

Every rule that ships has three sentences in every language: what happened, why there is such a rule, what to do. They
are for the officers and systems of our own state; a partner never reads them (DESIGN 8).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

LANGUAGES: Final = ("en", "zh", "ar", "th", "lo", "my", "km", "vi", "ru", "fr")


@dataclass(frozen=True, slots=True)
class Words:
    """A rule in one language."""

    what: str
    why: str
    remedy: str


def words_for(rule: str, language: str = "en") -> Words | None:
    """Return a rule's words, in English where a language has none; None for a rule that does not ship."""
    return _words(language if language in LANGUAGES else "en").get(rule) or _words("en").get(rule)


def all_words(language: str) -> Mapping[str, Words]:
    """Return every rule's words in a language.

    Raises:
        KeyError: Not one of LANGUAGES.
    """
    if language not in LANGUAGES:
        raise KeyError(language)
    return _words(language)


@cache
def _words(language: str) -> Mapping[str, Words]:
    file = resources.files("gateway.policy").joinpath("words", f"{language}.toml")
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    return {rule: Words(entry["what"], entry["why"], entry["do"]) for rule, entry in table.items()}
