"""Dates as documents have them: whether such a day exists, and which Gregorian days it can have been."""

import calendar
from datetime import date
from typing import Final

from gateway.errors import FieldInvalid
from gateway.model.person import Calendar, PartialDate

YEARS: Final = {Calendar.GREGORIAN: (1850, 2150), Calendar.BUDDHIST: (2393, 2693), Calendar.HIJRI: (1266, 1575)}
"""Births of the living and expiries of what they hold, the same span in each calendar. A Buddhist year given as
Gregorian is 543 years in the future and outside."""
_OFFSET: Final = 543
_REFORM: Final = 2483
"""The short year: it began on 1 April 1940 and ended on 31 December, so that 2484 could begin on 1 January 1941."""
_NEW_YEAR_MONTH: Final = 4


def check_date(value: PartialDate, at: str) -> None:
    """Check that such a day, month or year exists in its calendar.

    Raises:
        FieldInvalid: It does not, or lies outside YEARS.
    """
    first, last = YEARS[value.calendar]
    if not first <= value.year <= last:
        others = [item.name.lower() for item, (low, high) in YEARS.items() if low <= value.year <= high]
        hint = f"; it would be in the {others[0]} calendar" if others else ""
        raise FieldInvalid(f"{at}.year", f"is not between {first} and {last}, as a date of a person's life is{hint}")
    if value.month is None:
        if value.day is not None:
            raise FieldInvalid(f"{at}.day", "needs a month")
        return
    if not 1 <= value.month <= 12:
        raise FieldInvalid(f"{at}.month", "must be 1 to 12")
    if value.calendar is Calendar.HIJRI:
        # Months have 29 or 30 days, as the moon was seen: more cannot be said.
        longest = 30
    else:
        year = _gregorian_year(value, value.month, at)
        longest = calendar.monthrange(year, value.month)[1]
    if value.day is not None and not 1 <= value.day <= longest:
        raise FieldInvalid(f"{at}.day", f"must be 1 to {longest} in that month")


def gregorian_span(value: PartialDate) -> tuple[date, date] | None:
    """Return the first and the last Gregorian day that a checked date can mean; None for Hijri, which is not converted.

    Raises:
        FieldInvalid: No such day.
    """
    if value.calendar is Calendar.HIJRI:
        return None
    if value.month is None:
        return _whole_year(value)
    year = _gregorian_year(value, value.month, "date")
    if value.day is not None:
        day = date(year, value.month, value.day)
        return day, day
    return date(year, value.month, 1), date(year, value.month, calendar.monthrange(year, value.month)[1])


def _whole_year(value: PartialDate) -> tuple[date, date]:
    year = value.year
    if value.calendar is Calendar.GREGORIAN or year > _REFORM:
        year -= _OFFSET if value.calendar is Calendar.BUDDHIST else 0
        return date(year, 1, 1), date(year, 12, 31)
    begin = date(year - _OFFSET, _NEW_YEAR_MONTH, 1)
    if year == _REFORM:
        return begin, date(begin.year, 12, 31)
    return begin, date(begin.year + 1, _NEW_YEAR_MONTH - 1, 31)


def _gregorian_year(value: PartialDate, month: int, at: str) -> int:
    if value.calendar is Calendar.GREGORIAN:
        return value.year
    if value.year > _REFORM or month >= _NEW_YEAR_MONTH:
        return value.year - _OFFSET
    if value.year == _REFORM:
        raise FieldInvalid(f"{at}.month", "did not exist: the Thai year 2483 began in April and ended in December")
    # Until 2482 the year began in April, so its first three calendar months lie in the next Gregorian year.
    return value.year - _OFFSET + 1
