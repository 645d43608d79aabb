"""Predict first: a question whose every answer is explained."""

import html
import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import anywidget
import traitlets as t

from tlkit.widgets.picture import Picture

_HERE = Path(__file__).parent


class Quiz(Picture, anywidget.AnyWidget):
    """A multiple-choice question to answer before the result is shown.

    The first choice counts as the prediction and is kept with the student's progress; afterwards every other
    choice can be looked at, because a wrong answer explained teaches as much as a right one.

    Args:
        name: unique over the course, the key under which the answer is kept.
        prompt: the question. `code` and **bold** are rendered.
        choices: the text of each choice and its explanation.
        answer: the text of the right choice.

    Raises:
        ValueError: fewer than two choices, or an answer that is none of them.

    The attribute `first` is the text of the first choice, or None while the question is open.
    """

    _esm = _HERE / "quiz.js"
    _css = _HERE / "quiz.css"
    prompt = t.Unicode().tag(sync=True)
    choices = t.List(t.Dict()).tag(sync=True)  # {text, why, right}, as HTML
    chosen = t.Int(-1).tag(sync=True)  # the first choice, by number; the page sets it once

    def __init__(self, name: str, prompt: str, choices: Mapping[str, str], answer: str) -> None:
        if len(choices) < 2:
            raise ValueError(f"quiz {name!r} has {len(choices)} choice(s): give at least two.")
        if answer not in choices:
            raise ValueError(f"quiz {name!r}: the answer {answer!r} is none of its choices {list(choices)}.")
        self.name, self.answer = name, answer
        self._prompt, self._choices = prompt, dict(choices)
        rows = [
            {"text": _inline(text), "why": _inline(why), "right": text == answer}
            for text, why in choices.items()
        ]
        super().__init__(prompt=_inline(prompt), choices=rows)

    @property
    def first(self) -> str | None:
        """The text of the first choice; None while the question is open."""
        return None if self.chosen < 0 else list(self._choices)[self.chosen]

    def choose(self, text: str) -> None:
        """Answer from Python, as a click does. Only the first answer counts."""
        if text not in self._choices:
            raise ValueError(f"quiz {self.name!r} has no choice {text!r}; choices: {list(self._choices)}.")
        if self.chosen < 0:
            self.chosen = list(self._choices).index(text)

    @t.observe("chosen")
    def _keep(self, change: t.Bunch) -> None:
        if not 0 <= change["new"] < len(self._choices):
            return
        _record(self.name, self.first or "", self.first == self.answer)
        self.refresh_still()

    def text(self) -> str:
        """The question and its choices; the explanations wait until it is answered."""
        lines = [f"Predict first: {self._prompt}"]
        for i, (text, why) in enumerate(self._choices.items()):
            mark = "(•)" if i == self.chosen else "( )"
            lines.append(f"  {mark} {text}")
            if self.chosen >= 0:
                lines.append(f"      {'right' if text == self.answer else 'not this one'}: {why}")
        return "\n".join(lines)

    def still(self) -> str:
        """Each choice unfolds to its explanation: works in any page, without a kernel or a script."""
        parts = [f"<p><b>Predict first.</b> {_inline(self._prompt)}</p>"]
        for i, (text, why) in enumerate(self._choices.items()):
            verdict = "✔ Right." if text == self.answer else "✘ Not this one."
            picked = " <i>(chosen)</i>" if i == self.chosen else ""
            parts.append(
                f"<details><summary>{_inline(text)}{picked}</summary>"
                f"<p><b>{verdict}</b> {_inline(why)}</p></details>"
            )
        return "".join(parts)


def _inline(text: str) -> str:
    """Escaped HTML of a line of text with `code` and **bold**."""
    safe = html.escape(text)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", safe)


def _record(name: str, choice: str, right: bool) -> None:
    """Keep an answer with the student's progress, where this copy of the course keeps progress."""
    try:
        progress = importlib.import_module("tlkit.exercises.progress")
    except ImportError:
        return
    progress.record_answer(name, choice, right)
