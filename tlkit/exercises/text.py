"""A verdict as text, for terminals and `print`."""

from __future__ import annotations

from tlkit.exercises.judge import Verdict
from tlkit.exercises.words import HEADLINES, STATES, key, notes, opening, points, sentence, troubles

_PRINTED_LINES = 20


def to_text(verdict: Verdict) -> str:
    """All of a verdict in plain lines."""
    icon, headline = HEADLINES[key(verdict)]
    score = "" if verdict.outcome == "unchecked" else f" · {points(verdict)}"
    lines = [f"{icon} {verdict.name}: {headline}{score}"]
    if said := opening(verdict):
        lines.append(f"  {said}")
    for hint in verdict.misconceptions:
        lines.append(f"  → {'' if hint.sure else 'Perhaps: '}{hint.text}")
    if verdict.outcome not in ("not_attempted", "unchecked"):
        lines += _parts(verdict)
    if verdict.printed:
        printed = verdict.printed.splitlines()
        lines += ["  Your code printed:", *(f"    | {line}" for line in printed[:_PRINTED_LINES])]
        lines += ["    | …"] * (len(printed) > _PRINTED_LINES)
    lines += [f"  {note}" for note in notes(verdict)]
    return "\n".join(lines)


def _parts(verdict: Verdict) -> list[str]:
    lines = []
    for part, said in zip(verdict.parts, troubles(verdict), strict=True):
        icon, word = STATES[part.state]
        lines.append(f"  {icon} {part.title} ({word}, {part.earned:g} of {part.points:g})")
        lines += [f"      {line}" for line in said]
        if part.state == "wrong":
            lines += [f"      {'✓' if label.holds else '✗'} {sentence(label)}" for label in part.labels]
    return lines
