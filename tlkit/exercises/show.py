"""Small cards for hints and questions: HTML in a notebook, text elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from tlkit.exercises.spec import Question


class Card:
    """An icon, a title and some lines, shown as HTML or text."""

    def __init__(self, icon: str, title: str, lines: Sequence[str], html: str = "") -> None:
        self.icon, self.title, self.lines, self.html = icon, title, tuple(lines), html

    def __repr__(self) -> str:
        return "\n".join([f"{self.icon} {self.title}", *(f"  {line}" for line in self.lines)])

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{escape(line)}</li>" for line in self.lines)
        return f"<p><b>{escape(self.icon)} {escape(self.title)}</b></p>{self.html or f'<ol>{rows}</ol>'}"


def question_card(asked: Question, course: Path) -> Any:
    """The quiz widget where there is one, else the question with its explanations folded."""
    try:
        from tlkit.widgets import Quiz
    except ImportError:
        return Card("?", asked.prompt, [f"{choice}: {why}" for choice, why in asked.choices.items()])
    return Quiz(asked.name, asked.prompt, dict(asked.choices), asked.answer)
