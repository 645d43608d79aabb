"""Verdicts, hints and questions as self-contained HTML.

Inline style with JupyterLab's colour variables (and fallbacks outside of it), no script, no colour without a
sign and a word beside it; everything that comes from a student or a lesson is escaped. Without styles it
still reads in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from tlkit.exercises.judge import Label, Verdict
from tlkit.exercises.words import HEADLINES, STATES, key, notes, opening, points, sentence, troubles

_GREEN = "var(--jp-success-color1, #2e7d32)"
_RED = "var(--jp-error-color1, #c62828)"
_ORANGE = "var(--jp-warn-color1, #ef6c00)"
_BLUE = "var(--jp-info-color1, #0277bd)"
_GREY = "var(--jp-border-color0, #9e9e9e)"
_COLOURS = {
    "right": _GREEN,
    "partly_right": _ORANGE,
    "wrong": _RED,
    "raised": _RED,
    "late": _RED,
    "not_attempted": _GREY,
    "unchecked": _BLUE,
}
_CARD = (
    "border:1px solid var(--jp-border-color2, #bdbdbd);border-left:5px solid {colour};border-radius:4px;"
    "padding:10px 14px;margin:4px 0;max-width:56em;line-height:1.5;color:var(--jp-content-font-color1, "
    "inherit);"
    "background:var(--jp-layout-color1, transparent);font-family:var(--jp-content-font-family, sans-serif);"
    "font-size:var(--jp-content-font-size1, 14px);overflow-wrap:anywhere"
)
_BADGE = (
    "display:inline-block;width:1.5em;height:1.5em;line-height:1.4em;text-align:center;border-radius:50%;"
    "border:2px solid {colour};font-weight:700;margin-right:8px;box-sizing:border-box"
)
_CALLOUT = (
    "margin:8px 0;padding:6px 12px;border-left:3px solid var(--jp-warn-color1, #ef6c00);"
    "background:var(--jp-layout-color2, rgba(128,128,128,.12))"
)
_LIST = "list-style:none;margin:6px 0 0 0;padding:0"
_CODE = "font-family:var(--jp-code-font-family, monospace);font-size:.93em"
_PRE = _CODE + (
    ";white-space:pre-wrap;margin:4px 0;max-height:14em;overflow:auto;color:inherit;"
    "background:var(--jp-layout-color2, rgba(128,128,128,.12));padding:6px 8px"
)
_DIM = "color:var(--jp-content-font-color2, inherit)"
_MOST_LABELS = 12


def to_html(verdict: Verdict) -> str:
    """All of a verdict as one HTML block."""
    icon, headline = HEADLINES[key(verdict)]
    score = "" if verdict.outcome == "unchecked" else points(verdict)
    body = []
    if said := opening(verdict):
        body.append(f'<p style="margin:6px 0">{inline(said)}</p>')
    for hint in verdict.misconceptions:
        lead = "Hint" if hint.sure else "Perhaps"
        body.append(f'<p style="{_CALLOUT}"><b>→ {lead}:</b> {inline(hint.text)}</p>')
    if verdict.outcome not in ("not_attempted", "unchecked"):
        body.append(_parts(verdict))
    if verdict.printed:
        body.append(
            '<details style="margin-top:6px"><summary>Your code printed</summary>'
            f'<pre style="{_PRE}">{escape(verdict.printed)}</pre></details>'
        )
    body += [f'<p style="margin:6px 0;{_DIM}">{inline(note)}</p>' for note in notes(verdict)]
    title = f"<code style='{_CODE}'>{escape(verdict.name)}</code> · {headline}"
    return card(
        _COLOURS[key(verdict)], icon, title, score, "".join(body), f"{verdict.name}: {headline}, {score}"
    )


def card(colour: str, icon: str, title: str, right: str, body: str, label: str) -> str:
    """The frame: badge, title (HTML), something at the right, body (HTML), and a label for screen readers."""
    return (
        f'<div role="group" aria-label="{escape(label.rstrip(", "), quote=True)}" '
        f'style="{_CARD.format(colour=colour)}">'
        '<div style="display:flex;align-items:center;flex-wrap:wrap">'
        f'<span aria-hidden="true" style="{_BADGE.format(colour=colour)}">{escape(icon)}</span>'
        f'<strong style="flex:1">{title}</strong><span '
        f'style="{_DIM}">{escape(right)}</span></div>{body}</div>'
    )


def hints_html(name: str, hints: Sequence[str], total: int) -> str:
    """The hints shown so far, the newest last."""
    rows = "".join(f'<li style="margin:4px 0">{inline(hint)}</li>' for hint in hints)
    more = f'hint("{name}") shows the next one' if len(hints) < total else "this was the last hint"
    title = f"Hint {len(hints)} of {total} · <code style='{_CODE}'>{escape(name)}</code>"
    return card(
        _BLUE,
        "→",
        title,
        more,
        f'<ol style="margin:6px 0;padding-left:1.6em">{rows}</ol>',
        f"Hints for {name}",
    )


def inline(text: str) -> str:
    """Escaped text with `code`, **bold** and *emphasis* set as such."""
    pieces = re.split(r"(`[^`]+`)", escape(text, quote=False))  # every second one is code
    pieces[::2] = map(_stressed, pieces[::2])
    pieces[1::2] = [f"<code style='{_CODE}'>{code[1:-1]}</code>" for code in pieces[1::2]]
    return "".join(pieces)


def _stressed(text: str) -> str:
    text = re.sub(r"\*\*([^\s*](?:[^*]*[^\s*])?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"(?<![\w*])\*([^\s*](?:[^*]*[^\s*])?)\*(?![\w*])", r"<em>\1</em>", text)


def _parts(verdict: Verdict) -> str:
    rows = []
    for part, said in zip(verdict.parts, troubles(verdict), strict=True):
        icon, word = STATES[part.state]
        below = ""
        if said:
            below = _trouble(said, part.trouble)
        elif part.state == "wrong":
            below = _labels(part.labels)
        rows.append(
            f'<li style="margin:4px 0"><b style="color:inherit">{icon} {escape(part.title)}</b> '
            f'<span style="{_DIM}">— {word}, {part.earned:g} of {part.points:g}</span>{below}</li>'
        )
    return f'<ul style="{_LIST}">{"".join(rows)}</ul>'


def _trouble(said: list[str], trouble: object) -> str:
    """The exception and the student's line as code, the next steps as sentences."""
    raised = trouble.get("raised", {}) if isinstance(trouble, dict) else {}
    shown = 2 if raised.get("line") and len(said) > 1 else 1 if raised and len(said) > 1 else 0
    code = f'<pre style="{_PRE}">{escape(chr(10).join(said[:shown]))}</pre>' if shown else ""
    return code + "".join(f'<div style="margin-left:1.4em">{inline(line)}</div>' for line in said[shown:])


def _labels(labels: Sequence[Label]) -> str:
    rows = []
    for label in sorted(labels, key=lambda one: one.holds)[:_MOST_LABELS]:
        sign, word = ("✓", "holds") if label.holds else ("✗", "differs")
        style = _DIM if label.holds else ""
        rows.append(
            f'<li style="margin:2px 0;{style}"><span role="img" aria-label="{word}">{sign}</span> '
            f"{inline(sentence(label))}</li>"
        )
    return f'<ul style="list-style:none;margin:2px 0 0 1.4em;padding:0">{"".join(rows)}</ul>'
