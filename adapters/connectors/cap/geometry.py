"""Polygons and circles out of CAP's text forms. CAP writes latitude first."""

import math
import re
from collections.abc import Sequence
from typing import Final

from adapters.connectors.cap.findings import Code, Findings
from gateway.model.alert import Circle, Point
from gateway.model.rules import MAX_RADIUS_KM

MAX_RING_POINTS: Final = 20_000
"""Polygon.points of alert.proto."""
LONG_RING_POINTS: Final = 1_000
"""Past this, maps and small devices begin to fail; noted so that a sender can simplify."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,12}(?:\.\d{0,40})?|\.\d{1,40})", re.ASCII)


def parse_ring(text: str, path: str, findings: Findings) -> tuple[Point, ...] | None:
    """Return a closed ring, or None with a finding when what is left is no area."""
    tokens = text.split()
    if not tokens:
        findings.add(Code.POLYGON_EMPTY, path)
        return None
    pairs = _pairs(tokens, path, findings)
    pairs = _in_order(pairs, path, findings)
    points: list[Point] = []
    wrapped = outside = 0
    for latitude, written in pairs:
        longitude = written
        if 180 < abs(written) <= 360:
            # Rings across the antimeridian are often written past it.
            wrapped += 1
            longitude = written - 360 if written > 0 else written + 360
        if -90 <= latitude <= 90 and -180 <= longitude <= 180:
            points.append(Point(latitude, longitude))
        else:
            outside += 1
    if wrapped:
        findings.add(Code.COORDINATE_WRAPPED, path, f"{wrapped} points beyond longitude 180")
    if outside:
        findings.add(Code.COORDINATE_INVALID, path, f"{outside} points off the Earth, left out")
    if len(points) > 1 and points[0] != points[-1]:
        findings.add(Code.POLYGON_OPEN, path)
        points.append(points[0])
    if len(points) < 4:
        findings.add(Code.POLYGON_SHORT, path, f"{len(points)} points")
        return None
    if len(points) > MAX_RING_POINTS:
        findings.add(Code.POLYGON_DROPPED, path, f"{len(points)} points; at most {MAX_RING_POINTS} are taken")
        return None
    if len(points) > LONG_RING_POINTS:
        findings.add(Code.POLYGON_LONG, path, f"{len(points)} points")
    return tuple(points)


def most_points_of(text: str) -> int:
    """Return a number of points that a ring's text cannot exceed, without parsing it."""
    return max(text.count(","), (len(text.split()) + 1) // 2)


def parse_circle(text: str, path: str, findings: Findings) -> Circle | None:
    """Return the disc, or None with a finding."""
    numbers = [_number(part) for part in text.replace(",", " ").split()]
    if len(numbers) == 3:
        latitude, longitude, radius_km = numbers
        if (
            latitude is not None
            and longitude is not None
            and radius_km is not None
            and -90 <= latitude <= 90
            and -180 <= longitude <= 180
            and 0 <= radius_km <= MAX_RADIUS_KM
        ):
            return Circle(Point(latitude, longitude), radius_km)
    findings.add(Code.CIRCLE_INVALID, path, text)
    return None


def parse_number(text: str) -> float | None:
    """Return a plain decimal number of modest size, or None."""
    return _number(text)


def _pairs(tokens: Sequence[str], path: str, findings: Findings) -> list[tuple[float, float]]:
    pairs: list[tuple[float, float]] = []
    bad: list[str] = []
    for token in tokens:
        # The way of almost every token. float() alone would take nan, inf, 1e5 and digits of other scripts.
        latitude, comma, longitude = token.partition(",")
        if comma and _NUMBER.fullmatch(latitude) and _NUMBER.fullmatch(longitude):
            pairs.append((float(latitude), float(longitude)))
            continue
        bad.append(token)
        first, second = _number(latitude), _number(longitude.rstrip(","))
        if first is not None and second is not None:
            pairs.append((first, second))
    if not bad:
        return pairs
    findings.add(Code.COORDINATE_INVALID, path, f"{len(bad)} not of the form lat,lon: {' '.join(bad[:4])}")
    if not pairs:
        # "41.0, -117.5" and "41.0 -117.5": no token is a pair, but all together they are.
        numbers = [_number(part) for part in " ".join(tokens).replace(",", " ").split()]
        if len(numbers) % 2 == 0 and None not in numbers:
            whole = [number for number in numbers if number is not None]
            return list(zip(whole[::2], whole[1::2], strict=True))
    return pairs


def _in_order(pairs: list[tuple[float, float]], path: str, findings: Findings) -> list[tuple[float, float]]:
    """Put latitude first when it can only have come second, as is plain east of 90 degrees."""
    beyond = sum(abs(first) > 90 for first, _ in pairs)
    # Most of them, so that one slip of the pen does not turn a good ring round.
    if beyond * 2 > len(pairs) and all(abs(second) <= 90 for _, second in pairs):
        findings.add(Code.COORDINATE_ORDER, path)
        return [(second, first) for first, second in pairs]
    return pairs


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
