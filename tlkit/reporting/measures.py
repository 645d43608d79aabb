"""The numbers of the report: plain functions of plain numbers, None where a number is not defined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEW = 20  # below about so many students a correlation says little: its 95 % interval is wider than ±0.44
_NOISE = 1e-9  # points like 0.1 + 0.2 carry rounding; a spread below this is none


@dataclass(frozen=True)
class Spread:
    """Five numbers that describe a distribution."""

    low: float
    first: float
    median: float
    third: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Smallest, quartiles and largest value; None of nothing.

    Quartiles by linear interpolation between the sorted values, x[(n - 1) q]: type 7 of Hyndman and Fan
    (1996, The American Statistician 50, 361-365), what NumPy and R do unless told otherwise.
    """
    if not values:
        return None
    ordered = sorted(values)
    return Spread(*(_quantile(ordered, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def difficulty(points: Sequence[float], most: float) -> float | None:
    """The difficulty index of classical test theory: the mean share of the points, mean(x) / max(x).

    1 is an exercise that everybody solved, 0 one that nobody did: *high means easy* (Crocker and Algina 1986,
    Introduction to Classical and Modern Test Theory, chapter 14). None without students or points.
    """
    average = mean(points)
    return None if average is None or most <= 0 else average / most


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's r = sum(dx dy) / sqrt(sum(dx^2) sum(dy^2)); None where one of the two does not vary."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values and {len(second)}: each needs its partner")
    if len(first) < 2:
        return None
    middle_x, middle_y = math.fsum(first) / len(first), math.fsum(second) / len(second)
    dx = [value - middle_x for value in first]
    dy = [value - middle_y for value in second]
    if max(map(abs, dx)) < _NOISE or max(map(abs, dy)) < _NOISE:
        return None
    together = math.fsum(x * y for x, y in zip(dx, dy, strict=True))
    alone = math.sqrt(math.fsum(x * x for x in dx) * math.fsum(y * y for y in dy))
    return max(-1.0, min(1.0, together / alone))


def discrimination(points: Sequence[float], totals: Sequence[float]) -> float | None:
    """How well an exercise tells students apart: the corrected item-total correlation, r(x, total - x).

    The exercise is compared with the *rest* of the score, because it is part of the total and would agree
    with itself (Henrysson 1963, Psychometrika 28, 211-218). None where nobody differs, or there is no rest.
    """
    return correlation(points, [total - own for own, total in zip(points, totals, strict=True)])


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram: values from `low` up to, not including, `low` + `width`."""

    low: float
    width: float
    count: int


def histogram(values: Sequence[float], most: float, bars: int = 21) -> list[Bin]:
    """Counts of `values` in bins from 0 on; `most`, the highest possible value, lies in the last.

    A bin is a whole number of points wide, so that there are at most `bars` of them.
    """
    top = max([most, *values])
    width = max(1, math.ceil((top + 1) / bars))
    width = next((nice for nice in (1, 2, 5, 10, 20, 50, 100) if nice >= width), width)
    counts = [0] * (math.floor(top / width + _NOISE) + 1)
    for value in values:
        counts[max(0, math.floor(value / width + _NOISE))] += 1
    return [Bin(number * float(width), float(width), count) for number, count in enumerate(counts)]
