"""The words of a verdict, shared by its HTML and its text."""

from __future__ import annotations

from tlkit.exercises.judge import Label, Part, Verdict

# outcome -> (icon, headline)
HEADLINES = {
    "right": ("✓", "Right"),
    "partly_right": ("◐", "Partly right"),
    "wrong": ("✗", "Not right yet"),
    "raised": ("!", "Your code raised an error"),
    "late": ("!", "Your code did not finish"),
    "not_attempted": ("○", "Not attempted yet"),
    "unchecked": ("?", "Nothing was checked"),
}
# state of a part -> (icon, word)
STATES = {
    "right": ("✓", "right"),
    "wrong": ("✗", "not yet"),
    "raised": ("!", "error"),
    "late": ("!", "not finished"),
    "not_attempted": ("○", "not attempted"),
}
_LONGEST = 400
_BRIEF = 160  # of an exception's message where the student's own line is not in it


def key(verdict: Verdict) -> str:
    """The key into HEADLINES: the outcome, with "late" told apart from other errors."""
    late = verdict.outcome == "raised" and any(part.state == "late" for part in verdict.parts)
    return "late" if late else verdict.outcome


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
            f"You wrote code, but `{verdict.name}` reaches its `raise NotImplementedError` line. Delete "
            f"that "
            "line, run the cell, and check again."
        )
    if verdict.outcome == "not_attempted":
        return (
            f"Replace the `raise NotImplementedError` line of `{verdict.name}` with your own code, run the "
            f"cell, and "
            f'check again. `hint("{verdict.name}")` helps you start.'
        )
    return ""


def trouble(part: Part, verdict: Verdict) -> list[str]:
    """Why a part gave no values: the exception or the time limit, the student's line, and the next step."""
    if part.state == "late":
        if "late" not in part.trouble:
            return ["was not run: the time was up"]
        return [
            f"did not finish within {part.trouble['late']:g} seconds and was stopped. Look for a loop whose "
            f"condition "
            "never becomes false, or for far more work than the exercise asks for."
        ]
    if part.state == "not_attempted":
        return ["still reaches `raise NotImplementedError`"]
    raised = part.trouble["raised"]
    what = raised["type"] + (f": {raised['message']}" if raised["message"] else "")
    if raised.get("returned") == "None":
        return [f"{verdict.name} returned None: did you forget `return`?"]
    if "returned" in raised:
        brief = what if len(what) <= _BRIEF else what[:_BRIEF] + " …"
        found = (
            f"{verdict.name} returned {raised['returned']}, with which the check could not go on ({brief})."
        )
        return [found, *raised.get("advice", ())]
    lines = [what]
    if raised.get("line"):
        place = f"{raised['cell']}, " if raised.get("cell") else ""
        lines.append(f"{place}line {raised['line']}: {raised.get('source', '')}".rstrip(": "))
    lines += raised.get("advice", ())
    if raised["where"] == "call" and "*args" not in verdict.signature:
        lines.append(f"It is called as {verdict.signature}: compare that with your own definition.")
    elif raised["where"] == "probe":
        lines.append(f"The check could not use your {verdict.name}: does it do what its docstring says?")
    return lines


def troubles(verdict: Verdict) -> list[list[str]]:
    """`trouble` of every part that gave no values ([] for the others); what is said once is not repeated."""
    said: list[list[str]] = []
    for part in verdict.parts:
        lines = trouble(part, verdict) if part.trouble else []
        said.append(["the same as above"] if len(lines) > 1 and lines in said else lines)
    return said


def sentence(label: Label) -> str:
    """What is shown of one label."""
    text = f"{label.text}: {label.sentence}" if label.sentence else label.text
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


def notes(verdict: Verdict) -> list[str]:
    """What else the student should know."""
    said = []
    if verdict.abandoned:
        said.append(
            "Code that could not be stopped is still running in the background. If the notebook feels slow, "
            "restart "
            "the kernel (Kernel ▸ Restart Kernel)."
        )
    said += [f"Warning: {warning}" for warning in verdict.warnings]
    return said
