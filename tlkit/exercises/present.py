"""Show a verdict: HTML in a notebook, text in a terminal, and the bare score where nbgrader reads it."""

from __future__ import annotations

import sys
from typing import Any

from tlkit.exercises.judge import Verdict
from tlkit.exercises.page import to_html
from tlkit.exercises.text import to_text


class Result:
    """What `check` and `grade` return.

    In a notebook it shows itself; `print(result)` gives the same as text.
    """

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    @property
    def outcome(self) -> str:
        """not_attempted, raised, partly_right, wrong, right, or unchecked."""
        return self.verdict.outcome

    @property
    def points(self) -> float:
        """Points earned."""
        return self.verdict.points

    @property
    def max_points(self) -> float:
        """Points that can be earned."""
        return self.verdict.max_points

    @property
    def hints(self) -> tuple[str, ...]:
        """The hints of the misconceptions that were recognised."""
        return tuple(hint.text for hint in self.verdict.misconceptions)

    @property
    def misconceptions(self) -> tuple[str, ...]:
        """The keys of the misconceptions that were recognised."""
        return tuple(hint.key for hint in self.verdict.misconceptions)

    def __float__(self) -> float:
        return self.verdict.points

    def __repr__(self) -> str:
        return to_text(self.verdict)

    def _repr_html_(self) -> str:
        return to_html(self.verdict)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """In a kernel, text/plain is the score alone: nbgrader reads it as the partial credit of the cell."""
        plain = f"{self.verdict.points:g}" if _in_kernel() else to_text(self.verdict)
        return {"text/html": to_html(self.verdict), "text/plain": plain}


def _in_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
