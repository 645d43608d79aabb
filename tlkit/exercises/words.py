"""The words of a verdict, shared by its HTML and its text."""

from __future__ import annotations

from tlkit.exercises.judge import Part, Verdict

# outcome -> (icon, headline)
HEADLINES = {
    "right": ("✓", "Right"),
    "partly_right": ("◐", "Partly right"),
    "wrong": ("✗", "Not right yet"),
    "raised": ("!", "Your code raised an error"),
    "not_attempted": ("○", "Not attempted yet"),
    "unchecked": ("?", "Nothing was checked"),
}
STATES = {"right": "✓", "wrong": "✗", "raised": "!", "late": "⏱", "not_attempted": "○"}


def headline(verdict: Verdict) -> str:
    """ "Right" … or, where time ran out, that."""
    if verdict.outcome == "raised" and any(part.state == "late" for part in verdict.parts):
        return "Your code did not finish"
    return HEADLINES[verdict.outcome][1]


def points(verdict: Verdict) -> str:
    """ "3 of 5 points" """
    return f"{verdict.points:g} of {verdict.max_points:g} point{'' if verdict.max_points == 1 else 's'}"


def opening(verdict: Verdict) -> str:
    """The sentence under the headline, "" where the parts speak for themselves."""
    if verdict.outcome == "unchecked":
        return verdict.problem
    if verdict.outcome == "right":
        return verdict.why
    if verdict.begun:
        return (
            f"{verdict.name} still reaches its `raise NotImplementedError` line. Delete that line, run the cell, "
            "and check again."
        )
    if verdict.outcome == "not_attempted":
        return (
            f"Replace the `raise NotImplementedError` line of {verdict.name} with your own code, run the cell, and "
            f'check again. hint("{verdict.name}") helps you start.'
        )
    return ""


def trouble(part: Part, verdict: Verdict) -> list[str]:
    """Why a part gave no values: the exception or the time limit, the student's line, and the next step."""
    raised = part.raised or {}
    if part.state == "late":
        limit = raised.get("late")
        if limit is None:
            return ["was not run: the time was up"]
        return [
            f"did not finish within {limit:g} seconds and was stopped. Look for a loop whose condition never becomes "
            "false, or for far more work than the exercise asks for."
        ]
    if part.state == "not_attempted":
        return ["not attempted yet: it still reaches `raise NotImplementedError`"]
    message = raised.get("message", "")
    lines = [
        f"{raised.get('type', 'an error')}: {message}" if message else str(raised.get("type", "an error"))
    ]
    if raised.get("line"):
        place = f"{raised['cell']}, " if raised.get("cell") else ""
        lines.append(f"{place}line {raised['line']}: {raised.get('source', '')}")
    lines += list(raised.get("advice", ()))
    if raised.get("where") == "call" and verdict.signature:
        lines.append(
            f"It is called as {verdict.signature}: compare the names and their number with your `def` line."
        )
    if raised.get("where") == "probe":
        lines.append(
            "This happened while the check looked at what your code returned: is it of the kind the docstring says?"
        )
    return lines
