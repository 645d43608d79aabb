"""A verdict as self-contained HTML: inline style, no script, every word of the student's escaped."""

from __future__ import annotations

from html import escape

from tlkit.exercises.judge import Verdict
from tlkit.exercises.text import to_text


def to_html(verdict: Verdict) -> str:
    """All of a verdict as one HTML block."""
    return f"<pre>{escape(to_text(verdict))}</pre>"
