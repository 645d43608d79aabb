"""A verdict as text, for terminals and `print`."""

from __future__ import annotations

from tlkit.exercises.judge import Verdict
from tlkit.exercises.words import HEADLINES, STATES, headline, opening, points, trouble


def to_text(verdict: Verdict) -> str:
    """All of a verdict in plain lines."""
    icon = HEADLINES[verdict.outcome][0]
    lines = [f"{icon} {verdict.name}: {headline(verdict)} · {points(verdict)}"]
    if verdict.outcome == "unchecked":
        lines = [f"{icon} {verdict.name}: {headline(verdict)}"]
    if said := opening(verdict):
        lines.append(f"  {said}")
    for hint in verdict.misconceptions:
        lines.append(f"  → {'' if hint.sure else 'Perhaps: '}{hint.text}")
    if verdict.outcome not in ("not_attempted", "right"):
        for part in verdict.parts:
            lines.append(f"  {STATES[part.state]} {part.title} ({part.earned:g}/{part.points:g})")
            if part.state in ("raised", "late", "not_attempted"):
                lines += [f"      {line}" for line in trouble(part, verdict)]
            for label in part.labels:
                if part.state == "wrong":
                    lines.append(
                        f"      {'✓' if label.holds else '✗'} {label.text}"
                        + (f": {label.sentence}" if label.sentence else "")
                    )
    lines += [f"  note: {note}" for note in verdict.advice]
    if verdict.printed:
        lines += ["  Your code printed:"] + [f"    | {line}" for line in verdict.printed.splitlines()[:20]]
    lines += [f"  warning: {warning}" for warning in verdict.warnings]
    return "\n".join(lines)
