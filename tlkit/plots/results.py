"""Results: accuracy against labelled examples, the course of a training run, named values side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from tlkit.plots.canvas import FAINT, INK, MARKERS, PALETTE, Picture, name_axes, picture, spaced

if TYPE_CHECKING:
    from tlkit.history import History


def accuracy_vs_labels(
    results: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    title: str = "Accuracy against labelled examples",
    where: str = "held-out accuracy",
    highlight: str | None = None,
) -> Picture:
    """Accuracies (0 … 1, one a draw) as `results[method][labels per class]`: lines of the mean, with a band.

    The band is one standard deviation over draws, with n - 1; a single draw has none. `highlight` names the
    method drawn heavier. The axis of labels is logarithmic.
    """
    figure, (axis,) = picture(7.6, 4.6)
    ends = []
    for i, (method, by_count) in enumerate(results.items()):
        counts = sorted(by_count)
        draws = [torch.tensor(list(by_count[count]), dtype=torch.float64) for count in counts]
        mean = [float(d.mean()) for d in draws]
        spread = [float(d.std()) if len(d) > 1 else 0.0 for d in draws]
        colour, heavy = PALETTE[i % len(PALETTE)], method == highlight
        marker, width = MARKERS[i % len(MARKERS)], 2.8 if heavy else 1.6
        axis.plot(counts, mean, color=colour, marker=marker, linewidth=width, markersize=6, zorder=3 + heavy)
        low, high = zip(*((m - s, m + s) for m, s in zip(mean, spread, strict=True)), strict=True)
        axis.fill_between(counts, low, high, color=colour, alpha=0.18, linewidth=0)
        ends.append((mean[-1], method, colour, heavy))
    every = sorted({count for by_count in results.values() for count in by_count})
    axis.set_xscale("log")
    axis.set_xticks(every, [str(count) for count in every])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    name_axes(axis, title, "labelled examples per class (log scale)", where)
    bottom, top = axis.get_ylim()
    top = min(top, 1.005)
    axis.set_ylim(bottom, top)
    heights = spaced([end[0] for end in ends], (top - bottom) * 0.065, bottom, top)
    for height, (mean_end, method, colour, heavy) in zip(heights, ends, strict=True):
        axis.annotate(
            method,
            xy=(every[-1], mean_end),
            xytext=(1.04, (height - bottom) / (top - bottom)),
            textcoords="axes fraction",
            color=_readable(colour),
            fontsize=10,
            fontweight="bold" if heavy else "normal",
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "shrinkA": 0,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )
    if any(len(draws) > 1 for by_count in results.values() for draws in by_count.values()):
        axis.text(0.99, 0.02, "band: ± 1 standard deviation over draws", transform=axis.transAxes,
                  ha="right", fontsize=9, color=FAINT)  # fmt: skip
    return figure


def history(record: History, *, title: str = "Training") -> Picture:
    """A training run: the loss of each step (thin) with epoch means, and accuracy at each epoch's end."""
    both = bool(record.train_accuracy or record.validation_accuracy)
    figure, axes = picture(9.0 if both else 5.5, 3.6, columns=2 if both else 1)
    steps = range(1, record.steps + 1)
    loss = axes[0]
    loss.plot(steps, record.step_loss, color=PALETTE[0], alpha=0.35, linewidth=1, label="each step")
    _epochs(loss, record.epoch_ends, record.train_loss, 0, "training, epoch mean")
    _epochs(loss, record.epoch_ends, record.validation_loss, 1, "validation")
    name_axes(loss, f"{title}: loss", "optimizer step", record.loss_name)
    if record.steps:
        highest = max([*record.step_loss, *record.validation_loss])
        loss.set_ylim(0 if min(record.step_loss) >= 0 else None, highest * 1.05)
        loss.legend(frameon=False, fontsize=9)
    loss.xaxis.set_major_locator(MaxNLocator(integer=True))
    if both:
        accuracy, epochs = axes[1], list(range(1, record.epochs + 1))
        _epochs(accuracy, epochs, record.train_accuracy, 0, "training, while learning")
        _epochs(accuracy, epochs, record.validation_accuracy, 1, "validation")
        name_axes(accuracy, f"{title}: accuracy", "epoch", "accuracy")
        accuracy.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))
        accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
        accuracy.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _epochs(axis: Axes, x: Sequence[int], y: Sequence[float], i: int, label: str) -> None:
    if y:
        axis.plot(x[: len(y)], y, color=PALETTE[i], marker=MARKERS[i], markersize=5, label=label)


def bars(
    values: Mapping[str, float],
    *,
    title: str,
    unit: str,
    spread: Mapping[str, float] | None = None,
    percent: bool = False,
    highlight: str | None = None,
) -> Picture:
    """Named values as horizontal bars with their numbers; `spread` adds error bars, `unit` names the axis."""
    figure, (axis,) = picture(7.0, 1.2 + 0.36 * len(values))
    names, numbers = list(values), list(values.values())
    errors = [spread.get(name, 0.0) for name in names] if spread else None
    colours = [PALETTE[1] if name == highlight else PALETTE[0] for name in names]
    axis.barh(names, numbers, xerr=errors, color=colours, height=0.7, error_kw={"ecolor": INK, "capsize": 3})
    for i, number in enumerate(numbers):
        reach = number + (errors[i] if errors else 0.0)
        text = f"{number:.1%}" if percent else f"{number:,.3g}" if abs(number) < 1000 else f"{number:,.0f}"
        axis.annotate(text, (max(reach, 0.0), i), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    if percent:
        axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    name_axes(axis, title, unit, "")
    axis.grid(False, axis="y")
    return figure


def _readable(colour: str) -> str:
    """A darker shade of the palette's light colours, for text on white (contrast of at least 4.5 to 1)."""
    return {"#56B4E9": "#1F6FA3", "#E69F00": "#8A5F00", "#CC79A7": "#A3427A", "#009E73": "#007A59",
            "#D55E00": "#B34700"}.get(colour, colour)  # fmt: skip
