"""The map of ways to transfer, drawn: what is carried over, which labels there are, how it is done."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tlkit.plots.canvas import FAINT, INK, Picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Way(NamedTuple):
    """One way to transfer and the lesson that teaches it."""

    name: str
    lesson: int


COLUMNS = (
    ("inductive", "the target has labels, if only a few"),
    ("transductive", "only the source has labels"),
    ("unsupervised", "no labels anywhere"),
)
# Rows and columns: Pan and Yang, A survey on transfer learning, 2010. The last row is younger.
ROWS: tuple[tuple[str, str, tuple[tuple[Way, ...], ...]], ...] = (
    (
        "features",
        "how an input\nis described",
        (
            (Way("feature extraction", 1), Way("many tasks at once", 7), Way("self-taught learning", 10)),
            (Way("align domains: CORAL, MMD, DANN", 3), Way("TCA, subspaces", 9)),
            (Way("self-supervised features", 10),),
        ),
    ),
    (
        "parameters",
        "weights to\nstart from",
        (
            (
                Way("fine-tuning", 2),
                Way("network surgery", 5),
                Way("learning on and on", 8),
                Way("adapters, LoRA", 12),
            ),
            (Way("BatchNorm statistics (AdaBN)", 3),),
            (),
        ),
    ),
    (
        "instances",
        "the examples\nthemselves",
        (
            (Way("boosting across sources", 9),),
            (Way("importance weights", 9), Way("optimal transport", 9)),
            (),
        ),
    ),
    (
        "relations",
        "how things\nhang together",
        ((Way("joint factorisation", 9),), (Way("zero-shot by attributes", 11),), ()),
    ),
    (
        "answers",
        "what another\nnetwork says",
        ((Way("distillation", 4),), (Way("pseudo-labels", 3), Way("distilling without labels", 4)), ()),
    ),
)
ALONG = (
    Way("which source? does it hurt?", 6),
    Way("text", 12),
    Way("detection", 13),
    Way("speech", 14),
    Way("responsible transfer", 15),
    Way("capstone", 16),
)

READY, LATER = "#cfe5f3", "#ffffff"
_LEFT, _WIDE, _CHIP = 1.25, (3.5, 3.5, 2.35), 0.34  # inches: row titles, columns, height of a box
_SIZE = 9.5  # points


def transfer_map(ready: int | None = None) -> Picture:
    """The ways to transfer as a table of boxes, each with its lesson's number.

    Lessons up to `ready` (default: those in this course's folder) are filled, later ones dashed.
    """
    ready = _lessons_here() if ready is None else ready
    heights = [max(0.95, 0.3 + 0.44 * _tallest(cells)) for _, _, cells in ROWS]
    width, height = _LEFT + sum(_WIDE) + 0.1, 0.95 + sum(heights) + 0.85
    figure, (axis,) = picture(width, height)
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.set_axis_off()
    axis.set_title("Ways to transfer", loc="left", fontsize=13, fontweight="bold", color=INK)
    axis.set_title("filled: in this course · dashed: to come", loc="right", fontsize=9.5, color=FAINT)
    lefts = [_LEFT + sum(_WIDE[:i]) for i in range(len(_WIDE))]
    for left, (name, meaning) in zip(lefts, COLUMNS, strict=True):
        axis.text(left + 0.1, 0.3, name, fontsize=12, fontweight="bold", color=INK, va="center")
        axis.text(left + 0.1, 0.6, meaning, fontsize=9.5, color=FAINT, va="center")
    top = 0.85
    for (name, meaning, cells), tall in zip(ROWS, heights, strict=True):
        axis.plot([0, width], [top, top], color="#d0d0d0", linewidth=0.8)
        axis.text(0.05, top + 0.26, name, fontsize=11.5, fontweight="bold", color=INK, va="center")
        axis.text(0.05, top + 0.43, meaning, fontsize=9, color=FAINT, va="top", linespacing=1.25)
        for left, cell, w in zip(lefts, cells, _WIDE, strict=True):
            _boxes(axis, cell, left + 0.1, top + 0.2, w - 0.15, ready)
        top += tall
    axis.plot([0, width], [top, top], color="#d0d0d0", linewidth=0.8)
    axis.text(0.05, top + 0.42, "along\nthe way", fontsize=10.5, fontweight="bold", color=INK, va="center")
    _boxes(axis, ALONG, _LEFT + 0.1, top + 0.25, width - _LEFT, ready)
    return figure


@lru_cache
def _length(way: Way) -> float:
    """Width of a box in inches, for its text at 9.5 points."""
    from matplotlib.textpath import TextPath

    return 0.48 + float(TextPath((0, 0), way.name, size=_SIZE).get_extents().width) / 72


def _lessons_here() -> int:
    """The highest number of a lesson in the course's folder."""
    from tlkit.lab import COURSE, course_root

    try:
        folders = (course_root() / COURSE).glob("[0-9][0-9]_*")
    except FileNotFoundError:
        return 0
    return max((int(folder.name[:2]) for folder in folders), default=0)


def _tallest(cells: tuple[tuple[Way, ...], ...]) -> int:
    """Lines of boxes in the fullest cell of a row, at least one."""
    return max(1, *(len(_lines(cell, wide - 0.15)) for cell, wide in zip(cells, _WIDE, strict=True)))


def _lines(ways: tuple[Way, ...], width: float) -> list[list[Way]]:
    """The boxes of a cell, broken into lines like words."""
    lines: list[list[Way]] = []
    left = width + 1.0
    for way in ways:
        if left + _length(way) > width:
            lines.append([])
            left = 0.0
        lines[-1].append(way)
        left += _length(way) + 0.1
    return lines


def _boxes(axis: Axes, ways: tuple[Way, ...], left: float, top: float, width: float, ready: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    for row, line in enumerate(_lines(ways, width)):
        x, y = left, top + 0.44 * row
        for way in line:
            done = way.lesson <= ready
            box = FancyBboxPatch(
                (x + 0.05, y + 0.05),
                _length(way) - 0.1,
                _CHIP - 0.1,
                boxstyle="round,pad=0.05",
                facecolor=READY if done else LATER,
                edgecolor="#0072B2" if done else "#8a8a8a",
                linewidth=1.3 if done else 1.0,
                linestyle="solid" if done else (0, (3, 2)),
            )
            axis.add_patch(box)
            how: dict[str, Any] = {"fontsize": _SIZE, "color": INK, "va": "center"}
            axis.text(x + 0.1, y + _CHIP / 2, f"{way.lesson:02d}", fontweight="bold", **how)
            axis.text(x + 0.36, y + _CHIP / 2, way.name, **how)
            x += _length(way) + 0.1
