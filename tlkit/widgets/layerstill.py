"""A LayerBoard without a page: as text, as plain HTML, as a PNG."""

from __future__ import annotations

import html
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.widgets.layerfacts import ICONS, WORDS, Block, blocks_now, rates_in_words, summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.widgets.layerboard import LayerBoard

WARM, COLD, NOTHING, INK = "#fdae6b", "#c6dbef", "#d9d9d9", "#161616"
GRADIENT, MOVED, DRIFT = "#7b52ab", "#c0651a", "#1f8a70"


@dataclass(frozen=True)
class Snapshot:
    """A picture of a board at one moment: a notebook shows the PNG, a terminal the text."""

    png: bytes
    words: str

    def save(self, path: str | Path) -> Path:
        """Write the PNG; returns its path."""
        Path(path).write_bytes(self.png)
        return Path(path)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        import base64

        code = base64.b64encode(self.png).decode()
        alt = html.escape(self.words, quote=True)
        return {
            "text/html": f'<img alt="{alt}" src="data:image/png;base64,{code}" style="max-width:100%">',
            "image/png": code,
            "text/plain": self.words,
        }

    def __str__(self) -> str:
        return self.words


def _blocks(board: LayerBoard) -> list[Block]:
    return blocks_now(board.freezing, board.blocks)


def text(board: LayerBoard) -> str:
    """The board in words, one line a block."""
    blocks = _blocks(board)
    rates = rates_in_words(board.freezing, board.rates, board.optimizer)
    width = max((len(b.label) for b in blocks), default=0)
    digits = max((len(f"{b.count:,}") for b in blocks), default=0)
    lines = [f"LayerBoard · {summary(blocks)}"]
    for b in blocks:
        parts = [f"  {ICONS[b.verdict]} {b.label:<{width}}  {b.count:>{digits},}  {WORDS[b.verdict]:<13}"]
        if b.verdict in ("on", "part") and b.name in rates:
            parts.append(f"learning rate {rates[b.name]}")
        if b.batchnorm:
            parts.append(b.batchnorm)
        if board.vitals.change:
            parts.append(_measured(board, b.name))
        lines.append("  ".join(parts).rstrip())
    lines += [f"  {' · '.join(f'{k} {v}' for k, v in run.items())}" for run in board.runs]
    return "\n".join(lines)


def _measured(board: LayerBoard, name: str) -> str:
    vitals = board.vitals
    norm, drift = vitals.gradient.get(name), vitals.drift.get(name)
    parts = [f"gradient {norm:.2g}" if norm is not None else "no gradient"]
    if name in vitals.change:
        parts.append(f"moved {100 * vitals.change[name]:.2g} %")
    if drift is not None and math.isfinite(drift):
        parts.append(f"drift {drift:.2g}")
    return ", ".join(parts)


def still(board: LayerBoard) -> str:
    """The board as HTML with its styles inside: nothing to run, nothing to load."""
    blocks = _blocks(board)
    top = max((math.sqrt(b.count) for b in blocks), default=1.0) or 1.0
    cells = "".join(_cell(b, max(34.0, 180 * math.sqrt(b.count) / top)) for b in blocks)
    words = html.escape(text(board))
    return (
        f"<p><b>{html.escape(summary(blocks))}</b></p><div>{cells}</div>"
        f"<details><summary>In words</summary><pre>{words}</pre></details>"
    )


def _cell(block: Block, width: float) -> str:
    colour = {"on": WARM, "off": COLD, "part": "#e2c5ad", None: NOTHING}[block.verdict]
    style = (
        f"display:inline-block;width:{width:.0f}px;min-width:max-content;margin:2px;padding:6px 4px;"
        f"border:2px solid #4a4a4a;border-radius:5px;color:{INK};text-align:center;background-color:{colour};"
    )
    if block.verdict == "off":
        style += "background-image:repeating-linear-gradient(45deg,transparent 0 6px,#ffffff90 6px 12px);"
    title = f"{ICONS[block.verdict]} {html.escape(block.label)}{' ⚠' if block.trapped else ''}"
    return f'<div style="{style}"><b>{title}</b><br>{block.count:,}<br>{WORDS[block.verdict]}</div>'


