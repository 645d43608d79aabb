"""Images in a grid, and how often a class is taken for another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tlkit.plots.canvas import INK, Picture, name_axes, picture


def show_images(
    images: Tensor,
    labels: Tensor | None = None,
    classes: Sequence[str] | None = None,
    *,
    predictions: Tensor | None = None,
    columns: int = 10,
    title: str = "",
) -> Picture:
    """A grid of images [N, C, H, W] in 0 … 1: one channel as ink on paper (1 is black), three as RGB.

    Under each stands its label (by name if `classes` are given); with `predictions`, what was predicted, and
    a wrong one is marked ✗ and names the true label.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images are {list(images.shape)}: expected [N, 1, H, W] or [N, 3, H, W]")
    columns = max(1, min(columns, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    caption = 0.2 if labels is not None or predictions is not None else 0.0
    side = min(1.0, 9.0 / columns)
    height = rows * (side + caption) + (0.4 if title else 0.0)
    figure, axes = picture(columns * side, height, rows, columns, pad=0.04)
    for axis in axes:
        axis.set_axis_off()
    for i, (axis, image) in enumerate(zip(axes, images.detach().cpu().float().clamp(0, 1), strict=False)):
        if image.shape[0] == 1:
            axis.imshow(image[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        else:
            axis.imshow(image.permute(1, 2, 0).numpy())
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)
        axis.spines[:].set_color("#cccccc")
        text, right = _caption(i, labels, predictions, classes)
        axis.set_xlabel(text, fontsize=9, color=INK if right else "#B34700", labelpad=2,
                        fontweight="normal" if right else "bold")  # fmt: skip
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold", color=INK, x=0.01, ha="left")
    return figure


def _caption(
    i: int, labels: Tensor | None, predictions: Tensor | None, classes: Sequence[str] | None
) -> tuple[str, bool]:
    def name(values: Tensor) -> str:
        return classes[int(values[i])] if classes is not None else str(int(values[i]))

    if predictions is None:
        return (name(labels) if labels is not None else ""), True
    if labels is None or int(labels[i]) == int(predictions[i]):
        return name(predictions), True
    return f"✗ {name(predictions)} (is {name(labels)})", False


def confusion(
    labels: Tensor, predictions: Tensor, classes: Sequence[str], *, title: str = "Confusion"
) -> Picture:
    """How often each true class (row) was given each label (column); colour shows the share of the row."""
    count = len(classes)
    flat = labels.cpu().long() * count + predictions.cpu().long()
    table = torch.bincount(flat, minlength=count * count).reshape(count, count)
    share = table / table.sum(1, keepdim=True).clamp(min=1)
    side = min(9.0, max(3.6, 0.42 * count + 1.6))
    figure, (axis,) = picture(side, side)
    axis.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row, column in table.nonzero().tolist():
        if count <= 30:
            axis.text(column, row, str(int(table[row, column])), ha="center", va="center", fontsize=9,
                      color="white" if share[row, column] > 0.5 else INK)  # fmt: skip
    axis.set_xticks(range(count), classes)
    axis.set_yticks(range(count), classes)
    right = float(table.diagonal().sum() / max(1, int(table.sum())))
    name_axes(axis, f"{title}: {right:.1%} on the diagonal", "predicted", "true", grid=False)
    return figure
