"""CAP's times, as the standard wants them and as they come."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from adapters.connectors.cap.findings import Code, Findings
from gateway.model.alert import SourceTime
from gateway.model.header import MAX_TIME_MS
from gateway.model.rules import MAX_OFFSET_MINUTES

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_STRICT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", re.ASCII)


def parse_time(text: str, path: str, version: str, findings: Findings) -> SourceTime | None:
    """Return the instant, or None with a finding.

    `-00:00` is taken as RFC 3339 has it: the instant is UTC, the offset at its source is not known. So is a time
    without any offset, which is noted.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        findings.add(Code.TIME_INVALID, path, text)
        return None
    year, month, day, hour, minute = (int(match[group]) for group in range(1, 6))
    second = int(match[6] or 0)
    milliseconds = int((match[7] or "0")[:3].ljust(3, "0"))
    extra = timedelta(milliseconds=milliseconds)
    odd = False
    if second == 60:
        second, odd = 59, True
    if hour == 24 and minute == second == 0:
        hour, odd = 0, True
        extra += timedelta(days=1)
    offset: int | None = None
    if match[8]:
        offset = 0
    elif match[9]:
        offset = int(match[10]) * 60 + int(match[11])
        if int(match[11]) > 59 or offset > MAX_OFFSET_MINUTES:
            findings.add(Code.TIME_INVALID, path, text)
            return None
        if match[9] == "-":
            offset = -offset or None
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC) + extra
    except (ValueError, OverflowError):
        findings.add(Code.TIME_INVALID, path, text)
        return None
    time_ms = (local - _EPOCH) // timedelta(milliseconds=1) - (offset or 0) * 60_000
    if not 0 <= time_ms <= MAX_TIME_MS:
        findings.add(Code.TIME_INVALID, path, text)
        return None
    if not match[8] and not match[9]:
        findings.add(Code.TIME_NAIVE, path, text)
    elif odd or (version not in {"1.0", "1.1"} and not _STRICT.fullmatch(text)):
        # CAP 1.0 and 1.1 allowed every xs:dateTime; 1.2 wants whole seconds and a numeric offset.
        findings.add(Code.TIME_FORM, path, text)
    return SourceTime(time_ms, offset)
