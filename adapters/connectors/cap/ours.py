"""What Concord says and CAP has no element for travels as parameters of our own names, and is read back from them."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Final

from adapters.connectors.cap.findings import Code, Findings
from gateway.model.alert import Alert, AlertInfo, NamedValue
from gateway.model.rules import MAX_ADVISORY_LEVEL
from gateway.model.text import LocalizedText, TextOrigin, is_language

PREFIX: Final = "concord:"
LEVEL: Final = f"{PREFIX}advisory_level"
WORDS: Final = f"{PREFIX}advisory_words"
"""Value: language, origin by number, 1 for the authentic text or 0, and the text; one space between."""
CATEGORY: Final = f"{PREFIX}category"
RESPONSE: Final = f"{PREFIX}response_type"
_MAX_WORDS: Final = 40
_MAX_CATEGORIES: Final = 24
_MAX_RESPONSES: Final = 16
_ORIGINS: Final = {str(origin.value): origin for origin in TextOrigin}
_CODE: Final = re.compile(r"[a-z][a-z_]{0,63}")


def advice_of(alert: Alert) -> Iterator[NamedValue]:
    """Yield the parameters that carry the advice of an alert."""
    if alert.advisory_level is not None:
        yield NamedValue(LEVEL, str(alert.advisory_level))
    for words in alert.advisory_words:
        yield NamedValue(WORDS, f"{words.language} {words.origin.value} {int(words.authentic)} {words.text}")


def codes_of(info: AlertInfo, categories: tuple[str, ...], responses: tuple[str, ...]) -> Iterator[NamedValue]:
    """Yield the parameters that carry the values of an info which CAP's own lists, given here, do not have."""
    for scheme, values, known in (
        (CATEGORY, info.categories, categories),
        (RESPONSE, info.response_types, responses),
    ):
        yield from (NamedValue(scheme, value) for value in values if value not in known and _CODE.fullmatch(value))


def read_back(alert: Alert, findings: Findings) -> Alert:
    """Return the alert with what its parameters of our names say; what is no such value stays a parameter."""
    if not any(pair.scheme.startswith(PREFIX) for info in alert.infos for pair in info.parameters):
        return alert
    reading = _Reading(findings)
    infos = tuple(reading.info(f"alert/info[{number}]", info) for number, info in enumerate(alert.infos, 1))
    return dataclasses.replace(alert, infos=infos, advisory_level=reading.level, advisory_words=tuple(reading.words))


class _Reading:
    def __init__(self, findings: Findings) -> None:
        self.level: int | None = None
        self.words: list[LocalizedText] = []
        self._findings = findings

    def info(self, path: str, info: AlertInfo) -> AlertInfo:
        kept: list[NamedValue] = []
        categories = list(info.categories)
        responses = list(info.response_types)
        for number, pair in enumerate(info.parameters, 1):
            if not pair.scheme.startswith(PREFIX):
                kept.append(pair)
            elif not (
                self._advice(pair)
                or (pair.scheme == CATEGORY and _add(categories, pair.value, _MAX_CATEGORIES))
                or (pair.scheme == RESPONSE and _add(responses, pair.value, _MAX_RESPONSES))
            ):
                self._findings.add(Code.VALUE_UNKNOWN, f"{path}/parameter[{number}]", f"{pair.scheme}={pair.value}")
                kept.append(pair)
        return dataclasses.replace(
            info, parameters=tuple(kept), categories=tuple(categories), response_types=tuple(responses)
        )

    def _advice(self, pair: NamedValue) -> bool:
        if pair.scheme == LEVEL:
            # Two levels could be read two ways: the first counts.
            if self.level is not None or pair.value not in {str(level) for level in range(MAX_ADVISORY_LEVEL + 1)}:
                return False
            self.level = int(pair.value)
            return True
        if pair.scheme != WORDS or len(self.words) == _MAX_WORDS:
            return False
        language, _, rest = pair.value.partition(" ")
        origin, _, rest = rest.partition(" ")
        authentic, _, text = rest.partition(" ")
        if not is_language(language) or origin not in _ORIGINS or authentic not in {"0", "1"}:
            return False
        if authentic == "1" and any(words.authentic for words in self.words):
            return False
        self.words.append(LocalizedText(language, text, _ORIGINS[origin], authentic == "1"))
        return True


def _add(values: list[str], value: str, most: int) -> bool:
    if len(values) >= most or value in values or not _CODE.fullmatch(value):
        return False
    values.append(value)
    return True
