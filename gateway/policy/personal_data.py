"""Finds machine-readable travel documents in what is about to leave as an alert (domain.md 4, B5).

A structural check, narrow on purpose: a false hit would stop a warning. Only a line counts that has the exact length
and shape of a name line of ICAO Doc 9303 parts 4 to 6, or the right check digits for two valid dates. It finds a
passport pasted or scanned into any text. It does not find a person's name in a sentence; that is for those who
release the alert.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Final

from gateway.model.alert import Alert

# Maximal runs of the alphabet of machine-readable zones. Possessive, so that a long hostile run costs one pass.
_RUN: Final = re.compile(r"[A-Z0-9<]{30,}+")
_NAME_LINE: Final = re.compile(r"[PV][A-Z<][A-Z]{1,3}<{0,2}[A-Z]++(?:<[A-Z]++)*+<<[A-Z<]*\Z")
_CARD_NAME_LINE: Final = re.compile(r"[A-Z]++(?:<[A-Z]++)*+<<[A-Z]++(?:<[A-Z]++)*+<*\Z")
_DATE: Final = re.compile(r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])\Z")
_WEIGHTS: Final = (7, 3, 1, 7, 3, 1)
"""Doc 9303 part 3, section 4.9, over the six digits of a date."""


def has_travel_document(alert: Alert, body_bytes: bytes) -> bool:
    """Say whether a text of the alert carries a line of a machine-readable travel document.

    body_bytes is the alert's body as encoded: texts lie in it in clear, and one search through it for the fillers
    that every such document has is all that an ordinary alert costs.
    """
    if b"<<" not in body_bytes:
        return False
    return any(_is_zone_line(run) for text in _texts(alert) for run in _RUN.findall(text))


def _texts(value: object) -> Iterator[str]:
    """Yield every text anywhere in a value of the model, the verbatim original too."""
    match value:
        case str():
            yield value
        case bytes():
            # Lines are ASCII, so reading the original as Latin-1 loses none, whatever its encoding says.
            yield value.decode("latin-1")
        case tuple():
            for item in value:
                yield from _texts(item)
        case _ if is_dataclass(value):
            for field in fields(value):
                yield from _texts(getattr(value, field.name))
        case _:
            return


def _is_zone_line(line: str) -> bool:
    match len(line):
        case 44 | 36:
            # Birth in 13..18, expiry in 21..26, each followed by its check digit (parts 4, 6 and 7).
            return _NAME_LINE.match(line) is not None or (_is_dated(line, 13) and _is_dated(line, 21))
        case 30:
            # Part 5: the second line has birth in 0..5 and expiry in 8..13, the third has names only.
            return _CARD_NAME_LINE.match(line) is not None or (_is_dated(line, 0) and _is_dated(line, 8))
        case _:
            return False


def _is_dated(line: str, start: int) -> bool:
    date, digit = line[start : start + 6], line[start + 6]
    if not _DATE.match(date):
        return False
    total = sum(int(number) * weight for number, weight in zip(date, _WEIGHTS, strict=True))
    return digit == str(total % 10)
