"""Features in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlkit.plots.canvas import CLASS_COLOURS, INK, Picture, name_axes, picture


def feature_scatter(
    features: Tensor,
    labels: Tensor,
    classes: Sequence[str] | None = None,
    *,
    groups: Sequence[str] | None = None,
    title: str = "Features",
) -> Picture:
    """Features [N, D] on their two main directions (PCA), coloured by label [N], classes named in place.

    `groups` gives a name to each point, e.g. "source" or "target": points of the first are filled, of the
    second hollow.
    """
    flat = features.detach().cpu().double().flatten(1)
    centred = flat - flat.mean(0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    places = centred @ directions[:2].T  # [N, 2]
    share = singular.square() / singular.square().sum()
    kinds = list(dict.fromkeys(groups)) if groups is not None else [""]
    markers = ("o", "o", "s", "^", "D", "v")
    figure, (axis,) = picture(6.4, 5.4)
    for kind, name in enumerate(kinds):
        among = torch.tensor([groups is None or group == name for group in groups or [""] * len(flat)])
        edges = [_class_colour(label) for label in labels[among].tolist()]
        faces = edges if kind != 1 else "none"
        x, y = places[among].T.numpy()
        axis.scatter(x, y, c=faces, edgecolors=edges, marker=markers[kind], s=18, alpha=0.65, linewidths=0.9)
        if name:
            face = INK if kind != 1 else "none"
            axis.scatter([], [], c=face, edgecolors=INK, marker=markers[kind], s=24, label=name)
    for label in torch.unique(labels).tolist():
        x, y = places[labels == label].mean(0).tolist()
        axis.text(x, y, classes[label] if classes is not None else str(label), ha="center", va="center",
                  fontsize=11, fontweight="bold", color=INK,
                  bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": _class_colour(label)},
                  zorder=4)  # fmt: skip
    names = [f"component {i + 1} ({float(part):.0%} of variance)" for i, part in enumerate(share[:2])]
    name_axes(axis, title, names[0], names[1])
    if groups is not None:
        axis.legend(frameon=False, fontsize=9)
    return figure


def _class_colour(label: int) -> str:
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]
