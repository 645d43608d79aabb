"""Predict first: a question whose every answer is explained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from tlkit.exercises import progress
from tlkit.exercises.page import inline
from tlkit.widgets.interactive import Interactive

_HERE = Path(__file__).parent


class Quiz(Interactive):
    """A multiple-choice question to answer before the result is shown.

    The first choice counts as the prediction and is kept with the student's progress; afterwards every other
    choice can be looked at, because a wrong answer explained teaches as much as a right one.

    Args:
        name: unique over the course, the key under which the answer is kept.
        prompt: the question. `code`, **bold** and *emphasis* are rendered.
        choices: the text of each choice and its explanation.
        answer: the text of the right choice.
        course: the folder whose progress keeps the answer; found by the name of the question if not given.

    Raises:
        ValueError: fewer than two choices, or an answer that is none of them.

    The attribute `first` is the text of the first choice, or None while the question is open.
    """

    def __init__(
        self, name: str, prompt: str, choices: Mapping[str, str], answer: str, *, course: Path | None = None
    ) -> None:
        if len(choices) < 2:
            raise ValueError(f"quiz {name!r} has {len(choices)} choice(s): give at least two.")
        if answer not in choices:
            raise ValueError(f"quiz {name!r}: the answer {answer!r} is none of its choices {list(choices)}.")
        self.name, self.prompt, self.choices, self.answer = name, prompt, dict(choices), answer
        self._course = course or _course_of(name)
        kept = progress.load(self._course)["questions"].get(name, {}) if self._course else {}
        self.first: str | None = kept.get("first") if kept.get("first") in choices else None

    def choose(self, text: str) -> None:
        """Answer from Python, as a click does. Only the first answer counts."""
        if text not in self.choices:
            raise ValueError(f"quiz {self.name!r} has no choice {text!r}; choices: {list(self.choices)}.")
        if self.first is not None:
            return
        self.first = text
        if self._face is not None:
            self._face.chosen = list(self.choices).index(text)
        if self._course is not None:
            progress.record_answer(self._course, self.name, text, text == self.answer)
        self.refresh_still()

    def live(self) -> Any:
        """The question as radio buttons."""
        rows = [
            {"text": inline(text), "why": inline(why), "right": text == self.answer}
            for text, why in self.choices.items()
        ]
        texts = list(self.choices)
        chosen = texts.index(self.first) if self.first else -1
        face = _Face(prompt=inline(self.prompt), choices=rows, chosen=chosen)
        face.observe(lambda change: self.choose(texts[change["new"]]), "chosen")
        return face

    def text(self) -> str:
        """The question and its choices; the explanations wait until it is answered."""
        lines = [f"Predict first: {self.prompt}"]
        for text, why in self.choices.items():
            mark = "(•)" if text == self.first else "( )"
            lines.append(f"  {mark} {text}")
            if self.first is not None:
                lines.append(f"      {'right' if text == self.answer else 'not this one'}: {why}")
        return "\n".join(lines)

    def still(self) -> str:
        """Each choice unfolds to its explanation: works in any page, without a kernel or a script."""
        parts = [f"<p><b>Predict first.</b> {inline(self.prompt)}</p>"]
        for text, why in self.choices.items():
            verdict = "✔ Right." if text == self.answer else "✘ Not this one."
            picked = " <i>(chosen)</i>" if text == self.first else ""
            parts.append(
                f"<details><summary>{inline(text)}{picked}</summary>"
                f"<p><b>{verdict}</b> {inline(why)}</p></details>"
            )
        return "".join(parts)


class _Face(anywidget.AnyWidget):
    _esm = _HERE / "quiz.js"
    _css = _HERE / "quiz.css"
    prompt = t.Unicode().tag(sync=True)
    choices = t.List(t.Dict()).tag(sync=True)  # {text, why, right}, as HTML
    chosen = t.Int(-1).tag(sync=True)  # the first choice, by number; the page sets it once


def _course_of(name: str) -> Path | None:
    """The course whose lessons ask this question; None for a question of one's own."""
    from tlkit.exercises.lesson import LessonError, find_lesson

    try:
        return find_lesson(name).folder.parent
    except LessonError:
        return None
