"""Figures: one function each, data in, a `Picture` out (a matplotlib figure that shows itself)."""

from tlkit.plots.canvas import PALETTE, Picture, picture
from tlkit.plots.features import feature_scatter
from tlkit.plots.images import confusion, show_images
from tlkit.plots.layers import layer_bars
from tlkit.plots.results import accuracy_vs_labels, bars, history

__all__ = [
    "PALETTE",
    "Picture",
    "accuracy_vs_labels",
    "bars",
    "confusion",
    "feature_scatter",
    "history",
    "layer_bars",
    "picture",
    "show_images",
]
