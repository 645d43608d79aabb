"""The report's figures as inline SVG: no script, colours from the page's style, all numbers written out."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from tlkit.reporting.scores import Distribution
from tlkit.reporting.words import OUTCOMES, number, percent, plural

_WIDE, _HIGH, _LEFT, _RIGHT, _BASE, _TOP = 560.0, 240.0, 12.0, 12.0, 172.0, 24.0
_BAR = 760.0  # width of a stacked bar in its own units
HATCHED = ("wrong", "unchecked")  # told apart from "right" and "not attempted" on a grey printout, too


def histogram(scores: Distribution, title: str) -> Markup:
    """How many students have how many points, with quartiles and median below."""
    bins = scores.bins
    step = (_WIDE - _LEFT - _RIGHT) / len(bins)
    tallest = max(one.count for one in bins)
    every = math.ceil((9 * len(number(bins[-1].low)) + 4) / step)  # labels must not touch
    parts = []
    for place, one in enumerate(bins):
        x, high = _LEFT + place * step, (_BASE - _TOP) * one.count / tallest
        if one.count:
            parts.append(_rect("bar", x + 1, _BASE - high, step - 2, high, 2))
            parts.append(_text(x + step / 2, _BASE - high - 5, f"{one.count}", "count"))
        if place % every == 0:
            parts.append(_text(x + step / 2, _BASE + 18, number(one.low), "tick"))

    def across(points: float) -> float:
        """Where a score stands: whole points in the middle of their share of a bar."""
        return _LEFT + step * (points + 0.5) / bins[0].width

    five, y = scores.spread, _BASE + 35
    first, middle, third = across(five.first), across(five.median), across(five.third)
    parts.append(_line("axis", _LEFT, _BASE + 0.5, _WIDE - _RIGHT, _BASE + 0.5))
    parts.append(_line("whisker", across(five.low), y, across(five.high), y))
    parts.append(_rect("box", first, y - 6, max(third - first, 2), 12, 2))
    parts.append(_line("median", middle, y - 10, middle, y + 10))
    anchor = "start" if middle < 200 else "end" if middle > _WIDE - 200 else "middle"
    words = f"median {number(five.median, 2)} · quartiles {number(five.first, 2)} and {number(five.third, 2)}"
    words += f" · a bar is {bins[0].width:.0f} points wide" if bins[0].width > 1 else ""
    parts.append(_text(middle, y + 28, words, f"said {anchor}"))
    said = f"{title}: {plural(scores.count, 'student')}, {words}, "
    said += f"lowest {number(five.low, 2)}, highest {number(five.high, 2)}"
    return _svg(_WIDE, _HIGH, said, parts, "histogram")


def stacked(outcomes: Mapping[str, int], title: str) -> Markup:
    """Shares of the outcomes in one bar; a piece that is wide enough carries its sign and number."""
    total = sum(outcomes.values())
    parts, x = [], 0.0
    for outcome, (sign, _) in OUTCOMES.items():
        count = outcomes.get(outcome, 0)
        wide = _BAR * count / total if total else 0.0
        if wide > 0:
            parts.append(_rect(f"o-{outcome}", x, 0, wide, 30, 0))
            if outcome in HATCHED:
                parts.append(_rect(f"hatch-{outcome}", x, 0, wide, 30, 0))
            if wide >= 16 + 9 * len(str(count)) + 8:
                parts.append(_text(x + wide / 2, 20.5, f"{sign} {count}", f"t-{outcome}"))
            if x:
                parts.append(_line("gap", x, 0, x, 30))
        x += wide
    said = ", ".join(
        f"{word} {outcomes[outcome]} ({percent(outcomes[outcome], total)})"
        for outcome, (_, word) in OUTCOMES.items()
        if outcomes.get(outcome)
    )
    return _svg(_BAR, 30, f"{title}: {said}", parts, "stacked")


def bar(share: float, kind: str = "") -> Markup:
    """A plain bar beside a number that is written out: screen readers skip it."""
    wide = 100 * min(1.0, max(0.0, share))
    return Markup(
        '<svg class="share {}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" '
        'focusable="false">'
        '<rect class="track" width="100" height="10"/><rect class="fill" width="{}" height="10"/></svg>'
    ).format(kind, f"{wide:.2f}")


PATTERNS = Markup(
    '<svg class="patterns" aria-hidden="true" focusable="false" width="0" height="0"><defs>{}</defs></svg>'
).format(
    Markup("").join(
        Markup(
            '<pattern id="hatch-{}" width="7" height="7" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="7"/></pattern>'
        ).format(outcome)
        for outcome in HATCHED
    )
)


def _svg(wide: float, high: float, said: str, parts: list[Markup], kind: str) -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        kind, wide, high, said, Markup("").join(parts)
    )


def _rect(kind: str, x: float, y: float, wide: float, high: float, round_: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{:g}"/>').format(
        kind, x, y, wide, high, round_
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        kind, x1, y1, x2, y2
    )


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)
