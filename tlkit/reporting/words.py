"""How the report says numbers, times and states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup, escape

from tlkit.grading.isolation.levels import MEANING
from tlkit.reporting.exercises import Exercise
from tlkit.reporting.measures import FEW

# outcome -> (sign, word); the signs are those that students see
OUTCOMES = {
    "right": ("✓", "right"),
    "partly_right": ("◐", "partly right"),
    "wrong": ("✗", "wrong"),
    "raised": ("!", "raised an error or ran too long"),
    "not_attempted": ("○", "not attempted"),
    "unchecked": ("?", "not checked"),
}
LEVER = 5  # students: where fewer differ from the rest, a correlation is theirs alone
LOW = 0.2  # below this an exercise hardly tells students apart (a rule of thumb of Ebel and Frisbie 1991)
_STRONG = re.compile(r"\*\*([^*\n]+)\*\*")
_EMPHASIS = re.compile(r"(?<![\w*])\*([^*\s](?:[^*\n]*[^*\s])?)\*(?![\w*])")


def number(value: float | None, digits: int = 1) -> str:
    """At most `digits` decimals, no trailing zeros: 12, 12.5, −0.3; an en dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text.replace("-", "−")


def index(value: float | None) -> str:
    """An index with its two decimals, so that columns of them line up."""
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def percent(part: float, whole: float) -> str:
    """ "24 %", kept on one line; "<1 %" and ">99 %" where rounding would say none or all."""
    if whole <= 0:
        return "–"
    share = 100 * part / whole
    if 0 < share < 1:
        return "<1\N{NO-BREAK SPACE}%"
    if 99 < share < 100:
        return ">99\N{NO-BREAK SPACE}%"
    return f"{share:.0f}\N{NO-BREAK SPACE}%"


def plural(count: int, one: str, many: str = "") -> str:
    """ "1 student", "2 students" """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def when(moment: datetime | None) -> str:
    """Date and time on this machine's clock."""
    return "–" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"


def period(first: datetime | None, last: datetime | None) -> str:
    """ "2026-11-20 18:00–18:04 UTC", or both dates where they differ."""
    if first is None or last is None or when(first) == when(last):
        return when(last)
    start, end = first.astimezone(), last.astimezone()
    if start.date() == end.date():
        return f"{start:%Y-%m-%d %H:%M}–{end:%H:%M %Z}"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M %Z}"


def seconds(value: float) -> str:
    """ "2.1 s", "340 s" up to ten minutes, then minutes."""
    return f"{value / 60:.0f} min" if value >= 600 else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def isolation(level: str) -> str:
    """What a level of isolation means."""
    return next((MEANING[one] for one in MEANING if str(one) == level), level)


def prose(text: str) -> Markup:
    """A hint's text: escaped, with `code`, *emphasis* and **strong** set as such."""
    safe = str(escape(text))
    pieces = re.split(r"(`[^`]+`)", safe)
    for place in range(0, len(pieces), 2):
        pieces[place] = _STRONG.sub(r"<strong>\1</strong>", pieces[place])
        pieces[place] = _EMPHASIS.sub(r"<em>\1</em>", pieces[place])
    for place in range(1, len(pieces), 2):
        pieces[place] = f"<code>{pieces[place][1:-1]}</code>"
    return Markup("".join(pieces))


def discrimination(exercise: Exercise, exercises: Sequence[Exercise]) -> str:
    """What the discrimination index of this exercise says, or why there is none."""
    n, r = exercise.compared, exercise.discrimination
    if r is None:
        if len(exercises) < 2:
            return "undefined: there is no other exercise to compare with"
        if n < 2:
            return "undefined: too few students"
        return "undefined: nobody differs, here or in the rest of the score"
    if n < FEW:
        return f"{n} students: too few to say much"
    if exercise.differing < LEVER:
        return f"rests on {plural(exercise.differing, 'student')} with other points than the rest"
    if r < 0:
        return "negative: whoever is good elsewhere does worse here; look at the exercise"
    return "low: hardly tells students apart" if r < LOW else "tells students apart"
