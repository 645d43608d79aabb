"""What a model is made of, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, MaxNLocator

from tlkit.plots.canvas import Picture, name_axes, picture

if TYPE_CHECKING:
    from tlkit.layers import Layer

COLD, WARM = "#9ecae1", "#D55E00"  # frozen (always striped as well) and trainable


def layer_bars(rows: Sequence[Layer], *, title: str = "Parameters by block") -> Picture:
    """Parameters of each block of a `layer_table`; the frozen are cold and striped, the others warm."""
    blocks = list(dict.fromkeys(row.block for row in rows))
    learning = [sum(r.trainable_parameters for r in rows if r.block == b) for b in blocks]
    totals = [sum(r.parameters for r in rows if r.block == b) for b in blocks]
    frozen = [total - part for total, part in zip(totals, learning, strict=True)]
    names = [block or "(model)" for block in blocks]
    figure, (axis,) = picture(7.0, 1.4 + 0.34 * len(blocks))
    axis.barh(names, learning, color=WARM, height=0.7, label="trainable")
    axis.barh(names, frozen, left=learning, color=COLD, hatch="////", edgecolor="#2b5d7d", linewidth=0,
              height=0.7, label="frozen")  # fmt: skip
    for i, total in enumerate(totals):
        state = "" if 0 < frozen[i] < total else " frozen" if frozen[i] else " trainable" if total else ""
        axis.annotate(f"{total:,}{state}", (total, i), (4, 0), textcoords="offset points", va="center",
                      fontsize=9)  # fmt: skip
    axis.invert_yaxis()
    axis.set_xlim(0, max([1, *totals]) * 1.3)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    name_axes(axis, title, "parameters", "")
    axis.grid(False, axis="y")
    axis.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure
