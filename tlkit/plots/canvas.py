"""The paper that figures are drawn on: one palette, one look, no global pyplot state.

Pyplot keeps every figure it makes, and the inline backend shows those at the end of a cell. A `Picture`
belongs to nobody but its variable, and shows itself once, where it stands as a cell's last expression.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Okabe and Ito (2008): told apart with the common colour blindnesses; without its yellow, too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # colour is never the only sign
# Ten classes need more: Tol's "muted" set, and black.
CLASS_COLOURS = (
    "#332288", "#CC6677", "#117733", "#88CCEE", "#882255",
    "#DDCC77", "#44AA99", "#AA4499", "#999933", "#000000",
)  # fmt: skip
INK, FAINT, PAPER = "#222222", "#6b6b6b", "#ffffff"  # opaque paper: a dark page does not shine through
SCALE = 2  # image pixels for each pixel of the page, so that lines are crisp on modern screens


class Picture(Figure):
    """A matplotlib figure that a notebook shows without `%matplotlib inline`; `.save(path)` writes a file."""

    def png(self) -> bytes:
        """The figure as a PNG image, `SCALE` pixels for each pixel of the page."""
        buffer = io.BytesIO()
        FigureCanvasAgg(self).print_figure(buffer, format="png", dpi=self.dpi * SCALE, facecolor=PAPER)
        return buffer.getvalue()

    def save(self, path: Any) -> None:
        """Write the figure to `path`; the ending (.png, .svg, .pdf) chooses the format."""
        self.savefig(path, dpi=self.dpi * SCALE, facecolor=PAPER)

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, str], dict[str, Mapping[str, Any]]]:
        width, height = (round(inches * self.dpi) for inches in self.get_size_inches())
        image = base64.b64encode(self.png()).decode()
        return (
            {"image/png": image, "text/plain": repr(self)},
            {"image/png": {"width": width, "height": height, "alt": self.title}},
        )

    @property
    def title(self) -> str:
        """What the figure is called: its own title, else the titles of its axes."""
        titles = [axes.get_title("left") or axes.get_title() for axes in self.axes]
        return self.get_suptitle() or ", ".join(filter(None, titles)) or "untitled"

    def __repr__(self) -> str:
        return f"<Picture: {self.title}>"


def picture(
    width: float = 7.0, height: float = 4.0, rows: int = 1, columns: int = 1, *, pad: float = 0.12
) -> tuple[Picture, list[Axes]]:
    """An empty picture of width x height inches (100 pixels of the page each) and its axes, row by row.

    `pad` is the margin around and between the axes, in inches.
    """
    engine = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad)
    figure = Picture(figsize=(width, height), dpi=100, layout=engine, facecolor=PAPER)
    axes = [axis for row in figure.subplots(rows, columns, squeeze=False) for axis in row]
    for axis in axes:
        axis.set_facecolor(PAPER)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(FAINT)
        axis.tick_params(colors=INK, labelsize=10)
    return figure, axes


def name_axes(axis: Axes, title: str, x: str, y: str, *, grid: bool = True) -> None:
    """Title (left, bold) and axis names of one panel, with a faint grid behind."""
    axis.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=10)
    axis.set_xlabel(x, fontsize=11, color=INK)
    axis.set_ylabel(y, fontsize=11, color=INK)
    if grid:
        axis.grid(True, color="#d9d9d9", linewidth=0.6)
        axis.set_axisbelow(True)


def spaced(positions: list[float], gap: float, low: float, high: float) -> list[float]:
    """The positions moved apart to at least `gap`, in the same order, within low … high if there is room."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    moved = [positions[i] for i in order]
    for _ in range(200):  # push neighbours apart from their middle, until nothing overlaps
        for i in range(len(moved) - 1):
            overlap = max(0.0, gap - (moved[i + 1] - moved[i]))
            moved[i] -= overlap / 2
            moved[i + 1] += overlap / 2
    limit = high
    for i in reversed(range(len(moved))):  # from the top down, below the ceiling
        moved[i] = min(moved[i], limit)
        limit = moved[i] - gap
    limit = low
    for i in range(len(moved)):  # and up again, above the floor
        moved[i] = max(moved[i], limit)
        limit = moved[i] + gap
    placed = [0.0] * len(positions)
    for value, i in zip(moved, order, strict=True):
        placed[i] = value
    return placed
