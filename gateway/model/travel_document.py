"""Machine-readable zones of travel documents: their formats and check digits (ICAO Doc 9303 parts 3 to 7)."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import FieldInvalid

_WEIGHTS: Final = (7, 3, 1)
"""Part 3, section 4.9: weights over the characters, from the left."""
_VALUES: Final = {"<": 0, **{str(digit): digit for digit in range(10)}} | {
    letter: value for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)
}
_ZONE: Final = re.compile(r"[A-Z0-9<]+(?:\n[A-Z0-9<]+)*\Z")
_RUN: Final = re.compile(r"(?<![A-Z0-9<])[A-Z0-9<]{30,44}(?![A-Z0-9<])")
_LENGTHS: Final = frozenset({30, 36, 44})


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReadableZone:
    """What a zone says, and whether its check digits agree."""

    document_type: str
    issuer: str
    number: str
    nationality: str
    birth: str
    """YYMMDD; unknown parts are fillers."""
    expiry: str
    """YYMMDD."""
    wrong: tuple[str, ...]
    """Names of the check digits that disagree; empty when all agree."""


def check_digit(text: str) -> int:
    """Return the check digit of a field: the weighted sum of its characters' values, modulo 10.

    Raises:
        FieldInvalid: A character that no zone has.
    """
    try:
        values = [_VALUES[character] for character in text]
    except KeyError:
        raise FieldInvalid("mrz", "has a character other than A to Z, 0 to 9 and <") from None
    return sum(value * _WEIGHTS[index % 3] for index, value in enumerate(values)) % 10


def read_zone(text: str, at: str) -> MachineReadableZone:
    """Return what a zone says. Lines are separated by a line end.

    Raises:
        FieldInvalid: Not the lines of a passport, a card or a visa.
    """
    if not _ZONE.match(text):
        raise FieldInvalid(at, "must be lines of A to Z, 0 to 9 and <")
    lines = text.split("\n")
    match [len(line) for line in lines]:
        case [30, 30, 30]:
            return _card(lines[0], lines[1])
        case [44, 44] | [36, 36]:
            return _two_lines(lines[0], lines[1])
        case _:
            raise FieldInvalid(at, "must be 3 lines of 30, or 2 lines of 36 or 44 characters")


def has_zone_line(text: str) -> bool:
    """Return whether a text has something of the length and fillers of a line of a machine-readable zone."""
    return "<<" in text and any(len(run) in _LENGTHS and "<<" in run for run in _RUN.findall(text))


def _two_lines(first: str, second: str) -> MachineReadableZone:
    """Passports, cards of two lines and visas: parts 4, 6 and 7."""
    visa, passport = first[0] == "V", len(second) == 44
    number, number_digit, rest = second[:9], second[9], second[28:]
    wrong: list[str] = []
    if not visa and not passport:
        number, number_digit = _long_number(number, number_digit, second[28:35])
    _judge(wrong, "number", number, number_digit)
    _judge(wrong, "birth", second[13:19], second[19])
    _judge(wrong, "expiry", second[21:27], second[27])
    if not visa:
        if passport:
            _judge(wrong, "personal_number", rest[:14], rest[14], may_be_filler=True)
        _judge(wrong, "composite", second[:10] + second[13:20] + second[21:-1], second[-1])
    return MachineReadableZone(
        document_type=first[:2].rstrip("<"), issuer=first[2:5].rstrip("<"), number=number.rstrip("<"),
        nationality=second[10:13].rstrip("<"), birth=second[13:19], expiry=second[21:27], wrong=tuple(wrong),
    )  # fmt: skip


def _card(first: str, second: str) -> MachineReadableZone:
    """Cards of three lines: part 5."""
    number, number_digit = _long_number(first[5:14], first[14], first[15:30])
    wrong: list[str] = []
    _judge(wrong, "number", number, number_digit)
    _judge(wrong, "birth", second[:6], second[6])
    _judge(wrong, "expiry", second[8:14], second[14])
    _judge(wrong, "composite", first[5:] + second[:7] + second[8:15] + second[18:29], second[29])
    return MachineReadableZone(
        document_type=first[:2].rstrip("<"), issuer=first[2:5].rstrip("<"), number=number.rstrip("<"),
        nationality=second[15:18].rstrip("<"), birth=second[:6], expiry=second[8:14], wrong=tuple(wrong),
    )  # fmt: skip


def _long_number(number: str, digit: str, optional: str) -> tuple[str, str]:
    """Put a number of more than nine characters together: it goes on in the optional data, its digit at the end."""
    if digit != "<" or optional[:1] in {"", "<"}:
        return number, digit
    rest = optional.partition("<")[0]
    return number + rest[:-1], rest[-1]


def _judge(wrong: list[str], name: str, text: str, digit: str, *, may_be_filler: bool = False) -> None:
    if may_be_filler and digit == "<" and not text.strip("<"):
        return
    if digit != str(check_digit(text)):
        wrong.append(name)
