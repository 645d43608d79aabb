"""How much faster is a probe on cached features than one that recomputes them?

    python benchmarks/probe_cache.py

Both train the same linear head on a frozen body for the same epochs, with the same optimizer and batches. The
naive way sends every image through the body in every epoch; the other extracts features once. Prints the
table and writes benchmarks/results/probe_cache.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from tlkit.backbones import load_backbone
from tlkit.data import digits_split
from tlkit.features import extract, linear_probe
from tlkit.layers import freeze
from tlkit.system import cpu_quota
from tlkit.training import evaluate, fit

RESULTS = Path(__file__).parent / "results" / "probe_cache.md"


def timed(work: Callable[[], object]) -> tuple[float, object]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--untrained", action="store_true", help="random weights take the same time")
    arguments = parser.parse_args()
    backbone = load_backbone("glyphnet", pretrained=not arguments.untrained)
    data, _ = digits_split()
    pixels, labels = data.images[: arguments.images], data.labels[: arguments.images]
    x = backbone.transform(pixels)
    how = {"epochs": arguments.epochs, "lr": 1e-2, "optimizer": "sgd", "progress": False}
    first = nn.Linear(backbone.feature_dim, 10)
    zeros = torch.zeros(4, backbone.feature_dim)  # PyTorch imports its compiler for the first optimizer
    fit(first, (zeros, torch.zeros(4, dtype=torch.int64)), **{**how, "epochs": 1})

    backbone.head = nn.Linear(backbone.feature_dim, 10)
    start = {name: value.clone() for name, value in backbone.head.state_dict().items()}
    freeze(backbone.body)
    naive, _ = timed(lambda: fit(backbone, (x, labels), **how))
    naive_accuracy = evaluate(backbone, (x, labels)).accuracy

    head = nn.Linear(backbone.feature_dim, 10)
    head.load_state_dict(start)
    with tempfile.TemporaryDirectory() as folder:
        extraction, _ = timed(lambda: extract(backbone.body, x, cache=folder))
        reading, features = timed(lambda: extract(backbone.body, x, cache=folder))
    assert isinstance(features, torch.Tensor)
    training, _ = timed(lambda: fit(head, (features, labels), **how))
    cached_accuracy = evaluate(head, (features, labels)).accuracy
    linear_probe(features[:20], labels[:20], 10)  # SciPy is imported here
    solving, _ = timed(lambda: linear_probe(features, labels, 10))

    rows = [
        ("recomputed: body and head, every epoch", naive, naive / naive),
        ("first time: extract, then train the head", extraction + training, naive / (extraction + training)),
        ("from the cache: read, then train the head", reading + training, naive / (reading + training)),
        ("from the cache, `linear_probe` (L-BFGS)", reading + solving, naive / (reading + solving)),
    ]
    text = [
        "# Linear probe: features recomputed or kept",
        "",
        f"glyphnet, {len(x)} images, {arguments.epochs} epochs, {torch.get_num_threads()} thread(s), "
        f"{cpu_quota():g} CPUs, PyTorch {torch.__version__}; by `python benchmarks/probe_cache.py`.",
        "",
        "| way | seconds | times faster |",
        "|---|---:|---:|",
        *(f"| {name} | {seconds:.3f} | {factor:.1f} |" for name, seconds, factor in rows),
        "",
        f"Both heads have the same training accuracy: {naive_accuracy:.3f} and {cached_accuracy:.3f}. "
        f"Extraction took {extraction:.3f} s, reading the cache {reading:.3f} s.",
        "",
    ]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