def snapshot(board: LayerBoard, path: str | Path | None = None) -> Snapshot:
    """A PNG of the board, drawn by matplotlib, with its text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    blocks = _blocks(board)
    live = bool(board.vitals.change)
    figure = Figure(figsize=(9.6, 3.0 if live else 1.9), dpi=100, facecolor="#fcfcfc")
    FigureCanvasAgg(figure)
    if live:
        grid = figure.add_gridspec(3, 1, height_ratios=[1, 2.2, 1], hspace=0.08)
        up, row, down = (figure.add_subplot(grid[i]) for i in range(3))
        places = _draw_blocks(row, blocks)
        _draw_vitals(up, down, board, blocks, places)
    else:
        row = figure.add_subplot()
        _draw_blocks(row, blocks)
    figure.suptitle(summary(blocks), x=0.02, ha="left", fontsize=11)
    figure.subplots_adjust(left=0.02, right=0.98, top=0.86, bottom=0.05)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    taken = Snapshot(buffer.getvalue(), text(board))
    if path is not None:
        taken.save(path)
    return taken


def _draw_blocks(axes: Axes, blocks: list[Block]) -> list[tuple[float, float]]:
    """Boxes in a row, width ∝ √parameters with a least width; returns (left, width) of each, in 0 … 100."""
    widths = _widths([b.count for b in blocks], 100 - 0.6 * max(len(blocks) - 1, 0))
    places, x = [], 0.0
    for b, width in zip(blocks, widths, strict=True):
        colour = {"on": WARM, "off": COLD, "part": COLD, None: NOTHING}[b.verdict]
        hatch = "//" if b.verdict in ("off", "part") else None
        axes.bar(x, 1, width, align="edge", color=colour, edgecolor="#4a4a4a", linewidth=1.5, hatch=hatch)
        if b.verdict == "part":
            axes.bar(x, 1, width / 2, align="edge", color=WARM)
        tall = width < 1.05 * len(b.label)
        middle: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
        box = {"facecolor": "#ffffffc0", "edgecolor": "none", "pad": 1.5}
        axes.text(x + width / 2, 0.42, b.label, fontsize=9, rotation=90 if tall else 0, bbox=box, **middle)
        axes.text(x + width / 2, 0.88, ICONS[b.verdict] + ("⚠" if b.trapped else ""), fontsize=10, **middle)
        places.append((x, width))
        x += width + 0.6
    axes.set(xlim=(0, 100), ylim=(0, 1))
    axes.set_axis_off()
    return places


def _draw_vitals(up: Axes, down: Axes, board: LayerBoard, blocks: list[Block], places: Any) -> None:
    vitals = board.vitals
    top = max([v or 0.0 for v in (*vitals.gradient.values(), *vitals.ghost.values())] + [1e-12])
    far = max([v for v in vitals.change.values() if math.isfinite(v)] + [1e-12])

    def bar(axes: Axes, x: float, height: float, width: float, **look: Any) -> None:
        axes.bar(x, height, width, align="edge", linewidth=1, **look)

    def log(value: float) -> float:
        return max(0.03, 1 + math.log10(value / top) / 3) if value > 0 else 0.0

    for b, (x, width) in zip(blocks, places, strict=True):
        norm, ghost = vitals.gradient.get(b.name), vitals.ghost.get(b.name, 0.0)
        if norm is not None:
            bar(up, x + 0.15 * width, log(norm), 0.7 * width, color=GRADIENT)
        elif ghost:
            bar(up, x + 0.15 * width, log(ghost), 0.7 * width, fill=False, edgecolor=GRADIENT, linestyle="--")
        bar(down, x + 0.1 * width, vitals.change.get(b.name, 0.0) / far, 0.38 * width, color=MOVED)
        drift = vitals.drift.get(b.name)
        if drift is not None and math.isfinite(drift):
            bar(down, x + 0.52 * width, min(1.0, drift), 0.38 * width, color=DRIFT, hatch="---")
    for axes, label in (
        (up, "gradient norm (log, 3 decades; dashed: last one before freezing)"),
        (down, "left: weights moved (longest = most); right: features drifted (full = 1)"),
    ):
        axes.set(xlim=(0, 100), ylim=(0, 1.3), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.text(0, 1.3, label, fontsize=7.5, va="top" if axes is up else "bottom", color=INK)
    down.invert_yaxis()


def _widths(counts: list[int], room: float, least: float = 3.0) -> list[float]:
    """Widths ∝ √count that fill `room`, none below `least`."""
    roots = [math.sqrt(count) for count in counts]
    if not roots:
        return []
    low, high = 0.0, room / (max(roots) or 1.0)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(max(least, middle * r) for r in roots) > room else (middle, high)
    return [max(least, low * r) for r in roots]


def run_facts(board: LayerBoard) -> dict[str, Any]:
    """One line of the table of runs."""
    history, step = board.runner.history, board.step
    learned = [b.label for b in _blocks(board) if b.verdict in ("on", "part")]
    facts: dict[str, Any] = {"run": len(board.runs) + 1}
    facts["learned at its end"] = ", ".join(learned) if len(learned) < 5 else f"{len(learned)} blocks"
    facts["steps"] = step.index + 1 if step else 0
    facts["loss"] = f"{step.loss:.3f}" if step else "–"
    for title, values in (
        ("training accuracy", history.train_accuracy if history else []),
        ("validation accuracy", history.validation_accuracy if history else []),
    ):
        facts[title] = f"{values[-1]:.3f}" if values else "–"
    return facts


def run_note(board: LayerBoard) -> str:
    """The state of the run, in one sentence."""
    state, step = board.runner.state, board.step
    done = f" after {step.index + 1} of {step.total} steps" if step else ""
    if state == "running" and step is None:
        return (
            "Getting ready: the first training of a session loads more of PyTorch, which takes some seconds."
        )
    return {
        "idle": "",
        "running": "Training. What you change takes effect before the next step.",
        "paused": f"Paused{done}. You can go on freezing; Resume goes on.",
        "done": f"Training is done{done}.",
        "stopped": f"Training was stopped{done}; what was learned stays.",
        "failed": f"Training failed{done}: {board.runner.error}",
    }[state]
