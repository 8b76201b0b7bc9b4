"""Reads instants and spans as an operator writes them."""

import re
from datetime import UTC, datetime
from typing import Final

from gateway.clock import to_ms
from gateway.errors import FieldInvalid

_SPAN = re.compile(r"(\d{1,6})\s*(min|h|d)\Z", re.ASCII)
_UNIT_MS: Final = {"min": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_when(text: str, now_ms: int, field: str) -> int:
    """Return milliseconds since 1970 for a span from now (90min, 6h, 3d) or an instant (2026-11-23T12:00Z).

    Raises:
        FieldInvalid: Neither, or an instant that does not say its offset from UTC.
    """
    span = _SPAN.match(text.strip())
    if span:
        return now_ms + int(span[1]) * _UNIT_MS[span[2]]
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise FieldInvalid(
            field, "must be a span as in 90min, 6h or 3d, or an instant as in 2026-11-23T12:00Z"
        ) from None
    if instant.tzinfo is None:
        # A time without an offset means another instant in every partner's capital.
        raise FieldInvalid(field, "must say its offset from UTC, as in 2026-11-23T12:00Z or 2026-11-23T19:00+07:00")
    try:
        return to_ms(instant.astimezone(UTC))
    except OverflowError:
        raise FieldInvalid(field, "lies before the year 1 or after 9999 in UTC") from None
