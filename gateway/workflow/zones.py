"""Desks' zones: from a desk's wall clock to an instant and back. Real zone data, no offsets kept by hand.

Zone data are read once per zone and are the same table on every machine (the `tzdata` package is a dependency).
A wall-clock time that a change of the clocks leaves out stands for the instant of the change, so that what begins and
ends there has no length; one that occurs twice stands for its first occurrence. So shifts that meet on the wall meet in
truth, and a night shift is an hour longer or shorter when the clocks change.
"""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gateway.clock import to_datetime, to_ms
from gateway.errors import FieldInvalid

DAY_MINUTES: Final = 1440


def parse_zone(name: str, field: str = "time_zone") -> ZoneInfo:
    """Return the zone of an IANA name.

    Raises:
        FieldInvalid: There is no such zone.
    """
    if len(name) > 64 or not name.isascii():
        raise FieldInvalid(field, "must be an IANA zone, as in 'Asia/Bangkok'")
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise FieldInvalid(field, f"'{name}' is no IANA zone, as in 'Asia/Bangkok'") from None


def instant_ms(day: date, minute: int, zone: ZoneInfo) -> int:
    """Return the instant of a wall-clock time.

    Args:
        day: The date on the wall.
        minute: Minutes since its midnight; 1440 and more are in the days after.
        zone: The zone of the wall.
    """
    wall = datetime.combine(day + timedelta(days=minute // DAY_MINUTES), time(minute % DAY_MINUTES // 60, minute % 60))
    first, second = (to_ms(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    # In a gap the readings change places: the offset before the change gives the later instant.
    return _change_ms(second, first, zone) if second < first else first


def local_day(instant: int, zone: ZoneInfo) -> date:
    """Return the date on the wall at an instant in milliseconds."""
    return to_datetime(instant).astimezone(zone).date()


def show(instant: int, ours: ZoneInfo, theirs: ZoneInfo) -> str:
    """Return an instant in milliseconds as a desk reads it: our wall clock, theirs, and UTC, each with its date."""
    utc = to_datetime(instant)
    parts = [f"{utc.astimezone(zone):%Y-%m-%d %H:%M} {_offset(utc, zone)}" for zone in (ours, theirs)]
    return f"{parts[0]} here, {parts[1]} there, {utc:%Y-%m-%d %H:%M}Z"


def _offset(utc: datetime, zone: ZoneInfo) -> str:
    seconds = _offset_s(utc, zone)
    sign = "-" if seconds < 0 else "+"
    return f"UTC{sign}{abs(seconds) // 3600:02}:{abs(seconds) % 3600 // 60:02}"


def _offset_s(utc: datetime, zone: ZoneInfo) -> int:
    offset = utc.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _change_ms(before: int, after: int, zone: ZoneInfo) -> int:
    """Return the first millisecond of the new offset between two instants that lie on either side of a change."""
    new = _offset_s(to_datetime(after), zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_s(to_datetime(middle), zone) == new:
            after = middle
        else:
            before = middle
    return after


EPOCH_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC).date()
LAST_DAY: Final = date(2200, 1, 1)
"""Dates of rosters lie between: arithmetic on them cannot leave what a date can hold."""
