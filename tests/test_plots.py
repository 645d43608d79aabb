"""Figures hold the numbers they were given, leave pyplot alone and show themselves once."""

from __future__ import annotations

import io
import sys
from itertools import pairwise

import matplotlib.figure
import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image
from torch import nn

from tlkit import plots
from tlkit.history import History
from tlkit.layers import freeze, layer_table
from tlkit.plots.canvas import spaced

DRAWS = {"frozen": {1: [0.7, 0.9], 10: [0.9, 0.92]}, "scratch": {1: [0.3, 0.5], 10: [0.8, 0.9]}}
RUN = History(
    step_loss=[2.0, 1.0, 0.5, 0.25],
    train_loss=[1.5, 0.4],
    train_accuracy=[0.5, 0.9],
    validation_loss=[1.2, 0.5],
    validation_accuracy=[0.6, 0.8],
    epoch_ends=[2, 4],
)
LABELS = torch.tensor([0, 0, 1, 2])
MODEL = nn.Sequential(freeze(nn.Linear(2, 2)), nn.Linear(2, 3))
EVERY = {
    "accuracy_vs_labels": lambda: plots.accuracy_vs_labels(DRAWS, highlight="frozen"),
    "history": lambda: plots.history(RUN),
    "an unfinished history": lambda: plots.history(History(step_loss=[1.0])),
    "an empty history": lambda: plots.history(History()),
    "show_images": lambda: plots.show_images(torch.rand(4, 1, 8, 8), LABELS, "abc", predictions=LABELS * 0),
    "show_images in colour": lambda: plots.show_images(torch.rand(1, 3, 8, 8)),
    "confusion": lambda: plots.confusion(LABELS, LABELS * 0, "abc"),
    "bars": lambda: plots.bars({"a": 0.5, "b": 0.25}, title="t", unit="u", spread={"a": 0.1}),
    "layer_bars": lambda: plots.layer_bars(layer_table(MODEL)),
    "feature_scatter": lambda: plots.feature_scatter(torch.rand(4, 5), LABELS, "abc", groups="sstt"),
}


def texts(figure: plots.Picture) -> list[str]:
    return [found.get_text() for found in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize("name", EVERY)
def test_every_picture_draws_on_opaque_paper_without_pyplot(name: str) -> None:
    """A PNG at twice the page's pixels, white in the corner for dark pages; pyplot keeps nothing."""
    figure = EVERY[name]()
    assert isinstance(figure, matplotlib.figure.Figure)
    bundle, metadata = figure._repr_mimebundle_()
    image = Image.open(io.BytesIO(figure.png()))
    assert image.size[0] == pytest.approx(2 * metadata["image/png"]["width"], abs=2)
    assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert np.asarray(image.convert("L")).std() > 1
    assert set(bundle) == {"image/png", "text/plain"}
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_accuracy_lines_are_means_and_bands_standard_deviations() -> None:
    """Mean .8 of .7 and .9, standard deviation .1414 with n - 1; logarithmic; methods named beside lines."""
    axis = plots.accuracy_vs_labels(DRAWS).axes[0]
    assert axis.get_xscale() == "log"
    assert np.allclose(axis.lines[0].get_xydata(), [[1, 0.8], [10, 0.91]])
    edges = axis.collections[0].get_paths()[0].vertices
    low, high = (edges[edges[:, 0] == 1, 1].min(), edges[edges[:, 0] == 1, 1].max())
    assert (low, high) == (pytest.approx(0.8 - 0.02**0.5), pytest.approx(0.8 + 0.02**0.5))
    assert {"frozen", "scratch"} <= set(texts(axis.figure))


def test_history_draws_steps_and_epochs() -> None:
    """Each step's loss at its step, epoch figures where the epoch ended."""
    loss, accuracy = plots.history(RUN, title="Probe").axes
    assert np.allclose(loss.lines[0].get_ydata(), RUN.step_loss)
    assert np.allclose(loss.lines[2].get_xydata(), [[2, 1.2], [4, 0.5]])
    assert np.allclose(accuracy.lines[1].get_xydata(), [[1, 0.6], [2, 0.8]])
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("optimizer step", "cross-entropy (nats)")
    assert RUN.plot().title == "Training: loss, Training: accuracy"


def test_wrong_predictions_are_marked_in_words() -> None:
    """Not by colour alone: a cross, the guess, and the truth."""
    captions = texts(EVERY["show_images"]())
    assert captions.count("a") == 2
    assert {"✗ a (is b)", "✗ a (is c)"} <= set(captions)
    with pytest.raises(ValueError, match=r"images are \[4, 2, 8, 8\]"):
        plots.show_images(torch.zeros(4, 2, 8, 8))


def test_confusion_counts_by_hand() -> None:
    """Rows are the truth: two of a, one of b, one of c, all called a."""
    axis = EVERY["confusion"]().axes[0]
    written = [(text.get_position(), text.get_text()) for text in axis.texts]
    assert written == [((0, 0), "2"), ((0, 1), "1"), ((0, 2), "1")]
    assert "50.0%" in axis.get_title("left")


def test_layer_bars_say_frozen_in_words_and_stripes() -> None:
    """6 frozen and 9 trainable parameters."""
    axis = EVERY["layer_bars"]().axes[0]
    assert {"6 frozen", "9 trainable"} <= set(texts(axis.figure))
    assert any(patch.get_hatch() for patch in axis.patches)


def test_feature_scatter_is_the_principal_plane() -> None:
    """The drawn points have the variances of the two largest eigenvalues of the covariance."""
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 5, 2, 0.1])
    axis = plots.feature_scatter(features, torch.zeros(50, dtype=torch.int64)).axes[0]
    drawn = np.asarray(axis.collections[0].get_offsets())
    values = np.linalg.eigvalsh(np.cov(features.numpy().T))[::-1]
    assert np.allclose(np.var(drawn, axis=0, ddof=1), values[:2], rtol=1e-4)
    assert f"({values[0] / values.sum():.0%} of variance)" in axis.get_xlabel()


def test_labels_are_pushed_apart_in_order() -> None:
    """At least the gap, within the bounds, order kept."""
    placed = spaced([0.9, 0.91, 0.2, 0.905], 0.1, 0.0, 1.0)
    assert sorted(range(4), key=placed.__getitem__) == [2, 0, 3, 1]
    ordered = sorted(placed)
    assert all(b - a > 0.099 for a, b in pairwise(ordered))
    assert ordered[-1] <= 1.0 + 1e-6
    assert placed[2] == pytest.approx(0.2)


def test_a_notebook_shows_a_picture_once() -> None:
    """As a cell's last expression, without %matplotlib, with or without pyplot; assigned, not at all."""
    make = "from tlkit import plots\nkept = plots.bars({'a': 1.0}, title='T', unit='u')"
    sources = [make, "kept", "import matplotlib.pyplot\nkept", "1"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [[sorted(out["data"]) for out in cell.outputs] for cell in notebook.cells]
    assert shown == [[], [["image/png", "text/plain"]], [["image/png", "text/plain"]], [["text/plain"]]]
