"""Signs of life of a model in training, block by block: gradients, moved weights, drifting features."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tlkit.batchnorm import evaluation_mode
from tlkit.features import linear_cka
from tlkit.layers import blocks, capture, gradient_norms, weight_change

MOST_EXAMPLES = 64
FEWEST_EXAMPLES = 8  # linear CKA of fewer rows says nothing


class Vitals:
    """Measures a model against its start, spending little of the training time on it.

    `start` is a `tlkit.layers.snapshot`; `example` a batch [N, ...] for the drift (None: no drift).
    `share` is the part of the running time that measuring may take.
    """

    def __init__(
        self, model: nn.Module, start: Mapping[str, Tensor], example: Any = None, share: float = 0.1
    ) -> None:
        self.model, self.start, self.share = model, start, share
        self.gradient: dict[str, float | None] = {}
        self.ghost: dict[str, float] = {}  # last gradient norm a block had while it learned
        self.change: dict[str, float] = {}
        self.drift: dict[str, float | None] = {}
        self._due = {"cheap": 0.0, "drift": 0.0}
        fits = isinstance(example, Tensor) and len(example) >= FEWEST_EXAMPLES
        self.example = example[:MOST_EXAMPLES] if fits else None
        self._reference: dict[str, Tensor] | None = None

    def measure(self, *, everything: bool = False) -> bool:
        """Measure what is due (or everything); True if a number may have changed."""
        fresh = False
        for what, look in (("cheap", self._look_cheaply), ("drift", self._look_at_features)):
            began = time.perf_counter()
            if everything or began >= self._due[what]:
                look()
                took = time.perf_counter() - began
                self._due[what] = began + max(0.12, took / self.share)
                fresh = True
        return fresh

    def _look_cheaply(self) -> None:
        self.gradient = gradient_norms(self.model)
        self.ghost.update({block: norm for block, norm in self.gradient.items() if norm is not None})
        self.change = weight_change(self.model, self.start)

    def look_at_start(self) -> None:
        """The features of the start, which drift is measured from.

        For a moment the model holds the start's weights: call it while nothing trains or changes the model.
        """
        if self.example is not None and self._reference is None:
            self._reference = self._features(self.start)

    def _look_at_features(self) -> None:
        self.look_at_start()
        if self._reference is None:
            return
        now = self._features(None)
        self.drift = {
            block: round(1.0 - linear_cka(before, now[block]), 6)
            + 0.0  # rounding errors are no drift, nor is -0
            for block, before in self._reference.items()
            if block in now
        }

    def _features(self, weights: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """Block -> its output [N, D], averaged over positions; of the start's weights or of today's."""
        assert self.example is not None
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        x, names = self.example.to(device), [name for name in blocks(self.model) if name]
        with capture(self.model, names, detach=True) as outputs, evaluation_mode(self.model), torch.no_grad():
            if weights is None:
                self.model(x)
            else:
                functional_call(self.model, {k: v.to(device) for k, v in weights.items()}, (x,))
        rows = {name: _as_rows(output, len(x)) for name, output in outputs.items()}
        return {name: row for name, row in rows.items() if row is not None}


def _as_rows(output: Any, count: int) -> Tensor | None:
    """[N, D] out of a layer's output: [N, D], [N, C, *positions] or [N, T, D] (or [T, N, D])."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor) or not output.is_floating_point() or output.ndim < 2:
        return None
    if output.ndim == 3 and len(output) != count and output.shape[1] == count:
        output = output.transpose(0, 1)
    if len(output) != count:
        return None
    if output.ndim == 3:
        output = output.mean(1)  # tokens
    elif output.ndim > 3:
        output = output.flatten(2).mean(2)  # positions
    rows: Tensor = output.float().cpu()
    return rows
