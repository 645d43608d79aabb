"""What `hint` and `quiz` return: small cards, HTML in a notebook and text elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from tlkit.exercises.page import card, hints_html, inline
from tlkit.exercises.spec import Question

_BLUE = "var(--jp-info-color1, #0277bd)"


class Card:
    """Text for terminals and HTML for notebooks."""

    def __init__(self, text: str, html: str) -> None:
        self.text, self.html = text, html

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def problem_card(name: str, problem: str) -> Card:
    """Why there is nothing to show."""
    return Card(f"? {name}: {problem}", card(_BLUE, "?", escape(name), "", f"<p>{inline(problem)}</p>", name))


def hint_card(name: str, hints: Sequence[str], total: int) -> Card:
    """The hints shown so far."""
    lines = [
        f"→ Hint {len(hints)} of {total} · {name}",
        *(f"  {i}. {hint}" for i, hint in enumerate(hints, 1)),
    ]
    return Card("\n".join(lines), hints_html(name, hints, total))


def question_card(asked: Question, course: Path) -> Any:
    """The quiz widget, or, where widgets are not installed, the question with its explanations folded."""
    try:
        from tlkit.widgets import Quiz

        return Quiz(asked.name, asked.prompt, dict(asked.choices), asked.answer, course=course)
    except ImportError:
        return plain_question(asked)


def plain_question(asked: Question) -> Card:
    """Each choice unfolds to its explanation: no kernel, no script, no widget."""
    lines = [f"Predict first: {asked.prompt}", *(f"  ( ) {choice}" for choice in asked.choices)]
    rows = []
    for choice, why in asked.choices.items():
        word = "✓ Right." if choice == asked.answer else "✗ Not this one."
        rows.append(
            f'<details style="margin:4px 0"><summary>{inline(choice)}</summary>'
            f'<p style="margin:2px 0 6px 1.4em"><b>{word}</b> {inline(why)}</p></details>'
        )
    body = f'<p style="margin:6px 0">{inline(asked.prompt)}</p>{"".join(rows)}'
    return Card("\n".join(lines), card(_BLUE, "?", "Predict first", "", body, f"Question: {asked.prompt}"))
